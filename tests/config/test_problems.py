"""Problems are told in one line each, with the nearest name and without quoting secrets."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from openfusion_auto.config.problems import describe, dotted, keys_of, leaves, near
from openfusion_auto.config.schema import Config, UpstreamConfig


def problems(data):
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data)
    return describe(caught.value.errors(), Config, dotted)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"auto": {"cost_qualty": 3}}, 'auto.cost_qualty: is not a known key (did you mean "cost_quality"?)'),
        ({"port": 1}, 'port: is not a known key (did you mean "server.port"?)'),
        ({"sever": {}}, 'sever: is not a known key (did you mean "server"?)'),
        ({"zzz": 1}, "zzz: is not a known key"),
        ({"auto": {"preferences": {"min_benchmrk": 1}}}, 'auto.preferences.min_benchmrk: is not a known key (did you mean "min_benchmark"?)'),
        ({"upstreams": [{"name": "a", "base_url": "http://h", "flavour": 1}]}, "upstreams[0].flavour: is not a known key"),
        ({"upstreams": [{"base_url": "http://h"}]}, "upstreams[0].name: is missing"),
        ({"upstreams": {}}, "upstreams: must be a list, not a table"),
        ({"upstreams": ["x"]}, "upstreams[0]: must be a table, not a string"),
        ({"server": 3}, "server: must be a table, not a whole number"),
        ({"server": {"port": "8787"}}, "server.port: must be a whole number, not a string"),
        ({"server": {"port": 87.5}}, "server.port: must be a whole number, not a decimal number"),
        ({"server": {"port": True}}, "server.port: must be a whole number, not true or false"),
        ({"server": {"port": 65536}}, "server.port: must be at most 65535, got 65536"),
        ({"server": {"host": dt.date(2026, 1, 1)}}, "server.host: must be a string, not a date (write it in quotes)"),
        ({"server": {"host": dt.time(1)}}, "server.host: must be a string, not a time"),
        ({"server": {"allowed_hosts": ["a", 1]}}, "server.allowed_hosts[1]: must be a string, not a whole number"),
        ({"server": {"allowed_hosts": "a"}}, "server.allowed_hosts: must be a list, not a string"),
        ({"auto": {"mode": "pannel"}}, 'auto.mode: must be one of auto, single, verify, panel (did you mean "panel"?)'),
        ({"auto": {"mode": 3}}, "auto.mode: must be one of auto, single, verify, panel"),
        ({"auto": {"max_usd": 0}}, "auto.max_usd: must be more than 0, got 0"),
        ({"auto": {"max_usd": 10**400}}, "auto.max_usd: is too large"),
        ({"auto": {"max_calls": 10**400}}, "auto.max_calls: must be at most 64, got 10000000... (401 digits)"),
        ({"auto": {"max_calls": -1}}, "auto.max_calls: must be at least 1, got -1"),
        ({"auto": {"cost_quality": float("nan")}}, "auto.cost_quality: must be a finite number"),
        ({"timeouts": {"total_s": float("inf")}}, "timeouts.total_s: must be a finite number"),
        ({"auto": {"preferences": {"fail_open": "yes"}}}, "auto.preferences.fail_open: must be true or false, not a string"),
        ({"pool": {"file": ""}}, "pool.file: must not be empty"),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_gives_one_clear_line(data, line):
    assert problems(data) == [line]


def test_all_mistakes_are_told_at_once_and_none_twice():
    lines = problems({"auto": {"fallbacks": 9, "panel_size": 1}, "x": 1, "server": {"port": -1}})
    assert len(lines) == len(set(lines)) == 4


def test_a_text_value_is_never_quoted():
    secret = "sk-or-v1-0123456789abcdef"
    row = {
        "name": secret + "!",
        "base_url": f"ftp://u:{secret}@h",
        "api_key_env": secret,
        "dialect": secret,
        "extra_headers": {"x": secret + "\n"},
    }
    text = "\n".join(
        problems(
            {
                "upstreams": [row],
                "server": {"host": secret + "/", "port": secret},
                "auto": {"mode": secret},
            }
        )
    )
    assert len(text.splitlines()) == 8
    assert secret not in text


def test_a_key_cannot_forge_a_line():
    lines = problems({"a\nopenfusion.toml:1: b": 1})
    assert lines == ['"a\\nopenfusion.toml:1: b": is not a known key']


def test_dotted_shows_positions_in_brackets_and_quotes_odd_keys():
    assert dotted(("upstreams", 0, "base_url")) == "upstreams[0].base_url"
    assert dotted(("a b", "")) == '"a b".""'
    assert dotted(()) == ""


def test_near_finds_a_slip_and_nothing_else():
    assert near("Prot", ["host", "port"]) == ' (did you mean "port"?)'
    assert near("zzzz", ["host", "port"]) == ""


@given(st.sampled_from(leaves(Config)), st.integers(0, 30), st.sampled_from("abcxyz_"))
def test_one_wrong_letter_is_always_mended(leaf, position, letter):
    name = leaf.rpartition(".")[2]
    at = position % len(name)
    wrong = name[:at] + letter + name[at + 1 :]
    siblings = [k.rpartition(".")[2] for k in leaves(Config)]
    assert near(wrong, siblings) != "" or len(name) <= 4


def test_leaves_and_keys_walk_every_table():
    names = leaves(Config)
    assert "auto.preferences.fail_open" in names
    assert "upstreams[].base_url" in names
    assert "auto" not in names
    assert keys_of(Config)["upstreams"] is UpstreamConfig
    assert keys_of(UpstreamConfig)["name"] is None
