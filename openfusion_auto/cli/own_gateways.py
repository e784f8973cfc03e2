"""Our own server in this process, once before a scripted model of each dialect: what `compat` and `doctor --wire` ask.

Nothing of the user's is read or written: a configuration in a temporary folder, an empty environment.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import tomli_w
from aiohttp import web

from openfusion_auto.config.load import Settings, load
from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.run import AUTO
from openfusion_auto.evals.compat.script import MODEL
from openfusion_auto.evals.compat.scripted import Scripted
from openfusion_auto.server.build import build

DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages")


@contextlib.asynccontextmanager
async def own_gateways() -> AsyncIterator[list[Target]]:
    """Serve on loopback, before a model that speaks one dialect each; yields their targets."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openfusion-compat-")))
        targets = []
        for dialect in DIALECTS:
            model = await stack.enter_async_context(Scripted([dialect]))
            url = await stack.enter_async_context(router(folder / dialect, dialect, model.url))
            targets.append(
                Target(
                    f"openfusion, {dialect} behind", url, AUTO, behind=model.speaks, journal=model
                )
            )
        yield targets


@contextlib.asynccontextmanager
async def router(folder: Path, dialect: Dialect, url: str) -> AsyncIterator[str]:
    """Serve one configuration from `folder`, before a model at `url`; yields the address up to `/v1`."""
    app = build(settings_in(folder, dialect, url), dry_run=False)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def settings_in(folder: Path, dialect: Dialect, url: str) -> Settings:
    """Return the settings of a small configuration, written to `folder`."""
    folder.mkdir()
    file = folder / "openfusion.toml"
    config = {
        "upstreams": [{"name": "script", "base_url": url, "dialect": dialect}],
        "pool": {"file": "pool.toml"},
        "store": {"enabled": False},
    }
    file.write_text(tomli_w.dumps(config), encoding="utf-8")
    (folder / "pool.toml").write_text(tomli_w.dumps(POOL), encoding="utf-8")
    return load(file, {"OPENFUSION_STATE_DIR": str(folder / "state")}, {}, folder)


POOL: dict[str, object] = {
    "schema": 1,
    "candidates": [
        {
            "id": "scripted",
            "upstream": "script",
            "model": MODEL,
            "roles": ["fast", "coder", "reasoner", "verifier", "writer"],
            "context_tokens": 200_000,
            "max_output_tokens": 32_000,
            "offers": ["tools", "json_schema", "reasoning", "vision"],
        }
    ],
}
