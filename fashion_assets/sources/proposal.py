"""A mapping for a file nobody has mapped, made of the columns that were matched.

What belongs here: how each column is read, where pictures are, what products need. What does not: which column is which attribute (`column_matching`),
choosing among mappings (`recognition`), writing one to a file (`mapping_file`).
"""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from fashion_assets.catalog.attributes import CRITICAL
from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.normalization import canonical
from fashion_assets.origins import shown
from fashion_assets.sources import mapping as mappings
from fashion_assets.sources.column_matching import FILLED, PRICE, SOME, TITLE, Matching, in_cents
from fashion_assets.sources.column_paths import expressions as path_expressions
from fashion_assets.sources.column_paths import paths_among
from fashion_assets.sources.column_values import MOSTLY, Column, columns_of, foreign
from fashion_assets.sources.columns import synonyms
from fashion_assets.sources.further_rows import further_rows, together
from fashion_assets.sources.mapping import Held, Pictures, Recognise
from fashion_assets.sources.mapping_expression import Expression
from fashion_assets.sources.notations import read_id
from fashion_assets.sources.picture_files import SUFFIXES, PictureFiles, is_url, stated_in
from fashion_assets.sources.places import folder_of
from fashion_assets.sources.readers import open_rows
from fashion_assets.sources.readers.beginnings import is_database_url
from fashion_assets.sources.source import SourceError

PROPOSED = "proposed"
"""Name of a mapping nobody named."""

SAMPLE_ROWS = 1_000
"""Rows looked at."""

LOOKED_FOR = 50
"""Pictures looked for."""

FEW = 10
"""Pictures by which the folder is found that they are named from."""

LEVELS, MOST_FOLDERS, MOST_NAMES = 3, 200, 100_000
"""How far below the catalogue's folder that may be, how many folders are looked into, and how many names of one."""

_MAIN = re.compile(r"(?i)main|front|default|cover|primary")
"""What the first of several pictures is called."""

_HTML = re.compile(r"<(?:p|br|ul|li|div|span|b|strong|h\d)\b[^>]*>", re.I)


@dataclass(frozen=True)
class Proposal:
    """A mapping, why it is so, and what it leaves out."""

    mapping: mappings.Mapping
    reason: str
    notes: tuple[str, ...]
    rows: int


