"""Every error the product raises, in one tree, driven by what the caller does next.

    FusionError
    ├── BadRequest            400  client    the request is wrong; nothing was sent upstream
    │   ├── ModelNotFound     404  client    no such model; carries near names
    │   ├── ContextTooLong    400  client    the prompt fits no candidate (agents compact on the code)
    │   ├── TooLarge          413  client    body, nesting or number over the bound
    │   └── UnsupportedMedia  415  client    not JSON, or an encoding that cannot be read
    ├── NotAuthorized         401  client    missing or wrong gateway key
    ├── RateLimited           429  client    a limit of its key, its session or the server; Retry-After says when
    ├── QuotaExceeded         429  client    a budget is used up; nothing cheaper can serve
    ├── Forbidden             403  client    Host or Origin not allowed
    ├── NotFound              404  client    unknown path or trace id
    ├── MethodNotAllowed      405  client
    ├── ConfigError           500  operator  configuration cannot be used (the CLI exits with 2)
    │   └── StoreTooNew       500  operator  a newer version has written the store; it is left alone
    ├── NoCandidate           503  operator  every candidate was rejected; the message lists the rules
    ├── Overloaded            503  operator  the server is draining or full
    ├── UpstreamError         502  candidate/provider   the table below
    │   ├── UpstreamUnreachable 502  no connection          ├── UpstreamTimeout    504  silence
    │   ├── UpstreamRateLimited 429  Retry-After kept       ├── UpstreamOverloaded 502/503  its own 5xx
    │   ├── UpstreamBroken      502  junk, cut, empty       ├── UpstreamDenied     502  401, 402, 403: our account
    │   ├── UpstreamMisfit      502  a call breaks its schema; another candidate is asked, no client is told
    │   └── UpstreamRejected    same status (400, 404, 413, 422): the request itself
    │       └── UpstreamWants   the model wants the request otherwise: it gets it so from then on
    └── InternalError         500  internal

`scope` says whose fault it is: would another candidate help? `retryable` is False unless a class says
otherwise. A message says what happened, what was expected and what to do next; it never holds a key, a prompt
or an upstream's body.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import ClassVar, Literal

Scope = Literal["client", "operator", "candidate", "provider", "internal"]


class FusionError(Exception):
    """Base of all errors of this product.

    Attributes:
        http_status: Status a surface answers with.
        code: Stable machine-readable code, or None where OpenAI's API gives null.
        type: OpenAI's error `type`.
        retryable: Whether the same call to the same candidate may succeed soon.
        scope: Whose fault it is.
        param: The request field at fault, when there is one.
        retry_after_s: Seconds after which a retry makes sense, when known.
        headers: Headers that an answer with this error carries besides.
    """

    http_status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False
    scope: ClassVar[Scope] = "internal"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else self.default_code
        self.status = status if status is not None else self.http_status
        self.retry_after_s = retry_after_s
        self.headers: Mapping[str, str] = {}


class BadRequest(FusionError):
    """The client's request is wrong."""

    http_status = 400
    type = "invalid_request_error"
    scope = "client"


class ModelNotFound(BadRequest):
    """The model name is neither virtual, a role, nor in the pool."""

    http_status = 404
    default_code = "model_not_found"


class ContextTooLong(BadRequest):
    """The prompt fits no candidate's context window; agents compact on this code."""

    default_code = "context_length_exceeded"


class TooLarge(BadRequest):
    """A size bound was passed."""

    http_status = 413
    default_code = "request_too_large"


class UnsupportedMedia(BadRequest):
    """The body is not JSON, or in an encoding that cannot be read."""

    http_status = 415
    default_code = "unsupported_media_type"


class NotAuthorized(FusionError):
    """Missing or wrong gateway key."""

    http_status = 401
    type = "invalid_request_error"
    default_code = "invalid_api_key"
    scope = "client"


class RateLimited(FusionError):
    """Too many requests or tokens in a minute, or too many at once, for one key or for the server."""

    http_status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retryable = True
    scope = "client"


class QuotaExceeded(FusionError):
    """A budget of money is used up. OpenAI's API has the same word for type and code, and clients know it."""

    http_status = 429
    type = "insufficient_quota"
    default_code = "insufficient_quota"
    scope = "client"


