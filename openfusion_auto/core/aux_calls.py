"""Recognise the calls that a coding client makes for itself: titles, summaries, commit messages, probes.

They come without tools, and what they want stands in a short system prompt or in the last user message. A long system
prompt is none of them, so an agent's own instructions ("write good commit messages") make nothing auxiliary. One is:
Claude Code's check of an action in its permission mode `auto`.

Source: the clients' own requests (Claude Code 2.1, OpenCode 1.18, Goose 1.34, Codex 0.169, Aider 0.86, Qwen Code 0.24).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from openfusion_auto.core.prompt import Message, Prompt

# A system prompt above this is an agent's, not an instruction for one small answer.
SYSTEM_CHARS = 2_500
ASK_CHARS = 600  # [characters] of a user's words that may ask for something auxiliary
NEXT_WORD_CHARS = 12
PROBE_TOKENS = 1  # an answer of one token is a quota probe, whatever it asks

SAFETY_CHECK = "safety check"  # whether an agent may do what it is about to do

_PROBES = frozenset({"quota", "ping", "warmup", "count", "test connection"})


class Aux(NamedTuple):
    """What kind of auxiliary call, the few words that say so, and whether it is one even when tools are offered."""

    name: str
    why: str
    with_tools: bool = False


# Compaction and memory calls say so in the last user message, or in a system prompt of their own; tools may be there.
_COMPACTION = (
    "context checkpoint compaction",
    "create a detailed summary of the conversation",
    "create a detailed summary of our conversation",
    "detailed prompt for continuing our conversation",
    "summarize this partial conversation",
    "*briefly* summarize",
    "summarize the conversation history",
    "summarise the conversation history",
    "compact the conversation",
    "conversation compaction",
    "create a comprehensive, detailed summary of the entire conversation",
    "provide a summary of the conversation above",
    "summarize everything in the conversation",
    "create a handoff summary",
    # Qwen Code's, with the agent's tools or in a system prompt of its own.
    "you are the component that summarizes a conversation",
    "produce the <state_snapshot> xml",
)
# Qwen Code's and Claude Code's, with the whole history and all tools.
_SUGGESTION = ("[suggestion mode: suggest",)
_MEMORY = (
    "managed memory extraction subagent",
    "memory extraction subagent",
    "memory consolidation subagent",
)

_SUMMARIZER = "you are a context summarization a"  # OpenCode's and Kilo's agent, pi's assistant
_MONITOR = "You are a security monitor for autonomous"

_MARKED = ((_COMPACTION, "compaction"), (_MEMORY, "memory"), (_SUGGESTION, "suggestion"))

# -- what a person or a client asks in words ---------------------------------------------------------------------------

_VERB = (
    r"(?:write|generate|suggest|draft|give|create|propose|make|come up with|pick|find|need|provide|compose|"
    r"produce|return|reply|respond|output|invent|choose|craft|schreib\w*|erstell\w*|gib|génère|écris|rédige|propose|donne|"
    r"genera|escribe|sugiere|propón|scrivi|proponi|gere|escreva|sugira|schrijf|maak|bedenk|напиши|придумай|"
    r"предложи|сгенерируй|napisz)"
)
_TALK = (
    r"(?:conversation|chat|session|thread|dialogue|discussion|transcript|unterhaltung|gespräch|sitzung|"
    r"conversación|диалог\w*|чат\w*)"
)
_COMMIT = (
    r"(?:commit (?:message|msg|title|subject|summary)s?|commit-?(?:nachricht|message|meldung|bericht)\w*|"
    r"message de commit|mensaje (?:de|del) commit|mensagem de commit|messaggio di commit|commit mesaj\w*|"
    r"(?:сообщени\w+|описани\w+) (?:для |к )?коммит\w*)"
)
_BRANCH = (
    r"(?:branch[ -]?names?|name for (?:this|the|a|my|our) (?:new |git )?branch|nom de (?:la )?branche|"
    r"nombre (?:de|para la|para una) rama|nome (?:de|da|del|per il) branch|branch-?na(?:me|am)\w*|"
    r"названи\w+ (?:для )?ветк\w+)"
)
_PULL = (
    r"(?:(?:pull request|merge request|\bpr|\bmr)(?:'s)? (?:titles?|descriptions?|body|summary|text|"
    r"beschreibung|beschrijving)|description (?:for|of) (?:this|the|my|our) (?:pull request|pr|merge request|mr)\b|"
    r"(?:pr|pull-request)-beschreibung|description de (?:la )?(?:pr|pull request)|"
    r"descripción (?:de|del|para el) (?:pr|pull request)|описани\w+ (?:для )?(?:pr|пулл?[- ]?реквест\w*))"
)
_TITLE = (
    r"(?:(?:title|titel|titre|título|titolo|заголовок|subject line|headline|name|label)s? "
    r"(?:for|of|to|für|voor|para|pour|per|для) (?:this|the|our|my|diese\w*|die|das|den|la|le|cette|esta|este|"
    rf"questa|dit|deze|этого|этой)? ?{_TALK}|(?:short |concise |brief )?{_TALK} (?:title|name)s?\b|"
    rf"(?:this|the|our) {_TALK} (?:a|an) (?:\w+ ){{0,3}}(?:title|name))"
)
_OBJECTS = (
    ("commit message", re.compile(_COMMIT)),
    ("branch name", re.compile(_BRANCH)),
    ("pr description", re.compile(_PULL)),
    ("title", re.compile(_TITLE)),
)
_ANY_OBJECT = rf"(?:{_COMMIT}|{_BRANCH}|{_PULL}|{_TITLE})"
_ASK = re.compile(
    rf"(?:^|[.!?;:\n,] ?|please |bitte |and ){_VERB}\b(?:\W+[\w'-]+){{0,6}}?\W+{_ANY_OBJECT}|"
    rf"\b(?:good|better|nice|suitable|fitting) {_ANY_OBJECT}"
)
_NOUN_FIRST = re.compile(
    rf"^(?:name|title|label) (?:this|the|our) {_TALK}|"
    rf"^(?:a |the |one-line |short )?{_ANY_OBJECT}(?: please)?(?:[:.!]| for\b| für\b|$)"
)
_SUMMARY = re.compile(
    r"(?:summari[sz]e|summary of|recap|sum up|condense|compact|fasse|zusammenfass\w*|zusammenfassung|résume\w*|"
    r"resum\w*|riassum\w*|samenvat\w*|vat|кратко изложи|резюмируй|суммируй|обобщи) (?:\w+ ){0,3}?"
    r"(?:conversation|chat|session|thread|discussion|transcript|dialogue|messages so far|history|unterhaltung|"
    r"gespräch\w*|conversación|conversa|gesprek|conversazione|диалог\w*|разговор\w*|переписк\w*|чат\w*)\b"
)
# What would make the same nouns ordinary work: code, checks and bugs that concern commit messages or titles.
_WORK = re.compile(
    r"\b(?:lint\w*|hook\w*|valid\w*|enforc\w*|regex|pars\w*|endpoint|feature|component|button|bug|fix|implement|"
    r"function|script|template|test for|convention|column|field|page|amend|reword|change|generator|max length|"
    r"too long)\b"
)
# One of these stands in every text that the patterns above can match; looking for them costs a fiftieth of a pattern.
_GATES = (
    *(
        "commit",
        "коммит",
        "branch",
        "rama",
        "ветк",
        "pull",
        "merge",
        "pr ",
        "pr:",
        "pr-",
        "mr ",
        "conversa",
    ),
    *(
        "chat",
        "session",
        "thread",
        "dialog",
        "discussion",
        "transcript",
        "unterhaltung",
        "gespr",
        "sitzung",
    ),
    *("диалог", "чат", "разговор", "переписк", "history", "messages so far"),
)
# Scripts without spaces: the terms themselves.
_ANYWHERE = (
    (
        "commit message",
        "提交信息|提交消息|提交说明|commit 信息|commit信息|コミットメッセージ|커밋 메시지|कमिट संदेश|कमिट मैसेज",
    ),
    ("branch name", "分支名|分支起|ブランチ名|브랜치 이름|브랜치명|ब्रांच का नाम|शाखा का नाम"),
    (
        "pr description",
        "pr 描述|pr描述|pr 的描述|pr の説明|prの説明|プルリクエストの説明|pr 설명|풀 리퀘스트 설명",
    ),
    (
        "title",
        "对话标题|会话标题|对话起|会話のタイトル|会話にタイトル|チャットのタイトル|대화 제목|बातचीत का शीर्षक",
    ),
    (
        "compaction",
        "总结对话|总结以上对话|总结这段对话|总结一下对话|会話を要約|会話の要約|これまでの会話",
    ),
    ("compaction", "대화를 요약|대화 내용을 요약|बातचीत का सारांश"),
)

# -- what a client asks in a system prompt of its own ------------------------------------------------------------------

_MAKES = (
    r"(?:writ|generat|creat|produc|draft|suggest|compos|answer|output|return|reply|giv|propos|provid|com|mak|turn)"
    r"\w*\b[^.\n]{0,70}\b"
)
_SMALL = r"(?:\d|1[0-2]|one|two|three|four|five|six|seven|eight|nine|ten)"
_ENDLESS = 10_000


class _Rule(NamedTuple):
    """`gates`: one of them stands in every match. `within`: the match begins before that character."""

    name: str
    gates: tuple[str, ...]
    pattern: re.Pattern[str]
    within: int = _ENDLESS


_SYSTEM = (
    _Rule("title", ("title", "nam"), re.compile(
        r"title generator|naming a coding session|nam(?:e|es|ing) (?:\w+ )?(?:conversations?|sessions?|chats?|"
        r"threads?)|" + _MAKES + r"titles?\b|thread title|chat titles?\b|"
        r"titles? (?:for|of) (?:this|the|a) (?:conversation|chat|session|thread|coding)")),
    _Rule("topic", ("topic", "subject"), re.compile(
        r"new (?:conversation )?topic|isnewtopic|topic (?:detect|change|shift)|"
        r"chang\w* (?:of |the )?(?:topic|subject)")),
    _Rule("commit message", ("commit",), re.compile(_MAKES + r"commit (?:messages?|titles?|subjects?)\b")),
    _Rule("branch name", ("branch",), re.compile(
        _MAKES + r"(?:branch names?|branch)\b|branch names?[^.\n]{0,20}only|nam(?:e|es|ing) (?:git )?branches|"
        r"name (?:of|for) (?:a|the) (?:git )?branch")),
    _Rule("pr description", ("pr ", "request"), re.compile(
        _MAKES + r"(?:pull request|merge request|pr) (?:titles?|descriptions?|summary|body)")),
    _Rule("command prefix", ("prefix", "command"), re.compile(
        r"command prefix|prefix of the (?:shell |bash )?command|command[ _]injection[ _]detected")),
    _Rule("file paths", ("path", "files"), re.compile(
        r"(?:file ?paths?|paths|files) (?:that )?(?:this|the|a) (?:shell |bash )?(?:command|output|tool call)|"
        r"file ?paths? (?:from|in|out of) (?:this|the|a) (?:shell |bash )?(?:command|output)")),
    _Rule("summary", ("summar", "compact", "condens"), re.compile(
        r"(?:summari[sz](?:e|es|ing|er|ation)|condens(?:e|es|ing)|compact(?:s|ing)?)\b[^.\n]{0,60}\b"
        r"(?:conversations?|sessions?|chats?|transcripts?|tool (?:results?|calls?|outputs?)|messages?|history|"
        r"dialogues?|turns?|output|above|work)\b|\bcompaction\b|conversation summari[sz]er|"
        r"summary of (?:the|this|a) (?:conversation|session|chat|history|tool|work)")),
    _Rule("status", ("-ing", "participle", "gerund", "status", "spinner", "progress", " word", "emoji"), re.compile(
        r"-ing form|present (?:participle|continuous|tense)|gerund|status ?(?:line|message|text)|spinner|"
        r"progress (?:message|label)|(?:one|single|1) (?:word|emoji)\b|an emoji\b|"
        r"(?:at most|max(?:imum)?(?: of)?|under|fewer than|less than|no more than|up to|in) "
        rf"{_SMALL}(?: to {_SMALL}|-{_SMALL})? words\b"), within=160),
    _Rule("suggestion", ("predict", "suggest", "guess", "follow"), re.compile(
        r"(?:predict|suggest|guess|propose)\b[^.\n]{0,60}\b(?:next (?:message|prompt|input|question|command)|"
        r"follow-?ups?|user (?:might|will|would) (?:type|say|ask))|follow-?up (?:questions|suggestions|prompts)")),
    _Rule("label", ("classif", "categor", "label", "tag", "detect", "rate", "score", "decide", "determine", "judge",
                    "say "), re.compile(
        r"(?:classify|categori[sz]e|label|tag|detect|rate|score|(?:decide|determine|judge|say) (?:if|whether))\b"
        r"[^.\n]{0,80}\b(?:message|prompt|request|conversation|command|query|language|input|intent|session)\b"),
        within=120),
    _Rule("memory", ("memor", "facts"), re.compile(
        r"memory extraction|extract (?:[\w-]+ ){0,3}(?:memories|facts)|facts? worth remembering")),
    _Rule("tool use", ("describe", "explain"), re.compile(
        r"(?:describe|explain) (?:in \w+ words )?(?:what )?(?:this|the|a) (?:bash |shell )?(?:command|tool call|"
        r"tool use)"), within=120),
)  # fmt: skip
# It must not set up an agent that works on files.
_AGENT = re.compile(
    r"\bcoding (?:agent|assistant)\b|pair programmer|software (?:engineering )?agent|use (?:the|your|these) tools|"
    r"edit files|you are (?:an? )?(?:helpful|senior|expert) (?:assistant|developer|engineer|programmer)[.,]|"
    r"act as an expert software developer|autonomous"
)
_TITLE_FIELDS = frozenset(
    {"title", "isnewtopic", "branch", "branch_name", "summary", "topic", "label", "emoji"}
)


def find_aux(prompt: Prompt, words: str, last_text: str) -> Aux | None:
    """Return what auxiliary call this is, or None.

    Args:
        prompt: The request.
        words: The person's words of the last user message, envelope stripped.
        last_text: The head of that message as it came; harness instructions may stand in it.
    """
    if prompt.session_fields.get("codex.request_kind") == "compaction":
        return Aux("compaction", "the client says so", with_tools=True)
    head = last_text[: 4 * ASK_CHARS].lower()
    for marks, name in _MARKED:
        found = next((m for m in marks if m in head), None)
        if found:
            return Aux(name, found, with_tools=True)
    by_system = _by_system(prompt.messages, tools=bool(prompt.tools))
    return by_system or _by_words(words, prompt) or _by_schema(prompt)


def _by_system(messages: tuple[Message, ...], *, tools: bool) -> Aux | None:
    for message in messages:
        if message.role in ("system", "developer"):
            text = message.text
            if text.startswith(_MONITOR) and not tools:
                return Aux(SAFETY_CHECK, "security monitor")
            found = _read_system(text) if 0 < len(text) <= SYSTEM_CHARS else None
            if found:
                return found
    return None


@lru_cache(maxsize=64)
def _read_system(text: str) -> Aux | None:
    """Read one short system prompt. Kept: a session sends the same one with every request."""
    folded = text.lower()
    memory = next((m for m in _MEMORY if m in folded), None)
    if memory:
        return Aux("memory", memory, with_tools=True)
    if _SUMMARIZER in folded:  # it speaks of the coding agent that it summarises for
        return Aux("compaction", _SUMMARIZER)
    return None if _AGENT.search(folded) else _first_rule(folded)


def _first_rule(folded: str) -> Aux | None:
    for rule in _SYSTEM:
        if not any(map(folded.__contains__, rule.gates)):
            continue
        found = rule.pattern.search(folded)
        if found and found.start() < rule.within:
            whole = rule.name == "summary" and _WHOLE.search(found.group())
            return Aux("compaction" if whole else rule.name, _short(found.group()))
    return None


_WHOLE = re.compile(r"conversation|session|chat|history|transcript|compact")


def _by_words(words: str, prompt: Prompt) -> Aux | None:
    asked = words[:ASK_CHARS].lower().strip()
    if asked.strip(" .!?") in _PROBES or (
        prompt.max_output_tokens is not None and prompt.max_output_tokens <= PROBE_TOKENS
    ):
        return Aux("probe", "quota")
    head = asked[:160]
    if not any(map(head.__contains__, _GATES)):
        return _by_other_scripts(head)
    found = _ASK.search(head) or _NOUN_FIRST.search(head)
    if found and not _WORK.search(_asked_for(head, found.end())):
        name = next((n for n, p in _OBJECTS if p.search(found.group())), "title")
        return Aux(name, name)
    found = _SUMMARY.search(head)
    if found and found.start() < 60 and not _WORK.search(head):
        return Aux("compaction", _short(found.group()))
    return _by_other_scripts(head)


def _asked_for(head: str, end: int) -> str:
    """Return the request up to its object, with the next word ("branch name parser") unless what follows explains."""
    return head[:end] if head[end : end + 1] in ":.,;" else head[: end + NEXT_WORD_CHARS]


def _by_other_scripts(head: str) -> Aux | None:
    if head.isascii():
        return None
    for name, terms in _ANYWHERE:
        term = next((t for t in terms.split("|") if t in head), None)
        if term:
            return Aux(name, term)
    return None


def _by_schema(prompt: Prompt) -> Aux | None:
    """A JSON schema whose only fields are a title and the like (Claude Code, OpenCode): the client names the "
    "session."""
    if prompt.shape != "json_schema" or prompt.tools:
        return None
    fields = frozenset(str(k).lower() for k in _schema_properties(prompt.body))
    if (
        fields
        and fields <= _TITLE_FIELDS
        and fields & {"title", "branch", "branch_name", "isnewtopic"}
    ):
        return Aux("title", "json_schema title")
    return None


def _schema_properties(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return the `properties` of the schema that a body asks for; the three dialects keep it in three places."""
    for path in (
        ("response_format", "json_schema", "schema", "properties"),
        ("text", "format", "schema", "properties"),
        ("output_config", "format", "schema", "properties"),
        ("output_format", "schema", "properties"),
    ):
        node: object = body
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping):
            return node
    return {}


def _short(text: str) -> str:
    return " ".join(text.split()[:5])[:60]
