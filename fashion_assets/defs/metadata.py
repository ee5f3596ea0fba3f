"""Tables and pictures as asset metadata.

What belongs here: turning Arrow rows into what the Dagster UI draws. What does not: measuring.
"""

import base64
import io
import re
from collections.abc import Mapping, Sequence

import dagster as dg
import pyarrow as pa
from PIL import Image

from fashion_assets.arrow import counted
from fashion_assets.catalog.listing import COLUMNS_IN_WORDS
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.thumbnails import Thumbnails
from fashion_assets.reports.charts import bars

SAMPLE_ROWS = 5


def kind_in_words(kind: pa.DataType) -> str:
    """An Arrow type as people read it; what a list's items are called differs between memory and files."""
    return re.sub(r"\b(item|element): ", "", str(kind))


def table_schema(
    columns: pa.Schema | Mapping[str, str], words: Mapping[str, str | None] | None = None
) -> dg.TableSchema:
    """Columns of a file, or of a table of the database (names and types), with what each holds in words."""
    if isinstance(columns, Mapping):
        named = [(name, kind, True) for name, kind in columns.items()]
    else:
        fields = map(columns.field, columns.names)
        named = [(field.name, kind_in_words(field.type), field.nullable) for field in fields]
    told = {**COLUMNS_IN_WORDS, **(words or {})}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=kind,
                description=told.get(name),
                constraints=dg.TableColumnConstraints(nullable=nullable),
            )
            for name, kind, nullable in named
        ]
    )


def sample_table(table: pa.Table, columns: Sequence[str], rows: int = SAMPLE_ROWS) -> dg.TableMetadataValue:
    """The first rows of a table, cells shortened to what a person reads."""
    picked = table.select(columns).slice(0, rows).to_pylist()
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: str(value)[:120] for name, value in row.items()}) for row in picked],
        schema=dg.TableSchema(columns=[dg.TableColumn(name=name) for name in columns]),
    )


def counts_table(counts: Sequence[tuple[str, int]], label: str) -> dg.TableMetadataValue:
    """Values and how often they occur, as given."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord({label: value, "listings": count}) for value, count in counts],
        schema=dg.TableSchema(
            columns=[dg.TableColumn(name=label), dg.TableColumn(name="listings", type="int")]
        ),
    )


def reasons_table(rejections: pa.Table) -> dg.TableMetadataValue:
    """Why listings or rows (REJECTION_SCHEMA) were rejected, the most frequent reason first."""
    return counts_table(counted(rejections["reasons"]), "reason")


def png(image: Image.Image, alt: str) -> dg.MarkdownMetadataValue:
    """A picture shown inline."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return dg.MetadataValue.md(
        f"![{alt}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
    )


def contact_sheet(
    uris: Sequence[str], limits: Limits, edge: int = 64, most: int = 8
) -> dg.MarkdownMetadataValue:
    """A row of thumbnails of picture files; the place of one that cannot be shown stays empty."""
    chosen = list(uris)[:most]
    thumbnails = Thumbnails(limits, (edge, edge))
    sheet = Image.new("RGB", (edge * max(1, len(chosen)), edge), "white")
    for position, uri in enumerate(chosen):
        picture = thumbnails.of(uri).picture
        if picture is not None:
            sheet.paste(
                picture, (position * edge + (edge - picture.width) // 2, (edge - picture.height) // 2)
            )
    return png(sheet, "pictures")


def bar_chart(title: str, counts: Sequence[tuple[str, int]]) -> dg.MarkdownMetadataValue:
    """Counts as horizontal bars, in the order given."""
    drawn = bars(title, [name for name, _ in counts], {"products": [count for _, count in counts]})
    encoded = base64.b64encode(drawn.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")
