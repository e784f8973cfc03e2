"""An experience comes back as it was; whatever else is in a file is refused with what to do."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from openfusion_auto.config import experience as module
from openfusion_auto.config.experience import load_experience, save_experience
from openfusion_auto.config.load import load
from openfusion_auto.core.experience import BUCKETS, Experience
from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.learn import features, learn


def known(candidates=("coder-a", "fast-a")):
    rng = np.random.default_rng(3)
    return Experience(
        rng.normal(size=BUCKETS), 1.5, 0.6, candidates, rng.normal(size=(BUCKETS, len(candidates))), 42,
        rng.normal(size=BUCKETS), 0.2,
    )  # fmt: skip


def saved(folder, experience=None, **more):
    path = folder / "experience.npz"
    said = {"source": "outcomes.jsonl", "as_of": "2026-11-20", **more}
    save_experience(experience or known(), path, **said)
    return path


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        load_experience(path, shown="experience.npz")
    return caught.value.message


def rewritten(path, **changes):
    """The file with arrays replaced; None leaves one out."""
    with np.load(path) as kept:
        arrays = {n: kept[n] for n in kept.files} | changes
    np.savez_compressed(path, **{n: a for n, a in arrays.items() if a is not None})
    return path


@pytest.mark.parametrize("candidates", [(), ("a",), ("coder-a", "fäst/a")])
def test_it_comes_back_as_it_was(tmp_path, candidates):
    before = known(candidates)
    kept = load_experience(saved(tmp_path, before))
    after = kept.experience
    assert (kept.source, kept.as_of) == ("outcomes.jsonl", "2026-11-20")
    assert (after.slope, after.mean, after.candidates, after.tasks) == (1.5, 0.6, candidates, 42)
    assert np.array_equal(after.ease, before.ease)
    assert np.array_equal(after.lifts, before.lifts)
    assert after.of("fix the parser") == before.of("fix the parser")


def test_what_outcomes_of_which_words_tell_nothing_teach_comes_back_too(tmp_path):
    texts = [f"task {i}" for i in range(30)]
    score = np.random.default_rng(0).integers(0, 2, (30, 3)).astype(float)
    before = learn(features(texts), score, np.ones((30, 3)), ("a", "b", "c"), texts)
    assert before.candidates == ()
    after = load_experience(saved(tmp_path, before)).experience
    assert after.of("task 3") == before.of("task 3")


def test_saving_leaves_nothing_beside_and_a_failure_leaves_the_old_one(tmp_path, monkeypatch):
    path = saved(tmp_path)
    old = path.read_bytes()

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        saved(tmp_path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["experience.npz"]


def test_a_file_that_is_not_there_is_said(tmp_path):
    assert (
        refusal(tmp_path / "none.npz")
        == "experience.npz: cannot be read (No such file or directory)"
    )


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 cut", pickle.dumps({"ease": 1})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert "is not an experience saved by openfusion replay --save-experience" in refusal(path)


def test_nothing_is_unpickled(tmp_path):
    path = rewritten(saved(tmp_path), ease=np.array([print, len], dtype=object))
    assert "is not an experience" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ease": np.zeros(3)}, "is not an experience"),
        ({"ease": np.zeros(BUCKETS, dtype=int)}, "is not an experience"),
        ({"lifts": np.zeros((BUCKETS, 5))}, "is not an experience"),
        ({"lifts": None}, "is not an experience"),
        ({"more": np.zeros(1)}, "is not an experience"),
        ({"about": np.zeros(4, dtype=np.uint8)}, "is not an experience"),
        ({"effort": None}, "is not an experience"),
        ({"effort": np.zeros(3)}, "is not an experience"),
        ({"effort": np.zeros(BUCKETS, dtype=int)}, "is not an experience"),
        ({"ease": np.full(BUCKETS, np.nan)}, "holds numbers that are not finite"),
        ({"effort": np.full(BUCKETS, np.inf)}, "holds numbers that are not finite"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path, changes, says):
    assert says in refusal(rewritten(saved(tmp_path), **changes))


@pytest.mark.parametrize("day", ["", "yesterday", "2026-13-01"])
def test_without_a_date_it_is_refused(tmp_path, day):
    assert "says no date (YYYY-MM-DD)" in refusal(saved(tmp_path, as_of=day))


def test_another_version_is_named(tmp_path, monkeypatch):
    path = saved(tmp_path)
    monkeypatch.setattr(module, "READ", (1,))
    assert "is of another version (schema 3" in refusal(path)


def test_a_file_from_before_bills_were_learned_from_says_nothing_of_what_tasks_cost(tmp_path):
    path = saved(tmp_path)
    with np.load(path) as kept:
        about = json.loads(kept["about"].tobytes())
    del about["level"]
    old = json.dumps(about | {"schema": 2}).encode()
    rewritten(path, about=np.frombuffer(old, dtype=np.uint8), effort=None)
    found = load_experience(path).experience.of("fix the parser")
    assert found.effort == 1.0
    assert (found.ease, found.lifts) == known().of("fix the parser")[:2]


def test_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = saved(tmp_path)
    monkeypatch.setattr(module, "MOST_BYTES", path.stat().st_size)
    assert "unpacks to more than 0 MB" in refusal(path)
    monkeypatch.setattr(module, "MOST_BYTES", path.stat().st_size - 1)
    assert "is larger than 0 MB" in refusal(path)


def test_a_bomb_is_not_unpacked(tmp_path):
    path, big = tmp_path / "x.npz", io.BytesIO()
    np.save(big, np.zeros(module.MOST_BYTES // 8 + 1))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("about", "ease", "lifts"):
            packed.writestr(f"{name}.npy", big.getvalue() if name == "ease" else b"")
    assert path.stat().st_size < module.MOST_BYTES / 100
    assert "unpacks to more than 50 MB" in refusal(path)


# -- in a configuration ----------------------------------------------------------------------------------------------


def settings(folder, name):
    (folder / "openfusion.toml").write_text(f'[auto]\nexperience = "{name}"\n')
    return load(None, {"XDG_CONFIG_HOME": str(folder / "xdg")}, {}, folder)


def test_a_configuration_names_it_relative_to_itself(tmp_path):
    saved(tmp_path)
    assert settings(tmp_path, "experience.npz").experience.tasks == 42


def test_a_configuration_without_has_none(tmp_path):
    assert load(None, {"XDG_CONFIG_HOME": str(tmp_path)}, {}, tmp_path).experience is None


def test_a_configuration_with_a_wrong_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.npz: cannot be read"):
        settings(tmp_path, "none.npz")
