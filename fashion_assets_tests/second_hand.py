"""The old second-hand databases as they really are in Postgres, with their oddities, at any size.

What belongs here: tables and rows of both shapes of `fashion_items` and of what stands beside them in the later one. What does not:
which items there are, where a test wants its own: it gives them, or takes the drawn ones.

Oddities: the number of a row is not stable, its address is; descriptions are null or the word `None`; a third of the later rows came
without a vector, with values that nobody stated (`Unknown`, `M`, `Good`, price 0); vectors are a 512-d model's, filled up to 768 with
zeros; people have text ids, most items name only a seller; a like or a sale names an item by its kind and number, and may dangle;
counters have drifted; of two tables called `transactions` a database has one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, LiteralString, NamedTuple
from uuid import UUID

import numpy as np
import psycopg
from psycopg import sql

OWN, PADDED = 512, 768
BEGAN = datetime(2025, 11, 20, 8)

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

TRANSACTIONS: Mapping[str, LiteralString] = {
    "swaps": "id serial PRIMARY KEY, type varchar(20), status varchar(20), seller_id varchar(100) REFERENCES users, "
    "buyer_id varchar(100) REFERENCES users, item_type varchar(20), item_id int NOT NULL, price numeric(10,2), "
    "platform_fee numeric(10,2), seller_payout numeric(10,2), rental_start_date date, rental_end_date date, "
    "tracking_number varchar(100), created_at timestamp, completed_at timestamp",
    "payments": "id uuid PRIMARY KEY, buyer_id varchar(100) NOT NULL, seller_id varchar(100), item_id int, amount numeric(10,2), "
    "currency varchar(3) DEFAULT 'USD', platform_fee numeric(10,2), seller_amount numeric(10,2), status varchar(20), type varchar(30), "
    "description text, stripe_payment_intent_id varchar(255), stripe_charge_id varchar(255), stripe_payment_status varchar(50), "
    "failure_message text, refunded_at timestamp, refund_amount numeric(10,2), refund_reason text, metadata jsonb, "
    "created_at timestamp, updated_at timestamp, completed_at timestamp",
}

BESIDE: Mapping[str, LiteralString] = {
    "users": "id varchar(100) PRIMARY KEY, email varchar(255) UNIQUE NOT NULL, username varchar(100) UNIQUE NOT NULL, "
    "display_name varchar(100), bio text, profile_image_url text, location varchar(100), user_type varchar(20), is_verified boolean, "
    "eco_points int, total_items_swapped int, total_items_sold int, co2_saved_kg numeric(10,2), water_saved_liters numeric(10,2), "
    "following_count int, followers_count int, created_at timestamp, updated_at timestamp, last_login_at timestamp",
    "user_wardrobe": "id serial PRIMARY KEY, user_id varchar(100) NOT NULL, image_url text, thumbnail_url text, embedding vector(768), "
    "item_name text NOT NULL, category varchar(50), brand varchar(100), size varchar(20), color varchar(50), material varchar(100), "
    "purchase_date date, purchase_price numeric(10,2), estimated_value numeric(10,2), times_worn int, last_worn_date date, "
    "is_listed_for_sale boolean, is_listed_for_swap boolean, is_listed_for_rent boolean, sale_price numeric(10,2), "
    "rental_price_daily numeric(10,2), sustainability_score int, created_at timestamp, updated_at timestamp",
    "item_likes": "user_id varchar(100), item_type varchar(20), item_id int, created_at timestamp, "
    "PRIMARY KEY (user_id, item_type, item_id)",
    "user_follows": "follower_id varchar(100), following_id varchar(100), created_at timestamp, PRIMARY KEY (follower_id, following_id)",
    "sketchbooks": "id serial PRIMARY KEY, brand_id varchar(100) UNIQUE REFERENCES users, title text, description text, "
    "access_policy varchar(20), membership_rule varchar(20), min_spend_amount numeric(10,2), min_spend_window_months int, "
    "members_count int, posts_count int, created_at timestamp, updated_at timestamp",
    "sketchbook_posts": "id serial PRIMARY KEY, sketchbook_id int REFERENCES sketchbooks, author_id varchar(100), post_type varchar(20), "
    "title text, body text, media jsonb, tags text[], visibility varchar(20), poll_question text, poll_options jsonb, "
    "poll_closes_at timestamp, event_id int, event_highlight text, views_count int, reactions_count int, comments_count int, "
    "created_at timestamp",
    "sketchbook_memberships": "id serial PRIMARY KEY, sketchbook_id int, user_id varchar(100), status varchar(20), "
    "join_source varchar(30), joined_at timestamp, UNIQUE (sketchbook_id, user_id)",
    "sketchbook_poll_votes": "id serial PRIMARY KEY, post_id int, user_id varchar(100), option_id varchar(50), created_at timestamp, "
    "UNIQUE (post_id, user_id)",
    "sketchbook_reactions": "id serial PRIMARY KEY, post_id int, user_id varchar(100), reaction_type varchar(20), created_at timestamp, "
    "UNIQUE (post_id, user_id, reaction_type)",
    "sketchbook_comments": "id serial PRIMARY KEY, post_id int, user_id varchar(100), body text, created_at timestamp",
}
"""What stands beside the later system's items."""

