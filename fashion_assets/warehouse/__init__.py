"""Our registers and stores: the tables of bookkeeping and of releases, once, and the files beside them.

What belongs here: everything that knows how things are kept. What does not: how Postgres is reached (`postgres`), what a listing
means (`catalog`), how a vector is made (`embedding`), what a release is worth (`criteria`, `release`).
"""
