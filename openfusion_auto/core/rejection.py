"""A person's words that reject an answer: what was done is to be taken back, or still does not work.

First sentences, whole, in thirteen languages. Rather too few: praise that is misread as rejection would teach the
opposite of what happened.
"""

from __future__ import annotations

import re

FIRST_CHARS = 60  # [characters] of a sentence that may reject something
ALONE_CHARS = (
    200  # [characters] of words that begin so and still say nothing of a task of their own
)

_BEFORE = r"(?:(?:hey|hi|no|nope|hmm+|sorry|please|ok|okay|nein|bitte|non|nee|нет|não)[, ]+)*"
_AFTER = r"(?: (?:please|bitte|por favor|s['’]il te plaît|per favore|alsjeblieft|пожалуйста))?"
_UNDO = (
    r"undo(?: (?:that|this|it|everything|your changes?|the (?:last )?changes?))?|"
    r"(?:revert|roll back|rollback|discard)(?: (?:that|this|it|everything|your changes?|the (?:last )?changes?))|"
    r"revert|(?:put|change|roll) (?:that|this|it) back|"
    r"(?:mach(?:e)? (?:das|es) )?rückgängig(?: machen)?|nimm das zurück|"
    r"annule(?:z)?(?: (?:ça|cela|tout))?|"
    r"deshaz(?:lo)?(?: (?:eso|esto))?|revi[eé]rte(?:lo)?(?: (?:eso|esto))?|"
    r"(?:desfaz|desfaça|reverte)(?: (?:isso|isto))?|annulla(?: tutto)?|"
    r"maak (?:dat|het) ongedaan|draai (?:dat|het) terug|"
    r"(?:отмени|откати)(?: (?:это|всё))?|верни как было|cofnij(?: to)?|geri al|"
    r"撤销|撤回|还原|回滚|改回去|元に戻して(?:ください)?|取り消して(?:ください)?|되돌려(?: ?줘)?|취소해(?: ?줘)?"
)
_WHAT = r"(?:that|this|it|(?:the|that|this) (?:test|build|bug|error|problem|issue|page|fix)s?)"
_FAILS = (
    r"you broke (?:it|everything|the \w+)|"
    rf"{_WHAT} (?:did not|didn['’]?t|does not|doesn['’]?t) (?:work|help|fix (?:it|that|this))|"
    r"(?:did not|didn['’]?t|does not|doesn['’]?t) (?:work|help)|"
    rf"(?:(?:{_WHAT}|tests?)(?:['’]s| is| are)? )?still (?:(?:not|doesn['’]?t|don['’]?t|does not|do not) "
    r"(?:work(?:ing)?|fixed|pass(?:ing)?)|there|fail(?:s|ing)?|broken|wrong|crash(?:es|ing)|happens|happening|red|"
    r"(?:the |getting the )?same(?: (?:error|problem|issue|thing|result))?)|"
    rf"(?:(?:{_WHAT}(?:['’]s| is| has)?|we have|i get|getting) )?(?:the )?(?:exact )?same "
    r"(?:error|problem|issue|result)(?: again| as before)?|"
    rf"(?:{_WHAT}(?:['’]s| is| has)|i get|getting) (?:the )?(?:exact )?same thing(?: again| as before)?|"
    rf"{_WHAT}(?:['’]s| is) (?:not (?:fixed|working)|wrong|not (?:right|what i (?:asked|wanted|meant)(?: for)?))|"
    r"(?:das|es) hat nicht (?:funktioniert|geholfen)|(?:das|es) (?:funktioniert|geht)(?: immer noch)? nicht|"
    r"immer noch (?:kaputt|derselbe fehler)|"
    r"ça n['’]a pas (?:marché|fonctionné)|ça ne (?:marche|fonctionne) (?:toujours )?pas|"
    r"(?:eso |esto )?no (?:ha )?funcion(?:ó|a|ado)|sigue (?:sin funcionar|fallando)|"
    r"(?:isso )?não funcion(?:ou|a)|non (?:ha funzionato|funziona)(?: ancora)?|"
    r"(?:dat|het) (?:werkte|werkt)(?: nog steeds)? niet|"
    r"(?:это )?(?:всё ещё |все еще )?не (?:сработало|работает)|(?:to )?(?:nadal )?nie działa|çalışmadı|"
    r"还是不行|没用|没有用|还是报错|(?:まだ)?動(?:かない|きません)|"
    r"(?:여전히 |아직도 )?안 ?돼(?:요)?|작동하지 않(?:아|습니다)"
)
_STILL_FAILS = re.compile(rf"{_BEFORE}(?:{_FAILS}){_AFTER}")
_TAKES_BACK = re.compile(rf"{_BEFORE}(?:{_UNDO}|{_FAILS}){_AFTER}")
# One of these stands in every such sentence of ASCII letters; looking for them costs a tenth of the pattern.
_GATES = (
    *("still", "same", "work", "help", "fix", "broke", "wrong", "not ", "nicht", "noch", "pas"),
    *("funcion", "fallando", "funzion", "niet", "nie "),
)
_SENTENCE = re.compile(r"[.!?;:\n。！？]")


def takes_back(words: str) -> bool:
    """Whether a person's words begin by taking back or rejecting what was done."""
    first = first_sentence(words)
    return len(first) <= FIRST_CHARS and _TAKES_BACK.fullmatch(first) is not None


def still_fails(words: str) -> bool:
    """Whether a person only says that what was done does not work: the task is the one before, and was not solved."""
    if len(words) > ALONE_CHARS or (
        words.isascii() and not any(map(words.lower().__contains__, _GATES))
    ):
        return False
    first = first_sentence(words)
    return len(first) <= FIRST_CHARS and _STILL_FAILS.fullmatch(first) is not None


def besides(words: str) -> str:
    """Return what follows the first sentence of words, "" when nothing does."""
    _, *rest = _SENTENCE.split(words.strip(), maxsplit=1)
    return "".join(rest).strip()


def first_sentence(words: str) -> str:
    """Return the first sentence of words, folded."""
    first = _SENTENCE.split(words[: 4 * FIRST_CHARS].strip().casefold(), maxsplit=1)[0]
    return " ".join(first.split()).strip(" ,")
