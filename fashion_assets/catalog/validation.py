"""The split of listings into products and rejections, by the rules.

What belongs here: applying every rule, and which earlier verdicts still hold. What does not: which rules there are
(`catalog.rules`), what a text states (`catalog.stated`), how many rejections are too many (`criteria`), where the rejected are kept (`warehouse`).

Column rules are computed over whole columns; only pictures are opened one by one, in threads. A listing is
rejected with every reason that applies. Listings in = products + rejections, always, or `AccountingError`.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.arrow import one_array
from fashion_assets.catalog import attributes
from fashion_assets.catalog.attributes import YEAR
from fashion_assets.catalog.formats.outlines import (
    IMAGE_MISSING,
    IMAGE_UNREADABLE,
    NOT_HAD,
    Picture,
)
from fashion_assets.catalog.listing import (
    ATTRIBUTES,
    LISTING_SCHEMA,
    PRODUCT_SCHEMA,
    REJECTION_SCHEMA,
    PictureFolders,
    product_id,
)
from fashion_assets.catalog.pictures import Limits, probe
from fashion_assets.catalog.profile import Profile
from fashion_assets.catalog.rules import (
    AMOUNTS,
    LONGEST,
    PRICE_AMBIGUOUS,
    PRICE_UNREADABLE,
    RULES,
    TEXTS,
    Rules,
)
from fashion_assets.catalog.stated import parse_price, parse_year, stating_nothing
from fashion_assets.memory import MemoryBudget

NOWHERE = PictureFolders("")
"""Of a source that has no pictures."""

_WHOLE_RECORD = ("unreadable_line", "wrong_encoding")  # nothing else can be said about such a listing
_POSITION = {rule.name: position for position, rule in enumerate(RULES)}
_OF_PICTURES = tuple(name for name in _POSITION if name.startswith("image_"))
_CHUNK = 64  # pictures handed to a thread at once: fewer cost more in handing over than in decoding
_WORTH_A_THREAD = 0.0005
"""Seconds a picture must take for threads to judge more of them side by side. Small ones take a tenth of it, and two
threads, which then do little but take the interpreter from each other, twice as long as one."""


class AccountingError(AssertionError):
    """Listings in is not products plus rejections: a fault of this module, never of the data."""


class Validated(NamedTuple):
    """Products (PRODUCT_SCHEMA) and rejections (REJECTION_SCHEMA), each in the listings' order."""

    products: pa.Table
    rejections: pa.Table


class Reused(NamedTuple):
    """Earlier verdicts that still hold, and the listings (LISTING_SCHEMA) that need a new one."""

    products: pa.Table
    rejections: pa.Table
    to_validate: pa.Table


def validate(
    listings: pa.Table,
    rules: Rules,
    *,
    pictures_in: PictureFolders = NOWHERE,
    threads: int = 2,
    memory: MemoryBudget | None = None,
    pictures: bool = True,
    sizes: Mapping[str, Picture] | None = None,
) -> Validated:
    """Split listings (LISTING_SCHEMA) of a source whose pictures are in these folders into products and rejections.

    `threads` open pictures side by side, where these are large enough for that to be faster, and as far as `memory` lets
    them (None: this process's own). Without `pictures` only what is said is judged: none is opened or missed, and products have
    none. `sizes`: of pictures, by the SHA-256 of their bytes, that were found sound under these rules before: they are not opened again.
    Raises `AccountingError` if a listing were lost or counted twice.
    """
    listings = listings.select(LISTING_SCHEMA.names).combine_chunks()
    nothing = stating_nothing(listings, rules.profile)
    reasons = _Reasons(listings)
    _judge_texts(listings, rules.profile, nothing, reasons)
    amounts = _judge_amounts(listings, rules, nothing, reasons)
    if pictures:
        limits = Limits(rules.max_image_bytes, rules.max_image_pixels, memory or MemoryBudget.own())
        probing = Probing(pictures_in, limits, threads, sizes or {})
        found = _judge_pictures(listings, rules.profile, nothing, probing, reasons)
    else:
        found = _Sizes.of_none(listings.num_rows)
        reasons.forgive(_OF_PICTURES)

    rejected = reasons.any_of(_POSITION)
    rejections = _rejections(listings, reasons.failed, rejected, rules.version)
    products = _products(listings, ~rejected, nothing, amounts, found, rules.version)
    if products.num_rows + rejections.num_rows != listings.num_rows:
        raise AccountingError(
            f"{listings.num_rows} listings in, but {products.num_rows} products "
            f"and {rejections.num_rows} rejections"
        )
    return Validated(products, rejections)


