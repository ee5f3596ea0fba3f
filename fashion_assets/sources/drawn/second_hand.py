"""The old second-hand databases as they really are in Postgres, with their oddities, at any size.

What belongs here: both shapes of `fashion_items`, and items. What does not: the people and what else stands beside them (`people`).

Oddities: the number of a row is not stable, its address is; descriptions are null or the word `None`; a third of the later rows came
without a vector, with values that nobody stated (`Unknown`, `M`, `Good`, price 0); vectors are a 512-d model's, filled up to 768 with
zeros; people have text ids, most items name only a seller; a like or a sale names an item by its kind and number, and may dangle;
counters have drifted; of two tables called `transactions` a database has one.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, LiteralString, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.sources.drawn import people as beside
from fashion_assets.sources.drawn.people import BEGAN, PEOPLE
from fashion_assets.sources.drawn.rows import (
    OWN,
    PADDED,
    copy,
    drawn,
    drawn_vector,
    look,
    padded,
    vector_text,
)

SOURCE_SHAPE: LiteralString = (
    "id serial PRIMARY KEY, source varchar(50), external_id varchar(100), title text, description text, price numeric(10,2), "
    "currency varchar(10), url text, image_url text, seller_name varchar(255), size varchar(20), brand varchar(100), "
    "category varchar(50), color varchar(50), condition varchar(50), embedding vector(768), created_at timestamp, updated_at timestamp, "
    "UNIQUE (source, external_id)"
)
"""`fashion_items` of the earlier system."""

PLATFORM_SHAPE: LiteralString = (
    "id serial PRIMARY KEY, title text NOT NULL, price numeric(10,2), image_url text, item_url text, "
    "platform varchar(20) CHECK (platform IN ('depop', 'grailed', 'vinted', 'modaics')), brand varchar(100), size varchar(20), "
    "condition varchar(50), description text, location varchar(100), seller_username varchar(100), embedding vector(768), "
    "sustainability_score int, is_verified_sustainable boolean, material varchar(100), certifications text[], scraped_at timestamp, "
    "created_at timestamp, updated_at timestamp"
)
"""`fashion_items` of the later system."""


class Item(NamedTuple):
    """An item as a marketplace shows it, before either system wrote it down."""

    platform: str
    slug: str
    """Last part of its address."""
    title: str
    price: Decimal | None = None
    currency: str | None = None
    brand: str | None = None
    size: str | None = None
    category: str | None = None
    color: str | None = None
    condition: str | None = None
    description: str | None = None
    seller: str | None = None
    later: bool = False
    """Whether the later sync brought it: without a vector, and with values nobody stated."""

    @property
    def url(self) -> str:
        """Where the marketplace shows it; nothing of one that was added by hand."""
        return {
            "depop": f"https://www.depop.com/products/{self.slug}/",
            "grailed": f"https://www.grailed.com/listings/{self.slug}",
            "vinted": f"https://www.vinted.fr/items/{self.slug}",
        }.get(self.platform, "")

    @property
    def external_id(self) -> str:
        """What the marketplace calls it, as the earlier system has it."""
        return self.slug.partition("-")[0] if self.platform == "vinted" else self.slug


ODD = (
    Item("depop", "no-boundaries-black-y2k-heel-0e75", "No Boundaries Black Y2K Heel", Decimal("18.00")),
    Item(
        "grailed",
        "12345678-rick-owens-ramones",
        "Rick Owens Ramones",
        Decimal("410.00"),
        brand="Rick Owens",
        seller="driesfan",
    ),
    Item(
        "grailed",
        "12345679-vintage-nike-tee",
        "Vintage Nike Tee",
        Decimal("12090.00"),
        description="None",
        size="L",
        condition="Gently Used",
        seller="driesfan",
    ),
    # The same digits as another marketplace's.
    Item(
        "vinted",
        "12345678-robe-zara-rose",
        "Zara Robe rose",
        Decimal("9.50"),
        "EUR",
        "Zara",
        "M",
        color="Dark Rose",
        condition="Very good",
        seller="amelie",
    ),
    Item(
        "vinted",
        "87654321-levis-501",
        "Levi's 501",
        Decimal("25.00"),
        "GBP",
        "Levi's",
        "32x34",
        seller="amelie",
    ),
    Item(
        "depop",
        "unknown-thing-77aa",
        "Unknown Item",
        Decimal(0),
        brand="Unknown",
        size="M",
        condition="Good",
        description="",
        seller="depop_user",
        later=True,
    ),
    Item(
        "depop",
        "carhartt-jacket-19bc",
        "Carhartt Jacket",
        Decimal("55.00"),
        brand="Carhartt",
        size="XL",
        condition="Good",
        description="",
        seller="workwearandco",
        later=True,
    ),
    Item(
        "modaics",
        "",
        "Silk Scarf",
        Decimal("30.00"),
        brand="Hermès",
        size="One Size",
        condition="Like new",
        description="Carré, 90 cm.",
        seller="uid-anna",
    ),
)
"""One item of each kind."""

SPOILT = (
    # The same address twice: of two rows one is a product.
    Item(
        "grailed",
        "12345678-rick-owens-ramones",
        "Rick Owens Ramones again",
        Decimal("395.00"),
        brand="Rick Owens",
    ),
    Item("modaics", "", " ", Decimal("15.00"), seller="uid-ben"),
    Item("vinted", "20000001-robe-sans-prix", "Robe sans prix", Decimal("99999999.99"), brand="Zara"),
)
"""Items that no product can be made of."""

_KINDS = ("Hoodie", "Jeans", "Dress", "Sneakers", "Jacket")
_COLOURS = ("black", "navy", "red", "green", "beige", "multi")


class Built(NamedTuple):
    """What was built, to be compared with what becomes of it."""

    items: int
    with_vector: int
    users: int
    digest: str
    """Over what each item with a vector is called (`platform:id`) and the float4 bytes of its vector, in any order."""


def drawn_items(count: int, later: int = 0) -> Iterator[Item]:
    """Items of three marketplaces, the same each time; of the last ones so many are the later sync's."""
    brands = ("Nike", "Zara", "Levi's", "Carhartt", "Rick Owens", "Patagonia", None)
    for n in range(count):
        platform = ("grailed", "vinted")[n % 2] if n % 28 else "depop"
        if n >= count - later:
            platform = "depop"
        brand, word, colour = brands[n % 7], _KINDS[n % 5], _COLOURS[n % 6]
        title = " ".join(filter(None, (brand, colour.title(), word, model_name(n))))
        slug = f"{'-'.join(title.lower().replace(chr(39), '').split())}"
        slug = f"{slug}-{n:04x}" if platform == "depop" else f"{10_000_000 + n}-{slug}"
        price = Decimal(1 + drawn(n, "price") % 20_000) / 100
        if n >= count - later:
            yield Item(
                platform,
                slug,
                title,
                price if n % 3 else Decimal(0),
                brand=brand or "Unknown",
                size="M",
                condition="Good",
                description="",
                seller="depop_user",
                later=True,
            )
            continue
        yield Item(
            platform,
            slug,
            title,
            price,
            "EUR" if platform == "vinted" else None,
            brand,
            (None, "M", "EU 38", "32x34")[n % 4] if platform == "vinted" else None,
            seller=None if platform == "depop" else f"seller{drawn(n, 'seller') % (count // 3 + 1)}",
        )


