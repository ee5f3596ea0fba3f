"""The people of the old second-hand databases: who they are, what they own, like, sell, pay for, follow and write.

What belongs here: the tables beside the items, their odd rows, and a crowd of further people. What does not: items (`second_hand`).
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from fashion_assets.sources.drawn.rows import copy, drawn, drawn_vector, vector_text

BEGAN = datetime(2025, 11, 20, 8)

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


PEOPLE = ("uid-anna", "001234.abcdef.0567", "uid-studio", "uid-ben")
"""Ids of the users: of two kinds of sign-in, none a UUID."""


def fill(connection: psycopg.Connection[Any], transactions: str) -> int:
    """The odd rows of every table beside the items; how many users there are."""
    _fill_people(connection)
    _fill_sketchbooks(connection)
    (_fill_swaps if transactions == "swaps" else _fill_payments)(connection)
    return len(PEOPLE)


def _fill_people(connection: psycopg.Connection[Any]) -> None:
    """Who they are, what they own, like and follow."""
    anna, apple, studio, ben = PEOPLE
    copy(
        connection,
        "users",
        (
            (uid, f"{n}@mail.example", f"user{n}", f"User {n}", None, None, "Lyon", "brand" if uid == studio else "consumer",
             False, 10, 0, 0, Decimal(0), Decimal(0), 7, 9, BEGAN, BEGAN, None)
            for n, uid in enumerate(PEOPLE)
        ),
    )  # fmt: skip
    copy(
        connection,
        "user_wardrobe",
        (
            (n, uid, None, None, vector_text(drawn_vector(n)), f"Coat {n}", "outerwear", "Zara", "M", "black", "Wool", None,
             Decimal("40.00"), None, 3, None, n == 2, False, False, None, None, 50, BEGAN, BEGAN)
            for n, uid in ((1, anna), (2, anna), (3, ben), (4, "uid-gone"))
        ),
    )  # fmt: skip
    # Of items and of a wardrobe by one number, twice to nothing, once of a kind nobody knows.
    copy(
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
    copy(
        connection,
        "user_follows",
        ((a, b, BEGAN) for a, b in ((anna, studio), (ben, studio), (ben, "uid-gone"))),
    )


def _fill_sketchbooks(connection: psycopg.Connection[Any]) -> None:
    """One brand's, with its posts, members, votes, reactions and comments."""
    anna, _, studio, ben = PEOPLE
    copy(
        connection,
        "sketchbooks",
        [(1, studio, "Studio Updates", None, "publicRead", "free", None, None, 12, 1, BEGAN, BEGAN)],
    )
    options = json.dumps([{"id": "a", "label": "Red", "votes": 9}, {"id": "b", "label": "Blue", "votes": 0}])
    copy(
        connection,
        "sketchbook_posts",
        (
            (1, 1, studio, "poll", "Which colour?", "Tell us", '["https://img.example/p.jpg"]', ["drop", "ss26"], "public", "Which?",
             options, BEGAN, None, None, 4, 7, 0, BEGAN),
            (2, 1, studio, "update", "News", None, None, None, "membersOnly", None, None, None, 55, None, 0, 0, 0, BEGAN),
        ),
    )  # fmt: skip
    copy(
        connection,
        "sketchbook_memberships",
        (
            (1, 1, anna, "active", "free", BEGAN),
            (2, 1, ben, "revoked", "free", BEGAN),
            (3, 1, "uid-gone", "active", "manualInvite", BEGAN),
        ),
    )
    copy(
        connection,
        "sketchbook_poll_votes",
        [(n, *vote, BEGAN) for n, vote in enumerate(((1, anna, "a"), (1, ben, "z"), (2, ben, "a")), 1)],
    )
    copy(
        connection,
        "sketchbook_reactions",
        ((1, 1, anna, "love", BEGAN), (2, 1, ben, "fire", BEGAN), (3, 9, ben, "fire", BEGAN)),
    )
    copy(connection, "sketchbook_comments", ((1, 1, anna, "Red!", BEGAN), (2, 2, ben, "Nice", BEGAN)))


def _fill_swaps(connection: psycopg.Connection[Any]) -> None:
    """What changed hands, where a database's `transactions` are that."""
    anna, _, _, ben = PEOPLE
    copy(
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


def _fill_payments(connection: psycopg.Connection[Any]) -> None:
    """What was paid, where a database's `transactions` are that, and who pays a subscription."""
    anna, _, studio, ben = PEOPLE
    copy(
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
    copy(
        connection,
        "subscription_plans",
        [(plan, "Pro", None, Decimal("49.99"), "USD", "month", "pro", '["a"]', "price_1", True)],
    )
    copy(
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


def crowd(connection: psycopg.Connection[Any], size: int, items: int, transactions: str) -> int:
    """So many further people, each with likes, a follow, a thing in a wardrobe, a membership and, one in three, a sale."""
    ids = [f"uid-{n:06}" for n in range(size)]
    copy(
        connection,
        "users",
        (
            (uid, f"{uid}@mail.example", uid, None, None, None, None, "consumer", False, 0, 0, 0, Decimal(0), Decimal(0), 0, 0, BEGAN,
             BEGAN, None)
            for uid in ids
        ),
    )  # fmt: skip
    copy(
        connection,
        "user_wardrobe",
        (
            (100 + n, uid, None, None, None, f"Shirt {n}", "tops", None, "M", "white", None, None, None, None, 0, None, False, False, False,
             None, None, None, BEGAN, BEGAN)
            for n, uid in enumerate(ids)
        ),
    )  # fmt: skip
    copy(
        connection,
        "item_likes",
        (
            (uid, "marketplace", number, BEGAN)
            for n, uid in enumerate(ids)
            for number in sorted(
                {
                    10**8 + n if (3 * n + k) % 50 == 0 else 1 + drawn(3 * n + k, "like") % items
                    for k in range(1, 3)
                }
            )
        ),
    )
    copy(connection, "user_follows", ((uid, PEOPLE[2], BEGAN) for uid in ids))
    copy(
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
    copy(connection, "transactions", rows)
    return size
