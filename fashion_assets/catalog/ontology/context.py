"""What the words around a phrase make of it: denied, only alike, of something else, of a part.

What belongs here: judging a match by its neighbours. What does not: the words that do it (`words/context.toml`).
"""

from fashion_assets.catalog.ontology.phrases import Match
from fashion_assets.catalog.ontology.tokens import Words

DENIED, ALIKE, ELSEWHERE, PART, LABELLED = "denied", "alike", "elsewhere", "part", "labelled"

_NEAR = 3
"""Words between "no" and what it denies."""

_BETWEEN = frozenset(
    [
        "a",
        "an",
        "any",
        "real",
        "genuine",
        "true",
        "the",
        "of",
        "in",
        "en",
        "de",
        "di",
        "del",
        "della",
        "visible",
        "pure",
        "vera",
        "vero",
        "vrai",
        "vraie",
        "es",
        "is",
    ]
)
"""And which: in "no stretch black denim" black is not denied."""

_OF_THINGS = frozenset({"colour", "material", "pattern"})
"""What parts have of their own."""

_ANDS = frozenset(["and", "or", "et", "ou", "e", "o", "y", "und", "oder"])
"""Between values of one list."""

_WHOLE = frozenset(["frame", "frames"])
"""Parts that are the thing itself where their property is named: "Frame color: black"."""

_LINKS = frozenset(
    [
        "in",
        "is",
        "are",
        "of",
        "with",
        "de",
        "en",
        "di",
        "del",
        "della",
        "en",
        "con",
        "aus",
        "mit",
        "made",
        "a",
        "the",
        "and",
        "e",
        "et",
        "y",
        "und",
        "pure",
        "pura",
        "puro",
        "real",
        "vera",
        "genuine",
        "legerement",
        "leggermente",
        "ligeramente",
        "slightly",
        "leicht",
        "couleur",
        "colore",
        "color",
        "colour",
        "farbe",
    ]
)


_STATE_LINKS = frozenset(
    [
        "is",
        "are",
        "in",
        "est",
        "sont",
        "en",
        "e",
        "sono",
        "es",
        "esta",
        "ist",
        "sind",
        "still",
        "also",
        "the",
        "all",
    ]
)


