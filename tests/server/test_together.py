"""Metrics of several processes: one sum, states of the living, and nothing lost with one that dies."""

import json
import signal
import subprocess
import sys

import pytest

from openfusion_auto.server.worker import METRICS_FOLDER, forget_states
from tests.cli.processes import environment

# A worker that counts and tells its states, then waits; a line on stdin makes it tell a scrape.
CHILD = """
import json, os, sys
from collections import Counter
from pathlib import Path
from openfusion_auto.core.types import Breaker, Pool
from openfusion_auto.server.metrics import Look, Metrics
from openfusion_auto.store.base import Status

told = json.loads(sys.argv[1])
look = Look(
    pool=lambda: Pool((), "none"),
    breakers=dict,
    streams=lambda: told["streams"],
    store=lambda: Status("sqlite", told["problem"], told["waiting"], told["dropped"]),
    refused=lambda: Counter({("key", "requests"): told["refused"]}),
    config=lambda: (told["at"], True, Counter(ok=1)),
)
metrics = Metrics(look, Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
for _ in range(told["answers"]):
    metrics.answered("/v1/models", 200)
for _ in range(2):
    metrics.together.publish()
if told.get("again"):
    metrics.together.restarted()
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(metrics.text().decode()), flush=True)
"""


class Worker:
    def __init__(self, folder, **told):
        usual = {"streams": 0, "problem": None, "waiting": 0, "dropped": 0, "refused": 0, "at": 1.0}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps({**usual, "answers": 0, **told})],
            env=environment(**{METRICS_FOLDER: str(folder)}),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def scrape(self):
        self.process.stdin.write("now\n")
        self.process.stdin.flush()
        text = json.loads(self.process.stdout.readline())
        rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        assert len(rows) == len({name for name, _, _ in rows})
        return {name: float(value) for name, _, value in rows}

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(**told):
        started.append(Worker(tmp_path, **told))
        return started[-1]

    yield begin
    for worker in started:
        if worker.process.poll() is None:
            worker.end()


def test_a_scrape_tells_the_sum_whoever_is_asked_and_what_a_dead_worker_counted(start, tmp_path):
    one = start(answers=3, streams=2, waiting=1, refused=4, dropped=1, at=5.0)
    two = start(answers=4, streams=5, waiting=2, refused=1, at=9.0, problem="the disk is full")
    route = 'openfusion_http_requests_total{route="/v1/models",status="200"}'
    refused = 'openfusion_limits_refused_total{account="key",limit="requests"}'
    expected = {
        route: 7, refused: 5, "openfusion_workers": 2, "openfusion_streams_in_flight": 7,
        "openfusion_store_queue": 3, "openfusion_store_ok": 0, "openfusion_store_dropped_total": 1,
        "openfusion_config_loaded_timestamp_seconds": 5.0, "openfusion_worker_restarts_total": 0,
        'openfusion_config_reloads_total{result="ok"}': 2,
    }  # fmt: skip
    for worker in (one, two):
        told = worker.scrape()
        assert {name: told[name] for name in expected} == expected
    assert any(name.startswith("openfusion_build_info{") for name in told)

    two.end()
    forget_states(tmp_path, two.process.pid)
    three = start(again=True, answers=1)
    told = three.scrape()
    assert (told[route], told[refused], told["openfusion_workers"]) == (8, 5, 2)
    assert (told["openfusion_streams_in_flight"], told["openfusion_store_ok"]) == (2, 1)
    assert told["openfusion_worker_restarts_total"] == 1
