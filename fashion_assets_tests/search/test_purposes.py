"""What things are for, and what themes are made of."""

from fashion_assets.catalog.normalization import vocabulary
from fashion_assets.search import word_files
from fashion_assets.search.purposes import along, replaceable
from fashion_assets.search.words import LONGEST_NAME, Other, Term, read, tokens


def queries(text: str, own: dict | None = None, missing: tuple[str, ...] = ()) -> list[str]:
    """The full-text queries of a question's terms."""
    return [term.tsquery for term in read(text, along(read(text), own, missing))]


def test_a_purpose_stands_for_its_kinds_where_none_is_named():
    alone, beside = queries("beach"), queries("beach dress")
    assert "'flip flops':B" in alone[0] and "'beach'" in alone[0]
    assert beside[0] == "('beach')" and "flip" not in beside[1]
    # A heading leaves open which kind.
    assert "'formal shoes':B" in queries("office shoes")[0]
    assert "'formal'" in queries("office shirt")[0], "what it is worn for is meant beside a kind, too"
    assert queries("work shirt")[0] == "((('formal')))", "the word itself says nothing"


def test_a_theme_is_looked_for_in_titles():
    (superhero, shirt) = queries("superhero tshirt")
    assert "'batman':A" in superhero and "'superhero'" in superhero and "batman" not in shirt


def test_a_merchants_synonyms_and_names_come_first():
    own = {"beach": (Other("beach → hats", (Term(("hats",), 4.0),)),)}
    assert queries("beach", own) == ["('beach' | (('hats')))"]
    assert [term.value for term in read("gym bag", along(read("gym bag"), None))] == ["duffel bag"]


def test_what_a_shop_has_none_of_is_looked_for_among_what_is_nearest():
    terms = read("hoodie for men")
    assert replaceable(terms) == ["hoodies"]
    assert "'sweatshirts':B" not in queries("hoodie for men")[0]
    assert "'sweatshirts':B" in queries("hoodie for men", missing=("hoodies",))[0]


def test_the_list_names_what_there_is():
    document = word_files.read("purposes")
    kinds, headings = set(vocabulary("article_type").values()), set(vocabulary("sub_category").values())
    meant = {
        table: {each.strip() for line in lines for each in line.split(",")}
        for table, lines in document.items()
    }
    assert meant["kinds"] | meant["instead"] <= kinds | headings
    assert meant["usages"] <= set(vocabulary("usage").values())
    said = [each for lines in document.values() for line in lines.values() for each in line.split(",")]
    assert all(0 < len(tokens(each)) <= LONGEST_NAME for each in said), "longer ones are never looked up"
    assert {each.strip() for line in document["instead"].values() for each in line.split(",")} <= kinds
