"""Which pieces go together, by the shipped rules and by a shop's own."""

from pathlib import Path

import pytest

from fashion_assets.catalog import outfits
from fashion_assets.catalog.outfits import SHIPPED, OutfitError, Piece


def piece(article_type: str, sub_category: str | None = None, **more: object) -> Piece:
    stated = {"article_type": article_type, "sub_category": sub_category, "gender": "women", **more}
    return {name: stated.get(name) for name in outfits.JUDGED_BY}


@pytest.fixture(scope="module")
def rules() -> outfits.OutfitRules:
    return outfits.read()


@pytest.mark.parametrize(
    ("worn", "kinds"),
    [
        ("dress", [("dresses", "dress"), ("sarees", "saree"), ("kurta sets", "apparel set"), (None, "dress")]),
        ("top", [("shirts", "topwear"), ("tshirts", None), (None, "topwear")]),
        ("bottom", [("jeans", "bottomwear"), ("skirts", None)]),
        ("outerwear", [("blazers", "topwear"), ("cardigans", None), ("rain jacket", "topwear")]),
        ("footwear", [("heels", "shoes"), ("flip flops", "flip flops")]),
        ("accessory", [("belts", "belts"), ("watches", None), (None, "bags"), ("tights", "bottomwear")]),
        (None, [("bra", "innerwear"), ("nightdress", None), ("swimwear", "apparel set"), ("lipstick", "lips"), (None, None)]),
    ],
)  # fmt: skip
def test_pieces_are_worn_somewhere_or_are_no_part_of_a_look(
    rules: outfits.OutfitRules, worn: str | None, kinds: list[tuple[str, str]]
):
    assert [rules.slot(piece(*kind)) for kind in kinds] == [worn] * len(kinds)


SHIRT = piece("shirts", "topwear", usage="casual")
JEANS = piece("jeans", "bottomwear", usage="casual")
DRESS = piece("dresses", "dress")


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (SHIRT, piece("bra", "innerwear"), "no part of a look"),
        (SHIRT, piece("tops", "topwear"), "two pieces worn as top"),
        (piece("jackets"), piece("blazers"), "two pieces worn as outerwear"),
        (piece("watches", "watches"), piece("watches", "watches"), "two pieces worn as accessory"),
        (DRESS, SHIRT, "dress with top"),
        (JEANS, DRESS, "bottom with dress"),
        (SHIRT, {**JEANS, "gender": "girls"}, "women with girls"),
        (SHIRT, {**JEANS, "gender": "men"}, "women with men"),
        ({**SHIRT, "gender": "boys"}, {**JEANS, "gender": "girls"}, "boys with girls"),
        ({**SHIRT, "gender": "kids"}, {**JEANS, "gender": "unisex"}, "kids with unisex"),
        (SHIRT, piece("track pants", "bottomwear"), "sports things with others"),
        ({**SHIRT, "usage": "sports"}, JEANS, "sports things with others"),
        (piece("blazers"), JEANS, "blazers with jeans"),
        (piece("sandals", "sandal"), piece("suits"), "suits with sandals"),
        ({**DRESS, "usage": "formal"}, piece("flip flops", "flip flops"), "dresses with flip flops"),
        ({**DRESS, "usage": "formal"}, piece("backpacks", "bags"), "dresses with backpacks"),
        ({**SHIRT, "colour": "red"}, {**JEANS, "colour": "pink"}, "red with pink"),
        ({**SHIRT, "colour": "magenta"}, {**JEANS, "colour": "red"}, "magenta with red"),
        ({**SHIRT, "colour": "mustard"}, {**JEANS, "colour": "orange"}, "mustard with orange"),
        (SHIRT, piece("trousers", "bottomwear", usage="formal"), "casual with formal"),
        (
            {**SHIRT, "normalized": {"style": ["streetwear"]}},
            {**JEANS, "normalized": {"style": ["classic"]}},
            "streetwear with classic",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_named_whichever_comes_first(
    rules: outfits.OutfitRules, one: Piece, other: Piece, why: str
):
    assert rules.clash(one, other) is not None and rules.clash(other, one) is not None
    assert why in (rules.clash(one, other), rules.clash(other, one))
    assert rules.broken([one, other]) and rules.why_not([one], other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SHIRT, JEANS),
        (SHIRT, {**JEANS, "gender": "unisex"}),
        (SHIRT, {**JEANS, "gender": None}),
        (piece("cardigans"), piece("jackets")),
        (piece("watches", "watches"), piece("handbags", "bags")),
        (piece("blazers"), piece("trousers", "bottomwear")),
        (piece("blazers"), piece("heels", "shoes")),
        ({**DRESS, "usage": "formal"}, piece("clutches", "bags", usage="formal")),
        ({**DRESS, "usage": "formal"}, piece("handbags", "bags", usage="formal")),
        ({**DRESS, "usage": "formal"}, piece("watches", "watches")),
        ({**SHIRT, "colour": "black"}, {**JEANS, "colour": "brown"}),
        ({**SHIRT, "colour": "red"}, {**JEANS, "colour": "navy blue"}),
        ({**SHIRT, "usage": "ethnic"}, JEANS),
        (
            {**SHIRT, "normalized": {"style": ["streetwear", "casual"]}},
            {**JEANS, "normalized": {"style": ["classic"]}},
        ),
        (piece("track pants", "bottomwear"), piece("sports shoes", "shoes")),
    ],
)  # fmt: skip
def test_what_goes_together_may_be_worn(rules: outfits.OutfitRules, one: Piece, other: Piece):
    assert rules.clash(one, other) is None and rules.clash(other, one) is None


