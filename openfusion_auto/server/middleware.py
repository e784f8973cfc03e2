"""The gate in front of every handler: Host, Origin, key, media type; and errors in OpenAI's shape behind it."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from openfusion_auto.config.addresses import is_loopback
from openfusion_auto.core.prompt import Dialect
from openfusion_auto.errors import (
    BadRequest,
    Forbidden,
    FusionError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    UnsupportedMedia,
    UpstreamRateLimited,
    without_files,
)
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.keys import (
    CLIENT,
    KEYRING,
    OPTIONS,
    PAGE,
    REFUSAL,
    TRACE,
    ServerOptions,
)
from openfusion_auto.wire.codec import CODECS

log = logging.getLogger("openfusion.server")

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# Nothing in them is anybody's secret.
PAGE_FILES = ("page.css", "page.js", "trace.css", "trace.js", "playground.js", "icon.svg")
OPEN_PATHS = frozenset(
    {
        "/",
        "/health",
        "/ready",
        "/api/hello",
        "/ui/sign-in",
        *(f"/ui/static/{n}" for n in PAGE_FILES),
    }
)
SAFE_METHODS = frozenset({"GET", "HEAD"})
# What a web page may send to any address without asking first: refused, so that no page spends the user's money.
FORM = "application/x-www-form-urlencoded"
SIMPLE_TYPES = ("text/plain", FORM, "multipart/form-data")
COOKIE = "openfusion_pass"  # the cookie of who has signed in on the page
# [s] told with a 429 for which the upstream names no time: Codex ends its session on one without any.
RETRY_AFTER_S = 1.0
# In which the SDKs of OpenAI and of Anthropic look for the id that their answers and errors show.
REQUEST_ID: Mapping[Dialect, str] = {
    "chat": "x-request-id",
    "responses": "x-request-id",
    "messages": "request-id",
}


def dialect_of(path: str) -> Dialect:
    """Return the dialect in which errors of a path are told: Messages under its own path, else OpenAI's."""
    return "messages" if "/messages" in path else "chat"


def answer_json(value: object, status: int = 200) -> web.Response:
    """Return a value as JSON."""
    return web.Response(
        body=json.dumps(value, allow_nan=False).encode(),
        content_type="application/json",
        status=status,
    )


def error_response(
    error: FusionError, dialect: Dialect = "chat", request_id: str = ""
) -> web.Response:
    """Return an error as the dialect's API shapes it; `request_id` is what its line in the log has too."""
    headers = dict(error.headers)
    if request_id:
        headers[REQUEST_ID[dialect]] = request_id
    wait_s = error.retry_after_s
    if wait_s is None and isinstance(error, UpstreamRateLimited):
        wait_s = RETRY_AFTER_S
    if wait_s is not None:
        headers["Retry-After"] = str(max(0, math.ceil(wait_s)))
    return web.Response(
        status=error.status,
        body=json.dumps(CODECS[dialect].error_body(error, request_id)).encode(),
        content_type="application/json",
        headers=headers,
    )


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check who asks, then answer; whatever goes wrong becomes a JSON error, on the page a page."""
    try:
        admit(request)
        return await handler(request)
    except FusionError as error:
        return refusal(request, error)
    except web.HTTPException as error:
        response = refusal(request, translate(error, request.path))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except HttpProcessingError:
        broken = BadRequest("The request body cannot be read: its encoding or framing is broken.")
        return refusal(request, broken)
    except Exception as error:  # noqa: BLE001 - the last line: a defect of ours must not take the connection down
        full = without_files(error)
        if full is not None:
            return refusal(request, full)
        # The kind only: an exception's text may hold a prompt or a key.
        # The path as it came, escapes and all (decoded it may hold line ends), and no query (it may hold a key).
        path = request.raw_path.partition("?")[0][:80]
        log.error("internal error: %s in %s, %s", type(error).__name__, path, named(request))  # noqa: TRY400 - no traceback, see above
        return refusal(
            request, InternalError("Internal error of the router; its log names the kind.")
        )


def named(request: web.Request) -> str:
    """Return the id of a request that is refused: its trace's, where it has one."""
    trace = request.get(TRACE)
    if trace is not None:
        return str(trace.id)
    name: str = request.get(REFUSAL) or "rq_" + secrets.token_hex(12)
    request[REFUSAL] = name
    return name


def refusal(request: web.Request, error: FusionError) -> web.Response:
    """Return an error as whoever asks reads it: a page on the page, elsewhere as the path's dialect shapes it."""
    page = request.app.get(PAGE)
    if page is None or not is_page(request.path):
        return error_response(error, dialect_of(request.path), named(request))
    response = page.tell(request, error)
    response.headers[REQUEST_ID["chat"]] = named(request)
    return response


def is_page(path: str) -> bool:
    """Whether a path is of the page for people."""
    return path == "/ui" or path.startswith("/ui/")


def admit(request: web.Request) -> None:
    """Let a request in, or raise what it is refused with; looks at its head only.

    Raises:
        BadRequest: not a request for this server's own paths.
        Forbidden: Host or Origin.
        NotAuthorized: the key.
        UnsupportedMedia: the body is not declared as JSON.
    """
    check_target(request)
    check_host(request, request.app[OPTIONS])
    check_origin(request, request.app[OPTIONS])
    if request.path not in OPEN_PATHS and not open_metrics(request):
        check_key(request, request.app[KEYRING])
    check_media(request)


