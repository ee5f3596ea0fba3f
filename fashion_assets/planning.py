"""What a run or a sync would change, before anything is built.

What belongs here: the plan and its words: which of both is due and why, what it would take. What does not: what differs (`release.following`),
what listings would become (`release.forecast`), when a sync can do it (`sync`), options and exit codes (`cli`).

The sources are scanned into the register in a transaction that is rolled back, as `run --dry-run` does; what is to be judged is read
afterwards, so that nobody waits for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import psycopg
import pyarrow as pa
from rich.console import Console

from fashion_assets.arrow import spare_pandas
from fashion_assets.batches.rows import PARSERS
from fashion_assets.embedding.encoder import InstalledModel, resolved
from fashion_assets.embedding.tuning import measured_speed
from fashion_assets.errors import amount
from fashion_assets.postgres.connections import connect
from fashion_assets.progress import steps
from fashion_assets.release import renewal, views
from fashion_assets.release.contracts import in_the_way
from fashion_assets.release.declared import KNOWN, shapes
from fashion_assets.release.dependents import dependents
from fashion_assets.release.following import Difference, behind, counted, drawn
from fashion_assets.release.forecast import Forecast, forecast
from fashion_assets.release.plan import Plan, plan, tables_version
from fashion_assets.release.scan import Scanned, scan_active_sources
from fashion_assets.settings import Settings
from fashion_assets.sync import can_follow, require_source, takes_longer, writing_seconds
from fashion_assets.warehouse import contract, releases
from fashion_assets.warehouse.contract import Columns
from fashion_assets.warehouse.declared import Declared
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import SERVED
from fashion_assets.warehouse.sources import SourceRecord, active_sources

LOOKED_AT = 2_000
"""Listings that are judged; of more a sample is."""

SHIPPED_PER_SECOND = 700
"""Vectors a second of the shipped model where nothing was measured: between the two machines of docs/performance.md."""


@dataclass
class Planned:
    """What would change. Nothing has."""

    how: Literal["nothing", "sync", "release"]
    """What brings the live release in step: a sync, or a new release."""
    why: str = ""
    live: str | None = None
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    """Listings new, changed and gone, beside the live release, and products that would leave it, by source: where any are."""
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rows of declared tables new, changed and gone since they were scanned last, by source and table."""
    to_judge: int = 0
    """Listings a sync or run would judge."""
    forecast: Forecast = field(default_factory=Forecast)
    schema: list[str] = field(default_factory=list)
    """How the next release's tables differ from the live one's."""
    not_promised: list[str] = field(default_factory=list)
    """Columns it would have that the newest contract does not promise."""
    in_the_way: list[str] = field(default_factory=list)
    dependents: list[str] = field(default_factory=list)
    """What of others hangs on the serving views."""
    made_from: str | None = None
    """The spare that the new release would be made from; None where it would be built whole."""
    shared: int = 0
    """Listings that would stay as they lie in it."""
    whole: str = ""
    """Why the new release would be built whole; empty where it would not."""
    seconds: dict[str, float | None] = field(default_factory=dict)
    """Estimated, by what they are spent on; None where nothing is known to estimate them from."""
    bytes: int | None = None
    """Estimated room on the server's disk."""
    said: list[str] = field(default_factory=list)

    @property
    def is_sample(self) -> bool:
        """Whether not all that would be judged was looked at."""
        return self.forecast.looked_at < self.to_judge

    def in_all(self, count: int) -> int:
        """A figure of those looked at as one of all."""
        return round(count * self.to_judge / self.forecast.looked_at) if self.is_sample else count

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "how": self.how,
            "why": self.why,
            "live": self.live,
            "sources": self.sources,
            "tables": self.tables,
            "to_judge": self.to_judge,
            "is_sample": self.is_sample,
            "judged": self.forecast.to_dict(),
            "vectors": {
                "pictures": self.in_all(self.forecast.pictures),
                "titles": self.in_all(self.forecast.titles),
            },
            "schema": self.schema,
            "not_promised": self.not_promised,
            "in_the_way": self.in_the_way,
            "dependents": self.dependents,
            "made_from": self.made_from,
            "shared": self.shared,
            "whole": self.whole,
            "seconds": self.seconds,
            "bytes": self.bytes,
            "said": self.said,
        }

    def summary(self) -> list[str]:
        """What is told, beside the tables."""
        return [*self.said, *self._judged(), *self._promised(), *self._due()]

    def _judged(self) -> Iterator[str]:
        """What listings would become."""
        found, some = self.forecast, " of those looked at" if self.is_sample else ""
        if self.is_sample:
            yield (
                f"{found.looked_at:,} of {self.to_judge:,} listings were looked at, drawn by chance: what follows is of them, vectors and "
                "seconds of all"
            )
        if found.looked_at:
            yield f"products  {found.new:,} new, {found.changed:,} with another value{some}"
        if found.attributes:
            yield "values    " + ", ".join(f"{name} {n:,}" for name, n in found.attributes.items())
        for each in found.prices:
            currency = f" {each['currency']}" if each["currency"] else ""
            change = f" ({each['change']:+.0%}) {each['title'] or ''}".rstrip()
            yield f"price     {each['external_id']} of {each['source']}: {each['was']} → {each['becomes']}{currency}{change}"
        if found.rejected:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in found.reasons.items())
            yield f"rejected  {found.rejected:,}{some}, {found.no_longer:,} of them products by now: {reasons}"
            for each in found.rejections:
                yield f"          {each['listing']} of {each['source']}: {', '.join(each['reasons'])}"
        if found.pictures or found.titles:
            yield (
                f"vectors   {self.in_all(found.pictures):,} of pictures and {self.in_all(found.titles):,} of titles to be made"
            )

    def _promised(self) -> Iterator[str]:
        """What readers would find otherwise, and what keeps the next release from going live."""
        yield from (f"schema    {each}" for each in self.schema)
        if self.not_promised:
            yield (
                f"schema    in no contract, so no view has them (fashion-assets contract next): {', '.join(self.not_promised)}"
            )
        if self.dependents:
            yield f"depend    on the serving views: {', '.join(self.dependents)}"
        yield from (f"stop      {each}" for each in self.in_the_way)

    def _due(self) -> Iterator[str]:
        """What there is to do, and what it takes."""
        if self.how == "nothing":
            yield f"{self.live} is in step with its sources: nothing would change{self.why and f'. {self.why}'}"
            return
        if self.made_from:
            yield f"shares    {self.shared:,} listings with {self.made_from}, which was let go: what differs is written into it"
        elif self.whole:
            yield f"shares    nothing, the release is built whole: {self.whole}"
        if self.how == "sync":
            yield f"due       {self.live} is changed in place: fashion-assets sync"
        else:
            yield f"due       a new release is due, as {self.why}: fashion-assets run"
        known = {name: seconds for name, seconds in self.seconds.items() if seconds is not None}
        unknown = [name for name, seconds in self.seconds.items() if seconds is None]
        cost = f"about {sum(known.values()):,.1f} s ({', '.join(f'{n} {s:,.1f}' for n, s in known.items())})"
        cost += f", and for {', '.join(unknown)} nothing is known yet" if unknown else ""
        cost += f", {amount(self.bytes)} more in the database" if self.bytes is not None else ""
        yield f"takes     {cost}"
        yield "Nothing was changed."


