"""The pool file: what is refused, what the digest names, and what a check finds."""

import copy
import json
import tomllib
from datetime import date, timedelta
from functools import cache

import jsonschema
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.config.load import SHIPPED_POOLS, shipped_pool
from openfusion_auto.config.pool import (
    LOCAL_SOURCE,
    STALE_DAYS,
    PoolFile,
    as_date,
    check_pool,
    load_pool,
)
from openfusion_auto.config.problems import keys_of
from openfusion_auto.core.digest import digest
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.types import (
    ROLES,
    Benchmark,
    Candidate,
    Performance,
    Pool,
    Price,
    TaskCost,
)
from openfusion_auto.data import data_root
from openfusion_auto.errors import ConfigError

DATED = {"source": "s", "as_of": "2026-07-02"}
FULL = {
    "id": "coder-a", "upstream": "relay", "model": "vendor/model", "roles": ["coder", "fast"],
    "price_usd_per_mtok": {"input": 0.5, "output": 2.0, "cache_read": 0.05, "cache_write": 0.6, **DATED},
    "context_tokens": 200000, "max_output_tokens": 32000, "offers": ["vision", "tools"],
    "cost_usd_per_task": {"value": 0.21, **DATED},
    "benchmarks": [{"name": "b2", "score": 72.0, "n": 500, **DATED}, {"name": "b1", "score": 60, **DATED}],
    "performance": {"ttft_ms_p50": 900, "tokens_per_s_p50": 60, **DATED},
}  # fmt: skip
SMALL = {"id": "b", "upstream": "relay", "model": "m"}
TODAY = date(2026, 11, 20)


@pytest.fixture
def write(tmp_path):
    def put(*candidates, **top):
        path = tmp_path / "pool.toml"
        path.write_text(
            tomli_w.dumps({"schema": 1, "candidates": list(candidates), **top}), encoding="utf-8"
        )
        return path

    return put


def changed(**changes):
    """The full candidate with some keys replaced; `a__b` reaches into a table, None deletes."""
    row = copy.deepcopy(FULL)
    for key, value in changes.items():
        *tables, last = key.split("__")
        node = row
        for table in tables:
            node = node[table]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return row


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        load_pool(path, shown="pool.toml")
    return caught.value.message


def test_every_key_of_the_format_arrives(write):
    (candidate,) = load_pool(write(FULL)).candidates
    assert candidate == Candidate(
        id="coder-a", upstream="relay", model="vendor/model", roles=("coder", "fast"),
        offers=("tools", "vision"), price=Price(0.5, 2.0, 0.05, 0.6, "s", "2026-07-02"),
        context_tokens=200000, max_output_tokens=32000,
        benchmarks=(Benchmark("b1", 60.0, None, "s", "2026-07-02"), Benchmark("b2", 72.0, 500, "s", "2026-07-02")),
        cost_per_task=TaskCost(0.21, "s", "2026-07-02"),
        performance=Performance(900.0, 60.0, "s", "2026-07-02"),
    )  # fmt: skip


def test_prices_of_longer_prompts_come_by_length_and_what_they_do_not_say_is_unknown(write):
    told = [
        {"above_tokens": 200_000, "input": 4, "output": 8.0, "cache_read": 0.4},
        {"above_tokens": 32_000, "input": 2.0, "output": 4},
    ]
    (candidate,) = load_pool(write(changed(price_usd_per_mtok__long_context=told))).candidates
    assert candidate.price.long_context == (
        LongPrice(32_000, 2.0, 4.0), LongPrice(200_000, 4.0, 8.0, 0.4),
    )  # fmt: skip
    turned = load_pool(write(changed(price_usd_per_mtok__long_context=told[::-1])))
    assert turned.candidates == (candidate,)
    assert turned.digest != load_pool(write(FULL)).digest


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ([{"above_tokens": 9, "input": 1.0}], "long_context[0].output: is missing"),
        ([{"input": 1.0, "output": 2.0}], "above_tokens: is missing"),
        ([{"above_tokens": 0, "input": 1.0, "output": 2.0}], "above_tokens"),
        ([{"above_tokens": 9, "input": -1.0, "output": 2.0}], "input"),
        ([{"above_tokens": 9, "input": 1.0, "output": 2.0, "cached": 1.0}], "cached"),
        ([{"above_tokens": 9, "input": 1.0, "output": 2.0}] * 2, "names a length twice"),
        ({"above_tokens": 9, "input": 1.0, "output": 2.0}, "long_context"),
    ],
)
def test_prices_of_longer_prompts_that_make_no_sense_are_refused_by_name(write, told, part):
    message = refusal(write(changed(price_usd_per_mtok__long_context=told)))
    assert "price_usd_per_mtok.long_context" in message
    assert part in message


