"""Great Expectations over a candidate's `products` table: nulls, ranges, sets, uniqueness, patterns.

What belongs here: the suite, generated from the catalogue's vocabularies, its validation in the database and the Data
Docs. What does not: criteria that gate the swap (`candidate`): those need no second framework to be read again.
"""

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion_assets.catalog.attributes import ATTRIBUTES, CRITICAL, MONEY, YEAR, Attribute
from fashion_assets.catalog.normalization import vocabulary
from fashion_assets.catalog.profile import Profile
from fashion_assets.criteria.profiles import needed_by, profiles
from fashion_assets.criteria.verdict import in_force
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

OFFENDERS_SHOWN = 10


@dataclass(frozen=True)
class Expected:
    """One expectation: the check's name, what it claims, and how to build it from the imported library."""

    name: str
    claim: str
    """Settings stand in it as `{max_price:g}`, by their names."""
    build: Callable[[Any, Settings], Any]
    needed: str | None = None
    """A column that products need where their source's profile says so: it is asked of those alone."""

    def claim_in(self, settings: Settings) -> str:
        """The claim as these settings have it."""
        return in_force(self.claim, settings)


@dataclass(frozen=True)
class ExpectationResult:
    name: str
    passed: bool
    unexpected: int
    elements: int
    offenders: list[str]
    expectation: dict[str, Any]


def _not_null(column: str) -> Expected:
    return Expected(
        f"{column}_is_never_null",
        f"No product lacks {column}, of sources whose products need it",
        lambda gxe, _: gxe.ExpectColumnValuesToNotBeNull(column=column),
        needed=column,
    )


def _in_vocabulary(column: str) -> Expected:
    return Expected(
        f"{column}_is_in_its_vocabulary",
        f"At least {{min_known_share:.0%}} of the values of {column} are known to the vocabulary",
        lambda gxe, settings: gxe.ExpectColumnValuesToBeInSet(
            column=column, value_set=sorted(set(vocabulary(column).values())), mostly=settings.min_known_share
        ),
    )


def _is_stated(column: str) -> Expected:
    return Expected(
        f"{column}_is_never_empty",
        f"Where a product has {column}, it says something",
        lambda gxe, _: gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=1),
    )


def _plural(column: str) -> str:
    return f"{column.replace('_', ' ').capitalize()}s"


def _is_plausible_year(column: str) -> Expected:
    return Expected(
        f"{column}_is_plausible",
        f"{_plural(column)} lie between 1900 and 2100",
        lambda gxe, _: gxe.ExpectColumnValuesToBeBetween(column=column, min_value=1900, max_value=2100),
    )


def _is_in_range(column: str) -> Expected:
    return Expected(
        f"{column}_is_in_range",
        f"{_plural(column)} are above zero, or zero where a source gives things away, and at most {{max_price:g}}",
        lambda gxe, settings: gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=0, strict_min=True, max_value=settings.max_price
        ),
    )


def _of(each: Attribute) -> Expected:
    """What is expected of an attribute's values where there are any, by what it is."""
    if each.kind is MONEY:
        return _is_in_range(each.name)
    if each.kind is YEAR:
        return _is_plausible_year(each.name)
    return _in_vocabulary(each.name) if each.vocabulary else _is_stated(each.name)


EXPECTATIONS: list[Expected] = [
    *(_not_null(column) for column in (*CRITICAL, "image_path")),
    Expected(
        "product_id_is_unique",
        "No product id occurs twice",
        lambda gxe, _: gxe.ExpectColumnValuesToBeUnique(column="product_id"),
    ),
    Expected(
        "image_width_is_positive",
        "Pictures are at least one pixel wide",
        lambda gxe, _: gxe.ExpectColumnValuesToBeBetween(column="image_width", min_value=1),
    ),
    Expected(
        "image_sha256_is_a_digest",
        "Picture digests are 64 hexadecimal digits",
        lambda gxe, _: gxe.ExpectColumnValuesToMatchRegex(column="image_sha256", regex="^[0-9a-f]{64}$"),
    ),
    *map(_of, ATTRIBUTES),
]


def claims(settings: Settings) -> dict[str, str]:
    """What each check says, by its name."""
    return {expected.name: expected.claim_in(settings) for expected in EXPECTATIONS}


def data_docs_folder(settings: Settings) -> Path:
    """Where the Data Docs lie; `index.html` is their first page."""
    return settings.reports / "data_docs"


def validation_page(settings: Settings, release: str) -> Path | None:
    """The page of the Data Docs on a release, the newest where it was validated several times; None where it never was."""
    pages = (data_docs_folder(settings) / "validations" / release).rglob("*.html")
    # The library names their folders by the time.
    return max(pages, default=None)


