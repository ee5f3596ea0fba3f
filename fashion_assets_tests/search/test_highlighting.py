"""Which words of a question a hit has, and where."""

from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.highlighting import FRAGMENT, fragment, read
from fashion_assets.search.query import Query

TITLES = {
    "1": (
        "Red <b>T-shirts</b> 👗 \x01red\x02 Shirting",
        "A shirt. " * 60 + "The red shirts of a red navy and blue <script>.",
    ),
    "2": ("Anything", None),
    "3": ("https://example.org/red.html red", ""),
}


def test_what_matched_is_told_where_it_stands(live: Candidate):
    for key, (title, description) in TITLES.items():
        live.conn.execute(
            sql.SQL(
                "UPDATE {} SET title = %s, description = %s, colour = 'red' WHERE external_id = %s"
            ).format(live.release.table("products")),
            (title, description, key),
        )
    live.conn.commit()
    with SearchEngine.open(live.settings, size=1) as engine:
        query = Query("red shirt navy blue", limit=40)
        assert all(hit.highlights is None for hit in engine.search(query).hits)
        results = engine.search(Query("red shirt navy blue", limit=40, highlight=True))
        by_vectors = engine.search(Query("red shirt", mode="vector", highlight=True)).hits
        assert all(hit.highlights is None for hit in by_vectors)
    hits = {hit.external_id: hit for hit in results.hits}
    title, found = TITLES["1"][0], hits["1"].highlights
    assert found is not None and found.words == ("red", "shirt")
    marked = [title[start:end] for start, end in found.title]
    assert marked[0] == "Red" and marked[-1] == "Shirting", "as the dictionary cuts words"
    assert "red" in marked and any("shirts" in word for word in marked)
    part = found.description
    assert part is not None and len(part.text) <= FRAGMENT
    assert TITLES["1"][1][part.start :].startswith(part.text)
    assert {"red", "shirts"} <= {part.text[start:end] for start, end in part.marks}
    # Its colour has the word, no text of it.
    assert hits["2"].highlights is not None and hits["2"].highlights.words == ("red",)
    assert hits["2"].highlights.title == () and hits["2"].highlights.description is None
    assert hits["3"].highlights is not None and hits["3"].highlights.title[-1] == (29, 32)


texts = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="\x01\x02"), max_size=60),
        st.text("abc ", min_size=1, max_size=5),
    )
)


@given(texts)
def test_a_fragment_is_a_part_of_the_text_with_its_marks(pieces: list[tuple[str, str]]):
    marked = "".join(f"{before}\x01{word}\x02" for before, word in pieces)
    text, marks = read(marked)
    assert text == "".join(before + word for before, word in pieces)
    assert [text[start:end] for start, end in marks] == [word for _, word in pieces]
    part = fragment(text, marks)
    assert (part is None) == (not marks)
    if part is not None:
        assert text[part.start : part.start + len(part.text)] == part.text and len(part.text) <= FRAGMENT
        assert part.marks and all(
            (start + part.start, end + part.start) in marks and end <= len(part.text)
            for start, end in part.marks
        )
