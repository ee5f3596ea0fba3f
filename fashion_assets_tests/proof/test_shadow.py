"""Two releases asked the same: what came, went and moved, who may go on, and the page of it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.benchmarks.relevance import load_queries
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.proof.sent import QueriesError, kept, of_package, read
from fashion_assets.proof.shadow import Moved, ShadowError, compare, pair
from fashion_assets.release.swap import promote
from fashion_assets.warehouse import releases, searches
from fashion_assets.warehouse.searches import Counts, Key
from fashion_assets_tests.release.copies import copy_of


def test_answers_are_compared_by_what_both_have_and_in_which_order():
    same = compare("abc", "abc")
    assert (same.overlap, same.rbo, same.came, same.went, same.ranks) == (1, 1, (), (), ())
    assert (compare("", "").overlap, compare("", "").rbo) == (1, 1)
    nothing = compare("ab", "")
    assert (nothing.overlap, nothing.rbo, nothing.went) == (0, 0, ("a", "b"))
    # What comes in front pushes the others on, and none of them moved.
    pushed = compare("abcd", "xabc")
    assert (pushed.overlap, pushed.came, pushed.went, pushed.moved) == (0.75, ("x",), ("d",), ())
    assert pushed.ranks == (Moved("a", 1, 2, True), Moved("b", 2, 3, True), Moved("c", 3, 4, True))
    assert compare("abcd", "bcda").moved == (Moved("a", 1, 4, False),)
    assert len(compare("abcd", "dcba").moved) == 3
    # The first ranks count most; agreement at ranks 1, 2, 3 is 0, 1, 1.
    assert compare("abc", "bac").rbo == pytest.approx((0.9 + 0.81) / (1 + 0.9 + 0.81))
    assert compare("abcdefghij", "abcdefghix").rbo > compare("abcdefghij", "xbcdefghij").rbo


def test_queries_are_read_with_how_often_they_were_sent(tmp_path: Path):
    file = tmp_path / "queries.txt"
    file.write_text(
        '\ufeffred shirt\n\n{"words": "shoes", "filters": {"colour": "red"}, "times": 2}\n  red   shirt \n'
        '{"filters": {"price": {"from": 10}}, "mode": "hybrid"}\n{"times": 3, "filters": {"colour": "red"}, "words": "shoes"}\n',
        encoding="utf-8",
    )
    found = read(file)
    assert [(each.label, each.times) for each in found] == [
        ("shoes · colour=red", 5),
        ("red shirt", 2),
        ("price=10..", 1),
    ]
    assert [each.label for each in read(file, most=1)] == ["shoes · colour=red"]
    assert len(of_package(7)) == len({each.label for each in of_package(7)}) == 7
    assert len(of_package(9_999)) == len(load_queries())
    for wrong, said in (
        ("shoes\n{", "line 2 is no JSON object"),
        ('{"word": "shoes"}', "line 1: word: Extra inputs"),
        ('{"words": "shoes", "times": 0}', "line 1: times is 0"),
        ('{"filters": ["shape=round"]}', "line 1: .*shape"),
        ("{}", "neither words nor a product"),
        (" \n", "has no query"),
    ):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(QueriesError, match=said):
            read(file)
    file.write_bytes("gr\u00fcn".encode("latin-1"))
    with pytest.raises(QueriesError, match="not in UTF-8"):
        read(file)


def test_two_releases_are_asked_the_same_and_what_differs_is_shown(live: Candidate, tmp_path: Path):
    conn = live.conn
    other = copy_of(live, None)  # whose tables no reader may read yet
    conn.commit()
    run = CliRunner().invoke
    file = tmp_path / "queries.txt"
    file.write_text(
        "Shirts\n" * 3 + '{"words": "Shirts", "filters": {"gender": "women"}}\n', encoding="utf-8"
    )
    asked = ["shadow", "--json", "--queries", str(file), "--depth", "8", "--rounds", "2"]

    same = run(app, [*asked, "--at-least-overlap", "1"])
    assert same.exit_code == 0, same.output
    said = json.loads(same.stdout)
    assert (said["former"]["release"], said["other"]["release"]) == (live.release.release, other.release)
    assert (said["overlap"], said["rbo"], said["alike"], said["moved"]) == (1, 1, 1, 0)
    assert (said["queries"], said["sent"], said["former"]["state"], said["other"]["state"]) == (
        2,
        4,
        "live",
        "candidate",
    )
    page = Path(said["page"]).read_text("utf-8")
    assert "Enough stays:" in page and "Every query is answered alike by both." in page

    first, second, *_ = said["asked"][0]["former"]["hits"]
    table = other.table("products")
    conn.execute(sql.SQL("DELETE FROM {} WHERE product_id = %s").format(table), (first,))
    conn.execute(
        sql.SQL("UPDATE {} SET price = 77, brand = '<i>Acme' WHERE product_id = %s").format(table), (second,)
    )
    conn.commit()
    refused = run(app, [*asked, "--at-least-overlap", "1"])
    assert refused.exit_code == 1 and "of the hits stay, and it is to be at least 100.0%" in refused.output
    said = json.loads(refused.stdout)
    assert 0 < said["overlap"] < 1
    shirts = next(each for each in said["asked"] if each["query"] == "Shirts")
    assert shirts["overlap"] == 7 / 8 and shirts["times"] == 3
    assert [(each["id"], each["is_gone"], each["rank"]) for each in shirts["went"]] == [(first, True, 1)]
    assert [(each["is_new"], each["rank"]) for each in shirts["came"]] == [(False, 8)]
    assert (shirts["former"]["total"], shirts["other"]["total"]) == (40, 39) and said["totals_differ"] == 1
    (altered,) = shirts["altered"]
    assert altered["id"] == second and altered["attributes"]["price"][1] == 77
    page = Path(said["page"]).read_text("utf-8")
    assert json.loads(Path(said["page"]).with_suffix(".json").read_text("utf-8"))["asked"] == said["asked"]
    assert "Too little stays:" in page and 'class="hit gone"' in page and 'class="hit came"' in page
    assert '<img src="data:image/jpeg;base64,' in page and "<i>Acme" not in page
    assert not re.search(r"""(src|href)=["'](?!data:|#|shadow-)|url\(|<script""", page), "nothing is fetched"
    assert run(app, [*asked, "--at-least-overlap", "0.5"]).exit_code == 0

    # What one alone answers lets nothing pass, whatever else stays.
    file.write_text(f'{{"product": "{first}"}}\nShirts\n', encoding="utf-8")
    alone = run(app, [*asked[:1], *asked[2:]])
    assert alone.exit_code == 1 and "1 queries are answered by one of them alone" in alone.output
    assert "differ most" in alone.stdout and "8" in alone.stdout


