"""A catalogue as a component: our definitions in any Dagster project, by `dg scaffold defs`.

What belongs here: the component and what scaffolds it. What does not: the definitions (`defs`), which are the same as those
of our own code location but for the installation and the catalogue they are of.

    dg scaffold defs fashion_assets.components.FashionCatalogue shop --folder /data/shop

One code location is of one installation: its assets are called what they are, whatever sources they are made of, and its partitions
after their source. The catalogue a component names is put in use beside those added by `fashion-assets sources add`.
"""

from typing import Annotated

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, Field

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the source; batches are called after it. It is part of the products' ids and must not change.",
    ),
]
Folder = Annotated[
    str,
    Field(
        description="Folder with styles.csv and images/, as the machine that runs the code location sees it."
    ),
]
Home = Annotated[
    str | None,
    Field(
        description="Folder of the installation: embedded database, Parquet files, reports, settings. None: FASHION_ASSETS_HOME, "
        "or its default. A database of your own: FASHION_ASSETS_DATABASE_URL.",
    ),
]


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` asks for."""

    folder: Folder
    name: Name | None = Field(default=None, description="Name of the source. Default: that of the component.")
    home: Home = None


class FashionCatalogueScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes the `defs.yaml` of a catalogue."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Its options."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """One file, in the component's folder."""
        asked = request.params
        attributes = {"name": asked.name or request.target_path.name, "folder": asked.folder}
        if asked.home is not None:
            attributes["home"] = asked.home
        scaffold_component(request, attributes)


@dg.scaffold_with(FashionCatalogueScaffolder)
class FashionCatalogue(dg.Component, dg.Resolvable, dg.Model):
    """A fashion catalogue, migrated batch by batch into one searchable schema and released when every criterion holds."""

    name: Name
    folder: Folder
    home: Home = None

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` shows."""
        return dg.ComponentTypeSpec(
            owners=["team:catalog"],
            tags=["postgres", "pgvector", "parquet"],
            produces=["asset", "asset_check", "job", "schedule", "sensor", "resource"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """All of our definitions, of this catalogue."""
        from fashion_assets.definitions import definitions
        from fashion_assets.defs.resources import resources_of
        from fashion_assets.defs.sources import CatalogueResource

        ours = definitions(self.home)
        return dg.Definitions(
            assets=ours.assets,
            asset_checks=ours.asset_checks,
            jobs=ours.jobs,
            schedules=ours.schedules,
            sensors=ours.sensors,
            resources={
                **(ours.resources or {}),
                **resources_of(self.home),
                "catalogue": CatalogueResource(name=self.name, folder=self.folder),
            },
            # No executor: it would be that of the whole project. Our jobs have their own.
        )
