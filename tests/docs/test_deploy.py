"""The files under docs/deploy against the code: they parse, and what they name exists."""

import configparser
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from openfusion_auto.cli.main import cli
from openfusion_auto.cli.serve import command
from openfusion_auto.config.load import load
from openfusion_auto.config.schema import Config
from tests.docs.regenerate import ROOT

DEPLOY = ROOT / "docs" / "deploy"
PORT = Config().server.port
STATE = "/var/lib/openfusion"


def text(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def parsed(name):
    return yaml.safe_load(text(name))


@pytest.fixture
def service():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(text("openfusion.service"))
    return unit["Service"]


def check_serve(words):
    """The words after `openfusion` are a command that exists, with flags that it has."""
    assert cli.get_command(None, words[0]) is command
    context = command.make_context("serve", list(words[1:]))
    assert str(context.params["config"]) == "/etc/openfusion/openfusion.toml"


def test_the_unit_starts_what_there_is_and_waits_longer_than_the_drain(service):
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/openfusion")
    check_serve(words)
    assert "-HUP" in service["ExecReload"]
    assert float(service["TimeoutStopSec"]) > Config().server.drain_s
    assert service["Environment"] == f"OPENFUSION_STATE_DIR={STATE}"
    assert f"/var/lib/{service['StateDirectory']}" == STATE


def instructions():
    """Instruction -> its arguments, in order; continued lines are joined."""
    joined = text("Containerfile").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in joined.splitlines() if line and line[0] != "#"]
    found = {}
    for name, rest in lines:
        found.setdefault(name, []).append(rest)
    return found


def test_the_container_runs_what_there_is():
    found = instructions()
    assert yaml.safe_load(found["ENTRYPOINT"][0]) == ["openfusion"]
    check_serve(yaml.safe_load(found["CMD"][0]))
    assert found["EXPOSE"] == [str(PORT)]
    assert f"http://127.0.0.1:{PORT}/health" in found["HEALTHCHECK"][0]
    assert found["ENV"] == [f"OPENFUSION_STATE_DIR={STATE}"]
    assert found["VOLUME"] == [STATE]
    assert found["USER"] == ["openfusion"]


def test_the_container_has_a_python_and_extras_that_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.fullmatch(r"python:(\d\.\d+)-slim", instructions()["FROM"][0])[1]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    extras = re.search(r"/src\[([a-z,]+)\]", text("Containerfile"))[1].split(",")
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_image_holds_what_the_package_is_made_of_and_no_keys():
    """A layer keeps what was copied into it, whatever a later one removes."""
    copied = [line.split() for line in instructions()["COPY"]]
    sources = {Path(source) for *found, _ in copied for source in found}
    assert all(to.rstrip("/") in ("/src", *(f"/src/{f}" for f in found)) for *found, to in copied)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = wheel["targets"]["wheel"]
    needed = {
        Path(p) for p in ("README.md", "LICENSE", *wheel["packages"], *wheel["force-include"])
    }
    assert [p for p in needed if sources.isdisjoint((p, *p.parents))] == []
    assert [p for p in sources if not (ROOT / p).exists()] == []
    compose = parsed("compose.yaml")
    secrets = [compose["services"]["openfusion"]["env_file"]]
    secrets += [secret["file"] for secret in compose["secrets"].values()]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for name in secrets:
        assert f"/docs/deploy/{name}" in ignored
        assert sources.isdisjoint(Path("docs/deploy", name).parents)


def test_the_services_fit_together():
    compose = parsed("compose.yaml")
    router = compose["services"]["openfusion"]
    assert router["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    build = router["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]) == DEPLOY / "Containerfile"
    assert set(router["depends_on"]) <= set(compose["services"])
    assert router["environment"]["OPENFUSION_REDIS_URL"].startswith("redis://redis:6379")
    assert f"state:{STATE}" in router["volumes"]
    assert float(router["stop_grace_period"].rstrip("s")) > Config().server.drain_s
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            known = (
                (DEPLOY / source).is_file() if source[0] == "." else source in compose["volumes"]
            )
            assert known, volume
        assert set(service.get("secrets", ())) <= set(compose["secrets"])


def test_prometheus_asks_the_router_by_a_name_that_it_serves():
    compose, prometheus = parsed("compose.yaml"), parsed("prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    ((target,),) = [c["targets"] for c in job["static_configs"]]
    name, _, port = target.partition(":")
    assert name in compose["services"]
    assert int(port) == PORT
    assert name in tomllib.loads(text("router.toml"))["server"]["allowed_hosts"]
    secret = job["authorization"]["credentials_file"].rpartition("/")[2]
    assert secret in compose["services"]["prometheus"]["secrets"]
    mounted = [v.split(":")[1] for v in compose["services"]["prometheus"]["volumes"]]
    assert set(prometheus["rule_files"]) <= set(mounted)


def test_the_configuration_loads_and_asks_for_keys(tmp_path):
    (tmp_path / "openfusion.toml").write_text(text("router.toml"))
    env = {"OPENFUSION_API_KEYS": "k", "OPENROUTER_API_KEY": "k", "XDG_CONFIG_HOME": str(tmp_path)}
    settings = load(None, env, {}, tmp_path)
    assert settings.warnings == ()
    assert settings.config.log.format == "json"


def test_alerts_name_metrics_that_are_documented():
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    rules = [r for g in parsed("alerts.yml")["groups"] for r in g["rules"]]
    assert len(rules) == 4
    for rule in rules:
        assert {"alert", "expr", "annotations"} <= set(rule)
        named = re.findall(r"openfusion_\w+", rule["expr"])
        assert named
        assert [n for n in named if f"| `{n}` |" not in page] == []


def test_the_page_names_every_file():
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    unit_and_rest = {str(p.relative_to(DEPLOY)) for p in DEPLOY.rglob("*") if p.is_file()}
    unit_and_rest -= {"prometheus.yml", "Containerfile"}
    assert [n for n in unit_and_rest if f"deploy/{n}" not in page] == []


def test_the_dashboard_names_metrics_and_labels_that_are_documented():
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(openfusion_\w+)` \| \w+ \| (.*?) \|", page, re.MULTILINE))
    panels = json.loads(text("grafana/openfusion.json"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {
        re.sub("_bucket$", "", name) for e in asked for name in re.findall(r"openfusion_\w+", e)
    }
    assert named <= set(rows)
    for expression in asked:
        (known,) = {
            rows[re.sub("_bucket$", "", n)] for n in re.findall(r"openfusion_\w+", expression)
        }
        labels = {
            label.strip()
            for found in re.findall(r"by \((.*?)\)|\{(\w+)[!=]", expression)
            for label in "".join(found).split(",")
        }
        assert labels - {"le"} <= set(re.findall(r"`(\w+)`", known)), expression


def test_the_dashboard_is_where_grafana_looks_for_it():
    compose = parsed("compose.yaml")
    grafana = compose["services"]["grafana"]
    assert set(grafana["depends_on"]) <= set(compose["services"])
    mounted = {v.split(":")[0]: v.split(":")[1] for v in grafana["volumes"]}
    (provider,) = parsed("grafana/dashboards.yaml")["providers"]
    assert mounted["./grafana/openfusion.json"].startswith(provider["options"]["path"] + "/")
    (source,) = parsed("grafana/datasource.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    panels = json.loads(text("grafana/openfusion.json"))["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"${source}"}
    places = [(p["gridPos"]["x"] + p["gridPos"]["w"], p["id"]) for p in panels]
    assert max(right for right, _ in places) <= 24  # Grafana's columns
    assert len({number for _, number in places}) == len(panels)
