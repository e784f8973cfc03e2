"""Merging, origins, secrets and readiness."""

import copy
import dataclasses
import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openfusion_auto.config.load import FLAG_KEYS, SHIPPED_POOLS, Settings, load, shipped_pool
from openfusion_auto.config.problems import leaves
from openfusion_auto.config.schema import Config
from openfusion_auto.config.template import config_template
from openfusion_auto.core.types import Policy
from openfusion_auto.errors import ConfigError

POOL = 'schema = 1\n[[candidates]]\nid = "a"\nupstream = "relay"\nmodel = "m"\n'
RELAY = """\
[[upstreams]]
name = "relay"
base_url = "http://127.0.0.1:9311/v1"
api_key_env = "RELAY_API_KEY"

[pool]
file = "pool.toml"
"""
SECRET = "sk-relay-0123456789"


@pytest.fixture
def home(tmp_path):
    """A working folder, and an environment whose configuration folder is empty."""
    cwd = tmp_path / "work"
    cwd.mkdir()
    (cwd / "pool.toml").write_text(POOL)
    return cwd, {
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "OPENFUSION_STATE_DIR": str(tmp_path / "state"),
    }


def put(cwd, text=RELAY, name="openfusion.toml"):
    path = cwd / name
    path.write_text(text)
    return path


def run(home, *, path=None, flags=None, **env):
    cwd, base = home
    return load(path, {**base, **env}, flags or {}, cwd)


def refusal(home, **more):
    with pytest.raises(ConfigError) as caught:
        run(home, **more)
    return caught.value.message


# Where it is looked for


def test_without_any_file_the_builtin_defaults_stand(home):
    found = run(home)
    assert found.builtin
    assert found.source is None
    assert [u.name for u in found.config.upstreams] == ["openrouter"]
    assert len(found.pool.candidates) >= 10
    assert found.policy == Policy()
    assert set(found.origin.values()) == {"default"}
    assert found.unready == {"openrouter": "set OPENROUTER_API_KEY"}


def test_the_working_folder_comes_before_the_users_folder(home):
    cwd, env = home
    folder = Path(env["XDG_CONFIG_HOME"]) / "openfusion"
    folder.mkdir(parents=True)
    put(folder, "[server]\nport = 1\n")
    found = run(home)
    assert (found.config.server.port, found.source) == (1, folder / "openfusion.toml")
    assert found.origin["server.port"] == f"file:{folder / 'openfusion.toml'}:2"
    here = put(cwd, "[server]\nport = 2\n")
    assert (run(home).config.server.port, run(home).source) == (2, here)


def test_a_named_file_comes_before_the_variable_and_that_before_the_folder(home):
    cwd, _ = home
    put(cwd, "[server]\nport = 1\n")
    put(cwd, "[server]\nport = 2\n", "env.toml")
    put(cwd, "[server]\nport = 3\n", "named.toml")
    assert run(home, OPENFUSION_CONFIG="env.toml").config.server.port == 2
    assert run(home, OPENFUSION_CONFIG="env.toml", path=Path("named.toml")).config.server.port == 3
    assert run(home, OPENFUSION_CONFIG="").config.server.port == 1


def test_a_named_file_that_is_not_there_is_refused(home):
    assert refusal(home, path=Path("gone.toml")).startswith("gone.toml: cannot be read")
    assert refusal(home, OPENFUSION_CONFIG="gone.toml").startswith("gone.toml: cannot be read")


# Precedence and origin


