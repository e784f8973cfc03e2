"""Addresses and headers that a configuration may name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from openfusion_auto.config.addresses import (
    check_header,
    checked_host,
    checked_url,
    is_loopback,
)
from openfusion_auto.config.schema import ServerSection, UpstreamConfig


def upstream(**more):
    return UpstreamConfig.model_validate({"name": "a", "base_url": "http://127.0.0.1:1/v1", **more})


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


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "Ä", "X\n"])
def test_a_header_name_must_be_a_token(name):
    with pytest.raises(ValueError, match="not a header name"):
        check_header(name, "x")


@pytest.mark.parametrize("host", ["*", "a b", "http://h", "h:80", "", "a,b", "h/"])
def test_a_host_with_scheme_port_or_wildcard_is_refused(host):
    with pytest.raises(ValueError, match="must be a host name"):
        checked_host(host)
    with pytest.raises(ValidationError):
        ServerSection.model_validate({"allowed_hosts": [host]})
    with pytest.raises(ValidationError):
        ServerSection.model_validate({"host": host})


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
