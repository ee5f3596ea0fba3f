"""What goes with a value, in the catalogue's words."""

import pytest

from fashion_assets.catalog import compatibility
from fashion_assets.catalog.normalization import canonical, vocabulary
from fashion_assets.catalog.suitable import TABLES, suitable, told_of


@pytest.mark.parametrize(
    ("attribute", "requested", "first", "there", "missing"),
    [
        ("style", "Casual", "casual", {"smart casual", "streetwear"}, {"formal"}),
        # The catalogue calls boho bohemian and goth gothic; the tables do not.
        ("style", "boho chic", "bohemian", {"romantic"}, {"casual"}),
        ("style", "goth", "gothic", set(), {"casual"}),
        # What no vocabulary of the catalogue has is kept as it was written.
        ("style", "traditional", "ethnic", {"dark academia", "dark-academia"}, {"casual"}),
        # The catalogue's traditional is ethnic, the tables' is not.
        ("style", "classic", "classic", {"vintage"}, {"ethnic"}),
        ("usage", "Business", "formal", {"smart casual"}, {"wedding"}),
        ("occasion", "cozy", "cozy", set(), {"lounge"}),
        ("occasion", "loungewear", "lounge", {"cozy"}, set()),
        ("season", "herbst", "fall", {"all season"}, {"winter"}),
        ("mood", "laid-back", "relaxed", set(), {"bold"}),
    ],
)
def test_what_goes_with_a_value(attribute: str, requested: str, first: str, there: set, missing: set):
    found = suitable(attribute, requested)
    assert found is not None and found[0] == first
    assert there <= set(found) and not missing & set(found) and len(set(found)) == len(found)


@pytest.mark.parametrize("attribute", TABLES)
def test_every_value_of_a_table_finds_itself_and_what_the_tables_say(attribute: str):
    field = TABLES[attribute]
    for asked in compatibility.known(field):
        found = suitable(attribute, asked)
        assert found is not None and canonical(attribute, asked)[0] in found
        for value in set(vocabulary(attribute).values()) & compatibility.known(field):
            assert not compatibility.compatible(field, asked, [value]) or value in found, (asked, value)


def test_a_value_no_table_has_is_told_with_the_nearest_and_all_there_are():
    assert suitable("style", "western") is None
    assert suitable("season", "") is None
    said = told_of("season", "sumer")
    assert said == (
        "nothing says what goes with season 'sumer' (did you mean 'summer'?); known are all, fall, spring, summer, winter"
    )