def test_what_is_not_said_is_unknown_and_not_zero(write):
    (candidate,) = load_pool(write(SMALL)).candidates
    assert candidate == Candidate(id="b", upstream="relay", model="m")
    assert candidate.price is None
    (priced,) = load_pool(write(changed(price_usd_per_mtok__cache_read=None))).candidates
    assert priced.price.cache_read is None


def test_candidates_come_sorted_by_id(write):
    assert [c.id for c in load_pool(write(FULL, SMALL)).candidates] == ["b", "coder-a"]


def test_the_digest_names_the_content_and_not_its_order(write):
    row = changed(roles=["fast", "coder"], offers=["tools", "vision"])
    row["benchmarks"].reverse()
    row["price_usd_per_mtok"]["output"] = 2  # the same number
    first, second = load_pool(write(FULL, SMALL)), load_pool(write(SMALL, row))
    assert first.digest == second.digest == digest({"schema": 1, "candidates": first.candidates})
    assert first.digest.startswith("sha256:")


@pytest.mark.parametrize(
    "change",
    [
        {"price_usd_per_mtok__input": 0.51}, {"price_usd_per_mtok__cache_read": None}, {"model": "n"},
        {"roles": ["coder"]}, {"context_tokens": 1}, {"performance__source": "t"}, {"benchmarks": []},
    ],
)  # fmt: skip
def test_any_change_of_content_changes_the_digest(write, change):
    assert load_pool(write(FULL)).digest != load_pool(write(changed(**change))).digest


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"price_usd_per_mtok__source": None}, 'candidate "coder-a": price_usd_per_mtok.source: is missing'),
        ({"price_usd_per_mtok__as_of": None}, 'candidate "coder-a": price_usd_per_mtok.as_of: is missing'),
        ({"price_usd_per_mtok__input": None}, 'candidate "coder-a": price_usd_per_mtok.input: is missing'),
        ({"cost_usd_per_task__source": None}, 'candidate "coder-a": cost_usd_per_task.source: is missing'),
        ({"performance__source": None}, 'candidate "coder-a": performance.source: is missing'),
        ({"performance__as_of": None}, 'candidate "coder-a": performance.as_of: is missing'),
        ({"benchmarks": [{"name": "x", "score": 1, "as_of": "2026-01"}]}, 'candidate "coder-a": benchmarks[0].source: is missing'),
        ({"price_usd_per_mtok__source": ""}, "must not be empty"),
        ({"price_usd_per_mtok__input": -0.1}, "price_usd_per_mtok.input: must be at least 0, got -0.1"),
        ({"price_usd_per_mtok__output": float("nan")}, "price_usd_per_mtok.output: must be a finite number"),
        ({"price_usd_per_mtok__output": float("inf")}, "price_usd_per_mtok.output: must be a finite number"),
        ({"price_usd_per_mtok__output": "2"}, "must be a number, not a string"),
        ({"price_usd_per_mtok__cached": 1}, "price_usd_per_mtok.cached: is not a known key"),
        ({"price_usd_per_mtok__as_of": "last week"}, "must be a date (2026-07-02) or a month (2026-07)"),
        ({"price_usd_per_mtok__as_of": "2026-02-30"}, "must be a date"),
        ({"price_usd_per_mtok__as_of": date(2026, 7, 2)}, "must be a string, not a date (write it in quotes)"),
        ({"benchmarks": [{"name": "x", "score": 101, **DATED}]}, "benchmarks[0].score: must be at most 100, got 101"),
        ({"benchmarks": [{"name": "x", "score": 1, **DATED}] * 2}, "benchmarks: names a benchmark twice"),
        ({"performance": DATED}, "must have ttft_ms_p50 or tokens_per_s_p50"),
        ({"performance__ttft_ms_p50": 0}, "performance.ttft_ms_p50: must be more than 0, got 0"),
        ({"context_tokens": 0}, "context_tokens: must be at least 1, got 0"),
        ({"context_tokens": 1.5}, "context_tokens: must be a whole number"),
        ({"context_token": 1}, 'context_token: is not a known key (did you mean "context_tokens"?)'),
        ({"prize_usd_per_mtok": 1}, 'is not a known key (did you mean "price_usd_per_mtok"?)'),
        ({"roles": ["Coder"]}, "roles: 'Coder' must be lower case"),
        ({"roles": ["coder", "coder"]}, "roles: names something twice"),
        ({"offers": "tools"}, "offers: must be a list, not a string"),
        ({"model": "a b"}, "model: must be printable ASCII"),
        ({"model": None}, "model: is missing"),
        ({"upstream": None}, "upstream: is missing"),
        ({"benchmarks": 3}, "benchmarks: must be a list, not a whole number"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_that_names_the_candidate(write, change, line):
    message = refusal(write(SMALL, changed(**change)))
    assert len(message.splitlines()) == 1
    assert message.startswith("pool.toml:")
    assert 'candidate "coder-a": ' in message
    assert line in message


def test_all_mistakes_of_a_pool_are_told_at_once(write):
    bad = changed(price_usd_per_mtok__source=None, contxt=1)
    message = refusal(write(bad, {**SMALL, "model": ""}, {**SMALL, "colour": 1}))
    assert [
        part in message
        for part in (
            "source: is missing",
            "contxt",
            "model: must be",
            "colour",
            "id is used already",
        )
    ] == [True] * 5
    assert len(message.splitlines()) == 5


def test_the_line_of_a_mistake_is_right(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        'schema = 1\n\n[[candidates]]\nid = "a"\nupstream = "u"\nmodel = "m"\nroels = []\n'
    )
    assert (
        refusal(path)
        == 'pool.toml:7: candidate "a": roels: is not a known key (did you mean "roles"?)'
    )


def test_an_id_is_used_once(write):
    message = refusal(write(SMALL, FULL, SMALL))
    assert message.startswith("pool.toml:")
    assert 'candidate "b": id is used already (line 3)' in message


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("openfusion/auto", "virtual models"), ("", "must be letters"), ("a b", "must be letters"),
        ("a\nb", "must be letters"), ("-a", "must be letters"), ("x" * 101, "must be letters"),
    ],
)  # fmt: skip
def test_an_id_that_could_be_mistaken_is_refused(write, name, part):
    message = refusal(write({**SMALL, "id": name}))
    assert part in message
    assert len(message.splitlines()) == 1


