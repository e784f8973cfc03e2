"""The checks of `openfusion doctor`: each looks at one thing and says what to do about it. No key is ever shown."""

from __future__ import annotations

import errno
import http.client
import os
import platform
import re
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from openfusion_auto import __version__
from openfusion_auto.cli import pool as pool_command
from openfusion_auto.cli.common import is_dry_run, lacks_key, load_settings
from openfusion_auto.cli.pool_common import today
from openfusion_auto.cli.remote import Server, fetch, read_object, server_of
from openfusion_auto.cli.workers import check_possible
from openfusion_auto.config.keyfile import load_keys, path_in
from openfusion_auto.config.load import Settings
from openfusion_auto.config.pool import check_pool
from openfusion_auto.config.schema import Config, UpstreamConfig
from openfusion_auto.core.words import many
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.files import allow_connections, most_clients
from openfusion_auto.store.files import damage, file_in

Status = Literal["PASS", "WARN", "FAIL"]
FASTER = ("uvloop", "orjson")  # the extra `fast`
FEW_CLIENTS = 100
LOOK_S = 2.0  # [s] the store is looked at for damage
LOW_MB = 100.0  # [MB] below which the store may soon not be written
PROXY_PAGE = "see docs/how-to/deploy.md, Behind a proxy"
PROBE_S = 10.0  # [s] GET /models answers at once or not at all
RUNNING = "an openfusion is running there"
SHOWN_MODELS = 5  # names of models in one line


class Check(NamedTuple):
    """What was found about one thing, and what to do next ("" when nothing)."""

    name: str
    status: Status
    detail: str
    todo: str = ""


def mend(said: str) -> str:
    """Return what to do about one problem of the configuration."""
    if said.startswith("env:"):
        return f"set {said.removeprefix('env:').partition(':')[0]} to what it must be, or unset it"
    if "cannot be read (" in said:
        return "make it readable, or name another file with --config or OPENFUSION_CONFIG"
    return "mend it; `openfusion init --path new.toml` shows every key"


def examine(config: Path | None, *, probe: bool) -> tuple[list[Check], list[dict[str, object]]]:
    """Return all checks, and the settings that are not the defaults with where each was set."""
    checks = [installed()]
    try:
        settings = load_settings(config)
    except ConfigError as error:
        failed = [Check("config", "FAIL", said, mend(said)) for said in error.message.splitlines()]
        return [*checks, *failed], []
    checks += configuration(settings)
    checks += keys(settings)
    checks.append(pool(settings))
    checks += several(settings)
    checks += redis(settings)
    checks.append(port(settings))
    if checks[-1].detail.endswith(RUNNING):
        checks += running(settings)
    checks.append(state_folder(settings.state_path))
    if settings.config.store.enabled:
        checks += state_file(file_in(settings.state_path, dry_run=False))
    checks += open_files()
    checks += proxies(settings)
    if probe:
        checks += upstreams(settings)
    return checks, changed(settings)


def installed() -> Check:
    """What runs: our version, Python's, and whether the faster parts are there."""
    there = [name for name in FASTER if find_spec(name)]
    extra = f", with {' and '.join(there)}" if there else ""
    return Check(
        "version", "PASS", f"openfusion {__version__}, Python {platform.python_version()}{extra}"
    )


def configuration(settings: Settings) -> Iterator[Check]:
    """Which file counts, and what in it deserves a look."""
    if settings.source is None:
        yield Check(
            "config", "PASS", "built-in defaults", "`openfusion init` writes a file to change them"
        )
    else:
        yield Check("config", "PASS", str(settings.source))
    for warning in settings.warnings:
        yield Check("config", "WARN", warning)


def changed(settings: Settings) -> list[dict[str, object]]:
    """Return key, value and origin of every setting that was set.

    An upstream's value is its address, that of a model of the operator's own is what it does. `default`: it was set to
    what it is anyway, as `openfusion init` writes it.
    """
    public = settings.public()
    usual: Mapping[str, object] = Config().model_dump(mode="json")
    told: dict[str, object] = {f"upstreams.{u.name}": u.base_url for u in settings.config.upstreams}
    told |= {f"models.{m.name}": m.says for m in settings.models}
    rows: list[dict[str, object]] = []
    for key, where in sorted(settings.origin.items()):
        if where == "default" or key == "upstreams":
            continue
        if key in told:
            rows.append({"key": key, "value": told[key], "origin": where, "default": False})
            continue
        value = at(public, key)
        rows.append(
            {"key": key, "value": value, "origin": where, "default": value == at(usual, key)}
        )
    return rows


