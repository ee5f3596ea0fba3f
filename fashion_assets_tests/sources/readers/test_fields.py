"""Fields of delimited text that are too many: where a surplus belongs, or that it belongs nowhere for sure."""

from pathlib import Path

import pytest

from fashion_assets.sources.readers.delimited import Delimited
from fashion_assets.sources.source import SourceError
from fashion_assets_tests.sources.readers.delimited_text import COLUMNS, DESCRIBED, FRONT, read, told, written


def test_a_surplus_goes_back_where_only_one_column_can_have_it(tmp_path: Path):
    header = f"{COLUMNS},price,image"
    path = written(
        tmp_path, f"{header}\n1{FRONT}Liv,Laugh, Love,19.99,images/1.jpg\n2{FRONT}Plain,5,images/2.jpg\n"
    )
    assert told(read(path), "title", "price", "image") == [
        ("Liv,Laugh, Love", "19.99", "images/1.jpg"),
        ("Plain", "5", "images/2.jpg"),
    ]
    # The title is the last column, and all else are closed lists: it shows without being told which are texts.
    rows = [f"{n}{FRONT}Shirt {n}" for n in range(60)]
    path = written(tmp_path, "\n".join([COLUMNS, *rows, f"99{FRONT}Shirt, red"]))
    assert told(read(path, prose=None), "title")[-1] == ("Shirt, red",)


def test_a_surplus_that_may_belong_into_two_columns_is_unreadable(tmp_path: Path):
    path = written(tmp_path, f"{DESCRIBED}\n1{FRONT}A,Plain\n2{FRONT}B,Soft, warm wool\n3{FRONT}C,Plain\n")
    first, second, third = read(path)
    assert (first.defect, second.defect, third.defect) == (None, "unreadable_line", None)
    assert second.text == f"2{FRONT}B,Soft, warm wool"


def test_a_column_of_words_takes_no_surplus_and_no_word_it_never_had(tmp_path: Path):
    rows = [f"{n}{FRONT}Shirt {n},nice" for n in range(60)]
    path = written(
        tmp_path, "\n".join([DESCRIBED, *rows, f"98{FRONT}Shirt,soft,warm", f"99{FRONT}Shirt, red,nice"])
    )
    last, placed = read(path, prose=None)[-2:]
    assert last.defect == "unreadable_line" and placed.values["title"] == "Shirt, red"


def test_a_surplus_that_may_be_decimals_is_unreadable(tmp_path: Path):
    path = written(tmp_path, "id,title,price\n1,Hat,19\n2,Cap,20,90\n3,Shoe, red,21\n4,Sock,5\n")
    rows = told(read(path), "title", "price")
    assert rows == [("Hat", "19"), "unreadable_line", ("Shoe, red", "21"), ("Sock", "5")]


def test_a_row_moved_to_the_right_makes_no_id_of_a_comma(tmp_path: Path):
    path = written(tmp_path, f"{COLUMNS}\n1{FRONT}A\n2{FRONT}B\n,3{FRONT}C\n")
    assert told(read(path), "id") == [("1",), ("2",), "unreadable_line"]


def test_where_a_surplus_goes_is_part_of_the_digest(tmp_path: Path):
    path = written(tmp_path, f"{COLUMNS}\n1{FRONT}A\n2{FRONT}B, red\n")
    placed, unplaced = read(path)[1], read(path, prose=())[1]
    assert not placed.defect and unplaced.defect and placed.digest != unplaced.digest


@pytest.mark.parametrize("header", ["id,title", "id,title,"])
@pytest.mark.parametrize("tail", ["", ","])
def test_delimiters_at_line_ends_are_no_fields(tmp_path: Path, header: str, tail: str):
    rows = read(written(tmp_path, f'{header}\n1,a{tail}\n2,"b, c"{tail}\n3,d{tail}\n'))
    assert [dict(row.values) for row in rows] == [
        {"id": "1", "title": "a"},
        {"id": "2", "title": "b, c"},
        {"id": "3", "title": "d"},
    ]


def test_more_fields_than_names_in_every_row_are_told(tmp_path: Path):
    path = written(tmp_path, f"{COLUMNS}\n" + "".join(f"{n},{1000 + n}{FRONT}Shirt\n" for n in range(5)))
    with pytest.raises(
        SourceError, match=r"Line 1 of .* names 9 columns, but the rows have 10 fields \(5 of"
    ):
        Delimited(path)
    # Commas of a text in each of few rows are none.
    path = written(tmp_path, f"{COLUMNS}\n" + "".join(f"{n}{FRONT}Shirt, red\n" for n in range(5)))
    assert told(read(path, prose=["title"]), "title") == [("Shirt, red",)] * 5
