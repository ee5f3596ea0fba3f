"""What the columns of sources hold now that they are read by mappings, any number side by side; and those of what declared tables
share with listings."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA = "fashion_ops"

COMMENTS = {
    ("sources", "kind"): (
        "Which reader opens it: folder, sample.",
        "Which reader opens it: catalogue or folder (by a mapping), sample, or one that a package brings.",
    ),
    ("sources", "location"): (
        "What the reader is pointed at: a folder, or the number of drawn listings.",
        "Where it is: a folder, a file, a URL, env: and the variable that holds one, or how many listings are drawn.",
    ),
    ("sources", "options"): (
        "What else the reader was given, as JSON.",
        "How it is read, as JSON: its mapping by name or whole, the folder of its pictures, and what the last scan found out.",
    ),
    ("listings", "source"): (
        "The source the listing is of.",
        "The source the listing is of; of a declared table's row the source and the table, with a dot between.",
    ),
    ("batches", "source"): (
        "The source its listings are of.",
        "The source its listings are of; of a declared table's rows the source and the table, with a dot between.",
    ),
    ("quarantine", "source"): (
        "The source the listing is of.",
        "The source the listing is of; of a declared table's row the source and the table, with a dot between.",
    ),
    ("quarantine", "image_uri"): (
        "Its picture, relative to where the source is.",
        "Its picture, relative to its source's folder, or to that of fetched pictures.",
    ),
}
"""By table and column: the former comment, and the new one."""

FORMER = "Where listings come from; the active one is what sensors scan and releases serve."
NEW = "Where listings come from; those that are active are scanned, and are in the next release."
"""Of the table `sources`."""


def upgrade() -> None:
    for (table, column), (former, new) in COMMENTS.items():
        op.alter_column(table, column, comment=new, existing_comment=former, schema=SCHEMA)
    op.create_table_comment("sources", NEW, existing_comment=FORMER, schema=SCHEMA)


def downgrade() -> None:
    for (table, column), (former, new) in COMMENTS.items():
        op.alter_column(table, column, comment=former, existing_comment=new, schema=SCHEMA)
    op.create_table_comment("sources", FORMER, existing_comment=NEW, schema=SCHEMA)
