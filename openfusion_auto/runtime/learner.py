"""Learning from what happens after an answer: the next requests of a session say whether it held."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from openfusion_auto.core import lessons
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.lessons import Key, Watch
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.types import Pool, Task
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.runtime.state import LiveState

DAY_S = 86_400.0
# Sessions whose task in hand is remembered; the one unused for longest goes first.
MAX_WATCHED = 5_000


class Learner:
    """Watches sessions and counts hard signals; the counts live in `LiveState`. Holds no words, only their hashes."""

    def __init__(
        self,
        live: LiveState,
        *,
        half_life_days: float,
        max_lift: float,
        watched: OrderedDict[str, Watch] | None = None,
    ) -> None:
        self._live = live
        self._half_life_s = half_life_days * DAY_S
        self._max_lift = max_lift
        self._watched: OrderedDict[str, Watch] = OrderedDict() if watched is None else watched

    def following(self, *, half_life_days: float, max_lift: float) -> Learner:
        """Return the learner of another configuration; both watch the same, for requests that began with this one."""
        return Learner(
            self._live, half_life_days=half_life_days, max_lift=max_lift, watched=self._watched
        )

    def observe(self, prompt: Prompt, session: str, identity: str) -> tuple[str, ...]:
        """Count what a request says about the answers before it; returns a sentence for each signal.

        What a session is watched for belongs to the client who was answered: another one's words count for nothing.
        """
        name = session_hash(session)
        watch = self._watched.get(name)
        if watch is None or watch.project != lessons.project_of(prompt, identity):
            return ()
        found = lessons.signals(prompt, read_facts(prompt), watch)
        for signal in found:
            key = str(Key(watch.project, watch.kind, watch.candidate))
            tally = self._live.tallies.get(key, lessons.Tally())
            now_s = self._live.now_s()
            self._live.keep_tally(
                key,
                lessons.taught(
                    tally, now_s, self._half_life_s, good=signal.good, expected=watch.expected
                ),
            )
            watch = replace(watch, good=watch.good or signal.good, bad=watch.bad or not signal.good)
        self._watched[name] = watch
        return tuple(f"learned about {watch.candidate}: {signal.why}" for signal in found)

    def lifted(self, task: Task, prompt: Prompt, identity: str, pool: Pool) -> Task:
        """Return the task with what was learned in its project beside the lifts that it has."""
        if task.kind == "aux" or not self._live.tallies:
            return task
        project = lessons.project_of(prompt, identity)
        known = lessons.by_candidate(self._live.tallies, project, task.kind, pool.by_id)
        if not known:
            return task
        now_s = self._live.now_s()
        aged = [(n, lessons.decayed(t, now_s, self._half_life_s)) for n, t in known]
        lifts = lessons.lifts_of(aged, pool, task.kind, self._max_lift)
        return replace(task, lifts=lessons.summed(task.lifts, lifts)) if lifts else task

    def again(self, session: str, candidate: str) -> None:
        """Take note that a kept answer of a candidate was given again in a session.

        It is one answer, however often it is given, so it teaches nothing more, nor does the same request tell anything
        new of the answers before it. But what follows it is not the doing of another who answered there in between.
        """
        name = session_hash(session)
        watch = self._watched.get(name)
        if watch is not None and watch.candidate != candidate:
            del self._watched[name]

    def answered(
        self, prompt: Prompt, session: str, identity: str, task: Task, candidate: str, pool: Pool
    ) -> None:
        """Watch what the next requests of a session say about who answered this one, of that pool."""
        if task.kind == "aux" or task.turn == "aux" or candidate not in pool.row_of:
            return
        name = session_hash(session)
        facts = read_facts(prompt)
        if facts.closing:
            self._watched.pop(name, None)
            return
        old = self._watched.get(name)
        words = lessons.task_name(facts)
        if old is None or old.task != words or old.candidate != candidate:
            same = old is not None and old.task == words
            done = lessons.count_done(prompt) if same else 0
            project = lessons.project_of(prompt, identity)
            expected = lessons.expected_of(pool, candidate, task)
            self._watched[name] = Watch(project, task.kind, candidate, words, expected, done)
        elif facts.turn == "user":  # a person spoke: what is done is counted from here
            self._watched[name] = replace(old, done=0)
        self._watched.move_to_end(name)
        while len(self._watched) > MAX_WATCHED:
            self._watched.popitem(last=False)
