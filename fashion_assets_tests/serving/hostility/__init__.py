"""Requests nobody meant well, and what must hold of every answer to them; for a test of some hundreds and for
`benchmarks/hostile_requests.py` of ten thousand.

A request is sent over a socket of its own, byte by byte as it was drawn: no library puts right what is wrong with it. `drawn(seed, number)` is
the same request each time, so that a fault is repeated by its number.
"""