SUBSCRIPTIONS: Mapping[str, LiteralString] = {
    "subscription_plans": "id uuid PRIMARY KEY, name varchar(100), description text, price numeric(10,2), currency varchar(3), "
    "interval varchar(10), tier varchar(20), features jsonb, stripe_price_id varchar(255), is_active boolean",
    "user_subscriptions": "id uuid PRIMARY KEY, user_id varchar(100), plan_id uuid, brand_id varchar(100), status varchar(20), "
    "current_period_start timestamp NOT NULL, current_period_end timestamp NOT NULL, cancel_at_period_end boolean, "
    "cancelled_at timestamp, stripe_subscription_id varchar(255), stripe_payment_intent_id varchar(255), created_at timestamp",
}
"""What a database has whose `transactions` are payments."""


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
    kinds = ("Hoodie", "Jeans", "Dress", "Sneakers", "Jacket")
    colours = ("black", "navy", "red", "green", "beige", "multi")
    for n in range(count):
        platform = ("grailed", "vinted")[n % 2] if n % 28 else "depop"
        if n >= count - later:
            platform = "depop"
        brand, word, colour = brands[n % 7], kinds[n % 5], colours[n % 6]
        title = " ".join(filter(None, (brand, colour.title(), word, _model(n))))
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


def _model(number: int) -> str:
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


def drawn_vector(number: int, own: int = OWN) -> np.ndarray:
    """A vector of unit length of a 512-d model, filled up with zeros: float32 [768], the same each time."""
    vector = np.zeros(PADDED, np.float32)
    vector[:own] = np.random.default_rng([number, 768]).standard_normal(own).astype(np.float32)
    return vector / np.linalg.norm(vector)


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
        tables |= {**BESIDE, "transactions": TRANSACTIONS[transactions]}
        if transactions == "payments":
            tables |= SUBSCRIPTIONS
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

    _copy(connection, "fashion_items", rows())
    users = _people(connection, transactions) if people else 0
    if people and crowd:
        users += _crowd(connection, crowd, count, transactions)
    connection.execute("ANALYZE")
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
        item.condition, item.description, "Depop" if item.later else None, item.seller, _vector(vector), 40 + number % 60, False,
        "Silk" if item.platform == "modaics" else None, ["gots"] if item.platform == "modaics" else None, when, when, when,
    )  # fmt: skip


def _source_row(number: int, item: Item, vector: np.ndarray | None) -> tuple[Any, ...]:
    when = BEGAN + timedelta(minutes=number)
    return (
        number, item.platform, item.external_id or f"manual-{number}", item.title, item.description, item.price, item.currency, item.url,
        f"https://img.example/{number}.jpg", item.seller, item.size, item.brand, item.category, item.color, item.condition,
        _vector(vector), when, when,
    )  # fmt: skip


def _vector(vector: np.ndarray | None) -> str | None:
    return None if vector is None else "[" + ",".join(map(repr, vector.tolist())) + "]"


