"""Files of the state folder: closed, whole, one editor at a time."""

import os
import stat
import threading

import pytest

from openfusion_auto.config import private
from openfusion_auto.errors import ConfigError


def test_what_is_not_there_is_none(tmp_path):
    assert private.read(tmp_path / "nothing") is None
    (tmp_path / "file").touch()
    assert private.read(tmp_path / "file" / "nothing") is None


def test_a_written_file_is_the_owners_alone_whatever_stood_there(tmp_path):
    path = tmp_path / "a.json"
    for data in (b"one", b"two"):
        private.write(path, data)
        assert private.read(path) == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_not_believed(tmp_path, mode):
    path = tmp_path / "a.json"
    private.write(path, b"{}")
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        private.read(path)


def test_what_cannot_be_read_written_or_locked_is_said_and_nothing_is_left_behind(tmp_path):
    folder = tmp_path / "a.json"
    folder.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        private.read(folder)
    with pytest.raises(ConfigError, match="cannot be written"):
        private.write(folder, b"x")
    assert os.listdir(tmp_path) == ["a.json"]
    (tmp_path / "b").write_text("no folder")
    with pytest.raises(ConfigError, match="cannot be written"):
        private.write(tmp_path / "b" / "a.json", b"x")
    with (
        pytest.raises(ConfigError, match=r"b: cannot be written to .*OPENFUSION_STATE_DIR"),
        private.locked(tmp_path / "b" / "a.json"),
    ):
        pass


def test_two_editors_do_not_meet(tmp_path):
    path = tmp_path / "n"
    private.write(path, b"0")

    def count():
        for _ in range(25):
            with private.locked(path):
                private.write(path, str(int(private.read(path)) + 1).encode())

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert private.read(path) == b"100"
    assert stat.S_IMODE((tmp_path / "n.lock").stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_made_for_the_owner_alone(tmp_path):
    path = tmp_path / "state" / "a.json"
    with private.locked(path):
        private.write(path, b"x")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
