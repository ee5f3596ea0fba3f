"""Postgres as it is met everywhere: a server's life, connections and sessions, COPY, and what can be wrong with them.

What does not belong here: our own tables (`warehouse`).
"""
