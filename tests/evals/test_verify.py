"""`receipt verify` finds whatever was changed, and says where."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys

import pytest

from openfusion_auto.core.digest import plain
from openfusion_auto.evals import redecide, seal, signing
from openfusion_auto.evals.runner import recorded
from openfusion_auto.evals.verify import money, verify
from openfusion_auto.upstream.reply import Reply
from tests.cli.processes import PACKAGE
from tests.evals import samples
from tests.evals.test_seal import leaves
from tests.support.pools import FOUR
from tests.support.rig import Rig

FILES = {p.stem: p.read_bytes() for p in sorted(samples.FOLDER.glob("*.json"))}
RULES = {"form", "schema", "seal", "digest", "signature", "statement", "decision", "money", "grading", "summary",
         "not_json", "not_a_receipt", "unreadable"}  # fmt: skip


def changed(document, path, value):
    """A copy with another value at a path."""
    copied = copy.deepcopy(document)
    holder = copied
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return copied


def resealed(document):
    """A document as somebody writes it who recomputes all digests; the signature stays."""
    content = {k: v for k, v in document.items() if k not in seal.UNSEALED}
    return {**seal.sealed(plain(content)), "signature": document["signature"]}


def other(value, rng):
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + rng.choice((1, -1, 0.5))
        case str():
            at = rng.randrange(len(value) + 1)
            return value[:at] + "x" + value[at:]
        case _:
            return rng.choice(("x", 0, False))


@pytest.mark.parametrize("name", FILES)
def test_a_golden_receipt_is_whole(name):
    assert verify(FILES[name]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_changed_files_are_all_found_and_told_where():
    rng = random.Random(7)
    for number in range(1000):
        name = rng.choice(("single", "failed-nobody", "failed-ceiling", "signed"))
        data = FILES[name]
        if number % 2:
            data = flipped(data, rng)
            found = verify(data)
            assert found, (number, name)
        else:
            document = json.loads(data)
            path = rng.choice(list(leaves(document, ())))
            holder = document
            for step in path:
                holder = holder[step]
            found = verify(seal.rendered(plain(changed(document, path, other(holder, rng)))))
            pointer = "".join(f"/{seal.escaped(str(p))}" for p in path)
            places = [f.where for f in found]
            assert any(located(pointer, w) for w in places), (number, name, pointer, found)
        assert {f.rule for f in found} <= RULES


def located(pointer, where):
    """Whether a place is the one that was changed, or the part that holds it."""
    return pointer.startswith(where) or (where == "/" and pointer.count("/") == 1)


def flipped(data, rng):
    """A file with one byte changed, taken out or put in, or two lines swapped."""
    at = rng.randrange(len(data))
    match rng.randrange(5):
        case 0:
            return data[:at] + data[at + 1 :]
        case 1:
            return data[:at] + bytes([rng.randrange(256)]) + data[at:]
        case 2:
            lines = data.split(b"\n")
            i = rng.randrange(len(lines) - 2)
            lines[i], lines[i + 1] = lines[i + 1], lines[i]
            swapped = b"\n".join(lines)
            return swapped if swapped != data else data + b" "
        case _:
            byte = (data[at] + rng.randrange(1, 256)) % 256
            return data[:at] + bytes([byte]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("name", "path", "value", "rule", "where"),
    [
        ("single", ("runs", 0, "decision", "ranking", 1, "total"), 0.9, "decision", "/runs/0/decision/ranking/1/total"),
        ("single", ("runs", 0, "decision", "mode"), "panel", "decision", "/runs/0/decision/mode"),
        ("single", ("runs", 0, "inputs", "policy", "cost_quality"), 9, "decision", "/runs/0/decision"),
        ("single", ("runs", 0, "attempts", 0, "usd"), 0.5, "money", "/runs/0/attempts/0/usd"),
        ("single", ("runs", 0, "attempts", 0, "usage", "input"), 9, "money", "/runs/0/usage"),
        ("single", ("runs", 0, "usd"), 0.5, "money", "/runs/0/usd"),
        ("single", ("summary", "contenders", 0, "accuracy"), 0.5, "summary", "/summary/contenders/0/accuracy"),
        ("single", ("pool", "candidates", 0, "price", "input"), 7, "digest", "/digests/pool"),
        ("single", ("cases", 0, "id"), "another", "digest", "/digests/cases"),
        ("dry-run", ("statement",), "All is well.", "statement", "/statement"),
        ("dry-run", ("dry_run",), False, "statement", "/statement"),
        ("comparison", ("grading", "pairs", 1, "outcome"), "lost", "grading", "/grading/pairs/1/outcome"),
        ("comparison", ("grading", "pairs", 1, "usd"), 0.5, "money", "/grading/pairs/1/usd"),
        ("comparison", ("grading", "usd"), 0.5, "money", "/grading/usd"),
        ("comparison", ("runs", 0, "grade", "verdict"), "wrong", "summary", "/summary/contenders/0/accuracy"),
    ],
)  # fmt: skip
def test_who_recomputes_the_digests_is_found_by_what_does_not_follow(name, path, value, rule, where):  # fmt: skip
    data = seal.rendered(resealed(changed(json.loads(FILES[name]), path, value)))
    found = verify(data)
    assert any(f.rule == rule and f.where.startswith(where) for f in found), found
    assert not any(f.rule in ("form", "seal") for f in found)


def test_what_follows_from_nothing_is_held_by_the_signature():
    path = ("runs", 0, "answer", "sha256")
    forged = resealed(changed(json.loads(FILES["signed"]), path, "0" * 64))
    (found,) = verify(seal.rendered(forged))
    assert (found.rule, found.where) == ("signature", "/signature")
    assert "does not fit the digest" in found.detail


def test_a_signature_by_another_key_than_the_trusted_one_is_found():
    own = json.loads(FILES["signed"])["signature"]["public_key"]
    assert verify(FILES["signed"], own) == []
    (found,) = verify(FILES["signed"], "A" * 43 + "=")
    assert "another key" in found.detail
    (found,) = verify(FILES["single"], own)
    assert "is not signed" in found.detail


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 5000, "not_json"),
        (b"[1]", "not_a_receipt"),
        (b"{}", "not_a_receipt"),
        (b'{"object": "openfusion.receipt", "schema": 2}', "not_a_receipt"),
    ],
)
def test_what_is_no_receipt_is_said(data, rule):
    assert [f.rule for f in verify(data)] == [rule]


def test_a_receipt_without_its_parts_is_told_and_never_a_traceback():
    found = verify(b'{"object": "openfusion.receipt", "schema": 1}')
    assert {"schema", "seal", "digest", "unreadable"} <= {f.rule for f in found}


JUNK = (None, True, -1, 1e308, 10**30, "", "x", [], {}, [None], {"a": 1}, "9" * 50)


def parts(value, path=()):
    """Paths of everything in a document."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from parts(inner, (*path, key))