class _Looked(NamedTuple):
    """What the rolled-back scan found."""

    wanted: Plan
    scans: list[Scanned]
    entries: dict[str, SourceRecord]
    listings: dict[str, pa.Table]
    made: renewal.Chosen
    """What a new release would be made from."""


def planned(
    settings: Settings, console: Console, source: str | None = None, *, look_at: int = LOOKED_AT
) -> Planned:
    """What a run or sync of the sources in use, or of one, would change; at most `look_at` listings are read and judged.

    Raises `UnknownSource`, and what reading the sources raises.
    """
    spare_pandas()
    with connect(settings) as conn:
        require_source(conn, source)
        conn.rollback()
        result = Planned("nothing")
        with steps(console, "reading the sources", False), conn.transaction(force_rollback=True):
            looked = _look(conn, settings, source, look_at, result)
        with steps(console, "judging what changed", False), conn.transaction(force_rollback=True):
            model = InstalledModel(settings)
            result.forecast = forecast(
                conn, settings, model, looked.wanted.live, looked.entries, looked.listings
            )
            _cost(conn, settings, looked.wanted, looked.made, result)
    return result


def _look(
    conn: psycopg.Connection, settings: Settings, source: str | None, look_at: int, result: Planned
) -> _Looked:
    scans = scan_active_sources(conn, settings, only=source)
    result.said = [str(scan) for scan in scans if scan.report is None]
    for scan in scans:
        for name, report in scan.report.tables.items() if scan.report else ():
            if counts := _counts(new=report.new, changed=report.changed, gone=report.gone):
                result.tables[f"{scan.source.name}.{name}"] = counts
    wanted = plan(conn, settings)
    live, why = can_follow(conn, settings)
    result.live = wanted.live and wanted.live.release
    _differing(conn, wanted.live, source, result)
    if live is not None:
        batches = [batch for of, batch in behind(conn, live) if source in (None, of)]
        result.to_judge = sum(each["new"] + each["changed"] for each in result.sources.values())
        tables = live.tables_version != tables_version(wanted.of_rows)
        result.how = "sync" if result.sources or tables else "nothing"
        if why := takes_longer(conn, live, result.to_judge):
            result.how, result.why = "release", why
        elif result.how == "nothing" and wanted.stale:
            result.why = f"The files of {len(wanted.stale):,} batches are behind it, which a run makes anew: fashion-assets run"
        listings = drawn(conn, live, batches, look_at) if batches else {}
    else:
        chosen = [each for each in wanted.batches if source in (None, each.source)]
        result.how, result.why = "release", why
        result.to_judge = sum(each.listings for each in chosen)
        listings = drawn(conn, None, [each.name for each in chosen], look_at)
        if wanted.existing is not None and wanted.existing.state == "candidate":
            result.said.append(
                f"{wanted.existing.release} is made of all that already, and waits: fashion-assets promote {wanted.existing.release}"
            )
    result.schema = _schema(conn, wanted.live, wanted.tables)
    new = contract.unstated(contract.contracts()[-1])
    result.not_promised = [f"{view}.{column}" for view, columns in new.items() for column in columns]
    result.in_the_way = in_the_way(conn, wanted.tables)
    schemas = {view.schema for view in views.views(conn)}
    result.dependents = sorted({str(each) for each in dependents(conn, schemas)})
    # Beside the register as it was scanned, which is what the release would be made of.
    made = renewal.chosen(conn, settings, wanted, wanted.batches)
    return _Looked(wanted, scans, {each.name: each for each in active_sources(conn)}, listings, made)


