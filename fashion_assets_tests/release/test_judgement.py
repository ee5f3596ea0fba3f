"""What a run finds out about its candidate beside the building of indexes is what it would find out afterwards."""

import subprocess
import sys

import psycopg
import pytest
from dagster import build_init_resource_context
from psycopg import sql

from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, judge
from fashion_assets.criteria.subject import Candidate
from fashion_assets.defs.release.judgement import Judgement

OF_PRODUCTS = [criterion for criterion in CANDIDATE_CRITERIA if criterion.asset == "products"]


def test_products_judged_early_are_judged_as_they_are(candidate: Candidate):
    judgement = Judgement()
    judgement.begin(candidate.settings, candidate.release)
    verdicts = judgement.of(candidate, OF_PRODUCTS)
    assert verdicts == judge(candidate, OF_PRODUCTS)
    assert all(verdict.passed for verdict in verdicts)
    results, docs = judgement.expectations(candidate.settings, candidate.release)
    assert results and docs.exists()


def test_a_fault_of_the_products_is_found_early_too(candidate: Candidate):
    products = candidate.release.table("products")
    candidate.conn.execute(
        sql.SQL("UPDATE {} SET title = '' WHERE product_id = (SELECT product_id FROM {} LIMIT 1)").format(
            products, products
        )
    )
    candidate.conn.commit()
    judgement = Judgement()
    judgement.begin(candidate.settings, candidate.release)
    judgement.teardown_after_execution(build_init_resource_context())
    # What was found is kept for the run, however the table looks later.
    candidate.conn.execute(sql.SQL("UPDATE {} SET title = 'mended'").format(products))
    failed = [verdict for verdict in judgement.of(candidate, OF_PRODUCTS) if not verdict.passed]
    # A title that is gone is lost, too.
    assert {verdict.name for verdict in failed} == {"critical_fields_are_not_null", "nothing_is_lost"}
    assert [len(verdict.offenders) for verdict in failed] == [1, 1]


def test_what_hinders_an_early_judgement_is_raised_where_it_is_asked_for(candidate: Candidate):
    candidate.conn.execute(sql.SQL("DROP TABLE {} CASCADE").format(candidate.release.table("products")))
    candidate.conn.commit()
    judgement = Judgement()
    judgement.begin(candidate.settings, candidate.release)
    judgement.teardown_after_execution(build_init_resource_context())
    with pytest.raises(psycopg.errors.UndefinedTable, match="products"):
        judgement.of(candidate, OF_PRODUCTS)


def test_statements_can_be_built_while_the_library_of_expectations_is_imported(candidate: Candidate):
    # In a process of its own: in this one everything is imported. So does Dagster ask its storage meanwhile.
    script = """
import sys
import time
import sqlalchemy
from fashion_assets.defs.release.judgement import Judgement
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.postgres.connections import connect

class Value(str):
    "A type SQLAlchemy has no rule for, so that it asks what it is."

settings = Settings()
with connect(settings) as connection:
    release = releases.candidate(connection)
assert "great_expectations" not in sys.modules
judgement = Judgement()
judgement.begin(settings, release)
begun = judgement._begun[release.release]
while not begun.done():
    sqlalchemy.bindparam("key", Value("a"))
    time.sleep(0.001)  # so that the import goes on
results, _ = begun.result()
assert "great_expectations" in sys.modules
assert results and all(result.passed for result in results), results
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