class Forbidden(FusionError):
    """Host or Origin is not allowed here."""

    http_status = 403
    type = "invalid_request_error"
    default_code = "forbidden"
    scope = "client"


class NotFound(FusionError):
    """Unknown path or id."""

    http_status = 404
    type = "invalid_request_error"
    scope = "client"


class MethodNotAllowed(FusionError):
    """The path exists, the method does not."""

    http_status = 405
    type = "invalid_request_error"
    default_code = "method_not_supported"
    scope = "client"


class ConfigError(FusionError):
    """Configuration that cannot be used."""

    default_code = "config_error"
    scope = "operator"


class StoreTooNew(ConfigError):
    """A newer version has written the store; this one must not touch it."""

    default_code = "store_too_new"


class NoCandidate(FusionError):
    """Every candidate was rejected."""

    http_status = 503
    default_code = "no_eligible_candidate"
    scope = "operator"


class Overloaded(FusionError):
    """The server is draining or full."""

    http_status = 503
    default_code = "overloaded"
    retryable = True
    scope = "operator"


class UpstreamError(FusionError):
    """A call to a model failed; another candidate may help."""

    http_status = 502
    type = "server_error"
    default_code = "upstream_error"
    scope: ClassVar[Scope] = "candidate"


class UpstreamUnreachable(UpstreamError):
    """No connection, or it broke before a byte of the answer."""

    default_code = "upstream_unreachable"
    retryable = True
    scope = "provider"


class UpstreamTimeout(UpstreamError):
    """The upstream was silent for too long."""

    http_status = 504
    default_code = "upstream_timeout"
    scope = "provider"


class UpstreamRateLimited(UpstreamError):
    """429; `retry_after_s` holds what the upstream asked for."""

    http_status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retryable = True


class UpstreamOverloaded(UpstreamError):
    """5xx of the upstream's own."""

    default_code = "upstream_unavailable"
    retryable = True


class UpstreamBroken(UpstreamError):
    """The answer is not what the dialect promises: junk, cut, empty, too large, a redirect."""

    default_code = "upstream_broken"


class UpstreamMisfit(UpstreamError):
    """A tool call breaks the schema that the client gave: the model's slip, not an outage. No client is told of it:
    when nobody does better, the answer is passed on as it is."""

    default_code = "upstream_call_schema"


class UpstreamRejected(UpstreamError):
    """The upstream refused the request itself (4xx). Sending it again is useless, but another model may take
    it: what is refused differs between models (parameters, tool schemas, names)."""

    type = "invalid_request_error"
    default_code = "upstream_rejected"


class UpstreamWants(UpstreamRejected):
    """The model refuses a request for a thing that can be said otherwise; from then on it is.

    Attributes:
        want: `REASONING` before each answer of the history, a `SIGNATURE` on its calls, what is sealed in it left out
            (`UNSEALED`), or what must not be there; see `wire/refused.py`.
        anew: The next try says it otherwise. The same once more would be refused once more.
    """

    REASONING: ClassVar[str] = "reasoning_content"
    SIGNATURE: ClassVar[str] = "thought_signature"
    UNSEALED: ClassVar[str] = "unsealed"
    want: str = ""
    anew: bool = False


class UpstreamDenied(UpstreamError):
    """401, 402, 403: our credentials or account at the provider."""

    default_code = "upstream_denied"
    scope = "provider"


class InternalError(FusionError):
    """A defect of ours."""

    default_code = "internal_error"


def without_files(error: BaseException) -> Overloaded | None:
    """Return the error for one that says that no more files can be opened, connections among them; None for another."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        said = "This server has as many open files as it may (ulimit -n). Try again soon."
        return Overloaded(said, retry_after_s=1.0)
    return None


def cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    """Return the error for an address that cannot be had."""
    # asyncio says the address again before, and since Python 3.13 the number of the error.
    why = str(error.strerror or error).rpartition(": ")[2].rpartition("] ")[2]
    hint = {
        errno.EADDRINUSE: "is another openfusion running? Choose another port with --port",
        errno.EACCES: "choose a port from 1024 on with --port",
    }.get(error.errno or 0, "is that an address of this machine?")
    return ConfigError(f"cannot listen on {host}:{port} ({why}): {hint}")
