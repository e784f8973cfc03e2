"""Which proxy the environment names for an address, and for which addresses it names none."""

from __future__ import annotations

from base64 import b64encode

import pytest

from openfusion_auto.config.proxies import Proxy, Way, names, proxy_at, way_to

FAR = "https://relay.example/v1"
PROXY = Proxy("proxy.corp", 3128)


def way(url=FAR, proxy_env=None, **env):
    return way_to(url, proxy_env, env.get)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"HTTPS_PROXY": "http://proxy.corp:3128"}, "HTTPS_PROXY"),
        ({"https_proxy": "proxy.corp:3128", "HTTPS_PROXY": "http://other:1"}, "https_proxy"),
        ({"ALL_PROXY": "http://proxy.corp:3128/"}, "ALL_PROXY"),
        ({"all_proxy": "http://proxy.corp:3128", "ALL_PROXY": "http://other:1"}, "all_proxy"),
        ({"HTTPS_PROXY": "HTTP://proxy.corp:3128", "all_proxy": "http://other:1"}, "HTTPS_PROXY"),
    ],
)
def test_the_first_variable_that_is_set_names_the_proxy(env, name):
    assert way(**env) == Way(PROXY, name)


def test_without_a_variable_the_way_is_straight_and_nothing_is_said():
    assert way() == way(HTTP_PROXY="http://other:1") == way(NO_PROXY="*") == Way()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "https://localhost/v1",
        "https://[::1]:8443",
        "https://a.localhost.",
    ],
)
def test_this_machine_is_never_reached_by_a_proxy(url):
    assert way(url, ALL_PROXY="http://other:1") == Way(why="it is on this machine")
    assert way(url, ALL_PROXY="socks5://other:1").fault == ""
    assert way(url, "RELAY_PROXY") == Way()


def test_plain_http_goes_straight_and_says_so_where_a_proxy_is_named():
    plain = "http://relay.example/v1"
    assert way(plain, HTTP_PROXY="http://p:1") == Way(why="only https:// goes by a proxy")
    assert way(plain, HTTPS_PROXY="http://p:1") == Way()


def test_an_upstreams_own_variable_goes_before_the_usual_ones():
    env = {"RELAY_PROXY": "proxy.corp:3128", "HTTPS_PROXY": "http://other:1", "NO_PROXY": "*"}
    assert way(proxy_env="RELAY_PROXY", **env) == Way(PROXY, "RELAY_PROXY")
    assert way(proxy_env="", **env) == Way(why='its proxy_env is ""')
    assert way(proxy_env="RELAY_PROXY", HTTPS_PROXY="http://o:1") == Way(fault="set RELAY_PROXY")


def test_an_exception_says_which_variable_named_it():
    env = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "relay.example"}
    assert way(**env) == Way(why="NO_PROXY names it")
    assert way(**env, no_proxy="elsewhere").proxy == Proxy("p", 1)


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "named"),
    [
        ("relay.example", "relay.example", 443, True),
        ("relay.example", "eu.relay.example", 443, True),
        ("relay.example", "myrelay.example", 443, False),
        ("relay.example", "example", 443, False),
        (".example", "relay.example", 443, True),
        (".relay.example", "relay.example", 443, True),
        ("*.example", "relay.example", 443, True),
        ("RELAY.Example.", "relay.example", 443, True),
        ("a.b, ,relay.example", "relay.example", 443, True),
        ("a.b relay.example", "relay.example", 443, True),
        ("*", "relay.example", 443, True),
        ("*", "10.1.2.3", 443, True),
        ("", "relay.example", 443, False),
        (".", "relay.example", 443, False),
        ("relay.example:443", "relay.example", 443, True),
        ("relay.example:8443", "relay.example", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:8443", "10.1.2.3", 8443, True),
        ("10.1.2.3:8443", "10.1.2.3", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.1.2.9/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "10.example", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("2.3", "10.1.2.3", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "10.1.2.3", 443, False),
        ("fd12::1", "fd12:0::1", 443, True),
        ("[fd12::1]:8443", "fd12::1", 8443, True),
        ("[fd12::1]:8443", "fd12::1", 443, False),
        ("[fd12::1]", "fd12::1", 443, True),
    ],
)
def test_exceptions_are_hosts_domains_networks_or_all(exceptions, host, port, named):
    assert names(exceptions, host, port) is named


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("http://p", "p", 80, None),
        ("p", "p", 80, None),
        ("10.0.0.1:3128", "10.0.0.1", 3128, None),
        ("http://[fd12::1]:3128/", "fd12::1", 3128, None),
        ("http://@p:1", "p", 1, None),
        ("http://me:pa%40s%3As@p:1", "p", 1, b"me:pa@s:s"),
        ("me:p%C3%A4ss@p:1", "p", 1, "me:päss".encode()),
        ("http://me@p:1", "p", 1, b"me:"),
        ("http://me:a@b@p:1", "p", 1, b"me:a@b"),
    ],
)
def test_a_proxy_is_read_with_what_it_is_shown(url, host, port, shown):
    found = proxy_at(url)
    assert (found.host, found.port) == (host, port)
    assert found.authorization == (None if shown is None else f"Basic {b64encode(shown).decode()}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("socks5://me:hidden@p:1", "names a proxy of socks5://; only http:// ones are used"),
        ("SOCKS5H://p", "names a proxy of socks5h://; only http:// ones are used"),
        ("https://me:hidden@p", "names a proxy of https://; only http:// ones are used"),
        ("hidden://p", "must be http://host:port"),
        ("http://", "must be http://host:port"),
        ("http://p:hidden", "must be http://host:port"),
        ("http://p:99999", "must be http://host:port"),
        ("http://me:1/hidden@p:1", "must be http://host:port"),
        ("http://me:1#hidden@p:1", "must be http://host:port"),
        ("http://me:1?hidden@p:1", "must be http://host:port"),
        ("http://[p", "must be http://host:port"),
        ("http://a b", "must be http://host:port"),
    ],
)
def test_what_cannot_be_used_is_a_fault_that_quotes_nothing(url, said):
    found = way(HTTPS_PROXY=url)
    assert found.proxy is None
    assert found.fault.startswith(f"HTTPS_PROXY {said}")
    assert "hidden" not in found.fault


def test_what_a_proxy_is_shown_is_not_printed():
    found = way(HTTPS_PROXY="http://me:hidden@p:1")
    assert found.proxy.address == "p:1"
    assert "Basic" not in repr(found) + str(found)
    assert Proxy("fd12::1", 1).address == "[fd12::1]:1"
