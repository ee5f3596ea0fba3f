"""A catalogue read by a mapping: a reader by format, what its columns mean, and the pictures.

What belongs here: the source itself, which opens the three and keeps them together. What does not: taking files apart
(`sources.readers`), what a column means (`sources.mapping`, `sources.listings`), finding pictures (`sources.picture_files`),
tables beside the listings (`sources.declared`).
"""

import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Self

import pyarrow as pa

from fashion_assets.catalog.formats.outlines import IMAGE_FILE_TOO_LARGE, IMAGE_NOT_FETCHED
from fashion_assets.catalog.listing import (
    ATTRIBUTES,
    LISTING_SCHEMA,
    REFERENCE_SCHEMA,
    PictureFolders,
    content_hash,
)
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.profile import Profile
from fashion_assets.origins import shown
from fashion_assets.sources import mapping as mappings
from fashion_assets.sources.buckets import below, in_bucket
from fashion_assets.sources.declared import MappedTable
from fashion_assets.sources.details import DetailFiles
from fashion_assets.sources.listings import CURRENCY, PRICE, Price, Reading
from fashion_assets.sources.picture_cache import PictureCache
from fashion_assets.sources.picture_files import NOT_THERE, Found, PictureFiles, is_url, sha256_of
from fashion_assets.sources.places import file_of, folder_of, is_database, unread
from fashion_assets.sources.prices import Notation
from fashion_assets.sources.readers import open_rows
from fashion_assets.sources.readers.reader import Row, RowFeed, RowReader
from fashion_assets.sources.records import BETWEEN, Record, grouped
from fashion_assets.sources.source import (
    SCAN_CHUNK_ROWS,
    DeclaredTable,
    Feed,
    Polled,
    Source,
    SourceChanged,
    SourceError,
)
from fashion_assets.sources.withdrawn import Withdrawn

MANY_MISSED = 0.5
"""Share of the pictures that are not there from which on people are told what was looked for, and what is there."""


LEFT_OUT = "records that where leaves out"
"""What `left_out` calls them."""


class _Places(NamedTuple):
    """Where pictures are looked for."""

    own: PictureFiles
    """The source's folder."""
    fetched: PictureFiles | None
    """The home's folder of fetched ones."""


class _Seen(NamedTuple):
    """A record and its picture, as far as a scan needs them."""

    external_id: str | None
    image: str | None  # as stated, or where the mapping puts it
    found: Found
    uri: str | None  # where it was found, see `PictureFolders`
    reason: str | None  # why a picture elsewhere was not had


_UNREADABLE = _Seen(None, None, NOT_THERE, None, None)


class _Feed(Feed):
    def __init__(self, source: "Mapped", reading: Reading, changes: RowFeed) -> None:
        self._source, self._reading, self._changes = source, reading, changes

    def poll(self) -> Polled:
        rows, count = self._changes.poll()
        return Polled(self._source.referred(rows, self._reading), count)

    def locators(self) -> Iterator[Sequence[str]]:
        return self._changes.locators()

    def notified(self, channel: str, stop: threading.Event) -> Iterator[bool]:
        return self._changes.notified(channel, stop)

    def again(self) -> None:
        self._changes.again()


