"""Who is worth the money: the table, the picture, the plot, and that they say the same."""

import xml.etree.ElementTree as ET

import pytest

from openfusion_auto.cli.pool_front import KIND_NAMES, keys_of
from openfusion_auto.core.front import front
from openfusion_auto.core.types import KINDS

from .conftest import POOL


def candidate(name, price, score):
    bench = ", ".join(
        f'{{ name = "{n}", score = {score}, n = 500, source = "{n}", as_of = "2026-07" }}'
        for n in ("swebench", "swt_bench")
    )
    return f"""
[[candidates]]
id = "{name}"
upstream = "relay"
model = "vendor/{name}"
price_usd_per_mtok = {{ input = {price}, output = {price * 4}, source = "s", as_of = "2026-07-02" }}
benchmarks = [ {bench} ]
"""


FIVE = "schema = 1\n" + "".join(
    candidate(*row)
    for row in (
        ("cheap", 0.1, 40),
        ("good", 1, 70),
        ("best", 9, 80),
        ("worse", 2, 60),
        ("twin", 1, 70),
    )
)


@pytest.fixture
def five(run, folder):
    (folder / "five.toml").write_text(FIVE)

    def call(*args):
        return run("pool", "front", "--pool", "five.toml", *args)

    return call


def test_the_front_and_who_beats_the_others(five):
    told = five("--json").json
    assert [row["candidate"] for row in told["front"]] == ["cheap", "good", "best"]
    assert told["front"][0]["usd"] == pytest.approx((8_000 * 0.1 + 1_000 * 0.4) / 1e6)
    slopes = [row["slope_to_next"] for row in told["front"]]
    assert slopes[0] > slopes[1] > 0
    assert slopes[2] is None
    assert {row["candidate"]: (row["by"], row["single"]) for row in told["beaten"]} == {
        "worse": (["good"], True), "twin": (["good"], True),
    }  # fmt: skip
    assert told["unplaced"] == []
    assert told["request"] == (
        "one request: 8,000 tokens in, none cached, 1,000 out; list price x effort"
    )


