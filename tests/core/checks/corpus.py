"""Answers that are sound and answers that are broken, for each free check: what its precision and recall are of.

Written by hand, with what makes such checks err in mind: fragments, quoted formats, look-alikes. To these come broken
ones made from each sound edit, block and call by damage of known kinds (`damaged`). `broken` says what the program
that takes the answer would say, not what a check can see: some broken ones are known to be missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from openfusion_auto.core.prompt import Answer, Form, Prompt, Settings, Tool, ToolCall
from tests.core.checks import grammar_corpus
from tests.support.prompts import user

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "checks.md"
BLOCK = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


@dataclass(frozen=True)
class Sample:
    """One answer to one prompt, and whether what `check` looks for is wrong with it."""

    check: str
    broken: bool
    answer: Answer
    prompt: Prompt
    name: str


GRAMMAR = "code blocks of other languages"
PLAIN = user("do it")
SCHEMA = {
    "type": "object",
    "properties": {
        "cmd": {"type": "string"},
        "n": {"type": "integer", "minimum": 0},
        "mode": {"enum": ["fast", "slow"]},
        "paths": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["cmd"],
    "additionalProperties": False,
}
TOOLS = replace(
    PLAIN,
    tools=(
        Tool("run", schema=SCHEMA),
        Tool("read"),
        Tool("apply_patch", "custom"),
        Tool("edit", schema={"type": "object", "properties": {"path": {"type": "string"}}}),
    ),
)
FORM = replace(PLAIN, shape="json_schema", settings=Settings(form=Form("a", SCHEMA)))
ANY_JSON = replace(PLAIN, shape="json_object")


def said(check: str, broken: bool, *texts: str, prompt: Prompt = PLAIN) -> Iterator[Sample]:
    for i, text in enumerate(texts):
        yield Sample(check, broken, Answer(text, finish="stop"), prompt, f"{text[:30]!r} ({i})")


def calls(broken: bool, *given: tuple[str, str], kind: str = "function") -> Iterator[Sample]:
    for name, arguments in given:
        answer = Answer(tool_calls=(ToolCall("c1", name, arguments, kind),), finish="tool_calls")
        yield Sample("tool calls", broken, answer, TOOLS, f"{name} {arguments[:40]!r}")


# -- whole answers ----------------------------------------------------------------------------------------------------

PROSE = (
    "Done.", "Ja.", "42", "…", "`x`", "The lock is taken twice, see `a.py`.", "✅", "{}", "- one\n- two",
    "Use ``` to open a block and ``` to close it.", "```python\nprint(1)\n```", "1. a\n   ```sh\n   ls\n   ```\n2. b",
    "````markdown\n```python\nx = 1\n```\n````", "```\nplain\n```\n\nand ~~~ here", "Title\n~~~~~\n\ntext",
    "```markdown\nwrite\n```python\nx = 1\n```\nlike this\n```", "~~~yaml\na: 1\n~~~", "a\r\n```js\r\nlet x\r\n```\r\n",
)  # fmt: skip
CUT = (
    "```python\ndef f(x):\n    return x +", "Here it is:\n\n```js\nfunction a() {\n  if (", "```diff\n--- a/x\n+++ b/x\n@@",
    "text\n```sh\nls\n```\nmore\n```sh\ncd", "~~~yaml\na: 1", "1. do\n   ```go\n   func main() {", "````md\n```sh\nls\n```\nand",
    "```\nno language, but text", '```json\n{"a":', "First\n```sql\nselect * from",
)  # fmt: skip
CUT_IN_WORDS = ("The reason is that the", "1. first\n2. second\n3.", "We should therefore,")


def whole() -> Iterator[Sample]:
    yield from said("empty answer", False, *PROSE)
    yield from said("empty answer", True, "", " ", "\n\n", "\t", "\u00a0", "\u2003\n", "\u3000")
    yield from said("truncated answer", False, *PROSE)
    yield from said("truncated answer", True, *CUT, *CUT_IN_WORDS)
    for text in ("half a sen", "", "done, it seems"):
        cut = Answer(text, finish="length")
        yield Sample("truncated answer", True, cut, PLAIN, f"length {text!r}")


# -- calls and JSON ---------------------------------------------------------------------------------------------------

GOOD_ARGUMENTS = (
    '{"cmd": "ls"}', '{"cmd":"ls","n":3}', '{"n": 0, "cmd": ""}', '{"cmd": "a\\nb\\u00e9\\ud83d\\ude00"}',
    '{"cmd": "x", "mode": "slow"}', '{"cmd": "x", "paths": ["a", "b"]}', ' {"cmd": "ls"}\n', '{"cmd": "rm -rf \\"a b\\""}',
    '{"cmd": "{\\"a\\": 1}"}', '{"cmd": "ü", "n": 12345678901234567890}',
)  # fmt: skip
BAD_ARGUMENTS = (
    "{}", "", '{"n": 1}', '{"cmd": 5}', '{"cmd": "ls", "n": -1}', '{"cmd": "ls", "n": "3"}', '{"cmd": "ls", "mode": "x"}',
    '{"cmd": "ls", "paths": "a"}', '{"cmd": "ls", "paths": [1]}', '{"cmd": "ls", "why": "?"}', '["ls"]', '"ls"', "null",
    '{"cmd": "ls"} {"cmd": "ls"}', "{'cmd': 'ls'}", '{"cmd": "ls",}', '{cmd: "ls"}', '{"cmd": NaN}', '{"cmd": "a\nb"}',
    "ls -la", '```json\n{"cmd": "ls"}\n```', '{"cmd": None}', '{"command": "ls"}', "undefined",
)  # fmt: skip


def called() -> Iterator[Sample]:
    yield from calls(
        False,
        *(("run", a) for a in GOOD_ARGUMENTS),
        ("read", "{}"),
        ("read", ""),
        ("edit", '{"path": "a"}'),
    )
    yield from calls(True, *(("run", a) for a in BAD_ARGUMENTS))
    yield from calls(
        True,
        *(("run", a[:cut]) for a in GOOD_ARGUMENTS[:6] for cut in (3, len(a) // 2, len(a) - 1)),
    )
    yield from calls(
        True, ("rm", "{}"), ("Run", '{"cmd": "ls"}'), ("functions.run", '{"cmd": "ls"}'), ("", "{}")
    )
    yield from calls(False, *(("apply_patch", p) for p in PATCHES), kind="custom")
    yield from calls(True, *(("apply_patch", p) for p in BAD_PATCHES), kind="custom")


FITTING = (
    '{"cmd": "ls"}',
    '{"cmd": "x", "n": 2}',
    ' {"cmd": "a"} ',
    '{"cmd": "é", "paths": []}',
    '{\n "cmd": "x"\n}',
)


def structured() -> Iterator[Sample]:
    check = "structured output"
    yield from said(check, False, *FITTING, prompt=FORM)
    yield from said(
        check, False, *FITTING, "{}", "[1, 2]", '{"any": "thing"}', '"text"', prompt=ANY_JSON
    )
    wrong = tuple(a for a in BAD_ARGUMENTS if a)
    yield from said(
        check, True, *wrong, "Sure! {}", 'Here: {"cmd": "ls"}', '{"cmd": "ls"} Done.', prompt=FORM
    )
    text = (
        "Sure! {}",
        "{",
        '{"a": 1,}',
        '```json\n{"a": 1}\n```',
        "{'a': 1}",
        '{"a": NaN}',
        "yes",
        '{"a": 1}{"b": 2}',
    )
    yield from said(check, True, *text, *(f[: len(f) // 2] for f in FITTING), prompt=ANY_JSON)


# -- edits ------------------------------------------------------------------------------------------------------------

DIFFS = (
    "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n a = 1\n-b = 2\n+b = 3\n c = 4",
    "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -10,2 +10,3 @@ def f():\n one\n+two\n three",
    "--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,2 @@\n+hello\n+world",
    "--- a/old.txt\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-hello\n-world",
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file",
    "--- a/x\n+++ b/x\n@@ -1,4 +1,4 @@\n a\n\n-b\n+c\n d",
    "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\n c\n@@ -9,2 +9,2 @@\n-d\n+e\n f",
    "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -1,1 +1,1 @@\n-c\n+d",
    "--- x.py\n+++ x.py\n@@ ... @@\n-a\n+b\n c",
    "--- a/list.md\n+++ b/list.md\n@@ -1,2 +1,2 @@\n--- old item\n+++ new item\n - kept",
    "--- a/q.sql\n+++ b/q.sql\n@@ -1,3 +1,2 @@\n select 1;\n--- a comment\n select 2;",
    "--- a/x\t2026-01-01\n+++ b/x\t2026-01-02\n@@ -3,1 +3,2 @@\n a\n+\tb",
)  # fmt: skip
DIFF_LOOKS = (
    "```diff\n- old\n+ new\n```", "```diff\n@@ in the loop @@\n-a\n+b\n```", "Run `diff -u a b` and look for `@@ -1 +1 @@`.",
    "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y", "---\ntitle: x\n---\ntext", "a\n--- \nb",
    "diff --git a/b.png b/b.png\nBinary files a/b.png and b/b.png differ", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\nThis mends it.",
)  # fmt: skip
BAD_DIFFS = (
    "--- a/x\n+++ b/x\n@@ -1,5 +1,6 @@\n a\n-b\n+c", "--- a/x\n+++ b/x\n@@ -1,2 +1,2\n a\n-b\n+c",
    "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\nb\n-c\n+d", "--- a/x\n+++ b/x\n-a\n+b", "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-a\n+b\n+c",
    "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\n@@ -9,1 +9,1 @@\n-c\n+d", "--- a/x\n+++ b/x\n@@ -a,1 +a,1 @@\n-a\n+b",
)  # fmt: skip

SEARCHES = (
    "a.py\n```python\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```",
    "```\nsrc/b.ts\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```",
    "new.txt\n```\n<<<<<<< SEARCH\n=======\nhello\n>>>>>>> REPLACE\n```",
    "a.py\n```\n<<<<<<< SEARCH\nx\n=======\n>>>>>>> REPLACE\n```",
    "a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n\na.py\n<<<<<<< SEARCH\nc\n=======\nd\n>>>>>>> REPLACE",
    "a.py\n```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nc\n=======\nd\n>>>>>>> REPLACE\n```",
    "<replace_in_file>\n<path>a</path>\n<diff>\n------- SEARCH\na\n=======\nb\n+++++++ REPLACE\n</diff>\n</replace_in_file>",
    "doc.rst\n<<<<<<< SEARCH\nTitle\n=======\nHead\n=====\n>>>>>>> REPLACE",
    "Makefile\n```make\n<<<<<<< SEARCH\nall:\n=======\nall: b\n>>>>>>> REPLACE\n```",
)  # fmt: skip
SEARCH_LOOKS = (
    "Resolve the conflict:\n```\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\n```", "The block opens with `<<<<<<< SEARCH`.",
    "Title\n=======\n\ntext", "SEARCH and REPLACE in the editor.", "```\n=======\n```",
)  # fmt: skip
BAD_SEARCHES = (
    "```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```", "a.py\n<<<<<<< SEARCH\na\n<<<<<<< SEARCH\nb\n=======\nc\n>>>>>>> REPLACE",
    "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE", "a.py\n<<<<<<< SEARCH\na\n======= b\n>>>>>>> REPLACE",
)  # fmt: skip

PATCHES = (
    "*** Begin Patch\n*** Add File: a.txt\n+hello\n+\n+world\n*** End Patch",
    "*** Begin Patch\n*** Delete File: a.txt\n*** End Patch",
    "*** Begin Patch\n*** Update File: add.py\n@@ def f():\n-    return 1\n+    return 2\n*** End Patch",
    "*** Begin Patch\n*** Update File: a.py\n*** Move to: b.py\n@@\n-a\n+b\n*** End Patch",
    "*** Begin Patch\n*** Update File: a\n x\n-a\n+b\n\n y\n*** End of File\n*** End Patch",
    "*** Begin Patch\n*** Update File: a\n@@ class A\n@@ def f\n-a\n+b\n*** Delete File: b\n*** Add File: c\n+c\n*** End Patch\n",
    "*** Begin Patch\n*** Update File: a\n*** Move to: b\n*** End Patch",
)  # fmt: skip
PATCH_LOOKS = (
    "The tool wants `*** Begin Patch` first.",
    "*** note ***\n\ntext",
    "A file ends with *** End Patch",
    "***",
)
BAD_PATCHES = (
    "*** Begin Patch\n*** End Patch", "*** Begin Patch\n*** Add File: a\nhello\n*** End Patch",
    "*** Begin Patch\n*** Add File: a\n*** End Patch", "*** Begin Patch\n*** Update File: a\n@@\na = 1\n+b\n*** End Patch",
    "*** Begin Patch\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n*** End Patch", "*** Begin Patch\n*** Modify File: a\n-a\n+b\n*** End Patch",
    "*** Begin Patch\n*** Delete File: a\n-a\n*** End Patch", "*** Begin Patch\n*** Update File: a\n@@x\n-a\n+b\n*** End Patch",
    "*** Begin Patch\n*** Update File: a\n-a\n+b\n*** Move to: b\n*** End Patch",
)  # fmt: skip


def fenced(text: str, language: str = "") -> str:
    return f"This mends it.\n\n```{language}\n{text}\n```\n"


def edits() -> Iterator[Sample]:
    yield from said(
        "unified diff", False, *DIFFS, *(fenced(d, "diff") for d in DIFFS), *DIFF_LOOKS, *PROSE[:8]
    )
    yield from said("unified diff", True, *BAD_DIFFS, *(fenced(d, "diff") for d in BAD_DIFFS))
    numbered = [d for d in DIFFS if "@@ -" in d]
    yield from said(
        "unified diff", True, *(fenced(b, "diff") for d in numbered for b in damaged_diff(d))
    )
    yield from said("SEARCH/REPLACE", False, *SEARCHES, *SEARCH_LOOKS, *PROSE[:8])
    yield from said("SEARCH/REPLACE", True, *BAD_SEARCHES)
    for text in SEARCHES:
        yield from said(
            "SEARCH/REPLACE", True, *damaged_marks(text, ("=======\n", "REPLACE\n", "SEARCH\n"))
        )
    yield from said(
        "apply_patch", False, *PATCHES, *(fenced(p) for p in PATCHES), *PATCH_LOOKS, *PROSE[:8]
    )
    yield from said("apply_patch", True, *BAD_PATCHES, *(fenced(p) for p in BAD_PATCHES))
    for text in PATCHES:
        yield from said(
            "apply_patch",
            True,
            text.replace("*** End Patch", "").rstrip() + "\n",
            text[: text.index("File:") + 5],
        )


def damaged_diff(text: str) -> Iterator[str]:
    """A wrong count; a sign lost; a line of the hunk lost; the header cut."""
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("@@ -"))
    old, new = lines[at].split()[1:3]
    yield text.replace(old, old.split(",")[0] + ",7", 1)
    yield text.replace(new, new.split(",")[0] + ",9", 1)
    yield "\n".join([*lines[: at + 1], "x" + lines[at + 1], *lines[at + 2 :]])
    yield "\n".join([*lines[: at + 1], *lines[at + 2 :]])
    yield text.replace(lines[at], lines[at].replace(" @@", "", 1), 1)


def damaged_marks(text: str, marks: tuple[str, ...]) -> Iterator[str]:
    """Each line with a mark lost, once."""
    for mark in marks:
        lines = text.split("\n")
        found = [i for i, line in enumerate(lines) if (line + "\n").endswith(mark)]
        if found:
            yield "\n".join([*lines[: found[-1]], *lines[found[-1] + 1 :]])


# -- code -------------------------------------------------------------------------------------------------------------

PYTHON = (
    "def f(x: int) -> int:\n    return x + 1", "import os\n\nprint(os.name)", "x = [i for i in range(3) if i % 2]",
    "class A:\n    def __init__(self):\n        self.x = {'a': (1, 2)}", "async def f():\n    async with a as b:\n        await b",
    "try:\n    f()\nexcept (A, B) as e:\n    raise C from e", "match x:\n    case {'a': 1}:\n        y = 2\n    case _:\n        y = 3",
    "with open('a') as f, open('b') as g:\n    g.write(f.read())", "@decorated(1)\ndef g(*args, **kw):\n    yield from args",
    's = """\nmany\nlines\n"""\nt = s % (1, 2)', "if a:\n    b()\nelse:\n    c()", "lambda x, /, y, *, z: (x, y, z)",
)  # fmt: skip
PYTHON_LOOKS = (
    "    def method(self):\n        return 1", "def f(...):\n    ...", ">>> 1 + 1\n2", "else:\n    c()", "def f(x: int) -> str",
    "except ValueError:\n    pass", "class A(B):", "pip install <package>\nx = 1", "$ python a.py\nok", "%timeit f()", "!pip install x",
    "def f(x):\n    # ... rest as before\n", "await f()", "return x", "print 'old'", "type X = int\n\ndef f[T](x: T) -> T:\n    return x",
    "a = 1\n…\nb = 2", "yield x", "", "# only a comment", "d = {\n    'a': 1,\n    ...\n}", "for x in y:\n    ...", "foo(a, ...)",
    "def f():\n    # existing code", "x = {{ value }}", "In [1]: 1 + 1",
)  # fmt: skip
BAD_PYTHON = (
    "def f(x:\n    return x", "if x = 1:\n    pass", "def f():\nreturn 1", "x = (1, 2", "for i in range(3)\n    print(i)",
    "class A:\n  def f(self):\n      pass\n    def g(self):\n      pass", "print('a)", "x = 1 +", "a b c", "def f():\n\treturn 1\n        x = 2",
    "import", "x = [1, 2))", "function f() { return 1; }", "public static void main(String[] args) {}", "{'a': 1,, 'b': 2}",
    "if a:\nb()", "x == = 2", "from x import", "raise ValueError('a'", "with open('a') as:\n    pass",
)  # fmt: skip
JSON_BLOCKS = (
    '{"a": 1}', "[1, 2]", '{"a": {"b": [null, true]}}', '"x"', '{"a": 1}\n{"a": 2}', '"a": 1,\n"b": 2', '{"a": ...}',
    '{\n  // why\n  "a": 1\n}', '{"a": "<your key>"}', '"scripts": {"x": "y"}', "", '{"a": 1, /* b */ "c": 2}', '{"items": [1, …]}',
)  # fmt: skip
BAD_JSON = (
    '{"a": 1,}', "{'a': 1}", '{"a": 1', "{a: 1}", '{"a": 1 "b": 2}', '{"a": True}', '["a" "b"]', '{"a": 01}', '{"a": "b}', "[1, 2,]",
    '{"a": undefined}', '{"a": 1}}',
)  # fmt: skip


def code() -> Iterator[Sample]:
    check = "code blocks"
    yield from said(check, False, *(fenced(c, "python") for c in (*PYTHON, *PYTHON_LOOKS)))
    yield from said(check, False, *(fenced(c, "json") for c in JSON_BLOCKS), *PROSE)
    yield from said(
        check,
        False,
        *SEARCHES,
        fenced("x = (", ""),
        fenced("if (", "text"),
    )
    yield from said(
        check,
        True,
        *(fenced(c, "python") for c in BAD_PYTHON),
        *(fenced(c, "json") for c in BAD_JSON),
    )
    yield from said(check, True, *(fenced(b, "python") for c in PYTHON for b in damaged_code(c)))


def by_grammar() -> Iterator[Sample]:
    """Blocks that are judged where the extra `checks` is installed."""
    for held, broken in (
        (grammar_corpus.SOUND, False),
        (grammar_corpus.SHOWN, False),
        (grammar_corpus.BROKEN, True),
    ):
        for tag, blocks in held.items():
            yield from said(GRAMMAR, broken, *(fenced(b, tag) for b in blocks))
    for tag, blocks in grammar_corpus.SOUND.items():
        damaged = (b for c in blocks if tag != "ruby" for b in damaged_code(c))
        yield from said(GRAMMAR, True, *(fenced(b, tag) for b in damaged))


def damaged_code(code_: str) -> Iterator[str]:
    """The last closing bracket lost, the first colon at a line's end lost, one bracket too many."""
    at = max(code_.rfind(sign) for sign in ")]}")
    if at >= 0:
        yield code_[:at] + code_[at + 1 :]
    if ":\n" in code_:
        yield code_.replace(":\n", "\n", 1)
    yield code_ + ")"


