"""From the words of a listing to its properties.

What belongs here: choosing each property's value among what the phrases say, and its confidence. What does not: finding phrases
(`phrases`), what context makes of them (`context`), sizes (`sizes`), what kind of thing it is (`kinds`).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fashion_assets.catalog.brands import canonical_brand
from fashion_assets.catalog.normalization import canonical
from fashion_assets.catalog.ontology import calibration, materials
from fashion_assets.catalog.ontology.candidates import Candidate, is_a_pair, is_weak
from fashion_assets.catalog.ontology.context import ALIKE, DENIED, ELSEWHERE, LABELLED, PART, Context
from fashion_assets.catalog.ontology.found import Found, Reading
from fashion_assets.catalog.ontology.kinds import Kind, inapplicable_to, kind_of
from fashion_assets.catalog.ontology.named import named_in
from fashion_assets.catalog.ontology.phrases import Phrases, every_phrase
from fashion_assets.catalog.ontology.sizes import Size, find_sizes
from fashion_assets.catalog.ontology.tokens import Words, plain, words_of, words_of_name
from fashion_assets.catalog.ontology.vocabulary import FILES, PROPERTIES, Ontology
from fashion_assets.catalog.stated import NULL_WORDS

STATED, TEXT = "stated", "text"

_PLACEHOLDER = re.compile(
    r"\s*(?:\[(?:PLACEHOLDER|ERROR)\]|(?:Placeholder|Fallback) description for|Failed to describe)",
    re.IGNORECASE,
)
"""What stood in for a description that could not be made: nothing is read from it."""

_TAG = re.compile(r"#\s?\w+")

MANY_TAGS = 6
"""Hashtags: more of them are there to be found by, and tell of everything."""

_LATE, _LATE_WORDS = 2, 20
"""Sentences, and words where none ends, after which a description has mostly said what the thing is, and goes on with fittings, wear,
what is sold beside."""

_OF_KINDS = frozenset({"category", "subcategory", "gender"})
"""Properties for which it counts what kind of thing the words are about."""

_SIMPLE = ("pattern", "style", "fit", "season", "occasion", "neckline", "sleeve_length", "sustainability")
_GENERIC = {
    "material": frozenset(
        {"cloth", "synthetic", "metal", "plastic", "glitter", "crystal", "satin", "jacquard"}
    ),
    "pattern": frozenset({"printed", "solid", "textured"}),
    "fit": frozenset({"high-waisted", "mid-rise", "low-rise", "cropped"}),
}
"""Values that give way to others of the same text."""

_OF_FITTINGS = frozenset({"gold", "silver", "metallic", "bronze", "copper"})
"""Colours that a description of clothes, shoes and bags mostly tells of fittings."""

_DECADE = re.compile(
    r"(?<![a-z0-9$€£])(?:(?P<whole>19[2-9]0|20[0-2]0)\s?['\u2019\u00b4`]?s(?![a-z])"
    r"|['\u2019\u00b4`]?(?P<short>[2-9]0)\s?['\u2019\u00b4`]?s(?![a-z0-9])"
    r"|(?:anni|annees|anos)\s?['\u2019\u00b4`]?(?P<named>19[2-9]0|20[0-2]0|[2-9]0)(?![a-z0-9])|(?P<german>[2-9]0)er(?![a-z]))"
)
_CONDITION_ORDER = ("new with tags", "new without tags", "new", "like new")
_OF_PRICES = frozenset(["prix", "prezzo", "precio", "valeur", "valore", "valor", "costo", "cout", "da", "preis", "achat", "achete", "acheter", "un", "una", "de"])  # fmt: skip
"""Before a bare "new" in other languages than English: the price of a new one."""
_WORN = re.compile(r"\b(?:porte|mis|worn|used|indossat|usat|mess|usad|puest|servi|uso|getragen)[a-z]*")
_CONDITION_LAST = frozenset({"used"})
_OTHER = frozenset(NULL_WORDS) | {"other", "others", "autre", "altro", "otro", "andere", "various"}


def read(
    title: str | None,
    description: str | None = None,
    stated: Mapping[str, Sequence[str] | str] | None = None,
    *,
    least: float = calibration.LEAST,
    wanted: Collection[str] = PROPERTIES,
    line: Collection[str] = (),
) -> Reading:
    """Read a listing's properties.

    Args:
        stated: by property (and `brand`) what the record states, in its own words. Stated values win over what the text says; a brand
            that is stated is no colour in the text.
        wanted: the properties to look for; the fewer, the quicker.
        line: what kind of thing it is known to be, from narrow to wide (`named.line_of`): it decides what applies.
    """
    known, phrases = every_phrase()
    said = {name: _texts(raw) for name, raw in (stated or {}).items()}
    said = {name: texts for name, texts in said.items() if texts}
    reader = _Reader(known, phrases, title or "", _text(description), said, least, wanted)
    return reader.reading(set(line))


def _text(description: str | None) -> str:
    if not description or _PLACEHOLDER.match(description):
        return ""
    if description.count("#") > MANY_TAGS:
        said = description[: description.index("#")]
        return said if said.strip() else _TAG.sub(lambda tag: " " * len(tag[0]), description)
    return description


def _is_of_wear(each: Candidate) -> bool:
    return each.value not in ("new", "new with tags") and _WORN.search(plain(each.evidence)) is not None


def _texts(raw: Sequence[str] | str) -> list[str]:
    texts = [raw] if isinstance(raw, str) else [each for each in raw if isinstance(each, str)]
    return [text.strip() for text in texts if text.strip() and text.strip().lower() not in _OTHER]


class _Reader:
    """One listing being read."""

    def __init__(
        self,
        known: Ontology,
        phrases: Phrases,
        title: str,
        description: str,
        stated: dict[str, list[str]],
        least: float,
        wanted: Collection[str],
    ) -> None:
        self._known, self._phrases, self._stated, self._least = known, phrases, stated, least
        self._wanted = wanted
        self._title, self._description = words_of(title), words_of(description)
        self.language = phrases.language(self._title, self._description)
        brands = frozenset(words_of_name(name) for name in stated.get("brand", ()))
        self.candidates: dict[str, list[Candidate]] = {}
        self._worn = False
        for text, place in ((self._title, "title"), (self._description, "text")):
            if not text.words:
                continue
            matches = phrases.find(text, self.language, brands=brands, title=place == "title")
            context = Context(text, matches)
            self._worn = self._worn or context.tells_wear()
            for match in matches:
                if match.kind not in known.properties and match.kind != "brand":
                    continue
                became = context.of(match)
                if became in (DENIED, ALIKE, ELSEWHERE, PART):
                    continue
                where = "label" if became == LABELLED and place == "text" else place
                evidence = text.between(match.first, match.last)
                aside = (
                    where == "text"
                    and match.kind in ("colour", "material")
                    and (text.sentences[match.first] >= _LATE or match.first >= _LATE_WORDS)
                    and not context.is_about(match)
                )
                self.candidates.setdefault(match.kind, []).append(Candidate(match, where, evidence, aside))
        self.found: dict[str, Found] = {}

    def reading(self, line: set[str]) -> Reading:
        wanted = self._wanted
        kind = None
        if not line or not _OF_KINDS.isdisjoint(wanted):
            kind = kind_of(self._known, self.language, self.candidates, self._title, self._description)
            self._kinds(kind)
        self._brand()
        if "color" in wanted or "secondary_color" in wanted:
            self._colours()
        for name, look in (
            ("material", self._material),
            ("gender", lambda: self._gender(kind)),
            ("condition", self._condition),
            ("size", self._sizes),
            ("era", self._era),
        ):
            if name in wanted:
                look()
        for name in _SIMPLE:
            if name in wanted:
                self._simple(name)
        told = self.found.get("color")
        self._say_stated()
        self._second_colour_is_another(told)
        category, subcategory = self.found.get("category"), self.found.get("subcategory")
        line = line or {
            value for found in (category, subcategory) if found for value in (found.value, *found.under)
        }
        inapplicable = inapplicable_to(frozenset(line))
        if self._stated:
            inapplicable = tuple(name for name in inapplicable if name not in self._stated)
        for name in inapplicable:
            self.found.pop(name, None)
        properties = {name: self.found[name] for name in PROPERTIES if name in self.found and name in wanted}
        return Reading(properties, inapplicable, self.language)

    def _say(self, name: str, value: str, way: str, evidence: str, **facts: Any) -> None:
        sure = calibration.confidence(name, way)
        if sure < self._least:
            return
        file = FILES.get(name, name)
        under = self._known.line(file, value) if file in self._known.properties else ()
        self.found[name] = Found(value, sure, TEXT, evidence, under, way=way, **facts)

    def _kinds(self, kind: Kind | None) -> None:
        if kind is None:
            return
        self._say("category", kind.category, kind.way, kind.evidence)
        if kind.subcategory is not None:
            self._say("subcategory", kind.subcategory, kind.way, kind.evidence)

    def _brand(self) -> None:
        brands = self.candidates.get("brand", [])
        if brands:
            first = brands[0]
            self._say("brand", first.value, first.place, first.evidence)
            tier = self._known.tiers.get(first.value.lower())
            if tier is not None:
                self._say("designer_tier", tier, first.place, first.evidence)

    def _line(self, name: str, value: str) -> set[str]:
        return {value, *self._known.line(name, value)}

    def _kin(self, name: str, one: str, other: str) -> bool:
        """Whether two values are of one line: navy blue and blue."""
        known = self._known
        return one == other or one in known.line(name, other) or other in known.line(name, one)

    def _apart(self, name: str, every: Sequence[Candidate]) -> list[str]:
        """The values of which none stands under another."""
        apart: list[str] = []
        for each in every:
            if not any(self._kin(name, each.value, other) for other in apart):
                apart.append(each.value)
        return apart

    def _chosen(self, name: str) -> tuple[list[Candidate], str] | None:
        """Candidates of the place that says most, the first first, and the way: `+` where the other place agrees, `-` where
        something says otherwise, `&` for two side by side."""
        every = self.candidates.get(name)
        if every is None:
            return None
        generic = _GENERIC.get(name, frozenset())
        for place in ("title", "label", "text"):
            here = [each for each in every if each.place == place]
            if not here:
                continue
            here.sort(key=lambda each: each.value in generic)
            first = here[0]
            if first.aside:
                return here, "aside"
            agreeing = sum(self._kin(name, first.value, each.value) for each in every) > 1
            if is_a_pair(here, self._title if place == "title" else self._description):
                return here, f"{place}&"
            against = any(
                not self._kin(name, first.value, each.value) and each.value not in generic
                for each in (every if place == "text" else here)
                if not each.aside
            )
            return here, place + ("-" if against else "+" if agreeing else "")
        return None

    def _colours(self) -> None:
        chosen = self._chosen("colour")
        if chosen is None:
            return
        here, way = chosen
        if here[0].place == "text":
            of_metal = materials.may_be_of_metal(self._own_kinds())
            here = [each for each in here if each.value not in _OF_FITTINGS or of_metal]
            if not here:
                return
        many = next((each for each in here if each.value == "multi"), None)
        if many is None and here[0].place == "label" and len(self._apart("colour", here)) > 2:
            return self._say("color", "multi", "label&", here[0].evidence)
        if many is not None and (many is here[0] or many.place != "text"):
            # In a description "multicolour" is mostly of a print, a logo, a detail.
            way = {"text": "many", "label": "label&"}.get(many.place, way)
            return self._say("color", "multi", way, many.evidence)
        here = [each for each in here if each.value != "multi"]
        first = here[0]
        narrower = next(
            (each for each in here[1:2] if first.value in self._known.line("colour", each.value)), first
        )
        self._say("color", narrower.value, way, narrower.evidence)
        second = next((each for each in here if not self._kin("colour", first.value, each.value)), None)
        if second is not None and "color" in self.found:
            self._say("secondary_color", second.value, way, second.evidence)

    def _second_colour_is_another(self, told: Found | None) -> None:
        """Where the record states the colour that the text has second, the first one of the text is the second."""
        first, second = self.found.get("color"), self.found.get("secondary_color")
        if first is None or second is None or not self._kin("colour", first.value, second.value):
            return
        del self.found["secondary_color"]
        if told is not None and not self._kin("colour", first.value, told.value):
            self.found["secondary_color"] = told

    def _material(self) -> None:
        every = self.candidates.get("material", ())
        made = materials.composition_of(every, self._title, self._description)
        if made is None and (chosen := self._chosen("material")) is not None:
            made = materials.made_of(self._known, self._own_kinds(), *chosen)
        if made is not None:
            self._say("material", made.value, made.way, made.evidence, also=made.also, shares=made.shares)

    def _own_kinds(self) -> frozenset[str]:
        return frozenset(self.found[name].value for name in ("category", "subcategory") if name in self.found)

    def _gender(self, kind: Kind | None) -> None:
        every = self.candidates.get("gender", [])
        chosen = self._chosen("gender")
        if chosen is not None:
            here, way = chosen
            young = [each for each in here if each.value in ("boys", "girls", "kids")]
            both = next((each for each in here if each.value == "unisex"), None)
            if both is not None and not young:
                return self._say("gender", "unisex", way.rstrip("+-"), both.evidence)
            narrow = next((each for each in here if each.value in ("boys", "girls")), here[0])
            if both is not None:
                narrow = young[0]
            return self._say("gender", narrow.value, way, narrow.evidence)
        if kind is not None and kind.usually_for is not None and not every:
            self._say("gender", kind.usually_for, "implied", kind.evidence)

    def _condition(self) -> None:
        every = [each for each in self.candidates.get("condition", []) if not self._is_of_something_new(each)]
        if not every:
            return
        strong = [each for each in every if not is_weak(each) and each.value not in _CONDITION_LAST]
        if any(not _is_of_wear(each) for each in strong):
            # Who names a state says more than how often it was worn.
            named = [each for each in strong if not _is_of_wear(each)]
        else:
            named = strong
        first = next((each for value in _CONDITION_ORDER for each in named if each.value == value), None)
        first = first or (named or sorted(every, key=lambda each: each.value in _CONDITION_LAST))[0]
        own = self._line("condition", first.value)
        against = any(own.isdisjoint(self._line("condition", each.value)) for each in strong)
        if not strong:
            way = "weak"
        elif first.value == "good" and first.match.language == "en" and first.place != "label":
            way = "good+" if self._worn else "good"
        else:
            way = first.place + ("-" if against or self._worn else "")
        self._say("condition", first.value, way, first.evidence)

    def _is_of_something_new(self, each: Candidate) -> bool:
        """Whether a bare "new" may be of a model, a price, a sole: it says the thing's state where a sentence begins or ends by it."""
        if not is_weak(each):
            return False
        text = self._title if each.place == "title" else self._description
        first, last = each.match.first, each.match.last
        if each.match.language != "en":
            return first > 0 and text.words[first - 1] in _OF_PRICES
        begins = first == 0 or text.sentences[first - 1] != text.sentences[first]
        ends = last == len(text.words) or text.clauses[last] != text.clauses[last - 1]
        return not (begins or ends)

    def _sizes(self) -> None:
        for text, place in ((self._title, "title"), (self._description, "text")):
            sizes = find_sizes(text.text)
            if sizes:
                return self._say_size(sizes, text, place)

    def _say_size(self, sizes: list[Size], text: Words, place: str) -> None:
        first = next((each for each in sizes if each.sure), sizes[0])
        same = next((each for each in sizes if each.value == first.value and each.system), first)
        way = place + ("" if len({each.value for each in sizes}) == 1 else "-") if first.sure else "weak"
        self._say("size", same.value, way, text.text[first.first : first.last].strip(), system=same.system)

    def _era(self) -> None:
        for text, place in ((self._title, "title"), (self._description, "text")):
            found = _DECADE.search(plain(text.text))
            if found is not None:
                said = found["whole"] or found["short"] or found["named"] or found["german"]
                decade = said if len(said) == 4 else ("20" if said == "00" else "19") + said
                return self._say("era", f"{decade}s", place, text.text[found.start() : found.end()])
        self._simple("era")

    def _simple(self, name: str) -> None:
        chosen = self._chosen(name)
        if chosen is None:
            return
        here, way = chosen
        values = dict.fromkeys(each.value for each in here)
        if self._known.properties[name].several:
            values |= dict.fromkeys(each.value for each in self.candidates[name])
            way = way.rstrip("-&")
            if name == "season" and len(values) == 4:
                return self._say(name, "all season", way, here[0].evidence)
        first = here[0]
        also = tuple(each for each in values if each not in self._line(name, first.value))
        self._say(name, first.value, way, first.evidence, also=also)

    def _say_stated(self) -> None:
        for name, texts in self._stated.items():
            if name == "brand":
                brand = canonical_brand(texts[0])
                self._found_stated("brand", brand, texts[0], known=True)
                tier = self._known.tiers.get(brand.lower())
                if tier is not None:
                    self._found_stated("designer_tier", tier, texts[0], known=True)
            elif name == "size":
                sizes = find_sizes(texts[0]) or find_sizes(f"size {texts[0]}")
                value, system = (sizes[0].value, sizes[0].system) if sizes else (texts[0], None)
                self._found_stated(name, value, texts[0], known=bool(sizes), system=system)
            elif name in PROPERTIES:
                self._value_stated(name, texts)

    def _value_stated(self, name: str, texts: list[str]) -> None:
        file = FILES.get(name, name)
        values: dict[str, str] = {}
        shares: dict[str, int] = {}
        vocabulary = self._known.properties[file].vocabulary if file in self._known.properties else None
        for text in texts:
            if vocabulary is not None:
                whole, known = canonical(vocabulary, text)
                if known and whole is not None:
                    values.setdefault(whole, text)
                    continue
            named, own = named_in(name, text, self.language)
            for value in named:
                values.setdefault(value, text)
            shares |= own
        if not values:
            return self._found_stated(name, " ".join(texts[0].lower().split())[:100], texts[0], known=False)
        if len(shares) == len(values):
            values = dict(sorted(values.items(), key=lambda each: -shares[each[0]]))
        first, *others = values
        if name == "category" and first not in self._known.properties["category"].values:
            if "subcategory" not in self._stated:
                self._found_stated("subcategory", first, values[first], known=True)
            line = self._known.line("subcategory", first)
            first = next((each for each in line if each in self._known.properties["category"].values), first)
            others = []
        self._found_stated(
            name,
            first,
            values.get(first, texts[0]),
            known=True,
            also=tuple(others) if name != "color" else (),
            shares=shares,
        )
        if name == "color" and others and "secondary_color" not in self._stated:
            self._found_stated("secondary_color", others[0], values[others[0]], known=True)

    def _found_stated(self, name: str, value: str, evidence: str, *, known: bool, **facts: Any) -> None:
        file = FILES.get(name, name)
        under = self._known.line(file, value) if file in self._known.properties else ()
        sure = calibration.STATED if known else calibration.STATED_UNKNOWN
        self.found[name] = Found(value, sure, STATED, evidence, under, **facts)
