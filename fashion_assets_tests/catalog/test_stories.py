"""Stories: what the built-in writer says, and what is found that a record does not say."""

import json
import tomllib

import pytest

from fashion_assets.catalog.stories.checking import claims, unsupported
from fashion_assets.catalog.stories.story import Story, read_story
from fashion_assets.catalog.stories.writing import PHRASES, PlainWriter, Told, shown_title, told

WRITER = PlainWriter()


def written(record: Told) -> Story:
    """The story of a record that says anything."""
    story = WRITER.write(record)
    assert story is not None
    return story


LANGUAGES = sorted(
    file.name.removesuffix(".toml") for file in PHRASES.iterdir() if file.name.endswith(".toml")
)
FULL = Told(
    "p1",
    title="Vintage Nike Tee",
    description="Worn twice. I love it!",
    brand="Nike",
    colour="red",
    size="w32 l34",
    condition="very good",
    material="Cotton",
    price="18.00",
    currency="EUR",
    place="Lyon",
    platform="grailed",
    number="12345678",
    certifications=("gots",),
)


def test_it_says_what_the_record_says_and_no_more():
    story = written(FULL)
    for said in (
        "Vintage Nike Tee",
        "red",
        "W32 L34",
        "very good",
        "cotton",
        "18.00 EUR",
        "Lyon",
        "12345678",
        "GOTS",
        "I love it!",
    ):
        assert said in story.narrative
    assert "by Nike" not in story.narrative and "from Nike" not in story.narrative  # the title says it
    assert (story.memories, story.writer, story.version) == ((), "plain", WRITER.version)
    assert unsupported(story, FULL._asdict()) == []
    assert written(FULL) == story


def test_records_that_differ_have_other_stories_and_products_other_words():
    openings = {written(FULL._replace(product_id=str(n))).narrative for n in range(40)}
    assert len(openings) > 10
    varied = [
        FULL,
        *(
            FULL._replace(**{name: None})
            for name in ("colour", "size", "price", "place", "number", "description")
        ),
    ]
    assert len({written(told).narrative for told in varied}) == len(varied)


def test_products_alike_in_all_but_their_id_are_told_apart():
    alike = [
        told({"product_id": f"p{n}", "title": "Two-piece swimsuit", "external_id": f"1800755{n}"})
        for n in range(9)
    ]
    assert len({written(each).narrative for each in alike}) == 9
    assert all(each.number in written(each).narrative for each in alike if each.number)


def test_a_record_without_words_has_no_story_and_one_without_a_title_a_quote():
    assert WRITER.write(Told("p1", brand="Nike", price="1.00")) is None
    assert "Carré" in written(Told("p1", description="Carré, 90 cm.")).narrative


def test_where_no_currency_is_stated_none_is_named():
    alone = written(FULL._replace(currency=None)).narrative
    assert "18.00" in alone and "EUR" not in alone and "currency" in alone


@pytest.mark.parametrize(
    ("title", "number", "seller", "shown"),
    [
        (
            "No Boundaries Black Y2K Heel 0E75",
            "no-boundaries-black-y2k-heel-0e75",
            None,
            "No Boundaries Black Y2K Heel",
        ),
        (
            "Workwearandco Carhartt Jacket 19Bc",
            "workwearandco-carhartt-jacket-19bc",
            "workwearandco",
            "Carhartt Jacket",
        ),
        ("Levi's 501 1955", "12345678", None, "Levi's 501 1955"),
        ("What a dress!", None, None, "What a dress"),
        ("club monaco trousers", None, None, "Club monaco trousers"),
        ("{title} {", None, None, "{title} {"),
    ],
)
def test_a_title_is_shown_without_what_only_an_address_means(title, number, seller, shown):
    assert shown_title(Told("p", title=title, number=number, seller=seller)) == shown
    assert shown in written(Told("p", title=title, number=number, seller=seller)).narrative


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_everything_and_claims_nothing_by_itself(language):
    story = written(FULL._replace(language=language))
    for said in ("Vintage Nike Tee", "18.00 EUR", "Lyon", "12345678", "GOTS", "I love it!", "W32 L34"):
        assert said in story.narrative
    assert unsupported(story, FULL._asdict()) == []
    phrases = tomllib.loads(PHRASES.joinpath(f"{language}.toml").read_text("utf-8"))
    english = tomllib.loads(PHRASES.joinpath("en.toml").read_text("utf-8"))
    lists = {name for name, value in english.items() if isinstance(value, list)}
    assert {name for name, value in phrases.items() if isinstance(value, list)} == lists
    for name in lists:
        for phrase in phrases[name]:
            assert claims(phrase) == set(), phrase


def test_a_language_without_phrases_is_told_in_english():
    assert written(FULL._replace(language="fi")) == written(FULL)
    assert written(FULL._replace(language="../en")) == written(FULL)


@pytest.mark.parametrize(
    ("added", "kind"),
    [
        ("It is pure silk.", "material"),
        ("A blue one.", "colour"),
        ("Made by Adidas.", "brand"),
        ("Only 12 exist.", "number"),
        ("Never worn.", "condition"),
        ("Lovely with jeans.", "article_type"),
    ],
)
def test_what_a_record_lacks_is_found(added, kind):
    story = written(FULL)
    found = unsupported(story._replace(narrative=f"{story.narrative} {added}"), FULL._asdict())
    assert [claim.kind for claim in found] == [kind]
    assert unsupported(story._replace(memories=(added,)), FULL._asdict()) == found


def test_the_same_thing_in_other_words_is_no_claim_of_its_own():
    record = {"record": json.dumps({"color": "Bordeaux", "price": "1,299.00", "title": "Robe en soie"})}
    assert unsupported(Story("Burgundy silk at 1299."), record) == []


@pytest.mark.parametrize(
    "kept",
    [
        {"narrative": "A coat.", "mood": "Nostalgic", "memories": [{"description": "Paris", "photoId": "1"}]},
        {"text": "A coat.", "mood": "nostalgic", "occasion": None, "memories": ["Paris", " "]},
        '{"text": "A coat.", "mood": "nostalgic", "memories": ["Paris"]}',
    ],
)
def test_stories_of_other_systems_are_read(kept):
    story = read_story(kept)
    assert story is not None
    assert (story.narrative, story.mood, story.memories) == ("A coat.", "nostalgic", ("Paris",))


@pytest.mark.parametrize("kept", [None, "", "no JSON", "[]", {"text": " "}, {"narrative": 3}])
def test_what_has_no_words_is_no_story(kept):
    assert read_story(kept) is None


def test_a_story_is_kept_as_it_is_read():
    story = written(FULL)
    assert read_story(story.as_json()) == story
