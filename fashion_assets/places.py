"""Where things lie when nobody says: the checkout, Dagster's own two files, the home.

What belongs here: places that follow from how the package was installed. What does not: what a user may choose
(`settings`), and what lies in a home (whoever writes it).
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

APPLICATION = "fashion-assets"
"""What the distribution is called, the command, and its folder where the platform keeps data."""


_PROJECT = _PACKAGE.parent

CHECKOUT = (
    _PROJECT if all((_PROJECT / name).is_file() for name in ("pyproject.toml", "dagster.yaml")) else None
)
"""The project's folder around its package; None where the package was installed by a wheel."""

DAGSTER_FILES = CHECKOUT or _PACKAGE / "deployment"
"""The folder of `dagster.yaml` and `workspace.yaml`: the checkout, or the folder of the wheel they are copied to."""


def default_home() -> Path:
    """The folder of an installation: beside the project in a checkout, else where the platform keeps a user's data."""
    if CHECKOUT is not None:
        return CHECKOUT / ".fashion_assets"
    # Here: a checkout need not spend the time.
    from platformdirs import user_data_path

    return user_data_path(APPLICATION, appauthor=False)