# -- refusals ---------------------------------------------------------------------------------------------------------

REFUSALS = (
    "I'm sorry, but I can't help with that.", "I can’t assist with that request.", "I cannot help with this.",
    "Sorry, but I can't do that.", "I'm unable to help with that request.", "I must decline to write that code.",
    "As an AI language model, I cannot access exploits.", "I won't create malware.", "I will not provide instructions for that.",
    "I'm not able to assist with bypassing this check.", "This request violates our usage policies, so I can't continue.",
    "I am not comfortable with helping here.", "Lo siento, pero no puedo ayudar con eso.", "Désolé, je ne peux pas vous aider.",
    "Tut mir leid, dabei kann ich nicht helfen.", "抱歉，我无法帮助您完成这个请求。", "申し訳ありませんが、そのご依頼にはお応えできません。",
    "Извините, но я не могу помочь с этим.", "Desculpe, mas não posso ajudar com isso.", "I have to respectfully decline.",
    "No.", "That is not something I do.", "I'd rather not.",
)  # fmt: skip
NO_REFUSALS = (
    "Done.", "The user can't help it: the button is disabled.", "I can't reproduce the bug here, but the cause is the lock.",
    "I cannot help without the stack trace. Could you paste it?", "The function refuses empty input.", "It can't be done in O(1).",
    'I changed the message to "Sorry, something went wrong".', "I can help with that: run `make`.", "The policy denies writes.",
    "I can't see the file you mention; please attach it.", "We cannot provide a default here, so the argument is required.",
    "I'm sorry for the confusion: the flag is `-x`.", "The assistant must not answer twice, so I added a guard.", "Yes.",
    "Lo siento, me equivoqué: el indicador es `-x`.", "Entschuldigung, das war falsch: es ist `-x`.", "I won't break the API: the old name stays.",
    "The test declines a bad card and passes.", "I cannot overstate how much the index helps.", "抱歉，刚才写错了，应该是 `-x`。",
    "I refused the merge because of the conflict; here it is, resolved.", *PROSE,
)  # fmt: skip


