"""The split of listings into products and rejections, by the rules.

What belongs here: applying every rule, and which earlier verdicts still hold. What does not: which rules there are
(`catalog.rules`), how many rejections are too many (`criteria`), where the rejected are kept (`warehouse`).

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
from fashion_assets.memory import MemoryBudget

_UNSEEN = " \t\n\r\u00a0\u00ad\u115f\u1160\u200b\u200c\u200d\u200e\u200f\u2060\u2800\u3164\ufeff\uffa0"
"""Blanks, joiners and marks without width, and letters that are drawn as nothing."""

SPREADSHEET_ERRORS = (
    "#value!",
    "#ref!",
    "#name?",
    "#div/0!",
    "#num!",
    "#null!",
    "#error!",
    "#wert!",
    "#bezug!",
    "#valeur!",
    "#valor!",
    "#valore!",
    "#waarde!",
)
"""What a spreadsheet shows where a formula failed (lower case): something was stated, and is lost."""

NULL_WORDS = (
    "",
    "na",
    "n/a",
    "n.a.",
    "#n/a",
    "null",
    "(null)",
    "none",
    "nan",
    "nil",
    "<na>",
    "\\n",
    "\\\\n",
    "-",
    "--",
    "---",
    "–",  # noqa: RUF001
    "—",
    "_",
    ".",
    "..",
    "...",
    "?",
    "??",
    "???",
    "*",
    "/",
    "undefined",
    "[null]",
    "<null>",
    "<none>",
    "<nan>",
    "(none)",
    "(blank)",
    "(empty)",
    "(leer)",
    "n/d",
    "n.d.",
    "k.a.",
    "k. a.",
    "keine angabe",
    "ohne angabe",
    "sin datos",
    "#nv",
    "#n/d",
    *SPREADSHEET_ERRORS,
)
"""Words (lower case, trimmed) that state nothing. `\\n` is a backslash and an n: Postgres' null in text
exports. A sign alone is what people write where they know nothing."""

NOWHERE = PictureFolders("")
"""Of a source that has no pictures."""

_WHOLE_RECORD = ("unreadable_line", "wrong_encoding")  # nothing else can be said about such a listing
_POSITION = {rule.name: position for position, rule in enumerate(RULES)}
_OF_PICTURES = [position for name, position in _POSITION.items() if name.startswith("image_")]
_MAX_STATED_PRICE = 10**9  # far above any `max_price` that fits decimal(12, 2)
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


def null_like(column: pa.ChunkedArray | pa.Array, further: Sequence[str] = ()) -> pa.Array:
    """Which values state nothing: null, or one of `NULL_WORDS` or of `further` in any case, blanks and what does not show ignored
    around it."""
    column = one_array(column)
    words = pc.utf8_trim_whitespace(pc.utf8_trim(pc.utf8_lower(column), characters=_UNSEEN))
    return pc.or_(
        pc.is_null(column), pc.is_in(words, value_set=pa.array((*NULL_WORDS, *further)))
    )  # is_in says False for null


def stating_nothing(listings: pa.Table, profile: Profile) -> dict[str, pa.Array]:
    """For each attribute, and the id, which listings (LISTING_SCHEMA) state nothing by it, or what means "unknown" in a source
    of this profile."""
    return {name: states_nothing(listings[name], name, profile) for name in ("external_id", *ATTRIBUTES)}


def states_nothing(column: pa.ChunkedArray, name: str, profile: Profile) -> pa.Array:
    """As `stating_nothing`, of one attribute's values."""
    nothing = null_like(column, profile.null_words)
    return pc.or_(nothing, _unknown(column, name, profile.unknown)) if name in profile.unknown else nothing


def unknown_values(listings: pa.Table, profile: Profile) -> dict[str, int]:
    """How many values of each attribute state something by their words and nothing in a source of this profile; attributes
    without such values are left out."""
    if not profile.null_words and not profile.unknown:
        return {}
    counts = {
        name: pc.sum(pc.and_not(nothing, null_like(listings[name]))).as_py() or 0
        for name, nothing in stating_nothing(listings, profile).items()
    }
    return {name: count for name, count in counts.items() if count}


