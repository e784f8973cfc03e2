"""A conversation with an engine in this process: what `ask` does once and `chat` again and again."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openfusion_auto.cli import output
from openfusion_auto.cli.common import close_engine, load_settings, start_engine
from openfusion_auto.core.estimate import estimate_json
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.errors import FusionError, UpstreamDenied
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.judging import Incoming, raise_if_empty
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.chat_stream import ChatReader
from openfusion_auto.wire.telling import telling

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.runtime.trace import Trace

Show = Callable[[str], None]


class TerminalStream(ClientStream):
    """A streamed answer whose client is this terminal: text goes to `show`, an error event is kept as what it is.

    Attributes:
        error: Why the answer broke off, when it did.
    """

    def __init__(self, prompt: Prompt, show: Show, clock: Clock, *, guarded: bool) -> None:
        told = telling(prompt, answer_id="", created=0)
        super().__init__(told, self._take, clock, guarded=guarded, model=None)
        self._show = show
        self._reader = ChatReader(keep=False)
        self.error: FusionError | None = None

    @property
    def text(self) -> str:
        """What has been shown so far."""
        return self._reader.answer().text

    async def _take(self, data: bytes) -> None:
        for delta in self._reader.feed(data):
            if delta.text:
                self._show(delta.text)

    async def fail(self, error: FusionError) -> None:
        """Keep the error; the terminal needs no event."""
        self.error = error


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation is held: the configuration, and an engine that it describes."""

    settings: Settings
    engine: Engine


class Talk:
    """One conversation. A turn that fails or is cancelled leaves no message behind.

    Attributes:
        messages: What has been said, as chat messages.
        traces: Of every turn, failed ones too.
        model: The name that is asked for.
        options: The body field `openfusion` of every request.
    """

    def __init__(self, place: Place, *, model: str, options: Mapping[str, object]) -> None:
        self.messages: list[dict[str, str]] = []
        self.traces: list[Trace] = []
        self.model = model
        self.options = {name: value for name, value in options.items() if value is not None}
        self._place = place

    @property
    def settings(self) -> Settings:
        """The configuration that counts."""
        return self._place.settings

    @property
    def engine(self) -> Engine:
        """Who answers."""
        return self._place.engine

    def restart(self) -> None:
        """Forget what was said, and begin a new session: its model is chosen anew."""
        self.messages.clear()
        self.options["session"] = f"cli-{secrets.token_hex(8)}"

    async def move(self, place: Place) -> None:
        """Go on with another configuration; what was said and what it cost stays."""
        before, self._place = self._place, place
        await close_engine(before.engine)

    def estimate(self, text: str) -> dict[str, Any]:
        """Return what asking this would cost, as `POST /v1/estimate` says it; nothing is called or recorded.

        Raises:
            FusionError: nobody could answer.
        """
        judged = self.engine.judge(self._incoming(text, stream=False))
        raise_if_empty(judged)
        engine = self.engine
        return estimate_json(
            judged.decision,
            judged.pool,
            judged.policy,
            left_usd=judged.left_usd,
            dry_run=engine.dry_run,
        )

    def _incoming(self, text: str, *, stream: bool) -> Incoming:
        said = {"role": "user", "content": text}
        body: dict[str, object] = {"model": self.model, "messages": [*self.messages, said]}
        if stream:
            body["stream"] = True
        if self.options:
            body["openfusion"] = self.options
        return Incoming(parse_request(json.dumps(body).encode()), {})

    def _open(self, text: str, *, stream: bool) -> tuple[Incoming, Trace]:
        incoming = self._incoming(text, stream=stream)
        trace = self.engine.open(incoming)
        self.traces.append(trace)
        return incoming, trace

    def _keep(self, text: str, answer: str) -> None:
        self.messages += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": answer},
        ]

    async def stream(self, text: str, show: Show) -> None:
        """Ask, and show the answer as it comes.

        Raises:
            FusionError: no answer, or only a part of one; what was shown stays shown.
        """
        incoming, trace = self._open(text, stream=True)
        means = self.engine.means
        client = TerminalStream(incoming.prompt, show, means.clock, guarded=means.guarded)
        await self.engine.answer(incoming, trace, client)
        if client.error is not None:
            raise client.error
        self._keep(text, client.text)

    async def whole(self, text: str) -> dict[str, object]:
        """Ask, and return the answer's body as the server would send it.

        Raises:
            FusionError: no answer.
        """
        incoming, trace = self._open(text, stream=False)
        body: dict[str, object] = json.loads(await self.engine.answer(incoming, trace, None))
        self._keep(text, answer_text(body))
        return body

    async def close(self) -> None:
        """Release the connections, and write what was spent."""
        await close_engine(self.engine)


def start(config: Path | None, *, dry_run: bool, model: str, options: Mapping[str, object]) -> Talk:
    """Return a conversation with the engine that the configuration describes; says on stderr what it lacks."""
    settings = load_settings(config)
    place = Place(settings, start_engine(settings, asked=dry_run))
    return Talk(place, model=model, options=options)


def answer_text(body: Mapping[str, object]) -> str:
    """Return the text of a chat completion."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    text = message.get("content") if isinstance(message, dict) else None
    return text if isinstance(text, str) else ""


def summary(trace: Trace, engine: Engine) -> str:
    """Return one line about a turn: who answers, in which mode, for how much, how fast, and its trace.

    `~` marks money that was counted from bytes, because the upstream did not get to tell its tokens.
    """
    found = engine.means.pool.get(trace.speaker() or "")
    model = found.model if found else trace.speaker() or "nobody"
    mode = trace.mode or "undecided"
    counted = "~" if any(a.estimated for a in trace.attempts) else ""
    spent = trace.usd()
    money = "cost unknown" if spent is None else counted + output.usd(spent)
    if trace.dry_run:
        money = "nothing spent (dry run)"
    return f"{model} | {mode} | {money} | {trace.ms or 0:.0f} ms | {trace.id}"


def failed(trace: Trace, talk: Talk) -> list[str]:
    """Return what is known of a turn without an answer: a line for each call that failed, and what it came to.

    Where an upstream refused its key, the line says which key that was and where it was found.
    """
    if not trace.attempts:
        return []
    settings = talk.settings
    variables = {u.name: u.api_key_env for u in settings.config.upstreams}
    lines = []
    for call in (a for a in trace.attempts if a.error):
        line = f"  {call.candidate} at {call.upstream}: {call.detail or call.error}"
        variable = variables.get(call.upstream)
        if call.error == UpstreamDenied.default_code and variable is not None:
            place = settings.key_places.get(variable)
            line += f" Its key: {variable}{f' ({place})' if place else ', which is not set'}."
        lines.append(line)
    return [*dict.fromkeys(lines), f"failed | {summary(trace, talk.engine)}"]