def test_defaults_file_environment_and_flags_override_each_other_in_this_order(home):
    cwd, _ = home
    put(cwd, RELAY + "\n[server]\nport = 2\nhost = '::1'\n")
    file, env = run(home), run(home, OPENFUSION_PORT="3", OPENFUSION_HOST="localhost")
    flag = run(home, OPENFUSION_PORT="3", flags={"port": 4})
    assert [s.config.server.port for s in (file, env, flag)] == [2, 3, 4]
    assert file.origin["server.port"] == "file:openfusion.toml:10"
    assert env.origin["server.port"] == "env:OPENFUSION_PORT"
    assert env.origin["server.host"] == "env:OPENFUSION_HOST"
    assert flag.origin["server.port"] == "flag:--port"
    assert flag.origin["server.host"] == "file:openfusion.toml:11"
    assert flag.origin["server.drain_s"] == "default"


def test_upstreams_have_an_origin_too(home):
    cwd, _ = home
    put(cwd, "[server]\n" + RELAY)
    found = run(home)
    assert found.origin["upstreams"] == found.origin["upstreams.relay"] == "file:openfusion.toml:2"


def test_dotted_keys_and_inline_tables_have_their_line(home):
    cwd, _ = home
    put(cwd, 'auto.max_usd = 0.5\nserver = {"port" = 1}\n')
    found = run(home)
    assert found.origin["auto.max_usd"] == "file:openfusion.toml:1"
    assert found.origin["server.port"] == "file:openfusion.toml:2"
    assert found.policy.max_usd == 0.5


def test_every_value_has_an_origin(home):
    found = run(home)
    assert set(found.origin) == {k for k in leaves(Config) if "[]" not in k} | {
        "upstreams",
        "upstreams.openrouter",
    }


flag_values = {
    "host": "::1", "port": 9, "store": False, "workers": 3,
}  # fmt: skip


def test_every_flag_reaches_its_key(home):
    assert set(flag_values) == set(FLAG_KEYS)
    for name, value in flag_values.items():
        found = run(home, flags={name: value})
        section, _, key = FLAG_KEYS[name].partition(".")
        assert getattr(getattr(found.config, section), key) == value
        assert found.origin[FLAG_KEYS[name]] == f"flag:--{name}"


def test_a_flag_without_a_value_says_nothing(home):
    assert run(home, flags={"port": None}).config.server.port == 8787


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    file=st.none() | st.integers(0, 65535),
    env=st.none() | st.integers(0, 65535),
    flag=st.none() | st.integers(0, 65535),
)
def test_the_last_source_that_speaks_wins(home, file, env, flag):
    cwd, _ = home
    put(cwd, "" if file is None else f"[server]\nport = {file}\n")
    found = run(home, OPENFUSION_PORT="" if env is None else str(env), flags={"port": flag})
    spoken = [v for v in (8787, file, env, flag) if v is not None]
    assert found.config.server.port == spoken[-1]
    kinds = [
        "default",
        *(k for k, v in (("file", file), ("env", env), ("flag", flag)) if v is not None),
    ]
    assert found.origin["server.port"].partition(":")[0] == kinds[-1]


# Mistakes


def test_all_mistakes_of_a_file_are_told_at_once_with_their_lines(home):
    cwd, _ = home
    put(cwd, '[auto]\ncost_quality = 11\nmod = "auto"\n[[upstreams]]\nbase_url = "x"\n')
    assert refusal(home, OPENFUSION_PORT="eighty").splitlines() == [
        "openfusion.toml:4: upstreams[0].name: is missing",
        "openfusion.toml:5: upstreams[0].base_url: must start with http:// or https:// and name a host",
        "openfusion.toml:2: auto.cost_quality: must be at most 10, got 11",
        'openfusion.toml:3: auto.mod: is not a known key (did you mean "mode"?)',
        "env:OPENFUSION_PORT: server.port: must be a whole number, not a string",
    ]


def test_a_wrong_flag_is_told_by_its_name_and_without_a_file(home):
    told = refusal(home, flags={"workers": 0})
    assert told == "flag:--workers: server.workers: must be at least 1, got 0"
    assert refusal(home, OPENFUSION_PORT="70000").startswith(
        "env:OPENFUSION_PORT: server.port: must be at most"
    )


