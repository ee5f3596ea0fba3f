"""Readers by format: files and databases taken apart into rows, whatever the rows mean.

| reader | what it reads |
|---|---|
| `delimited` | delimited text: commas, semicolons, tabs, pipes; encoding and dialect found out |
| `json_records` | JSON arrays and JSON lines, plain or compressed |
| `parquet` | Parquet files |
| `sql` | a table or query of any database SQLAlchemy has a driver for |
| `xml` | a feed's items |

What belongs here: rows, where they lie, what cannot be read. What does not: what a column means (`sources.mapping`), judging
(`catalog.validation`).
"""
