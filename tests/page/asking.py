"""Asking the page over HTTP without a browser."""

from tests.server.live import send


async def get(router, path, **headers):
    """Get an address of the page."""
    return await send(router, None, method="GET", path=f"/..{path}", headers=headers)


async def post(router, path, form, **headers):
    """Send a form as the page itself does; returns status, headers and text. Redirects are not followed."""
    headers = {"Origin": router.root, **headers}
    async with router.http.post(
        router.root + path, data=form, headers=headers, allow_redirects=False
    ) as r:
        return r.status, r.headers, await r.text()
