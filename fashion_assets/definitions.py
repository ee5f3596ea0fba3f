"""The code location: loads `defs/`, nothing else."""

import warnings
from pathlib import Path

import dagster as dg

import fashion_assets.defs
from fashion_assets.defs.described import described
from fashion_assets.places import DAGSTER_FILES
from fashion_assets.settings import Settings


def definitions(home: str | None = None) -> dg.Definitions:
    """What `defs/` holds, each asset saying what it is under the settings of an installation."""
    settings = Settings() if home is None else Settings(home=Path(home))
    # By the module: a search for the project's pyproject.toml finds none around a wheel, or that of whoever installed it.
    tree = dg.ComponentTree.from_module(defs_module=fashion_assets.defs, project_root=DAGSTER_FILES)
    with warnings.catch_warnings():
        # Dagster warns of previews that it uses itself.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return described(tree.build_defs(), settings)


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
