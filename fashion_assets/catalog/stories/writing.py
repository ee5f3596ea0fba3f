"""Writers of stories, and the one that is built in.

What belongs here: what a writer is told and gives, and `PlainWriter`. What does not: its phrases, which are data
(`phrases/*.toml`, one a language), what may be said (`checking`).
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from fashion_assets.catalog.stories.story import Story

PHRASES = resources.files("fashion_assets.catalog.stories").joinpath("phrases")

FALLBACK = "en"
"""The language of records that are of none that is known, or of none there are phrases for."""

LONGEST_QUOTE = 240
"""Characters of a description that a story quotes; a longer one is quoted up to the sentence that ends before."""

_LONGEST_TITLE = 160


class Told(NamedTuple):
    """What a writer is told of a product: what its record says, and nothing else."""

    product_id: str
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    colour: str | None = None
    size: str | None = None
    condition: str | None = None
    material: str | None = None
    price: str | None = None
    currency: str | None = None
    place: str | None = None
    platform: str | None = None
    number: str | None = None
    """What the platform calls it, or its source."""
    seller: str | None = None
    certifications: tuple[str, ...] = ()
    language: str | None = None


class StoryWriter(Protocol):
    """Whatever writes stories."""

    @property
    def name(self) -> str:
        """What a story says of its writer."""
        ...

    @property
    def version(self) -> str:
        """Another one where the same record would get another story."""
        ...

    def write(self, told: Told) -> Story | None:
        """A product's story; None where its record says nothing to tell."""
        ...


def told(product: Mapping[str, Any]) -> Told:
    """What a writer is told of a product (a row of NORMALIZED_SCHEMA)."""
    facts = json.loads(product.get("facts") or "{}")
    price = product.get("price")
    certified = facts.get("certifications") or ()
    return Told(
        str(product["product_id"]),
        title=product.get("title"),
        description=product.get("description"),
        brand=product.get("brand"),
        colour=product.get("colour"),
        size=product.get("size"),
        condition=product.get("condition"),
        material=_one(facts.get("material")),
        price=None if price is None else f"{price:.2f}",
        currency=product.get("currency"),
        place=_one(facts.get("location")),
        platform=_one(facts.get("platform")),
        number=_one(facts.get("native_id")) or product.get("external_id"),
        seller=_one(facts.get("seller")),
        certifications=(certified,) if isinstance(certified, str) else tuple(certified),
        language=_one(facts.get("language")),
    )


def _one(said: Any) -> str | None:
    return said[0] if isinstance(said, list) else said


def with_stories(products: pa.Table, writer: StoryWriter) -> pa.Table:
    """Products (NORMALIZED_SCHEMA) with a story each, where their record says anything to tell. One that this version of the writer made of
    the same content stays."""
    mark = f'"writer":{json.dumps(writer.name)},"version":{json.dumps(writer.version)}}}'
    columns = products.select([name for name in TOLD_OF if name in products.column_names])
    stories: list[str | None] = []
    for product, kept in zip(columns.to_pylist(), products["story"].to_pylist(), strict=True):
        if kept is not None and kept.endswith(mark):
            stories.append(kept)
            continue
        story = writer.write(told(product))
        stories.append(None if story is None else story.as_json())
    place = products.schema.get_field_index("story")
    return products.set_column(place, products.schema.field(place), pa.array(stories, pa.string()))


TOLD_OF = (
    "product_id",
    "external_id",
    "title",
    "description",
    "brand",
    "colour",
    "size",
    "condition",
    "price",
    "currency",
    "facts",
)
"""Columns of a product that a writer is told of."""


