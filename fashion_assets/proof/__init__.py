"""Proof that nothing was lost: what differs between a source and a release, between two releases; and what is there twice.

What belongs here: comparisons that are read-only and say what they find, in figures and examples. What does not: criteria, which hold
a release up (`criteria`); building and swapping (`release`).
"""
