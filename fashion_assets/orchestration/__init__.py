"""Where Dagster keeps its own things.

What belongs here: Dagster's instance and storage. What does not: assets, checks and jobs (`defs`), the product's own tables
(`warehouse`).
"""
