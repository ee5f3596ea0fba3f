"""Stories that a model wrote, in the batches they are of."""

from datetime import UTC, datetime

import pytest

from fashion_assets.batches.files import NORMALIZED_ATTRIBUTES
from fashion_assets.batches.stages import batch_version
from fashion_assets.batches.written import versions, wanted, with_written
from fashion_assets.catalog.normalization import normalize
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.stories.story import Story, read_story
from fashion_assets.catalog.stories.writing import PlainWriter, told, with_stories
from fashion_assets.catalog.validation import validate
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.settings import Settings
from fashion_assets.sources.sample import open_sample
from fashion_assets.stories import asking
from fashion_assets.stories.answers import Answers, Kept, path_of
from fashion_assets.stories.writing import writer_of
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch
from fashion_assets_tests.catalog.keyed import read_all

MODEL = "scribe-1"


def test_a_models_stories_take_the_place_of_built_in_ones(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    source = open_sample("old", "second-hand:12", settings)
    batch = Batch("old-00001", "old", number=1, listings=12, content_version="content")
    products = validate(read_all(source), Rules(profile=source.profile)).products
    plain = with_stories(normalize(products, at=datetime.now(UTC)), PlainWriter())
    space = embedding_space(None)
    off = batch_version(batch, settings, space, source)

    monkeypatch.setenv("FASHION_ASSETS_STORY_ENDPOINT", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FASHION_ASSETS_STORY_MODEL", MODEL)
    chosen = Settings()  # type: ignore[call-arg]
    assert with_written(plain, chosen).equals(plain) and not path_of(chosen).exists()
    assert batch_version(batch, chosen, space, source) == off

    first, second, *_ = [told(row) for row in plain.to_pylist()]
    story = Story("It is what it is.", "neutral", (), MODEL, asking.version())
    with Answers(path_of(chosen)) as answers:
        answers.keep(asking.key(first, MODEL), MODEL, Kept(story.as_json(), None))
        answers.keep(asking.key(second, MODEL), MODEL, Kept(None, "the record does not say brand Gucci"))
        assert versions(chosen) == {}
        answers.note_batch(writer_of(MODEL), batch.name)
    store = ParquetStore(chosen.assets_url)
    store.write(plain, NORMALIZED_ATTRIBUTES.name, batch.name)
    asked = list(wanted(chosen, ["old-00000", batch.name]))
    assert [each.key for each in asked] == [asking.key(told(row), MODEL) for row in plain.to_pylist()]
    assert asked[0].record["title"] == plain["title"][0].as_py() and {each.batch for each in asked} == {
        batch.name
    }
    shown = [read_story(text) for text in with_written(plain, chosen)["story"].to_pylist()]
    assert [each and each.writer for each in shown] == [MODEL] + ["plain"] * (len(shown) - 1)

    # What was written makes its own batch stale and no other; without the settings all is as before.
    written = batch_version(batch, chosen, space, source)
    other = batch._replace(name="old-00002")
    assert written != off and batch_version(other, chosen, space, source) == batch_version(
        other, settings, space, source
    )
    with Answers(path_of(chosen)) as answers:
        answers.note_batch(writer_of(MODEL), batch.name)
    assert batch_version(batch, chosen, space, source) not in (off, written)
    monkeypatch.delenv("FASHION_ASSETS_STORY_ENDPOINT")
    assert batch_version(batch, Settings(), space, source) == off  # type: ignore[call-arg]