def reuse(listings: pa.Table, old_products: pa.Table, old_rejections: pa.Table, version: str) -> Reused:
    """Which earlier verdicts still hold for these listings.

    A verdict holds if the listing's key and content are the same, if the same rules (`Rules.version`) made it, and if the listing repeats an id
    now as it did then, or does not in either case. Content that could not be read the last time (`image_unreadable`) is always judged again.
    Verdicts that hold are given in the listings' order, with the picture's present place: the same bytes may lie elsewhere by now.
    """
    listings = listings.select(LISTING_SCHEMA.names).combine_chunks()
    repetition = np.asarray(pc.greater(one_array(listings["occurrence"]), 0)) & np.asarray(
        pc.is_valid(one_array(listings["external_id"]))
    )

    product_rows, product_holds = _matches(listings, old_products, version)
    product_holds &= ~repetition
    if old_products.num_rows:
        # A picture that went between reading and judging, where a product may have none, may be back.
        pictured = np.asarray(pc.is_valid(one_array(old_products["image_sha256"])))[product_rows]
        product_holds &= pictured == np.asarray(pc.is_valid(one_array(listings["image_sha256"])))

    rejection_rows, rejection_holds = _matches(listings, old_rejections, version)
    if old_rejections.num_rows:
        reasons = one_array(old_rejections["reasons"])
        was_repetition = _any_of(reasons, "duplicate_id")[rejection_rows]
        unreadable = _any_of(reasons, IMAGE_UNREADABLE)[rejection_rows]
        whole_record = (_any_of(reasons, _WHOLE_RECORD[0]) | _any_of(reasons, _WHOLE_RECORD[1]))[
            rejection_rows
        ]
        rejection_holds &= ((was_repetition == repetition) | whole_record) & ~unreadable
    rejection_holds &= ~product_holds

    def still_valid(old: pa.Table, rows: np.ndarray, holds: np.ndarray) -> pa.Table:
        kept = old.take(pa.array(rows[holds]))
        place = one_array(listings["image_uri"]).filter(pa.array(holds))
        return kept.set_column(
            kept.schema.get_field_index("image_uri"), kept.schema.field("image_uri"), place
        )

    products = still_valid(old_products, product_rows, product_holds)
    rejections = still_valid(old_rejections, rejection_rows, rejection_holds)
    to_validate = listings.filter(pa.array(~(product_holds | rejection_holds)))
    if products.num_rows + rejections.num_rows + to_validate.num_rows != listings.num_rows:
        raise AccountingError(
            f"{listings.num_rows} listings in, but {products.num_rows} products and {rejections.num_rows} "
            f"rejections still hold and {to_validate.num_rows} are to be validated"
        )
    return Reused(products, rejections, to_validate)


def rejected(products: pa.Table, why: Sequence[str]) -> pa.Table:
    """Products (PRODUCT_SCHEMA) as rejections, each for the one reason that was found after it had passed."""
    reasons = pa.array([[reason] for reason in why], REJECTION_SCHEMA.field("reasons").type)
    columns = [reasons if name == "reasons" else products[name] for name in REJECTION_SCHEMA.names]
    return pa.Table.from_arrays(columns, schema=REJECTION_SCHEMA)


def _any_of(lists: pa.Array, value: str) -> np.ndarray:
    """Which lists hold the value."""
    found = np.zeros(len(lists), dtype=bool)
    parents = np.asarray(pc.list_parent_indices(lists))
    found[parents[np.asarray(pc.equal(pc.list_flatten(lists), value))]] = True
    return found


def _matches(listings: pa.Table, old: pa.Table, version: str) -> tuple[np.ndarray, np.ndarray]:
    """For each listing the row of `old` with its key, and whether that row has its content and the
    version."""
    rows = pc.index_in(one_array(listings["listing_key"]), value_set=one_array(old["listing_key"]))
    same = pc.and_(
        pc.equal(pc.take(one_array(old["content_hash"]), rows), one_array(listings["content_hash"])),
        pc.equal(pc.take(one_array(old["validated_with"]), rows), version),
    )
    holds = np.array(pc.fill_null(same, False), dtype=bool)
    return np.asarray(pc.fill_null(rows, 0)), holds