def at(values: Mapping[str, object], key: str) -> object:
    """Return the value of a dotted key, None when there is none."""
    value: object = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def keys(settings: Settings) -> Iterator[Check]:
    """Which key variables are set, by name alone."""
    waiting = len(settings.unready)
    worst: Status = "FAIL" if waiting == len(settings.config.upstreams) else "WARN"
    if is_dry_run(settings, asked=False):
        worst = "WARN"  # nothing is set up yet, and that works: as a dry run
    for upstream in settings.config.upstreams:
        name = upstream.api_key_env
        if lacks_key(settings, upstream):
            why = settings.unready[upstream.name]
            todo = f"export {name}=... (or a line in .env beside the configuration; or give it to openfusion chat)"
            yield Check("key", worst, f"upstream {upstream.name} cannot be called: {why}", todo)
        elif name is None or settings.key(upstream.name) is None:
            yield Check("key", "PASS", f"upstream {upstream.name} is called without a key")
        else:
            where = settings.key_places.get(name)
            yield Check("key", "PASS", f"{name} is set for upstream {upstream.name} ({where})")
    asked = len(settings.client_keys)
    detail = f"clients show one of {asked} keys" if asked else "clients need no key"
    yield Check("key", "PASS", f"OPENFUSION_API_KEYS: {detail}")
    yield gateway_keys(settings)


def gateway_keys(settings: Settings) -> Check:
    """How many keys of `openfusion keys` open the door."""
    path = path_in(settings.state_path)
    try:
        kept = load_keys(path)
    except ConfigError as error:
        return Check(
            "key", "FAIL", error.message, "the server does not start with it: mend or remove it"
        )
    states = [k.status(datetime.now(tz=UTC).timestamp()) for k in kept]
    counted = ", ".join(
        f"{states.count(s)} {s}" for s in ("active", "expired", "revoked") if s in states
    )
    return Check("key", "PASS", f"openfusion keys: {counted or 'none made'}")


def pool(settings: Settings) -> Check:
    """What `openfusion pool check` finds."""
    findings = check_pool(settings.pool, today())
    errors = sum(pool_command.level(f) == "error" for f in findings)
    there = f"{many(len(settings.pool.candidates), 'candidate')} in {settings.pool_source.name}"
    if not findings:
        return Check("pool", "PASS", there)
    detail = f"{there}: {many(errors, 'error')}, {many(len(findings) - errors, 'warning')}"
    return Check("pool", "FAIL" if errors else "WARN", detail, "see them: openfusion pool check")


def several(settings: Settings) -> Iterator[Check]:
    """Whether several workers can serve here, and what they share through."""
    count, redis = settings.config.server.workers, settings.redis_url is not None
    if count == 1:
        return
    try:
        check_possible(count, store=settings.config.store.enabled, redis=redis)
    except ConfigError as error:
        yield Check("workers", "FAIL", error.message, "or set server.workers = 1")
        return
    place = settings.config.redis.url_env if redis else "the state folder"
    yield Check("workers", "PASS", f"{count} workers share through {place}")
    cores = os.cpu_count() or count
    if count > cores:
        said = f"{count} workers on {cores} cores: more than there are gain nothing"
        yield Check("workers", "WARN", said, f"set server.workers = {cores}")


def redis(settings: Settings) -> Iterator[Check]:
    """Whether the Redis that is named can be shared through."""
    if settings.redis_url is None:
        return
    import asyncio

    from openfusion_auto.server.sharing import build_link

    async def asked() -> str | None:
        link = build_link(settings, dry_run=False)
        if link is None:
            return None
        problem = await link.look()
        await link.close()
        return problem

    name = settings.config.redis.url_env
    try:
        problem = asyncio.run(asked())
    except ConfigError as error:
        yield Check("redis", "FAIL", error.message, "mend it, or unset the variable")
        return
    if problem is None:
        yield Check("redis", "PASS", f"{name}: it answers and can be written to")
    else:
        said = f"{name}: it cannot be shared through ({problem}): each server goes on for itself"
        yield Check("redis", "WARN", said, "is it running, writable, not full, and the URL right?")


