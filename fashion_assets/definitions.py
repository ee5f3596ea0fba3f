"""The code location: loads `defs/`, nothing else."""

import warnings

import dagster as dg

import fashion_assets.defs
from fashion_assets.places import DAGSTER_FILES


@dg.definitions
def defs() -> dg.Definitions:
    # By the module: a search for the project's pyproject.toml finds none around a wheel, or that of whoever installed it.
    tree = dg.ComponentTree.from_module(defs_module=fashion_assets.defs, project_root=DAGSTER_FILES)
    with warnings.catch_warnings():
        # Dagster warns of previews that it uses itself.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return tree.build_defs()
