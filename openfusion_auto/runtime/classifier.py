"""A small model that says what a person asks for: one call for a new task, its word kept for the session."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict

from openfusion_auto.core.classify import Verdict
from openfusion_auto.core.facts import Facts
from openfusion_auto.core.question import question, reply_of
from openfusion_auto.core.recipes import Ask
from openfusion_auto.runtime.caller import Caller
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.wire.chat_request import parse_request

PHASE = "classify"
SHARE = 0.1  # of a request's budget that the question may take at most
MAX_KEPT = 5_000  # sessions whose last verdict is remembered; the one unused for longest goes first


Memory = OrderedDict[str, tuple[str, Verdict]]


class Classifier:
    """Asks one candidate, once a task, and remembers. Holds no words: a hash says whether a task is the same."""

    def __init__(
        self, candidate: str, *, timeout_s: float, max_chars: int, kept: Memory | None = None
    ) -> None:
        self.candidate = candidate
        self._timeout_s = timeout_s
        self._max_chars = max_chars
        self._kept: Memory = OrderedDict() if kept is None else kept

    def following(self, candidate: str, *, timeout_s: float, max_chars: int) -> Classifier:
        """Return the classifier of another configuration; both remember all where the same model is asked the same."""
        same = (candidate, max_chars) == (self.candidate, self._max_chars)
        return Classifier(
            candidate,
            timeout_s=timeout_s,
            max_chars=max_chars,
            kept=self._kept if same else None,
        )

    def known(self, session: str, facts: Facts) -> Verdict | None:
        """Return what was said about this session's standing task, None when nothing was."""
        found = self._kept.get(session_hash(session))
        return found[1] if found is not None and found[0] == digest_of(facts) else None

    def asks(self, session: str, facts: Facts) -> bool:
        """Whether there is something to ask: a person's turn with words of a task that nothing is known about.

        A call that a client makes for itself and words that only close a task are told without a question.
        """
        return (
            facts.turn == "user"
            and facts.aux is None
            and not facts.closing
            and bool(facts.words.strip())
            and self.known(session, facts) is None
        )

    async def ask(self, session: str, facts: Facts, caller: Caller) -> str | None:
        """Ask, and remember what was said; returns a sentence when there is no usable answer."""
        ask = Ask(PHASE, (self.candidate,), parse_request(question(facts.words, self._max_chars)))
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await caller.once(ask)
        except TimeoutError:
            return self._failed(f"no answer within {self._timeout_s:g} s")
        if reply.answer is None:
            return self._failed(reply.error.message[:200] if reply.error else "no answer")
        said = reply_of(reply.answer.text, self.candidate)
        if isinstance(said, str):
            return self._failed(said)
        name = session_hash(session)
        self._kept[name] = (digest_of(facts), said)
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return None

    def _failed(self, why: str) -> str:
        return f"classifier {self.candidate}: {why}; the words were read without it"


def digest_of(facts: Facts) -> str:
    """Return a name of a standing task that holds nothing of it."""
    return hashlib.sha256(facts.words.encode("utf-8", "surrogatepass")).hexdigest()[:32]
