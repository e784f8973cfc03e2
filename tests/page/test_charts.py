"""Charts as marks for templates."""

from openfusion_auto.core.worth import worth
from openfusion_auto.page.charts import front
from openfusion_auto.page.render import environment
from tests.support.pools import FOUR, candidate, pool


def test_the_front_of_a_pool_is_drawn_and_told_in_words():
    drawing = front(worth(FOUR, "bugfix"))
    assert {kind for kind, _ in drawing.marks} == {"line", "shape", "text"}
    assert all(c.id in drawing.words for c in FOUR.candidates)


def test_a_pool_without_a_price_has_none():
    assert front(worth(pool(candidate("a", price=None)), "bugfix")) is None


def test_a_name_in_a_drawing_is_escaped():
    drawing = front(worth(pool(candidate("<script>")), "bugfix"))
    text = '{% from "_charts.html" import plot %}{{ plot(drawing, "Cost") }}'
    found = environment().from_string(text).render(drawing=drawing)
    assert "<script" not in found
    assert "&lt;script&gt;" in found
    assert "style" not in found
