"""The reference says every key with its default, and every example in it loads."""

import re
import tomllib
from pathlib import Path

import pytest

from openfusion_auto.config import pool as pool_module
from openfusion_auto.config.load import load
from openfusion_auto.config.pool import PoolFile, load_pool
from openfusion_auto.config.problems import leaves
from openfusion_auto.config.schema import Config

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
CONFIG = (DOCS / "config.md").read_text(encoding="utf-8")
POOL = (DOCS / "pool.md").read_text(encoding="utf-8")


def examples(text):
    return re.findall(r"^```toml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def default_of(leaf):
    """The default as TOML reads it, None when there is none."""
    node = Config()
    for part in leaf.split("."):
        node = getattr(node, part)
    return list(node) if isinstance(node, tuple) else node


@pytest.mark.parametrize("leaf", leaves(Config))
def test_every_key_is_documented_with_its_default(leaf):
    rows = re.findall(rf"^\| `{re.escape(leaf)}` \| (.+?) \| (.+?) \|$", CONFIG, flags=re.MULTILINE)
    assert len(rows) == 1
    default, meaning = rows[0]
    assert len(meaning) > 10
    if "[]" not in leaf:
        stated = None if default == "none" else tomllib.loads(f"v = {default.strip('`')}")["v"]
        assert stated == default_of(leaf)


def test_no_key_is_documented_that_does_not_exist():
    documented = re.findall(r"^\| `([a-z_\[\].]+\.[a-z_\[\].]+)` \|", CONFIG, flags=re.MULTILINE)
    assert set(documented) == set(leaves(Config))


@pytest.mark.parametrize(
    "name", ["_CONFIG", "_HOST", "_PORT", "_API_KEYS", "_STATE_DIR", "_REDIS_URL"]
)
def test_every_variable_is_documented(name):
    assert f"| `OPENFUSION{name}` |" in CONFIG


@pytest.mark.parametrize("text", examples(CONFIG))
def test_every_configuration_example_loads_without_a_warning(text, tmp_path):
    (tmp_path / "openfusion.toml").write_text(text, encoding="utf-8")
    (tmp_path / "pool.toml").write_text(examples(POOL)[0], encoding="utf-8")
    keys = {"RELAY_API_KEY": "k", "OPENROUTER_API_KEY": "k", "XDG_CONFIG_HOME": str(tmp_path)}
    found = load(None, keys, {}, tmp_path)
    assert found.source == tmp_path / "openfusion.toml"
    assert (found.warnings, dict(found.unready)) == ((), {})


@pytest.mark.parametrize("text", examples(POOL))
def test_every_pool_example_loads(text, tmp_path):
    (tmp_path / "pool.toml").write_text(text, encoding="utf-8")
    assert len(load_pool(tmp_path / "pool.toml").candidates) == 1


def test_there_are_examples_to_test():
    assert len(examples(CONFIG)) >= 3
    assert len(examples(POOL)) >= 2


def test_every_key_of_a_pool_is_documented():
    for leaf in leaves(PoolFile):
        assert f"`{leaf.rpartition('.')[2]}" in POOL or leaf.rpartition(".")[2] == "schema", leaf


def test_every_rule_of_the_pool_check_is_documented():
    source = Path(pool_module.__file__).read_text(encoding="utf-8")
    rules = set(re.findall(r'Finding\(\s*[\w".]+,\s*"(\w+)"', source))
    assert len(rules) >= 10
    assert all(f"`{rule}`" in POOL for rule in rules)
