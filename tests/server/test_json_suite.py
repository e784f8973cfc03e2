"""Tricky JSON and tricky text: refused when it is none, and else unchanged, byte for byte, all the way and back.

The names of the documents follow a custom of JSON test suites: `y_` must be read, `n_` must be refused, for `i_` both
are right. Sources: RFC 8259 and the known weak spots of parsers.
"""

import json
from pathlib import Path

import pytest
import pytest_asyncio

from tests.server.live import GOOD, check_alive, check_refusal, send, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = json.dumps(GOOD).encode()
NAUGHTY = json.loads((Path(__file__).parent / "data" / "naughty_strings.json").read_text("utf-8"))

DOCUMENTS = {
    # -- arrays and objects
    "y_array_empty": b"[]",
    "y_array_of_arrays": b"[[],[[]],[[],[]]]",
    "y_array_ending_with_newline": b'["a"]\n',
    "y_array_heterogeneous": b'[null, 1, "1", {}]',
    "y_array_with_leading_space": b" [1]",
    "y_array_with_all_spaces": b"[\t1\r\n,\n2 \t]",
    "y_array_nested_100": b"[" * 100 + b"]" * 100,
    "y_object_empty": b"{}",
    "y_object_empty_key": b'{"":0}',
    "y_object_duplicated_key": b'{"a":"b","a":"c"}',
    "y_object_duplicated_key_and_value": b'{"a":"b","a":"b"}',
    "y_object_escaped_key": rb'{"foo\u0000bar": 42}',
    "y_object_escaped_twin_keys": rb'{"a": 1, "\u0061": 2}',
    "y_object_with_newlines": b'{\n"a": "b"\n}',
    "y_object_long_strings": b'{"x":[{"id": "' + b"x" * 400 + b'"}], "id": "' + b"x" * 400 + b'"}',
    "y_object_model_inside": b'{"model": "other", "openfusion": {"x": 1}}',
    "n_array_unclosed": b"[1",
    "n_array_unclosed_comma": b"[1,",
    "n_array_extra_close": b"[1]]",
    "n_array_wrong_close": b"[1}",
    "n_array_comma_only": b"[,]",
    "n_array_leading_comma": b"[,1]",
    "n_array_trailing_comma": b"[1,]",
    "n_array_two_commas": b"[1,,2]",
    "n_array_colon_instead_of_comma": b'["a": 1]',
    "n_array_no_comma": b"[1 2]",
    "n_array_bare_star": b"[*]",
    "n_array_vertical_tab": b"[\x0b1]",
    "n_array_form_feed": b"[1\x0c]",
    "n_array_newlines_unclosed": b'["a",\n4\n,1,',
    "n_object_trailing_comma": b'{"a": 1,}',
    "n_object_two_commas": b'{"a": 1,,"b": 2}',
    "n_object_no_colon": b'{"a" 1}',
    "n_object_two_colons": b'{"a"::1}',
    "n_object_comma_instead_of_colon": b'{"a", 1}',
    "n_object_missing_value": b'{"a":}',
    "n_object_missing_key": b"{:1}",
    "n_object_single_quotes": b"{'a': 1}",
    "n_object_unquoted_key": b"{a: 1}",
    "n_object_number_key": b"{1: 1}",
    "n_object_null_key": b"{null: 1}",
    "n_object_unclosed": b'{"a": 1',
    "n_object_unclosed_at_colon": b'{"a":',
    "n_object_garbage_at_end": b'{"a": 1 x}',
    "n_object_semicolon": b'{"a": 1; "b": 2}',
    "n_object_nbsp": b'{"a":\xc2\xa01}',
    # -- numbers
    "y_number_zero": b"0",
    "y_number_minus_zero": b"-0",
    "y_number_minus_zero_point": b"-0.0",
    "y_number_exponent": b"1E+2",
    "y_number_exponent_zero": b"0e+1",
    "y_number_small": b"1e-400",
    "y_number_real": b"123.456e-7",
    "y_number_beyond_2_53": b"9007199254740993",
    "y_number_beyond_64_bits": b"123456789012345678901234567890",
    "y_number_many_digits_behind_the_point": b"0." + b"1" * 300,
    "y_number_after_space": b" 4",
    "n_number_plus": b"+1",
    "n_number_plus_inf": b"+Inf",
    "n_number_nan": b"NaN",
    "n_number_minus_nan": b"-NaN",
    "n_number_infinity": b"Infinity",
    "n_number_minus_infinity": b"-Infinity",
    "n_number_leading_zero": b"012",
    "n_number_minus_leading_zero": b"-012",
    "n_number_no_int": b".5",
    "n_number_minus_no_int": b"-.5",
    "n_number_no_fraction": b"1.",
    "n_number_no_fraction_exponent": b"1.e1",
    "n_number_two_points": b"1.2.3",
    "n_number_exponent_empty": b"1e",
    "n_number_exponent_sign_only": b"1e+",
    "n_number_exponent_point": b"1e1.5",
    "n_number_two_exponents": b"1ee2",
    "n_number_minus_only": b"-",
    "n_number_two_minuses": b"--1",
    "n_number_minus_space": b"- 1",
    "n_number_hex": b"0x1F",
    "n_number_octal": b"0o17",
    "n_number_underscore": b"1_000",
    "n_number_comma": b"1,000",
    "n_number_suffix": b"1L",
    "n_number_letters": b"12ab",
    "n_number_full_width": "１２".encode(),
    "n_number_arabic_digits": "١٢".encode(),
    "n_number_space_inside": b"1 000",
    "n_number_huge_exponent": b"1e999999999",
    "n_number_minus_huge_exponent": b"-1e+400",
    "i_number_500_digits": b"7" * 500,
    "n_number_100k_digits": b"7" * 100_000,
    # -- strings
    "y_string_empty": b'""',
    "y_string_escapes": rb'"\"\\\/\b\f\n\r\t"',
    "y_string_escaped_slash_and_quote": rb'"\\u0041 \" \\"',
    "y_string_surrogate_pair": rb'"\ud83d\ude80"',
    "y_string_nul_escape": rb'"\u0000"',
    "y_string_noncharacter": '"\uffff\ufdd0\U0010ffff"'.encode(),
    "y_string_separators": '"\u2028\u2029"'.encode(),
    "y_string_del": b'"\x7f"',
    "y_string_upper_and_lower_hex": rb'"\uABCD\uabcd"',
    "y_string_utf8": '"€𝄞 ́é"'.encode(),
    "y_string_bom_inside": '"\ufeff"'.encode(),
    "y_string_c1_controls": '"\x80\x9f"'.encode(),
    "n_string_unclosed": b'"a',
    "n_string_lone_quote": b'"',
    "n_string_single_quotes": b"'a'",
    "n_string_no_quotes": b"abc",
    "n_string_bad_escape": rb'"\x00"',
    "n_string_escape_a": rb'"\a"',
    "n_string_escaped_emoji": '"\\🌀"'.encode(),
    "n_string_backslash_at_end": b'"\\',
    "n_string_escaped_quote_at_end": b'"\\"',
    "n_string_short_unicode_escape": rb'"\u00A"',
    "n_string_bad_hex": rb'"\u00G0"',
    "n_string_unicode_escape_signed": rb'"\u+123"',
    "n_string_unicode_escape_spaced": rb'"\u 123"',
    "n_string_unicode_escape_underscored": rb'"\u1_23"',
    "n_string_upper_u": rb'"\U0001F600"',
    "n_string_raw_newline": b'"a\nb"',
    "n_string_raw_tab": b'"a\tb"',
    "n_string_raw_nul": b'"a\x00b"',
    "n_string_raw_escape_char": b'"a\x1bb"',
    "n_string_invalid_utf8": b'"\xff"',
    "n_string_lone_continuation": b'"\x81"',
    "n_string_truncated_utf8": b'"\xe2\x82"',
    "n_string_overlong_utf8": b'"\xc0\xaf"',
    "n_string_overlong_nul": b'"\xc0\x80"',
    "n_string_surrogate_in_utf8": b'"\xed\xa0\x80"',
    "n_string_beyond_unicode": b'"\xf4\x90\x80\x80"',
    "n_string_latin1": b'"\xe9"',
    "n_string_after_value": b'"a" x',
    "i_string_lone_high_surrogate": rb'"\ud800"',
    "i_string_lone_low_surrogate": rb'"\udc00"',
    "i_string_inverted_surrogates": rb'"\ude80\ud83d"',
    "i_string_two_high_surrogates": rb'"\ud800\ud800"',
    # -- literals and the whole text
    "y_literal_true": b"true",
    "y_literal_false": b"false",
    "y_literal_null": b"null",
    "n_literal_capital": b"True",
    "n_literal_cut": b"nul",
    "n_literal_undefined": b"undefined",
    "n_literal_none": b"None",
    "n_empty": b"",
    "n_only_space": b" ",
    "n_two_values": b"[] []",
    "n_comment_block": b"/**/ 1",
    "n_comment_line": b"1 // one\n",
    "n_comment_hash": b"1 # one\n",
    "n_byte_order_mark_of_utf16": b"\xff\xfe[\x00]\x00",
    "n_html": b"<html>",
    "n_xml": b'<?xml version="1.0"?>',
    "n_yaml": b"- a\n- b",
    "n_nul": b"\x00",
    "n_word_joiner": b"[\xe2\x81\xa0]",
    "n_javascript": b"[1,new Date()]",
    "n_template": b"${1}",
    "n_assignment": b"a = 1",
    "i_nested_300": b"[" * 300 + b"]" * 300,
    "n_nested_5000_open": b"[" * 5000,
    "n_nested_5000_open_objects": b'{"":' * 5000,
    "n_nested_50000_closed": b"[" * 50_000 + b"]" * 50_000,
}  # fmt: skip
IDS = [pytest.param(name, id=name) for name in DOCUMENTS]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("json")) as running:
        yield running
        await check_alive(running)


