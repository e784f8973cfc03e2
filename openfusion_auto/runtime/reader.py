"""How this server reads requests: the trained reading or a classifier's word, then what its operator says about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from openfusion_auto.core.classify import task_of
from openfusion_auto.core.decide import bounds
from openfusion_auto.core.experience import Experience
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.prompt import ModeName, Options, Prompt
from openfusion_auto.core.rules import Rule
from openfusion_auto.core.types import Forced, Policy, Task
from openfusion_auto.runtime.classifier import SHARE, Classifier
from openfusion_auto.runtime.learner import Learner
from openfusion_auto.runtime.trace import Trace


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads requests.

    Attributes:
        rules: The operator's own.
        mode: The mode of every person's turn that no rule and no request says otherwise of; None = as decided.
        classifier: The model that is asked what a person's words are, or None.
        experience: What recorded outcomes taught, or None.
        learner: Who watches sessions for what they teach, or None.
    """

    rules: tuple[Rule, ...] = ()
    mode: Forced | None = None
    classifier: Classifier | None = None
    experience: Experience | None = None
    learner: Learner | None = None

    def read(
        self, prompt: Prompt, session: str, *, role: str | None, only: tuple[str, ...]
    ) -> Task:
        """Read a request of a session into a task; `role` and `only` as of `classify.read`."""
        facts = read_facts(prompt)
        said = None if self.classifier is None else self.classifier.known(session, facts)
        task = task_of(
            prompt,
            facts,
            role=role,
            only=only,
            experience=self.experience,
            rules=self.rules,
            said=said,
        )
        if self.mode is not None and task.forced is None and task.turn == "user":
            return replace(task, forced=self.mode)
        return task


EVERY_TURN: dict[str, ModeName] = {"always": "panel", "never": "single"}


def every_turn(classifier_mode: str) -> Forced | None:
    """Return the mode that `classifier.mode` asks for on every person's turn, None for those that read."""
    mode = EVERY_TURN.get(classifier_mode)
    return (
        None if mode is None else Forced(mode, f'classifier.mode = "{classifier_mode}" asks for it')
    )


def left_of(policy: Policy, options: Options, trace: Trace) -> Policy:
    """Return the policy with what a request has used already taken off its limits."""
    if not trace.attempts:
        return policy
    max_calls, max_usd = bounds(policy, options)
    if max_usd is not None:
        max_usd = max(0.0, max_usd - sum(a.known_usd for a in trace.attempts))
    return replace(policy, max_usd=max_usd, max_calls=max(0, max_calls - len(trace.attempts)))


def share_of(policy: Policy, options: Options) -> tuple[int, float | None]:
    """Return what a classifier may use of a request's limits: calls (one must be left for the answer), and money."""
    max_calls, max_usd = bounds(policy, options)
    return max_calls - 1, None if max_usd is None else SHARE * max_usd