def sample_items(count: int) -> list[Item]:
    """The odd ones, the spoilt ones, and drawn ones, of which the later sync brought one in eight: so many together."""
    drawn_ones = max(0, count - len(ODD) - len(SPOILT))
    return [*ODD, *SPOILT, *drawn_items(drawn_ones, later=drawn_ones // 8)][:count]


def looks(items: Iterable[Item]) -> dict[int, np.ndarray]:
    """A vector of each item that came with one, by its place, near those of items of the same kind and colour."""
    words = {word.casefold() for word in (*_KINDS, *_COLOURS)}
    return {
        place: padded(look(words & set(item.title.casefold().split()), place))
        for place, item in enumerate(items)
        if not item.later
    }


def model_name(number: int) -> str:
    """A name no other item has."""
    syllables = (
        "ka",
        "lo",
        "mi",
        "ne",
        "ru",
        "sa",
        "ti",
        "vo",
        "ze",
        "da",
        "fe",
        "go",
        "hu",
        "li",
        "mo",
        "pa",
    )
    name = ""
    for _ in range(4):
        number, rest = divmod(number, len(syllables))
        name += syllables[rest]
    return name.title()


def build(
    connection: psycopg.Connection[Any],
    items: Iterable[Item] = ODD,
    *,
    shape: Literal["platform", "source"] = "platform",
    transactions: Literal["swaps", "payments"] = "swaps",
    vectors: Mapping[int, np.ndarray] | None = None,
    people: bool = True,
    crowd: int = 0,
) -> Built:
    """Make an old system's tables in a database where they are not, and fill them.

    Args:
        vectors: float32 [768] by the item's place; None: drawn ones, none for those of the later sync. `{place: None}` is none.
        people: whether the tables beside the items are there, too.
        crowd: how many further people there are, each with likes, a follow, a thing in a wardrobe, a membership and, one in three, a sale.
            One like in fifty names nothing.
    """
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    tables: dict[str, LiteralString] = {
        "fashion_items": PLATFORM_SHAPE if shape == "platform" else SOURCE_SHAPE
    }
    if people:
        tables |= {**beside.BESIDE, "transactions": beside.TRANSACTIONS[transactions]}
        if transactions == "payments":
            tables |= beside.SUBSCRIPTIONS
    for name, columns in tables.items():
        connection.execute(sql.SQL("CREATE TABLE {} (" + columns + ")").format(sql.Identifier(name)))
    count = with_vector = total = 0

    def rows() -> Iterator[tuple[Any, ...]]:
        nonlocal count, with_vector, total
        for place, item in enumerate(items):
            vector = vectors.get(place) if vectors is not None else None
            if vectors is None and not item.later:
                vector = drawn_vector(place)
            if vector is not None:
                with_vector += 1
                total += digest_of(known_as(item, place + 1), vector)
            yield (_platform_row if shape == "platform" else _source_row)(place + 1, item, vector)
            count += 1

    copy(connection, "fashion_items", rows())
    users = beside.fill(connection, transactions) if people else 0
    if people and crowd:
        users += beside.crowd(connection, crowd, count, transactions)
    # Those alone: who draws into a database in use must not wait for locks of others.
    connection.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(map(sql.Identifier, tables))))
    connection.commit()
    return Built(count, with_vector, users, f"{total % 2**128:032x}")


