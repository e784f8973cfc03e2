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
    check_header,
    checked_host,
    checked_url,
    is_loopback,
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
        "host": "127.0.0.1", "port": 8787, "allowed_hosts": (), "report_model": "answering",
        "max_body_mb": 64, "traces_kept": 1000, "keep_alive_s": 3, "drain_s": 20, "insecure_no_keys": False,
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


@pytest.mark.parametrize(
    "url",
    [
        "https://openrouter.ai/api/v1",
        "http://127.0.0.1:9311/v1",
        "http://[::1]:8000/v1",
        "HTTPS://Host/v1",
    ],
)
def test_an_absolute_http_url_is_taken_as_it_is(url):
    assert checked_url(url) == url


def test_the_last_slash_of_a_url_is_dropped():
    assert checked_url("http://h/v1/") == "http://h/v1"
    assert checked_url("http://h/") == "http://h"


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("ftp://h/v1", "http:// or https://"),
        ("openrouter.ai/api/v1", "http:// or https://"),
        ("http:///v1", "name a host"),
        ("file:///etc/passwd", "http:// or https://"),
        ("https://user:pw@h/v1", "user name or password"),
        ("https://@h/v1", "user name or password"),
        ("https://h/v1?key=1", "query"),
        ("https://h/v1?", "query"),
        ("https://h/v1#x", "query or fragment"),
        ("http://h:99999/v1", "valid host and port"),
        ("http://h:x/v1", "valid host and port"),
        ("http://[::1/v1", "valid host and port"),
        ("http://h/v 1", "printable"),
        ("http://h/v1\r\nX: y", "printable"),
        ("http://hö/v1", "printable"),
        ("", "http:// or https://"),
    ],
)
def test_any_other_url_is_refused_without_being_quoted(url, part):
    with pytest.raises(ValueError, match=part) as caught:
        checked_url(url)
    assert not url or url not in str(caught.value)
    with pytest.raises(ValidationError):
        upstream(base_url=url)


@given(st.text(max_size=40))
def test_a_url_that_passes_is_one_line_of_http(text):
    try:
        url = checked_url(text)
    except ValueError:
        return
    assert url.lower().startswith(("http://", "https://"))
    assert url.isprintable()
    assert not set(url) & set("@?# ") or "@" in url.split("/", 3)[-1]


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z]{1,10}(\.[a-z]{1,5})?", fullmatch=True),
    st.none() | st.integers(1, 65535),
)
def test_every_plain_url_passes_and_stays(scheme, host, port):
    url = f"{scheme}://{host}{f':{port}' if port else ''}/v1"
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "authorization",
        "X-Api-Key",
        "Cookie",
        "Host",
        "Connection",
        "TE",
        "Transfer-Encoding",
        "Content-Length",
        "Proxy-Authorization",
        "Upgrade",
        "Keep-Alive",
        "Trailer",
    ],
)
def test_headers_of_the_connection_and_of_keys_are_refused(name):
    with pytest.raises(ValueError, match="set by the router"):
        check_header(name, "x")
    with pytest.raises(ValidationError):
        upstream(extra_headers={name: "x"})


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_header_that_passes_cannot_split_the_request(name, content):
    try:
        check_header(name, content)
    except ValueError:
        return
    line = f"{name}: {content}"
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert ":" not in name
    assert content == content.strip()


@pytest.mark.parametrize("content", ["a\r\nB: c", "a\nb", "a\x00", "ä", " a", "a ", "a\x7f"])
def test_a_header_value_with_control_characters_is_refused(content):
    with pytest.raises(ValueError, match="one line"):
        check_header("X-Title", content)


@pytest.mark.parametrize("content", ["", "a", "a b\tc", "https://x.example/y?z"])
def test_an_ordinary_header_passes(content):
    assert upstream(extra_headers={"X-Title": content}).extra_headers == {"X-Title": content}


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "Ä", "X\n"])
def test_a_header_name_must_be_a_token(name):
    with pytest.raises(ValueError, match="not a header name"):
        check_header(name, "x")


@pytest.mark.parametrize("name", ["sk-or-v1-abc", "lower_case", "1A", "A B", "", "A" * 65])
def test_a_key_in_place_of_a_variable_name_is_refused(name):
    with pytest.raises(ValidationError, match="NAME of an environment variable"):
        upstream(api_key_env=name)


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


@pytest.mark.parametrize("host", ["*", "a b", "http://h", "h:80", "", "a,b", "h/"])
def test_a_host_with_scheme_port_or_wildcard_is_refused(host):
    with pytest.raises(ValueError, match="must be a host name"):
        checked_host(host)
    with pytest.raises(ValidationError):
        ServerSection.model_validate({"allowed_hosts": [host]})
    with pytest.raises(ValidationError):
        ServerSection.model_validate({"host": host})


def test_allowed_hosts_are_compared_in_lower_case():
    section = ServerSection.model_validate({"allowed_hosts": ["Box.Local", "::1"]})
    assert section.allowed_hosts == ("box.local", "::1")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("LOCALHOST.", True), ("a.localhost", True), ("0.0.0.0", False), ("10.0.0.1", False),
        ("localhost.evil.example", False), ("notlocalhost", False), ("127.0.0.1.nip.io", False), ("", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_loopback(host, local):
    assert is_loopback(host) is local


def test_an_upstream_knows_whether_it_is_on_this_machine():
    assert upstream().loopback
    assert not upstream(base_url="https://openrouter.ai/api/v1").loopback
