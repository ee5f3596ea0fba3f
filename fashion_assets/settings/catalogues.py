"""How catalogues and their pictures are read.

What belongs here: parts of `Settings`, each field with its limits and what it means. What does not: their checks (`settings`).
"""

from typing import Literal

from pydantic import Field

from fashion_assets.settings.part import Part


class Reading(Part):
    """Reading a catalogue."""

    source_name: str = Field(
        default="fashion_demo",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the folder source; batches are called after it.",
    )
    batch_size: int = Field(
        default=2000, ge=1, le=100_000, description="Listings of one batch (= one Dagster partition)."
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


class Pictures(Part):
    """Pictures."""

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


class FetchedPictures(Part):
    """Pictures by URL."""

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
    fetch_per_host: int = Field(
        default=4, ge=1, le=16, description="Pictures that are fetched from one host at one time."
    )
    fetch_seconds: float = Field(
        default=30, gt=0, description="Seconds in which one picture must have come, redirects included."
    )
    fetch_again_hours: float = Field(
        default=24,
        ge=0,
        description="Hours after which a picture's host is asked whether it has changed. One that could not be reached is asked "
        "in every run.",
    )