PEOPLE = ("uid-anna", "001234.abcdef.0567", "uid-studio", "uid-ben")
"""Ids of the users: of two kinds of sign-in, none a UUID."""


def _people(connection: psycopg.Connection[Any], transactions: str) -> int:
    anna, apple, studio, ben = PEOPLE
    _copy(
        connection,
        "users",
        (
            (uid, f"{n}@mail.example", f"user{n}", f"User {n}", None, None, "Lyon", "brand" if uid == studio else "consumer",
             False, 10, 0, 0, Decimal(0), Decimal(0), 7, 9, BEGAN, BEGAN, None)
            for n, uid in enumerate(PEOPLE)
        ),
    )  # fmt: skip
    wardrobe = (None,) * 4
    _copy(
        connection,
        "user_wardrobe",
        (
            (n, uid, None, None, _vector(drawn_vector(n)), f"Coat {n}", "outerwear", "Zara", "M", "black", "Wool", None,
             Decimal("40.00"), *wardrobe[:1], 3, None, n == 2, False, False, None, None, 50, BEGAN, BEGAN)
            for n, uid in ((1, anna), (2, anna), (3, ben), (4, "uid-gone"))
        ),
    )  # fmt: skip
    # Of items and of a wardrobe by one number, twice to nothing, once of a kind nobody knows.
    _copy(
        connection,
        "item_likes",
        (
            (uid, kind, number, BEGAN)
            for uid, kind, number in (
                (anna, "marketplace", 1),
                (ben, "marketplace", 1),
                (ben, "marketplace", 2),
                (anna, "wardrobe", 3),
                (anna, "marketplace", 99_999),
                (ben, "wardrobe", 77),
                (apple, "challenge", 1),
                ("uid-gone", "marketplace", 1),
            )
        ),
    )
    _copy(
        connection,
        "user_follows",
        ((a, b, BEGAN) for a, b in ((anna, studio), (ben, studio), (ben, "uid-gone"))),
    )
    _copy(
        connection,
        "sketchbooks",
        [(1, studio, "Studio Updates", None, "publicRead", "free", None, None, 12, 1, BEGAN, BEGAN)],
    )
    options = json.dumps([{"id": "a", "label": "Red", "votes": 9}, {"id": "b", "label": "Blue", "votes": 0}])
    _copy(
        connection,
        "sketchbook_posts",
        (
            (1, 1, studio, "poll", "Which colour?", "Tell us", '["https://img.example/p.jpg"]', ["drop", "ss26"], "public", "Which?",
             options, BEGAN, None, None, 4, 7, 0, BEGAN),
            (2, 1, studio, "update", "News", None, None, None, "membersOnly", None, None, None, 55, None, 0, 0, 0, BEGAN),
        ),
    )  # fmt: skip
    _copy(
        connection,
        "sketchbook_memberships",
        (
            (1, 1, anna, "active", "free", BEGAN),
            (2, 1, ben, "revoked", "free", BEGAN),
            (3, 1, "uid-gone", "active", "manualInvite", BEGAN),
        ),
    )
    _copy(connection, "sketchbook_poll_votes", ((1, 1, anna, "a", BEGAN), (2, 1, ben, "b", BEGAN)))
    _copy(
        connection,
        "sketchbook_reactions",
        ((1, 1, anna, "love", BEGAN), (2, 1, ben, "fire", BEGAN), (3, 9, ben, "fire", BEGAN)),
    )
    _copy(connection, "sketchbook_comments", ((1, 1, anna, "Red!", BEGAN), (2, 2, ben, "Nice", BEGAN)))
    if transactions == "swaps":
        _copy(
            connection,
            "transactions",
            (
                (1, "purchase", "completed", anna, ben, "marketplace", 1, Decimal("18.00"), Decimal("1.80"), Decimal("16.20"), None,
                 None, None, BEGAN, BEGAN),
                (2, "rental", "refunded", anna, ben, "wardrobe", 2, Decimal("5.00"), None, None, BEGAN.date(), BEGAN.date(), None,
                 BEGAN, None),
                (3, "swap", "pending", ben, anna, "marketplace", 99_999, None, None, None, None, None, None, BEGAN, None),
            ),
        )  # fmt: skip
    else:
        _copy(
            connection,
            "transactions",
            (
                (UUID(int=n), buyer, seller, item, Decimal(amount), "USD", Decimal("1.00"), Decimal("9.00"), status, type_, None,
                 f"pi_{n}", None, None, None, None, None, None, json.dumps({"n": n}), BEGAN, BEGAN, None)
                for n, (buyer, seller, item, amount, status, type_) in enumerate(
                    (
                        (ben, anna, 1, "19.08", "disputed", "item_purchase"),
                        (anna, ben, None, "5.00", "completed", "p2p_transfer"),
                        (anna, studio, None, "49.99", "processing", "brand_subscription"),
                        (ben, anna, 99_999, "8.00", "failed", "item_purchase"),
                    ),
                    1,
                )
            ),
        )  # fmt: skip
        plan = UUID(int=500)
        _copy(
            connection,
            "subscription_plans",
            [(plan, "Pro", None, Decimal("49.99"), "USD", "month", "pro", '["a"]', "price_1", True)],
        )
        _copy(
            connection,
            "user_subscriptions",
            (
                (
                    UUID(int=600 + n),
                    uid,
                    of,
                    studio,
                    "pending",
                    BEGAN,
                    BEGAN,
                    False,
                    None,
                    f"sub_{n}",
                    None,
                    BEGAN,
                )
                for n, (uid, of) in enumerate(((anna, plan), (ben, UUID(int=501))))
            ),
        )
    return len(PEOPLE)


