"""A new configuration file."""

import json
import tomllib

import pytest

from tests.config.test_adopt import POLICIES


def test_it_writes_a_file_that_changes_nothing_and_says_what_next(run, folder):
    done = run("init")
    assert done.code == 0
    assert "openfusion serve" in done.out
    assert tomllib.loads((folder / "openfusion.toml").read_text())["server"]["port"] == 8787
    assert (
        run("models", "--json").json == run("models", "--json", "--config", "openfusion.toml").json
    )


def test_a_file_that_is_there_stays_and_the_code_is_2(run, folder):
    (folder / "openfusion.toml").write_text("# mine\n")
    done = run("init")
    assert done.code == 2
    assert "--force" in done.err
    assert (folder / "openfusion.toml").read_text() == "# mine\n"


def test_force_overwrites(run, folder):
    (folder / "openfusion.toml").write_text("# mine\n")
    assert run("init", "--force").code == 0
    assert "[server]" in (folder / "openfusion.toml").read_text()


def test_another_place_is_named_in_the_next_steps(run, folder):
    done = run("init", "--path", "sub.toml", "--json")
    assert done.json["written"] == "sub.toml"
    assert "start the router: openfusion serve --config sub.toml" in done.json["next"]
    assert (folder / "sub.toml").is_file()


def test_a_folder_that_is_not_there_is_a_clear_message(run):
    done = run("init", "--path", "no/where.toml")
    assert done.code == 2
    assert "no/where.toml cannot be written (No such file or directory)" in done.err


def test_another_routers_file_becomes_one_that_serves_its_names(run, folder):
    (folder / "fanout_policies.json").write_text(POLICIES)
    done = run("init", "--from", "fanout_policies.json")
    assert (done.code, done.err) == (0, "")
    assert "made of fanout_policies.json: fanout/minimal." in done.out
    assert "and the model fanout/minimal" in done.out
    assert "note: no prices are known for" in done.out
    listed = [m["id"] for m in run("models", "--json", "--config", "openfusion.toml").json["data"]]
    assert "fanout/minimal" in listed
    assert (
        "fanout/minimal       panel of 2 candidates"
        in run("models", "--config", "openfusion.toml").out
    )


def test_a_wrong_one_writes_nothing_and_names_the_key(run, folder):
    (folder / "p.json").write_text(POLICIES.replace("fanout_count", "fanout_cuont"))
    done = run("init", "--from", "p.json")
    assert done.code == 2
    assert (
        'p.json: policies[0].fanout_cuont: is not a known key (did you mean "fanout_count"?)'
        in done.err
    )
    assert run("init", "--from", "not-there.yaml").code == 2
    assert not (folder / "openfusion.toml").exists()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("deepseek-v4-pro", "b"), "models[0].name: 'deepseek-v4-pro' is a candidate's name"),
        (("a", "b c"), "models[0].candidates: the pool has no candidate 'b c'"),
        (("a", "a"), "models[0].candidates: 'a' is a model of your own; name candidates"),
    ],
)
def test_what_the_server_would_refuse_is_refused_before_it_is_written(run, folder, names, says):
    name, member = names
    policy = {"virtual_model": name, "candidate_models": ["far/m", member]}
    (folder / "p.json").write_text(json.dumps({"policies": [policy]}))
    done = run("init", "--from", "p.json")
    assert (done.code, says in done.err) == (2, True)
    assert not (folder / "openfusion.toml").exists()
