"""Properties read from text: what sellers write means what it says, and what it seems to say besides does not count."""

import pytest

from fashion_assets.catalog.ontology.found import Reading
from fashion_assets.catalog.ontology.reading import read
from fashion_assets.catalog.ontology.vocabulary import PROPERTIES, SIXTEEN, ontology


def values(reading: Reading) -> dict[str, str]:
    return {name: found.value for name, found in reading.properties.items()}


def everything(reading: Reading, name: str) -> set[str]:
    """A property's value, what it stands under, and what holds as well."""
    found = reading.properties.get(name)
    return set() if found is None else {found.value, *found.under, *found.also}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "A vintage graphic band tee in soft cream cotton with relaxed fit",
            {"subcategory": "t-shirt", "color": "cream", "pattern": "graphic", "material": "cotton", "style": "vintage", "fit": "relaxed"},
        ),
        ("A casual summer dress layered over a long sleeve shirt with a graphic print", {"category": "dresses", "pattern": "graphic", "season": "summer"}),
        (
            "A vintage graphic crew neckline short sleeve cotton tee in beige",
            {"category": "tops", "neckline": "crew", "sleeve_length": "short", "color": "beige"},
        ),
        ("A red red vintage tee with crew crew neckline", {"color": "red", "neckline": "crew", "subcategory": "t-shirt"}),
        ("Vintage 1990s grunge flannel shirt", {"subcategory": "shirt", "era": "1990s", "style": "vintage"}),
        ("1950s style circle skirt in navy blue", {"category": "skirts", "era": "1950s", "color": "navy blue"}),
        ("2000s low-rise bootcut jeans", {"subcategory": "jeans", "fit": "bootcut", "era": "2000s"}),
        ("Chanel tweed jacket with gold buttons", {"subcategory": "jacket", "material": "tweed", "brand": "Chanel", "designer_tier": "luxury", "color": None}),
        ("Lululemon align yoga leggings in black", {"subcategory": "leggings", "color": "black", "brand": "Lululemon", "occasion": "sports"}),
        ("Patagonia fleece jacket for hiking", {"category": "outerwear", "material": "fleece", "brand": "Patagonia", "occasion": "sports"}),
        ("Nike air max sneakers in white", {"category": "shoes", "subcategory": "sneakers", "color": "white", "brand": "Nike"}),
        ("Oversized bomber jacket in olive green", {"subcategory": "bomber", "color": "olive", "fit": "oversized"}),
        ("Platform ankle boots in black leather", {"subcategory": "ankle-boots", "color": "black", "material": "leather"}),
        ("Crossbody bag in cognac leather", {"category": "bags", "subcategory": "crossbody-bag", "material": "leather", "color": "brown"}),
        ("Recycled polyester puffer coat", {"category": "outerwear", "material": "polyester", "sustainability": "recycled"}),
        ("Tencel lyocell midi dress with floral print", {"subcategory": "midi-dress", "material": "lyocell", "pattern": "floral"}),
        ("blue black pattern dress", {"category": "dresses", "color": "blue", "secondary_color": "black"}),
        ("A-line dress with a geometric pattern, bohemian", {"subcategory": "a-line-dress", "pattern": "geometric", "style": "bohemian"}),
        ("Orange Culture silk shirt", {"brand": "Orange Culture", "color": None, "material": "silk"}),
        ("Bright vibrant red summer dress", {"category": "dresses", "color": "red", "season": "summer"}),
    ],
)  # fmt: skip
def test_a_text_says_what_it_says(text: str, expected: dict[str, str | None]):
    found = values(read(text))
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "name", "wrong"),
    [
        ("An elegant skirted hem silhouette with tailored finish", "category", "skirts"),
        ("J.Crew silk blouse", "neckline", "crew"),
        ("H&M knit sweater", "size", "M"),
        ("flat-mars-shirt", "category", "shoes"),
        ("short sleeve graphic tee", "category", "bottoms"),
        ("floral appliqués on a top", "size", "S"),
        ("a warm sweater", "season", "summer"),
        ("black mini skirt", "category", "dresses"),
        ("vintage Levi's jacket", "brand", "vintage"),
        ("vintage Levi's jacket", "condition", "vintage"),
        ("Levi's 501", "size", "S"),
        ("Jacket, no stretch, not leather", "material", "leather"),
        ("leather-look trousers", "material", "leather"),
        ("leather-free shoes", "material", "leather"),
        ("A top in white. Wear with denim shorts", "material", "denim"),
        ("A top in white. Wear with denim shorts", "category", "bottoms"),
        ("coat in mint condition", "color", "green"),
        ("Gap jeans, on sale, worn once", "brand", "On"),
        ("jeans with a gap at the waist", "brand", "Gap"),
        ("Veste noire doublure en soie", "material", "silk"),
        ("Black bag with silver hardware", "secondary_color", "silver"),
        ("Pantalon sans cuir", "material", "leather"),
        ("Pull gris, smoke free home", "fit", "loose"),
        ("Maglione Think Pink", "color", "pink"),
        ("Parka con bordo in pelliccia", "color", "burgundy"),
        ("Manteau pour aller à la pêche", "color", "peach"),
        ("Timeless/classique handbag", "style", "classic"),
        ("Chanel tweed jacket with gold buttons", "subcategory", "blazer"),
        ("Levi's denim jacket, vintage", "designer_tier", "vintage"),
        ("Flannel shirt, warm", "category", "shoes"),
        ("Foggy Tee", "brand", "Fear of God"),
    ],
)  # fmt: skip
def test_what_a_text_seems_to_say_does_not_count(text: str, name: str, wrong: str):
    assert wrong not in everything(read(text), name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Robe longue noire 100% coton, taille M, jamais portée", {"subcategory": "maxi-dress", "color": "black", "material": "cotton", "size": "M", "condition": "new"}),
        ("Veste en jean bleue, très bon état, homme", {"subcategory": "denim-jacket", "color": "blue", "condition": "very good", "gender": "men"}),
        ("Giacca in pelle marrone, taglia 48, ottime condizioni", {"category": "outerwear", "material": "leather", "color": "brown", "size": "48", "condition": "excellent"}),
        ("Maglione uomo in lana blu scuro, xxl, come nuovo", {"subcategory": "sweater", "material": "wool", "color": "navy blue", "size": "XXL", "condition": "like new"}),
        ("Pantalón de algodón azul marino talla 42, nuevo con etiqueta", {"category": "bottoms", "material": "cotton", "color": "navy blue", "condition": "new with tags", "size": "42"}),
        ("Zapatos de mujer en ante negro, sin estrenar", {"category": "shoes", "gender": "women", "material": "suede", "color": "black", "condition": "new"}),
        ("Herren Lederjacke schwarz Größe L, sehr guter Zustand", {"subcategory": "leather-jacket", "gender": "men", "color": "black", "size": "L", "condition": "very good"}),
        ("Gruener Mantel aus Wolle", {"subcategory": "coat", "color": "green", "material": "wool"}),
        ("Jupe en simili cuir", {"category": "skirts", "material": "faux leather"}),
        ("Pull sans manches en cachemire, pas de laine", {"material": "cashmere", "sleeve_length": "sleeveless"}),
    ],
)  # fmt: skip
def test_five_languages_are_read(text: str, expected: dict[str, str]):
    found = values(read(text))
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "value", "system"),
    [
        ("Levi's 501 W32 L34", "W32 L34", "waist"),
        ("jeans 31x32", "W31 L32", "waist"),
        ("boots size 39 EU", "39", "eu"),
        ("sneakers US 9.5", "9.5", "us"),
        ("Men's Medium hoodie", "M", "international"),
        ("coat Size: x-large", "XL", "international"),
        ("giubbotto 8 anni", "8 years", "age"),
        ("Veste T38", "38", None),
        ("navy suit 42R", "42R", None),
        ("hat, one size", "one size", "one size"),
    ],
)
def test_a_size_is_told_with_its_system(text: str, value: str, system: str | None):
    found = read(text).properties["size"]
    assert (found.value, found.system) == (value, system)