def test_what_people_searched_for_is_asked_where_enough_was_counted(database: psycopg.Connection):
    def count(many: int) -> None:
        for place in range(many):
            key = Key(datetime.now(UTC).date(), "fashion_sota_r0001", "words", f"red shirt {place}")
            searches.add(database, {key: Counts(place + 1)})

    count(5)
    assert kept(database) == []
    count(25)
    assert [(each.label, each.times) for each in kept(database, most=2)] == [
        ("red shirt 24", 25),
        ("red shirt 23", 24),
    ]
    assert len(kept(database)) == 25


def test_which_releases_are_meant(live: Candidate):
    conn, first = live.conn, live.release
    with pytest.raises(ShadowError, match="nothing to hold beside fashion_sota_r0001"):
        pair(conn, None, None)
    with pytest.raises(ShadowError, match="cannot be held beside itself"):
        pair(conn, first.release, None)
    second = copy_of(live, None)
    conn.commit()

    def named(*names: str | None) -> tuple[str, ...]:
        return tuple(each.release for each in pair(conn, *names))

    assert named(None, None) == named(second.release, None) == (first.release, second.release)
    assert named(second.release, first.release) == (second.release, first.release)
    promote(conn, live.settings, second)
    conn.commit()
    assert named(None, None) == named(first.release, None) == (first.release, second.release)
    conn.execute("UPDATE fashion_ops.releases SET state = 'dropped' WHERE release = %s", (first.release,))
    with pytest.raises(ShadowError, match="fashion_sota_r0001 is dropped"):
        pair(conn, first.release, None)
    live_now = releases.live(conn)
    assert live_now is not None and live_now.release == second.release
