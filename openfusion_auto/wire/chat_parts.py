"""Parts of chat messages that are not plain text: pictures, sounds, files, reasoning. JSON to the hub and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openfusion_auto.core.prompt import Part, PartKind
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import members, string
from openfusion_auto.wire.jsons import as_object, dumps

REASONING = ("reasoning_content", "reasoning")
DETAILS = "reasoning_details"
_ADDRESSES = ("url", "image_url", "file_url", "file_data")
# Characters of a media type; RFC 6838 allows 127 + 1 + 127, real ones stay below 80.
_MEDIA_LIMIT = 100
# Sound formats of the API -> the subtype registered for them; others are named as they are.
_SOUNDS: Mapping[str, str] = {"mp3": "mpeg"}
_FORMATS: Mapping[str, str] = {
    "mpeg": "mp3",
    "mp3": "mp3",
    "wav": "wav",
    "x-wav": "wav",
    "wave": "wav",
}


def read_attachment(at: str, kind: PartKind, form: str, part: Mapping[str, object]) -> Part:
    """Return a picture, sound, file or unknown part; `size` is what it carries in line [bytes, about].

    Args:
        at: Its place, for a refusal.
        kind: What it is.
        form: Its `type`.
        part: As the client sent it.

    Raises:
        BadRequest: an `image_url` without an address.
    """
    if form == "image_url":
        image = members(f"{at}.image_url", part.get("image_url"))
        url = string(f"{at}.image_url.url", image.get("url"))
        return Part(kind, size=len(url), url=url, media=media_of(url), raw=part)
    held = part.get(form, part)
    inside: Mapping[str, object] = held if isinstance(held, dict) else {"url": held}
    source = as_object(inside.get("source")) or inside
    size = max((len(v) for v in source.values() if isinstance(v, str)), default=0)
    url = _address(source)
    return Part(kind, size=size, url=url, media=media_of(url), raw=part)


def media_of(url: str) -> str:
    """Return the media type that a `data:` URL names, else ""."""
    if not url.startswith("data:"):
        return ""
    head = url[5 : 5 + _MEDIA_LIMIT]
    return head.partition(",")[0].partition(";")[0]


def read_reasoning(item: Mapping[str, object]) -> Part | None:
    """Return an assistant's reasoning, whichever fields it stands in; None when there is none.

    `opaque` is `reasoning_details` as JSON: signatures and encrypted blocks that only their maker can read.
    """
    found: dict[str, object] = {}
    text = ""
    for field in REASONING:
        value = item.get(field)
        if isinstance(value, str) and value:
            found[field] = value
            text = text or value
    details = item.get(DETAILS)
    if not isinstance(details, list) or not details:
        return Part("reasoning", text, raw=found) if found else None
    opaque = dumps(details).decode()
    text = text or "".join(_readable(as_object(detail) or {}) for detail in details)
    found[DETAILS] = details
    return Part("reasoning", text, size=len(opaque), opaque=opaque, raw=found)


def thought_of(value: object) -> str:
    """Return the text of what a thinking part holds: a text, or a list of parts, as Mistral has it."""
    if isinstance(value, list):
        return "".join(_readable(as_object(part) or {}) for part in value)
    return value if isinstance(value, str) else ""


def render_content(parts: Sequence[Part], at: str) -> object:
    """Return a message's content: text as one string, which every server takes; a list only where there is more.

    Reasoning is no content and left out.

    Raises:
        BadRequest: a part that chat cannot hold and that the answer may depend on, named by `at`.
    """
    said = [part for part in parts if part.kind != "reasoning"]
    if all(part.kind in ("text", "refusal") for part in said):
        return "\n".join(part.text for part in said)
    return [_render(part, at) for part in said]


def file_name(part: Part) -> str:
    """Return the name of a file of any dialect; one by its kind where it has none."""
    raw = part.raw or {}
    held = as_object(raw.get("file")) or raw
    name = held.get("filename") or held.get("title")
    if isinstance(name, str) and name:
        return name
    return "document.pdf" if part.media == "application/pdf" else "file"


def _render(part: Part, at: str) -> dict[str, object]:
    if part.kind in ("text", "refusal") or (not part.url and part.text):
        return {"type": "text", "text": part.text}
    if part.kind == "image" and part.url:
        image: dict[str, object] = {"url": part.url}
        detail = (part.raw or {}).get("detail")
        if detail in ("auto", "low", "high"):
            image["detail"] = detail
        return {"type": "image_url", "image_url": image}
    head, _, data = part.url.partition(";base64,")
    sound = _FORMATS.get(head.removeprefix("data:audio/"))
    if part.kind == "audio" and data and sound:
        return {"type": "input_audio", "input_audio": {"data": data, "format": sound}}
    if part.kind == "file" and part.url.startswith("data:"):
        return {"type": "file", "file": {"filename": file_name(part), "file_data": part.url}}
    what = {"image": "An image", "audio": "A sound", "file": "A file"}.get(part.kind, "A part")
    raise BadRequest(
        f"{what} in {at} is given in a form that the chosen model's API cannot take"
        " (an id, an address, or a format of its own); send its data in line.",
        param=at,
        code="unsupported_content",
    )


def _address(source: Mapping[str, object]) -> str:
    """Return the address of what `source` holds: one that it names, or a `data:` URL of what it carries."""
    for field in _ADDRESSES:
        value = source.get(field)
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str) and value:
            return value if field != "file_data" or ":" in value[:8] else _file_data(source, value)
    data = source.get("data")
    if not isinstance(data, str) or not data:
        return ""
    media, form = source.get("media_type"), source.get("format")
    if isinstance(media, str):
        return f"data:{media};base64,{data}"
    return f"data:audio/{_SOUNDS.get(form, form)};base64,{data}" if isinstance(form, str) else ""


def _file_data(source: Mapping[str, object], data: str) -> str:
    """Return bare base64 as a `data:` URL; PDF is the one kind of file that models read as such."""
    name = source.get("filename")
    is_pdf = isinstance(name, str) and name.lower().endswith(".pdf")
    return f"data:application/{'pdf' if is_pdf else 'octet-stream'};base64,{data}"


def _readable(detail: Mapping[str, object]) -> str:
    text = detail.get("text") or detail.get("summary")
    return text if isinstance(text, str) else ""
