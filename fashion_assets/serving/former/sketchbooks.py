"""The sketchbooks of the second-hand shop's brands, for reading: what everybody may see of them.

What belongs here: their calls, and what of them is everybody's. What does not: members, votes and reactions of persons, which are theirs.

The tables are closed to readers (docs/how-to/second-hand.md). They are read here with the owner's rights, in a read-only transaction, by
statements that take nothing but sketchbooks and posts that are public.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from fastapi import APIRouter, HTTPException, Request

from fashion_assets.serving.former import stored
from fashion_assets.serving.former.shapes import engine_of

_PRIVATE = "Who is a member of what is nobody's to read here; ask the system that has its people log in."
_WRITES_NOTHING = "This server only reads: sketchbooks come from the shop's database by a run or a sync."

LEFT_OUT = {
    ("PUT", "/sketchbook/{sketchbook}/settings"): _WRITES_NOTHING,
    ("POST", "/sketchbook/{sketchbook}/posts"): _WRITES_NOTHING,
    ("DELETE", "/sketchbook/posts/{post}"): _WRITES_NOTHING,
    ("GET", "/sketchbook/{sketchbook}/membership/{user}"): _PRIVATE,
    ("POST", "/sketchbook/{sketchbook}/membership"): _WRITES_NOTHING,
    ("GET", "/sketchbook/{sketchbook}/spend-eligibility/{user}"): _PRIVATE,
    ("POST", "/sketchbook/{sketchbook}/posts/{post}/vote"): _WRITES_NOTHING,
    ("POST", "/sketchbook/{sketchbook}/posts/{post}/react"): _WRITES_NOTHING,
    ("DELETE", "/sketchbook/{sketchbook}/posts/{post}/react"): _WRITES_NOTHING,
}

_BOOK: LiteralString = (
    "SELECT id, brand_id, title, description, access_policy, membership_rule, min_spend_amount::float8, min_spend_window_months, "
    "members_count, posts_count, created_at, updated_at FROM {sketchbooks} WHERE brand_id = %(brand)s::text LIMIT 1"
)
_BOOK_KEYS = (
    *("id", "brand_id", "title", "description", "access_policy", "membership_rule", "min_spend_amount"),
    *("min_spend_window_months", "members_count", "posts_count", "created_at", "updated_at"),
)

_POST_KEYS = (
    *("id", "sketchbook_id", "author_id", "post_type", "title", "body", "media", "tags", "visibility"),
    *("poll_question", "poll_options", "poll_closes_at", "event_id", "event_highlight", "views_count"),
    *("reactions_count", "comments_count", "created_at"),
)
_POSTS: LiteralString = (
    "SELECT p.id, p.sketchbook_id, p.author_id, p.post_type, p.title, p.body, p.media, p.tags, p.visibility, p.poll_question, "
    "p.poll_options, p.poll_closes_at, p.event_id, p.event_highlight, p.views_count, p.reactions_count, p.comments_count, p.created_at "
    "FROM {sketchbook_posts} p JOIN {sketchbooks} b ON b.id = p.sketchbook_id AND b.source = p.source "
    "WHERE p.visibility = 'public' AND b.access_policy = 'publicRead' "
    "AND (%(sketchbook)s::text IS NULL OR p.sketchbook_id = %(sketchbook)s) AND (%(post)s::text IS NULL OR p.id = %(post)s) "
    "ORDER BY p.created_at DESC NULLS LAST, p.id LIMIT %(rows)s"
)
POSTS = 200
FEED = 50

router = APIRouter()


async def _read(request: Request, text: LiteralString, values: Mapping[str, Any]) -> list[tuple]:
    """Rows of a statement. Raises 404 where the release has no sketchbooks, 403 where they are closed to this server's role as well."""
    if not await stored.has(engine_of(request), "sketchbook_posts"):
        raise HTTPException(404, "There are no sketchbooks")
    try:
        return await stored.rows_of(engine_of(request), text, values, as_owner=True)
    except psycopg.errors.InsufficientPrivilege:
        raise HTTPException(
            403, "Sketchbooks are closed to the role this server reads the database with"
        ) from None


def _number(text: Any) -> Any:
    """An id as the app knows it: a whole number where it is one."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text


def _post(row: tuple) -> dict[str, Any]:
    post = dict(zip(_POST_KEYS, row, strict=True))
    for key in ("id", "sketchbook_id", "event_id"):
        post[key] = _number(post[key])
    # As the app has always got them: JSON within a text.
    for key in ("media", "poll_options"):
        post[key] = None if post[key] is None else json.dumps(post[key], ensure_ascii=False)
    return post


async def _posts(
    request: Request, sketchbook: str | None, post: str | None = None, rows: int = POSTS
) -> list[dict]:
    asked = {"sketchbook": sketchbook, "post": post, "rows": rows}
    return [_post(row) for row in await _read(request, _POSTS, asked)]


@router.get("/sketchbook/brand/{brand_id}")
async def of_brand(request: Request, brand_id: str) -> dict:
    """The sketchbook of a brand."""
    rows = await _read(request, _BOOK, {"brand": brand_id})
    if not rows:
        raise HTTPException(404, "Sketchbook not found")
    book = dict(zip(_BOOK_KEYS, rows[0], strict=True))
    return {**book, "id": _number(book["id"])}


@router.get("/sketchbook/{sketchbook}/posts")
async def posts(request: Request, sketchbook: str) -> dict:
    """The public posts of a sketchbook, newest first."""
    return {"posts": await _posts(request, sketchbook)}


@router.get("/sketchbook/{sketchbook}/posts/{post}/poll")
async def poll(request: Request, sketchbook: str, post: str) -> dict:
    """The poll of a public post."""
    found = await _posts(request, sketchbook, post, 1)
    if not found or found[0]["poll_question"] is None:
        raise HTTPException(404, "Poll not found")
    closes = found[0]["poll_closes_at"]
    return {
        "question": found[0]["poll_question"],
        "options": json.loads(found[0]["poll_options"] or "[]"),
        "closes_at": closes,
        "is_closed": closes is not None and closes <= datetime.now(UTC),
    }


@router.get("/community/sketchbook-feed")
async def feed(request: Request, user_id: str | None = None) -> dict:
    """The newest public posts of all sketchbooks, whoever asks."""
    return {"posts": await _posts(request, None, rows=FEED)}
