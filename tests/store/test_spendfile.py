"""Spending outlives the process."""

import json
import stat

import pytest

from openfusion_auto.core.limits import Spending
from openfusion_auto.errors import ConfigError
from openfusion_auto.store.spendfile import SpendFile

ONE = Spending(((500_000, 7), (500_001, 8)), ((20_000, 15),), 3, 1.8e9)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.json"


def test_what_is_saved_is_loaded_by_the_next_process(path):
    assert SpendFile(path).load() == {}
    log = SpendFile(path)
    log.save({"key:a": ONE})
    log.save({"server": Spending()})
    assert SpendFile(path).load() == {"key:a": ONE, "server": Spending()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_there_and_did_not_change_stays(path):
    SpendFile(path).save({"key:a": ONE})
    log = SpendFile(path)
    log.load()
    log.save({"key:b": Spending()})
    assert set(SpendFile(path).load()) == {"key:a", "key:b"}


GOOD = {"day": [[1, 2]], "month": [], "requests": 1, "last_s": 0.0}


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{", b"[]", b"null", b'{"schema": 2, "accounts": {}}', b'{"schema": 1}', b"[" * 100_000, b"\xff",
        *(
            json.dumps({"schema": 1, "accounts": {"a": {**GOOD, **change}}}).encode()
            for change in (
                {"day": [[1]]}, {"day": {}}, {"day": [[1, -2]]}, {"day": [[1, 2.5]]}, {"day": [[True, 1]]}, {"day": ["ab"]},
                {"requests": "1"}, {"requests": True}, {"last_s": None}, {"month": 5},
            )
        ),
        b'{"schema": 1, "accounts": []}', b'{"schema": 1, "accounts": {"a": 5}}',
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_since_nobodys_budget_begins_anew_in_silence(path, broken):
    path.write_bytes(broken)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="move it away"):
        SpendFile(path).load()


def test_what_cannot_be_written_is_said(path):
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        SpendFile(path).save({"a": ONE})
