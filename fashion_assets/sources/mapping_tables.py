"""What a mapping says of the tables beside the listings. Its schema.

What belongs here: such a table, its columns, which of them name rows of others or count them, with the words that explain it. What does not: the
listings (`mapping`), reading such a table (`declared`), its values (`table_values`).
"""

from typing import Literal

from pydantic import Field, model_validator

from fashion_assets.sources.mapping_expression import Condition, Expression, MappingPart, Texts


class Within(MappingPart):
    """That a column names no row but an entry of a list that a row has, as an option of a poll."""

    row: str = Field(description="The column that names the row, as `post_id`.")
    list: str = Field(description="The row's column with the list, which is `jsonb`, as `poll_options`.")
    key: str = Field(default="id", description="The key of an entry that the column names it by.")


class Refers(MappingPart):
    """That a column of a table names a row of another one, or of one of several."""

    column: str = Field(description="The column, by the name it has in `columns`.")
    table: str | None = Field(default=None, description="`products`, or another table of this mapping.")
    type: str | None = Field(
        default=None,
        description="Where rows name rows of several tables: the column that says of which. With it `tables` in place of `table`.",
    )
    tables: dict[str, str] = Field(
        default_factory=dict,
        description="With `type`: by what stands in that column, the table. A row with anything else there names nothing, and is in "
        "quarantine.",
    )
    by: str | None = Field(
        default=None,
        description="Where products are not named by their id: the fact (see `facts`) they are named by, as `old_id`.",
    )
    into: str | None = Field(
        default=None,
        description="A further column of the table, a UUID, that has the id of the product it names.",
    )
    within: Within | None = Field(
        default=None, description="Where the column names an entry of a list that a row of `table` has."
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Refers":
        if self.within is not None and self.table in (None, "products"):
            raise ValueError("within needs table, another one of this mapping")
        if (self.table is None) == (self.type is None) or bool(self.tables) != (self.type is not None):
            raise ValueError("say either table, or type and tables")
        return self


class Entries(MappingPart):
    """That a column is a list, of which each entry counts rows of its own, as the options of a poll."""

    by: str = Field(description="The counted table's column that names an entry, as `option_id`.")
    key: str = Field(default="id", description="The key of an entry that it is named by.")
    count: str = Field(description="The key of an entry that has the number, as `votes`.")


class Counted(MappingPart):
    """A column that says how many rows of another table name this row: counted anew, whatever the old counter said."""

    column: str = Field(description="The column, by the name it has in `columns`.")
    table: str = Field(description="The table whose rows are counted, one of this mapping.")
    by: str = Field(description="Its column that names this row.")
    where: Condition | None = Field(
        default=None, description="Only rows of which this holds, by a column of that table's `columns`."
    )
    entries: Entries | None = Field(
        default=None,
        description="Where the column is a list (`jsonb`) and each of its entries counts for itself.",
    )


class TableColumn(Expression):
    """A column of a table: an expression, and its type. A text alone stands for `{ column = "…" }`."""

    type: Literal[
        "text", "json", "jsonb", "bigint", "float8", "numeric", "boolean", "timestamptz", "date", "uuid"
    ] = Field(
        default="text",
        description="Its type in Postgres. JSON of a column alone is taken as it stands.",
    )
    unit: bool = Field(
        default=False,
        description="The column is a vector, as JSON or a list: it is scaled to length 1. One of zeros alone is null.",
    )


class DataTable(MappingPart):
    """A table beside the listings that comes across: users, favourites, whatever a system has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,50}$", description="What the release calls it.")
    file: Texts = Field(
        default=(),
        description="Its file beside the listings': names or patterns, as of `files`. None: `table`.",
    )
    table: str | None = Field(default=None, description="Its table, in a database.")
    query: str | None = Field(
        default=None,
        description="What is selected in place of all of the table: one SELECT. Of a table that is not there nothing is.",
    )
    optional: bool = Field(default=True, description="Whether it may be missing; it has no rows then.")
    where: Condition | None = Field(
        default=None, description="Only rows of which this holds; the others are none of this table."
    )
    key: tuple[str, ...] = Field(
        default=(), description="Columns that identify a row. None: the whole row does, and may occur once."
    )
    columns: dict[str, TableColumn] = Field(description="Its columns by name.")
    references: tuple[Refers, ...] = Field(
        default=(), description="Which of its columns name rows of other tables."
    )
    counts: tuple[Counted, ...] = Field(
        default=(), description="Which of its columns are counted anew from rows of other tables."
    )

    @model_validator(mode="after")
    def _whole(self) -> "DataTable":
        if bool(self.file) != (self.table is None):
            raise ValueError("say either file or table")
        if self.query is not None and self.table is None:
            raise ValueError("query needs table, without which nothing is selected")
        named = [*self.key, *(each.column for each in (*self.references, *self.counts))]
        named += [each.type for each in self.references if each.type]
        named += [each.within.row for each in self.references if each.within]
        for name in named:
            if name not in self.columns:
                raise ValueError(f"{name!r} is none of its columns, which are {', '.join(self.columns)}")
        return self
