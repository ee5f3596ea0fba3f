"""Canonical values for wardrobe documents, where the documents lie: in a table with a JSONB column, or a file of JSON lines.

What belongs here: finding the documents, going through all of them in batches that harm nobody and can be killed, watching, validating,
and undoing it byte for byte. What does not: what the canonical values are (`catalog.wardrobe`), and releases: nothing here is part of one.
"""