class _Reasons:
    """Which listings fail which rule. Begins with what the reader found."""

    def __init__(self, listings: pa.Table) -> None:
        self.failed = np.zeros((listings.num_rows, len(RULES)), dtype=bool)
        """By listing, and by rule in the order of `RULES`."""
        for defect, rows in _defects(listings["defects"], listings.num_rows):
            self.add(defect, rows)
        self.readable = ~self.any_of(_WHOLE_RECORD)
        """Listings of which something can be said beside that."""

    def add(self, rule: str, rows: pa.Array | np.ndarray) -> None:
        """These listings (bool [n]) fail that rule."""
        self.failed[:, _POSITION[rule]] |= np.asarray(rows)

    def any_of(self, rules: Iterable[str]) -> np.ndarray:
        """Which listings fail one of those rules."""
        return np.asarray(self.failed[:, [_POSITION[rule] for rule in rules]].any(axis=1))

    def forgive(self, rules: Iterable[str], rows: np.ndarray | None = None) -> None:
        """These listings, or all, do not fail those rules after all."""
        for rule in rules:
            self.failed[:, _POSITION[rule]] &= False if rows is None else ~rows


def _defects(column: pa.ChunkedArray, rows: int) -> Iterable[tuple[str, np.ndarray]]:
    """The reader's defects, each with a mask of the listings that have it."""
    lists = one_array(column)
    values = pc.list_flatten(lists)
    if not len(values):
        return
    parents = np.asarray(pc.list_parent_indices(lists))
    for defect in pc.unique(values).to_pylist():
        mask = np.zeros(rows, dtype=bool)
        mask[parents[np.asarray(pc.equal(values, defect))]] = True
        yield (defect if defect in _POSITION else "reader_defect"), mask


def _judge_texts(
    listings: pa.Table, profile: Profile, nothing: Mapping[str, pa.Array], reasons: _Reasons
) -> None:
    """What is critical and not stated, too long, not to be stored, or there a second time."""
    stated = {name: ~np.asarray(each) for name, each in nothing.items()}
    reasons.add("null_external_id", ~stated["external_id"] & reasons.readable)
    for name in profile.critical:
        reasons.add(f"null_{name}", ~stated[name] & reasons.readable)
    for name, most in LONGEST.items():
        longer = pc.fill_null(pc.greater(pc.utf8_length(one_array(listings[name])), most), False)
        reasons.add(f"{name}_too_long", np.asarray(longer) & stated[name] & reasons.readable)
    for name in TEXTS:
        reasons.add("nul_character", pc.fill_null(pc.match_substring(one_array(listings[name]), "\0"), False))
    again = np.asarray(pc.greater(one_array(listings["occurrence"]), 0))
    reasons.add("duplicate_id", again & stated["external_id"] & reasons.readable)


def _judge_amounts(
    listings: pa.Table, rules: Rules, nothing: Mapping[str, pa.Array], reasons: _Reasons
) -> dict[str, pa.Array]:
    """Mark amounts nobody asks for a thing; every listing's amounts, null where none is stated or it is unreadable."""
    above = pc.greater_equal if rules.profile.free_items else pc.greater
    # What its reader could not read for sure has that for its reason.
    unread = reasons.any_of((PRICE_UNREADABLE, PRICE_AMBIGUOUS))
    amounts: dict[str, pa.Array] = {}
    for name in AMOUNTS:
        stated = pc.if_else(nothing[name], pa.scalar(None, pa.string()), one_array(listings[name]))
        amounts[name] = amount = parse_price(stated)
        low_enough = pc.less_equal(pc.cast(amount, pa.float64()), rules.max_price)
        sane = np.asarray(pc.fill_null(pc.and_(above(amount, pa.scalar(0)), low_enough), False))
        reasons.add(f"{name}_absurd", ~np.asarray(nothing[name]) & ~sane & ~unread & reasons.readable)
    return amounts


class _Sizes(NamedTuple):
    """Width and height of each listing's picture in pixels (int32 [n]); 0 where there is none, or none that is sound."""

    width: np.ndarray
    height: np.ndarray

    @classmethod
    def of_none(cls, listings: int) -> "_Sizes":
        return cls(np.zeros(listings, np.int32), np.zeros(listings, np.int32))


class Probing(NamedTuple):
    """How pictures are looked at."""

    folders: PictureFolders
    limits: Limits
    threads: int
    known: Mapping[str, Picture]
    """Sizes of sound ones by the SHA-256 of their bytes: they are not opened again."""

    def verdicts(self, uris: Sequence[str], hashes: Sequence[str | None]) -> list[Picture | str]:
        """Of each picture its size, or the rule it fails."""
        before = [self.known.get(each) if each is not None else None for each in hashes]
        probed = iter(self._opened([uri for uri, size in zip(uris, before, strict=True) if size is None]))
        return [size or next(probed) for size in before]

    def _opened(self, uris: Sequence[str]) -> list[Picture | str]:
        def some(start: int) -> list[Picture | str]:
            return [probe(self.folders.path(uri), self.limits) for uri in uris[start : start + _CHUNK]]

        started = time.perf_counter()
        verdicts = some(0)
        rest = range(_CHUNK, len(uris), _CHUNK)
        if self.threads <= 1 or time.perf_counter() - started < _WORTH_A_THREAD * len(verdicts):
            return verdicts + [verdict for start in rest for verdict in some(start)]
        with ThreadPoolExecutor(self.threads, thread_name_prefix="probe") as pool:
            return verdicts + [verdict for judged in pool.map(some, rest) for verdict in judged]


