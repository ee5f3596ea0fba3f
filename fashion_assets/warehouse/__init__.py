"""Postgres, and the files beside it: which server, its tables, fast loading, the register of listings and
batches.

What belongs here: everything that knows how things are kept. What does not: what a listing means (`catalog`),
how a vector is made (`embedding`), what a release is worth (`criteria`, `release`).
"""
