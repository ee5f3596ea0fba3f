"""What a listing is and what makes it a product: pure functions over Arrow tables.

`listing` holds the shapes, `pictures` opens pictures, `validation` judges listings, `normalization` gives
products canonical values from the data files in `vocabularies/`, `brands` reads a brand from a title.

What belongs here: rules and words of fashion catalogues. What does not: reading old systems (`sources`),
storing (`warehouse`), Dagster, databases.
"""
