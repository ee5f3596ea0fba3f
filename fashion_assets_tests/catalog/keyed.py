"""Keys for references, as a register would give them: what tests of readers and of validation both need."""

from collections import Counter

import pyarrow as pa

from fashion_assets.sources.source import KEYED_REFERENCE_SCHEMA, Source


def keyed(references: pa.Table) -> pa.Table:
    """References with `listing_key` and `occurrence`: the id, `id#n` for repetitions, the signature without
    an id."""
    seen: Counter[str] = Counter()
    keys: list[str] = []
    occurrences: list[int] = []
    ids, signatures = references["external_id"].to_pylist(), references["signature"].to_pylist()
    for external_id, signature in zip(ids, signatures, strict=True):
        key = f"unreadable-{signature}" if external_id is None else external_id
        keys.append(f"{key}#{seen[key]}" if seen[key] else key)
        occurrences.append(seen[key])
        seen[key] += 1
    columns = [*(references[name] for name in references.column_names), pa.array(keys, pa.string())]
    return pa.Table.from_arrays([*columns, pa.array(occurrences, pa.int32())], schema=KEYED_REFERENCE_SCHEMA)


def read_all(source: Source) -> pa.Table:
    """Every listing of a source."""
    chunks = list(source.scan())
    return source.read(keyed(pa.concat_tables(chunks)))
