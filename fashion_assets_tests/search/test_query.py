"""Questions and cursors: what is refused, and what a cursor is bound to."""

import base64
import json

import numpy as np
import pytest

from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Cursor, Query, Weights


def test_questions_that_cannot_be_answered_are_refused():
    for wrong, said in (
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"mode": "magic"}, "no mode"),
        ({"mode": "text"}, "needs words"),
        ({"vector": np.zeros(3)}, "finite numbers"),
        ({"vector": np.array([1.0, np.nan])}, "finite numbers"),
        ({"vector": np.ones((2, 2))}, "one row"),
        ({"words": 7}, "must be text"),
    ):
        with pytest.raises(SearchError, match=said):
            Query(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SearchError, match="zero or more"):
        Weights(text=-1)
    assert np.linalg.norm(Query(vector=np.array([3.0, 4.0])).vector) == pytest.approx(1)  # type: ignore[arg-type]
    assert Query("  red \0 \ud800dress ").words == "red dress"


def test_a_cursor_leads_back_to_its_own_question_only():
    query = Query("red", filters={"colour": "red"})
    page = Cursor("fashion_sota_r0001", 10).encode(query)
    again = Query("red", filters={"colour": "red"}, page=page)
    assert Cursor.decode(again) == Cursor("fashion_sota_r0001", 10)
    assert Cursor.decode(query) is None
    for other in (
        Query("blue", filters={"colour": "red"}, page=page),
        Query("red", page=page),
        Query("red", filters={"colour": "red"}, limit=5, page=page),
        Query("red", filters={"colour": "red"}, picture=b"x", page=page),
    ):
        with pytest.raises(SearchError, match="another search"):
            Cursor.decode(other)
    with pytest.raises(SearchError, match="another release"):
        Cursor.decode(Query("red", filters={"colour": "red"}, page=page, release="fashion_sota_r0002"))


@pytest.mark.parametrize(
    "page",
    ["", "x", "%%%", "é", "bm90IGpzb24=", base64.urlsafe_b64encode(json.dumps([1, 2]).encode()).decode()],
)
def test_pages_nobody_gave_out_are_refused(page: str):
    with pytest.raises(SearchError, match="page"):
        Cursor.decode(Query("red", page=page))
