"""What the answers of a panel have in common and where they differ, as JSON: asked for, never part of the answer.

The judge compares and does not merge. Its reply is read by a fixed form: five lists, members by their ids. What does
not fit is left out; a reply that cannot be read costs the analysis, never the answer.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.recipes import Ask, Gather, Reply, prompts
from openfusion_auto.core.types import Decision
from openfusion_auto.core.vote import Said

MOST = 12  # entries of one list
MOST_CHARS = 500  # [characters] of one entry
Analysis = Mapping[str, list[object]]
Analysed = Generator[Ask | Gather, tuple[Reply, ...], tuple[Analysis | None, tuple[str, ...]]]

ANALYSE = """\
Stop being the assistant of this conversation. Compare the independent answers to the last request below, a JSON
array; do not merge them and do not answer the request.
Answers: {answers}
Answer with one JSON object and nothing else. Answers are named by their numbers.
{{"consensus": ["what all say"],
 "contradictions": [{{"topic": "of what", "stances": [{{"answer": 1, "stance": "what it says"}}]}}],
 "partial_coverage": [{{"answers": [1], "point": "what only some cover"}}],
 "unique_insights": [{{"answer": 1, "insight": "what it alone sees"}}],
 "blind_spots": ["what none covers"]}}"""


def analysed(prompt: Prompt, decision: Decision, side: list[Said]) -> Analysed:
    """Ask for an analysis where the plan has a step for it; with it, notes for the trace."""
    step = next((s for s in decision.plan.steps if s.phase == "analysis"), None)
    if step is None or len(side) < 2:
        return None, ()
    text = ANALYSE.format(answers=prompts.listed(tuple(a for _, a in side)))
    (reply,) = yield Ask("analysis", step.candidates, prompts.inner(prompt, prompts.user(text)))
    found = None
    if reply.answer is not None:
        found = read_analysis(reply.answer.text, [c for c, _ in side])
    return found, () if found is not None else ("the analysis failed: left out",)


def read_analysis(text: str, names: list[str]) -> Analysis | None:
    """Read an analysis; None when it is not readable. `names` are the candidates by their answers' numbers."""
    found = prompts.json_object(text)
    if found is None or not isinstance(found.get("consensus"), list):
        return None
    rows = {key: listed(found.get(key)) for key in KEYS}

    def named(row: Mapping[str, object]) -> str | None:
        number = row.get("answer")
        known = (
            isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= len(names)
        )
        return names[number - 1] if known and isinstance(number, int) else None

    def insight(row: Mapping[str, object], key: str) -> dict[str, object] | None:
        said, who = words(row.get(key)), named(row)
        return {"candidate": who, key: said} if said and who else None

    def contradiction(row: Mapping[str, object]) -> dict[str, object] | None:
        topic = words(row.get("topic"))
        stances = [insight(s, "stance") for s in objects(listed(row.get("stances")))]
        kept = [s for s in stances if s is not None]
        return {"topic": topic, "stances": kept} if topic and kept else None

    def coverage(row: Mapping[str, object]) -> dict[str, object] | None:
        point = words(row.get("point"))
        who = [named({"answer": n}) for n in listed(row.get("answers"))]
        known = [w for w in who if w]
        return {"candidates": known, "point": point} if point and known else None

    return {
        "consensus": [w for w in map(words, rows["consensus"]) if w],
        "contradictions": [c for c in map(contradiction, objects(rows["contradictions"])) if c],
        "partial_coverage": [c for c in map(coverage, objects(rows["partial_coverage"])) if c],
        "unique_insights": [
            i for r in objects(rows["unique_insights"]) if (i := insight(r, "insight"))
        ],
        "blind_spots": [w for w in map(words, rows["blind_spots"]) if w],
    }


KEYS = ("consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots")


def listed(value: object) -> list[object]:
    """Return a list's first entries; nothing for what is no list."""
    return value[:MOST] if isinstance(value, list) else []


def objects(rows: list[object]) -> list[Mapping[str, object]]:
    """Return those entries that are objects."""
    return [r for r in rows if isinstance(r, dict)]


def words(value: object) -> str:
    """Return an entry's text, bounded; "" for what is no text."""
    return value.strip()[:MOST_CHARS] if isinstance(value, str) else ""
