"""Whether an answer declines the task, by its own words: in a panel another member's answer is preferred.

Declining can be right, so nothing is mended for it. Only short answers are read: what is explained at length is an
answer. Without code, since who declines shows none.
"""

from __future__ import annotations

import re

MOST = 600  # [characters] of an answer that can be nothing but a refusal

_HELP = (
    r"(?:help|assist|comply|do that|do this|fulfil|provide|support|complete|continue|create|write|generate|discuss"
    r"|share|answer|engage)"
)
_CANNOT = (
    r"(?:can(?:['’]t|not| not)|won['’]t|will not|(?:am|['’]m) (?:unable|not able|not comfortable|not permitted"
    r"|not allowed)(?: to| with)?|(?:must|have to) decline(?: to)?)"
)
_ENGLISH = (
    rf"\bi {_CANNOT}\s+(?:\w+ )?{_HELP}",
    rf"\bi['’]?\s?(?:a)?m (?:unable|not able|not comfortable|not permitted) (?:to|with)?\s*{_HELP}",
    r"\bi (?:must|have to|need to) (?:respectfully )?(?:decline|refuse)\b",
    r"\b(?:against|violates?) (?:my|our|the) (?:\w+ )?(?:guidelines|polic(?:y|ies)|terms)\b",
    r"\bas an ai(?: language)?(?: model| assistant)?,? i (?:cannot|can['’]t|am unable|am not able)",
    r"\bsorry,? but (?:i )?can['’]?(?:not|t) (?:help|assist|do|comply)",
)
_OTHERS = (
    r"\blo siento,? (?:pero )?no puedo (?:ayudar|asistir|cumplir|hacer|proporcionar)",
    r"\bdésolée?,? (?:mais )?je ne (?:peux|suis) pas (?:vous |en mesure|répondre|aider|fournir)",
    r"\b(?:tut mir leid|entschuldigung),? (?:aber )?(?:dabei |damit |das )?kann ich (?:\w+ )?nicht",
    r"\btut mir leid,? (?:aber )?ich kann",
    r"\bdesculpe,? (?:mas )?não posso (?:ajudar|fazer|fornecer)",
    r"(?:抱歉|对不起|很遗憾)[,，]?\s*我?(?:无法|不能)",
    r"申し訳(?:ありません|ございません).{0,30}(?:できません|いたしかねます)",
    r"(?:извините|к сожалению),? (?:но )?я не могу",
)
_REFUSES = re.compile("|".join((*_ENGLISH, *_OTHERS)), re.IGNORECASE)
# What is not there cannot be read, and asking for it is no refusal.
_LACKS = re.compile(
    r"\b(?:without|until|unless|don['’]t (?:have|see)|do not (?:have|see)|could you"
    r"|please (?:share|paste|provide|attach|send))\b",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether a text is a refusal and nothing else."""
    said = text.strip()
    if not said or len(said) > MOST or "```" in said:
        return False
    return _REFUSES.search(said) is not None and _LACKS.search(said) is None
