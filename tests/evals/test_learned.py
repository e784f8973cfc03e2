"""The play of learning: on benchmarks that are wrong it finds out, and says by how much it helps."""

from dataclasses import replace
from random import Random

from openfusion_auto.core.types import Benchmark
from tests.evals.learned import ERRORS, gain, learned, plain, project, read, report, request_of
from tests.evals.recorded import source


def test_wrong_benchmarks_are_found_out_by_outcomes():
    made = source(120)
    tasks = [plain(read(request_of(p))) for p in made.prompts]
    given = project(made, tasks, 0.0, Random(0))
    # Half of what the idle one does is wrong, and it is the dearest; its benchmark says that it is the best.
    said = {"cheap": 50.0, "idle": 97.0, "strong": 60.0}
    wrong = tuple(
        replace(c, benchmarks=(Benchmark("recorded", said[c.id], 500, "made"),))
        for c in given.pool.candidates
    )
    given = replace(given, pool=replace(given.pool, candidates=wrong, digest="sha256:wrong"))
    lifts = learned(given, 0.0, Random(0))
    assert dict(lifts)["idle"] < -0.05
    assert gain(given, 0.0, lifts) > gain(given, 0.0, ()) + 0.05


def test_the_report_has_a_line_for_each_error():
    lines = report([source(40)], projects=2).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [f"{e:.1f}" for e in ERRORS]
