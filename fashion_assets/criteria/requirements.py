"""What the ids mean that criteria and reasons of rejection carry (A2, G3): each in a sentence, once.

What belongs here: the sentences, for the report, the command line, the Dagster UI and the reference. What does not: judging
whether they are met (the criteria beside this file).
"""

REQUIREMENTS = {
    "A1": "The old catalogue is read as it is; a record that is broken is read too, and kept whole.",
    "A2": "Every listing is judged and becomes a product or is quarantined with every reason; none is lost, none is there twice.",
    "A4": "One vector index answers searches by words, by pictures and by both.",
    "A7": "The release does what it is used for: products are there, can be filtered, are found by words, vectors and pictures, "
    "and are recommended to people.",
    "A8": "Pages and searches come in time, and fail no more often than before.",
    "A9": "What products say is sound: nothing critical is null, pictures are where they should be, brands are stated, prices "
    "are those of the old catalogue.",
    "A10": "Listing and search are faster than in the old layout, both measured in one run.",
    "A11": "Old ids lead to new ones, so that favourites and all that refers to a product follow it; little disappears unasked.",
    "A12": "The catalogue has styles that are named by what is in them, and every product is near to some.",
    "B1": "Vectors of several models live side by side, each of its own space and its dimension.",
    "B2": "What records do not state is read from words and pictures, with a confidence and an origin; stated values win.",
    "B5": "The catalogue is migrated batch by batch, and a release has every batch.",
    "B6": "The loads that are promised are borne, and indexes stay small.",
    "B7": "Vectors are watched: every product has one, and it is finite and of length 1.",
    "D2": "Every second-hand item has a story, and no story says what its record does not.",
    "D3": "Vectors that came with listings are kept bit for bit, and listings that never had one are kept, too.",
    "E1": "Values become canonical; what the source said is never touched.",
    "E5": "What a backfill wrote is canonical, agrees with what documents state, and leads people to them.",
    "G3": "A search under a filter finds what is nearest, however few products the filter leaves.",
}
"""What each requirement asks, by its id."""


def in_words(requirement: str) -> str:
    """An id with its sentence; the bare id where it is of another version of the product, as a kept verdict's may be."""
    said = REQUIREMENTS.get(requirement)
    return f"{requirement}: {said}" if said else requirement
