"""Every vector kept, and every release, refers to a registered space; the database holds vectors to its dimension."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"


def upgrade() -> None:
    op.alter_column("spaces", "created_at", new_column_name="first_seen", schema=SCHEMA)
    op.alter_column(
        "spaces",
        "preprocessing",
        type_=pg.JSONB,
        existing_nullable=False,
        postgresql_using="coalesce(nullif(preprocessing, ''), '{}')::jsonb",
        schema=SCHEMA,
    )
    op.alter_column("spaces", "fingerprint", nullable=True, schema=SCHEMA)
    op.create_check_constraint(op.f("spaces_dimension_check"), "spaces", "dimension > 0", schema=SCHEMA)
    op.create_unique_constraint("spaces_space_dimension_key", "spaces", ["space", "dimension"], schema=SCHEMA)
    op.create_table(
        "release_spaces",
        sa.Column(
            "release",
            sa.Text,
            sa.ForeignKey(
                f"{SCHEMA}.releases.release", ondelete="CASCADE", name="release_spaces_release_fkey"
            ),
            primary_key=True,
        ),
        sa.Column(
            "space",
            sa.Text,
            sa.ForeignKey(f"{SCHEMA}.spaces.space", name="release_spaces_space_fkey"),
            primary_key=True,
        ),
        sa.Column("vectors", sa.BigInteger, nullable=False),
        comment="The spaces of a release's vectors, and how many there are of each.",
        schema=SCHEMA,
    )
    _register_what_is_there()
    op.add_column(
        "embeddings",
        sa.Column("dimension", sa.Integer, sa.Computed("vector_dims(vector)", persisted=True)),
        schema=SCHEMA,
    )
    op.create_foreign_key(
        "embeddings_space_dimension_fkey",
        "embeddings",
        "spaces",
        ["space", "dimension"],
        ["space", "dimension"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
    )
    op.create_foreign_key(
        "releases_space_fkey",
        "releases",
        "spaces",
        ["space"],
        ["space"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
    )


def _register_what_is_there() -> None:
    """Spaces that vectors or releases name and the registry does not have: a batch was embedded and never loaded, or
    vectors came with listings."""
    op.execute(
        "INSERT INTO fashion_ops.spaces (space, model, dimension, preprocessing) "
        "SELECT DISTINCT ON (space) space, split_part(space, '@', 1), vector_dims(vector), '{}' "
        "FROM fashion_ops.embeddings ON CONFLICT (space) DO NOTHING"
    )
    connection = op.get_bind()
    standing = connection.execute(
        sa.text(
            "SELECT release FROM fashion_ops.releases WHERE to_regclass(format('%I.product_embeddings', release)) IS NOT NULL"
        )
    )
    quoted = connection.dialect.identifier_preparer.quote_identifier
    for (release,) in standing.fetchall():
        counted = connection.execute(
            sa.text(
                "SELECT embedding_space, vector_dims(embedding), count(*) "
                f"FROM {quoted(release)}.product_embeddings GROUP BY 1, 2"
            )
        ).fetchall()
        for space, dimension, vectors in counted:
            connection.execute(
                sa.text(
                    "INSERT INTO fashion_ops.spaces (space, model, dimension, preprocessing) "
                    "VALUES (:space, 'preserved', :dimension, '{}') ON CONFLICT (space) DO NOTHING"
                ),
                {"space": space, "dimension": dimension},
            )
            connection.execute(
                sa.text(
                    "INSERT INTO fashion_ops.release_spaces (release, space, vectors) VALUES (:release, :space, :vectors)"
                ),
                {"release": release, "space": space, "vectors": vectors},
            )
    # Of a release that is gone no vector is left to tell the dimension by.
    op.execute(
        "UPDATE fashion_ops.releases r SET space = NULL WHERE space IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM fashion_ops.spaces s WHERE s.space = r.space)"
    )


def downgrade() -> None:
    op.drop_constraint("releases_space_fkey", "releases", schema=SCHEMA)
    op.drop_constraint("embeddings_space_dimension_fkey", "embeddings", schema=SCHEMA)
    op.drop_column("embeddings", "dimension", schema=SCHEMA)
    op.drop_table("release_spaces", schema=SCHEMA)
    op.drop_constraint("spaces_space_dimension_key", "spaces", schema=SCHEMA)
    op.drop_constraint(op.f("spaces_dimension_check"), "spaces", schema=SCHEMA)
    op.execute("UPDATE fashion_ops.spaces SET fingerprint = '' WHERE fingerprint IS NULL")
    op.alter_column("spaces", "fingerprint", nullable=False, schema=SCHEMA)
    op.alter_column(
        "spaces",
        "preprocessing",
        type_=sa.Text,
        existing_nullable=False,
        postgresql_using="preprocessing::text",
        schema=SCHEMA,
    )
    op.alter_column("spaces", "first_seen", new_column_name="created_at", schema=SCHEMA)