def import_library() -> tuple[Any, Any, Any]:
    """Great Expectations: the package, its expectations, and the action that writes Data Docs. Takes seconds the first
    time."""
    # Set before the import, which reads it.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # A third of its import is scipy's distributions, for two expectations that are not in the suite.
    _import_when_used("scipy.stats")
    # Makes SQLAlchemy know the types of vectors: of a table with a column it does not know the library validates nothing.
    import pgvector.sqlalchemy  # noqa: F401

    with warnings.catch_warnings():
        # The library imports parts of marshmallow and pandas that warn of their own future; nothing a user can change.
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx
        from great_expectations import expectations as gxe
        from great_expectations.checkpoint.actions import UpdateDataDocsAction
    return gx, gxe, UpdateDataDocsAction


def _import_when_used(name: str) -> None:
    """Let a module of a package be imported when something of it is first used."""
    package, _, own = name.rpartition(".")
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    # Otherwise `from package import module` would look whether it is being imported, which is a use.
    setattr(sys.modules[package], own, module)


def validate_products(settings: Settings, release: Release) -> tuple[list[ExpectationResult], Path]:
    """Run the suite on the candidate's table, in the database; results in the suite's order, and its page of the Data
    Docs."""
    gx, gxe, UpdateDataDocsAction = import_library()
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    docs = data_docs_folder(settings)
    docs.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}  # type: ignore[assignment]
    _add_site(context, docs)
    suite = context.suites.add(gx.ExpectationSuite(name=f"{release.release}.products"))
    with connect(settings, vectors=False) as conn:
        held_to = profiles(conn, settings)
    for expectation in _expectations(gxe, settings, held_to):
        suite.add_expectation(expectation)
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name=release.release, data=_table(context, settings, release), suite=suite)
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=release.release,
            validation_definitions=[validation],
            actions=[UpdateDataDocsAction(name="data_docs", site_names=[_SITE])],
            result_format={"result_format": "BASIC", "partial_unexpected_count": OFFENDERS_SHOWN},
        )
    )
    run = next(iter(checkpoint.run().run_results.values()))
    found = {_configuration(result)["meta"]["check"]: result for result in run.results}
    results = [_result(expected, found.get(expected.name)) for expected in EXPECTATIONS]
    return results, validation_page(settings, release.release) or docs / "index.html"


_SITE = "candidate"
"""What the Data Docs are called in the library."""


def _add_site(context: Any, docs: Path) -> None:
    """Have the library write Data Docs into that folder."""
    if _SITE in context.list_data_docs_sites():
        return
    context.add_data_docs_site(
        site_name=_SITE,
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            # The library would put variables of the environment, or its own, in place of a `$name`.
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(docs).replace("$", r"\$"),
            },
        },
    )


def _table(context: Any, settings: Settings, release: Release) -> Any:
    """All of the release's `products`, as the library names what it validates."""
    # Not above: a command that shows reports is done before SQLAlchemy is imported.
    from fashion_assets.postgres.engines import sqlalchemy_url

    url = sqlalchemy_url(settings).render_as_string(hide_password=False)
    with warnings.catch_warnings():
        # The library's own Postgres data source refuses socket URLs, and the generic one warns that it is there.
        warnings.simplefilter("ignore", UserWarning)
        datasource = context.data_sources.add_sql(release.release, connection_string=url)
    asset = datasource.add_table_asset("products", table_name="products", schema_name=release.release)
    return asset.add_batch_definition_whole_table("all")


def _expectations(gxe: Any, settings: Settings, held_to: Mapping[str, Profile]) -> Iterator[Any]:
    """The library's expectations, each asked of the products whose source is held to it (profiles by source); without
    those no source asks for."""
    from great_expectations.expectations.row_conditions import Column

    lacks = needed_by(held_to)
    for expected in EXPECTATIONS:
        expectation = expected.build(gxe, settings)
        if expected.needed is not None:
            asking = sorted(source for source, columns in lacks.items() if expected.needed in columns)
            if not asking and held_to:
                continue
            if len(asking) < len(held_to):
                expectation.row_condition = Column("source").is_in(asking)
        if expected.name == "price_is_in_range" and any(each.free_items for each in held_to.values()):
            expectation.strict_min = False
        expectation.meta = {"check": expected.name}
        yield expectation


def _result(expected: Expected, result: Any | None) -> ExpectationResult:
    """What the library found, as it is shown here; `None`: it was not asked, since no source asks for it."""
    if result is None:
        return ExpectationResult(expected.name, True, 0, 0, [], {})
    figures = result.result or {}
    # One that could not be computed has no figures; what hindered it is all there is to say.
    hindered = [info["exception_message"] for info in _exceptions(result) if info.get("raised_exception")]
    return ExpectationResult(
        name=expected.name,
        passed=bool(result.success),
        unexpected=int(figures.get("unexpected_count") or 0),
        elements=int(figures.get("element_count") or 0),
        offenders=[str(value) for value in figures.get("partial_unexpected_list") or hindered],
        expectation=_configuration(result),
    )


def _exceptions(result: Any) -> list[dict[str, Any]]:
    """What the library says of errors: of one, or of one for each metric."""
    said = result.exception_info or {}
    return (
        [said] if "raised_exception" in said else [each for each in said.values() if isinstance(each, dict)]
    )


def _configuration(result: Any) -> dict[str, Any]:
    return result.expectation_config.to_json_dict()
