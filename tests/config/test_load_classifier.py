"""Who classifies: the named candidate, else the cheapest of the role fast."""

import pytest

from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError

HEAD = """\
[[upstreams]]
name = "relay"
base_url = "http://127.0.0.1:9311/v1"

[pool]
file = "pool.toml"

"""


def candidate(id_, roles, usd=None):
    rate = (
        f'price_usd_per_mtok = {{ input = {usd}, output = {usd}, source = "t", as_of = "2026-11-01" }}\n'
        if usd
        else ""
    )
    return f'[[candidates]]\nid = "{id_}"\nupstream = "relay"\nmodel = "m/{id_}"\nroles = {roles}\n{rate}'


POOL = "schema = 1\n" + "".join(
    [
        candidate("coder-a", '["coder"]', 0.01),
        candidate("fast-a", '["fast"]', 0.2),
        candidate("fast-b", '["fast"]', 0.1),
        candidate("fast-c", '["fast"]'),
    ]
)


def classifier(folder, text, pool=POOL):
    (folder / "pool.toml").write_text(pool)
    (folder / "openfusion.toml").write_text(HEAD + text)
    return load(None, {"XDG_CONFIG_HOME": str(folder / "xdg")}, {}, folder).classifier


@pytest.mark.parametrize("mode", ["heuristic", "always", "never"])
def test_only_with_mode_model_there_is_one(tmp_path, mode):
    assert classifier(tmp_path, "") is None
    assert classifier(tmp_path, f'[classifier]\nmode = "{mode}"\ncandidate = "fast-a"') is None


def test_the_named_one_is_asked(tmp_path):
    assert classifier(tmp_path, '[classifier]\nmode = "model"\ncandidate = "coder-a"') == "coder-a"


def test_else_the_cheapest_with_the_role_fast_and_a_known_price(tmp_path):
    assert classifier(tmp_path, '[classifier]\nmode = "model"') == "fast-b"


@pytest.mark.parametrize(
    ("text", "pool", "says"),
    [
        (
            '[classifier]\nmode = "model"\ncandidate = "fast-d"',
            POOL,
            'openfusion.toml:10: classifier.candidate: the pool has no candidate \'fast-d\' (did you mean "fast-',
        ),
        (
            '[classifier]\nmode = "model"',
            "schema = 1\n" + candidate("coder-a", '["coder"]', 1),
            "openfusion.toml:9: classifier.mode: no candidate with the role fast has a price; name the one",
        ),
        ('[classifier]\nmode = "smart"', POOL, "classifier.mode: must be one of heuristic, model, always, never"),
        ("[classifier]\ntimeout_s = 0", POOL, "classifier.timeout_s: must be more than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, pool, says):
    with pytest.raises(ConfigError) as caught:
        classifier(tmp_path, text, pool)
    assert says in caught.value.message
