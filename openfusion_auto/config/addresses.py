"""Addresses and headers that a configuration may name: checked before anything is sent there."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 5.6.2, token
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?")
# RFC 9110 7.6.1 and 11: they belong to one connection, to the HTTP client, or carry credentials.
_REFUSED_HEADERS = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host",
        "content-length", "content-type", "content-encoding", "accept-encoding", "expect",
        "authorization", "x-api-key", "api-key", "cookie",
    }
)  # fmt: skip


def checked_url(value: str) -> str:
    """Return an upstream's base URL without its last slash.

    Raises:
        ValueError: not an absolute http(s) URL, or with credentials, query or fragment. The message
            never quotes it: a key may stand in it.
    """
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be a URL of printable ASCII characters without spaces")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        raise ValueError("must be a URL with a valid host and port") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("must start with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use api_key_env")
    if "?" in value or "#" in value:
        raise ValueError("must not hold a query or fragment; use api_key_env for keys")
    return value.rstrip("/")


def check_header(name: str, content: str) -> None:
    """Check one header that is sent with every call.

    Raises:
        ValueError: the name is no token or is not the operator's to set, or the value could end the
            header. The value is never quoted.
    """
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if name.lower() in _REFUSED_HEADERS:
        raise ValueError(f"header {name!r} is set by the router; keys come from api_key_env")
    if not _HEADER_VALUE.fullmatch(content):
        raise ValueError(f"the value of header {name!r} must be printable ASCII on one line")


def checked_host(value: str) -> str:
    """Return a host name or address.

    Raises:
        ValueError: it has a scheme, a port, a wildcard or an odd character.
    """
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address, without scheme, port or wildcard")
    return value


def is_loopback(host: str) -> bool:
    """Return whether `host` (a name or an address, brackets allowed) means this machine."""
    bare = host.strip("[]").lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
