"""Products that have no vector are found by words, and what needs one says so."""

import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Query

BARE = (
    "UPDATE {products} SET embedding = NULL, embedding_space = NULL WHERE external_id IN ('1', '2');"
    "UPDATE {products} SET title = NULL WHERE external_id = '2';"
    "INSERT INTO {favourites} (user_id, source, product_id, record) "
    "SELECT 'a', source, product_id, '{{}}' FROM {products} WHERE external_id IN ('1', '2')"
)


def test_a_product_without_a_vector_is_found_and_its_lack_is_said(candidate: Candidate):
    release = candidate.release
    tables = {name: release.table(name) for name in ("products", "favourites")}
    candidate.conn.execute(sql.SQL(BARE).format(**tables))  # type: ignore[arg-type]
    candidate.conn.commit()
    with SearchEngine.open(candidate.settings, size=1) as engine:

        def search(**parts):
            return engine.search(Query(release=release.release, limit=40, **parts))

        told = "2 of 40 products have no vector: words alone find them"
        by_words = search(words="puma t-shirt 1")
        assert told in by_words.plan.notes and "1" in {hit.external_id for hit in by_words.hits}
        like = search(product="1")
        assert any("has the words of its title" in note for note in like.plan.notes)
        assert like.hits and "1" not in {hit.external_id for hit in like.hits}
        mixed = search(product="1", words="red")
        assert any("only the rest of the question is asked" in note for note in mixed.plan.notes)
        with pytest.raises(SearchError, match="neither a vector nor a title"):
            search(product="2")
        # Whose favourites have no vectors is recommended something, and nothing of theirs.
        theirs = engine.recommend("a", limit=40, release=release.release)
        assert len(theirs.hits) == 38 and not {"1", "2"} & {hit.external_id for hit in theirs.hits}
