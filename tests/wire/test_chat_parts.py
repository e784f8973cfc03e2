from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Part
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_messages import read_messages
from openfusion_auto.wire.chat_parts import media_of, read_reasoning, render_content

PNG = "data:image/png;base64,AA=="
PDF = "data:application/pdf;base64,AA=="


def read(part: dict[str, object]) -> Part:
    (message,) = read_messages([{"role": "user", "content": [part]}])
    return message.parts[0]


@pytest.mark.parametrize(
    ("part", "kind", "url", "media"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}, "image", "https://x.test/a.png", ""),
        ({"type": "input_image", "image_url": PNG}, "image", PNG, "image/png"),
        ({"type": "input_image", "image_url": {"url": PNG}}, "image", PNG, "image/png"),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}, "image", PNG, "image/png"),
        ({"type": "image", "source": {"type": "url", "url": "https://x.test/a"}}, "image", "https://x.test/a", ""),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}, "audio", "data:audio/mpeg;base64,AA==", "audio/mpeg"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": 5}}, "audio", "", ""),
        ({"type": "audio_url", "audio_url": {"url": "https://x.test/s"}}, "audio", "https://x.test/s", ""),
        ({"type": "file", "file": {"filename": "a.PDF", "file_data": "AA=="}}, "file", PDF, "application/pdf"),
        ({"type": "file", "file": {"file_data": PDF}}, "file", PDF, "application/pdf"),
        ({"type": "file", "file": {"file_id": "f1"}}, "file", "", ""),
        ({"type": "input_file", "file_url": "https://x.test/f"}, "file", "https://x.test/f", ""),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}}, "file", PDF, "application/pdf"),
        ({"type": "video_url", "video_url": "https://x.test/v"}, "other", "https://x.test/v", ""),
    ],
)  # fmt: skip
def test_where_a_part_is_or_what_it_carries_is_its_url(part, kind, url, media):
    found = read(part)
    assert (found.kind, found.url, found.media, found.raw) == (kind, url, media, part)


@pytest.mark.parametrize(
    ("url", "media"), [("data:,x", ""), ("data:text/plain,x", "text/plain"), ("https://x", "")]
)
def test_a_media_type_is_what_the_url_names(url, media):
    assert media_of(url) == media


def test_text_alone_is_one_string():
    parts = (Part("text", "a"), Part("reasoning", "hm"), Part("refusal", "b"))
    assert render_content(parts, "x") == "a\nb"
    assert render_content((), "x") == ""


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        {"type": "file", "file": {"filename": "b.txt", "file_data": "data:text/plain;base64,AA=="}},
    ],
)
def test_what_chat_can_hold_comes_back_as_it_was(part):
    assert render_content((Part("text", "see"), read(part)), "x") == [
        {"type": "text", "text": "see"},
        part,
    ]


def test_details_of_a_picture_and_names_of_files_go_along():
    low = Part("image", url=PNG, raw={"type": "input_image", "detail": "low"})
    odd = Part("image", url=PNG, raw={"detail": "original"})
    named = Part("file", url=PDF, media="application/pdf", raw={"title": "T"})
    bare = [Part("file", url=PDF, media="application/pdf"), Part("file", url="data:text/x,y")]
    content = render_content((low, odd, named, *bare), "x")
    assert [item["image_url"] for item in content[:2]] == [
        {"url": PNG, "detail": "low"},
        {"url": PNG},
    ]
    assert [item["file"]["filename"] for item in content[2:]] == ["T", "document.pdf", "file"]


def test_a_document_that_is_text_is_written_as_text():
    (item,) = render_content((Part("file", "the text"),), "x")
    assert item == {"type": "text", "text": "the text"}


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Part("image"), "An image"),
        (Part("audio", url="https://x.test/s"), "A sound"),
        (Part("audio", url="data:audio/ogg;base64,AA=="), "A sound"),
        (Part("file", url="https://x.test/f"), "A file"),
        (Part("other", url="https://x.test/v"), "A part"),
    ],
)
def test_what_chat_cannot_hold_is_refused_by_its_place(part, word):
    with pytest.raises(BadRequest, match=f"{word} in messages.3. is given") as caught:
        render_content((part,), "messages[3]")
    assert (caught.value.param, caught.value.code) == ("messages[3]", "unsupported_content")
    assert "x.test" not in caught.value.message


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"reasoning_content": "a", "reasoning": "b"}, "a"),
        ({"reasoning_content": "", "reasoning": "b"}, "b"),
        ({"reasoning_details": [{"text": "c"}, {"summary": "d"}, {"data": "x"}, 5]}, "cd"),
        ({"reasoning": "b", "reasoning_details": [{"text": "c", "signature": "s"}]}, "b"),
    ],
)
def test_reasoning_is_read_whichever_field_it_stands_in(item, text):
    part = read_reasoning(item)
    assert part is not None
    assert part.text == text
    details = item.get("reasoning_details")
    assert (json.loads(part.opaque) if part.opaque else None) == details
    assert part.raw == {k: v for k, v in item.items() if v}


@pytest.mark.parametrize(
    "item", [{}, {"reasoning": None, "reasoning_details": []}, {"reasoning": 5, "reasoning_details": {}}]
)  # fmt: skip
def test_no_reasoning_is_no_part(item):
    assert read_reasoning(item) is None


@given(
    st.dictionaries(
        st.sampled_from(["type", "image_url", "file", "source", "data", "url", "format", "file_data", "filename", "media_type", "input_audio"]),
        st.text(max_size=3) | st.integers() | st.dictionaries(st.sampled_from(["url", "data", "format", "file_data"]), st.text(max_size=9)),
    ),
    st.sampled_from(["input_audio", "file", "image", "document", "video_url", "input_image", "audio_url"]),
)  # fmt: skip
def test_any_attachment_is_read_with_a_weight(part, form):
    found = read({**part, "type": form})
    assert found.size >= 0
    assert found.raw == {**part, "type": form}