def propose(
    location: str,
    format: str,
    pictures: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Proposal:
    """A mapping for a file or a table, by its first rows. `pictures` is the folder of the pictures, those stated as URLs too, where
    somebody has said so; else those in files lie beside.

    Raises SourceError where no column could be an id, or nothing says what a listing is called or shows.
    """
    options = dict(options or {})
    names, rows = _first_rows(location, format, options)
    further = None if format == "sql" else further_rows(names, rows)
    records = rows if further is None else together(further, rows)
    matching = Matching(columns_of(names, records), variants=further is not None)
    if further is not None:
        by = " and ".join(dict.fromkeys(further.group.columns()))
        matching.notes.append(
            f"{len(rows) - len(records):,} of {len(rows):,} rows go on with the listing before them, by {by}"
        )
    made = _made_of(matching, location, format, pictures, options, len(rows))
    if further is None:
        return made
    mapping = made.mapping.model_copy(update={"group": further.group, "continued": further.continued})
    return replace(made, mapping=mapping)


def _first_rows(
    location: str, format: str, options: Mapping[str, Any]
) -> tuple[list[str], list[Mapping[str, Any]]]:
    """The names of the columns, and the first rows that can be read. Raises SourceError where there are none."""
    with open_rows(format, location, options) as reader:
        names = list(reader.columns)
        found = list(islice(reader.rows(), SAMPLE_ROWS))
        rows = [row.values for row in found if row.defect is None]
        first = found[0].text if found else None
    if not rows and format == "sql":
        table = options.get("table", "the query")
        table = table if isinstance(table, str) else ".".join(table)
        raise SourceError(
            f"{table} in {_place(location)} has no rows that may be seen: it is empty, or policies keep them from this user (row "
            "security). Name another table, or a user who sees them."
        )
    if not rows:
        said = f" Its first begins {json.dumps(first[:40], ensure_ascii=False)}." if first else ""
        raise SourceError(
            f"{_place(location)} has no rows that can be read as {format.replace('_', ' ')}.{said} Export it anew."
        )
    return names, rows


def _made_of(
    matching: Matching,
    location: str,
    format: str,
    pictures: str | None,
    options: dict[str, Any],
    rows: int,
) -> Proposal:
    """The mapping, of so many rows. Raises SourceError where the columns say too little for one."""
    columns = ", ".join(matching.by_name)[:300]
    identity = matching.id()
    if identity is None:
        raise SourceError(
            f"{_place(location)} has no column that tells its rows apart, with another value in each: "
            f"{columns}. Add one, or say in a mapping what the id is made of (--mapping FILE)."
        )
    image, price, title = matching.image(), matching.price(), matching.title()
    attributes: dict[str, Expression] = {}
    if title is not None:
        attributes[TITLE] = title.read()
    if price is not None:
        read = price.read(scale="0.01" if in_cents(price) else None)
        attributes[PRICE] = (
            read if matching.offer is None else Expression(first=(matching.offer.read(), read))
        )
    paths = paths_among([column for column in matching.columns if column.name not in matching.taken])
    of_paths = {} if paths is None else dict(path_expressions(paths))
    if paths is not None:
        matching.taken[paths.column.name] = "category"
    columns_for = dict(matching.others())
    attributes.update((name, _expression(name, column)) for name, column in columns_for.items())
    for name, expression in of_paths.items():
        if paths is not None and (name not in attributes or paths.are_in(columns_for[name])):
            attributes[name], columns_for[name] = expression, paths.column
    columns_for |= {name: each for name, each in ((TITLE, title), (PRICE, price)) if each is not None}
    found = _pictures(
        image, identity, pictures or folder_of(location), matching.notes, downloaded=pictures is not None
    )
    shows = bool(found.pictures.columns or found.pictures.pattern)
    if title is not None and len(attributes) == 1 and not shows:
        raise SourceError(
            f"{_place(location)} is no catalogue that can be told: beside ids and {title.name}, no column states what a "
            f"listing is, costs or shows. Its columns: {columns}. Say in a mapping which is which "
            "(--mapping FILE)."
        )
    if title is None and not shows:
        raise SourceError(
            f"{_place(location)} is no catalogue that can be told: no column is called as titles are "
            f"({', '.join(synonyms()['title'][:4])} …), none holds texts that could be one, and none states pictures. Its columns: "
            f"{columns}. Say in a mapping which is which (--mapping FILE)."
        )
    taken = matching.taken
    mapping = mappings.Mapping(
        name=PROPOSED,
        title=f"Proposed for {os.path.basename(location) if '://' not in location else 'a database'}",
        format=format,  # type: ignore[arg-type]
        options=options,
        files=() if format == "sql" or os.path.isdir(location) else (os.path.basename(location),),
        recognise=Recognise(
            must=tuple(
                (name,) for name in sorted(taken) if "." not in name and matching.by_name[name].origin is None
            )
        ),
        id=identity.read(whole=True) if identity.share(_through_float) else identity.read(),
        attributes={name: attributes[name] for name in sorted(attributes, key=ATTRIBUTES.index)},
        pictures=found.pictures,
        profile=Held(
            critical=_critical(columns_for, matching), picture="required" if found.required else "optional"
        ),
    )
    left = [
        column.name
        for column in matching.columns
        if column.name not in taken and "." not in column.name and column.origin is None
    ]
    reason = (
        f"no mapping fits; proposed by the names of the columns and the values of {rows:,} rows: "
        f"{len(attributes)} attributes, of the columns {len(left)} left over"
    )
    return Proposal(mapping, reason, tuple(matching.notes), rows)


def _place(location: str) -> str:
    if is_database_url(location):
        from fashion_assets.sources.readers import databases  # here: SQLAlchemy is slow to import

        return databases.told(location)
    return shown(location)


def _expression(attribute: str, column: Column) -> Expression:
    """How the column of an attribute is read."""
    if attribute in ("gender", "colour"):
        table = foreign(attribute)
        words = {
            text.casefold(): table[text.casefold()]
            for text in column.stated
            if not canonical(attribute, text)[1] and text.casefold() in table
        }
        return column.read(words=dict(sorted(words.items())))
    if attribute == "description" and column.share(lambda text: _HTML.search(text) is not None) >= 0.1:
        return column.read(strip_html=True)
    if attribute == "year" and column.share(_is_year) < 1:
        return column.read(year=True)
    return column.read()


class _Found(NamedTuple):
    """Where pictures are, and whether listings must have one: where most of those looked for are there."""

    pictures: Pictures
    required: bool


def _pictures(
    image: Column | None, identity: Column, folder: str, notes: list[str], *, downloaded: bool
) -> _Found:
    """Pictures by the column that states them, or by the listing's id; `downloaded`: whether the folder holds those stated as addresses, too."""
    files = PictureFiles(os.path.realpath(folder)) if os.path.isdir(folder) else None
    if image is not None:
        return _stated(image, files, notes, downloaded)
    if files is not None:
        ids = [read_id(text).value or text for text in identity.stated[:LOOKED_FOR]]
        for pattern in ("images/{id}", "{id}"):
            for suffix in SUFFIXES:
                tried = [f"{pattern}{suffix}".replace("{id}", each) for each in ids]
                if sum(1 for path in tried if files.find(path).path) >= 0.5 * len(tried):
                    return _Found(Pictures(pattern=(f"{pattern}{suffix}",)), True)
        if pattern := _pattern(ids, files.root):
            return _Found(Pictures(pattern=(pattern,)), True)
    notes.append("no column states pictures, and none is called by an id: products have none")
    return _Found(Pictures(), False)


def _pattern(ids: Sequence[str], root: str) -> str | None:
    """How pictures are called by ids that stand before more: `images/{id}_1.jpg` of several pictures each, `photos/{id}/front.jpg` of a folder each.
    None where most ids have none that is called alike."""
    some = ids[:FEW]
    for folder in ["", *_folders_below(root)]:
        if folder.rpartition("/")[2] in some:
            continue
        path = os.path.join(root, folder)
        try:
            with os.scandir(path) as entries:
                names = [entry.name for entry in islice(entries, MOST_NAMES)]
        except OSError:
            continue
        rests: Counter[str] = Counter()
        for each in some:
            behind = {name[len(each) :] for name in names if name.startswith(each)}
            if "" in behind:
                behind = {f"/{name}" for name in _names_in(os.path.join(path, each))}
            rests.update(rest for rest in behind if not rest[0].isalnum() and rest.lower().endswith(SUFFIXES))
        usual = [rest for rest, count in rests.items() if count > MOSTLY * len(some)]
        if usual:
            first = min(usual, key=lambda rest: (_MAIN.search(rest) is None, rest))
            return f"{folder}/{{id}}{first}".lstrip("/")
    return None


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)[:MOST_FOLDERS]
    except OSError:
        return []