def test_a_table_that_is_no_table_is_refused_although_the_environment_writes_to_it(home):
    cwd, _ = home
    put(cwd, "server = 3\nauto = []\n")
    text = refusal(home, OPENFUSION_PORT="1")
    assert "openfusion.toml:1: server: must be a table" in text
    assert "openfusion.toml:2: auto: must be a table" in text


# The pool


def test_a_pool_is_found_beside_the_file(home):
    cwd, _ = home
    sub = cwd / "sub"
    sub.mkdir()
    put(sub)
    (sub / "pool.toml").write_text(POOL.replace('"a"', '"beside"'))
    found = run(home, path=Path("sub/openfusion.toml"))
    assert [c.id for c in found.pool.candidates] == ["beside"]
    assert found.pool_source == sub / "pool.toml"


@pytest.mark.parametrize("name", SHIPPED_POOLS)
def test_a_shipped_pool_is_known_by_its_name(home, name):
    put(home[0], f'[pool]\nfile = "{name}"\n')
    found = run(home)
    assert found.pool_source == shipped_pool(name)
    assert {c.upstream for c in found.pool.candidates} <= {u.name for u in found.config.upstreams}


def test_the_local_pool_needs_no_upstreams_and_no_key(home):
    cwd, _ = home
    put(cwd, '[pool]\nfile = "local"\n')
    found = run(home)
    assert [u.name for u in found.config.upstreams] == ["ollama", "llamacpp", "vllm"]
    assert found.unready == {}
    assert found.warnings == ()


def test_a_pool_that_is_not_there_is_refused_with_the_shipped_names(home):
    cwd, _ = home
    put(cwd, '[pool]\nfile = "defalt"\n')
    text = refusal(home)
    assert text.startswith("openfusion.toml:2: pool.file: no such file: ")
    assert '"default", "local" (did you mean "default"?)' in text


@pytest.mark.parametrize(
    ("name", "why"), [(".", "is a folder, not a file"), ("", "must not be empty")]
)
def test_a_pool_that_is_no_file_is_said_to_be_none(home, name, why):
    put(home[0], f'[pool]\nfile = "{name}"\n')
    assert refusal(home).startswith(f"openfusion.toml:2: pool.file: {why}")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_called_like_the_configuration_and_is_none_is_never_passed_over(home, make):
    make(home[0] / "openfusion.toml")
    assert refusal(home).startswith("openfusion.toml: cannot be read (")


def test_a_mistake_in_the_pool_names_the_pool(home):
    cwd, _ = home
    put(cwd)
    (cwd / "pool.toml").write_text(POOL + "colour = 1\n")
    assert refusal(home) == 'pool.toml:6: candidate "a": colour: is not a known key'


def test_an_upstream_that_is_not_there_is_named_with_the_nearest_one(home):
    cwd, _ = home
    put(cwd)
    more = POOL.replace("relay", "rellay") + POOL.partition("\n")[2].replace('"a"', '"b"').replace(
        "relay", "zzz"
    )
    more += POOL.partition("\n")[2].replace('"a"', '"c"').replace("relay", "rellay")
    (cwd / "pool.toml").write_text(more)
    assert refusal(home).splitlines() == [
        'pool.toml: candidate "a" and 1 more: upstream "rellay" is not in [[upstreams]] (did you mean "relay"?); there: relay. Add it, or set pool.file',
        'pool.toml: candidate "b": upstream "zzz" is not in [[upstreams]]; there: relay. Add it, or set pool.file',
    ]


# Keys


def test_a_key_comes_from_the_environment_before_the_env_file(home):
    cwd, _ = home
    put(cwd)
    put(cwd, f"RELAY_API_KEY={SECRET}\nOPENFUSION_API_KEYS=c1\n", ".env").chmod(0o600)
    found = run(home)
    assert found.key("relay") == SECRET
    assert found.client_keys == ("c1",)
    assert found.warnings == ()
    assert run(home, RELAY_API_KEY="other").key("relay") == "other"
    assert run(home, RELAY_API_KEY="").key("relay") == SECRET
    assert found.key("nobody") is None


