"""What no editor may get away with."""

from __future__ import annotations

import pytest

from openfusion_auto.clients.editor import (
    BEGIN,
    END,
    missing,
    put_in,
    regions,
    take_out,
    without_marks,
    without_regions,
)
from openfusion_auto.clients.jsontext import JsonEditor
from openfusion_auto.clients.plan import Change, Rules
from openfusion_auto.errors import ConfigError

NONE = Rules()


class Careless(JsonEditor):
    """Writes something else than it was asked for."""

    def steps(self, text, changes):
        yield '{"other": 1}'

    def restored(self, text, ops):
        yield "{"
        yield '{"other": 1}'


def test_a_text_that_does_not_read_as_asked_is_refused():
    with pytest.raises(ConfigError, match="cannot be edited safely"):
        put_in(Careless(), "{}", {"k": 1}, NONE)
    with pytest.raises(ConfigError, match=r"^1: our part was changed by hand"):
        take_out(Careless(), '{"k": 1}', [Change(("k",), 1)], (), NONE)


def test_nothing_is_missing_when_all_is_there():
    assert missing(JsonEditor(), '{"k": 1, "x": 2}', {"k": 1}, NONE) == ()
    assert missing(JsonEditor(), "{}", {"k": 1}, NONE) == ((("k",), 1),)


def test_nothing_to_do_leaves_the_text():
    edit = put_in(JsonEditor(), '{"k": 1}', {"k": 1}, NONE)
    assert (edit.text, edit.changes, edit.splices) == ('{"k": 1}', (), ())
    assert take_out(JsonEditor(), '{"k":  1}', (), (), NONE) == '{"k":  1}'


def test_regions_go_with_or_without_what_is_in_them():
    text = f"a\n  {BEGIN}\nb\n  {END}\r\nc\n{BEGIN}\nd\n{END}\n"
    assert without_regions(text) == "a\nc\n"
    assert regions(text) == f"  {BEGIN}\nb\n  {END}\r\n{BEGIN}\nd\n{END}\n"
    assert without_marks(text) == "a\nb\nc\nd\n"
