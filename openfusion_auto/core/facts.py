"""What a request is before anyone judges it: whose words, which task, which turn, what the tools said.

A coding agent's request is mostly envelope. `read_facts` finds the standing task: the person's last words, or the ones
before when the last only say "yes", "continue" or "still broken". It reads a bounded part of whatever comes and never
raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from openfusion_auto.core import envelope
from openfusion_auto.core.aux_calls import Aux, find_aux
from openfusion_auto.core.lexicon import word_set
from openfusion_auto.core.outcomes import Outcome, is_result, struggle_of, tried
from openfusion_auto.core.prompt import Message, Prompt
from openfusion_auto.core.rejection import besides, still_fails
from openfusion_auto.core.types import Turn

REJECTED = 2  # times that a person says "still broken" of one task: the session's model is stuck
CALL_CHARS = 2_000  # [characters] of one tool call that are looked at
CALLS_CHARS = 8_000  # [characters] of all of them
ACK_TOKENS = 8  # a longer answer than this says something of its own
PROPOSAL_CHARS = 700  # [characters] of the assistant's last words that may hold its proposal


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read. Texts stay in memory; none of them may go into a trace.

    Attributes:
        turn: Whose turn it is.
        words: The standing task in the person's words, bounded.
        code: The head of what was pasted as code beside it.
        text: The standing task with all that was pasted beside it, bounded.
        marks: Kinds of paste seen beside it: `log`, `trace`, `diff`, `code`.
        pasted: What stood beside the words in the same message, the envelope left out [characters].
        aux: The auxiliary call this is (also when a person typed it), or None.
        proposal: What the assistant proposed and the person agreed to, else "".
        closing: The last words end a task ("perfect, thanks") and ask for nothing.
        outcomes: Tool results since the standing task, oldest first, bounded; the newest alone where they went well.
        struggle: What says that the session's model is stuck, "" when nothing does.
        rejected: How often the person said of the standing task that it is still not done.
        besides: What the person said beside that, the newest time: it may ask for more than the task did.
        images: Pictures in the request.
        tool_calls: The history holds tool calls.
        calls: Names and arguments of the tool calls since the standing task, heads only, the newest last.
    """

    turn: Turn
    words: str = ""
    code: str = ""
    text: str = ""
    marks: frozenset[str] = frozenset()
    pasted: int = 0
    aux: Aux | None = None
    proposal: str = ""
    closing: bool = False
    outcomes: tuple[Outcome, ...] = ()
    struggle: str = ""
    rejected: int = 0
    besides: str = ""
    images: int = 0
    tool_calls: bool = False
    calls: tuple[tuple[str, str], ...] = ()


# -- agreement -----------------------------------------------------------------------------------------------------

_AGREE = word_set(
    "yes yep yeah yup y ok okay okey k sure continue proceed go ahead next agreed approved approve confirm confirmed "
    "absolutely definitely resume carry lgtm retry again correct right exactly fine great good perfect cool nice "
    "ja jo klar gerne weiter mach los passt einverstanden genau oui d'accord vas-y continue continuez parfait allez "
    "sí si claro vale adelante dale continúa continua sigue perfecto sim pode continuar prossiga beleza sì certo "
    "procedi va avanti prima goed doe verder да давай хорошо ок окей продолжай продолжайте дальше конечно ага "
    "tak dobrze dalej kontynuuj evet tamam devam så jättebra áno ano так добре далі "
    "commit push merge ship start begin both all first second third option neither 1 2 3 a b"
)
_FILLER = word_set(
    "it that this them those please do on with then now and the to one just the so well all of you can i am "
    "keep going for me everything looks sounds good as is bitte das es so mal auch voor maar door s'il te plaît "
    "por favor eso isso lo la el le les per favore пожалуйста так и это делай сделай proszę lütfen step option plan "
    "go ahead bene avanti gut machen doing way your proposal suggestion proposed suggested first make let's do"
)
_WEAK = word_set("great good perfect cool nice fine perfecto parfait passt prima goed")
_THANKS = word_set(
    "thanks thank thx ty cheers danke merci gracias obrigado obrigada grazie спасибо dank bedankt dzięki dziękuję "
    "teşekkürler tack дякую"
)
# Whole answers, separated by bars.
_AGREE_ELSEWHERE = (
    "|好|好的|是|是的|可以|继续|请继续|行|嗯|没问题|对|开始|开始吧|提交|提交吧|就这样|继续吧|好,继续|好的,继续|好吧|当然|"
    "はい|お願いします|はい、お願いします|続けて|続けてください|いいよ|了解|オーケー|進めて|進めてください|ええ|コミットして|"
    "네|예|응|좋아요|좋아|계속|계속해|계속해줘|계속해 주세요|계속하세요|진행해|진행해 주세요|그래|커밋해|커밋해줘|"
    "그렇게 해줘|हाँ|हां|ठीक है|जी|जी हाँ|जारी रखें|जारी रखो|आगे बढ़ो|आगे बढ़ें|कर दो|करो|"
)
_THANKS_ELSEWHERE = ("谢谢", "多谢", "ありがと", "감사", "고마", "धन्यवाद", "शुक्रिया")
_ACK_TOKEN = re.compile(r"[^\W_]+(?:['\-][^\W_]+)*")
_QUESTION_MARKS = "?\uff1f\u061f"  # Latin, full-width, Arabic
_STRIP = " \t\r\n.,!…。!、~\U0001f44d\U0001f389\U0001f64f\u2705\u2764\ufe0f\U0001f680"