def test_the_env_file_serves_for_secrets_only(home):
    cwd, _ = home
    put(cwd)
    put(cwd, "OPENFUSION_PORT=1\nOPENFUSION_STATE_DIR=/elsewhere\nNOVALUE\n", ".env").chmod(0o600)
    found = run(home)
    assert found.config.server.port == 8787
    assert str(found.state_path) == home[1]["OPENFUSION_STATE_DIR"]


def test_no_env_file_is_read_without_a_configuration_file(home):
    cwd, _ = home
    put(cwd, f"OPENROUTER_API_KEY={SECRET}\n", ".env")
    assert run(home).key("openrouter") is None


def test_variables_in_an_env_file_are_not_expanded(home):
    cwd, _ = home
    put(cwd)
    put(cwd, "RELAY_API_KEY='a${HOME}b'\n", ".env")
    assert run(home).key("relay") == "a${HOME}b"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_an_env_file_that_others_can_read_is_a_warning(home):
    cwd, _ = home
    put(cwd)
    put(cwd, f"RELAY_API_KEY={SECRET}\n", ".env").chmod(0o644)
    (warning,) = run(home).warnings
    assert "chmod 600" in warning
    assert SECRET not in warning


def test_a_folder_that_we_may_not_look_into_has_no_configuration_for_us(home, monkeypatch):
    """As after `sudo -u openfusion openfusion keys create alice` in one's own home."""
    lstat = os.lstat

    def denied(path, **how):
        if Path(path).parent == home[0]:
            raise PermissionError(13, "Permission denied")
        return lstat(path, **how)

    monkeypatch.setattr(os, "lstat", denied)
    assert load(None, home[1], {}, home[0]).builtin


def test_an_env_file_that_cannot_be_read_as_text_is_refused_without_its_content(home):
    cwd, _ = home
    put(cwd)
    (cwd / ".env").write_bytes(b"RELAY_API_KEY=abc\xff\n")
    text = refusal(home)
    assert text.endswith(".env: is not UTF-8")


def test_an_env_file_that_cannot_be_opened_is_refused(home, monkeypatch):
    cwd, _ = home
    put(cwd)
    put(cwd, "A=b\n", ".env")

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dotenv.dotenv_values", denied)
    assert refusal(home).endswith(".env: cannot be read (Permission denied)")


def test_a_remote_upstream_without_its_key_is_unready(home):
    cwd, _ = home
    put(cwd, RELAY.replace("http://127.0.0.1:9311", "https://api.example.com"))
    assert run(home).unready == {"relay": "set RELAY_API_KEY"}
    ready = run(home, RELAY_API_KEY=f"  {SECRET}\n")
    assert ready.unready == {}
    assert ready.key("relay") == SECRET


def test_an_upstream_on_this_machine_is_called_without_a_key_and_says_so(home):
    cwd, _ = home
    put(cwd)
    found = run(home)
    assert found.unready == {}
    assert found.warnings == ("RELAY_API_KEY is not set: upstream relay is called without a key",)


def test_an_upstream_that_asks_for_no_key_is_ready(home):
    cwd, _ = home
    put(cwd, RELAY.replace('api_key_env = "RELAY_API_KEY"\n', ""))
    found = run(home)
    assert (found.unready, found.warnings, found.key("relay")) == ({}, (), None)


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "a b", "schlüssel", "a\x00b"])
def test_a_key_that_could_split_a_header_is_never_used(home, key):
    cwd, _ = home
    put(cwd)
    found = run(home, RELAY_API_KEY=key)
    assert found.unready == {
        "relay": "RELAY_API_KEY holds characters that no key has; set it again"
    }