def _crowd(connection: psycopg.Connection[Any], size: int, items: int, transactions: str) -> int:
    ids = [f"uid-{n:06}" for n in range(size)]
    _copy(
        connection,
        "users",
        (
            (uid, f"{uid}@mail.example", uid, None, None, None, None, "consumer", False, 0, 0, 0, Decimal(0), Decimal(0), 0, 0, BEGAN,
             BEGAN, None)
            for uid in ids
        ),
    )  # fmt: skip
    _copy(
        connection,
        "user_wardrobe",
        (
            (100 + n, uid, None, None, None, f"Shirt {n}", "tops", None, "M", "white", None, None, None, None, 0, None, False, False, False,
             None, None, None, BEGAN, BEGAN)
            for n, uid in enumerate(ids)
        ),
    )  # fmt: skip
    _copy(
        connection,
        "item_likes",
        (
            (
                uid,
                "marketplace",
                10**8 + n if (3 * n + k) % 50 == 0 else 1 + drawn(3 * n + k, "like") % items,
                BEGAN,
            )
            for n, uid in enumerate(ids)
            for k in range(1, 3)
        ),
    )
    _copy(connection, "user_follows", ((uid, PEOPLE[2], BEGAN) for uid in ids))
    _copy(
        connection,
        "sketchbook_memberships",
        ((100 + n, 1, uid, "active", "free", BEGAN) for n, uid in enumerate(ids)),
    )
    sales = ((n, uid) for n, uid in enumerate(ids) if n % 3 == 0)
    if transactions == "swaps":
        rows = (
            (100 + n, "purchase", "completed", PEOPLE[0], uid, "marketplace", 1 + drawn(n, "sale") % items, Decimal("20.00"),
             Decimal("2.00"), Decimal("18.00"), None, None, None, BEGAN, BEGAN)
            for n, uid in sales
        )  # fmt: skip
    else:
        rows = (
            (UUID(int=1000 + n), uid, PEOPLE[0], 1 + drawn(n, "sale") % items, Decimal("21.20"), "USD", Decimal("3.20"), Decimal("18.00"),
             "completed", "item_purchase", None, f"pi_{1000 + n}", None, None, None, None, None, None, "{}", BEGAN, BEGAN, BEGAN)
            for n, uid in sales
        )  # fmt: skip
    _copy(connection, "transactions", rows)
    return size


def drawn(number: int, of: str) -> int:
    """A number that looks drawn, the same each time."""
    return int.from_bytes(hashlib.blake2b(f"{of} {number}".encode(), digest_size=6).digest(), "big")


def _copy(connection: psycopg.Connection[Any], table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
