"""Properties read from the words of a listing: what it is, of which colour and stuff, in which state, for whom.

`reading.read` takes a title, a description and what a record states, and gives each property its value, a calibrated confidence, where it
comes from and the words it was read from. What the words mean is in the plain files of `words/`, which a merchant edits and reviews.

What belongs here: reading text, and nothing but text. What does not: which column of a source is which (`sources.statements`),
canonical values of stated columns (`catalog.normalization`), pictures.
"""
