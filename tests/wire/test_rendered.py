from __future__ import annotations

from openfusion_auto.wire.rendered import Rendered, counted, each_once


def test_what_is_lost_is_counted_in_words():
    assert counted("reasoning", 0) == ()
    assert counted("reasoning", 1) == ("reasoning of 1 message",)
    assert counted("mark of failure", 2, "tool result") == ("mark of failure of 2 tool results",)


def test_each_loss_is_told_once_in_the_order_of_its_first():
    assert each_once(["b", "a", "b"]) == ("b", "a")


def test_nothing_is_lost_unless_said():
    assert Rendered(b"{}") == (b"{}", ())
