"""Success criteria of a release: what must hold in the candidate's own tables before it may go live.

What belongs here: the list of all criteria of a release, each with its words and its remedy, and judging by them. What does not: the
questions themselves (`loaded`, `indexed`, and those of criteria of one kind), criteria of one batch (`batch`), the swap (`release`).

Each is answered anew whenever it is asked; but for the engine's answers nothing is taken over from an earlier check, and these only where
they must be the same (`answers`).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from fashion_assets.benchmarks import results
from fashion_assets.criteria import declared, indexed, loaded, losses, preserved
from fashion_assets.criteria.measured import MEASURED_CRITERIA, Measured
from fashion_assets.criteria.questions import Searching
from fashion_assets.criteria.searching import SEARCH_CRITERIA
from fashion_assets.criteria.styles import STYLE_CRITERIA
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import (
    Criterion,
    Finding,
    Verdict,
    not_applicable,
)
from fashion_assets.embedding.spaces import ModelError
from fashion_assets.warehouse import releases


def _asked(criterion: Criterion[Searching]) -> Criterion[Candidate]:
    def measure(candidate: Candidate) -> Finding:
        with candidate.searching() as searching:
            try:
                return criterion.measure(searching)
            except ModelError as error:
                return not_applicable(str(error))

    return criterion.of(measure)


def _measured(criterion: Criterion[Measured]) -> Criterion[Candidate]:
    def measure(candidate: Candidate) -> Finding:
        benchmarks = results.load(candidate.conn, candidate.release.release)
        products = candidate.number("SELECT count(*) FROM {products}")
        return criterion.measure(Measured(products, benchmarks, candidate.settings))

    return criterion.of(measure)


CANDIDATE_CRITERIA: list[Criterion[Candidate]] = [
    Criterion(
        "every_batch_is_loaded",
        "B5",
        "Every batch of every active source finished and is in the release",
        "all",
        "products",
        loaded.every_batch_is_loaded,
        "Run again: fashion-assets run does what the batches named lack. If one stops again, its checks in the Dagster UI "
        "say why.",
    ),
    Criterion(
        "listings_are_accounted_for",
        "A2",
        "Listings in = products + quarantined",
        "exactly",
        "products",
        loaded.listings_are_accounted_for,
        "Rows were lost or added since the batches were written. Build the release again: fashion-assets run.",
    ),
    Criterion(
        "nothing_is_lost",
        "A2",
        "Every listing is in quarantine, or a product that holds what the listing states",
        "0 lost or altered",
        "products",
        loaded.nothing_is_lost,
        "The offenders were lost or changed on the way from the batches' files into the release. Build it again: fashion-assets run. "
        "Row by row, with the source itself: fashion-assets diff SOURCE.",
    ),
    Criterion(
        "preserved_vectors_are_bit_for_bit",
        "D3",
        "Vectors that came with listings are what they were: digests over ids and float4 bytes are equal",
        "equal",
        "products",
        lambda candidate: preserved.finding(candidate.conn, candidate.release, candidate.settings),
        "Vectors were lost or changed on the way into the release; the offenders are these. Build it again: fashion-assets run.",
    ),
    Criterion(
        declared.ROWS_ARE_ACCOUNTED_FOR,
        "A2",
        "Of each table that comes along (users, favourites, …): rows in = rows in the release + quarantined",
        "exactly",
        "products",
        lambda candidate: declared.finding(candidate.conn, candidate.release),
        "Rows were lost or added since the tables were read. Run again: fashion-assets run reads and loads them anew.",
    ),
    Criterion(
        "there_are_products",
        "A7",
        "The release has products",
        "> 0",
        "products",
        loaded.there_are_products,
        "Look at what was rejected and why: fashion-assets quarantine. If nothing was, the source has no listings.",
    ),
    Criterion(
        losses.NOTHING_MUCH_IS_LOST,
        "A11",
        "Hardly any of the live release's products, listings, favourites and users are gone",
        "at most {max_shrink:.0%} of each, in each source",
        "products",
        loaded.nothing_much_is_lost,
        "If the source delivered too little, mend it and run again: fashion-assets run. If so much is meant to be gone, let the "
        "candidate go live: fashion-assets promote --allow-shrink, or the job promote_smaller_candidate.",
        acceptable=True,
    ),
    Criterion(
        "product_ids_are_unique",
        "A2",
        "One product for each external id of a source",
        "0 repeated",
        "products",
        loaded.ids_are_unique,
        "The release's table was changed after its load. Build the release again: fashion-assets run.",
    ),
    Criterion(
        "critical_fields_are_not_null",
        "A9",
        "No product without an id, without title and picture, or without what its source's profile calls critical",
        "0 products",
        "products",
        loaded.critical_fields_are_not_null,
        "Listings without these are quarantined, so the table was changed after its load. Build the release again: "
        "fashion-assets run.",
    ),
    Criterion(
        "image_paths_are_valid",
        "A9",
        "Every picture of a product is there",
        "0 missing",
        "products",
        loaded.image_paths_are_valid,
        "Put the pictures back where the offenders say, or run again: fashion-assets run quarantines listings whose "
        "pictures are gone for good.",
    ),
    Criterion(
        "brands_are_present",
        "A9",
        "Products have a brand, where their source states brands",
        "at least {min_brand_share:g} of them",
        "products",
        loaded.brands_are_present,
        "State the offenders' brands in the source, or ask for a smaller share.",
    ),
    Criterion(
        "prices_are_distributed_as_expected",
        "A9",
        "Prices are those that were read of the listings, and distributed alike",
        "no product differs, KS distance at most {max_price_shift:g}",
        "products",
        loaded.prices_are_distributed_as_expected,
        "Compare the prices in the report, old against new. Those stated are read as validation reads them; where products "
        "have others, build the release again: fashion-assets run.",
    ),
    Criterion(
        "embeddings_are_complete",
        "B1",
        "Every product that has a picture or a title has a vector of its space, and the float32 original beside it",
        "0 products without",
        "products",
        loaded.embeddings_are_complete,
        "Build the release again: fashion-assets run. If the offenders' vectors came with their listings, they must have "
        "their space's dimension and not be zero.",
    ),
    Criterion(
        "product_ids_are_mapped",
        "A11",
        "Every product's old id leads to its new one",
        "0 unmapped",
        "products",
        loaded.ids_are_mapped,
        "Rows of fashion_ops.id_map were removed or changed. Build the release again: its load adds those that are missing.",
    ),
    Criterion(
        "vector_index_is_whole",
        "A4",
        "One valid vector index for each embedding space",
        "exactly one each",
        "product_embeddings_index",
        indexed.vector_index_is_whole,
        "Build the indexes again: materialise product_embeddings_index, or fashion-assets run. An index that was cut off "
        "(no memory, no disk) is named invalid.",
    ),
    _asked(
        Criterion(
            "vector_search_uses_the_index",
            "A4",
            "The engine's own statement for a vector search is answered from the index, or from the nearest styles where that finds too few",
            "index scan",
            "product_embeddings_index",
            indexed.vector_search_uses_the_index,
            "The offenders are what is read instead. Build the indexes and their statistics again: materialise "
            "product_embeddings_index.",
        )
    ),
    Criterion(
        "vector_index_is_small",
        "B6",
        "The vector index takes little memory",
        "at most {max_index_mb_per_10k:g} MB for 10,000 vectors",
        "product_embeddings_index",
        indexed.vector_index_is_small,
        "An index that grew holds rows that were changed: build the release again. With vectors of more dimensions it is "
        "larger by nature; allow it more.",
    ),
    *STYLE_CRITERIA,
    *map(_asked, SEARCH_CRITERIA),
    *map(_measured, MEASURED_CRITERIA),
]
"""Every criterion of a release, in the order they are shown."""


ACCEPTABLE = frozenset(criterion.name for criterion in CANDIDATE_CRITERIA if criterion.acceptable)
"""Those that a person may accept although they fail."""


def judge(
    candidate: Candidate,
    criteria: Sequence[Criterion[Candidate]] = tuple(CANDIDATE_CRITERIA),
    accepted: Collection[str] = (),
) -> list[Verdict]:
    """All verdicts on the candidate, or those of some criteria, measured now; beside the values the live release had when
    it was judged last. `accepted`: names of those a person lets fail; raises `ValueError` for any but `ACCEPTABLE` ones."""
    if strangers := sorted(set(accepted) - ACCEPTABLE):
        raise ValueError(
            f"nobody may accept that {', '.join(strangers)} fails, only {', '.join(sorted(ACCEPTABLE))}"
        )
    with candidate.searching():
        verdicts = [criterion.judge(candidate, candidate.settings, accepted) for criterion in criteria]
    live = releases.live(candidate.conn)
    if live is None or live.release == candidate.release.release:
        return verdicts
    had = {kept["name"]: kept.get("value") for kept in live.criteria or ()}
    return [
        replace(verdict, live=had.get(verdict.name)) if criterion.beside_live else verdict
        for criterion, verdict in zip(criteria, verdicts, strict=True)
    ]
