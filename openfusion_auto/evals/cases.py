"""Cases: what is asked in an evaluation, what should be decided, and how an answer is graded. Data in TOML or JSONL.

A folder of `*.toml` with `[[cases]]`, one such file, or a JSONL file with a case a line. Those of this product are in
`receipts/cases`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from openfusion_auto.config.problems import describe, dotted
from openfusion_auto.config.section import Section, Strings, listed
from openfusion_auto.config.tomlfile import Loc, read_toml
from openfusion_auto.core.digest import digest
from openfusion_auto.data import data_root
from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.jsonl import objects

ID = r"^[a-z0-9][a-z0-9._-]{0,79}$"
SHIPPED = "shipped"  # the name of our own cases

Table = dict[str, Any]  # a message, a tool or a JSON Schema, as Chat Completions has it
Tables = Annotated[tuple[Table, ...], BeforeValidator(listed)]


class Expect(Section):
    """What Auto should decide on a case; an empty list asks for nothing."""

    kind: Strings = ()
    risk: Strings = ()
    complexity: Strings = ()
    turn: Strings = ()
    mode: Strings = ()
    tool: Strings = ()  # the answer calls one of these

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """Return what is asked for, by name."""
        return {name: value for name, value in self if value}


class Grade(Section):
    """How an answer is judged: `by` names the grader, the other fields are its own."""

    by: Literal["exact", "contains", "numeric", "regex", "json_schema", "python", "judge"]
    answer: str | None = None  # exact: the text; numeric: the number
    all: Strings = ()  # contains: each must be there
    any: Strings = ()  # contains: one must be there
    none: Strings = ()  # contains: none may be there
    pattern: str | None = None  # regex: found somewhere in the answer
    tolerance: float = Field(default=1e-9, ge=0)  # numeric: relative, absolute near 0
    ignore_case: bool = True  # exact, contains, regex
    schema_: Table | None = Field(default=None, alias="schema")  # json_schema
    tests: str | None = None  # python: run behind the answer's code
    timeout_s: float = Field(default=10.0, gt=0, le=120)  # python
    rubric: str | None = None  # judge: what makes an answer right

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Grade:
        needed: Mapping[str, tuple[str, ...]] = {
            "exact": ("answer",),
            "numeric": ("answer",),
            "contains": ("all", "any", "none"),
            "regex": ("pattern",),
            "json_schema": ("schema_",),
            "python": ("tests",),
            "judge": ("rubric",),
        }
        fields = needed[self.by]
        if not any(getattr(self, f) not in (None, ()) for f in fields):
            raise ValueError(f"needs {' or '.join(f.rstrip('_') for f in fields)}")
        self._can_judge()
        return self

    def _can_judge(self) -> None:
        """Refuse what could judge nothing: it would be found out when the answers are paid for."""
        if self.by == "numeric" and not any(map(str.isdecimal, self.answer or "")):
            raise ValueError("answer: has no number")
        if self.by == "regex":
            try:
                re.compile(self.pattern or "")
            except re.error as error:
                raise ValueError(f"pattern: is no regular expression ({error})") from None
        if self.by == "json_schema":
            from jsonschema import Draft202012Validator, SchemaError  # takes 0.2 s to import

            try:
                Draft202012Validator.check_schema(self.schema_ or {})
            except SchemaError as error:
                raise ValueError(f"schema: is no JSON Schema ({error.message[:200]})") from None


class Case(Section):
    """One request with what is expected of it. `prompt` is one user message; `messages` are a whole conversation."""

    id: str = Field(pattern=ID)
    prompt: str | None = Field(default=None, min_length=1)
    system: str | None = None
    messages: Tables = ()
    tools: Tables = ()
    mode: Literal["auto", "single", "verify", "panel"] = "auto"
    cost_quality: float | None = Field(default=None, ge=0, le=10)
    max_output_tokens: int | None = Field(default=None, ge=1)
    expect: Expect = Expect()
    grade: Grade | None = None

    @model_validator(mode="after")
    def _asks_once(self) -> Case:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("needs prompt or messages, one of them")
        return self

    def body(self) -> dict[str, object]:
        """Return the Chat Completions request, without a model."""
        said: list[object] = [{"role": "system", "content": self.system}] if self.system else []
        said += list(self.messages) or [{"role": "user", "content": self.prompt}]
        body: dict[str, object] = {"messages": said}
        if self.tools:
            body["tools"] = list(self.tools)
        if self.max_output_tokens is not None:
            body["max_completion_tokens"] = self.max_output_tokens
        return body

    def question(self) -> str:
        """Return what a person asked last, for a grader to read."""
        if self.prompt is not None:
            return self.prompt
        asked = [m.get("content") for m in self.messages if m.get("role") == "user"]
        return str(asked[-1]) if asked else ""

    @property
    def digest(self) -> str:
        """The digest of the whole case, its grader included."""
        return digest(self.model_dump(mode="json", by_alias=True))


def listing(cases: Sequence[Case]) -> list[dict[str, object]]:
    """Return cases as a receipt names them."""
    return [{"id": c.id, "digest": c.digest} for c in cases]


def digest_of(cases: Sequence[Case]) -> str:
    """Return the digest of what was asked, as a receipt holds it."""
    return digest(listing(cases))


class _File(Section):
    schema_: Literal[1] = Field(alias="schema")
    cases: Annotated[tuple[Case, ...], BeforeValidator(listed)] = Field(min_length=1)


def load_cases(path: Path) -> tuple[Case, ...]:
    """Return the cases of a folder or a file, in the order of file names and lines.

    Raises:
        ConfigError: not readable, a wrong value (with its line), an id that stands twice, or no case at all.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".toml", ".jsonl"))
        if not files:
            raise ConfigError(f"{path}: holds no *.toml and no *.jsonl with cases")
        found = [case for file in files for case in _of_file(file)]
    else:
        found = list(_of_file(path))
    return unique(found)


def unique(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Return the cases.

    Raises:
        ConfigError: two have one id.
    """
    ids = [case.id for case in cases]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ConfigError(f"these cases stand twice: {', '.join(twice[:5])}")
    return tuple(cases)


def named(name: str) -> tuple[Case, ...]:
    """Return the cases that a command line names: `shipped`, a folder, or a file."""
    return load_cases(data_root() / "receipts" / "cases" if name == SHIPPED else Path(name))


def _of_file(path: Path) -> tuple[Case, ...]:
    if path.suffix == ".jsonl":
        return tuple(_of_lines(path))
    file = read_toml(path, path.name)

    def label(loc: Loc) -> str:
        return f"{file.where(loc)}: {dotted(loc)}"

    try:
        return _File.model_validate(file.data).cases
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error.errors(), _File, label))) from None


def _of_lines(path: Path) -> Iterator[Case]:
    for start, data in objects(path):
        try:
            yield Case.model_validate(data)
        except ValidationError as error:
            raise ConfigError("\n".join(_problems(error, start))) from None


def _problems(error: ValidationError, start: str) -> list[str]:
    return describe(error.errors(), Case, lambda loc: f"{start}: {dotted(loc)}")
