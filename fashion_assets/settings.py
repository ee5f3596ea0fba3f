"""Every setting of the product, once: from options, the environment, a file in the home, or its default.

What belongs here: names, defaults and limits a user may change, each documented where it stands.
What does not: anything learnt while running (that is kept in the `fashion_ops` schema), secrets in clear text, how values
are found and told (`origins`), and what criteria are judged by, which is part of `Settings` and stands in `thresholds`.
It is one list, however long: whoever looks for a setting looks in one place.

Each field is set by the environment variable `FASHION_ASSETS_<FIELD>`, or by a line `field = value` of `settings.toml` in
the home; the environment wins. `fashion-assets --home DIR` sets `home`.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
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
from fashion_assets.thresholds import Thresholds

CODE_LOCATION = "fashion_assets"
"""What Dagster calls our code location; workspace.yaml says so too."""


_LARGEST = 2**53
"""Of any number: larger ones are not told apart from their neighbours as floats, and overflow where they are counted with."""

_MOST = {"seconds": 366 * 86_400, "hours": 100 * 366 * 24, "days": 100 * 366, "memory": 2**40}
"""By what a setting's name ends in, where less is enough: a year of waiting, a century of keeping, a terabyte."""


class Settings(Thresholds, BaseSettings):
    """The settings of one installation. Build it anew with `Settings()`; nothing is cached globally.

    Raises `SettingsError` for a value that is none, and for a file in the home that cannot be read.
    """

    # An empty variable is one not set: a compose file or a script that passes it on has nothing to say.
    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path = Field(
        default_factory=default_home,
        description="Folder of one installation: embedded database, Parquet files, reports, logs, settings.toml.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host:port/database of a server with pgvector >= 0.8.4. "
        "Unset: an embedded server in `home`.",
    )
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
    storage_url: str | None = Field(
        default=None,
        description="fsspec URL for the assets' Parquet files (s3://bucket/prefix). Unset: `home`/assets.",
    )
    outfit_rules: Path | None = Field(
        default=None,
        description="File of rules which pieces go together in a look, in the shape of the shipped one (catalog/outfits.toml). "
        "Unset: the shipped one.",
    )
    source_name: str = Field(
        default="fashion_demo",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the folder source; batches are called after it.",
    )
    batch_size: int = Field(
        default=2000, ge=1, le=100_000, description="Listings of one batch (= one Dagster partition)."
    )
    max_image_pixels: int = Field(
        default=64_000_000,
        ge=1,
        description="A picture that declares more pixels is a decompression bomb and is rejected undecoded. "
        "64 megapixels is above any catalogue camera and the most that Google's Merchant Center takes.",
    )
    max_image_bytes: int = Field(
        default=64 * 2**20,
        ge=1,
        description="A larger picture file is rejected unread. 64 MiB is four times what Google's Merchant Center takes, three "
        "times what Shopify takes, and an uncompressed picture of 22 megapixels.",
    )
    decoding_memory: int | None = Field(
        default=None,
        ge=64 * 2**20,
        description="Bytes that decoding pictures may take at one time, over all processes of this home; a picture that needs "
        "more is decoded alone. Unset: an eighth of the machine's (or container's) memory.",
    )
    fetch_pictures: bool = Field(
        default=False,
        description="Fetch pictures that listings name by URL, in each run before the catalogue is read. Off: those fetched before "
        "are used.",
    )
    fetch_hosts: str = Field(
        default="",
        description="Hosts, with commas between, whose pictures are fetched even where their address is not public: "
        "`images.shop.internal,10.0.0.5:8080`. All others must have public addresses. Also the places in buckets from which listings may name "
        "pictures: `s3://shop-pictures/products`.",
    )
    fetch_seconds: float = Field(
        default=30, gt=0, description="Seconds in which one picture must have come, redirects included."
    )
    fetch_per_host: int = Field(
        default=4, ge=1, le=16, description="Pictures that are fetched from one host at one time."
    )
    fetch_again_hours: float = Field(
        default=24,
        ge=0,
        description="Hours after which a picture's host is asked whether it has changed. One that could not be reached is asked "
        "in every run.",
    )
    max_price: float = Field(
        default=100_000,
        gt=0,
        description="A price above it (or not above zero) is absurd and rejects the listing.",
    )
    fill_from: Literal["pictures", "text", "nothing"] = Field(
        default="pictures",
        description="Where attributes that a record does not state are taken from: the words of title and description (text), and, where "
        "these are silent, the picture (pictures); or nothing.",
    )
    model: str | None = Field(
        default=None,
        description="The embedding model: a folder or a hub name sentence-transformers can load. Unset: the shipped one.",
    )
    model_revision: str | None = Field(default=None, description="Revision of a hub model.")
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="Where the model runs."
    )
    encode_batch_size: int | None = Field(
        default=None, ge=1, description="Pictures of one forward pass. Unset: by device."
    )
    encode_threads: int | None = Field(
        default=None, ge=1, description="Threads that decode and compute in one process. Unset: one a core."
    )
    compute: Literal["local", "ray"] = Field(
        default="local",
        description="Where batches are read, judged, normalized and embedded: in the processes that run them (local), or on a Ray "
        "cluster (ray; extra `ray`).",
    )
    ray_address: str | None = Field(
        default=None,
        pattern=r"^(auto|[^\s/:@]+:[0-9]{1,5})$",
        description="The cluster's head, HOST:PORT, or auto for the cluster that this machine is part of. Unset: RAY_ADDRESS, or a "
        "cluster of this machine alone, for as long as the command lasts.",
    )
    ray_batches: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Batches a command has on the cluster at one time; each is a process where the command runs.",
    )
    ray_encoders: int = Field(
        default=1, ge=1, le=1024, description="Processes of the cluster that hold the model."
    )
    ray_encoder_cpus: int = Field(
        default=1, ge=1, description="Processors the cluster keeps for each of them; so many threads compute."
    )
    ray_encoder_gpus: float = Field(
        default=0,
        ge=0,
        description="GPUs the cluster keeps for each of them; 0.5 lets two share one. 0: they compute on processors, unless `device` says "
        "otherwise.",
    )
    ray_wait_seconds: float = Field(
        default=60,
        gt=0,
        description="Seconds to wait for the cluster: until it answers, and until an encoder does. Not below 60: Ray takes up to a "
        "minute to notice that a node is gone. Longer where an autoscaler has to start machines.",
    )
    ray_idle_seconds: float = Field(
        default=30,
        gt=0,
        description="Seconds after which an encoder that nobody asks gives back its processors and GPUs.",
    )
    benchmark_seconds: float = Field(
        default=4,
        ge=0,
        le=600,
        description="Seconds, about, in which a release measures its own search before it may go live: recall under every filter, "
        "and from `min_products_for_times` products on the promised loads and the old layout beside the new. 0: one question under each "
        "filter and no more. fashion-assets bench measures at length.",
    )
    story_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s@]+(/[^?#\s]*)?$",
        description="An OpenAI-compatible endpoint that writes products' stories, up to the part before /chat/completions: "
        "https://api.openai.com/v1. Unset, or without a model: the built-in writer's stories, and nobody is asked.",
    )
    story_model: str | None = Field(default=None, min_length=1, description="The model there.")
    story_key: SecretStr | None = Field(
        default=None, description="Its key, where it wants one. Best in the environment: it is shown nowhere."
    )
    story_input_price: float = Field(
        default=0, ge=0, description="What a million tokens cost that it is told, in any one currency."
    )
    story_output_price: float = Field(default=0, ge=0, description="What a million tokens cost that it says.")
    story_budget: float | None = Field(
        default=None,
        ge=0,
        description="The most that all stories of a model may cost, over all runs, in the currency of the prices. It is never "
        "exceeded: before that nothing more is asked. Unset: no limit.",
    )
    story_requests_per_minute: float = Field(
        default=120, gt=0, description="Requests for stories in a minute, at the most."
    )
    story_at_once: int = Field(
        default=4, ge=1, le=64, description="Requests for stories on their way at once."
    )
    story_seconds: float = Field(default=60, gt=0, description="Seconds in which a story must have come.")
    reindex_after: float = Field(
        default=0.25,
        ge=0,
        description="Share of the products whose vectors syncs replaced or took out after which the live release's index of vectors is built "
        "anew by itself, while it is read. At a quarter recall is measured to be .997, at a half .985. 0: never.",
    )
    counts_from: int = Field(
        default=100_000,
        ge=0,
        description="Products of a release from which on it keeps how many have each value, alone and beside each other one, so that pages under one filter or none are "
        "counted at once; kept are values of a tenth as many products, and syncs correct them. 0: never.",
    )
    index_method: Literal["auto", "hnsw", "ivfflat"] = Field(
        default="auto",
        description="How a release's vectors are indexed: as a graph (hnsw), or in lists around centres (ivfflat), which are built in a bounded memory, and of which a search reads "
        "the nearest. auto: as a graph below 100,000 vectors of a space, in lists from there on, where a graph misses some of what is nearest. A release keeps what it was built with.",
    )
    index_memory: int | None = Field(
        default=None,
        ge=64 * 2**20,
        description="Bytes that the server may take to build an index over vectors; one that does not fit takes several times as long. "
        "A million vectors of 512 numbers take 2 GB as a graph, in lists .3 GB; there are fewer lists where they do not fit. Unset: a quarter of the machine's memory on the embedded server, on others what they "
        "are set to (maintenance_work_mem).",
    )
    keep_releases: int = Field(
        default=3,
        ge=1,
        description="Retired releases kept beside the live one, for rollback; older ones are dropped.",
    )
    keep_spare: bool = Field(
        default=True,
        description="Whether of the releases that are let go the newest stays as a spare, of which the next release of little change is made: "
        "only what differs is written, rows and their places in the indexes stay. Takes the room of one release. Off: all are dropped, and "
        "each release is built whole.",
    )
    keep_candidates: int = Field(
        default=2,
        ge=1,
        description="Finished candidates that wait to go live; when one more is built, older ones are dropped.",
    )
    old_snapshots: Literal["wait", "refuse", "ignore"] = Field(
        default="wait",
        description="What a swap does about readers whose snapshot is older than the release (REPEATABLE READ, a cursor, a long "
        "statement): they would find no rows and no error. It waits for them, refuses and says whose they are, or ignores them.",
    )
    old_snapshot_seconds: float = Field(
        default=60,
        ge=0,
        le=86_400,
        description="How long it waits for them before it refuses; `--force` ends them instead.",
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
    debug: bool = Field(default=False, description="Print the traceback of an error beside its line.")
    plain_dagster_storage: bool = Field(
        default=False,
        description="Let Dagster keep its runs and events by its own classes as they come: slower, and runs of a command do not "
        "stand under their job in the UI. For a version of Dagster the shortened ones do not fit.",
    )
    sensor_runs_per_tick: int = Field(default=4, ge=1, description="Runs the batch sensor asks for at once.")
    promote_automatically: bool = Field(
        default=True,
        description="Whether a release that was built, and of which every criterion holds, goes live by itself: in "
        "`fashion-assets run`, the job build_release, the sensor, the schedule. If not, it waits for a person.",
    )
    approval_required: bool = Field(
        default=False,
        description="Whether a new release goes live only once a person has approved it: fashion-assets approve RELEASE --why TEXT. "
        "Until then it waits, and promote refuses. A sync changes what is live already, and asks nobody.",
    )
    stale_after_days: int = Field(
        default=7,
        ge=0,
        description="Days without a change in the source, or in which what is live was not found in step with it, after which the UI shows "
        "either as overdue and people are told. 0: never.",
    )
    ui_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$",
        description="Where people reach the UI, if not on this machine: https://dagster.shop.example, with a path if a proxy "
        "serves it below one. Links in messages and reports begin with it.",
    )
    ui_hosts: str = Field(
        default="",
        description="Further names the UI answers to, separated by commas, with the port where it is not that of http or "
        "https: those by which a proxy or a container leads to it.",
    )
    former_hosts: str = Field(
        default="",
        description="Host names of former systems that lead to this server, each with the former API it means, separated by commas: "
        "`api.old-shop.example=fashion-ecom,thrift.example=prethrift`. What is asked by such a name is answered as below /former/NAME; "
        "docs/how-to/former-clients.md names the APIs.",
    )
    former_source: str | None = Field(
        default=None,
        description="The source whose products clients of former systems see. Unset: all of the release's.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address the search API listens on.")
    api_port: int = Field(default=8000, ge=0, le=65535, description="Its port; 0: a free one.")
    api_workers: int = Field(default=1, ge=1, le=64, description="Processes of the search API.")
    api_connections: int = Field(
        default=4, ge=1, le=100, description="Connections to the database that each of them searches by."
    )
    api_release: str | None = Field(
        default=None,
        pattern=r"^fashion_sota_r[0-9]+$",
        description="Release the search API serves. Unset: whichever is live.",
    )
    shadow_release: str | None = Field(
        default=None,
        pattern=r"^fashion_sota_r[0-9]+$",
        description="Release that the search API asks beside the one it serves, for a share of the searches, behind their answers: how far "
        "both agree is told at /metrics. Unset: none.",
    )
    shadow_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the searches that `shadow_release` is asked as well, from 0 to 1.",
    )
    api_open_to: str = Field(
        default="",
        description="What whoever asks the search API may do without a key, scopes with commas between: `search` for a shop whose "
        "products are everybody's to see. Where no key was ever made, this machine itself may do everything.",
    )
    api_requests_per_minute: int = Field(
        default=1_200,
        ge=1,
        description="Requests to the search API that one key, or one address without a key, may make in a minute.",
    )
    api_search_seconds: float = Field(
        default=5,
        gt=0,
        le=600,
        description="Seconds a search over HTTP may take; then it answers with what it has, and says so.",
    )
    api_max_body: int = Field(
        default=16 * 2**20,
        ge=1024,
        description="Bytes of a request to the search API at the most, a picture with them.",
    )
    api_cors_origins: str = Field(
        default="",
        description="Origins, with commas between, whose pages may ask the search API from a browser: https://shop.example; * for all.",
    )
    searches_kept_days: int = Field(
        default=90,
        ge=0,
        description="Days for which it is kept what was searched for (fashion_ops.searches): words and how often, never who. "
        "0: nothing is noted.",
    )
    feedback_kept_days: int = Field(
        default=365,
        ge=0,
        description="Days for which it is kept what a person likes, dislikes, looks at and opens (fashion_ops.feedback), since the last of it "
        "for each product. 0: nothing more is taken. Whoever sends `DNT: 1` or `Sec-GPC: 1` is not counted in any case.",
    )
    source_code_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Where this code is browsed, up to the folder that holds fashion_assets/: "
        "https://github.com/shop/fashion-assets/blob/main. The UI then links assets to their source there.",
    )
    changes_channel: str = Field(
        default="fashion_assets",
        min_length=1,
        max_length=63,
        description="Channel on which `sync --watch` listens in the databases of its Postgres sources: whoever notifies it (NOTIFY) has it look "
        "at once.",
    )
    watch_nice: int = Field(
        default=5,
        ge=0,
        le=19,
        description="How far `sync --watch` stands back where others want the cores (`nice`): at 5 it gets a third of what a reader's process gets, at "
        "0 as much.",
    )
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
