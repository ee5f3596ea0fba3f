"""What a merchant may decide about search, checked and kept: synonyms, and rules that pin, hide or boost products.

What belongs here: what makes a decision one that can be followed, alone and beside the others; changing them, one at a time or all at once.
What does not: their tables (`warehouse.merchandising`), what they do to a search (`curated`), files of them (`merchandising_files`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from fashion_assets.search import words
from fashion_assets.search.filters import SearchError, parse_filters
from fashion_assets.warehouse import merchandising
from fashion_assets.warehouse.merchandising import Rule, Synonym

MOST = 5_000
"""Synonyms, and as many rules: what a shop's people can look through, and every process that searches has them in memory."""

MOST_WORDS = 20
"""Words of a synonym, and words that one word stands for: each is one more branch of a query."""

LONGEST = 100
"""Characters of words."""

MOST_PINS = 50
"""Products pinned for the same words, or filters."""

MOST_BOOSTS = 8
"""Boosts for the same words, or filters."""

FARTHEST = 1_000
"""The farthest place a product is pinned at."""

FACTORS = (0.1, 10.0)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class MerchandisingError(SearchError):
    """A decision that cannot be followed; the message says which, why, and what to do."""


class NothingDecided(MerchandisingError):
    """Nothing has this id."""


def normalized(text: str) -> str:
    """Words as a search reads them: in lower case, without signs, with single blanks."""
    return " ".join(each.word for each in words.tokens(text))


def synonym(given: Synonym) -> Synonym:
    """A synonym whose words are as a search reads them. Raises `MerchandisingError`."""
    named = _named("synonym", given.id)
    typed, becomes = _phrases(named, given.words), _phrases(named, given.becomes)
    if not typed or (len(typed) < 2 and not becomes):
        raise MerchandisingError(
            f"{named} has {'no words' if not typed else f'one word alone, {typed[0]!r}'}: give two that stand for each other, or say what "
            "it becomes"
        )
    if both := [each for each in typed if each in becomes]:
        raise MerchandisingError(f"{named}: {both[0]!r} cannot become itself")
    if len(typed) > MOST_WORDS or len(becomes) > MOST_WORDS:
        raise MerchandisingError(
            f"{named} has {max(len(typed), len(becomes))} words; {MOST_WORDS} are the most"
        )
    return given._replace(words=typed, becomes=becomes, **_told(named, given))


def rule(given: Rule) -> Rule:
    """A rule whose words and times are as a search reads them. Raises `MerchandisingError`, `FilterError`."""
    named = _named("rule", given.id)
    typed = None if given.words is None else _phrase(named, given.words, most=None)
    for filters in (given.filters, given.products):
        if len(filters) > 10:
            raise MerchandisingError(f"{named} has {len(filters)} filters; 10 are the most")
        parse_filters(filters)
    if given.action == "boost":
        _check_boost(named, given)
    elif given.action in ("pin", "hide"):
        _check_product(named, given, typed)
    else:
        raise MerchandisingError(
            f"{named}: there is no action {given.action!r}; there are pin, hide and boost"
        )
    starts, ends = _moment(given.starts_at), _moment(given.ends_at)
    if starts is not None and ends is not None and ends <= starts:
        raise MerchandisingError(
            f"{named} ends ({ends:%Y-%m-%d %H:%M}) before it starts ({starts:%Y-%m-%d %H:%M})"
        )
    return given._replace(words=typed, starts_at=starts, ends_at=ends, **_told(named, given))


def _check_boost(named: str, given: Rule) -> None:
    least, most = FACTORS
    if not given.products or given.product is not None or given.place is not None:
        raise MerchandisingError(f"{named} boosts what meets filters: say which, as brand=Nike")
    if given.factor is None or not least <= given.factor <= most or given.factor == 1:
        raise MerchandisingError(
            f"{named} boosts by {given.factor}; give a factor from {least:g} to {most:g}: above 1 lifts, below 1 buries"
        )


def _check_product(named: str, given: Rule, typed: str | None) -> None:
    if given.product is None or given.products or given.factor is not None:
        raise MerchandisingError(f"{named} is for one product: say which, by its id")
    if given.action == "hide":
        if given.filters:
            raise MerchandisingError(
                f"{named} hides for filters, where counts of other values would be wrong: hide for words, or everywhere"
            )
        if given.place is not None:
            raise MerchandisingError(f"{named} hides a product, which then has no place")
        return
    if (typed is None) == (not given.filters):
        raise MerchandisingError(f"{named} pins for words or for filters: give one of them")
    if given.place is None or not 1 <= given.place <= FARTHEST:
        raise MerchandisingError(f"{named} pins at {given.place}; a place is from 1 to {FARTHEST:,}")


