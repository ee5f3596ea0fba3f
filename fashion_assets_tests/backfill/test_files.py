"""A backfill from file to file: every character but `normalized` as it was, killed and continued, undone byte for byte."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fashion_assets.backfill import files, reports
from fashion_assets.backfill.documents import InFile
from fashion_assets.backfill.errors import NoSuchTarget, Paused, TooManyFailures
from fashion_assets.backfill.files import Rewriting
from fashion_assets.backfill.members import members, with_normalized, without_normalized
from fashion_assets.backfill.walk import Options
from fashion_assets.catalog import wardrobe
from fashion_assets.sources.drawn.wardrobe import ODD
from fashion_assets_tests.backfill.wardrobes import write_lines

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(
    st.one_of(st.sampled_from(["normalized", "style"]), st.text(max_size=4)), JSON, max_size=5
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    DOCUMENTS,
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", " :  ")]),
    st.booleans(),
)
def test_one_member_changes_and_no_other_character(
    document: dict, indent: Any, separators: Any, ascii_only: bool
):
    text = " " + json.dumps(document, indent=indent, separators=separators, ensure_ascii=ascii_only) + " "
    found = members(text)
    assert found.values() == document
    written, before = with_normalized(text, found, {"style": ["casual"]})
    assert json.loads(written) == {**document, "normalized": {"style": ["casual"]}}
    assert without_normalized(written, members(written), before) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "it is no object but list"),
        ('{"a": 1} x', "Extra data"),
        ('{"a": 1', "Expecting ',' delimiter"),
        ('{"a" 1}', "Expecting ':' delimiter"),
        ("{a: 1}", "Expecting property name"),
        ('{"style": 1, "style": 2}', "it has the member 'style' twice"),
        ("", "Expecting value"),
    ],
)
def test_what_is_no_document_says_why(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        members(text)


def run(source: Path, file: Path, **more: Any):
    return Rewriting("run", source, file, Options(batch_size=2, max_failures=0.9), **more).go()


def test_a_file_is_rewritten_and_rolled_back_byte_for_byte(tmp_path: Path):
    source, file = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    raw = write_lines(source, list(ODD.values()))
    raw = b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n", 2) + b'\nnot json\n[1]\n{"style": "Casual" } \n{ }'
    source.write_bytes(raw)
    for _ in range(2):
        progress = run(source, file)
        assert source.read_bytes() == raw
        assert (progress.state, progress.counts["processed"], progress.counts["parked"]) == (
            "done",
            len(ODD) + 4,
            2,
        )
        lines = file.read_bytes().split(b"\n")
        assert len(lines) == len(raw.split(b"\n"))
        assert b"not json" in lines and b"[1]" in lines and lines[-3] == b"[1]"
        counts = InFile(file).counts()
        assert (counts.normalized, counts.foreign, counts.no_object) == (len(ODD) + 2, 0, 2)
        rolled = Rewriting("rollback", file, file, Options(batch_size=3)).go()
        assert rolled.counts["updated"] == len(ODD) + 2
        assert file.read_bytes() == raw


def test_killed_in_the_middle_it_continues(tmp_path: Path):
    source, file = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_lines(source, [{"id": number, "style": ["Casual"]} for number in range(50)])

    def dies(progress: Any) -> None:
        if progress.counts["processed"] == 20:
            raise SystemExit

    with pytest.raises(SystemExit):
        run(source, file, tell=dies)
    with open(f"{file}.partial", "ab") as partial:
        partial.write(b'{"id": 20, "st')  # what reached the file and not the place that is kept
    assert not file.exists() and InFile(file).counts().normalized == 20
    seen: list[int] = []
    run(source, file, tell=lambda progress: seen.append(progress.counts["processed"]))
    assert seen[0] == 22
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == list(range(50))
    assert InFile(file).counts().normalized == 50


def test_what_is_right_already_stays_as_it_is(tmp_path: Path):
    first, second, third = (tmp_path / name for name in ("1.jsonl", "2.jsonl", "3.jsonl"))
    write_lines(first, list(ODD.values()))
    run(first, second)
    assert run(second, third).counts["unchanged"] == len(ODD)
    assert third.read_bytes() == second.read_bytes()


def test_a_pause_a_file_of_errors_and_files_that_will_not_do(tmp_path: Path):
    source, file = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_lines(source, [{"style": "Casual"}] * 10)

    def asks(progress: Any) -> None:
        sidecar = files.Sidecar(file)
        sidecar.ask_to_pause(True)
        sidecar.close()

    with pytest.raises(Paused, match="Paused, as asked"):
        run(source, file, tell=asks)
    with pytest.raises(Paused, match="It is paused, 4 of 10"):
        run(source, file)
    assert Rewriting("run", source, file, Options(batch_size=2)).go(resume=True).state == "done"
    bad = tmp_path / "bad.jsonl"
    bad.write_text("x\n" * 150)
    with pytest.raises(TooManyFailures, match="Expecting value"):
        Rewriting("run", bad, tmp_path / "bad-out.jsonl", Options(batch_size=100)).go()
    for content, said in (
        (
            b'{"style": "Casual"},\n{"style": "Casual"},\n',
            "No line of .* is a document: of line 1, it cannot be read: Extra data",
        ),
        (gzip.compress(b'{"style": "Casual"}\n'), "No line of .*in UTF-8 and not packed"),
    ):
        bad.write_bytes(content)
        with pytest.raises(TooManyFailures, match=said):
            run(bad, tmp_path / "none-out.jsonl")
        assert not (tmp_path / "none-out.jsonl").exists()
    bad.write_text('{"a": {"style": "Casual"}, "b": {"style": "Casual"}}\n')
    with pytest.raises(NoSuchTarget, match="documents by their keys"):
        run(bad, file)
    (tmp_path / "array.json").write_text(json.dumps(list(ODD.values()), indent=1))
    with pytest.raises(NoSuchTarget, match="jq -c"):
        run(tmp_path / "array.json", file)
    with pytest.raises(NoSuchTarget, match="is no file"):
        run(tmp_path / "none", file)
    with pytest.raises(NoSuchTarget, match="written over"):
        run(source, tmp_path / "." / "in.jsonl")


def test_a_dry_run_of_a_file(tmp_path: Path):
    source = tmp_path / "in.jsonl"
    raw = write_lines(source, list(ODD.values()))
    source.write_bytes(raw + b"nope\n")
    found = files.preview(source)
    assert (found.processed, found.would_update, sum(found.would_park.values())) == (
        len(ODD) + 1,
        len(ODD),
        1,
    )
    assert found.sample[0]["after"]["normalized_version"] == wardrobe.version()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_a_report_holds_whatever_a_document_says(tmp_path: Path):
    said = {"words": {"style": {"\ud83d": 1, "\x1b[2J": 1, "Größe": 1}}}
    path = reports.save(tmp_path, "backfill_stats", said)
    assert json.loads(path.read_text("utf-8")) == said
    assert "Größe" in path.read_text("utf-8")


def test_documents_whose_fields_are_elsewhere_are_counted(tmp_path: Path):
    source = tmp_path / "in.jsonl"
    documents = [
        {"id": 1, "Style": ["Casual"]},
        {"id": 2, "metadata": {"style": "casual"}},
        {"id": 3, "style": ["casual"]},
    ]
    source.write_text("".join(json.dumps(each) + "\n" for each in documents))
    progress = run(source, tmp_path / "out.jsonl")
    assert progress.counts["states_nothing"] == 2