def test_a_candidate_without_an_id_is_named_by_its_number(write):
    assert "candidate 2: id: is missing" in refusal(write(FULL, {"upstream": "u", "model": "m"}))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("schema = 2\n", "pool.toml:1: schema: must be 1, the version that is read here"),
        ("candidates = []\n", "schema: is missing"),
        ('schema = "1"\n', "schema: must be 1"),
        ("schema = true\ncandidates = 3\n", "schema: must be 1"),
        ("schema = 1\ncandidates = []\n", "pool.toml:2: candidates: there is none"),
        ("schema = 1\ncandidates = 3\n", "candidates: must be a list"),
        ("schema = 1\ncandidates = [3]\n", "candidate 1: must be a table, not a whole number"),
        (
            "schema = 1\n[[candidate]]\n",
            'candidate: is not a known key (did you mean "candidates"?)',
        ),
        ("schema = [", "is not valid TOML"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text, part):
    path = tmp_path / "p.toml"
    path.write_text(text)
    assert part in refusal(path)


def test_a_pool_is_named_by_its_path_when_no_name_is_given(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        load_pool(tmp_path / "gone.toml")


# Dates


def test_a_month_counts_as_its_last_day():
    assert as_date("2026-07-02") == date(2026, 7, 2)
    assert as_date("2026-02") == date(2026, 2, 28)
    assert as_date("2024-02") == date(2024, 2, 29)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-13",
        "2026-00",
        "2026-7-2",
        "2026-07-02T00:00",
        "2026-07-32",
        "0000-01-01",
        "٢٠٢٦-07",
    ],
)
def test_no_other_form_is_a_date(text):
    with pytest.raises(ValueError, match="must be a date"):
        as_date(text)


@given(st.dates())
def test_every_iso_date_is_read_back(day):
    assert as_date(day.isoformat()) == day
    month = as_date(day.isoformat()[:7])
    assert (month.year, month.month) == (day.year, day.month)
    assert (month + timedelta(1)).day == 1 if month != date.max else True


# openfusion pool check


def sound(**changes):
    base = {
        "id": "a", "upstream": "u", "model": "m", "roles": ROLES, "offers": ("tools",),
        "price": Price(1.0, 2.0, 0.1, 1.25, "s", "2026-07-02"), "context_tokens": 1000,
        "max_output_tokens": 100,
        "benchmarks": (Benchmark("x", 1.0, None, "s", "2026-07"), Benchmark("y", 1.0, None, "s", "2026-07")),
    }  # fmt: skip
    return Candidate(**{**base, **changes})


def stepped(longer):
    return Price(1.0, 2.0, None, None, "s", "2026-07-02", (longer,))


