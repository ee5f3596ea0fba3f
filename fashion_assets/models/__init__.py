"""Making and judging CLIPs: the training of the one that ships with the package, and any model's figures on a folder's own pictures.

What does not belong here: using a model (`embedding`), figures of releases (`benchmarks`). The pipeline imports none of this.
"""