def _judge_pictures(
    listings: pa.Table,
    profile: Profile,
    nothing: Mapping[str, pa.Array],
    probing: Probing,
    reasons: _Reasons,
) -> _Sizes:
    """Mark the listings whose picture fails, or is not there although it must be; the sizes of the others'."""
    uris, hashes = one_array(listings["image_uri"]), one_array(listings["image_sha256"])
    unsettled = ~reasons.any_of(_OF_PICTURES) & reasons.readable
    placed = np.asarray(pc.is_valid(uris))
    reasons.add(IMAGE_MISSING, ~placed & unsettled)

    rows = np.flatnonzero(placed & unsettled)
    sizes, hashed = _Sizes.of_none(listings.num_rows), np.asarray(pc.is_valid(hashes))
    theirs = pa.array(rows)
    verdicts = probing.verdicts(uris.take(theirs).to_pylist(), hashes.take(theirs).to_pylist())
    for row, verdict in zip(rows.tolist(), verdicts, strict=True):
        if isinstance(verdict, str):
            reasons.failed[row, _POSITION[verdict]] = True
        elif not hashed[row]:  # it could not be read when it was hashed: not this content's picture
            reasons.failed[row, _POSITION[IMAGE_UNREADABLE]] = True
        else:
            sizes.width[row], sizes.height[row] = verdict

    if profile.picture == "optional":
        reasons.forgive((IMAGE_MISSING, *NOT_HAD))
        bare = np.asarray(nothing["title"]) & (sizes.width == 0)
        reasons.add("nothing_to_show", bare & reasons.readable & ~reasons.any_of(_POSITION))
    else:
        # Where not even an id says which picture it would be, its absence is no reason of its own.
        nameless = ~np.asarray(pc.is_valid(one_array(listings["image"]))) & np.asarray(nothing["external_id"])
        reasons.forgive((IMAGE_MISSING,), nameless)
    return sizes


def _rejections(listings: pa.Table, failed: np.ndarray, rejected: np.ndarray, version: str) -> pa.Table:
    kept = listings.filter(pa.array(rejected))
    verdicts = failed[rejected]
    offsets = np.concatenate([[0], np.cumsum(verdicts.sum(axis=1))]).astype(np.int32)
    names = pa.array([rule.name for rule in RULES]).take(pa.array(np.nonzero(verdicts)[1]))
    columns = [one_array(kept[name]) for name in REJECTION_SCHEMA.names[:6]]
    columns.append(pa.ListArray.from_arrays(pa.array(offsets), names))
    columns.append(pa.repeat(version, kept.num_rows))
    return pa.Table.from_arrays(columns, schema=REJECTION_SCHEMA)


def _products(
    listings: pa.Table,
    accepted: np.ndarray,
    nothing: Mapping[str, pa.Array],
    amounts: dict[str, pa.Array],
    pictures: _Sizes,
    version: str,
) -> pa.Table:
    mask = pa.array(accepted)
    kept = listings.filter(mask)
    none = pa.scalar(None, pa.string())
    columns: dict[str, pa.Array] = {
        name: one_array(kept[name]) for name in kept.column_names if name in PRODUCT_SCHEMA.names
    }
    for name in ATTRIBUTES:
        columns[name] = pc.if_else(nothing[name].filter(mask), none, columns[name])
    for each in attributes.ATTRIBUTES:
        if each.kind is YEAR:
            columns[each.name] = parse_year(columns[each.name])
    columns |= {name: amount.filter(mask) for name, amount in amounts.items()}
    pictured = pictures.width[accepted] > 0
    for name in ("image_uri", "image_sha256"):
        columns[name] = pc.if_else(pa.array(pictured), columns[name], none)
    columns["image_width"] = pa.array(pictures.width[accepted], mask=~pictured)
    columns["image_height"] = pa.array(pictures.height[accepted], mask=~pictured)
    columns["validated_with"] = pa.repeat(version, kept.num_rows)
    sources, ids = columns["source"].to_pylist(), columns["external_id"].to_pylist()
    columns["product_id"] = pa.array(
        [product_id(s, i) for s, i in zip(sources, ids, strict=True)], pa.string()
    )
    return pa.Table.from_arrays([columns[name] for name in PRODUCT_SCHEMA.names], schema=PRODUCT_SCHEMA)