def findings(*candidates, today=TODAY):
    return check_pool(Pool(candidates), today)


def test_a_sound_pool_has_no_finding():
    assert findings(sound()) == []


@pytest.mark.parametrize(
    ("change", "rule", "part"),
    [
        ({"price": None}, "price_unknown", "budget"),
        ({"price": Price(0.0, 0.0, None, None, "s", "2026-07-02")}, "price_zero", "leave it out"),
        ({"price": Price(1.0, 2.0, 1.5, None, "s", "2026-07-02")}, "price_outlier", "cache_read 1.5 is above input 1.0"),
        ({"price": Price(1.0, 2.0, None, 0.5, "s", "2026-07-02")}, "price_outlier", "cache_write 0.5 is below"),
        ({"price": Price(2.0, 1.0, None, None, "s", "2026-07-02")}, "price_outlier", "output 1.0 is below"),
        ({"price": Price(1.0, 1001.0, None, None, "s", "2026-07-02")}, "price_outlier", "is the unit right"),
        ({"price": stepped(LongPrice(9, 0.9, 3.0))}, "price_outlier", "0.9 in, 3.0 out above 9 tokens is below the base"),
        ({"price": stepped(LongPrice(9_000, 2.0, 3.0, 2.5))}, "price_outlier", "cache_read 2.5 is above input 2.0 (above 9,000"),
        ({"price": Price(1.0, 2.0, None, None, "s", "2026-01-02")}, "stale", "price_usd_per_mtok: 2026-01-02 is 322 days ago"),
        ({"cost_per_task": TaskCost(1.0, "s", "2025-01")}, "stale", "cost_usd_per_task"),
        ({"performance": Performance(1.0, None, "s", "2025-01")}, "stale", "performance"),
        ({"performance": Performance(1.0, None, "s", "2026-11-22")}, "future", "performance"),
        ({"performance": Performance(1.0, None, "s", "2027-01")}, "future", "performance"),
        ({"context_tokens": None}, "context_unknown", "refusal"),
        ({"max_output_tokens": 1001}, "output_over_context", "1001 is above context_tokens 1000"),
        ({"benchmarks": ()}, "no_benchmark", "guess"),
        ({"benchmarks": (Benchmark("x", 1.0, 5, "s", "2026-07"),)}, "single_benchmark", "only x"),
        ({"offers": ("json-schema",)}, "offer_unknown", 'did you mean "json_schema"?'),
    ],
)  # fmt: skip
def test_each_rule_of_the_check_fires_alone(change, rule, part):
    (finding,) = findings(sound(**change))
    assert (finding.candidate, finding.rule) == ("a", rule)
    assert part in finding.detail


@pytest.mark.parametrize("as_of", ["2026-11-21", "2026-11"])
def test_a_date_that_has_just_begun_somewhere_is_not_in_the_future(as_of):
    assert findings(sound(performance=Performance(1.0, None, "s", as_of))) == []


@given(st.integers(-1, 400))
def test_a_number_is_stale_from_the_day_after_half_a_year(days):
    price = Price(1.0, 2.0, None, None, "s", (TODAY - timedelta(days)).isoformat())
    rules = {f.rule for f in findings(sound(price=price))}
    assert rules == ({"stale"} if days > STALE_DAYS else set())


def test_a_price_of_this_machine_is_free_and_does_not_age():
    assert findings(sound(price=Price(0.0, 0.0, 0.0, 0.0, LOCAL_SOURCE, "2020-01-01"))) == []


def test_a_maker_of_vectors_writes_nothing_and_is_held_to_no_benchmark():
    price = Price(0.02, 0.0, None, None, "s", "2026-07-02")
    vectors = sound(id="v", price=price, offers=("embeddings",), roles=(), benchmarks=())
    assert findings(sound(), vectors) == []


def test_a_role_that_nobody_plays_is_a_finding_of_the_pool():
    found = findings(sound(roles=("coder", "own")))
    assert [(f.candidate, f.rule) for f in found] == [("", "role_missing")] * 4
    assert all('"coder"' not in f.detail for f in found)
    assert ("a", "no_role") in {f[:2] for f in findings(sound(roles=()))}


# The shipped pools and the JSON Schema


@cache
def schema():
    path = data_root() / "receipts" / "schemas" / "pool.schema.json"
    loaded = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(loaded)
    return jsonschema.Draft202012Validator(loaded)