class Mapped(Source):
    """A file, a folder or a database, read by a mapping."""

    kind: ClassVar[str] = "catalogue"

    def __init__(
        self,
        name: str,
        location: str | os.PathLike[str],
        mapping: mappings.Mapping,
        *,
        pictures: str | os.PathLike[str] | None = None,
        found: Mapping[str, Any] | None = None,
        fetched: PictureCache | None = None,
        max_image_bytes: int = Limits.max_bytes,
    ) -> None:
        """
        Args:
            location: file, folder, or URL of a database. Nothing is opened yet.
            pictures: folder of the pictures, or a place in a bucket (`s3://…`); None: beside the file.
            found: what an earlier scan found (`found`).
            fetched: the pictures of this home that were fetched by their URLs.
            max_image_bytes: of a larger picture nothing is read, not even for its hash, which then is null.
        """
        self.name = name
        self.location = os.fspath(location)
        self.mapping = mapping
        stated = None if pictures is None else os.fspath(pictures)
        self._bucket = stated if stated is not None and in_bucket(stated) else None
        self.pictures = None if self._bucket else stated
        self.fetched = fetched if fetched is not None and fetched.serves(name) else None
        self.max_image_bytes = max_image_bytes
        self._found: dict[str, Any] = dict(found or {})
        self._left_out: Mapping[str, int] = {}
        self._missed: str | None = None
        self._notes: Sequence[str] = ()

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str],
        mapping: mappings.Mapping,
        pictures: str | os.PathLike[str] | None = None,
        name: str = "catalogue",
    ) -> Self:
        """A catalogue to look at: the mapping's first."""
        return cls(name, location, mapping, pictures=pictures)

    @property
    def root(self) -> str:
        folder = self.pictures or folder_of(self.location)
        return os.path.realpath(folder) if folder else ""

    @property
    def picture_folders(self) -> PictureFolders:
        return PictureFolders(
            self.root, None if self.fetched is None else os.path.realpath(self.fetched.folder)
        )

    @property
    def bucket(self) -> str | None:
        return self._bucket

    @property
    def profile(self) -> Profile:
        return self.mapping.profile.profile()

    @property
    def dimensions(self) -> Mapping[str, int]:
        return {
            space: dimension
            for each in reversed(self.mapping.vectors)
            for space, dimension in each.dimensions.items()
        }

    @property
    def stories(self) -> bool:
        return self.mapping.stories

    @property
    def version(self) -> str:
        decided = {**self._found, "price": self._notation().decisions}
        said = f"{self.mapping.content}\0{json.dumps(decided, sort_keys=True, default=str)}"
        return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @property
    def found(self) -> Mapping[str, object]:
        return self._found

    @property
    def left_out(self) -> Mapping[str, int]:
        return self._left_out

    @property
    def notes(self) -> Sequence[str]:
        how = self._found.get("how")
        rows = how.get("rows") if isinstance(how, Mapping) else None
        return [*([f"only {rows}"] if rows else []), *([self._missed] if self._missed else []), *self._notes]

    def tables(self) -> Sequence[DeclaredTable]:
        return [MappedTable(self, table) for table in self.mapping.tables]

    def scan(self, most: int | None = None) -> Iterator[pa.Table]:
        """As any source; with `most` only so many records, to look at."""
        with self.opened() as (reader, reading):
            places, details = self._places(), self.details
            ids: list[str | None] = []
            locators: list[str] = []
            signatures: list[str] = []
            withdrawn = Withdrawn(reader.columns)
            looked = missed = 0
            example: str | None = None
            for record in islice(reading.records(reader.rows()), most):
                seen = self._look_at(record, reading, places)
                reading.learn(record)
                if withdrawn.watches:
                    withdrawn.learn(record.rows[0].values)
                if seen.image is not None and not is_url(seen.image):
                    looked += 1
                    if seen.found is NOT_THERE:
                        missed += 1
                        example = example or seen.image
                ids.append(seen.external_id)
                locators.append(record.locator)
                signatures.append(_signature(record, seen, details))
                if len(ids) == SCAN_CHUNK_ROWS:
                    yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)
                    ids, locators, signatures = [], [], []
            if ids:
                yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)
            self._found = self._found_in(reader, reading)
            self._left_out = reader.left_out
            if reading.left_out:
                self._left_out = {**reader.left_out, LEFT_OUT: reading.left_out}
            self._notes = [*reader.notes, *withdrawn.notes, *self._beside()]
            self._missed = None
            if example is not None and missed >= MANY_MISSED * looked:
                there = places.own.in_words(example)
                self._missed = (
                    f"{missed:,} of {looked:,} pictures are not where they are looked for, {shown(example)} for one: {there}. Call them so, or "
                    "say in a mapping how they are called"
                )

    def _beside(self) -> list[str]:
        """What people should know of files in the folder that are none of its listings or tables."""
        if not self.mapping.files or not os.path.isdir(self.location):
            return []
        read = [file_of(self.location, self.mapping.files)]
        read += [MappedTable(self, table).place for table in self.mapping.tables if table.file]
        names = unread(self.location, read)
        if not names:
            return []
        told = ", ".join(map(shown, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        known = ", ".join(shown(os.path.basename(file)) for file in read)
        return [f"{told} in its folder {'is' if len(names) == 1 else 'are'} not read, only {known}"]

    @contextmanager
    def feed(self) -> Iterator[Feed | None]:
        with self.opened(scanned=True) as (reader, reading):
            changes = reader.feed()
            whole = reading.group is not None or self.mapping.where  # what a row alone does not tell
            yield None if changes is None or whole else _Feed(self, reading, changes)

    def referred(self, rows: Sequence[Row], reading: Reading) -> pa.Table:
        """References (REFERENCE_SCHEMA) to rows that are records by themselves."""
        places, details = self._places(), self.details
        ids, locators, signatures = [], [], []
        for record in grouped(rows, None):
            seen = self._look_at(record, reading, places)
            ids.append(seen.external_id)
            locators.append(record.locator)
            signatures.append(_signature(record, seen, details))
        return pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)

    def fingerprints(self, references: pa.Table) -> list[str]:
        return [content for _, _, _, _, _, content in self._read_each(references)]

    def read(self, references: pa.Table) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [] for name in LISTING_SCHEMA.names}
        keys = references["listing_key"].to_pylist()
        occurrences = references["occurrence"].to_pylist()
        for row, (reading, record, seen, text, sha256, content) in enumerate(self._read_each(references)):
            columns["listing_key"].append(keys[row])
            columns["occurrence"].append(occurrences[row])
            columns["external_id"].append(seen.external_id)
            columns["content_hash"].append(content)
            columns["record"].append(text)
            defects = [record.defect] if record.defect else []
            price = Price(None) if record.defect else reading.price(record)
            stated = {PRICE: price.amount, CURRENCY: price.currency}
            for name in ATTRIBUTES:
                if record.defect or name in stated:
                    columns[name].append(stated.get(name))
                else:
                    columns[name].append(reading.value(name, record))
            defects += filter(None, (price.problem, reading.problem(seen.external_id)))
            columns["image"].append(seen.image)
            columns["image_uri"].append(seen.uri)
            columns["image_sha256"].append(sha256)
            if seen.found.outside:
                defects.append("image_path_outside")
            if seen.reason is not None and self.mapping.profile.picture == "required":
                defects.append(seen.reason)
            columns["vectors"].append(None if record.defect else reading.vectors(record) or None)
            columns["facts"].append(None if record.defect else reading.kept(record))
            columns["defects"].append(defects)
        rows = references.num_rows
        columns["source"] = [self.name] * rows
        arrays = [_column(columns[field.name], field.type) for field in LISTING_SCHEMA]
        return pa.table(arrays, schema=LISTING_SCHEMA)

    def picture_urls(self) -> Iterator[str]:
        """The URL of each listing's picture, in the source's order: the first it states, unless one it states before is a file that
        is there, or the folder of pictures has it."""
        with self.opened() as (reader, reading):
            files = self.picture_files()
            for record in reading.records(reader.rows()):
                for stated in () if record.defect else map(self._stated, reading.said(record).pictures):
                    known = self.pictures is not None or not is_url(stated)
                    if known and files.find(stated).path is not None:
                        break
                    if is_url(stated):
                        yield stated
                        break

    @contextmanager
    def opened(self, *, scanned: bool = False) -> Iterator[tuple[RowReader, Reading]]:
        """The open file, and the mapping for its columns. `scanned`: how it is written was found out by a scan, and is not again,
        for which large files would be read whole. Raises SourceError where either cannot be had."""
        where = file_of(self.location, self.mapping.files)
        options = dict(self.mapping.options)
        if scanned and self.mapping.format == "delimited" and "how" in self._found:
            options["how"] = self._found["how"]
        with open_rows(self.mapping.format, where, options) as reader:
            details = self.details
            reading = Reading(
                self.mapping,
                reader,
                self.shown(where),
                self._notation(),
                details=details is not None and details.there,
                source=self.name,
            )
            yield reader, reading

    @property
    def details(self) -> DetailFiles | None:
        """The files of details beside the listings', where the mapping knows of any."""
        if self.mapping.details is None or is_database(self.location):
            return None
        return DetailFiles(os.path.realpath(folder_of(self.location)), self.mapping.details)

    def _notation(self) -> Notation:
        if self.mapping.decimal_sign is not None:
            return Notation.stated(self.mapping.decimal_sign)
        kept = self._found.get("price")
        return Notation.from_dict(kept) if isinstance(kept, Mapping) else Notation()

    def shown(self, where: str) -> str:
        """A file or URL as it may be printed: a URL without its password."""
        return where.rpartition("@")[2] if is_database(where) else shown(where)

    def picture_files(self) -> PictureFiles:
        """The folder of the pictures. Raises SourceError where its folder of pictures is a link that leads out of it."""
        root = self.root
        for folder in self.mapping.pictures.folders:
            path = os.path.join(root, folder)
            if root and os.path.islink(path) and os.path.isdir(path):
                place = os.path.realpath(path)
                if not place.startswith(root.rstrip("/") + "/"):
                    raise SourceError(
                        f"{shown(path)} is a link to {shown(place)}, outside of {shown(root)}, and a catalogue's pictures are "
                        f"never read from outside its folder. Say where they are (--pictures {shown(place)}), give a folder that "
                        "holds both, or copy or bind-mount the pictures into it."
                    )
        return PictureFiles(root, self.mapping.pictures.folders)

    def _found_in(self, reader: RowReader, reading: Reading) -> dict[str, Any]:
        notation = reading.prices.notation() if self.mapping.decimal_sign is None else self._notation()
        found: dict[str, Any] = {"how": dict(reader.how), "price": notation.to_dict()}
        if reading.synonyms:
            found["synonyms"] = dict(reading.synonyms)
        return found

    def _places(self) -> _Places:
        fetched = self.picture_folders.fetched
        return _Places(self.picture_files(), None if fetched is None else PictureFiles(fetched))

    def _look_at(self, record: Record, reading: Reading, places: _Places) -> _Seen:
        if record.defect:
            return _UNREADABLE
        said = reading.said(record)
        first: _Seen | None = None
        for stated in map(self._stated, said.pictures):
            seen = self._picture(said.external_id, stated, places, made=said.made)
            if seen.found.path is not None:
                return seen
            first = first or seen
        return first or _Seen(said.external_id, None, NOT_THERE, None, None)

    def _stated(self, picture: str) -> str:
        """A picture as it is looked for: where pictures are in a bucket, a path is one there."""
        return picture if self._bucket is None or is_url(picture) else below(self._bucket, picture)

    def _picture(self, identity: str | None, stated: str, places: _Places, *, made: bool) -> _Seen:
        url = is_url(stated)
        if not url or self.pictures is not None:  # somebody who says where pictures are may have fetched them
            found = places.own.of_id(stated, identity) if made and identity else places.own.find(stated)
            if found.path is not None or not url:
                return _Seen(identity, stated, found, places.own.uri(found), None)
        if self.fetched is None or places.fetched is None:
            return _Seen(
                identity, stated, NOT_THERE, None, IMAGE_NOT_FETCHED if self.pictures is None else None
            )
        place, reason = self.fetched.picture(stated)
        if place is None:
            return _Seen(identity, stated, NOT_THERE, None, reason)
        return _Seen(identity, stated, places.fetched.exactly(place), place, None)

    def _read_each(
        self, references: pa.Table
    ) -> Iterator[tuple[Reading, Record, _Seen, str, str | None, str]]:
        """For each reference: the record, what was seen of it, the record as JSON, the picture's hash, the listing's."""
        with self.opened(scanned=True) as (reader, reading):
            places, details = self._places(), self.details
            locators = [locator.split(BETWEEN) for locator in references["locator"].to_pylist()]
            rows = reader.again([each for locator in locators for each in locator])
            for parts, signature in zip(locators, references["signature"].to_pylist(), strict=True):
                record = Record(tuple(next(rows) for _ in parts))
                if signature.rpartition(".")[0] != record.digest:
                    line = "" if record.line is None else f": line {record.line} is elsewhere now"
                    raise SourceChanged(
                        f"{self.shown(file_of(self.location, self.mapping.files))} has changed since it was scanned{line}. "
                        "Scan the source again."
                    )
                seen = self._look_at(record, reading, places)
                if details is not None:
                    record = details.of(record, seen.external_id)
                text = record.as_json({} if record.defect else reading.kept_beside(record))
                sha256, told = None, seen.reason
                status = seen.found.status
                if status is not None and stat.S_ISREG(status.st_mode) and seen.found.path:
                    if status.st_size > self.max_image_bytes:
                        # Unread, but neither missing nor unreadable: a verdict on the one must not stand for another.
                        told = IMAGE_FILE_TOO_LARGE
                    else:
                        sha256 = told = sha256_of(seen.found.path, self.max_image_bytes)
                yield reading, record, seen, text, sha256, content_hash(text, told)


def _signature(record: Record, seen: _Seen, details: DetailFiles | None) -> str:
    """A mark that changes whenever record, picture or details may have."""
    status = seen.found.status
    picture = f"{status.st_size:x}-{status.st_mtime_ns:x}" if status else f"-{seen.reason or ''}"
    more = details.stamp(seen.external_id) if details is not None else ""
    return f"{record.digest}.{picture}{more and '+'}{more}"


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and no text can hold
        return pa.array([_storable(value) for value in values], type_)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_storable(member) for member in value]
    return value