def test_the_greatest_share_is_the_material():
    found = read("Knit top", "5% elastane, 35% cotton, 60% wool. Lining: 100% polyester").properties[
        "material"
    ]
    assert (found.value, found.shares) == ("wool", {"elastane": 5, "cotton": 35, "wool": 60})


def test_a_stated_value_wins_and_a_stated_brand_is_no_colour():
    reading = read(
        "Brown Orange silk dress", None, {"brand": "Orange", "material": ["100% Viscose"], "color": "Noir"}
    )
    assert values(reading)["material"] == "viscose" and reading.properties["material"].origin == "stated"
    assert values(reading)["color"] == "black" and values(reading)["brand"] == "Orange"
    assert values(read("Brown Orange dress", None, {"brand": "Orange"})).get("secondary_color") is None
    assert values(read("Dress", None, {"color": "N/A"})).get("color") is None


@pytest.mark.parametrize(
    ("name", "stated", "value"),
    [
        ("condition", "is_gently_used", "very good"),
        ("condition", "Never worn, with tag", "new with tags"),
        ("condition", "Très bon état", "very good"),
        ("color", "VERT FONCÉ", "green"),
        ("color", "blu scuro", "navy blue"),
        ("gender", "M", "men"),
        ("size", "38 EU", "38"),
        ("material", "5% Spandex, 95% Cotton", "cotton"),
        ("color", "sparkly", "sparkly"),
        ("category", "Dress shoes", "shoes"),
        ("category", "Handbags", "bags"),
        ("subcategory", "Sweatshirts & Hoodies", "sweatshirt"),
        ("color", "Dark Rose", "pink"),
        ("color", "Scarlet", "red"),
        ("color", "vert", "green"),
        ("color", "Gray", "grey"),
        ("condition", "new_with_tag", "new with tags"),
        ("condition", "Used - Excellent", "excellent"),
        ("condition", "satisfactory", "fair"),
        ("size", "32x34", "W32 L34"),
        ("size", "UK 9", "9"),
        ("size", "One Size", "one size"),
    ],
)
def test_a_stated_value_becomes_the_canonical_one(name: str, stated: str, value: str):
    found = read("Thing", None, {name: stated}).properties[name]
    assert (found.value, found.origin, found.evidence) == (value, "stated", stated)


