"""Batches: the stages each goes through, the files they leave, and what of them is stale.

What belongs here: a stage as one object (`stage`), the list of them (`stages`), what each makes (`listings`, `vectors`), what
batches' files say (`files`), and which batches a run has something to do for (`plan`). What does not: the Dagster face
(`defs`), releases (`release`), and the work a stage has done for it (`sources`, `catalog`, `embedding`).
"""
