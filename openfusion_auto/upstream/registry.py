"""Builds the upstreams that a configuration names: the one place that knows all kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from openfusion_auto.config.proxies import Way
from openfusion_auto.config.schema import Config, UpstreamConfig
from openfusion_auto.core.prompt import Dialect
from openfusion_auto.upstream.base import Upstream
from openfusion_auto.upstream.connections import DIRECTLY
from openfusion_auto.upstream.fake import FakeUpstream
from openfusion_auto.upstream.http import HttpUpstream, Timeouts

# Where each dialect is spoken.
PATHS: Mapping[Dialect, str] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
}
ANTHROPIC_VERSION = "2023-06-01"  # the version of the Messages API that is spoken here
LEAST_SECRET = 12  # [characters] of a header's value that may be a key


def build_upstreams(
    config: Config,
    key_of: Callable[[str], str | None],
    way_of: Callable[[UpstreamConfig], Way] = lambda _: DIRECTLY,
    *,
    dry_run: bool,
) -> dict[str, Upstream]:
    """Return upstream name -> upstream. In a dry run all are the built-in fake: nothing leaves the machine.

    Args:
        config: Names them.
        key_of: Returns an upstream's key, by its name.
        way_of: Returns by which proxy it is reached.
        dry_run: Call nobody.
    """
    if dry_run:
        return {u.name: FakeUpstream() for u in config.upstreams}
    t = config.timeouts
    timeouts = Timeouts(t.connect_s, t.first_token_s, t.idle_s, t.total_s)
    return {u.name: http_upstream(u, key_of(u.name), timeouts, way_of(u)) for u in config.upstreams}


def http_upstream(
    upstream: UpstreamConfig, key: str | None, timeouts: Timeouts, way: Way
) -> HttpUpstream:
    """Return one upstream over HTTP, with its key in the header its dialect wants."""
    headers = dict(upstream.extra_headers)
    if upstream.dialect == "messages":
        headers.setdefault("anthropic-version", ANTHROPIC_VERSION)
    if key and upstream.dialect == "messages":
        headers["x-api-key"] = key
    elif key:
        headers["Authorization"] = f"Bearer {key}"
    # Keys do not belong into other headers; one that stands there all the same must not come back.
    secrets = [value for value in upstream.extra_headers.values() if len(value) >= LEAST_SECRET]
    secrets += [key] if key else []
    return HttpUpstream(
        upstream.name,
        upstream.base_url,
        dialect=upstream.dialect,
        path=PATHS[upstream.dialect],
        headers=headers,
        timeouts=timeouts,
        secrets=tuple(secrets),
        way=way,
    )
