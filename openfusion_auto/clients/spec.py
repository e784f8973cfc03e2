"""A client as data: `adapters/<name>/adapter.toml` and its templates."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from openfusion_auto.clients.editor import Editor, put_in
from openfusion_auto.clients.jsontext import JsonEditor
from openfusion_auto.clients.plan import Path, Rules
from openfusion_auto.clients.shelltext import BLOCK, ShellEditor
from openfusion_auto.clients.tomltext import TomlEditor
from openfusion_auto.clients.yamltext import YamlEditor
from openfusion_auto.core.strength import is_embedding
from openfusion_auto.data import data_root
from openfusion_auto.errors import ConfigError

if TYPE_CHECKING:
    from openfusion_auto.core.types import Candidate, Pool

SCHEMA = 1  # of adapter.toml
MCP = "-mcp"  # ends the name of what gives a client our tools, beside what lets it use our models
EDITORS: Mapping[str, Editor] = {
    "toml": TomlEditor(),
    "json": JsonEditor(),
    "yaml": YamlEditor(),
    "shell": ShellEditor(),
}
URL = "http://127.0.0.1:8787"
MODEL = "openfusion/auto"
CONTEXT, OUTPUT = 200_000, 32_000  # [tokens] when the pool does not say
_COMPACT = 0.85  # of the window: where an agent should compact before it is full
# Names go into TOML, JSON, YAML and shell as they are: nothing in them may mean anything there.
_MODEL = re.compile(r"[\w@][\w./:@+-]*", re.ASCII)
_URL = re.compile(r"https?://[\w.:\[\]-]+(?:/[\w./~-]*)?", re.ASCII)
_NAME = re.compile(r"[a-z][a-z-]*")


@dataclass(frozen=True, slots=True)
class Values:
    """What a template is filled with.

    Attributes:
        url: Address of the server, without `/v1`.
        model: Model name the client asks for.
        context: Window [tokens] the client may fill.
        output: Bound of one answer [tokens].
        images: Whether a model behind the name sees images.
        command: The program that a client starts for our tools.
        args: What stands behind it.
        env: Names of the variables that it needs from the client.
    """

    url: str = URL
    model: str = MODEL
    context: int = CONTEXT
    output: int = OUTPUT
    images: bool = True
    command: str = "openfusion"
    args: tuple[str, ...] = ("mcp",)
    env: tuple[str, ...] = ()

    def fill(self, text: str) -> str:
        """Return `text` with every `{{name}}` replaced."""
        compact = int(self.context * _COMPACT)
        inputs = ("text", "image") if self.images else ("text",)
        for name, value in (
            ("url", self.url), ("model", self.model), ("context", self.context), ("output", self.output),
            ("compact", compact), ("images", json.dumps(self.images)), ("inputs", written(inputs)),
            ("command", written(self.command)[1:-1]), ("args", written(self.args)),
            ("call", written((self.command, *self.args))), ("env", written(self.env)),
        ):  # fmt: skip
            text = text.replace("{{" + name + "}}", str(value))
        return text


def written(value: str | tuple[str, ...]) -> str:
    """Return a text or a list of texts as JSON writes it, which TOML reads too.

    Raises:
        ConfigError: a control character, which stands in no path that works.
    """
    if any(not part.isprintable() for part in (value if isinstance(value, tuple) else (value,))):
        raise ConfigError(f"{value!r} cannot be written into a configuration file")
    return json.dumps(value, ensure_ascii=False)


def checked(
    url: str, model: str, context: int = CONTEXT, output: int = OUTPUT, *, images: bool = True
) -> Values:
    """Return values whose address has no `/v1` and no slash at its end.

    Raises:
        ConfigError: the address or the name could not stand in every format as it is.
    """
    try:
        good = _URL.fullmatch(url) and urlsplit(url).hostname and urlsplit(url).port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"--url {url!r} is not an address like {URL}")
    if not _MODEL.fullmatch(model):
        raise ConfigError(f"--model {model!r} is not a model name like {MODEL}")
    return Values(url.rstrip("/").removesuffix("/v1").rstrip("/"), model, context, output, images)


@dataclass(frozen=True, slots=True)
class Target:
    """One file of a client.

    Attributes:
        format: toml, json, yaml or shell.
        names: File names; the first that exists is meant, else the first.
        template: What to put in, with `{{placeholders}}`.
        own, keep, items: See `plan.Rules`, still with placeholders.
    """

    format: Literal["toml", "json", "yaml", "shell"]
    names: tuple[str, ...]
    template: str
    own: tuple[tuple[str, ...], ...] = ()
    keep: tuple[tuple[str, ...], ...] = ()
    items: tuple[tuple[tuple[str, ...], str], ...] = ()

    @property
    def editor(self) -> Editor:
        """What edits this format."""
        return EDITORS[self.format]

    @property
    def names_model(self) -> bool:
        """Whether a model's name stands in it."""
        return "{{model}}" in self.template

    def rules(self, values: Values) -> Rules:
        """Return how the template is merged."""

        def filled(path: Sequence[str]) -> Path:
            return tuple(values.fill(key) for key in path)

        return Rules(
            own=frozenset(map(filled, self.own)),
            keep=frozenset(map(filled, self.keep)),
            items={filled(path): key for path, key in self.items},
        )

    def data(self, values: Values) -> dict[str, object]:
        """Return the template's values."""
        text = values.fill(self.template)
        if self.format == "shell":
            return {BLOCK: text.strip()}
        return self.editor.data(text, self.rules(values))

    def snippet(self, values: Values) -> str:
        """Return the file as it would be if nothing else were in it."""
        return put_in(self.editor, "", self.data(values), self.rules(values)).text