@pytest.mark.parametrize(
    ("text", "keys"), [("", ()), (" , ,", ()), ("a", ("a",)), (" a ,b,", ("a", "b"))]
)
def test_client_keys_are_a_comma_list(home, text, keys):
    assert run(home, OPENFUSION_API_KEYS=text).client_keys == keys


def test_no_form_of_the_settings_shows_a_secret(home):
    cwd, _ = home
    put(cwd, RELAY.replace("[pool]", "extra_headers = { X-Gate = 'gate-secret' }\n[pool]"))
    env = {
        "RELAY_API_KEY": SECRET,
        "OPENFUSION_API_KEYS": "client-secret",
        "OPENFUSION_REDIS_URL": "redis://:redis-secret@h/0",
    }
    found = run(home, **env)
    assert found.redis_url == "redis://:redis-secret@h/0"
    assert found.config.upstreams[0].extra_headers == {"X-Gate": "gate-secret"}
    shown = [
        repr(found), str(found), f"{found}", json.dumps(found.public()), repr(found._secrets), str(found.config),
        repr(found.warnings), repr(dict(found.origin)), repr([getattr(found, f.name) for f in dataclasses.fields(Settings)]),
    ]  # fmt: skip
    for text in shown:
        for secret in (SECRET, "client-secret", "redis-secret", "gate-secret"):
            assert secret not in text
    for secret in (SECRET, "client-secret", "redis-secret"):
        assert secret not in found.config.model_dump_json()
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="secrets are not written"):
            write(found._secrets)


def test_the_public_view_is_the_whole_configuration_with_header_names_only(home):
    cwd, _ = home
    put(cwd, RELAY.replace("[pool]", "extra_headers = { X-Gate = 'v' }\n[pool]"))
    shown = run(home).public()
    assert shown["upstreams"][0]["extra_headers"] == ["X-Gate"]
    assert shown["server"]["port"] == 8787
    assert set(shown) == set(Config.model_fields)


def test_settings_cannot_be_changed(home):
    found = run(home)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.policy = Policy(cost_quality=1)
    with pytest.raises(TypeError):
        found.unready["x"] = "y"
    with pytest.raises(TypeError):
        found.origin["x"] = "y"


# Warnings


def test_listening_for_other_machines_without_client_keys_is_a_warning(home):
    (warning,) = run(home, OPENFUSION_HOST="0.0.0.0").warnings
    assert "set OPENFUSION_API_KEYS" in warning
    assert run(home, OPENFUSION_HOST="0.0.0.0", OPENFUSION_API_KEYS="k").warnings == ()
    state = Path(home[1]["OPENFUSION_STATE_DIR"])
    state.mkdir()
    (state / "keys.json").touch()
    assert run(home, OPENFUSION_HOST="0.0.0.0").warnings == ()


def test_http_to_another_machine_and_unknown_offers_are_warnings(home):
    cwd, _ = home
    put(
        cwd,
        RELAY.replace("127.0.0.1", "10.0.0.9").replace(
            "[pool]", 'offers = ["plugin", "models"]\n[pool]'
        ),
    )
    assert run(home, RELAY_API_KEY="k").warnings == (
        'upstream relay: offers "plugin" is not known (did you mean "plugins"?)',
        "upstream relay: http:// sends keys and prompts unencrypted",
    )


# The template


def test_the_template_loads_to_the_builtin_defaults(home):
    cwd, _ = home
    builtin = run(home)
    put(cwd, config_template())
    found = run(home)
    assert found.config == builtin.config
    assert found.policy == builtin.policy
    assert found.pool.digest == builtin.pool.digest
    assert found.warnings == builtin.warnings
    assert found.origin["session.cache_ttl_s"].startswith("file:openfusion.toml:")


def test_nothing_is_written_by_loading(home):
    cwd, env = home
    before = sorted(cwd.parent.rglob("*"))
    run(home)
    assert sorted(cwd.parent.rglob("*")) == before
    assert not Path(env["OPENFUSION_STATE_DIR"]).exists()