def refusals() -> Iterator[Sample]:
    yield from said("refusal", False, *NO_REFUSALS)
    yield from said("refusal", True, *REFUSALS)


def samples() -> tuple[Sample, ...]:
    """The whole corpus."""
    parts = (whole, called, structured, edits, code, by_grammar, refusals)
    return tuple(s for part in parts for s in part())


def found(sample: Sample) -> bool:
    """Whether the sample's check finds something."""
    from openfusion_auto.core.checks import CHECKS, refuses

    if sample.check == "refusal":
        return refuses(sample.answer.text)
    if sample.check == GRAMMAR:
        return bool(CHECKS["code blocks"](sample.prompt, sample.answer))
    return bool(CHECKS[sample.check](sample.prompt, sample.answer))


def figures() -> dict[str, tuple[int, int, int, int]]:
    """Check -> sound answers, broken answers, sound ones that it finds something in, broken ones that it finds."""
    table: dict[str, tuple[int, int, int, int]] = {}
    for sample in samples():
        sound, broken, false, true = table.get(sample.check, (0, 0, 0, 0))
        hit = found(sample)
        table[sample.check] = (
            sound + (not sample.broken),
            broken + sample.broken,
            false + (hit and not sample.broken),
            true + (hit and sample.broken),
        )
    return table


def as_table() -> str:
    """The figures as a Markdown table."""
    rows = ["| Check | sound | broken | precision | recall |", "| --- | --- | --- | --- | --- |"]
    for check, (sound, broken, false, true) in figures().items():
        rows.append(
            f"| {check} | {sound} | {broken} | {true / (true + false):.3f} | {true / broken:.3f} |"
        )
    return "\n".join(rows)


def filled(page: str) -> str:
    """The page with its table made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{as_table()}\n{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), encoding="utf-8")
    for missed in (s for s in samples() if found(s) != s.broken):
        print(missed.check, "missed" if missed.broken else "WRONGLY FOUND", missed.name)
