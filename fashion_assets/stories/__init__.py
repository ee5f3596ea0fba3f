"""Stories written by a model behind an OpenAI-compatible endpoint, and kept: they take the place of built-in ones.

What belongs here: what is asked (`asking`), asking it (`endpoint`), what it may cost (`spending`), what was answered (`answers`), going
through products (`writing`). What does not: what a story is and what it may claim (`catalog.stories`), which products there are (`batches`).

Off unless the settings name an endpoint and a model.
"""
