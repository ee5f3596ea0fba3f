"""Ids and years that went through a spreadsheet or a float."""

import pytest

from fashion_assets.catalog.rules import ID_IN_SCIENTIFIC_NOTATION
from fashion_assets.sources.notations import read_id, read_year


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("34029", "34029"),
        ("34029.0", "34029"),
        (34029.0, "34029"),
        (34029, "34029"),
        ("0034029", "0034029"),
        ("7741631367.0", "7741631367"),
        ("34029.5", "34029.5"),
        ("1E5", "1E5"),
        ("v1.0", "v1.0"),
        (" m94543463897 ", "m94543463897"),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_ids_are_what_they_were(text: object, value: str | None) -> None:
    assert read_id(text) == (value, None)


@pytest.mark.parametrize("text", ["1.16454E+05", "1E+05", "7,74163E+09"])
def test_an_id_a_spreadsheet_rounded_is_none(text: str) -> None:
    assert read_id(text) == (text, ID_IN_SCIENTIFIC_NOTATION)


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("2012", "2012"),
        (2012, "2012"),
        ("2012.0", "2012"),
        ("2012-05-01", "2012"),
        ("2012-05-01T10:00:00Z", "2012"),
        ("2012/5", "2012"),
        ("01/05/2012", "2012"),
        ("1.5.2012", "2012"),
        ("01/04/2023, 16:32:45", "2023"),
        ("May 2012", "2012"),
        ("1 Mai 2012", "2012"),
        ("May 1, 2012", "2012"),
        ("20120501", "2012"),
        ("01/05/12", None),
        ("12", None),
        ("SS12", None),
        ("1765410914000.0", None),
        ("Il y a 5 heures", None),
        (None, None),
    ],
)
def test_years_of_years_and_dates(text: object, year: str | None) -> None:
    assert read_year(text) == year
