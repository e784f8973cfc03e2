"""The folder of receipts: numbered, chained, found by number, digest or `last`."""

from __future__ import annotations

import json
import os

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals import receipt, seal
from openfusion_auto.evals.shelf import Shelf
from openfusion_auto.evals.verify import verify
from tests.evals import samples


@pytest.fixture
def shelf(tmp_path):
    """A folder with three receipts."""
    here = Shelf(tmp_path / "receipts")
    whole = samples.made()

    def make(prev):
        content = {k: v for k, v in whole.items() if k not in seal.UNSEALED}
        return seal.sealed({**content, "prev": prev})

    for _ in range(3):
        here.add(make)
    return here


def test_each_names_the_one_before_it_and_is_private(shelf):
    kept = shelf.kept()
    documents = [json.loads(k.path.read_bytes()) for k in kept]
    assert [k.number for k in kept] == [1, 2, 3]
    assert [d["prev"] for d in documents] == [None, *(d["digest"] for d in documents[:2])]
    assert all(os.stat(k.path).st_mode & 0o777 == 0o600 for k in kept)
    assert all(verify(k.path.read_bytes()) == [] for k in kept)
    assert shelf.chain() == []


def test_one_that_was_taken_out_or_replaced_breaks_the_chain(shelf):
    first, second, third = shelf.kept()
    second.path.unlink()
    (found,) = shelf.chain()
    assert found.where == f"{third.path.name}/prev"
    first.path.unlink()
    assert "does not name no receipt" in shelf.chain()[0].detail


def test_a_file_is_found_by_path_number_digest_and_last(shelf, tmp_path):
    kept = shelf.kept()
    digest = receipt.digest_of(json.loads(kept[1].path.read_bytes()))
    assert shelf.find("last") == kept[2].path
    assert shelf.find("2") == kept[1].path
    assert shelf.find(digest) == shelf.find(digest[7:15]) == kept[1].path
    assert shelf.find(str(kept[0].path)) == kept[0].path
    for name in ("", "999999", "zz"):
        with pytest.raises(ConfigError, match="openfusion receipt list"):
            shelf.find(name)


def test_an_empty_folder_holds_nothing(tmp_path):
    here = Shelf(tmp_path / "none")
    assert here.kept() == here.chain() == []
    with pytest.raises(ConfigError, match="no receipt of that name"):
        here.find("last")


def test_other_files_are_left_alone(shelf):
    (shelf.folder / "notes.json").write_text("{}")
    assert len(shelf.kept()) == 3


def test_a_broken_file_is_a_finding_of_the_chain_and_no_traceback(shelf):
    shelf.kept()[1].path.write_bytes(b"{")
    assert [f.rule for f in shelf.chain()] == ["chain", "chain"]


def test_whether_one_could_be_kept_is_known_beforehand(tmp_path):
    Shelf(tmp_path / "receipts").check()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written to"):
        Shelf(tmp_path / "file" / "receipts").check()
