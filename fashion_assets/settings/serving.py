"""What answers over HTTP, and what it keeps of people.

What belongs here: parts of `Settings`, each field with its limits and what it means. What does not: their checks (`settings`).
"""

from pydantic import Field

from fashion_assets.settings.part import Part


class DagsterUi(Part):
    """The Dagster UI."""

    sensor_runs_per_tick: int = Field(default=4, ge=1, description="Runs the batch sensor asks for at once.")
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


class SearchApi(Part):
    """The search API."""

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


class FormerClients(Part):
    """Former clients."""

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


class People(Part):
    """What people look for and like."""

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
