"""Where files are, and that nobody else can read them."""

import os
import stat
from pathlib import Path

import platformdirs
import pytest

from openfusion_auto.config.paths import config_path, state_dir, state_path
from openfusion_auto.errors import ConfigError


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_state_folder_is_the_one_that_the_variable_names(tmp_path):
    env = {"OPENFUSION_STATE_DIR": str(tmp_path / "s"), "XDG_STATE_HOME": str(tmp_path / "x")}
    assert state_path(env) == tmp_path / "s"


def test_a_home_sign_and_a_relative_name_become_absolute():
    assert state_path({"OPENFUSION_STATE_DIR": "~/of"}) == Path.home() / "of"
    assert state_path({"OPENFUSION_STATE_DIR": "of"}) == Path.cwd() / "of"


def test_xdg_folders_are_respected(tmp_path):
    env = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    assert state_path(env) == tmp_path / "openfusion"
    assert config_path(env) == tmp_path / "c" / "openfusion"


@pytest.mark.parametrize("value", ["", "  ", "relative/folder"])
def test_an_empty_or_relative_xdg_folder_is_ignored(value):
    env = {"XDG_STATE_HOME": value, "XDG_CONFIG_HOME": value, "OPENFUSION_STATE_DIR": ""}
    assert state_path(env) == platformdirs.user_state_path("openfusion", appauthor=False)
    assert config_path(env) == platformdirs.user_config_path("openfusion", appauthor=False)


def test_asking_for_a_path_creates_nothing(tmp_path):
    env = {"OPENFUSION_STATE_DIR": str(tmp_path / "s"), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    state_path(env)
    config_path(env)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_created_folders_are_closed_to_others(tmp_path):
    env = {"OPENFUSION_STATE_DIR": str(tmp_path / "deep" / "s")}
    assert mode(state_dir(env)) == 0o700
    assert state_dir(env) == tmp_path / "deep" / "s"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_folder_that_exists_keeps_its_mode(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o750)
    assert mode(state_dir({"OPENFUSION_STATE_DIR": str(shared)})) == 0o750


def test_a_file_in_the_way_is_told_with_the_variable_to_set(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError, match="set OPENFUSION_STATE_DIR"):
        state_dir({"OPENFUSION_STATE_DIR": str(tmp_path / "f")})