def _unknown(column: pa.ChunkedArray, name: str, unknown: Mapping[str, Sequence[str]]) -> pa.Array:
    """Which values of an attribute are among those that mean "unknown". A price is one whatever way it is written: 0 is
    0.00."""
    said = pa.array(unknown[name], pa.string())
    found = pc.is_in(pc.utf8_trim_whitespace(one_array(column)), value_set=pc.utf8_trim_whitespace(said))
    if name in AMOUNTS:
        amounts = parse_price(said).drop_null()
        found = pc.or_(found, pc.is_in(parse_price(column), value_set=amounts))
    return found


def parse_price(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Prices as decimal(12, 2), rounded half up; null where the text is no amount.

    Understood: digits with a point ("1999.5"), commas between thousands ("1,999.50"), a decimal comma
    ("19,99"), a sign, a currency sign or code on either side ("€ 19.99", "19.99 EUR").
    """
    text = pc.utf8_trim_whitespace(one_array(column))
    currency = r"(?:[A-Z]{3}|[$€£¥₹]|Rs\.?)"
    text = pc.replace_substring_regex(text, rf"^([+-]?)\s*{currency}\s*", r"\1")
    text = pc.replace_substring_regex(text, rf"\s*{currency}$", "")
    # Only one of the two comma forms can match: thousands come in threes, decimals in ones and twos.
    text = pc.replace_substring_regex(text, r"^([+-]?\d+),(\d{1,2})$", r"\1.\2")
    thousands = pc.fill_null(pc.match_substring_regex(text, r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"), False)
    text = pc.if_else(thousands, pc.replace_substring(text, ",", ""), text)
    text = pc.replace_substring_regex(text, r"^\+", "")
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+$", r"\1")
    text = pc.replace_substring_regex(text, r"\.$", "")
    amount = pc.fill_null(pc.match_substring_regex(text, r"^-?(\d{1,18}(\.\d{1,6})?|\.\d{1,6})$"), False)
    number = pc.cast(pc.if_else(amount, text, pa.scalar(None, pa.string())), pa.decimal128(26, 6))
    fits = pc.fill_null(pc.less_equal(pc.abs(number), pa.scalar(_MAX_STATED_PRICE)), False)
    rounded = pc.round(
        pc.if_else(fits, number, pa.scalar(None, number.type)), ndigits=2, round_mode="half_towards_infinity"
    )
    return pc.cast(rounded, pa.decimal128(12, 2))


def parse_year(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Four-digit years as int16 ("2012", "2012.0"); null for anything else, since a year is not critical."""
    text = pc.utf8_trim_whitespace(one_array(column))
    year = pc.fill_null(pc.match_substring_regex(text, r"^[12]\d{3}(\.0*)?$"), False)
    digits = pc.utf8_slice_codeunits(pc.if_else(year, text, pa.scalar(None, pa.string())), 0, 4)
    return pc.cast(digits, pa.int16())


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
    none. `sizes`: of pictures, by the SHA-256 of their bytes, that were found sound under these rules before: they are not opened again. Raises `AccountingError` if a listing were lost or counted twice.
    """
    listings = listings.select(LISTING_SCHEMA.names).combine_chunks()
    failed = np.zeros((listings.num_rows, len(RULES)), dtype=bool)

    def fail(name: str, rows: pa.Array | np.ndarray) -> None:
        rows = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
        failed[:, _POSITION[name]] |= rows

    for defect, rows in _defects(listings["defects"], listings.num_rows):
        fail(defect, rows)
    readable: np.ndarray = np.asarray(~failed[:, [_POSITION[name] for name in _WHOLE_RECORD]].any(axis=1))

    profile = rules.profile
    nulls = stating_nothing(listings, profile)
    has_id = ~np.asarray(nulls["external_id"])
    fail("null_external_id", ~has_id & readable)
    for name in profile.critical:
        fail(f"null_{name}", np.asarray(nulls[name]) & readable)
    for name, most in LONGEST.items():
        longer = pc.fill_null(pc.greater(pc.utf8_length(one_array(listings[name])), most), False)
        fail(f"{name}_too_long", np.asarray(longer) & ~np.asarray(nulls[name]) & readable)
    for name in TEXTS:
        fail("nul_character", pc.fill_null(pc.match_substring(one_array(listings[name]), "\0"), False))
    fail("duplicate_id", np.asarray(pc.greater(one_array(listings["occurrence"]), 0)) & has_id & readable)

    above = pc.greater_equal if profile.free_items else pc.greater
    # What its reader could not read for sure has that for its reason.
    unread = failed[:, [_POSITION[name] for name in (PRICE_UNREADABLE, PRICE_AMBIGUOUS)]].any(axis=1)
    amounts: dict[str, pa.Array] = {}
    for name in AMOUNTS:
        stated = pc.if_else(nulls[name], pa.scalar(None, pa.string()), one_array(listings[name]))
        amounts[name] = amount = parse_price(stated)
        low_enough = pc.less_equal(pc.cast(amount, pa.float64()), rules.max_price)
        sane = np.asarray(pc.fill_null(pc.and_(above(amount, pa.scalar(0)), low_enough), False))
        fail(f"{name}_absurd", ~np.asarray(nulls[name]) & ~sane & ~unread & readable)

    if pictures:
        limits = Limits(rules.max_image_bytes, rules.max_image_pixels, memory or MemoryBudget.own())
        found = _judge_pictures(listings, limits, pictures_in, threads, sizes or {}, failed, readable)
        if profile.picture == "optional":
            failed[:, [_POSITION[name] for name in (IMAGE_MISSING, *NOT_HAD)]] = False
            bare = np.asarray(nulls["title"]) & (found.width == 0)
            fail("nothing_to_show", bare & readable & ~failed.any(axis=1))
        else:
            # Where not even an id says which picture it would be, its absence is no reason of its own.
            failed[:, _POSITION[IMAGE_MISSING]] &= (
                np.asarray(pc.is_valid(one_array(listings["image"]))) | has_id
            )
    else:
        none = np.zeros(listings.num_rows, dtype=np.int32)
        found = _Sizes(none, none)
        failed[:, _OF_PICTURES] = False

    rejected: np.ndarray = np.asarray(failed.any(axis=1))
    rejections = _rejections(listings, failed, rejected, rules.version)
    products = _products(listings, ~rejected, nulls, amounts, found, rules.version)
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


class _Sizes(NamedTuple):
    """Width and height of each listing's picture in pixels (int32 [n]); 0 where there is none, or none that is sound."""

    width: np.ndarray
    height: np.ndarray


def _judge_pictures(
    listings: pa.Table,
    limits: Limits,
    pictures_in: PictureFolders,
    threads: int,
    known: Mapping[str, Picture],
    failed: np.ndarray,
    readable: np.ndarray,
) -> _Sizes:
    """Mark the listings whose picture fails, or is not there; give the sizes of the others'. `known`: sizes of sound ones by their hash."""
    uris, hashes = one_array(listings["image_uri"]), one_array(listings["image_sha256"])
    placed = np.asarray(pc.is_valid(uris))
    settled = failed[:, _OF_PICTURES].any(axis=1)
    failed[:, _POSITION[IMAGE_MISSING]] |= ~placed & ~settled & readable

    rows = np.flatnonzero(placed & ~settled & readable)
    paths = [pictures_in.path(uri) for uri in uris.take(pa.array(rows)).to_pylist()]
    before = [known.get(each) for each in hashes.take(pa.array(rows)).to_pylist()]
    probed = iter(
        _probe_all([path for path, size in zip(paths, before, strict=True) if size is None], limits, threads)
    )
    verdicts = [size or next(probed) for size in before]
    width = np.zeros(listings.num_rows, dtype=np.int32)
    height = np.zeros(listings.num_rows, dtype=np.int32)
    sound = np.asarray(pc.is_valid(hashes))
    for row, verdict in zip(rows.tolist(), verdicts, strict=True):
        if isinstance(verdict, str):
            failed[row, _POSITION[verdict]] = True
        elif not sound[row]:  # it could not be read when it was hashed: not this content's picture
            failed[row, _POSITION[IMAGE_UNREADABLE]] = True
        else:
            width[row], height[row] = verdict
    return _Sizes(width, height)


def _probe_all(paths: list[str], limits: Limits, threads: int) -> list[Picture | str]:
    def some(start: int) -> list[Picture | str]:
        return [probe(path, limits) for path in paths[start : start + _CHUNK]]

    started = time.perf_counter()
    verdicts = some(0)
    rest = range(_CHUNK, len(paths), _CHUNK)
    if threads <= 1 or time.perf_counter() - started < _WORTH_A_THREAD * len(verdicts):
        return verdicts + [verdict for start in rest for verdict in some(start)]
    with ThreadPoolExecutor(threads, thread_name_prefix="probe") as pool:
        return verdicts + [verdict for judged in pool.map(some, rest) for verdict in judged]


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
    nulls: dict[str, pa.Array],
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
        columns[name] = pc.if_else(nulls[name].filter(mask), none, columns[name])
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
