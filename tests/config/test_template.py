"""The template means the same as no file at all, and says everything that can be said."""

import re
import tomllib

from openfusion_auto.config.problems import leaves
from openfusion_auto.config.schema import Config
from openfusion_auto.config.template import builtin_upstreams, config_template


def test_the_template_means_the_same_as_no_file():
    parsed = Config.model_validate(tomllib.loads(config_template()))
    assert parsed == Config(upstreams=builtin_upstreams("default"))


def test_every_key_stands_in_the_template_behind_its_meaning():
    lines = config_template().splitlines()
    for leaf in leaves(Config):
        name = leaf.rpartition(".")[2]
        at = [i for i, line in enumerate(lines) if re.match(rf"(# )?{name} = ", line)]
        assert at, leaf
        assert all(lines[i - 1].startswith("# ") and len(lines[i - 1]) > 10 for i in at), leaf


def test_the_keys_without_a_default_are_examples_that_hold():
    tables, _, _ = config_template().partition(
        "\n# [["
    )  # behind them: tables that are examples as a whole
    text = re.sub(r"^# (\w+ = [\d.]+)$", r"\1", tables, flags=re.MULTILINE)
    parsed = Config.model_validate(tomllib.loads(text))
    assert parsed.auto.max_usd == 0.5
    assert parsed.auto.preferences.min_benchmark == 60


def test_the_local_pool_gets_the_servers_of_this_machine():
    local = builtin_upstreams("local")
    assert [u.name for u in local] == ["ollama", "llamacpp", "vllm"]
    assert all(u.loopback and u.api_key_env is None for u in local)
    (remote,) = builtin_upstreams("default")
    assert (remote.base_url, remote.api_key_env) == (
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
    )
    assert remote.offers == (
        "models", "provider", "plugins", "session_id", "web_search", "cache_control",
    )  # fmt: skip
