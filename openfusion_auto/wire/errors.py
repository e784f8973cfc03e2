"""Errors on the wire: ours in OpenAI's shape, an upstream's refusal as ours.

What an upstream says about a failure may hold its key, its host or HTML. It reaches a client only where agents
act on the words (a refused request, foremost a prompt that is too long), cut and cleaned by `sanitise`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from openfusion_auto.errors import (
    FusionError,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from openfusion_auto.wire.jsons import JsonError, as_object, loads

MESSAGE_LIMIT = 300  # characters of an upstream's message that may be passed on
BODY_LIMIT = 64 * 1024  # [bytes] of an error body that are read at all
RETRY_LIMIT_S = 10 * 365 * 86400.0  # longer waits are junk
GONE = "[redacted]"

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_HTTP_DATE = re.compile(  # RFC 9110 5.6.7, IMF-fixdate: the one form that may be sent
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT",
    re.ASCII,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")  # no digits, no hyphens: keys have them
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"context (?:length|window|size)|prompt is too long|input is too long|too many (?:input )?tokens"
    r"|maximum (?:number of )?(?:input |prompt )?tokens|reduce the length",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"\d[\d,]{2,12}", re.ASCII)
_SECRET_LIKE = re.compile(
    r"""
    [a-z][a-z0-9+.-]{0,15}://[^\s"'<>)]+                            # a URL of any scheme
    | \bwww\.[^\s"'<>)]+
    | \bbearer\s+[^\s"',]+                                      # credentials as sent in a header
    | \b(?:api[-_ ]?key|token|secret|password|authorization)["']?\s*[:=]\s*["']?[^\s"',]+
    | \b(?:sk|pk|rk|gsk|hf|xai|ghp|gho|github_pat|xox[a-z]|key|tok)[-_][\w*.-]{6,}
    | \bAIza[\w-]{10,}
    | \beyJ[\w-]{8,}\.[\w.-]+                                   # a JSON web token
    | \b(?=[\w+/-]*\d)(?=[\w+/-]*[a-z])[\w+/-]{32,}={0,2}       # any long mixed word
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b                      # an address
    | \[[0-9a-f:]*:[0-9a-f:.]*\](?::\d+)?
    | \blocalhost(?::\d+)?\b
    | \b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.
      (?:com|net|org|io|ai|dev|app|cloud|co|eu|de|cn|local|internal|lan|home|corp|test|example|invalid)\b(?::\d+)?
    | \b[a-z0-9-]+(?:\.[a-z0-9-]+)+:\d{2,5}\b                   # host:port
    | <[a-z!/][^>]*>                                            # a tag
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def openai_error(error: FusionError) -> dict[str, object]:
    """Return the error as OpenAI's API shows one: `{"error": {message, type, param, code}}`."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def upstream_failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now_s: float,
    *,
    secrets: Sequence[str] = (),
) -> FusionError:
    """Return the error that an upstream's answer other than 200 stands for.

    Args:
        status: HTTP status.
        headers: The answer's headers, names in any case.
        body: The body, or its beginning.
        now_s: Wall clock [s since 1970], for `Retry-After` dates.
        secrets: Strings that must not be passed on (keys, hosts).
    """
    wait_s = parse_retry_after(headers, now_s)
    if status == 429:
        return UpstreamRateLimited("The upstream's rate limit was reached.", retry_after_s=wait_s)
    if status in (401, 402, 403):
        return UpstreamDenied(f"The upstream refused our credentials or account ({status}).")
    if status in (408, 409, 425) or 500 <= status <= 599:
        return UpstreamOverloaded(
            f"The upstream failed ({status}).",
            status=503 if status in (503, 529) else 502,
            retry_after_s=wait_s,
        )
    if status in (400, 404, 413, 422):
        return _rejected(status, body, secrets)
    return UpstreamBroken(f"The upstream answered with status {status}, which is no answer.")


def parse_retry_after(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return how long to wait [s], from `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None for junk.

    A date in the past means 0.0. Source: RFC 9110 10.2.3; the millisecond header is OpenAI's.
    """
    low = {name.lower(): value.strip() for name, value in headers.items()}
    wait_s = _seconds(low.get("retry-after-ms", ""), 1000.0)
    if wait_s is None:
        after = low.get("retry-after", "")
        wait_s = _seconds(after, 1.0)
        if wait_s is None:
            wait_s = _until(after, now_s)
    return wait_s if wait_s is not None and wait_s <= RETRY_LIMIT_S else None


def sanitise(text: str, secrets: Sequence[str] = ()) -> str:
    """Return `text` on one line, without secrets, keys, addresses or tags, at most `MESSAGE_LIMIT` characters.

    Args:
        text: What an upstream said.
        secrets: Exact strings to remove; a piece that shares eight characters with an end of one goes too.
    """
    if len(text) > 4 * MESSAGE_LIMIT:
        # At a space: half a key would not look like one.
        text = text[: 4 * MESSAGE_LIMIT].rpartition(" ")[0]
    text = _CONTROL.sub(" ", text)
    for secret in filter(None, secrets):
        text = text.replace(secret, GONE)
        if len(secret) >= 12:
            head, tail = re.escape(secret[:8]), re.escape(secret[-8:])
            text = re.sub(rf"{head}[^\s\"',]*|[^\s\"',]*{tail}", GONE, text)
    text = " ".join(_SECRET_LIKE.sub(GONE, text).split())
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def identifier(value: object) -> str | None:
    """Return an error code or type that is safe to show: a short word, or an HTTP status; else None."""
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
        return str(value)
    return None


def safe_reason(error: object) -> str:
    """Return ` (code)` for an upstream's error object, when it has a code or type that can be shown, else ""."""
    found = as_object(error) or {}
    name = identifier(found.get("code")) or identifier(found.get("type"))
    return f" ({name})" if name else ""


def _rejected(status: int, body: bytes, secrets: Sequence[str]) -> FusionError:
    said = _said(body)
    raw_message = said.get("message")
    message = sanitise(raw_message, secrets) if isinstance(raw_message, str) else ""
    code = identifier(said.get("code"))
    if (
        code in _CONTEXT_CODES
        or said.get("type") in _CONTEXT_CODES
        or _CONTEXT_WORDS.search(message)
    ):
        return UpstreamRejected(
            _context_message(message), status=400, code="context_length_exceeded", param="messages"
        )
    if status == 404 or code == "model_not_found":
        return UpstreamRejected(
            "The upstream does not serve this model." + (f" It said: {message}" if message else ""),
            status=404,
            code="model_not_found",
            param="model",
        )
    return UpstreamRejected(
        message or f"The upstream refused the request ({status}) without a reason.",
        status=status,
        code=code,
        param=_param(said.get("param")),
    )


def _context_message(message: str) -> str:
    """Return a message that agents recognise: they look for the words, and for the numbers in them."""
    if "maximum context length" in message.lower():
        return message
    numbers = sorted({int(n.replace(",", "")) for n in _TOKENS.findall(message)})
    if len(numbers) >= 2:
        words = (
            f"This model's maximum context length is {numbers[0]} tokens. "
            f"However, your messages resulted in {numbers[-1]} tokens."
        )
    else:
        words = (
            "This model's maximum context length is exceeded by the messages. Reduce their length."
        )
    return f"{words} The upstream said: {message}" if message else words


def _said(body: bytes) -> Mapping[str, object]:
    """Return what an error body says, from the shapes in use; {} for anything else."""
    try:
        found = as_object(loads(body[:BODY_LIMIT]))
    except JsonError:
        return {}
    if found is None:
        return {}
    error = found.get("error")
    if isinstance(error, str):
        return {"message": error}
    inner = as_object(error)
    if inner is not None:
        return inner
    return found if found.get("object") == "error" or found.get("type") == "error" else {}


def _param(value: object) -> str | None:
    return (
        value if isinstance(value, str) and re.fullmatch(r"[a-z_][\w.\[\]]{0,79}", value) else None
    )


def _seconds(text: str, per_s: float) -> float | None:
    return float(text) / per_s if len(text) < 20 and _NUMBER.fullmatch(text) else None


def _until(text: str, now_s: float) -> float | None:
    found = _HTTP_DATE.fullmatch(text)
    if found is None:
        return None
    day, month, year, hour, minute, second = found.groups()
    try:
        at = datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return max(0.0, at.timestamp() - now_s)
