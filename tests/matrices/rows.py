"""The three matrices: every id with what it is, the row it stands in, and the tests that play it.

A test is named by its node id up to the bracket. `Where.each`: of its parameters only those that carry the id count
(`A01-empty`, `F12-stream`, `whole-R01`); else all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.faulty import FAULTS


@dataclass(frozen=True)
class Where:
    """A test that plays an id."""

    test: str
    each: bool = False


@dataclass(frozen=True)
class Row:
    """One id of a matrix.

    Attributes:
        matrix: `fault`, `input` or `security`.
        n: The row of the matrix that it stands in.
        what: In words.
    """

    matrix: str
    n: int
    id: str
    what: str
    tests: tuple[Where, ...]

    @property
    def forms(self) -> bool:
        """Whether it is played in each dialect, streamed and whole."""
        return self.matrix == "fault" and self.id in FAULTS


def each(*tests: str) -> tuple[Where, ...]:
    """Return tests of which the parameters name the id."""
    return tuple(Where(f"tests/{test}", each=True) for test in tests)


def all_of(*tests: str) -> tuple[Where, ...]:
    """Return tests that play one id, whatever their parameters."""
    return tuple(Where(f"tests/{test}") for test in tests)


# -- 1: faults between router and upstream ----------------------------------------------------------------------------

FAULT_ROWS = {
    1: "F01 F02 F03 F05 F06",
    2: "F04 F07",
    3: "F10",
    4: "F11 F16 F17",
    5: "F12 F13 F14",
    6: "F15 F18",
    7: "F19",
    8: "F20 F21 F22",
    9: "F23 F24",
    10: "F25 F26 F27",
    11: "F28 F29 F30",
    12: "F31 F32 F33 F34 F35 F36 F37 F38 F39 F40 F41 F42 F43",
    13: "F45 F46 F47 F48 F49 F50 F51 F52 F53 F54 F55 F56 F57",
    14: "F58 F59",
    15: "F60 F61 F62 F63",
    16: "F64 F65 F66 F67",
    17: "F68 F69 F70 F71 F72",
    18: "F73 F74",
    19: "F75 F75b",
    21: "F90 F91 F92 F105",
    22: "F93 F94 F95 F96 F97 F98 F99 F100 F104 F108 F109",
    23: "F101 F102 F103 F106 F107",
    24: "G10",
    25: "G11 G12",
    26: "G13",
    27: "G20 G21",
}
PLAYED = each(
    "server/test_faults.py::test_a_fault_ends_as_the_table_says_and_is_over",
    "server/test_fault_surfaces.py::test_a_fault_ends_in_the_dialects_own_words_as_the_table_says",
)
LEAVING = "server/test_leaving.py::"
OTHER_FAULTS = (
    Row("fault", 20, "F80", "rows 15, 16, 18 over Responses", all_of(
        "server/test_failures.py::test_with_nobody_else_the_client_is_told_in_its_own_dialect")),
    Row("fault", 20, "F81", "rows 15, 16, 18 over Messages", all_of(
        "server/test_failures.py::test_with_nobody_else_the_client_is_told_in_its_own_dialect")),
    Row("fault", 28, "G30", "a client leaves mid-stream", all_of(
        LEAVING + "test_g30_a_client_that_leaves_mid_stream_ends_the_call")),
    Row("fault", 28, "G31", "a client leaves before the answer", all_of(
        LEAVING + "test_g31_a_client_that_leaves_before_the_answer_ends_the_call")),
    Row("fault", 29, "G32", "20 clients leave", all_of(
        LEAVING + "test_g32_twenty_clients_that_leave_leave_nothing_behind")),
    Row("fault", 29, "G40", "96 mixed requests at 12 parallel", all_of(
        LEAVING + "test_g40_mixed_requests_in_parallel_get_their_own_outcome")),
    Row("fault", 29, "G41", "connections are given back", all_of(
        LEAVING + "test_g41_connections_are_given_back")),
    Row("fault", 30, "G50", "no key or cookie of the client goes upstream", all_of(
        "server/test_gate.py::test_s30_what_the_client_shows_us_stays_with_us",
        "server/test_surfaces.py::TestRequests::test_headers_of_a_client_stay_here")),
)  # fmt: skip

# -- 2: bad input from a client ---------------------------------------------------------------------------------------

INPUT_ROWS = {
    1: (
        "A01-empty A02-not-json A03-truncated A04-array A05-string A06-null A07-number A08-true "
        "A09-invalid-utf8 A10-overlong-utf8 A11-utf8-surrogate-bytes A12-nan A13-infinity A14-1e400 "
        "A15-int-5000-digits A16-nest-100k-arrays A17-nest-100k-objects A18-nest-closed-100k "
        "A19-trailing-garbage A20-two-documents A21-single-quotes A22-comment A23-nul-byte "
        "A24-raw-newline-in-string A25-trailing-comma C01-no-messages C02-messages-null "
        "C03-messages-string C04-messages-empty C05-messages-of-strings C06-messages-of-null "
        "C07-role-missing C08-role-bad C09-role-int C10-content-missing C11-content-int "
        "C12-content-object C13-part-type-bad C14-part-text-int C15-part-is-string "
        "C16-model-missing C17-model-null C18-model-int C19-model-list C20-temperature-5 "
        "C21-temperature-neg C22-temperature-str C23-top_p-2 C24-n-0 C25-n-neg C26-n-str C27-n-1e9 "
        "C28-max_tokens-neg C29-max_tokens-str C30-max_tokens-float C31-stream-str C32-stream-int "
        "C33-stop-object C34-stop-ints C35-tools-object C36-tool-no-function C37-tool-no-name "
        "C38-tool-params-str C39-tools-of-null C40-tool_choice-bad C41-tool_choice-int "
        "C42-tool_choice-unknown-fn C43-response_format-str C44-response_format-type "
        "C45-json_schema-missing C46-logit_bias-list C47-orphan-tool-message C48-tool-message-no-id "
        "C49-tool_calls-string C50-penalty-99 C51-bool-as-number C52-stream_options-str"
    ),
    2: (
        "A30-utf16 C66-stream_options-without-stream C67-unknown-param C68-tool_calls-unanswered "
        "C71-1k-tools C77-max_tokens-0 C78-metadata-huge C79-image-data-url-bad "
        "C80-tool-name-bad-chars"
    ),
    3: (
        "A31-bom A33-lone-surrogate-escape A34-nul-escape A35-nest-300 A37-lone-surrogate-in-key "
        "A38-proto-keys"
    ),
    4: "A32-duplicate-keys",
    5: "A36-lone-surrogate-in-model",
    6: "B01-ct-missing",
    7: "B02-ct-multipart B03-ct-form B09-gzip-corrupt B10-gzip-not",
    8: (
        "B04-charset-bogus B05-charset-rot13 B06-charset-idna B08-gzip-valid B11-encoding-unknown "
        "B13-deflate-raw B14-gzip-twice B16-ct-json-suffix"
    ),
    9: (
        "B07-ct-uppercase C72-3MB-prompt C73-nulls-for-optionals C74-developer-role "
        "C75-assistant-null-content"
    ),
    10: "B12-gzip-bomb-200MB",
    11: "B15-accept-xml",
    12: "C60-model-unknown C63-model-traversal C64-model-crlf C65-model-format",
    13: "C61-model-empty",
    14: "C62-model-1MB",
    15: "C69-tool-args-not-json C76-empty-user-content",
    16: "C70-10k-messages",
    17: (
        "R01-no-input R02-input-int R03-input-of-ints R04-item-type-bad R05-no-model "
        "R06-content-part-bad R07-tools-str R08-max-neg R09-role-bad R10-temperature "
        "R11-orphan-output R20-bad-json"
    ),
    18: "R21-previous-unknown",
    19: "R22-model-unknown",
    20: (
        "M01-no-max_tokens M02-no-messages M03-role-system M04-content-int M05-block-bad "
        "M06-max_tokens-neg M07-system-int M08-empty M20-bad-json"
    ),
    21: "M21-model-unknown",
    22: "W01-cl-too-long",
    23: (
        "W02-cl-negative W03-cl-word W04-cl-plus W05-cl-conflict W06-cl-list W08-te-bad-size "
        "W09-te-negative-size W10-te-0x-size W11-te-underscore-size W12-te-twice W14-te-huge-ext "
        "W16-te-bare-lf W17-space-before-colon W19-nul-in-header W20-bare-cr-in-header "
        "W21-header-100KB W22-headers-20k W23-uri-100KB W26-http09 W28-tls-hello W29-version-9 "
        "W39-garbage"
    ),
    24: "W07-cl-and-te W13-te-xchunked W44-smuggle-te-space W45-te-tab",
    25: "W15-te-valid-chunks",
    26: "W18-obs-fold",
    27: "W24-no-host W25-two-hosts",
    28: "W27-h2-preface",
    29: "W30-method-odd",
    30: "W31-method-space",
    31: "W32-absolute-uri",
    32: "W33-connect",
    33: "W34-pipelined",
    34: "W35-expect-100",
    35: "W36-expect-odd",
    36: "W37-upgrade-h2c W40-latin1-header",
    37: "W38-upgrade-websocket-junk",
    38: "W41-non-ascii-key W42-auth-odd",
    39: "W43-close-at-once",
}
BAD, RAW = "server/test_bad_input.py::", "server/test_wire_raw.py::"
# By the first letter of the id; what is in none of these tests stands in ELSEWHERE.
BY_FAMILY = {
    "A": each(BAD + "test_a_body_that_is_odd_or_no_json_ends_as_the_table_says"),
    "B": each(BAD + "test_headers_that_describe_the_body_end_as_the_table_says"),
    "C": each(
        BAD + "test_a_field_that_cannot_be_is_refused_by_its_name",
        BAD + "test_debug_route_refuses_the_same",
        BAD + "test_a_field_that_is_odd_ends_as_the_table_says",
    ),
    "R": each("server/test_surfaces.py::TestBadInput::test_a_request_that_cannot_be_is_refused"),
    "M": each("server/test_surfaces.py::TestBadInput::test_a_request_that_cannot_be_is_refused"),
    "W": each(
        RAW + "test_broken_http_ends_as_the_table_says",
        RAW + "test_a_request_with_two_readings_is_one_refused_request",
    ),
}
WRONG_KEY = "server/test_gate.py::test_s10_to_s12_a_wrong_key_is_a_401_that_echoes_nothing"
ELSEWHERE = {
    "B12": all_of(BAD + "test_b12_a_bomb_is_refused_and_never_inflated"),
    "W01": all_of(
        RAW + "test_w01_a_client_that_leaves_before_the_end_of_its_body_is_closed",
        RAW + "test_w01_a_body_that_stops_coming_is_a_408_in_bounded_time",
    ),
    "W34": all_of(RAW + "test_w34_pipelined_requests_get_an_answer_each_in_order"),
    "W35": all_of(RAW + "test_w35_who_expects_100_is_invited_and_then_answered"),
    "W41": each(WRONG_KEY),
    "W42": each(WRONG_KEY),
    "W43": all_of(RAW + "test_w43_a_connection_that_closes_at_once_harms_nobody"),
}
JSONS = "server/test_json_suite.py::"
LIVE = "server/test_bad_input.py::test_methods_and_paths_answer_in_our_shape"
FRAMED = "page/test_mount.py::test_every_answer_shuts_out_scripts_frames_and_guessing"
NOWHERE = "server/test_wire_raw.py::test_a_path_that_leads_nowhere_is_a_404_in_our_shape"
SLASH = "server/test_wire_raw.py::test_p13_p14_a_models_id_may_hold_a_slash_plain_or_escaped"
OTHER_INPUT = (
    *(Row("input", 40, id_, what, all_of(LIVE)) for id_, what in (
        ("P01", "GET where POST is meant"), ("P02", "POST where GET is meant"),
        ("P03", "unknown path"), ("P04", "unknown path, deep"),
    )),
    *(Row("input", 41, id_, what, each(NOWHERE)) for id_, what in (
        ("P05", "dots in the path"), ("P06", "escaped dots, backslashes"),
        ("P07", "NUL in the path"), ("P08", "bad percent, bad UTF-8"),
    )),
    Row("input", 42, "P09", "unknown model in the path", all_of(LIVE)),
    Row("input", 42, "P13", "model id with a slash", all_of(SLASH)),
    Row("input", 42, "P14", "model id with %2F", all_of(SLASH)),
    Row("input", 43, "S01", "48 half-open connections", all_of(
        RAW + "test_s01_half_open_connections_do_not_keep_others_waiting")),
    Row("input", 43, "S02", "slow body", all_of(
        BAD + "test_s02_a_slow_body_keeps_nobody_waiting",
        "server/test_stalled.py::test_who_sends_a_byte_now_and_then_is_told_408")),
    Row("input", 44, "S03", "body of 40 MB", all_of(
        BAD + "test_s03_a_body_of_40_mb_over_the_bound_is_a_413")),
    Row("input", 45, "S04", "100 requests at 16 parallel", all_of(
        BAD + "test_s04_a_hundred_requests_at_sixteen_get_their_own_answers")),
    Row("input", 46, "J", "tricky JSON as the body", all_of(
        JSONS + "test_a_document_alone_is_no_request")),
    Row("input", 47, "JW", "tricky JSON inside a request", all_of(
        JSONS + "test_a_document_inside_a_request_passes_unchanged_or_is_refused")),
    Row("input", 48, "N", "naughty strings as content and as model", all_of(
        JSONS + "test_naughty_text_goes_up_and_comes_back_as_it_is",
        JSONS + "test_naughty_text_streams_back_as_it_is",
        JSONS + "test_naughty_text_is_no_models_name")),
)  # fmt: skip

# -- 3: security ------------------------------------------------------------------------------------------------------

GATE, HELD = "server/test_gate.py::", "server/test_security.py::"
SECRETS = (
    GATE + "test_s31_to_s33_keys_are_in_no_answer_trace_or_log",
    "server/test_logs.py::test_a_secret_shows_up_in_no_output",
)
SECURITY = (
    (1, "S01", "foreign Host", (GATE + "test_s01_a_foreign_host_is_refused_before_any_work",)),
    (1, "S02", "foreign Host on every path", (GATE + "test_s02_no_path_is_open_to_a_foreign_host",)),
    (2, "S03", "foreign Origin", (GATE + "test_s03_a_foreign_web_page_is_refused_before_any_work",)),
    (2, "S04", "preflight", (GATE + "test_s04_s06_a_preflight_grants_nothing",)),
    (2, "S06", "preflight for a private network", (GATE + "test_s04_s06_a_preflight_grants_nothing",)),
    (3, "S05", "text/plain", (GATE + "test_s05_s07_what_a_page_may_send_unasked_is_refused",)),
    (3, "S07", "form and multipart", (GATE + "test_s05_s07_what_a_page_may_send_unasked_is_refused",)),
    (4, "S10", "no key", (WRONG_KEY,)),
    (4, "S11", "short, long, changed key", (WRONG_KEY,)),
    (4, "S12", "odd key", (WRONG_KEY,)),
    (4, "S13", "key in query or cookie", (GATE + "test_s13_a_key_in_the_query_is_no_key", WRONG_KEY)),
    (4, "S14", "every path asks for the key", (GATE + "test_every_path_that_tells_something_asks_for_the_key",)),
    (4, "S15", "key before body", (GATE + "test_s15_the_key_is_judged_before_the_body",)),
    (5, "S60", "constant-time comparison", (GATE + "test_s60_keys_are_compared_in_constant_time",)),
    (6, "S20", "address or key in the body", (GATE + "test_s20_a_request_names_no_address_key_or_proxy",)),
    (6, "S21", "address or key in headers", (GATE + "test_s21_headers_name_no_address_key_or_proxy",)),
    (7, "S22", "image URL is not fetched", (GATE + "test_s22_s23_what_a_message_points_to_is_not_fetched",)),
    (7, "S23", "file URL is not fetched", (GATE + "test_s22_s23_what_a_message_points_to_is_not_fetched",)),
    (8, "S24", "redirect of the upstream", (GATE + "test_s24_a_redirect_of_the_upstream_is_not_followed",)),
    (9, "S30", "the client's secrets stay here", (GATE + "test_s30_what_the_client_shows_us_stays_with_us",)),
    (10, "S31", "keys in no error", SECRETS),
    (10, "S32", "keys in no header, no trace", SECRETS),
    (10, "S33", "keys in no status page, no metrics", SECRETS),
    (10, "S40", "keys in no log, no file", SECRETS),
    (10, "S46", "keys in no command line", (HELD + "test_s46_the_command_line_of_a_server_holds_no_key",)),
    (11, "S41", "prompts are not stored", (
        "server/test_traces.py::test_no_prompt_no_answer_no_key_and_no_session_id_is_in_the_file",)),
    (11, "S42", "answers are not stored", (
        "server/test_traces.py::test_no_prompt_no_answer_no_key_and_no_session_id_is_in_the_file",)),
    (12, "S43", "what is written is the owner's alone", (HELD + "test_s43_what_a_server_writes_is_its_owners_alone",)),
    (12, "S44", "a file of keys that others may read", (HELD + "test_s44_a_file_of_keys_that_others_may_read_is_said",)),
    (13, "S45", "this machine only by default", (
        GATE + "test_s45_the_default_is_this_machine_only",
        GATE + "test_s45_listening_beyond_this_machine_asks_for_keys")),
    (14, "S35", "no header splitting", (GATE + "test_s35_s36_line_ends_in_a_request_make_no_header_and_no_log_line",)),
    (14, "S36", "no forged log line", (
        GATE + "test_s35_s36_line_ends_in_a_request_make_no_header_and_no_log_line",
        GATE + "test_s36_line_ends_in_a_path_make_no_header")),
    (15, "S50", "traversal in any encoding", (HELD + "test_s50_no_path_leads_out_of_what_is_served", NOWHERE)),
    (16, "S51", "what a model says is no page", (HELD + "test_s51_what_a_model_or_client_says_comes_as_json_never_as_a_page",
        HELD + "test_s51_on_the_page_it_is_text")),
    (16, "S52", "names and arguments are no page", (HELD + "test_s51_what_a_model_or_client_says_comes_as_json_never_as_a_page",)),
    (16, "S53", "types are not guessed", (HELD + "test_s53_no_type_is_left_to_be_guessed",)),
    (16, "S54", "nothing to frame but the page, which refuses", (
        HELD + "test_s54_no_answer_outside_the_page_is_one_whatever_is_accepted", FRAMED)),
    (16, "S55", "nothing from another host", (HELD + "test_s55_no_answer_names_another_host_or_a_script",)),
    (18, "S61", "no eval, pickle, shell, open TLS", (
        GATE + "test_s61_the_source_runs_no_text_opens_no_pickle_and_checks_certificates",)),
    (19, "S62", "few dependencies, each with a bound", (HELD + "test_s62_dependencies_are_few_and_have_bounds",)),
)  # fmt: skip


def rows() -> list[Row]:
    """Return every id of the three matrices, in their order."""
    found = [
        Row("fault", n, id_, FAULTS[id_].about.partition(";")[0], PLAYED)
        for n, ids in FAULT_ROWS.items()
        for id_ in ids.split()
    ]
    found = sorted([*found, *OTHER_FAULTS], key=lambda row: row.n)
    for n, cases in INPUT_ROWS.items():
        for case in cases.split():
            id_, _, what = case.partition("-")
            tests = ELSEWHERE.get(id_, BY_FAMILY[id_[0]])
            found.append(Row("input", n, id_, what.replace("-", " "), tests))
    found += OTHER_INPUT
    return found + [
        Row("security", n, id_, what, all_of(*tests)) for n, id_, what, tests in SECURITY
    ]
