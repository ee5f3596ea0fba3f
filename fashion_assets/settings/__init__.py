"""Every setting of the product, once: from options, the environment, a file in the home, or its default.

What belongs here: names, defaults and limits a user may change, each documented where it stands, in a class for each heading under
which people look for it. What does not: anything learnt while running (that is kept in the `fashion_ops` schema), secrets in clear text, how
values are found and told (`origins`).

Each field is set by the environment variable `FASHION_ASSETS_<FIELD>`, or by a line `field = value` of `settings.toml` in
the home; the environment wins. `fashion-assets --home DIR` sets `home`.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fashion_assets.folders import home_at
from fashion_assets.origins import (
    ENVIRONMENT_PREFIX,
    SettingsError,
    SettingsFile,
    explained,
    variable,
)
from fashion_assets.places import default_home
from fashion_assets.settings.catalogues import FetchedPictures, Pictures, Reading
from fashion_assets.settings.installation import Environments, Places, Told, Troubles
from fashion_assets.settings.models import Cluster, Looks, Model, Stories
from fashion_assets.settings.part import Part
from fashion_assets.settings.releases import Following, Releases
from fashion_assets.settings.serving import DagsterUi, FormerClients, People, SearchApi
from fashion_assets.settings.thresholds import Thresholds

CODE_LOCATION = "fashion_assets"
"""What Dagster calls our code location; workspace.yaml says so too."""


_LARGEST = 2**53
"""Of any number: larger ones are not told apart from their neighbours as floats, and overflow where they are counted with."""

_MOST = {"seconds": 366 * 86_400, "hours": 100 * 366 * 24, "days": 100 * 366, "memory": 2**40}
"""By what a setting's name ends in, where less is enough: a year of waiting, a century of keeping, a terabyte."""


class Settings(
    Places,
    Environments,
    Reading,
    Pictures,
    FetchedPictures,
    Model,
    Cluster,
    Looks,
    Stories,
    Releases,
    Following,
    DagsterUi,
    SearchApi,
    FormerClients,
    People,
    Told,
    Troubles,
    Thresholds,
    BaseSettings,
):
    """The settings of one installation. Build it anew with `Settings()`; nothing is cached globally.

    Raises `SettingsError` for a value that is none, and for a file in the home that cannot be read.
    """

    # An empty variable is one not set: a compose file or a script that passes it on has nothing to say.
    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, defer_build=False
    )

    @field_validator("*")
    @classmethod
    def _is_a_number_machines_have(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, int | float):
            ending = str(info.field_name).rpartition("_")[2]
            most = _MOST.get(ending, _LARGEST)
            if not value <= most:
                raise ValueError(f"must be {most:,} at the most")
        return value

    @field_validator("storage_url")
    @classmethod
    def _is_one_place_wherever_asked(cls, url: str | None) -> str | None:
        if url is not None and "://" not in url and not Path(url).expanduser().is_absolute():
            raise ValueError(
                "not a URL (s3://bucket/prefix), nor a folder's whole path: from each folder it would be another place"
            )
        return url

    @field_validator("notify_webhook", "smtp_url")
    @classmethod
    def _is_a_place_for_messages(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = {"notify_webhook": ("http", "https"), "smtp_url": ("smtp", "smtps")}[str(info.field_name)]
        if url is None:
            return None
        try:
            parts = urlsplit(url.get_secret_value())
            known = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            known = False
        if not known:
            # Without the value: it may hold a password.
            raise ValueError(
                f"not a URL that begins with {' or '.join(f'{scheme}://HOST' for scheme in schemes)}"
            )
        return url

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            home = given.get("home") or os.environ.get(variable("home")) or default_home()
            raise SettingsError(explained(error, home, given, type(self))) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the code gives wins, then the environment, then the file."""
        return init_settings, env_settings, SettingsFile(settings_cls)

    @field_validator("home")
    @classmethod
    def _is_a_place(cls, home: Path) -> Path:
        """The same folder for every process, wherever it is started."""
        return home_at(home)

    @cached_property
    def assets_url(self) -> str:
        """Where the assets' Parquet files lie: `storage_url`, or a folder of `home`."""
        return self.storage_url or str(self.home / "assets")

    @property
    def picture_cache(self) -> Path:
        """Pictures that were fetched by their URLs."""
        return self.home / "pictures"

    @property
    def reports(self) -> Path:
        """Folder of the migration reports."""
        return self.home / "reports"

    @property
    def ui_address(self) -> str:
        """Where the UI is found by who reads of it elsewhere; no slash at the end."""
        return (self.ui_url or "http://127.0.0.1:3000").rstrip("/")

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever built here: the embedded server is to be used, and has no data yet."""
        return self.database_url is None and not self.postgres_data.exists()

    @property
    def postgres_data(self) -> Path:
        """Data folder of the embedded server."""
        return self.home / "postgres"


def _groups() -> dict[str, type[Part]]:
    parts = (*Settings.__bases__, *Thresholds.__bases__)
    return {
        (part.__doc__ or "").rstrip("."): part
        for part in parts
        if issubclass(part, Part) and part is not Thresholds
    }


GROUPS = _groups()
"""The parts of `Settings`, by the heading under which each is shown, in that order."""