def is_agreement(words: str) -> bool:
    """Whether words only agree or say to go on, in any of about fifteen languages."""
    folded = words[:120].strip(_STRIP).lower()
    if not folded:
        return True
    if not folded.isascii() and f"|{folded}|" in _AGREE_ELSEWHERE:
        return True
    if len(words) > 120 or words.rstrip().endswith(tuple(_QUESTION_MARKS)):
        return False
    tokens = _ACK_TOKEN.findall(folded)
    known = len(tokens) <= ACK_TOKENS and all(t in _AGREE or t in _FILLER for t in tokens)
    return known and any(t in _AGREE or t in ("do", "keep") for t in tokens)


def is_closing(words: str, *, asked: bool) -> bool:
    """Whether words end a task without asking for anything: thanks, or praise where nothing had been `asked`."""
    folded = words[:120].strip(_STRIP).lower()
    if len(words) > 120 or words.rstrip().endswith(tuple(_QUESTION_MARKS)):
        return False
    tokens = _ACK_TOKEN.findall(folded)
    if not folded.isascii() and len(folded) < 20 and any(t in folded for t in _THANKS_ELSEWHERE):
        return True
    goes_on = not _GO_ON.isdisjoint(tokens)
    if not _THANKS.isdisjoint(tokens) and len(tokens) <= ACK_TOKENS and not goes_on:
        return True
    return not asked and bool(tokens) and all(t in _WEAK or t in _PRAISE for t in tokens)


_GO_ON = word_set(
    "continue go proceed next do please now add fix commit push merge run also but then can could make write "
    "update weiter "
    "mach continua continúa sigue bitte продолжай давай"
)
_PRAISE = word_set(
    "job work that's is this it very so really wow awesome excellent done super works looks well"
)


# -- the conversation ------------------------------------------------------------------------------------------------


def read_facts(prompt: Prompt) -> Facts:
    """Read a request. Pure, bounded, never raises."""
    messages = prompt.messages
    last, heard, tail_is_tool = _last_words(messages)
    words, proposal, rejected, more, closing = heard, "", 0, "", False
    aux = find_aux(prompt, heard.words, messages[last].text if last >= 0 else "")
    if aux is None and last >= 0:
        asked = _assistant_asked(messages, last)
        answered = any(m.role == "assistant" for m in messages[:last])
        closing = answered and is_closing(heard.words, asked=asked)
        if not closing:
            words, proposal, rejected, more = _standing_task(messages, last, heard, asked=asked)
    outcomes = tried(messages, last)
    return Facts(
        turn=_turn(prompt, aux, tail_is_tool=tail_is_tool),
        words=words.words,
        code=words.code,
        text=words.text,
        marks=words.marks,
        pasted=words.pasted,
        aux=aux,
        proposal=proposal,
        closing=closing,
        outcomes=outcomes,
        struggle=struggle_of(outcomes) or _told_again(rejected),
        rejected=rejected,
        besides=more,
        images=_count_images(messages),
        tool_calls=any(m.tool_calls for m in messages),
        calls=_calls(messages, last),
    )


def _turn(prompt: Prompt, aux: Aux | None, *, tail_is_tool: bool) -> Turn:
    if aux is not None and (aux.with_tools or not (prompt.tools or tail_is_tool)):
        return "aux"
    return "tool" if tail_is_tool else "user"


def _last_words(messages: tuple[Message, ...]) -> tuple[int, envelope.Reading, bool]:
    """Return where the person's last words stand (-1: nowhere), those words, and whether a tool result came since.

    A result counts when nothing but the envelope follows it: goose puts a user message of its own near it, Claude Code
    adds reminders behind it.
    """
    result_since = reply_since = False
    for i in range(len(messages) - 1, -1, -1):
        message = messages[i]
        if message.role in ("system", "developer"):
            continue
        if is_result(message):
            result_since = result_since or not reply_since
        elif message.role == "assistant":
            tail = i == len(messages) - 1
            reply_since = reply_since or not (message.tool_calls or tail)
            # Sent back to go on with what its upstream runs (Anthropic's `pause_turn`).
            result_since = result_since or (tail and any(p.kind == "other" for p in message.parts))
        else:
            reading = envelope.read_text(message.text)
            if not reading.harness:
                return i, reading, result_since
            if reading.words == "" and _has_attachment(message):
                return i, reading, result_since
    return -1, envelope.read_text(""), result_since