class PlainWriter:
    """Says what the record says, in one of a few ways: the same each time, another for each product. It remembers nothing that nobody
    told it."""

    name = "plain"

    @property
    def version(self) -> str:
        """Another one for other phrases or rules."""
        return _version()

    def write(self, told: Told) -> Story | None:
        """A product's story; None of a record without a title and a description."""
        title = shown_title(told)
        quote = _quote(told.description)
        if not title and not quote:
            return None
        phrases = _phrases(told.language)
        sentences = [self._opening(told, title, quote, phrases), *self._details(told, title, phrases)]
        if quote and title:
            sentences.append(_phrase(phrases, "quote", told).format(quote=quote))
        sentences += self._offer(told, phrases)
        narrative = " ".join(filter(None, sentences))
        return Story(narrative, _mood(told), (), self.name, self.version)

    def _opening(self, told: Told, title: str, quote: str, phrases: Mapping[str, Any]) -> str:
        if not title:
            return _phrase(phrases, "quote", told).format(quote=quote)
        return _phrase(phrases, "opening", told).format(title=title)

    def _details(self, told: Told, title: str, phrases: Mapping[str, Any]) -> list[str]:
        words = f" {_folded(title)} "

        def is_new(value: str | None) -> bool:
            return value is not None and f" {_folded(value)} " not in words

        said: list[str] = []
        if told.brand and is_new(told.brand):
            said.append(_phrase(phrases, "brand", told).format(brand=told.brand))
        colour = _translated(phrases, "colours", told.colour)
        if colour and is_new(colour) and is_new(told.colour):
            said.append(_phrase(phrases, "colour", told).format(colour=colour))
        if told.material and is_new(told.material):
            said.append(_phrase(phrases, "material", told).format(material=told.material.lower()))
        if told.size:
            size = _translated(phrases, "sizes", told.size, told.size.upper())
            said.append(_phrase(phrases, "size", told).format(size=size))
        sentences = []
        if said:
            joined = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} {phrases['and']} {said[-1]}"
            sentences.append(_phrase(phrases, "details", told).format(details=joined))
        condition = _translated(phrases, "conditions", told.condition)
        if condition:
            sentences.append(_phrase(phrases, "condition", told).format(condition=condition))
        if told.certifications:
            listed = ", ".join(each.upper() for each in told.certifications)
            sentences.append(_phrase(phrases, "certified", told).format(certifications=listed))
        return sentences

    def _offer(self, told: Told, phrases: Mapping[str, Any]) -> list[str]:
        sentences = []
        if told.price is not None:
            kind = "price" if told.currency else "price_alone"
            sentences.append(_phrase(phrases, kind, told).format(price=told.price, currency=told.currency))
        if told.place:
            sentences.append(_phrase(phrases, "place", told).format(place=told.place))
        if told.number:
            kind = "listed" if told.platform else "numbered"
            platform = (told.platform or "").title()
            sentences.append(_phrase(phrases, kind, told).format(platform=platform, number=told.number))
        return sentences


def shown_title(told: Told) -> str:
    """The title as a story shows it: without what only the address means by it (the seller's name before it, the letters behind it that
    tell addresses apart), braces as text."""
    words = (told.title or "")[:_LONGEST_TITLE].split()
    if told.number and "-" in told.number:
        parts = told.number.split("-")
        if words and re.fullmatch(r"[0-9a-fA-F]{4}", words[-1]) and parts[-1].lower() == words[-1].lower():
            words.pop()
        if told.seller and len(words) > 1 and _folded(words[0]) == _folded(told.seller):
            words.pop(0)
    shown = " ".join(words).rstrip(".!?,;:")
    # The words of an address are all lower case; a sentence begins with them.
    return shown[:1].upper() + shown[1:] if shown.islower() else shown


def _quote(description: str | None) -> str:
    """What a story quotes of a description: all of it, or the sentences that fit."""
    text = " ".join((description or "").split())
    if len(text) > LONGEST_QUOTE:
        cut = text[:LONGEST_QUOTE]
        end = max(cut.rfind(mark) for mark in (". ", "! ", "? "))
        text = cut[: end + 1] if end > 0 else cut.rsplit(" ", 1)[0] + " …"
    return text


def _phrase(phrases: Mapping[str, Any], kind: str, told: Told) -> str:
    """One of the phrases of a kind: the same for the same product."""
    choices = phrases[kind]
    drawn = hashlib.blake2b(f"{kind}\0{told.product_id}".encode(), digest_size=4).digest()
    return choices[int.from_bytes(drawn, "big") % len(choices)]


def _translated(
    phrases: Mapping[str, Any], table: str, value: str | None, otherwise: str | None = None
) -> str | None:
    """A canonical value in the language of the phrases; where they have no word for it, `otherwise`, or the value itself in the
    language values are written in."""
    if value is None:
        return None
    word = phrases.get(table, {}).get(value)
    if word is not None or otherwise is not None:
        return word or otherwise
    return value if phrases["language"] == FALLBACK else None


def _mood(told: Told) -> str:
    """The mood whose words the record has most of; of equals the first; neutral without any."""
    text = f" {_folded(told.title or '')} {_folded(told.description or '')} "
    moods: Mapping[str, list[str]] = _phrases(FALLBACK)["moods"]
    hits = {mood: sum(text.count(f" {word} ") for word in words) for mood, words in moods.items()}
    best = max(hits, key=lambda mood: hits[mood])
    return best if hits[best] else "neutral"


def _folded(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text.casefold()).split())


@cache
def _phrases(language: str | None) -> Mapping[str, Any]:
    file = PHRASES.joinpath(f"{language}.toml") if re.fullmatch(r"[a-z]{2}", language or "") else None
    if file is None or not file.is_file():
        file = PHRASES.joinpath(f"{FALLBACK}.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def _version() -> str:
    digest = hashlib.blake2b(RULES_VERSION.encode(), digest_size=4)
    for file in sorted(PHRASES.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{RULES_VERSION}-{digest.hexdigest()}"


RULES_VERSION = "1"
"""Raise it when a rule here changes. Phrases are part of the version by themselves."""
