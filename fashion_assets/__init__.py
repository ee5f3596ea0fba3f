"""fashion_assets: a fashion shop's old catalogues become one validated, searchable, safely released product schema.

A source's records are *listings*. They are cut into *batches*, one Dagster partition each. Per batch, `raw_listings`
are read, judged into `validated_products` and `quarantined_listings`, given canonical values
(`normalized_attributes`) and vectors (`image_embeddings`, `text_embeddings`, together `product_embeddings`);
what records do not state is read from words (`properties`). Per release, all batches are streamed into a fresh schema (`products`),
indexed (`product_embeddings_index`), measured (`search_benchmarks`), reported (`migration_report`) and, when every criterion holds,
put live (`live_release`).

Where what lives, and which way imports run: `docs/design.md`.
"""

__version__ = "0.2.0.dev0"