def _differing(conn: psycopg.Connection, live: Release | None, source: str | None, result: Planned) -> None:
    """Listings that differ from what is live, by source."""
    if live is None:
        rows = conn.execute(
            "SELECT b.source, sum(b.listings)::bigint FROM fashion_ops.batches b JOIN fashion_ops.sources s ON s.name = b.source "
            "AND s.active GROUP BY 1 ORDER BY 1"
        ).fetchall()
        differences = {name: Difference(listings, 0, 0, 0) for name, listings in rows if listings}
    else:
        differences = counted(conn, live, behind(conn, live))
        rows = conn.execute(
            "SELECT b.source, sum(r.listings)::bigint, sum(r.products)::bigint FROM fashion_ops.release_batches r "
            "JOIN fashion_ops.batches b USING (batch) LEFT JOIN fashion_ops.sources s ON s.name = b.source AND s.active "
            "WHERE r.release = %s AND s.name IS NULL GROUP BY 1 ORDER BY 1",
            (live.release,),
        ).fetchall()
        differences |= {name: Difference(0, 0, listings, products) for name, listings, products in rows}
    result.sources = {
        name: {"new": each.new, "changed": each.changed, "gone": each.gone, "products_leaving": each.leaving}
        for name, each in differences.items()
        if source in (None, name)
    }


def _counts(**counts: int) -> dict[str, int]:
    return counts if any(counts.values()) else {}


def _schema(conn: psycopg.Connection, live: Release | None, tables: list[Declared]) -> list[str]:
    """How the tables of a release built now would differ from the live one's."""
    if live is None:
        return []
    shall: dict[str, Columns] = {
        name: {column.name: contract.canonical(column.type) for column in table.columns}
        for name, table in SERVED.items()
    }
    for shape in shapes(tables):
        if shape.name not in KNOWN:
            own = {name: contract.canonical(PARSERS[kind].copied_as) for name, kind in shape.columns.items()}
            shall[shape.name] = {"source": "text", **own, "record": "json"}
    said = []
    has = views.relations(conn, live.release)
    for name in dict.fromkeys([*has, *shall]):
        if name not in has or name not in shall:
            said.append(f"{name} is {'new' if name in shall else 'gone'}")
            continue
        for column in dict.fromkeys([*has[name], *shall[name]]):
            was, becomes = has[name].get(column), shall[name].get(column)
            if was != becomes:
                said.append(
                    f"{name}.{column} "
                    + (
                        f"is new ({becomes})"
                        if was is None
                        else "is gone, and null in the views"
                        if becomes is None
                        else f"was {was} and is {becomes}"
                    )
                )
    return said


def _cost(
    conn: psycopg.Connection, settings: Settings, wanted: Plan, made: renewal.Chosen, result: Planned
) -> None:
    """Estimate seconds and room."""
    if result.how == "nothing":
        return
    found, live = result.forecast, wanted.live
    each = found.seconds / found.looked_at if found.looked_at else 0.0
    result.seconds["reading and judging"] = round(each * result.to_judge, 1)
    vectors = result.in_all(found.pictures + found.titles)
    speed = measured_speed(settings.home, wanted.space, resolved(settings.device))
    if speed is None and settings.model is None:
        speed = SHIPPED_PER_SECOND
    if vectors:
        result.seconds["vectors"] = None if speed is None else round(vectors / speed, 1)
    size = releases.size_of(conn, live)
    if result.how == "sync":
        rows = result.to_judge + sum(each["products_leaving"] for each in result.sources.values())
        result.seconds["writing"] = round(rows * writing_seconds(conn), 1)
        written = result.to_judge
    else:
        result.whole, written = made.why if live else "", wanted.listings
        if made.spare is not None:
            result.made_from, result.shared = made.spare.release, wanted.listings - made.differing
            written = made.differing
        # By the last one that was built in this way, else by the last.
        built = sorted(
            (each for each in releases.releases(conn) if each.build_seconds and each.listings),
            key=lambda each: ((each.made_from is None) == (made.spare is None), each.number),
        )
        result.seconds["building"] = (
            round((built[-1].build_seconds or 0) * wanted.listings / (built[-1].listings or 1), 1)
            if built
            else None
        )
    if live is not None and live.listings:
        result.bytes = round(size * written / live.listings)
