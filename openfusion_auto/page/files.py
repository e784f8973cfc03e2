"""The page's own files: style, script, icon. Served by name from a fixed list, so no path leads out."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from openfusion_auto.errors import NotFound
from openfusion_auto.server.middleware import PAGE_FILES

STATIC = Path(__file__).parent / "static"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"  # its address changes with it


async def static(request: web.Request) -> web.Response:
    """`GET /ui/static/{name}`."""
    name = request.match_info["name"]
    if name not in PAGE_FILES:
        raise NotFound("No such file.")
    path = STATIC / name
    body = await asyncio.to_thread(path.read_bytes)
    kept = FOR_EVER if "v" in request.query else "no-cache"
    return web.Response(
        body=body,
        content_type=KINDS[path.suffix],
        charset="utf-8",
        headers={"Cache-Control": kept},
    )