def port(settings: Settings) -> Check:
    """Whether the address can be listened on, or a router is there already."""
    host, number = settings.config.server.host.strip("[]"), settings.config.server.port
    if number == 0:
        return Check("port", "PASS", "any free one (server.port = 0)")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do, so that a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            return taken(settings, error)
    return Check("port", "PASS", f"{host}:{number} is free")


def taken(settings: Settings, error: OSError) -> Check:
    """Say who has the port."""
    server = settings.config.server
    shown = f"{server.host}:{server.port}"
    if error.errno == errno.EADDRINUSE and is_ours(server_of(settings, None)):
        return Check("port", "PASS", f"{shown}: {RUNNING}")
    todo = "choose another one: server.port, OPENFUSION_PORT or --port"
    return Check("port", "FAIL", f"{shown} cannot be listened on ({error.strerror})", todo)


def is_ours(server: Server) -> bool:
    """Whether an openfusion answers there; asked without a key."""
    return health(server) is not None


def health(server: Server) -> dict[str, object] | None:
    """Return what an openfusion there says of itself, asked without a key; None when there is none."""
    try:
        status, raw = fetch(server.url + "/health", {}, timeout_s=2.0)
    except (OSError, http.client.HTTPException):
        return None
    told = read_object(raw) or {}
    return dict(told) if status == 200 and told.get("name") == "openfusion_auto" else None


def running(settings: Settings) -> Iterator[Check]:
    """Whether a server that runs there goes by the files as they are now, and keeps what it learns."""
    told = health(server_of(settings, None)) or {}
    config, store = told.get("config"), told.get("store")
    if isinstance(store, dict) and store.get("problem"):
        todo = "free the disk or mend the state folder"
        yield Check("running", "WARN", f"the running server: {store['problem']}", todo)
    if not isinstance(config, dict):
        return
    if config.get("error"):
        said = f"the running server keeps its older configuration: {config['error']}"
        yield Check("running", "WARN", said.replace("\n", "; "), "mend the file; it is read again")
    elif config.get("restart"):
        said = "the running server needs a restart for " + ", ".join(map(str, config["restart"]))
        yield Check("running", "WARN", said, "restart it when convenient")
    else:
        yield Check("running", "PASS", "the running server goes by its files as they are now")


