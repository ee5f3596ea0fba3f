"""Each criterion of a batch, in a case where it holds and in one where it does not."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fashion_assets.catalog.attributes import READ
from fashion_assets.catalog.listing import PictureFolders
from fashion_assets.catalog.normalization import normalize
from fashion_assets.catalog.properties import read_properties
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.stories.story import Story
from fashion_assets.catalog.stories.writing import PlainWriter, with_stories
from fashion_assets.catalog.validation import validate
from fashion_assets.catalog.vectors import BROUGHT_SCHEMA
from fashion_assets.criteria.batch import BATCH_CRITERIA
from fashion_assets.criteria.canonical import NORMALIZED, PROPERTIES, FilledBatch, NormalizedBatch
from fashion_assets.criteria.listings import (
    NOTHING_JUDGED,
    QUARANTINED,
    RAW,
    VALIDATED,
    Judged,
    RawBatch,
    ValidatedBatch,
)
from fashion_assets.criteria.vectors import IMAGE_EMBEDDINGS, PRODUCT_EMBEDDINGS, EmbeddedBatch
from fashion_assets.criteria.verdict import Criterion
from fashion_assets.embedding.embed import vector_column
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.settings import Settings
from fashion_assets.sources.known_mappings import PUBLIC, load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets_tests.catalogue import write_catalogue

SPACE = embedding_space(None)


def outcome(criteria: list[Criterion], name: str, subject: object) -> str:
    return next(criterion for criterion in criteria if criterion.name == name).judge(subject).outcome


def changed(table: pa.Table, column: str, values: list) -> pa.Table:
    index = table.schema.get_field_index(column)
    return table.set_column(
        index, table.schema.field(index), pa.array(values, table.schema.field(index).type)
    )


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(write_catalogue(tmp_path / "catalogue", 40))


@pytest.fixture
def raw(root: str) -> RawBatch:
    source = Mapped("shop", root, load_mapping(PUBLIC))
    references = pa.concat_tables(source.scan())
    keyed = references.append_column("listing_key", references["external_id"]).append_column(
        "occurrence", pa.array([0] * references.num_rows, pa.int32())
    )
    return RawBatch(keyed, source.read(keyed))


@pytest.fixture
def validated(raw: RawBatch, root: str) -> ValidatedBatch:
    judged = validate(raw.listings, Rules(), pictures_in=PictureFolders(root))
    return ValidatedBatch(raw.listings, judged.products, judged.rejections, max_rejection_rate=0.25)


@pytest.fixture
def normalized(validated: ValidatedBatch) -> NormalizedBatch:
    return NormalizedBatch(
        validated.products, normalize(validated.products, at=datetime(2026, 1, 1, tzinfo=UTC))
    )


@pytest.fixture
def filled(normalized: NormalizedBatch) -> FilledBatch:
    return FilledBatch(normalized.normalized, read_properties(normalized.normalized, "1"))


def test_what_is_read_of_a_batch_is_whole_says_where_from_and_touches_nothing_stated(
    filled: FilledBatch,
) -> None:
    assert {outcome(PROPERTIES, criterion.name, filled) for criterion in PROPERTIES} == {"pass"}
    shorter = replace(filled, properties=filled.properties.slice(1))
    assert outcome(PROPERTIES, "every_product_is_read", shorter) == "fail"

    rows = filled.properties.num_rows
    stated = replace(filled, properties=changed(filled.properties, "colour", ["red"] * rows))
    assert outcome(PROPERTIES, "stated_values_win", stated) == "fail"

    def said(value: str | None, origin: str | None) -> FilledBatch:
        table = changed(filled.properties, "era", [value] + [None] * (rows - 1))
        return replace(filled, properties=changed(table, "origins", [origin] + [None] * (rows - 1)))

    name = "what_is_filled_says_where_from"
    none = replace(filled, properties=changed(filled.properties, "origins", [None] * rows))
    told = any(each.is_valid for each in filled.properties["designer_tier"].combine_chunks())
    assert told and outcome(PROPERTIES, name, none) == "fail"
    empty = filled.properties
    for column in READ:
        empty = changed(empty, column, [None] * rows)
    filled = replace(filled, properties=empty)
    assert outcome(PROPERTIES, name, said("1990s", '{"era":{"origin":"text","confidence":0.9}}')) == "pass"
    assert outcome(PROPERTIES, name, said("1990s", None)) == "fail"
    assert outcome(PROPERTIES, name, said(None, '{"era":{"origin":"text","confidence":0.9}}')) == "fail"
    assert outcome(PROPERTIES, name, said("1990s", '{"era":{"origin":"guess","confidence":0.9}}')) == "fail"
    assert outcome(PROPERTIES, name, said("1990s", '{"era":{"origin":"text","confidence":0.3}}')) == "fail"


@pytest.fixture
def embedded(validated: ValidatedBatch) -> EmbeddedBatch:
    vectors = np.random.default_rng(0).normal(size=(40, SPACE.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return EmbeddedBatch(validated.products, embeddings(validated.products, vectors), SPACE)


def test_a_product_without_a_vector_must_have_failed_and_be_bearable(embedded: EmbeddedBatch) -> None:
    (covers,) = [c for c in IMAGE_EMBEDDINGS if c.name == "image_embeddings_cover_every_product"]
    first = embedded.products["product_id"][0].as_py()
    lacking = replace(embedded, embeddings=embedded.embeddings.slice(1), max_failure_rate=0.25)
    assert not covers.judge(lacking).passed
    failed = covers.judge(replace(lacking, failures={first: "the picture is gone"}))
    assert failed.passed and failed.offenders == [f"{first}: the picture is gone"]
    # Failed, and yet there: one of the two is wrong.
    assert not covers.judge(replace(embedded, failures={first: "the picture is gone"})).passed
    many = embedded.products["product_id"][:11].to_pylist()
    unmounted = replace(
        lacking, embeddings=embedded.embeddings.slice(11), failures=dict.fromkeys(many, "gone")
    )
    assert not covers.judge(unmounted).passed
    assert covers.judge(replace(unmounted, max_failure_rate=0.3)).passed


def embeddings(products: pa.Table, vectors: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "product_id": products["product_id"],
            "space": [SPACE.name] * len(vectors),
            "vector": vector_column(vectors),
        }
    )


def test_a_sound_batch_passes_every_criterion(raw, validated, normalized, embedded):
    subjects = [*((c, raw) for c in RAW), *((c, validated) for c in [*VALIDATED, *QUARANTINED])]
    subjects += [*((c, normalized) for c in NORMALIZED), *((c, embedded) for c in IMAGE_EMBEDDINGS)]
    silent = {"every_product_has_a_story", "stories_say_what_records_say"}  # nobody asked for stories
    assert {criterion.name: criterion.judge(subject).outcome for criterion, subject in subjects} == {
        criterion.name: "not applicable" if criterion.name in silent else "pass" for criterion, _ in subjects
    }


def test_a_story_that_is_missing_or_claims_too_much_is_named(normalized):
    told = replace(normalized, normalized=with_stories(normalized.normalized, PlainWriter()), stories=True)
    has_one, is_true = NORMALIZED[-2:]
    assert [criterion.judge(told).outcome for criterion in (has_one, is_true)] == ["pass", "pass"]
    first = told.normalized["product_id"][0].as_py()
    stories = told.normalized["story"].to_pylist()
    silent = replace(told, normalized=changed(told.normalized, "story", [None, *stories[1:]]))
    assert has_one.judge(silent).offenders == [first]
    invented = Story("Bought for 12345 in a cashmere dream.").as_json()
    lying = replace(told, normalized=changed(told.normalized, "story", [invented, *stories[1:]]))
    assert is_true.judge(lying).offenders == [f"{first}: material cashmere, number 12345"]


def test_names_are_unique():
    names = [criterion.name for criterion in BATCH_CRITERIA]
    assert len(names) == len(set(names))


def test_a_reference_that_was_not_read_is_named(raw):
    verdict = RAW[0].judge(replace(raw, listings=raw.listings.slice(1)))
    assert verdict.outcome == "fail"
    assert verdict.offenders == raw.listings["listing_key"].slice(0, 1).to_pylist()


def test_a_record_that_is_no_json_object_is_named(raw):
    records = raw.listings["record"].to_pylist()
    broken = changed(raw.listings, "record", ["[1]", "{", *records[2:]])
    verdict = next(c for c in RAW if c.name == "records_are_whole_json").judge(replace(raw, listings=broken))
    assert verdict.outcome == "fail"
    assert verdict.offenders == raw.listings["listing_key"].slice(0, 2).to_pylist()


def test_a_lost_listing_is_named(validated):
    verdict = VALIDATED[0].judge(replace(validated, products=validated.products.slice(1)))
    assert verdict.outcome == "fail"
    assert verdict.offenders == validated.products["listing_key"].slice(0, 1).to_pylist()


def test_a_listing_that_is_both_fails_the_balance(validated):
    doubled = pa.concat_tables([validated.products.slice(1), validated.products.slice(1, 1)])
    assert (
        outcome(VALIDATED, "listings_are_products_or_quarantined", replace(validated, products=doubled))
        == "fail"
    )


def test_too_many_rejections_fail_and_name_the_reasons(raw, root):
    titles = [None] * 11 + raw.listings["title"].to_pylist()[11:]
    judged = validate(changed(raw.listings, "title", titles), Rules(), pictures_in=PictureFolders(root))
    verdict = VALIDATED[1].judge(ValidatedBatch(raw.listings, judged.products, judged.rejections, 0.25))
    assert (verdict.outcome, verdict.value, verdict.offenders) == ("fail", 0.275, ["null_title: 11"])


@pytest.fixture
def bad(raw, root) -> ValidatedBatch:
    """Thirty of forty listings are rejected."""
    titles = [None] * 30 + raw.listings["title"].to_pylist()[30:]
    judged = validate(changed(raw.listings, "title", titles), Rules(), pictures_in=PictureFolders(root))
    return ValidatedBatch(raw.listings, judged.products, judged.rejections, 0.25)


def test_new_bad_listings_are_borne_by_a_source_that_is_good(bad):
    borne = VALIDATED[1].judge(replace(bad, elsewhere=Judged(200, 10)))
    assert (borne.outcome, borne.value, borne.offenders) == ("pass", 0.75, ["null_title: 30"])
    assert borne.reason == (
        "rejected are 30 of 40 listings of this batch, 40 of 240 of its source's so far, and 0 of 0 of those in this batch "
        "that were products before"
    )
    # By themselves they are all there is; and a source that is as bad makes them no better.
    for elsewhere in (NOTHING_JUDGED, Judged(200, 100)):
        verdict = VALIDATED[1].judge(replace(bad, elsewhere=elsewhere))
        assert verdict.outcome == "fail" and "--accept-rejections" in verdict.reason


def test_products_that_go_bad_stop_their_batch_however_good_the_source_is(bad):
    many = replace(bad, elsewhere=Judged(10_000, 0))
    keys = bad.listings["listing_key"]
    verdict = VALIDATED[1].judge(replace(many, products_before=keys))
    assert verdict.outcome == "fail"
    assert "30 of 10,040 of its source's so far, and 30 of 40 of those" in verdict.reason
    # Those that were products still are; a listing that is in the batch no more says nothing.
    before = pa.chunked_array([keys.slice(28).combine_chunks(), pa.array(["gone"] * 100)])
    borne = VALIDATED[1].judge(replace(many, products_before=before))
    assert borne.outcome == "pass" and "2 of 12 of those in this batch" in borne.reason


def test_a_person_may_accept_rejections_and_nothing_else(bad, validated):
    names = [criterion.name for criterion in BATCH_CRITERIA]
    assert (
        VALIDATED[1].judge(bad, None, names).outcome == "accepted"
        and VALIDATED[1].judge(bad, None, names).passed
    )
    assert VALIDATED[1].judge(validated, None, names).outcome == "pass"
    lost = replace(bad, products=bad.products.slice(1))
    assert VALIDATED[0].judge(lost, None, names).outcome == "fail"


def test_a_rate_of_few_listings_is_not_applicable(validated):
    few = replace(validated, products=validated.products.slice(0, 3))
    verdict = VALIDATED[1].judge(few)
    assert verdict.outcome == "not applicable"
    assert "too few" in verdict.reason


def test_the_limit_and_from_when_it_holds_are_settings(validated):
    settings = Settings(max_rejection_rate=0.4, min_listings_for_a_rate=50)
    verdict = VALIDATED[1].judge(replace(validated, min_listings_for_a_rate=50), settings)
    assert (verdict.outcome, verdict.threshold) == ("not applicable", "at most 40%")
    assert verdict.reason == "40 listings are too few for a rate (at least 50)"
    assert verdict.set_by == ["FASHION_ASSETS_MAX_REJECTION_RATE"]


def test_a_rejection_without_reason_is_named(raw, root):
    listings = changed(raw.listings, "title", [None, *raw.listings["title"].to_pylist()[1:]])
    judged = validate(listings, Rules(), pictures_in=PictureFolders(root))
    silent = changed(judged.rejections, "reasons", [[]])
    subject = ValidatedBatch(listings, judged.products, silent, 0.25)
    assert outcome(QUARANTINED, "rejections_have_reasons", subject) == "fail"


def test_a_product_lost_in_normalization_is_named(normalized):
    lost = replace(normalized, normalized=normalized.normalized.slice(1))
    assert outcome(NORMALIZED, "every_product_is_normalized", lost) == "fail"
    assert outcome(NORMALIZED, "originals_are_untouched", lost) == "fail"


def test_a_touched_original_is_named(normalized):
    records = normalized.normalized["record"].to_pylist()
    touched = changed(normalized.normalized, "record", [json.dumps({"id": "other"}), *records[1:]])
    verdict = NORMALIZED[1].judge(replace(normalized, normalized=touched))
    assert verdict.outcome == "fail"
    assert verdict.offenders == normalized.normalized["product_id"].slice(0, 1).to_pylist()


def test_a_value_in_capitals_is_named(normalized):
    colours = ["Navy Blue", *normalized.normalized["colour"].to_pylist()[1:]]
    verdict = NORMALIZED[2].judge(
        replace(normalized, normalized=changed(normalized.normalized, "colour", colours))
    )
    assert (verdict.outcome, verdict.offenders) == ("fail", ["colour=Navy Blue"])


def test_a_product_without_vector_is_named(embedded):
    lost = replace(embedded, embeddings=embedded.embeddings.slice(1))
    assert outcome(IMAGE_EMBEDDINGS, "image_embeddings_cover_every_product", lost) == "fail"


def test_a_wrong_dimension_fails(embedded):
    short = np.ones((40, 8), np.float32) / np.sqrt(8)
    wrong = replace(embedded, embeddings=embeddings(embedded.products, short))
    assert outcome(IMAGE_EMBEDDINGS, "image_embeddings_fit_their_space", wrong) == "fail"


@pytest.mark.parametrize("value", [0.0, 2.0, float("nan"), float("inf")])
def test_a_vector_of_another_length_is_named(embedded, value):
    vectors = np.full((40, SPACE.dimension), SPACE.dimension**-0.5, np.float32)
    vectors[3] = value
    wrong = replace(embedded, embeddings=embeddings(embedded.products, vectors))
    verdict = next(c for c in IMAGE_EMBEDDINGS if c.name.endswith("unit_length")).judge(wrong)
    assert (verdict.outcome, verdict.offenders) == (
        "fail",
        embedded.products["product_id"].slice(3, 1).to_pylist(),
    )


def test_a_vector_that_came_is_kept_bit_for_bit_or_named(embedded):
    ids = embedded.products["product_id"].slice(0, 3).to_pylist()
    came = pa.table(
        {
            "product_id": ids,
            "space": ["old"] * 3,
            "kind": ["image"] * 3,
            "vector": pa.array([[1.0, 2.0], [3.0, 4.0], [0.0, 5.0]], pa.list_(pa.float32())),
        },
        BROUGHT_SCHEMA,
    )
    kept = came.append_column("served", pa.array([True, True, False]))
    verdict = PRODUCT_EMBEDDINGS[-1].judge(replace(embedded, embeddings=kept, brought=came))
    assert (verdict.outcome, verdict.value) == ("pass", "3 of 3")
    assert PRODUCT_EMBEDDINGS[-1].judge(embedded).outcome == "not applicable"
    for vectors, offenders in (
        ([[1.0, 2.0], [3.0, 4.0], [-0.0, 5.0]], [ids[2]]),
        ([[1.0, 2.0], [3.0], [0.0, 5.0]], [ids[1]]),
    ):
        other = kept.set_column(3, "vector", pa.array(vectors, pa.list_(pa.float32())))
        verdict = PRODUCT_EMBEDDINGS[-1].judge(replace(embedded, embeddings=other, brought=came))
        assert verdict.outcome == "fail" and verdict.offenders == offenders
    lost = replace(embedded, embeddings=kept.slice(1), brought=came)
    assert PRODUCT_EMBEDDINGS[-1].judge(lost).offenders == ids[:1]


def test_of_several_vectors_one_must_be_searched(embedded):
    table = embedded.embeddings.append_column("served", pa.array([True] * 39 + [False]))
    verdict = PRODUCT_EMBEDDINGS[0].judge(replace(embedded, embeddings=table))
    assert (
        verdict.outcome == "fail"
        and verdict.offenders == embedded.products["product_id"].slice(39).to_pylist()
    )
    twice = pa.concat_tables([table, table.slice(0, 1)])
    assert PRODUCT_EMBEDDINGS[0].judge(replace(embedded, embeddings=twice)).outcome == "fail"


def test_preserved_vectors_are_not_judged_by_this_models_rules(embedded):
    foreign = embedded.embeddings.set_column(1, "space", pa.array(["other@1"] * 40))
    for name in ("image_embeddings_fit_their_space", "image_embeddings_are_of_unit_length"):
        assert outcome(IMAGE_EMBEDDINGS, name, replace(embedded, embeddings=foreign)) == "not applicable"
    assert pc.all(pc.equal(foreign["space"], "other@1")).as_py()