def within(document):
    """Return the good request with a document as the value of a member that nobody knows."""
    return b'{"x_unknown": ' + document + b", " + TEXT[1:]


@pytest.mark.parametrize("name", IDS)
async def test_a_document_alone_is_no_request(router, name):
    reply = await send(router, DOCUMENTS[name])
    assert reply.status == 400
    check_refusal(reply)
    if name.startswith("n_"):
        assert reply.error["code"] == "invalid_json"


@pytest.mark.parametrize("name", IDS)
async def test_a_document_inside_a_request_passes_unchanged_or_is_refused(router, name):
    raw, before = within(DOCUMENTS[name]), len(router.up.requests)
    reply = await send(router, raw)
    accepted = {"y": {200}, "n": {400}, "i": {200, 400}}[name[0]]
    assert reply.status in accepted
    if reply.status == 200:
        assert reply.text == "fine"
        assert router.up.requests[-1].raw == raw.replace(b"openfusion/auto", b"vendor/coder-a")
    else:
        check_refusal(reply, code="invalid_json")
        assert len(router.up.requests) == before


@pytest.mark.parametrize("name", [n for n in DOCUMENTS if n.startswith(("y_", "i_"))])
async def test_a_document_in_a_tools_schema_is_read_as_what_it_is(router, name):
    """A schema must be an object; whatever else stands there is refused by that field's name."""
    tools = (
        b'"tools": [{"type": "function", "function": {"name": "f", "parameters": '
        + DOCUMENTS[name]
        + b"}}], "
    )
    reply = await send(router, b"{" + tools + TEXT[1:])
    if reply.status == 200:
        assert isinstance(json.loads(DOCUMENTS[name]), dict | None)
    else:
        assert reply.status == 400
        assert reply.error["param"] in ("tools[0].function.parameters", None)
        check_refusal(reply)