def _stated(image: Column, files: PictureFiles | None, notes: list[str], downloaded: bool) -> _Found:
    """Pictures that a column states."""
    pictures = Pictures(columns=(image.read(),))
    looked = [stated_in(text)[0] for text in image.stated[:LOOKED_FOR]]
    if files is not None and not any(map(is_url, looked)) and (folder := _folder_of(looked, files)):
        files = PictureFiles(files.root, (folder,))
        pictures = pictures.model_copy(update={"folders": (folder,)})
    lacking = [
        stated
        for stated in looked
        if files is None or (is_url(stated) and not downloaded) or files.find(stated).path is None
    ]
    there = 1 - len(lacking) / len(looked)
    if (addresses := sum(map(is_url, lacking)) / len(looked)) >= SOME:
        some = "pictures are addresses" if there < SOME else f"{addresses:.0%} of the pictures are addresses"
        notes.append(
            f"{some} ({image.name}), which are not fetched unless asked for (--fetch-pictures): products may be "
            "without one"
        )
        return _Found(pictures, False)
    if there < SOME:
        notes.append(
            f"of {len(looked)} pictures {image.name} states {there * len(looked):.0f} are there: products may be without one "
            "(say where they lie: --pictures DIR)"
        )
    return _Found(pictures, there >= SOME)


def _folder_of(looked: Sequence[str], files: PictureFiles) -> str | None:
    """The folder below the catalogue's from which stated pictures are named, where they are not where they are said to be: `image` of
    `image/catalog/1.jpg`, stated as `catalog/1.jpg`. None where there is none, or several."""
    some = looked[:FEW]
    if sum(files.find(stated).path is not None for stated in some) >= SOME * len(some):
        return None
    found = [
        folder
        for folder in _folders_below(files.root)
        if sum(files.exactly(f"{folder}/{stated.lstrip('/')}").path is not None for stated in some)
        > SOME * len(some)
    ]
    return found[0] if len(found) == 1 else None


def _folders_below(root: str) -> list[str]:
    """The first folders below, as paths from it, a few levels down."""
    found = [""]
    for folder in found:  # grows as it is gone through
        if folder.count("/") >= LEVELS or len(found) > MOST_FOLDERS:
            break
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                below = sorted(
                    entry.name
                    for entry in islice(entries, MOST_FOLDERS)
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
                )
        except OSError:
            continue
        found += [f"{folder}/{name}".lstrip("/") for name in below]
    return found[1:]


def _critical(columns: Mapping[str, Column], matching: Matching) -> tuple[str, ...]:
    """Attributes without which a listing is no product: those that nearly all rows state."""
    kept = []
    for name in CRITICAL:
        if name not in columns:
            matching.notes.append(f"no column states the {name.replace('_', ' ')}: products need none")
            continue
        filled = columns[name].filled
        if filled >= FILLED:
            kept.append(name)
        else:
            matching.notes.append(
                f"{name.replace('_', ' ')} is stated by {filled:.0%} of the rows only: products need none"
            )
    return tuple(kept)


def _is_year(text: str) -> bool:
    return re.fullmatch(r"\d{4}(\.0*)?", text) is not None


def _through_float(text: str) -> bool:
    return re.fullmatch(r"\d+\.0+", text) is not None
