"""The search API: what the engine finds, over HTTP, under `/api/v1`, and the page on it.

What belongs here: routes, what they take and give, who may ask how much. What does not: finding anything (`search`), the Dagster UI
(`serving.ui`), what former clients ask (`serving.former`), what is measured (`serving.metrics`), the page's own files
(`serving/page`).

A module for each thing that is asked for, each with a `router`; `application` puts them together.
"""