def test_some_pieces_need_another(rules: outfits.OutfitRules):
    belt, socks = piece("belts", "belts"), piece("socks", "socks")
    assert rules.broken([SHIRT, belt]) == ["belts without bottom or dress"]
    assert rules.broken([SHIRT, belt, JEANS]) == []
    assert rules.broken([SHIRT, socks]) == ["socks without footwear"]
    assert rules.broken([SHIRT, socks, piece("heels", "shoes")]) == []


def test_of_one_colour_and_one_kind_are_two_at_the_most(rules: outfits.OutfitRules):
    blue = {"colour": "blue"}
    look = [SHIRT, {**JEANS, **blue}, piece("flats", "shoes", **blue)]
    watch = piece("watches", "watches", **blue)
    assert rules.why_not(look, watch) == "more than 2 of colour blue"
    assert rules.broken([*look, watch]) == ["more than 2 of colour blue"]
    assert rules.why_not([watch, *look[1:]], {**SHIRT, "colour": "red"}) is None
    bags = [piece(kind, "bags") for kind in ("handbags", "clutches", "backpacks")]
    assert "more than 2 of sub category bags" in rules.broken([SHIRT, *bags])
    many = [piece(kind, kind) for kind in ("watches", "scarves", "gloves", "belts")]
    assert rules.why_not([SHIRT, JEANS, *many[:3]], many[3]) == "more than 3 pieces worn as accessory"
    assert "more than 3 pieces worn as accessory" in rules.broken([SHIRT, JEANS, *many])


def test_slots_stay_open_that_a_piece_leaves_open(rules: outfits.OutfitRules):
    def of(one: Piece) -> list[str]:
        return [slot.name for slot in rules.open_slots(one)]

    assert of(DRESS) == ["footwear", "outerwear", "accessory"]
    assert of(SHIRT) == ["bottom", "footwear", "outerwear", "accessory"]
    assert of(piece("watches", "watches")) == ["dress", "top", "bottom", "footwear", "outerwear", "accessory"]
    assert "outerwear" in of(piece("jackets")), "a cardigan goes over it"
    assert of(piece("bra")) == []


def own(tmp_path: Path, was: str, now: str) -> Path:
    text = SHIPPED.read_text("utf-8")
    assert text.count(was) >= 1
    file = tmp_path / "outfits.toml"
    file.write_text(text.replace(was, now, 1), "utf-8")
    return file


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('"heels", "flats"', '"heals", "flats"', "slots.4.article_type: 'heals' is no value of article_type; did you mean 'heels'?"),
        ('"black", "white"', '"blakc", "white"', "colours.neutral: 'blakc' is no value of colour; did you mean 'black'?"),
        ('without = ["top", "bottom"]', 'without = ["tops"]', "without of dress: there is no slot 'tops'; there are dress, top,"),
        ("top = 0.1\n", "top = 0.9\n", "parts.2: top must lie above bottom"),
        ("bottom = 0.55", "bottom = 55", "parts.2.bottom"),
        ("[most]", "[[most_of]]\n[most]", "there is no key 'most_of'"),
        ("colour = 2", "color = 2", "most: there is no 'color'"),
        ("version = 1", "version = 2", "version"),
        ("version = 1", "", "version is missing"),
        ("version = 1", "version = ", "is not TOML"),
        ('usage = "occasion"', 'usage = "weather"', "compatible.usage"),
        ('slots = ["footwear"]', 'slots = ["feet"]', "there is no slot 'feet'"),
        ('pieces = [{article_type = ["belts", "suspenders"]}]', "pieces = [{}]", "it must name one of article_type"),
        ('name = "bottom"\narticle_type = ["jeans"', 'name = "bottom"\narticle_type = ["shirts"', "'shirts' is worn as top and as bottom"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_it_must_be_is_told_in_one_line(tmp_path: Path, was: str, now: str, said: str):
    file = own(tmp_path, was, now)
    with pytest.raises(OutfitError) as raised:
        outfits.read(file)
    assert said in str(raised.value) and str(file) in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path):
    with pytest.raises(OutfitError, match="FASHION_ASSETS_OUTFIT_RULES"):
        outfits.read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"version = 1 # \xe9")
    with pytest.raises(OutfitError, match="not UTF-8"):
        outfits.read(tmp_path / "latin.toml")


def test_a_shops_own_taste_counts(tmp_path: Path):
    rules = outfits.read(own(tmp_path, 'neutral = ["black", "white"', 'neutral = ["white"'))
    assert rules.clash({**SHIRT, "colour": "black"}, {**JEANS, "colour": "brown"}) == "black with brown"
    # Values may be written by their synonyms.
    rules = outfits.read(own(tmp_path, '"beige", "grey"', '"beige", "gray"'))
    assert "grey" in rules.colours.neutral


def test_parts_of_a_picture_are_shares_of_it(rules: outfits.OutfitRules):
    assert {part.name: part.box(600, 800) for part in rules.parts} == {
        "whole": (0, 0, 600, 800),
        "upper": (0, 80, 600, 440),
        "lower": (0, 336, 600, 736),
        "feet": (0, 656, 600, 800),
    }
