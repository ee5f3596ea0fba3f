"""Pages for people: the migration report, models side by side, hits as a page; their charts and templates.

What does not belong here: what is on them (`criteria`, `benchmarks`, `models`, `search`), and answering over HTTP (`serving`).
"""