class Context:
    """The context words of one text."""

    def __init__(self, text: Words, matches: list[Match]) -> None:
        self._text = text
        self._denies = [each for each in matches if each.kind == "denies"]
        self._like = [each for each in matches if each.kind == "like"]
        self._wear = [each for each in matches if each.kind == "wear"]
        self._elsewhere = [each for each in matches if each.kind == "elsewhere"]
        starts: dict[str, dict[int, Match]] = {"ish": {}, "free": {}, "parts": {}}
        self._label_ends: dict[tuple[str, int], Match] = {}
        self._part_ends: dict[int, Match] = {}
        for each in matches:
            if each.kind in starts:
                starts[each.kind][each.first] = each
            if each.kind == "parts":
                self._part_ends[each.last] = each
            if each.kind == "labels":
                self._label_ends[each.value, each.last] = each
        self._ish, self._free, self._parts = starts["ish"], starts["free"], starts["parts"]
        self._kinds = [each for each in matches if each.kind in ("category", "subcategory")]
        self._next: dict[str, list[Match]] = {}
        for each in matches:
            if each.kind in _OF_THINGS:
                self._next.setdefault(each.kind, []).append(each)
        self._listed: dict[str, Match] = {}
        self._branded = {
            word for each in matches if each.kind == "brand" for word in range(each.first, each.last)
        }

    def of(self, match: Match) -> str | None:
        """What became of a match: DENIED, ALIKE, ELSEWHERE, PART, LABELLED, or None where it simply stands."""
        label = self._label_of(match)
        if label is not None:
            part = self._part_ends.get(label.first)
            if (
                part is not None
                and self._is_one_clause(part, label)
                and self._text.words[part.first] not in _WHOLE
            ):
                return PART
            if match.kind in _OF_THINGS:
                self._listed[match.kind] = match
            return LABELLED
        if self._is_denied(match):
            return DENIED
        if self._is_elsewhere(match):
            return ELSEWHERE
        if match.kind in ("material", "pattern", "category", "subcategory", "colour") and self._is_alike(
            match
        ):
            return ALIKE
        if match.kind in _OF_THINGS and self._is_of_a_part(match):
            return PART
        if match.kind == "condition" and self._is_state_of_a_part(match):
            return PART
        return LABELLED if self._is_listed(match) else None

    def is_about(self, match: Match) -> bool:
        """Whether what is said is soon followed by a kind of thing: it is said of that ("navy wool coat")."""
        text = self._text
        return any(
            match.last <= kind.first <= match.last + _NEAR
            and text.clauses[kind.first] == text.clauses[match.last - 1]
            for kind in self._kinds
        )

    def tells_wear(self) -> bool:
        """Whether the text tells of stains, holes or other wear, and does not deny it."""
        text = self._text
        return any(
            not any(
                no.first < each.first and text.sentences[no.first] == text.sentences[each.first]
                for no in self._denies
            )
            for each in self._wear
        )

    def _label_of(self, match: Match) -> Match | None:
        for back in (0, 1, 2):
            label = self._label_ends.get((match.kind, match.first - back))
            if label is None or (back and not self._text.words[match.first - 1].isdigit()):
                continue
            gap = self._gap(label.last)
            return label if ":" in gap or "=" in gap or "-" in gap or gap == " " else None
        return None

    def _is_one_clause(self, one: Match, other: Match) -> bool:
        return self._text.clauses[one.last - 1] == self._text.clauses[other.first]

    def _gap(self, word: int) -> str:
        """What stands before a word."""
        return self._text.text[self._text.ends[word - 1] : self._text.starts[word]]

    def _is_listed(self, match: Match) -> bool:
        """Whether it goes on a list that a label began: "Color: grey, black, orange"."""
        before = self._listed.get(match.kind)
        text = self._text
        if before is None or text.sentences[before.last - 1] != text.sentences[match.first]:
            return False
        between = text.words[before.last : match.first]
        if not all(word in _ANDS for word in between):
            return False
        self._listed[match.kind] = match
        return True

    def _is_denied(self, match: Match) -> bool:
        text = self._text
        for each in self._denies:
            if (
                each.last <= match.first <= each.last + _NEAR
                and text.clauses[each.last - 1] == text.clauses[match.first]
                and all(word in _BETWEEN for word in text.words[each.last : match.first])
            ):
                return True
        free = self._free.get(match.last)
        return free is not None and match.kind in ("material", "pattern", "colour")

    def _is_alike(self, match: Match) -> bool:
        if match.last in self._ish and match.kind in ("material", "pattern"):
            return True
        return any(
            each.last <= match.first <= each.last + 1
            and self._text.clauses[each.last - 1] == self._text.clauses[match.first]
            for each in self._like
        ) and match.kind in ("material", "category", "subcategory")

    def _is_elsewhere(self, match: Match) -> bool:
        text = self._text
        for each in self._elsewhere:
            if each.last <= match.first and text.sentences[each.last - 1] == text.sentences[match.first]:
                with_ = next(
                    (n for n in range(each.last, match.first) if text.words[n] == "with"), None
                )  # "over a shirt with a print": the print may be this one's
                return with_ is None or match.kind in ("category", "subcategory")
        return False

    def _is_state_of_a_part(self, match: Match) -> bool:
        """Whether it is a part that is in that state: "the sole is in very good condition"."""
        text = self._text
        for back in (0, 1, 2, 3):
            part = self._part_ends.get(match.first - back)
            if part is not None and text.clauses[part.last - 1] == text.clauses[match.first]:
                return all(word in _STATE_LINKS for word in text.words[part.last : match.first])
        return False

    def _is_of_a_part(self, match: Match) -> bool:
        text = self._text
        for ahead in (0, 1, 2):
            part = self._parts.get(match.last + ahead)
            if part is not None:
                if text.clauses[match.last - 1] != text.clauses[part.first]:
                    break
                between = text.words[match.last : part.first]
                if match.language in ("en", "de") or not between:
                    if any(match.last <= kind.first <= part.first for kind in self._kinds):
                        break
                    if any(word in ("with", "and", "mit", "und") for word in between):
                        break
                    return match.language in ("en", "de")
        if match.language in ("en", "de") and (other := self._beside(match)) is not None:
            return self._is_of_a_part(other)
        for back in (0, 1, 2, 3):
            part = self._part_ends.get(match.first - back)
            if part is None:
                continue
            between = text.words[part.last : match.first]
            if text.sentences[part.last - 1] != text.sentences[match.first]:
                continue
            if not between and ":" in self._gap(match.first):
                return True  # "Lining: nylon"
            if match.language in ("en", "de") and not (
                between and between[0] in ("in", "is", "are", "of", "aus")
            ):
                continue
            if all(
                word in _LINKS or word.isdigit() or place in self._branded
                for place, word in enumerate(between, part.last)
            ) and not any(part.last <= kind.first < match.first for kind in self._kinds):
                return True
        return False

    def _beside(self, match: Match) -> Match | None:
        """The value of the same kind behind it that it is joined with: "blue and white laces"."""
        text = self._text
        return next(
            (
                other
                for other in self._next.get(match.kind, ())
                if match.last <= other.first <= match.last + 1
                and text.sentences[other.first] == text.sentences[match.first]
                and (
                    text.words[match.last] in _ANDS
                    if other.first > match.last
                    else self._gap(other.first).strip() in ("/", "&", "+")
                )
            ),
            None,
        )
