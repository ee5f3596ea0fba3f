"""What an installation is made of: where its parts are, who is told of it, what helps where something goes wrong.

What belongs here: parts of `Settings`, each field with its limits and what it means. What does not: their checks (`settings`).
"""

from pathlib import Path

from pydantic import Field, SecretStr

from fashion_assets.places import default_home
from fashion_assets.settings.part import Part


class Places(Part):
    """Where things are."""

    home: Path = Field(
        default_factory=default_home,
        description="Folder of one installation: embedded database, Parquet files, reports, logs, settings.toml.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host:port/database of a server with pgvector >= 0.8.4. "
        "Unset: an embedded server in `home`.",
    )
    storage_url: str | None = Field(
        default=None,
        description="fsspec URL for the assets' Parquet files (s3://bucket/prefix). Unset: `home`/assets.",
    )
    reader_role: str = Field(
        default="fashion_reader",
        pattern=r"^[a-z_][a-z0-9_]*$",
        description="Database role that may read the serving views and nothing else.",
    )
    writer_role: str = Field(
        default="fashion_writer",
        pattern=r"^[a-z_][a-z0-9_]*$",
        description="Database role that may write favourites through their serving view and nothing else. Made where this one may make "
        "roles; nothing here needs it.",
    )
    keeper_role: str = Field(
        default="fashion_keeper",
        pattern=r"^[a-z_][a-z0-9_]*$",
        description="Database role the search API writes by: what people like, what was searched for, synonyms and rules, and nothing else. Made "
        "where this one may make roles; without it the API writes with the owner's rights.",
    )
    source_code_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Where this code is browsed, up to the folder that holds fashion_assets/: "
        "https://github.com/shop/fashion-assets/blob/main. The UI then links assets to their source there.",
    )


class Environments(Part):
    """Environments of a backfill."""

    development_database_url: SecretStr | None = Field(
        default=None,
        description="Database that `backfill --environment development` means. Unset: the installation's own.",
    )
    staging_database_url: SecretStr | None = Field(
        default=None, description="Database that `backfill --environment staging` means."
    )
    production_database_url: SecretStr | None = Field(
        default=None,
        description="Database that `backfill --environment production` means; a person is asked before anything is written there.",
    )


class Told(Part):
    """Being told."""

    notify_webhook: SecretStr | None = Field(
        default=None,
        description="URL that is sent a JSON document by POST when something waits for a person; what Slack, Mattermost "
        "and Teams take as an incoming webhook.",
    )
    notify_email: str | None = Field(
        default=None,
        description="Who is sent an e-mail when something waits for a person; addresses separated by commas.",
    )
    notify_from: str = Field(default="fashion-assets@localhost", description="Who such an e-mail is from.")
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server for them: smtp://user:password@mail.shop.example:587 (STARTTLS), or smtps:// (TLS from the "
        "start). Unset: the one on this machine, port 25.",
    )


class Troubles(Part):
    """When something goes wrong."""

    debug: bool = Field(default=False, description="Print the traceback of an error beside its line.")
    plain_dagster_storage: bool = Field(
        default=False,
        description="Let Dagster keep its runs and events by its own classes as they come: slower, and runs of a command do not "
        "stand under their job in the UI. For a version of Dagster the shortened ones do not fit.",
    )