@pytest.mark.parametrize("name", SHIPPED_POOLS)
def test_a_shipped_pool_loads_and_meets_the_schema(name):
    schema().validate(tomllib.loads(shipped_pool(name).read_text(encoding="utf-8")))
    pool = load_pool(shipped_pool(name))
    there = {role for c in pool.candidates for role in c.roles}
    assert there == set(ROLES)
    assert all(c.price and c.context_tokens and "tools" in c.offers for c in pool.candidates)
    assert all(len(c.benchmarks) >= 2 for c in pool.candidates)


def test_the_default_pool_has_the_prices_of_long_prompts():
    pool = load_pool(shipped_pool("default"))
    longer = {c.id: c.price.long_context for c in pool.candidates if c.price.long_context}
    assert longer == {
        "gemini-3.1-pro": (LongPrice(200_000, 4.0, 18.0, 0.4),),
        "gpt-5.4": (LongPrice(272_000, 5.0, 22.5, 0.5),),
        "gpt-5.5": (LongPrice(272_000, 10.0, 45.0, 1.0),),
    }
    assert all(pool.get(i).context_tokens > p[0].above_tokens for i, p in longer.items())


@pytest.mark.parametrize("name", SHIPPED_POOLS)
def test_a_shipped_pool_had_nothing_but_old_figures_to_find(name):
    """Figures age; anything else would be a mistake of ours."""
    pool = load_pool(shipped_pool(name))
    assert {f.rule for f in check_pool(pool, date(2026, 7, 2))} <= {"stale"}


def test_the_default_pool_spreads_over_makers_prices_and_roles():
    pool = load_pool(shipped_pool("default"))
    assert 10 <= len(pool.candidates) <= 14
    assert {c.upstream for c in pool.candidates} == {"openrouter"}
    assert len({c.model.partition("/")[0] for c in pool.candidates}) >= 6
    prices = [c.price.input for c in pool.candidates]
    assert max(prices) / min(prices) > 40
    for role in ROLES:
        playing = [c for c in pool.candidates if role in c.roles]
        assert len({c.model.partition("/")[0] for c in playing}) >= 3, role
    assert sum(len(c.roles) > 1 for c in pool.candidates) >= 4


def test_the_local_pool_is_free_and_says_why():
    pool = load_pool(shipped_pool("local"))
    assert {c.upstream for c in pool.candidates} == {"ollama", "llamacpp", "vllm"}
    assert {(c.price.input, c.price.output, c.price.source) for c in pool.candidates} == {
        (0.0, 0.0, LOCAL_SOURCE)
    }


def test_the_schema_knows_the_same_keys_as_the_loader():
    def compare(model, node):
        node = schema().schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        node = node.get("items", node)
        node = schema().schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        known = keys_of(model)
        assert set(node["properties"]) == set(known), model
        required = {i.alias or n for n, i in model.model_fields.items() if i.is_required()}
        assert set(node["required"]) == required, model
        for key, inner in known.items():
            if inner is not None:
                compare(inner, node["properties"][key])

    compare(PoolFile, schema().schema)


numbers = st.one_of(
    st.floats(-1, 101, allow_nan=False), st.integers(-1, 101), st.sampled_from(["1", True, None])
)
words = st.lists(st.sampled_from(["coder", "fast", "Bad", "x y", "own-role", ""]), max_size=3)
mutations = st.one_of(
    st.tuples(
        st.sampled_from(["price_usd_per_mtok", "cost_usd_per_task", "performance"]),
        st.sampled_from(
            ["input", "output", "cache_read", "value", "ttft_ms_p50", "tokens_per_s_p50"]
        ),
        numbers,
    ),
    st.tuples(
        st.just("performance"),
        st.sampled_from(["source", "as_of", "x"]),
        st.sampled_from(["", "2026-07", "2026-7", "2026-13", None]),
    ),
    st.tuples(st.sampled_from(["context_tokens", "max_output_tokens"]), st.none(), numbers),
    st.tuples(st.sampled_from(["roles", "offers"]), st.none(), words),
    st.tuples(
        st.sampled_from(["id", "model", "upstream", "extra"]),
        st.none(),
        st.sampled_from(["a", "", "a b", "openfusion/x", "a/b:c", None, 3]),
    ),
)


@settings(max_examples=300)
@given(st.lists(mutations, max_size=3))
def test_schema_and_loader_refuse_the_same_files(tmp_path_factory, changes):
    row = copy.deepcopy(FULL)
    for key, inner, value in changes:
        node = row.get(key) if inner else row
        if not isinstance(node, dict):
            continue
        if value is None:
            node.pop(inner or key, None)
        else:
            node[inner or key] = value
    data = {"schema": 1, "candidates": [row]}
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    try:
        load_pool(path)
        loaded = True
    except ConfigError:
        loaded = False
    assert loaded == schema().is_valid(data)
