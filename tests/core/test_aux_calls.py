"""Calls that clients make for themselves, told from a person's work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openfusion_auto.core.aux_calls import SYSTEM_CHARS, find_aux
from openfusion_auto.core.prompt import Prompt
from tests.support.prompts import chat, user

AGENT = (
    "You are a coding agent. Write good commit messages and summarise the conversation when asked. "
    * 60
)


def name_of(asked: Prompt) -> str | None:
    text = asked.messages[-1].text if asked.messages else ""
    found = find_aux(asked, text, text)
    return found.name if found else None


SYSTEMS = {
    "title": [
        "You are naming a coding session. Answer with JSON.",
        "You are a title generator. You output ONLY a thread title.",
        "Generate a short title (four words or less) for the conversation.",
        "You name chat sessions.",
    ],
    "topic": [
        "Analyze if this message indicates a new conversation topic. If it does, extract a title."
    ],
    "commit message": [
        "You are an expert software engineer that generates concise, one-line Git commit messages based on the diffs.",
        "Write a commit message for the diff. Reply with the message only.",
    ],
    "branch name": ["Create a git branch name from the task. Answer with the name only."],
    "pr description": ["You write pull request descriptions from diffs."],
    "command prefix": [
        "Extract the command prefix from the shell command.",
        "Reply command_injection_detected if unsafe.",
    ],
    "file paths": ["List the file paths that this command read or changed, one per line."],
    "summary": ["Summarise the last tool result in at most 8 words."],
    "compaction": [
        "You summarise coding sessions so that another assistant can continue.",
        "*Briefly* summarize this partial conversation about programming.",
    ],
    "status": [
        "Give one word in -ing form that describes the task.",
        "Describe the work in under five words.",
    ],
    "suggestion": ["Predict the next message that the user might type."],
    "label": ["Classify the user's prompt as code or chat.", "Decide whether the command is safe."],
    "memory": [
        "You are now acting as the managed memory extraction subagent.",
        "Extract long-term memories from the turn.",
    ],
    "tool use": ["Describe what this bash command does."],
}


@pytest.mark.parametrize(("name", "system"), [(n, s) for n, many in SYSTEMS.items() for s in many])
def test_a_short_system_prompt_says_what_is_wanted(name, system):
    asked = chat(
        [
            {"role": "system", "content": system},
            {"role": "user", "content": "refactor the oauth exchange"},
        ]
    )
    assert name_of(asked) == name


@pytest.mark.parametrize(
    "system",
    [
        "You are a helpful assistant.",
        "You are a helpful coding assistant. Answer briefly.",
        "Act as an expert software developer. Always use best practices when coding.",
        "You are a senior reviewer of Go code. Be strict.",
        "Answer in German.",
        "Never push to main. Use conventional names.",
        "You are an autonomous agent. Write a commit message after each step and give the session a title.",
        "Answer in at most 200 words.",
        AGENT,
        "",
    ],
)
def test_other_system_prompts_make_nothing_auxiliary(system):
    asked = chat(
        [
            {"role": "system", "content": system},
            {"role": "user", "content": "refactor the oauth exchange"},
        ]
    )
    assert name_of(asked) is None


def test_a_long_system_prompt_is_an_agents_whatever_it_says():
    text = "Generate a title for the conversation. "
    long = text * (SYSTEM_CHARS // len(text) + 1)
    assert (
        name_of(chat([{"role": "system", "content": long}, {"role": "user", "content": "hi"}]))
        is None
    )
    assert (
        name_of(chat([{"role": "system", "content": text}, {"role": "user", "content": "hi"}]))
        == "title"
    )


def test_an_agents_long_prompt_beside_the_short_one_changes_nothing():
    short = {"role": "system", "content": "You are a title generator."}
    asked = chat(
        [{"role": "system", "content": AGENT}, short, {"role": "user", "content": "fix it"}]
    )
    assert name_of(asked) == "title"


WORDS = {
    "commit message": [
        "Write a commit message for the staged diff: renamed a function",
        "please generate a concise commit message",
        "Commit message for: moved helpers",
        "Schreibe eine Commit-Nachricht für die Änderungen.",
        "Génère un message de commit pour ce diff.",
        "Escribe un mensaje de commit.",
        "Напиши сообщение коммита",
        "为以下改动生成一条提交信息",
        "コミットメッセージを書いて",
        "커밋 메시지 작성해줘",
    ],
    "branch name": [
        "Suggest a git branch name for 'add dark mode'.",
        "what would be a good branch name for this?",
        "Propose a name for a branch that adds retries",
        "给这个分支起一个分支名",
    ],
    "pr description": [
        "Write the pull request description for this branch.",
        "draft a PR title and body",
        "PR description: adds x",
    ],
    "title": [
        "Write a 5-10 word title for this conversation:\n\nUser: payments are charged twice",
        "Generate a title for this conversation:\n",
        "Give this chat a short title",
        "Name this session",
        "对话标题",
    ],
    "compaction": [
        "Summarise the conversation so far:\nturn 0",
        "Summarize our chat so far, keep file names.",
        "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff.",
        "Your task is to create a detailed summary of the conversation so far.",
        "Fasse unsere Unterhaltung zusammen: Zusammenfassung unserer Unterhaltung",
        "会話を要約してください",
    ],
    "probe": ["quota", "ping", "Quota."],
}


@pytest.mark.parametrize(("name", "words"), [(n, w) for n, many in WORDS.items() for w in many])
def test_words_that_ask_for_something_auxiliary(name, words):
    assert name_of(user(words)) == name


@pytest.mark.parametrize(
    "words",
    [
        "Add a hook that checks the commit message format.",
        "Fix the bug in the branch name parser.",
        "Implement a session title field in the API.",
        "The PR description template is wrong, change it.",
        "Amend the commit message of HEAD.",
        "Write a function that generates a title for a chat.",
        "Summarise what src/queue.py does.",
        "Commit my changes.",
        "Create a branch and push.",
        "Add a component for chat history summaries.",
        "Rename the title variable.",
        "",
        "修复支付回调",
        "Fix the React component that summarizes a conversation: it drops the last message",
        "Why does Qwen Code send [SUGGESTION MODE: ...] to my server? Fix the bypass in the proxy.",
    ],
)
def test_work_on_such_things_is_no_auxiliary_call(words):
    assert name_of(user(words)) is None


def test_an_answer_of_one_token_is_a_probe():
    assert name_of(user("count to ten", max_tokens=1)) == "probe"
    assert name_of(user("count to ten", max_tokens=2)) is None


def schema(*fields: str) -> dict[str, object]:
    return {"type": "object", "properties": {f: {"type": "string"} for f in fields}}


@pytest.mark.parametrize(
    "body",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": schema("title")}}},
        {"text": {"format": {"type": "json_schema", "schema": schema("isNewTopic", "title")}}},
        {"output_config": {"format": {"type": "json_schema", "schema": schema("title", "branch")}}},
        {"output_format": {"type": "json_schema", "schema": schema("title")}},
    ],
)
def test_a_schema_of_a_title_alone_names_the_session_in_any_dialect(body):
    asked = Prompt(
        "chat", "m", user("payments are charged twice").messages, shape="json_schema", body=body
    )
    assert name_of(asked) == "title"


@pytest.mark.parametrize(
    "body",
    [
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"schema": schema("title", "body")},
            }
        },
        {"response_format": {"type": "json_schema", "json_schema": {"schema": schema("summary")}}},
        {"response_format": {"type": "json_schema", "json_schema": None}},
        {},
    ],
)
def test_other_schemas_are_work(body):
    asked = Prompt(
        "chat", "m", user("payments are charged twice").messages, shape="json_schema", body=body
    )
    assert name_of(asked) is None


def test_the_reason_holds_only_a_few_words():
    long = "Summarise the conversation " + "so far and " * 40
    found = find_aux(user(long), long, long)
    assert found is not None
    assert len(found.why.split()) <= 5
    assert len(found.why) <= 60


def test_compaction_and_memory_count_with_tools_too():
    words = "You are performing a CONTEXT CHECKPOINT COMPACTION."
    compaction = find_aux(user(words), words, words)
    words = "Act as the managed memory extraction subagent."
    memory = find_aux(user(words), words, words)
    title = find_aux(user("Name this chat"), "Name this chat", "Name this chat")
    assert compaction is not None
    assert compaction.with_tools
    assert memory is not None
    assert memory.with_tools
    assert title is not None
    assert not title.with_tools


def test_a_client_may_say_itself_that_it_compacts():
    asked = replace(
        user("Go on with the parser."), session_fields={"codex.request_kind": "compaction"}
    )
    found = find_aux(asked, "go on with the parser.", "Go on with the parser.")
    assert (found.name, found.with_tools) == ("compaction", True)
    turn = replace(asked, session_fields={"codex.request_kind": "turn"})
    assert find_aux(turn, "go on with the parser.", "Go on with the parser.") is None