def test_whatever_a_stranger_puts_in_and_seals_is_judged_and_never_a_traceback():
    rng = random.Random(11)
    whole = json.loads(FILES["failed-nobody"])
    places = [p for p in parts(whole) if p[0] not in seal.UNSEALED]
    for _ in range(100):
        path = rng.choice(places)
        forged = resealed(changed(whole, path, rng.choice(JUNK)))
        found = verify(seal.rendered(forged))
        assert {f.rule for f in found} <= RULES


def test_numbers_beyond_measure_are_judged():
    path = ("pool", "candidates", 0, "price", "input")
    assert verify(seal.rendered(resealed(changed(json.loads(FILES["single"]), path, 1e308))))


def test_other_bytes_of_the_same_content_are_found_as_such():
    found = verify(json.dumps(json.loads(FILES["single"])).encode())
    assert [f.rule for f in found] == ["form"]
    assert found[0].where.startswith("line 1, column")


def test_decisions_are_the_same_in_another_process(tmp_path):
    code = (
        "import json, sys; from openfusion_auto.evals.redecide import replay\n"
        "rows = [[r.recorded, r.found, list(r.differs)] for p in sys.argv[1:] for r in replay(json.load(open(p)))]\n"
        "print(json.dumps(rows))"
    )
    paths = [str(p) for p in sorted(samples.FOLDER.glob("*.json"))]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env={"PYTHONPATH": PACKAGE, "PYTHONHASHSEED": "31"},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(done.stdout)
    decided = [r for data in FILES.values() for r in json.loads(data)["runs"] if r["decision"]]
    assert len(rows) == len(decided) > 15
    assert all(recorded == found and not differs for recorded, found, differs in rows)


def test_a_signed_receipt_keeps_its_digest():
    document = json.loads(FILES["signed"])
    assert document["digest"] == json.loads(FILES["single"])["digest"]
    assert signing.problem(document, None) is None
    assert redecide.pool_of(document["pool"]).digest == document["digests"]["pool"]


@pytest.mark.parametrize("apart", [True, False])
def test_a_call_that_searched_may_cost_what_its_tokens_do_not_say(apart):
    searching = [{"upstream": "relay", "usd": None, "most": None}] if apart else []
    usage = {"input": 10, "output": 1, "cached": 0, "cache_write": 0, "reasoning": 0}
    run = {
        "inputs": {"task": {"options": {"searching": searching}, "needs": {"web": False}}},
        "attempts": [{"candidate": "coder-a", "usage": usage, "usd": None}],
        "usage": usage,
        "usd": None,
    }
    found = [f.rule for f in money(run, FOUR, "/runs/0", dry=False)]
    assert found == ([] if apart else ["money"])


async def test_what_others_of_a_requests_models_cost_is_the_upstreams_word():
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.0123456789012}}  # fmt: skip
    script = [Reply(status=503), Reply(raw=json.dumps(body).encode())]
    rig = Rig(script, offers={"relay": ("models",)})
    _, trace = await rig.ask("2 + 2?", models=["vendor/other"])
    run = json.loads(json.dumps(recorded(trace)))
    assert run["attempts"][-1]["billed"]
    assert list(money(run, FOUR, "/runs/0", dry=False)) == []
    run["usd"] += 1
    assert [f.where for f in money(run, FOUR, "", dry=False)] == ["/usd"]