def _standing_task(
    messages: tuple[Message, ...], last: int, heard: envelope.Reading, *, asked: bool
) -> tuple[envelope.Reading, str, int, str]:
    """Return the words that count, the assistant's proposal when the last words only agree to it, how often the
    person said since that it still fails, and what beside that."""
    rejected = int(still_fails(heard.words))
    more = besides(heard.words) if rejected else ""
    agreed = is_agreement(heard.words) or (asked and _is_short_answer(heard))
    if not rejected and (heard.marks or not agreed):
        return heard, "", 0, ""
    for i in range(last - 1, -1, -1):
        message = messages[i]
        if message.role != "user" or is_result(message):
            continue
        if message.text[:80].lower().startswith(envelope.NEW_CODE_BASE):
            break
        reading = envelope.read_text(message.text)
        if still_fails(reading.words):
            rejected += 1
            more = more or besides(reading.words)
        elif not _says_nothing(message, reading):
            offer = "" if still_fails(heard.words) else _proposal(messages, last)
            return reading, offer, rejected, more
    return heard, "", 0, ""


def _told_again(rejected: int) -> str:
    """Return what says that a model is stuck when the person said so often that it still fails, "" below `REJECTED`."""
    return f"the person said {rejected} times that it still fails" if rejected >= REJECTED else ""


def _says_nothing(message: Message, reading: envelope.Reading) -> bool:
    """Whether a message only agrees, or is the harness's; a trace, a log or a picture alone does say something."""
    if reading.marks or (not reading.words and _has_attachment(message)):
        return False
    return reading.harness or is_agreement(reading.words)


def _is_short_answer(heard: envelope.Reading) -> bool:
    """A few words in answer to a question ("the blue one"); not a question or an order of its own."""
    tokens = _ACK_TOKEN.findall(heard.words[:120].lower())
    if len(tokens) > ACK_TOKENS or heard.words.rstrip().endswith(tuple(_QUESTION_MARKS)):
        return False
    known = bool(tokens) and heard.words.isascii() and tokens[0] not in _QUESTIONS
    return known and _ORDERS.isdisjoint(tokens)


_QUESTIONS = word_set("what why how where when which who is are does can could instead hi hello")
_ORDERS = word_set(
    "fix add write create run explain review refactor rename delete remove implement build document test deploy show "
    "list change update make move drop revert undo stop translate summarize summarise thanks no don't wait"
)


def _assistant_asked(messages: tuple[Message, ...], last: int) -> bool:
    text = _assistant_text(messages, last)
    return any(mark in text[-200:] for mark in _QUESTION_MARKS)


def _assistant_text(messages: tuple[Message, ...], last: int) -> str:
    for i in range(last - 1, -1, -1):
        if messages[i].role == "assistant":
            return messages[i].text
        if messages[i].role == "user" and not is_result(messages[i]):
            return ""
    return ""


_OFFER = re.compile(
    r"(?:shall|should|want me|would you like|do you want|i can|i could|soll ich|veux-tu|quieres|devo|vuoi|"
    r"zal ik|мне )"
    r"[^.?!\n]{0,300}"
)


def _proposal(messages: tuple[Message, ...], last: int) -> str:
    """Return the sentence in which the assistant offered what was agreed to, folded, or ""."""
    tail = _assistant_text(messages, last)[-PROPOSAL_CHARS:].lower()
    offers = _OFFER.findall(tail)
    return str(offers[-1]) if offers else ""


# -- tool calls ------------------------------------------------------------------------------------------------------


def _calls(messages: tuple[Message, ...], last: int) -> tuple[tuple[str, str], ...]:
    """Return the newest tool calls since the person's last words, oldest first, about `CALLS_CHARS` of them."""
    told: list[tuple[str, str]] = []
    room = CALLS_CHARS
    for message in reversed(messages[last + 1 :]):
        for call in reversed(message.tool_calls):
            told.append((call.name, call.arguments[:CALL_CHARS]))
            room -= len(call.name) + len(told[-1][1])
        if room <= 0:
            break
    return tuple(reversed(told))


# -- attachments -----------------------------------------------------------------------------------------------------


def _has_attachment(message: Message) -> bool:
    return any(p.kind in ("image", "audio", "file") for p in message.parts)


def _count_images(messages: tuple[Message, ...]) -> int:
    return sum(p.kind == "image" for m in messages for p in m.parts)
