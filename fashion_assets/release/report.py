"""The migration report: one HTML page and the same as JSON for each release, kept in the installation's `reports`.

What belongs here: gathering what a person wants to know of a candidate, and writing it. What does not: judging it.
"""

import base64
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image
from psycopg import sql

from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.settings import Settings
from fashion_assets.warehouse.quarantine import quarantined, reasons
from fashion_assets.warehouse.releases import Release

EXAMPLES = 12
"""Pictures and rejections shown."""

THUMBNAIL = 96
"""Longest edge of a picture in the page, pixels."""


def gather(
    conn: psycopg.Connection, settings: Settings, release: Release, verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Everything the report says, JSON-friendly; pictures are named by path."""
    products = release.table("products")

    def rows(query: str) -> list[tuple]:
        return conn.execute(sql.SQL(query).format(products=products)).fetchall()  # type: ignore[arg-type]

    batches = conn.execute(
        "SELECT batch, listings, products, quarantined FROM fashion_ops.release_batches WHERE release = %s ORDER BY batch",
        (release.release,),
    ).fetchall()
    return {
        "release": release.release,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "space": release.space,
        "counts": {
            "listings": release.listings,
            "products": release.products,
            "quarantined": release.quarantined,
        },
        "promotable": all(verdict.passed for verdict in verdicts),
        "criteria": [verdict.to_dict() for verdict in verdicts],
        "quarantine_reasons": [{"reason": reason, "listings": count} for reason, count in reasons(conn)],
        "quarantine_examples": [
            {"external_id": q.external_id, "reasons": q.reasons, "record": q.record, "image": q.image_uri}
            for q in quarantined(conn, limit=EXAMPLES)
        ],
        "article_types": [
            {"article_type": name, "products": count}
            for name, count in rows(
                "SELECT article_type, count(*) FROM {products} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
            )
        ],
        "brand_coverage": rows("SELECT count(brand)::float8 / greatest(count(*), 1) FROM {products}")[0][0],
        "examples": [
            {"title": title, "image": image}
            for title, image in rows("SELECT title, image_path FROM {products} ORDER BY product_id LIMIT 12")
        ],
        "batches": [
            {"batch": batch, "listings": listings, "products": kept, "quarantined": held}
            for batch, listings, kept, held in batches
        ],
    }


def thumbnail(path: str | None) -> str | None:
    """A picture as a data URL small enough to inline; None where it cannot be shown (that is often why it is listed)."""
    if not path or not os.path.isfile(path):
        return None
    try:
        image = load_rgb(path, THUMBNAIL)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def write(
    conn: psycopg.Connection, settings: Settings, release: Release, verdicts: Sequence[Verdict]
) -> Path:
    """Write `<release>.html` and `<release>.json`; returns the page's path and notes it with the release."""
    content = gather(conn, settings, release, verdicts)
    settings.reports.mkdir(parents=True, exist_ok=True)
    page = settings.reports / f"{release.release}.html"
    environment = Environment(
        loader=PackageLoader("fashion_assets.release"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thumbnail"] = thumbnail
    html = environment.get_template("report.html").render(**content)
    for path, text in ((page.with_suffix(".json"), json.dumps(content, indent=2, default=str)), (page, html)):
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    conn.execute(
        "UPDATE fashion_ops.releases SET report = %s, criteria = %s::jsonb WHERE release = %s",
        (str(page), json.dumps(content["criteria"], default=str), release.release),
    )
    return page