def test_people_see_the_same_with_a_picture(five, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = five().out.splitlines()
    table = [
        line
        for line in lines
        if line.startswith("  ") and "$0." in line and "+" not in line.partition("|")[0][:3]
    ]
    named = {
        line.split()[1]: line
        for line in table
        if len(line.split()) > 3 and len(line.split()[0]) == 1
    }
    assert named["cheap"].split()[0] == "A"
    assert named["best"].split()[0] == "C"
    assert named["worse"].endswith("beaten by good")
    assert named["twin"].endswith("equal to good")
    picture = "\n".join(line.partition("|")[2] for line in lines if "|" in line)
    assert {"A", "B", "C", "a", "b"} <= set(picture)
    assert max(map(len, lines)) <= 110
    assert all(line.isascii() for line in lines)


def test_one_that_only_a_mixture_beats_says_so(run, folder):
    rows = (("cheap", 1, 40), ("mid", 5, 48), ("best", 6, 80))
    (folder / "p.toml").write_text("schema = 1\n" + "".join(candidate(*r) for r in rows))
    told = run("pool", "front", "--pool", "p.toml", "--json").json
    assert told["beaten"][0]["by"] == ["cheap", "best"]
    assert told["beaten"][0]["single"] is False
    assert "cheap and best in turn give 0." in run("pool", "front", "--pool", "p.toml").out


def test_one_point_is_no_picture(run, folder):
    (folder / "p.toml").write_text("schema = 1\n" + candidate("only", 1, 40))
    lines = run("pool", "front", "--pool", "p.toml").out.splitlines()
    assert not [line for line in lines if "|" in line or "+--" in line]
    assert [line for line in lines if line.startswith("  A only ")]


def test_the_kind_decides_what_quality_means(run, folder):
    text = "schema = 1\n"
    for name, price, prose, code in (("writer", 1, 90, 30), ("coder", 2, 30, 90)):
        one = candidate(name, price, code).replace("swt_bench", "livebench_language")
        text += one.replace(
            '"livebench_language", score = ' + str(code), f'"livebench_language", score = {prose}'
        )
    (folder / "p.toml").write_text(text)

    def of(kind):
        told = run("pool", "front", "--pool", "p.toml", "--kind", kind, "--json").json
        return [row["candidate"] for row in told["front"]]

    assert of("docs") == ["writer"]
    assert of("bugfix") == ["writer", "coder"]
    assert run("pool", "front", "--pool", "p.toml", "--kind", "poetry").code == 2


def test_kinds_are_those_of_the_decision():
    assert KIND_NAMES == KINDS


def test_unknown_prices_and_missing_benchmarks_are_said(run, configured):
    configured()
    shown = run("pool", "front")
    assert shown.code == 0
    assert "fast-b: not placed, its price is unknown" in shown.out
    assert "without a benchmark, taken for average: fast-b" in shown.out
    assert [row["candidate"] for row in run("pool", "front", "--json").json["unplaced"]] == [
        "fast-b"
    ]


def test_who_makes_embeddings_beats_nobody(run, folder):
    both = (
        POOL
        + """
[[candidates]]
id = "embed"
upstream = "relay"
model = "vendor/embed"
roles = ["embedding"]
price_usd_per_mtok = { input = 0.01, output = 0, source = "t", as_of = "2026-07-02" }
"""
    )
    (folder / "p.toml").write_text(POOL)
    alone = run("pool", "front", "--pool", "p.toml", "--json").json
    (folder / "p.toml").write_text(both)
    found = run("pool", "front", "--pool", "p.toml", "--json").json
    assert (found["front"], found["beaten"]) == (alone["front"], alone["beaten"])
    assert [(r["candidate"], r["why"]) for r in found["unplaced"]] == [
        ("embed", "it makes embeddings"),
        ("fast-b", "its price is unknown"),
    ]
    assert "embed: not placed, it makes embeddings" in run("pool", "front", "--pool", "p.toml").out


def test_no_price_no_front(run, folder):
    (folder / "p.toml").write_text("schema = 1\n[[candidates]]" + POOL.split("[[candidates]]")[2])
    done = run("pool", "front", "--pool", "p.toml", "--plot", "f.svg")
    assert done.code == 1
    assert not (folder / "f.svg").exists()
    assert run("pool", "front", "--pool", "p.toml", "--json").json["front"] == []


@pytest.mark.parametrize("name", ["f.svg", "f.png"])
def test_it_can_be_drawn(five, folder, name):
    done = five("--plot", name)
    assert done.code == 0
    assert done.out.endswith(f"\nPlot: {name}\n")
    raw = (folder / name).read_bytes()
    if name.endswith(".svg"):
        shown = {node.text for node in ET.fromstring(raw).iter("{http://www.w3.org/2000/svg}text")}
        assert {"cheap", "good", "best", "worse", "on the front", "beaten"} <= shown
    assert five("--plot", name, "--json").json["plot"] == name


def test_a_plot_of_another_kind_is_refused(five):
    done = five("--plot", "f.pdf")
    assert done.code == 2
    assert ".svg or .png" in done.err


@pytest.mark.parametrize("pool", ["default", "local"])
def test_the_shipped_pools_have_a_front(run, pool):
    done = run("pool", "front", "--pool", pool)
    assert done.code == 0
    assert "on the front" in done.out


def test_letters_run_out_without_an_error():
    points = [(f"m{i:03}", float(i), float(i**0.5)) for i in range(60)] + [
        (f"x{i:03}", 100.0, 0.0) for i in range(60)
    ]
    keys = keys_of(front(points), [name for name, _, _ in points])
    assert keys["m000"] == "A"
    assert keys["x000"] == "a"
    assert keys["m059"] == keys["x059"] == "*"
