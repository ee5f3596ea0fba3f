"""The drawn sample: old systems as they really were, oddities and all, of any size, the same each time.

What belongs here: what is in them and writing it: a shop's folder (`shop`, with `pictures`), a second-hand database (`second_hand`, with
`people`), a database of garments with JSON vectors (`json_garments`), wardrobe documents (`wardrobe`). What does not: when and where they
are drawn for a sample (`sources.sample`), reading them (`sources.mapped`).
"""