def check(synonyms: Sequence[Synonym], rules: Sequence[Rule]) -> None:
    """Whether all can stand beside each other. Raises `MerchandisingError`."""
    for what, kept in (("synonyms", synonyms), ("rules", rules)):
        if len(kept) > MOST:
            raise MerchandisingError(f"there would be {len(kept):,} {what}; {MOST:,} are the most")
    _check_circles(synonyms)
    others: defaultdict[str, set[str]] = defaultdict(set)
    for each in synonyms:
        for word in each.words:
            others[word].update(each.becomes or [other for other in each.words if other != word])
            if len(others[word]) > MOST_WORDS:
                raise MerchandisingError(
                    f"{word!r} would stand for {len(others[word])} others, by {each.id} and others; {MOST_WORDS} are the most"
                )
    counted: defaultdict[tuple, int] = defaultdict(int)
    for each in rules:
        key = each.action, each.words, tuple(sorted(each.filters))
        counted[key] += 1
        most = {"pin": MOST_PINS, "boost": MOST_BOOSTS}.get(each.action)
        if most is not None and counted[key] > most:
            where = each.words or ", ".join(each.filters) or "every search"
            raise MerchandisingError(f"there would be more than {most} rules that {each.action} for {where}")


def _check_circles(synonyms: Sequence[Synonym]) -> None:
    """Raise for words that lead back to themselves in one direction: they stand for each other, which is to be said so."""
    alike: dict[str, str] = {}

    def root(word: str) -> str:
        while alike.setdefault(word, word) != word:
            word = alike[word]
        return word

    for each in synonyms:
        if not each.becomes:
            for word in each.words[1:]:
                alike[root(word)] = root(each.words[0])
    leads: defaultdict[str, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for each in synonyms:
        for word in each.words if each.becomes else ():
            for other in each.becomes:
                leads[root(word)][root(other)] = (word, other, each.id)
    done: set[str] = set()
    for start in list(leads):
        # Depth first, without recursion: chains may be as long as there are synonyms.
        way, on = [(start, iter(leads[start]))], {start}
        while way:
            node, following = way[-1]
            after = next((each for each in following if each not in done), None)
            if after is None:
                done.add(node)
                on.discard(node)
                way.pop()
            elif after in on:
                word, other, id = leads[node][after]
                raise MerchandisingError(
                    f"synonym {id} goes round in a circle: {word!r} becomes {other!r}, which leads back to {word!r}; "
                    "make them stand for each other instead"
                )
            else:
                on.add(after)
                way.append((after, iter(leads[after])))


def put(connection: psycopg.Connection[Any], *changed: Synonym | Rule) -> list[Synonym | Rule]:
    """Keep decisions, each in place of what has its id, in the caller's transaction; returns them as they are kept. Raises
    `MerchandisingError`, and nothing is changed."""
    checked = [synonym(each) if isinstance(each, Synonym) else rule(each) for each in changed]
    known = merchandising.locked(connection)
    synonyms = {each.id: each for each in known.synonyms}
    rules = {each.id: each for each in known.rules}
    for each in checked:
        if isinstance(each, Synonym):
            synonyms[each.id] = each
        else:
            rules[each.id] = each
    _check_ids(synonyms, rules)
    check(list(synonyms.values()), list(rules.values()))
    for each in checked:
        if isinstance(each, Synonym):
            merchandising.put_synonym(connection, each)
        else:
            merchandising.put_rule(connection, each)
    return checked


def take_over(
    connection: psycopg.Connection[Any], given: Sequence[Synonym | Rule], *, alone: bool
) -> tuple[int, int, int]:
    """Keep decisions, in the caller's transaction, and where they are to stand `alone` no others; how many are new, changed, and gone. Those
    that say what is kept already stay as they are. Raises `MerchandisingError`, and nothing is changed."""
    known = merchandising.locked(connection)
    before: dict[str, Synonym | Rule] = {each.id: each for each in (*known.synonyms, *known.rules)}
    checked = [synonym(each) if isinstance(each, Synonym) else rule(each) for each in given]
    kept = {each.id for each in checked}
    gone = [each for id, each in before.items() if alone and id not in kept]
    for each in gone:
        _remove(connection, each)
    new = [each for each in checked if each.id not in before]
    other = [each for each in checked if each.id in before and not _same(each, before[each.id])]
    if new or other:
        put(connection, *new, *other)
    return len(new), len(other), len(gone)


def remove(connection: psycopg.Connection[Any], ids: Iterable[str]) -> list[Synonym | Rule]:
    """Remove decisions by their ids, in the caller's transaction; returns them. Raises `NothingDecided`, and nothing is changed."""
    known = merchandising.locked(connection)
    there: dict[str, Synonym | Rule] = {each.id: each for each in (*known.synonyms, *known.rules)}
    gone = []
    for id in dict.fromkeys(ids):
        if id not in there:
            raise NothingDecided(
                f"nothing was decided with the id {id[:80]!r}: fashion-assets merchandising list"
            )
        gone.append(there[id])
    for each in gone:
        _remove(connection, each)
    return gone


def product(connection: psycopg.Connection[Any], key: str) -> UUID:
    """The product that is meant by its id, by its id in its source, or by `source/id`. Raises `MerchandisingError`."""
    try:
        return UUID(key)
    except ValueError:
        pass
    if "\0" in key or not key.strip():
        raise MerchandisingError("a product's id has characters, and no NUL among them")
    found = merchandising.product_ids(connection, None, key)
    source, slash, external_id = key.partition("/")
    if not found and slash:
        found = merchandising.product_ids(connection, source, external_id)
    if not found:
        raise MerchandisingError(f"no release ever had a product {key[:80]!r}")
    if len(found) > 1:
        raise MerchandisingError(f"several sources have a product {key[:80]!r}: give source/id")
    return found[0]


def holds(decision: Rule, at: datetime) -> bool:
    """Whether a rule holds at a moment."""
    return (decision.starts_at is None or decision.starts_at <= at) and (
        decision.ends_at is None or at < decision.ends_at
    )


def _remove(connection: psycopg.Connection[Any], each: Synonym | Rule) -> None:
    merchandising.remove(connection, "synonyms" if isinstance(each, Synonym) else "search_rules", each.id)


def _same(one: Synonym | Rule, other: Synonym | Rule) -> bool:
    """Whether two say the same, whoever decided it and when."""
    return one._replace(by="", changed_at=None) == other._replace(by="", changed_at=None)


def _check_ids(synonyms: dict[str, Synonym], rules: dict[str, Rule]) -> None:
    if twice := synonyms.keys() & rules.keys():
        raise MerchandisingError(
            f"{min(twice)!r} is the id of a synonym and of a rule: give one of them another"
        )


def _named(what: str, id: str) -> str:
    if not _ID.fullmatch(id):
        raise MerchandisingError(
            f"{id[:80]!r} is no id: letters, digits, and . _ - between them, 64 characters at the most"
        )
    return f"{what} {id}"


def _phrases(named: str, given: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(_phrase(named, each) for each in given))


def _phrase(named: str, given: str, most: int | None = words.LONGEST_NAME) -> str:
    phrase = normalized(_readable(given))
    if not phrase:
        raise MerchandisingError(f"{named} has an empty word, {given[:80]!r}: a word has a letter or a digit")
    if len(phrase) > LONGEST:
        raise MerchandisingError(
            f"{named}: {phrase[:40]!r} … has {len(phrase):,} characters; {LONGEST} are the most"
        )
    if most is not None and phrase.count(" ") >= most:
        raise MerchandisingError(
            f"{named}: {phrase!r} has {phrase.count(' ') + 1} words; {most} are the most"
        )
    return phrase


def _told(named: str, given: Synonym | Rule) -> dict[str, str]:
    for what, text, most in (("a note", given.note, 500), ("a name", given.by, 100)):
        if len(text) > most:
            raise MerchandisingError(f"{named} has {what} of {len(text):,} characters; {most} are the most")
    return {"note": " ".join(_readable(given.note).split()), "by": _readable(given.by).strip()}


def _readable(text: str) -> str:
    """Without what no database holds: NUL, halves of characters."""
    return text.encode("utf-8", "ignore").decode().replace("\0", " ")


def _moment(at: datetime | None) -> datetime | None:
    """In UTC; what says no zone is of it."""
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