def open_metrics(request: web.Request) -> bool:
    """Whether a request is for the metrics and these are open to clients on this machine."""
    if request.path != "/metrics" or not request.app[OPTIONS].open_metrics:
        return False
    return is_loopback(request.remote or "")


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Answer `Expect`: nobody is invited to send a body that the gate would refuse."""
    try:
        admit(request)
    except FusionError as error:
        return refusal(request, error)
    if request.headers["Expect"].lower() != "100-continue":
        return refusal(
            request,
            BadRequest("Only '100-continue' can be expected.", param="Expect", status=417),
        )
    if request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The answer itself has not begun: the library asks this number whether it has.
        request.writer.output_size = 0
    return None


def without_the_request(record: logging.LogRecord) -> bool:
    """Let the HTTP library's log say which kind of error it met: its own text quotes the client's bytes."""
    if record.exc_info:
        kind = record.exc_info[0]
        record.msg, record.args = "%s (%s)", (record.getMessage(), kind.__name__ if kind else "")
        record.exc_info = record.exc_text = None
    return True


def translate(error: web.HTTPException, path: str) -> FusionError:
    """Return ours for an error of the HTTP library."""
    if error.status == 404:
        # As when a client's base URL ends in a slash.
        slash = " This one has a slash too many." if "//" in path or path.endswith("/") else ""
        return NotFound(
            f"Unknown URL. The API lives under /v1, for example /v1/chat/completions.{slash}"
        )
    if error.status == 405:
        return MethodNotAllowed("This URL does not take that method.")
    return BadRequest(f"The request cannot be served (HTTP {error.status}).", status=error.status)


@functools.lru_cache(maxsize=256)
def host_name(value: str) -> str | None:
    """Return the host of a `Host` header or authority, lower case, without port; None when it is none."""
    try:
        parts = urlsplit("//" + value)
        # Reading the port checks it. All of the value must be the authority: no path, query or fragment.
        if parts.netloc != value or parts.username is not None or parts.port == -1:
            return None
        return (parts.hostname or "").rstrip(".") or None
    except ValueError:
        return None


def check_target(request: web.Request) -> None:
    """Refuse what is meant for a proxy (an absolute address, an authority) and HTTP before 1.0, which has no Host."""
    if request.version < HttpVersion10 or not request.raw_path.startswith(("/", "*")):
        raise BadRequest("This server is no proxy: send HTTP/1.1 with a path such as /v1/models.")


def check_host(request: web.Request, options: ServerOptions) -> None:
    """Refuse a Host that is neither loopback nor configured: it is how a DNS-rebinding page looks."""
    values = request.headers.getall("Host", [])
    name = host_name(values[0]) if len(values) == 1 else None
    if name is None or (name not in LOOPBACK and name not in options.allowed_hosts):
        raise Forbidden(
            "This Host is not served here. Use 127.0.0.1, or add the name to server.allowed_hosts."
        )


def check_origin(request: web.Request, options: ServerOptions) -> None:
    """Refuse requests that a foreign web page makes; programs send no Origin.

    What changes something on the page comes from the page itself: a cookie is sent to every port of a machine.
    """
    origin = request.headers.get("Origin")
    if is_page(request.path) and request.method not in SAFE_METHODS:
        own = (origin or "").partition("://")[2]
        if not own or own.lower() != request.headers["Host"].lower():
            raise Forbidden("Only the page itself may ask this.", code="origin_not_allowed")
    if origin is None:
        return
    scheme, _, rest = origin.partition("://")
    name = host_name(rest) if scheme in ("http", "https") else None
    if name is None or (name not in LOOPBACK and name not in options.allowed_hosts):
        raise Forbidden("Requests from this web origin are not served.", code="origin_not_allowed")


def presented_key(request: web.Request) -> str | None:
    """Return the key a client presents: `Authorization: Bearer` or `x-api-key`."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("x-api-key")


def check_key(request: web.Request, keyring: Keyring) -> None:
    """Refuse a missing or wrong key where one is asked for, else note whose it is. Raises `NotAuthorized`.

    On the page, and nowhere else, the cookie of its sign-in stands for the key.
    """
    if not keyring.required:
        return
    key = presented_key(request)
    if key is None and is_page(request.path):
        request[CLIENT] = keyring.find_pass(request.cookies.get(cookie_of(request), ""))
    else:
        request[CLIENT] = keyring.find(key or "")


def cookie_of(request: web.Request) -> str:
    """Return the name of the page's cookie: browsers send one to all ports of a host, and each has its own router."""
    port = request.headers.get("Host", "").rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isascii() and port.isdigit() else COOKIE


def check_media(request: web.Request) -> None:
    """Refuse bodies that are not declared as JSON; the page's own forms pass (`check_origin` looked at them).

    A program may leave the type out. A web page, also of this machine, may not: it would send unasked.
    """
    if request.method != "POST":
        return
    if "Content-Type" not in request.headers and (
        "Origin" not in request.headers or is_page(request.path)
    ):
        return
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind == FORM and is_page(request.path):
        return
    if kind in SIMPLE_TYPES or not (kind.endswith(("/json", "+json"))):
        raise UnsupportedMedia(
            "Send the body as JSON with the header 'Content-Type: application/json'.",
            param="Content-Type",
        )


def identity(request: web.Request) -> str:
    """Return what tells this client from others, without holding its key. On the page a pass stands for the key."""
    client = request.get(CLIENT)
    key = presented_key(request) or (client.id if client is not None else "")
    peer = request.remote or ""
    agent = request.headers.get("User-Agent", "")[:200]
    return hashlib.sha256(f"{key}\0{peer}\0{agent}".encode("utf-8", "surrogatepass")).hexdigest()