def test_what_does_not_apply_is_told_from_what_is_not_said():
    reading = read("Leather handbag", "slim fit")
    assert {"fit", "neckline", "sleeve_length", "size"} <= set(
        reading.not_applicable
    ) and "fit" not in reading.properties
    assert "color" in reading.not_said
    assert {*reading.properties, *reading.not_applicable, *reading.not_said} == set(PROPERTIES)
    assert len(SIXTEEN) == 16


def test_evidence_stands_in_the_text_as_it_was_written():
    text = "VESTE Bleu\u00a0Marine, taille M, laine d\u2019agneau, e\u0301tat neuf"
    for found in read(text).properties.values():
        assert found.evidence in text or found.evidence in __import__("unicodedata").normalize("NFC", text)


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800 red", "💕" * 50, "a" * 100_000, "100%", "size", "% cotton", "%%%%", "ß", "İstanbul red dress"])  # fmt: skip
def test_whatever_the_text_a_reading_is_made(text: str):
    read(text, text, {"color": text, "size": text, "brand": text, "material": [text]}).to_dict()


def test_a_placeholder_is_no_description():
    assert "color" not in read("Dress", "[PLACEHOLDER] Description for a red dress").properties


@pytest.mark.parametrize(
    ("title", "description", "name", "value"),
    [
        ("Gini and Jony Boys Pack of 2 T-shirts", None, "size", None),
        ("Weißes Kleid", None, "color", "white"),
        ("Women Short Black Dress", None, "sleeve_length", None),
        (None, "Monogram Multicolor tote in great condition", "color", None),
        ("Multicolor tote", None, "color", "multi"),
        (None, "Crafted of signature coated canvas with brass", "material", None),
        ("Tote in coated canvas", None, "material", "coated canvas"),
    ],
)
def test_what_looks_like_a_value_and_is_none(
    title: str | None, description: str | None, name: str, value: str | None
):
    assert values(read(title, description)).get(name) == value


