"""Stories of products: a few sentences that say what a record says.

What belongs here: what a story is and reading those of other systems (`story`), writing one (`writing`, with phrases by language as data
files), finding what a story claims that its record does not say (`checking`). What does not: which products get one
(`sources.mapping.Mapping.stories`), where they are kept.
"""
