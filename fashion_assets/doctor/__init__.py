"""Looking an installation over: what is as it should be, what is not, and what to do.

What belongs here: one function for each check, which looks, and says what it found as a `Finding`. What does not: mending anything,
what must hold of a release (`criteria`), printing (`cli.doctor`).
"""
