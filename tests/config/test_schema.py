"""What openfusion.toml may say, value by value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from openfusion_auto.config.schema import (
    AutoSection,
    Config,
    ServerSection,
    UpstreamConfig,
)
from openfusion_auto.core.types import Policy, Preferences


def upstream(**more):
    return UpstreamConfig.model_validate({"name": "a", "base_url": "http://127.0.0.1:1/v1", **more})


def test_the_defaults_are_those_of_the_contract():
    config = Config()
    assert config.model_dump()["timeouts"] == {
        "connect_s": 5,
        "first_token_s": 60,
        "idle_s": 120,
        "total_s": 900,
    }
    assert config.server.model_dump() == {
        "host": "127.0.0.1", "port": 8787, "workers": 1, "allowed_hosts": (), "report_model": "answering",
        "report_usage": "all", "max_body_mb": 64, "traces_kept": 1000, "keep_alive_s": 3, "drain_s": 20, "insecure_no_keys": False,
    }  # fmt: skip
    assert config.stream.tool_calls == "guarded"
    assert (config.session.ttl_s, config.session.cache_ttl_s) == (3600, 300)
    assert config.pool.file == "default"


def test_the_default_policy_is_the_one_of_the_core():
    assert Config().auto.policy() == Policy()


@given(
    st.builds(
        Policy,
        cost_quality=st.floats(0, 10),
        mode=st.sampled_from(["auto", "single", "verify", "panel"]),
        max_usd=st.none() | st.floats(0.001, 100),
        max_calls=st.integers(1, 64),
        fallbacks=st.integers(0, 8),
        panel_size=st.integers(2, 8),
        preferences=st.builds(
            Preferences,
            max_input_price=st.none() | st.floats(0, 100),
            max_output_price=st.none() | st.floats(0, 100),
            min_benchmark=st.none() | st.floats(0, 100),
            min_tokens_per_s=st.none() | st.floats(0, 1000),
            max_ttft_ms=st.none() | st.floats(1, 1e6),
            fail_open=st.booleans(),
        ),
    )
)
def test_every_policy_can_be_written_and_comes_back_whole(policy):
    from dataclasses import asdict

    written = asdict(policy)
    assert written.pop("check") is None  # of a replay, where it is known; nobody can set it here
    assert AutoSection.model_validate(written).policy() == policy


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError):
        Config().server.port = 1


@pytest.mark.parametrize("content", ["", "a", "a b\tc", "https://x.example/y?z"])
def test_an_ordinary_header_passes(content):
    assert upstream(extra_headers={"X-Title": content}).extra_headers == {"X-Title": content}


@pytest.mark.parametrize("name", ["sk-or-v1-abc", "lower_case", "1A", "A B", "", "A" * 65])
def test_a_key_in_place_of_a_variable_name_is_refused(name):
    with pytest.raises(ValidationError, match="NAME of an environment variable"):
        upstream(api_key_env=name)


@pytest.mark.parametrize("value", ["http://u:hidden@p:1", "p:1", "lower_proxy"])
def test_a_proxys_url_in_place_of_a_variable_name_is_refused(value):
    with pytest.raises(ValidationError, match="NAME of an environment variable") as found:
        upstream(proxy_env=value)
    assert "hidden" not in str(found.value)


def test_only_https_may_be_told_to_go_by_a_proxy():
    with pytest.raises(ValidationError, match="proxy_env needs a base_url of https://"):
        upstream(base_url="http://relay.example/v1", proxy_env="RELAY_PROXY")
    assert upstream(base_url="http://relay.example/v1", proxy_env="").proxy_env == ""


def test_header_values_are_not_shown_by_repr():
    assert "hidden-value" not in repr(upstream(extra_headers={"X-Gate": "hidden-value"}))


def test_upstream_names_are_plain_and_unique():
    for name in ("", "a b", "a/b", "-a", "a\n"):
        with pytest.raises(ValidationError, match="letters, digits"):
            upstream(name=name)
    row = {"name": "a", "base_url": "http://h"}
    with pytest.raises(ValidationError, match="two have the name 'a'"):
        Config.model_validate({"upstreams": [row, row]})


def test_offers_are_kept_in_order():
    assert upstream(offers=["provider", "models"]).offers == ("provider", "models")


def test_allowed_hosts_are_compared_in_lower_case():
    section = ServerSection.model_validate({"allowed_hosts": ["Box.Local", "::1"]})
    assert section.allowed_hosts == ("box.local", "::1")


def test_an_upstream_knows_whether_it_is_on_this_machine():
    assert upstream().loopback
    assert not upstream(base_url="https://openrouter.ai/api/v1").loopback
