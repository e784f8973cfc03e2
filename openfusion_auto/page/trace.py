"""`/ui/traces/{trace}`: one request. What it was read as, who was ranked how, what was called, said and paid."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from markupsafe import Markup

from openfusion_auto.page import figures, markup, whatif
from openfusion_auto.page.render import render, seen
from openfusion_auto.runtime.archive import UNREADABLE, Archive
from openfusion_auto.runtime.trace import Trace, full
from openfusion_auto.server.keys import VIEWS
from openfusion_auto.server.traces import awaited
from openfusion_auto.store.records import Unreadable

Document = Mapping[str, Any]
# What is said about answers or the request, no answer itself.
ASIDE = ("analysis", "judge", "verify", "classify")


async def page(request: web.Request) -> web.Response:
    """`GET /ui/traces/{trace}`: everything; with settings in the query also what they would change."""
    try:
        trace = await awaited(request, Archive.whole)
    except Unreadable:
        found = await awaited(request, Archive.find)
        return render(request, "trace_summary.html", here="traces", title="Trace", trace=found)
    return render(
        request, "trace.html", here="traces", title="Trace", **await shown(request, trace)
    )


async def what_if(request: web.Request) -> web.Response:
    """`GET /ui/traces/{trace}/what-if`: what the settings in the query would change, as a piece of the page."""
    try:
        trace = await awaited(request, Archive.whole)
        ground = await asyncio.to_thread(whatif.ground_of, trace, request.app[VIEWS])
    except Unreadable:
        ground = UNREADABLE
    if isinstance(ground, str):
        return render(request, "trace_change.html", why_not=ground, change=None)
    knob, weights = whatif.asked(request, ground.decision.cost_quality)
    change = await asyncio.to_thread(whatif.change_of, ground, knob, weights)
    return render(request, "trace_change.html", why_not="", change=change)


async def shown(request: web.Request, trace: Trace) -> dict[str, Any]:
    """Return what the template shows of a trace."""
    document = full(trace)
    decision: Any = document["decision"]
    ground = await asyncio.to_thread(whatif.ground_of, trace, request.app[VIEWS])
    change: whatif.Change | None = None
    sliders: tuple[whatif.Slider, ...] = ()
    if not isinstance(ground, str):
        usual = ground.decision.cost_quality
        knob, weights = whatif.asked(request, usual)
        sliders = whatif.sliders(knob, weights, usual)
        if request.query_string:
            change = await asyncio.to_thread(whatif.change_of, ground, knob, weights)
    texts: Any = document.get("texts")
    return {
        "trace": document,
        "decision": decision,
        "bars": figures.bars(decision) if decision else (),
        "readings": figures.readings(decision["task"]) if decision else (),
        "timeline": figures.timeline(document),
        "why_not": ground if isinstance(ground, str) else "",
        "sliders": sliders,
        "change": change,
        "texts": texts,
        "figure": figures.figure,
        "prompt": marked(texts["asked"], decision) if texts else None,
        "answers": await asyncio.to_thread(answers_of, texts) if texts else (),
    }


def answers_of(texts: Document) -> list[dict[str, object]]:
    """Return the answers with their words as safe HTML."""
    return [
        {**said, "aside": said["phase"] in ASIDE, "html": markup.to_html(said["text"])}
        for said in texts["answers"]
    ]


def marked(text: str, decision: Document | None) -> Markup:
    """Return what was asked, the words that are evidence marked."""
    words: Sequence[Document] = decision["task"]["evidence"] if decision else ()
    return figures.marked(seen(text.replace("\r\n", "\n")), [str(e["why"]) for e in words])