def state_folder(path: Path) -> Check:
    """Whether what is written has a place that nobody else can read."""
    if not path.exists():
        above = next(p for p in path.parents if p.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            todo = "set OPENFUSION_STATE_DIR to a folder of yours"
            return Check("state", "FAIL", f"{path} cannot be created in {above}", todo)
        return Check("state", "PASS", f"{path} will be created")
    if not path.is_dir():
        return Check(
            "state", "FAIL", f"{path} is no folder", "move it, or set OPENFUSION_STATE_DIR"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        return Check("state", "FAIL", f"{path} cannot be written to", "set OPENFUSION_STATE_DIR")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Check("state", "WARN", f"{path} is open to other users", f"chmod 700 {path}")
    return Check("state", "PASS", str(path))


def state_file(path: Path) -> Iterator[Check]:
    """Whether what was kept can be read, and there is room for more."""
    now = Clock().now
    until_s = now() + LOOK_S
    found = damage(path, lambda: now() > until_s) if path.exists() else None
    if found is not None:
        todo = "move it away, and the server makes a new one; until then it keeps nothing"
        if "newer" in found:
            todo = "upgrade, or set OPENFUSION_STATE_DIR to another folder"
        yield Check("state", "FAIL", f"{path.name}: {found}", todo)
    if path.parent.is_dir():
        free_mb = shutil.disk_usage(path.parent).free / 1e6
        if free_mb < LOW_MB:
            said = f"{free_mb:.0f} MB are free where {path.parent} is"
            yield Check("state", "WARN", said, "free some: what does not fit is not kept")


def open_files() -> Iterator[Check]:
    """Whether the system lets a server have as many connections as a team needs."""
    clients = most_clients(allow_connections())
    if clients is not None and clients < FEW_CLIENTS:
        said = f"the bound of open files leaves room for {many(clients, 'client')} at once"
        yield Check("files", "WARN", said, "raise it: ulimit -Hn, or LimitNOFILE= of a service")


def proxies(settings: Settings) -> Iterator[Check]:
    """By which proxy each upstream is called, or why by none where one is named. No user and no password is shown."""
    for upstream in settings.config.upstreams:
        proxy, why, fault = settings.way(upstream)
        if fault:
            said = f"upstream {upstream.name} is not reached: {fault}"
            yield Check("proxy", "FAIL", said, PROXY_PAGE)
        elif proxy is not None:
            said = f"upstream {upstream.name} is called by the proxy {proxy.address} ({why})"
            yield Check("proxy", "PASS", said)
        elif why:
            yield Check("proxy", "PASS", f"upstream {upstream.name} is called directly: {why}")


def upstreams(settings: Settings) -> list[Check]:
    """Ask every upstream for its models. One that is silent is a warning; that none answers is a failure."""
    found = [probed(settings, upstream) for upstream in settings.config.upstreams]
    checks = [check for check, _ in found]
    if not any(answered for _, answered in found):
        checks.append(Check("upstream", "FAIL", "no upstream answers", "see the lines above"))
    return checks


def probed(settings: Settings, upstream: UpstreamConfig) -> tuple[Check, bool]:
    """Return what one upstream says to GET /models, and whether it said anything."""
    headers = {**upstream.extra_headers, "Accept": "application/json", "User-Agent": "openfusion"}
    key, way = settings.key(upstream.name), settings.way(upstream)
    if way.fault:
        return Check("upstream", "WARN", f"{upstream.name}: is not asked: {way.fault}"), False
    if key and upstream.name not in settings.unready:
        headers["Authorization"] = f"Bearer {key}"
    try:
        status, raw = fetch(
            f"{upstream.base_url}/models", headers, timeout_s=PROBE_S, proxy=way.proxy
        )
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or refusal(error) or type(error).__name__
        by = f" by the proxy {way.proxy.address}" if way.proxy else ""
        said = f"{upstream.name}: no answer from {upstream.base_url}{by} ({why})"
        return Check("upstream", "WARN", said, "is it running, and is base_url right?"), False
    return judged(settings, upstream, status, raw), True


def refusal(error: Exception) -> str:
    """Return the status with which a proxy refused, as `http.client` tells it; "" when it is something else."""
    found = re.match(r"Tunnel connection failed: ([1-9][0-9]{2})\b", str(error))
    return f"the proxy refuses, {found[1]}" if found else ""


def judged(settings: Settings, upstream: UpstreamConfig, status: int, raw: bytes) -> Check:
    """Say what an upstream's answer means for the pool."""
    if status in (401, 403):
        todo = f"check the value of {upstream.api_key_env or 'api_key_env'}"
        return Check("upstream", "FAIL", f"{upstream.name}: refuses the key ({status})", todo)
    listed = (read_object(raw) or {}).get("data")
    if status != 200 or not isinstance(listed, list):
        said = f"{upstream.name}: answers GET /models with status {status}, but lists no models"
        return Check("upstream", "WARN", said, "is base_url right, up to and with /v1?")
    there = {row.get("id") for row in listed if isinstance(row, dict)}
    wanted = [c.model for c in settings.pool.candidates if c.upstream == upstream.name]
    gone = [model for model in wanted if model not in there]
    if gone:
        more = f" and {len(gone) - SHOWN_MODELS} more" if len(gone) > SHOWN_MODELS else ""
        said = f"{upstream.name}: does not list {', '.join(gone[:SHOWN_MODELS])}{more}"
        return Check("upstream", "WARN", said, "take them out of the pool, or mend their names")
    return Check("upstream", "PASS", f"{upstream.name}: lists all {len(wanted)} models of the pool")
