"""How good a model is: any CLIP on a folder's own pictures and words, beside other models and beside foreign vectors.

What belongs here: which listings are asked with (`catalogue`), what each task asks (`tasks`) and counts (`figures`), how
pictures are disturbed (`disturbances`), the protocol and the figures of others (`published`), several models side by side
(`comparison`). What does not: the measures and the exact search (`embedding.retrieval`), which products a training kept out
(`models.holdout`), measurements of a release (`benchmarks.relevance`), how a comparison looks (`reports.comparison`).
"""