# -- text ------------------------------------------------------------------------------------------------------------


def asking(text, **more):
    """Return a request whose prompt is the text, and which the upstream answers with the text."""
    return {**GOOD, "messages": [{"role": "user", "content": f"[[say:{text}]]"}], **more}


NAUGHTY_IDS = [pytest.param(text, id=f"{n}-{ascii(text)[1:25]}") for n, text in enumerate(NAUGHTY)]


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("text", NAUGHTY_IDS)
async def test_naughty_text_goes_up_and_comes_back_as_it_is(router, text, escaped):
    raw = json.dumps(asking(text), ensure_ascii=escaped).encode()
    reply = await send(router, raw)
    assert reply.status == 200
    assert reply.text == text
    assert router.up.requests[-1].body["messages"] == asking(text)["messages"]
    assert router.up.requests[-1].raw == raw.replace(b'"openfusion/auto"', b'"vendor/coder-a"')


@pytest.mark.parametrize("text", NAUGHTY_IDS)
async def test_naughty_text_streams_back_as_it_is(router, text):
    reply = await send(router, asking(text, stream=True))
    assert reply.status == 200
    # Only LF ends a line here: the text may hold characters that look like line ends.
    data = [line[6:] for line in reply.raw.split(b"\n") if line.startswith(b"data: ")]
    assert data.pop() == b"[DONE]"
    deltas = [choice["delta"] for event in data for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == text


@pytest.mark.parametrize("text", NAUGHTY_IDS)
async def test_naughty_text_is_no_models_name(router, text):
    before = len(router.up.requests)
    reply = await send(router, {**GOOD, "model": text})
    assert reply.status in (400, 404)
    check_refusal(reply)
    assert reply.error["param"] == "model"
    assert reply.error["message"].isprintable()
    assert len(router.up.requests) == before


@pytest.mark.parametrize("text", NAUGHTY_IDS)
async def test_naughty_text_in_other_fields_harms_nothing(router, text):
    """Names, ids and options: whatever stands there, it is served or refused in our shape."""
    body = asking(
        "fine",
        user=text,
        stop=[text],
        metadata={text: text},
        tools=[{"type": "function", "function": {"name": text or "f", "description": text}}],
    )
    reply = await send(router, body)
    assert reply.status in (200, 400)
    if reply.status == 400:
        check_refusal(reply)
        assert reply.error["message"].isprintable()
    option = await send(router, asking("fine", openfusion={"session": text, "judge": text}))
    assert option.status == 400
    check_refusal(option)
    assert option.error["message"].isprintable()
