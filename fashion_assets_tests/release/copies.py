"""Further releases for tests: a candidate's tables once more, under the next number, told apart by a title."""

from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.release import garments, json_vectors
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import LATER_TABLES, TABLES


def copy_of(candidate: Candidate, title: str | None) -> Release:
    """A further candidate with the same tables, its products told apart by their title, where one is given."""
    conn, first = candidate.conn, candidate.release
    with conn.transaction():
        number = conn.execute("SELECT max(number) + 1 FROM fashion_ops.releases").fetchone()[0]
        name = f"fashion_sota_r{number:04d}"
        conn.execute(
            "INSERT INTO fashion_ops.releases (release, number, state, content_version, space, products, quarantined, "
            "listings) SELECT %s, %s, 'candidate', %s, space, products, quarantined, listings FROM fashion_ops.releases "
            "WHERE release = %s",
            (name, number, title or name, first.release),
        )
        conn.execute(
            "INSERT INTO fashion_ops.release_batches (release, batch, content_version, products, quarantined, listings) "
            "SELECT %s, batch, content_version, products, quarantined, listings FROM fashion_ops.release_batches "
            "WHERE release = %s",
            (name, first.release),
        )
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        for table in (*TABLES, *LATER_TABLES):
            conn.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(name, table), first.table(table)
                )
            )
            columns = sql.SQL(", ").join(
                sql.Identifier(row[0])
                for row in conn.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
                    "AND is_generated = 'NEVER'",
                    (name, table),
                ).fetchall()
            )
            conn.execute(
                sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}").format(
                    sql.Identifier(name, table), first.table(table), columns=columns
                )
            )
        if title is not None:
            conn.execute(
                # As another run would have made them: no listing of the files states such a title.
                sql.SQL(
                    "UPDATE {} SET title = %s, normalized = jsonb_set(normalized, '{{normalized_at}}', '\"later\"')"
                ).format(sql.Identifier(name, "products")),
                (title,),
            )
        index = conn.execute(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON "
            "a.oid = c.relam WHERE indrelid = to_regclass(%s) AND amname = 'hnsw'",
            (f"{name}.products",),
        ).fetchone()[0]
        conn.execute(
            sql.SQL("ALTER INDEX {} RENAME TO product_embeddings_index").format(
                sql.Identifier(*index.split("."))
            )
        )
        copied = releases.get(conn, name)
        garments.create(conn, copied)
        json_vectors.create(conn, copied)
    return copied
