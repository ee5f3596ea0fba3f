"""The rules that make a listing a product: every reason for rejection, and the limits they use.

What belongs here: reasons with their requirements and meanings, limits, versions. What does not: applying them
(`catalog.validation`), how many rejections are too many (`criteria`).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from fashion_assets.catalog import attributes
from fashion_assets.catalog.attributes import MONEY, SHORT, TEXT
from fashion_assets.catalog.formats import FORMATS
from fashion_assets.catalog.formats.outlines import (
    IMAGE_FILE_TOO_LARGE,
    IMAGE_GONE,
    IMAGE_MISSING,
    IMAGE_NOT_AN_IMAGE,
    IMAGE_NOT_FETCHED,
    IMAGE_SENT_AS_TEXT,
    IMAGE_TOO_COSTLY,
    IMAGE_TOO_LARGE,
    IMAGE_TOO_SMALL,
    IMAGE_TRUNCATED,
    IMAGE_UNDECODABLE,
    IMAGE_UNREACHABLE,
    IMAGE_UNREADABLE,
    IMAGE_URL_REFUSED,
    MIN_EDGE,
)
from fashion_assets.catalog.pictures import IMAGE_CHANGED, Limits
from fashion_assets.catalog.profile import Profile
from fashion_assets.settings import Settings

RULES_VERSION = "6"
"""Raise it when a rule here changes its mind, so that earlier verdicts are not reused."""

VALIDATION_VERSION = f"{RULES_VERSION}-{attributes.version('kind', 'longest')}"
"""Another one when what is asked of an attribute changes, too."""

LONGEST = {"external_id": SHORT} | {
    each.name: each.longest
    for each in attributes.ATTRIBUTES
    if each.kind is TEXT and each.longest is not None
}
"""Characters of an attribute, where they are counted. A longer value is no value of that attribute, but what a broken export
ran into it. Of free text nothing is asked (how much of it is searched: `Attribute.searched`), nor of numbers, which are numbers
or nothing."""

TEXTS = ("external_id", *(each.name for each in attributes.ATTRIBUTES if each.kind is TEXT), "image")
"""What is kept as text."""


PRICE_UNREADABLE = "price_unreadable"
PRICE_AMBIGUOUS = "price_ambiguous"
ID_IN_SCIENTIFIC_NOTATION = "id_in_scientific_notation"


AMOUNTS = tuple(each.name for each in attributes.ATTRIBUTES if each.kind is MONEY)
"""Attributes that are amounts of money."""


class Rule(NamedTuple):
    """A reason for rejection: its name, the requirement it comes from, and what it means."""

    name: str
    requirement: str
    meaning: str


RULES = (
    Rule(
        "unreadable_line", "A1", "The record has too few fields or cannot be taken apart; its text is kept."
    ),
    Rule(
        "wrong_encoding", "A1", "The record is no text in its file's encoding; its bytes are kept, escaped."
    ),
    Rule("null_external_id", "A2", "No id is stated."),
    Rule(
        ID_IN_SCIENTIFIC_NOTATION,
        "A2",
        "The id was rounded by a spreadsheet (1.16454E+05): its last digits are lost. Export the column as text.",
    ),
    *(
        Rule(f"null_{each.name}", "A2", f"No {each.words} is stated, which products of this source need.")
        for each in attributes.ATTRIBUTES
    ),
    *(
        Rule(
            f"{name}_too_long",
            "A2",
            f"The {name.replace('_', ' ')} has more than {most:,} characters: it is none, and no index could hold it.",
        )
        for name, most in LONGEST.items()
    ),
    Rule("nul_character", "A2", "An attribute holds a NUL character, which no text in PostgreSQL can."),
    Rule("duplicate_id", "A2", "An earlier listing of the source has the same id; the first one counts."),
    *(
        Rule(
            f"{name}_absurd",
            "A2",
            f"A {name.replace('_', ' ')} is stated that is no number, below zero, zero where its source gives nothing away, or above "
            "the highest allowed.",
        )
        for name in AMOUNTS
    ),
    Rule("nothing_to_show", "A2", "Neither a title nor a picture: there is nothing to show."),
    Rule(
        PRICE_UNREADABLE,
        "A2",
        "The price's text is no amount, or several: a range, two prices, words beside one.",
    ),
    Rule(
        PRICE_AMBIGUOUS,
        "A2",
        "The price may be two amounts (1.199: thousands, or a decimal point), and no other price of the column decides. "
        "State the `decimal_sign` in the mapping.",
    ),
    Rule("image_path_outside", "A2", "The picture's path leaves the source's folder; it is never opened."),
    Rule(IMAGE_MISSING, "A2", "There is no picture where it should be."),
    Rule(
        IMAGE_NOT_FETCHED,
        "A2",
        "The picture is stated as a URL, and was not fetched: ask for it with --fetch-pictures, or say with --pictures where they are.",
    ),
    Rule(
        IMAGE_URL_REFUSED,
        "A2",
        "The picture's URL is none that may be asked: not http or https, or an address that is not public of a host that is not named "
        "in FASHION_ASSETS_FETCH_HOSTS.",
    ),
    Rule(
        IMAGE_UNREACHABLE,
        "A2",
        "The picture's host did not give it, in time and in a few attempts; the next fetch tries again.",
    ),
    Rule(IMAGE_GONE, "A2", "The picture's host says that there is none at its URL."),
    Rule(
        IMAGE_UNREADABLE,
        "A2",
        "The picture is there but may not, or cannot, be read; every run tries again.",
    ),
    Rule(IMAGE_FILE_TOO_LARGE, "A2", "The picture's file has more bytes than allowed; it was not read."),
    Rule(
        IMAGE_NOT_AN_IMAGE,
        "A2",
        f"The file is no picture of a known format ({', '.join(FORMATS)}): it is empty, packed, HEIC or SVG, say, or a page that a site sent "
        "in its place.",
    ),
    Rule(
        IMAGE_TOO_LARGE,
        "A2",
        "The picture has more pixels than allowed, or an edge longer than any JPEG's; it was not decoded.",
    ),
    Rule(
        IMAGE_TOO_SMALL,
        "A2",
        f"An edge of the picture has fewer than {MIN_EDGE} pixels: there is no garment to be seen.",
    ),
    Rule(
        IMAGE_TOO_COSTLY,
        "A2",
        "The picture would keep a decoder busy far beyond its size: more scans, hidden frames, strips, tiles or empty "
        "parts than pictures have. It was not decoded.",
    ),
    Rule(IMAGE_TRUNCATED, "A2", "The picture's file ends before all of it could be decoded."),
    Rule(
        IMAGE_UNDECODABLE,
        "A2",
        "The file is of a known format and does not end early, but cannot be decoded: it is damaged, or of a kind that is not "
        "supported.",
    ),
    Rule(
        IMAGE_SENT_AS_TEXT,
        "A2",
        "Line ends in the picture's file were translated, as FTP in ASCII mode or git's autocrlf do: what it would show is damaged. Copy it "
        "anew as it is (FTP: binary).",
    ),
    Rule("reader_defect", "A2", "The reader reported a defect that these rules have no name for."),
)
"""Every reason validation rejects for, in the order in which a rejection lists them."""

FOUND_LATER = (
    Rule(
        IMAGE_CHANGED,
        "A2",
        "The picture changed, broke or went between its listing's validation and its embedding; the next run judges the "
        "listing anew.",
    ),
)
"""Reasons that are found once a listing was judged a product."""


@dataclass(frozen=True)
class Rules:
    """The limits the rules use, and what the listings' source is held to."""

    max_price: float = 100_000
    max_image_pixels: int = Limits.max_pixels
    max_image_bytes: int = Limits.max_bytes
    profile: Profile = field(default_factory=Profile)
    read_with: str = ""
    """`Source.version`: the same record read in another way is another listing."""

    @classmethod
    def from_settings(
        cls, settings: Settings, profile: Profile | None = None, read_with: str = ""
    ) -> "Rules":
        """The limits the user has set, for a source of this profile (None: a shop's own catalogue)."""
        limits = (settings.max_price, settings.max_image_pixels, settings.max_image_bytes)
        return cls(*limits, profile or Profile(), read_with)

    @property
    def version(self) -> str:
        """What verdicts are marked with: the rules' version, and the limits and the profile they were made with."""
        limits = f"max_image_pixels={self.max_image_pixels};max_image_bytes={self.max_image_bytes}"
        profile = f"profile={self.profile.version}" + (
            f";read_with={self.read_with}" if self.read_with else ""
        )
        return f"{VALIDATION_VERSION};max_price={self.max_price:g};{limits};{profile}"
