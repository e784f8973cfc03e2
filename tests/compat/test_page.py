"""The page says of ourselves what a run says now; the peers' columns are of their day, and have the page's form."""

import asyncio

import pytest

from openfusion_auto.evals.compat import matrix as cells
from openfusion_auto.evals.compat.probes import PROBES
from tests.compat import matrix
from tests.compat.peers import PEERS


@pytest.fixture(scope="module")
def page():
    return matrix.PAGE.read_text(encoding="utf-8")


def test_our_own_columns_are_what_a_run_finds_now(page):
    columns = matrix.rows_of(page)
    fresh = asyncio.run(matrix.own_columns())
    assert len(fresh) == 3
    for column in fresh:
        found = [cells.CELLS[r.outcome] for r in column.results]
        assert columns[column.target.name] == found, "run: python -m tests.compat.matrix"
    assert cells.reasons(fresh) in page


def test_its_words_are_those_that_the_command_writes(page):
    fixed = [line for line in matrix.PAGE_TEXT.splitlines() if "{" not in line]
    assert [line for line in fixed if line not in page] == []


def test_its_rows_are_the_probes(page):
    columns = matrix.rows_of(page)
    assert [f"{a}: {p}" for a, p in zip(columns["API"], columns["Probe"], strict=True)] == [
        p.id for p in PROBES
    ]
    for probe in PROBES:
        assert f"| {probe.group} | {probe.name} | {probe.about} |" in page


def test_it_has_each_peer_before_each_kind_of_model(page):
    columns = matrix.rows_of(page)
    for peer in PEERS:
        assert f"| {peer.name} | {peer.package} |" in page
        for kind in matrix.BEHIND:
            assert set(columns[f"{peer.name}, {kind} behind"]) <= set(cells.CELLS.values())