@pytest.mark.parametrize(
    ("description", "name", "value"),
    [
        ("Suede boots. Lining: nylon", "material", "suede"),
        ("Boots. Lining: nylon", "material", None),
        ("Sunglasses. Frame color: black. Lens color: grey", "color", "black"),
        ("Sunglasses. Lens material: nylon", "material", None),
        ("Leather boots with blue and white decorative laces", "color", None),
        ("Sneakers with one torn lace", "material", None),
        ("Sweater.\nColor: grey, black, orange", "color", "multi"),
        ("Belt in gold with its box", "color", None),
        ("Earrings in gold", "color", "gold"),
        ("Sunglasses in acetate", "material", "plastic"),
        ("A dress. 100% acetate", "material", "acetate"),
        ("14k gold plated earrings", "material", "gold plated"),
        ("Polo à manches courtes avec liseré. Matière 97% coton, 3% élasthanne", "material", "cotton"),
        ("Chemise à carreaux avec logo Ralph Lauren rouge", "color", None),
    ],
)
def test_a_description_tells_of_the_thing_and_not_of_its_parts(
    description: str, name: str, value: str | None
):
    assert values(read(None, description, least=0)).get(name) == value


@pytest.mark.parametrize(
    ("description", "name", "value"),
    [
        ("Wool jumper, hardly worn", "material", "wool"),
        ("Bought last year. Never worn. Wool is so itchy", "material", None),
        ("Bought last year. Never worn. A wool jumper", "material", "wool"),
        ("Bought last year. Never worn. The leather is soft", "material", "leather"),
        ("Bought last year. Never worn. Photographed on black", "color", None),
        ("A nylon backpack", "material", None),
        ("Material: nylon", "material", "polyamide"),
        ("A nylon jacket", "material", "polyamide"),
        ("A satin dress", "material", None),
        ("A dress in cotton and linen", "material", None),
    ],
)
def test_what_sellers_state_otherwise_is_not_said_of_a_description_alone(
    description: str, name: str, value: str | None
):
    assert values(read(None, description)).get(name) == value
    assert values(read(description)).get(name) is not None or "Photo" in description, "a title says it"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Veste noire en excellent état, neuf", "excellent"),
        ("Polo. État : Neuf", "new"),
        ("Portées quelques fois. État neuf", "like new"),
        ("Pantalon très peu porté. Excellent état", "excellent"),
        ("Camisa en perfecto estado", "excellent"),
        ("Gilet in perfetto stato", "excellent"),
        ("Cárdigan. No se pierda ninguna prenda nueva", None),
        ("Jupe jamais portée, bon état", "new"),
    ],
)
def test_a_state_is_the_one_that_is_named(text: str, value: str | None):
    found = read(None, text, least=0).properties.get("condition")
    assert (found and found.value) == value


def test_a_word_that_sellers_write_for_a_brand_is_none():
    assert read("Camicia uomo", None, {"brand": "Uomo"}).properties["gender"].value == "men"


def test_a_value_may_stand_under_several():
    line = ontology().line
    assert line("material", "fleece") == ("polyester", "synthetic", "cloth")
    assert line("colour", "off white") == ("white", "beige", "brown")
    assert line("subcategory", "jeans")[0] == "bottoms" and line("material", "no such thing") == ()
