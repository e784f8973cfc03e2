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
    UpstreamWants,
)
from openfusion_auto.wire.jsons import BOM, JsonError, as_object, loads
from openfusion_auto.wire.overflow import CODE, is_overflow, openai_words, sentence, sizes_in
from openfusion_auto.wire.refused import refused_field
from openfusion_auto.wire.roles import refused_role
from openfusion_auto.wire.said import error_said

UNFINISHED = "The upstream's stream ended before its answer was finished."
HOLDS_ERROR = "The upstream's answer cannot be used: it holds an error"
HALF_CALL = "The upstream cut a tool call: its arguments are not JSON."
MESSAGE_LIMIT = 300  # characters of an upstream's message that may be passed on
BODY_LIMIT = 64 * 1024  # [bytes] of an error body that are read at all
RETRY_LIMIT_S = 10 * 365 * 86400.0  # longer waits are junk
GONE = "[redacted]"
REFUSALS = (400, 404, 413, 422)  # statuses that say that the request is at fault

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_HTTP_DATE = re.compile(  # RFC 9110 5.6.7, IMF-fixdate: the one form that may be sent
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT",
    re.ASCII,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")  # no digits, no hyphens: keys have them
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
# Codes and types of errors that are told with status 200 -> the status that they would have had.
_NAMED: Mapping[str, int] = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "insufficient_quota": 402,
    "permission_error": 403,
}
# As DeepSeek's and Kimi's APIs say it, and Gemini's.
_WANTS: Mapping[str, re.Pattern[str]] = {
    UpstreamWants.REASONING: re.compile(
        r"reasoning_content\b.{0,60}(?:missing|required|must (?:be|include))"
        r"|(?:missing|must include|requires?)\b.{0,60}\breasoning_content",
        re.IGNORECASE,
    ),
    # Its own reasoning, which it no longer knows: keys were changed, or another of its accounts made it.
    UpstreamWants.UNSEALED: re.compile(
        r"encrypted content\b.{0,200}could not be (?:verified|decrypted)"
        r"|invalid .{0,3}signature.{0,3} in .{0,3}thinking"
        r"|without its required .{0,3}(?:reasoning|following)\b|item with id .{0,3}rs_\w+.{0,3} not found",
        re.IGNORECASE | re.DOTALL,
    ),
    UpstreamWants.SIGNATURE: re.compile(r"missing an? .{0,3}thought_?signature", re.IGNORECASE),
}
_STATUS = re.compile(r"[45]\d\d", re.ASCII)
_AGAIN = re.compile(  # "11.054s", "250ms", "6m0s", "1h2m": as OpenAI's and Google's APIs say it
    r"\b(?:try again|retry) in (?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9}(?:\.\d{1,12})?) ?(ms|s))?",
    re.IGNORECASE,
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
        if wait_s is None:
            wait_s = _wait_in(str(_said(body).get("message") or "")[: 4 * MESSAGE_LIMIT])
        return UpstreamRateLimited("The upstream's rate limit was reached.", retry_after_s=wait_s)
    if status in (401, 402, 403):
        return UpstreamDenied(f"The upstream refused our credentials or account ({status}).")
    if status == 500 and _is_of_roles(body):
        status = 400
    if status in REFUSALS:
        return _rejected(status, body, secrets)
    if status in (408, 409, 425) or 500 <= status <= 599:
        return UpstreamOverloaded(
            f"The upstream failed ({status}).",
            status=503 if status in (503, 529) else 502,
            retry_after_s=wait_s,
        )
    return UpstreamBroken(f"The upstream answered with status {status}, which is no answer.")


def told_failure(error: object, what: str) -> FusionError:
    """Return the error that an upstream tells inside an answer of status 200: in a stream's event, or as its body.

    What a client would do something about is told as the same status would be: a prompt that is too long, a rate limit,
    a refusal of the request or of our account; so is what teaches how a model wants requests otherwise, whatever code
    stands beside it. All else is a broken answer. No word of the upstream's is passed on.

    Args:
        error: Its error object.
        what: What happened, for a broken answer's message.
    """
    found = error_said(error)
    message = _words_of(found)
    names = (found.get("code"), found.get("type"))
    if is_overflow(message, *names):
        return too_long(sentence(sizes_in(message)))
    status = next((s for name in names if (s := _status_of(name))), 0)
    if status == 429:
        return UpstreamRateLimited(
            "The upstream's rate limit was reached.", retry_after_s=_wait_in(message)
        )
    if status in (401, 402, 403):
        return UpstreamDenied(f"The upstream refused our credentials or account ({status}).")
    want = _want_of(found)
    if want is None and status not in REFUSALS:
        return UpstreamBroken(f"{what}{safe_reason(found)}")
    code = next((n for name in names if (n := identifier(name))), None)
    code = None if code is None or _STATUS.fullmatch(code) else code
    why = f"The upstream refused the request{safe_reason(found)}."
    return _refusal(want, why, status=status if status in REFUSALS else 400, code=code)


def unusable(why: str) -> UpstreamBroken:
    """Return the error for an answer that is not what its dialect promises; `why` quotes nothing of it."""
    return UpstreamBroken(f"The upstream's answer cannot be used: {why}.")


def answer_object(raw: bytes) -> tuple[bytes, Mapping[str, object]]:
    """Return an answer's body, without a byte order mark, and the object in it.

    Raises:
        UpstreamError: no JSON, no object, or an error in its place.
    """
    raw = raw.removeprefix(BOM)
    try:
        data = as_object(loads(raw))
    except JsonError as error:
        raise unusable(f"its body is not JSON ({error})") from None
    if data is None:
        raise unusable("its body is not an object")
    if data.get("error") or data.get("type") == "error":
        raise told_failure(data.get("error"), HOLDS_ERROR)
    return raw, data


def too_long(message: str) -> UpstreamRejected:
    """Return the error for a prompt that an upstream finds too long; `message` is shown to the client."""
    return UpstreamRejected(message, status=400, code=CODE, param="messages")


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


def _status_of(name: object) -> int:
    """Return the HTTP status that an error's code or type stands for; 0 for one that says nothing."""
    if isinstance(name, str):
        return int(name) if _STATUS.fullmatch(name) else _NAMED.get(name, 0)
    return name if isinstance(name, int) and not isinstance(name, bool) else 0


def _wait_in(message: str) -> float | None:
    """Return how long a rate limit's message says to wait [s]; None where it does not say."""
    found = _AGAIN.search(message)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, unit = found.groups()
    wait_s = int(hours or 0) * 3600.0 + int(minutes or 0) * 60
    wait_s += float(seconds or 0) / (1000.0 if unit and unit.lower() == "ms" else 1.0)
    return wait_s if wait_s <= RETRY_LIMIT_S else None


def _is_of_roles(body: bytes) -> bool:
    """Whether a failure is a template's that does not take the roles of the messages: llama.cpp's status is 500."""
    message = _said(body).get("message")
    return isinstance(message, str) and refused_role(message) is not None


def _rejected(status: int, body: bytes, secrets: Sequence[str]) -> FusionError:
    said = _said(body)
    raw_message = said.get("message")
    message = sanitise(raw_message, secrets) if isinstance(raw_message, str) else ""
    code = identifier(said.get("code"))
    if is_overflow(message, code, said.get("type")):
        return too_long(openai_words(message))
    want = _want_of(said)
    if want is None and (status == 404 or code == "model_not_found"):
        return UpstreamRejected(
            "The upstream does not serve this model." + (f" It said: {message}" if message else ""),
            status=404,
            code="model_not_found",
            param="model",
        )
    message = message or f"The upstream refused the request ({status}) without a reason."
    return _refusal(want, message, status=status, code=code, param=_param(said.get("param")))


def _words_of(said: Mapping[str, object]) -> str:
    """Return as much of what an upstream said as is looked at."""
    message = said.get("message")
    return message[: 4 * MESSAGE_LIMIT] if isinstance(message, str) else ""


def _want_of(said: Mapping[str, object]) -> str | None:
    """Return how a model wants the request otherwise; None when it refuses something else."""
    words = _words_of(said)
    return next((w for w, form in _WANTS.items() if form.search(words)), refused_field(said))


def _refusal(
    want: str | None, message: str, *, status: int, code: str | None, param: str | None = None
) -> UpstreamRejected:
    """Return the error for a refused request, with what the model wants otherwise, if that is known."""
    if want is None:
        return UpstreamRejected(message, status=status, code=code, param=param)
    error = UpstreamWants(message, status=status, code=code, param=param)
    error.want = want
    return error


def _said(body: bytes) -> Mapping[str, object]:
    """Return what an error body says, from the shapes in use; {} for anything else."""
    try:
        return error_said(loads(body[:BODY_LIMIT]))
    except JsonError:
        return {}


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
