"""Which words of a question each hit of a page has, and where.

What belongs here: the statement that finds them for a page's products, reading it, cutting a description to the part that has most of them. What does
not: which products are found (`page_statement`), marking anything in a document: places are told, never markup.

PostgreSQL marks the words itself (`ts_headline`), by the dictionary that found them, so that what is marked is what matched: "shirts" for "shirt". That
takes .1 ms for a text of 2,000 characters, which is why it is done for the products of a page alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from psycopg import sql

from fashion_assets.search import statements
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Hit
from fashion_assets.search.reading import Statement
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.told import Fragment, Highlights, Marks
from fashion_assets.search.words import Term
from fashion_assets.search.work import Work

DESCRIBED = 2_000
"""Characters of a description that are looked at."""

FRAGMENT = 160
"""Characters of a description that are told, about: what two lines hold."""

_BEGIN, _END = "\x01", "\x02"
"""What stands before and behind a word that matched, between the database and here; a text that holds them has blanks in their place."""


def highlighted(
    releases: ServedReleases, facts: Facts, hits: Sequence[Hit], terms: Sequence[Term]
) -> Work[tuple[Hit, ...]]:
    """Hits with which of the terms each has, and where."""
    if not hits or not terms:
        return tuple(hits)
    asked = {f"term_{place}": term.tsquery for place, term in enumerate(terms)}
    asked |= {
        "any_term": " | ".join(term.tsquery for term in terms),
        "ids": [hit.product_id for hit in hits],
        "marks": _BEGIN + _END,
        "described": DESCRIBED,
        "options": f'HighlightAll=true, StartSel="{_BEGIN}", StopSel="{_END}"',
    }
    (rows,) = yield from releases.read(facts, [Statement(_statement(facts.release, len(terms)), asked)])
    found = {product_id: _of(each, terms) for product_id, *each in rows}
    return tuple(replace(hit, highlights=found.get(hit.product_id)) for hit in hits)


@lru_cache(maxsize=64)
def _statement(schema: str, terms: int) -> bytes:
    """The text of the statement; rows: `product_id`, which of `%(term_<n>)s` the product has, title and description with the words marked, null
    where marking changed more than it should."""
    marked = sql.SQL(
        "(SELECT CASE WHEN translate(marked, %(marks)s, '') = plain THEN marked END FROM (SELECT plain, "
        "ts_headline('english', plain, to_tsquery('english', %(any_term)s), %(options)s) AS marked "
        "FROM (SELECT translate({}, %(marks)s, '  ') AS plain) AS text) AS headline)"
    )
    return (
        sql.SQL(
            "SELECT product_id::text, ARRAY[{has}], {title}, {description} FROM {products} WHERE product_id = ANY(%(ids)s::uuid[])"
        )
        .format(
            has=sql.SQL(", ").join(
                sql.SQL("search_vector @@ to_tsquery('english', {})").format(sql.Placeholder(f"term_{place}"))
                for place in range(terms)
            ),
            title=marked.format(sql.SQL("coalesce(title, '')")),
            description=marked.format(sql.SQL("left(description, %(described)s)")),
            products=statements.table(schema),
        )
        .as_bytes(None)
    )


def _of(row: Sequence, terms: Sequence[Term]) -> Highlights | None:
    has, title, description = row
    if not any(has):
        return None
    words = tuple(dict.fromkeys(term.said for term, own in zip(terms, has, strict=True) if own))
    return Highlights(words, read(title or "")[1], fragment(*read(description or "")))


def read(marked: str) -> tuple[str, Marks]:
    """A text with its words marked as the text and the places of the words."""
    parts = marked.split(_BEGIN)
    text, marks = parts[0], []
    for part in parts[1:]:
        word, _, rest = part.partition(_END)
        marks.append((len(text), len(text) + len(word)))
        text += word + rest
    return text, tuple(marks)


def fragment(text: str, marks: Marks) -> Fragment | None:
    """The part of a text that has most of the different words marked, and of those that has most marks, the first of several, cut between words;
    None without any."""
    if not marks:
        return None
    words = [text[begin:to].lower() for begin, to in marks]
    first, last = max(
        _stretches(marks),
        key=lambda each: (len({*words[each[0] : each[1] + 1]}), each[1] - each[0], -each[0]),
    )
    start, end = marks[first][0], marks[last][1]
    spare = max(0, FRAGMENT - (end - start))
    start = max(0, start - spare // 2)
    end = min(len(text), start + max(FRAGMENT, end - start))
    if start > 0:
        start = min(marks[first][0], max(start, text.rfind(" ", 0, start + 1) + 1, _next_word(text, start)))
    if end < len(text):
        end = max(marks[last][1], text.rfind(" ", start, end + 1))
    return Fragment(
        text[start:end], start, tuple((begin - start, to - start) for begin, to in marks[first : last + 1])
    )


def _next_word(text: str, place: int) -> int:
    blank = text.find(" ", place)
    return place if blank < 0 else blank + 1


def _stretches(marks: Marks) -> Iterator[tuple[int, int]]:
    """Of each mark, the number of the last one that fits a fragment with it."""
    last = 0
    for first, (start, _) in enumerate(marks):
        last = max(last, first)
        while last + 1 < len(marks) and marks[last + 1][1] - start <= FRAGMENT:
            last += 1
        yield first, last
