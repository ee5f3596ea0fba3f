"""The view `vectors_as_json`: the vectors of a release as JSON arrays, as clients read them that know no pgvector.

What belongs here: what its columns are made of. What does not: which columns there are (`warehouse.serving.VECTORS_AS_JSON`), the view
readers use (`release.repointing`).

Nothing is kept twice: an array is made of its vector when it is read, each number in the fewest digits that are that float32 again.
"""

import psycopg
from psycopg import sql

from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import VECTORS_AS_JSON

_MADE_OF: dict[str, sql.Composable] = {
    "product_id": sql.SQL("e.product_id"),
    "source": sql.SQL("p.source"),
    "external_id": sql.SQL("p.external_id"),
    "old_id": sql.SQL("(p.facts ->> 'old_id')"),
    "embedding_space": sql.SQL("e.embedding_space"),
    "kind": sql.SQL("e.kind"),
    "dimension": sql.SQL("vector_dims(e.embedding)"),
    "embedding": sql.SQL("to_json(e.embedding::real[])"),
}


def create(conn: psycopg.Connection, release: Release) -> None:
    """The view in a release's schema, in the transaction of the load, once the release's tables are there."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(_MADE_OF[column.name], sql.Identifier(column.name))
        for column in VECTORS_AS_JSON.columns
    )
    conn.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {} FROM {} e JOIN {} p USING (product_id)").format(
            release.table(VECTORS_AS_JSON.name),
            columns,
            release.table("product_embeddings"),
            release.table("products"),
        )
    )