def known_as(item: Item, number: int) -> str:
    """What a release calls the item: its marketplace and its id there; of one without an address its number."""
    if item.platform == "modaics":
        return f"modaics:row:{number}"
    return f"{item.platform}:{item.slug if item.platform == 'depop' else item.slug.partition('-')[0]}"


def digest_of(name: str, vector: np.ndarray) -> int:
    """A number for a name and a vector's float4 bytes; sums of them are the same in any order."""
    return int.from_bytes(hashlib.md5(name.encode() + b"\0" + vector.astype("<f4").tobytes()).digest(), "big")


def _platform_row(number: int, item: Item, vector: np.ndarray | None) -> tuple[Any, ...]:
    when = BEGAN + timedelta(minutes=number)
    return (
        number, item.title, item.price, f"https://img.example/{number}.jpg", item.url, item.platform, item.brand, item.size,
        item.condition, item.description, "Depop" if item.later else None, item.seller, vector_text(vector), 40 + number % 60, False,
        "Silk" if item.platform == "modaics" else None, ["gots"] if item.platform == "modaics" else None, when, when, when,
    )  # fmt: skip


def _source_row(number: int, item: Item, vector: np.ndarray | None) -> tuple[Any, ...]:
    when = BEGAN + timedelta(minutes=number)
    return (
        number, item.platform, item.external_id or f"manual-{number}", item.title, item.description, item.price, item.currency, item.url,
        f"https://img.example/{number}.jpg", item.seller, item.size, item.brand, item.category, item.color, item.condition,
        vector_text(vector), when, when,
    )  # fmt: skip


__all__ = [
    "ODD",
    "OWN",
    "PADDED",
    "PEOPLE",
    "Built",
    "Item",
    "build",
    "digest_of",
    "drawn_items",
    "drawn_vector",
    "known_as",
]