@dataclass(frozen=True, slots=True)
class Adapter:
    """One client.

    Attributes:
        name: Its folder's: the client's, with `MCP` behind it where it is about our tools.
        title: As its makers write it.
        surface: Which of our surfaces it speaks to.
        tested: Version last tested against; empty = written from its documentation.
        tested_on: Date of that.
        start: Command that starts it.
        key_env: Variable that must be set to any text (or to a key of OPENFUSION_API_KEYS); empty = none.
        notes: What else to know, one sentence each.
        folders: Its folder by system (linux, macos, windows); empty = the file must be named.
        folder_env: Variables that name the folder -> what comes below it.
        file_env: Variables that name the file itself.
        targets: Its files; the first is what `--file` replaces, others stand beside it.
    """

    name: str
    title: str
    surface: str
    tested: str
    tested_on: str
    start: str
    key_env: str
    notes: tuple[str, ...]
    folders: Mapping[str, str]
    folder_env: Mapping[str, str]
    file_env: tuple[str, ...]
    targets: tuple[Target, ...]

    @property
    def mcp(self) -> bool:
        """Whether it is about our tools instead of our models."""
        return self.name.endswith(MCP)

    @property
    def client(self) -> str:
        """The client as on our command line."""
        return self.name.removesuffix(MCP)


def names(*, mcp: bool = False) -> tuple[str, ...]:
    """Return the clients that can use our models, or with `mcp` our tools, in the order of the alphabet."""
    found = sorted(p.parent.name for p in (data_root() / "adapters").glob("*/adapter.toml"))
    return tuple(n.removesuffix(MCP) for n in found if n.endswith(MCP) == mcp)


def load(name: str, *, mcp: bool = False) -> Adapter:
    """Return what lets the client called `name` use our models, or with `mcp` our tools.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    folder = data_root() / "adapters" / (name + MCP if mcp else name)
    if not _NAME.fullmatch(name) or name not in names(mcp=mcp):
        from difflib import get_close_matches  # only for the message

        known = names(mcp=mcp)
        near = get_close_matches(name[:40], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        what = "adapter with tools for" if mcp else "adapter"
        raise ConfigError(f"there is no {what} {name[:40]!r}.{hint} All: {', '.join(known)}")
    read = tomllib.loads((folder / "adapter.toml").read_text(encoding="utf-8"))
    if read.pop("schema") != SCHEMA:
        raise ConfigError(f"{folder / 'adapter.toml'}: schema must be {SCHEMA}")
    targets = tuple(
        Target(
            format=file["format"],
            names=tuple(file["names"]),
            template=(folder / file["template"]).read_text(encoding="utf-8"),
            own=tuple(map(tuple, file.get("own", ()))),
            keep=tuple(map(tuple, file.get("keep", ()))),
            items=tuple((tuple(item["path"]), item["key"]) for item in file.get("items", ())),
        )
        for file in read.pop("files")
    )
    read["notes"] = tuple(read["notes"])
    read["file_env"] = tuple(read.get("file_env", ()))
    return Adapter(**{"folders": {}, "folder_env": {}, **read, "targets": targets})


def sibling(adapter: Adapter) -> Adapter | None:
    """Return what else can be set up in the same client: its tools beside its models, and the other way round."""
    if adapter.client not in names(mcp=not adapter.mcp):
        return None
    return load(adapter.client, mcp=not adapter.mcp)


def behind(pool: Pool, model: str) -> tuple[Candidate, ...]:
    """Return the candidates behind a name."""
    name = model.removeprefix("openfusion/")
    named = tuple(c for c in pool.candidates if name in (*c.roles, c.id, c.model))
    return named or tuple(c for c in pool.candidates if not is_embedding(c))


def sees_images(pool: Pool, model: str) -> bool:
    """Whether one of the models behind a name sees images: a request with one goes there."""
    return any("vision" in c.offers for c in behind(pool, model))


def windows(pool: Pool, model: str) -> tuple[int | None, int | None]:
    """Return the context and output [tokens] that every model behind a name can do; None = not known."""
    players = behind(pool, model)
    contexts = [c.context_tokens for c in players if c.context_tokens]
    outputs = [c.max_output_tokens for c in players if c.max_output_tokens]
    return min(contexts, default=None), min(outputs, default=None)
