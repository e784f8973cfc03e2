"""Install, status and uninstall of one client, whatever its format.

A client's file is written only when every file of that client could be edited; a broken one is never written to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import Literal

from openfusion_auto.clients import files, record
from openfusion_auto.clients.editor import BEGIN, Edit, Editor, missing, put_in, regions, take_out
from openfusion_auto.clients.plan import MISSING, Change, Rules, dotted, get, same
from openfusion_auto.clients.plan import Path as KeyPath
from openfusion_auto.clients.record import Record
from openfusion_auto.clients.spec import Adapter, Target, Values, sibling
from openfusion_auto.errors import ConfigError

State = Literal["no_file", "absent", "installed", "changed", "broken"]
# What ends the name of a secret; `env_key` names a variable.
_WORDS = "key|token|secret|password|passwd|pass|auth|authorization|cookie"
_NAME = rf"""(?<![\w-])(?!env_?key["']?\s*[:=])[\w-]*(?:{_WORDS})"""
_SECRETS = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        (r"""\b(bearer|basic)\s+[^\s"',]+""", r"\1 ***"),
        (rf"""({_NAME}["']?\s*[:=]\s*)(["'])(?![{{$])(?:\\.|(?!\2).)+""", r"\1\2***"),
        (rf"""({_NAME}["']?\s*[:=]\s*)(?![{{\[$"'\s])[^"',]+""", r"\1***"),
        (rf"""((?=--){_NAME}(?:["']\s*,\s*|\s+)["']?)(?![{{$])[^\s"']+""", r"\1***"),
        (r"""(://)[^\s/@"']+@""", r"\1***@"),
        (r"\b(sk-|gh[a-z]_|github_pat_|xox[a-z]-|glpat-|AIza|AKIA)[\w-]{8,}", r"\1***"),
    )
)


@dataclass(frozen=True, slots=True)
class Status:
    """How a file stands.

    Attributes:
        file: Which.
        state: `installed`: all of ours is there. `changed`: a part of it. `absent`: nothing. `broken`: not readable.
        differs: What is missing or another value, as dotted keys.
        model: The model name that was installed; None where the file names none.
        problem: `file:line: why` of a broken one.
    """

    file: Path
    state: State
    differs: tuple[str, ...] = ()
    model: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to a file: whether it changed, how, and where the bytes from before are."""

    file: Path
    changed: bool
    diff: str = ""
    backup: Path | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """A file of a client with everything that is known of it."""

    adapter: Adapter
    target: Target
    file: Path
    state: Path
    raw: bytes | None
    content: files.Content
    record: Record | None

    @property
    def editor(self) -> Editor:
        """What edits it."""
        return self.target.editor


@dataclass(frozen=True, slots=True)
class _Base:
    """A file as it is without us; `existed` False = not there; `exact` = byte for byte what was there before."""

    content: files.Content
    existed: bool = True
    exact: bool = False

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.content.encode() if self.existed else b""


def status(adapter: Adapter, paths: Sequence[Path], values: Values, state: Path) -> list[Status]:
    """Return how each file of a client stands.

    Args:
        adapter: The client.
        paths: Its files, as `place.locate` gives them.
        values: What would be installed now; what was installed counts more.
        state: The state folder; need not exist.
    """
    pairs = zip(adapter.targets, paths, strict=True)
    return [_status(adapter, target, path, values, state) for target, path in pairs]


def _status(adapter: Adapter, target: Target, path: Path, values: Values, state: Path) -> Status:
    try:
        job = _job(adapter, target, path, state)
        if job.raw is None:
            return Status(path, "no_file")
        values = job.record.values if job.record else values
        lacks = _missing(job, values)
        if not lacks:
            return Status(path, "installed", model=_model(target, values))
        if not job.record and not _traces(job, values):
            return Status(path, "absent")
    except ConfigError as error:
        return Status(path, "broken", problem=error.message)
    return Status(path, "changed", tuple(dotted(p) for p, _ in lacks), _model(target, values))


def _model(target: Target, values: Values) -> str | None:
    return values.model if target.names_model else None


def install(
    adapter: Adapter, paths: Sequence[Path], values: Values, state: Path, *, dry_run: bool = False
) -> list[Outcome]:
    """Put our part into every file of a client; one that has it stays as it is.

    Args:
        adapter: The client.
        paths: Its files, as `place.locate` gives them.
        values: What the templates are filled with.
        state: The state folder; there already, unless `dry_run`.
        dry_run: Only say what would be done.

    Raises:
        ConfigError: a file is broken or cannot be edited safely: `file:line: why`. Nothing was written.
        OSError: a file cannot be written.
    """
    with nullcontext() if dry_run else _alone(adapter, paths, state):
        return _put(adapter, paths, values, state, dry_run=dry_run)


def _put(
    adapter: Adapter, paths: Sequence[Path], values: Values, state: Path, *, dry_run: bool = False
) -> list[Outcome]:
    jobs = [_job(adapter, t, p, state) for t, p in zip(adapter.targets, paths, strict=True)]
    plans = [_planned(job, values) for job in jobs]
    return [
        _install(job, plan, values, dry_run=dry_run) for job, plan in zip(jobs, plans, strict=True)
    ]


def uninstall(
    adapter: Adapter, paths: Sequence[Path], values: Values, state: Path, *, dry_run: bool = False
) -> list[Outcome]:
    """Take our part out of every file of a client; what others wrote since then stays.

    Args:
        adapter: The client.
        paths: Its files, as `place.locate` gives them.
        values: What was installed, in case the state folder was lost.
        state: The state folder; there already, unless `dry_run`.
        dry_run: Only say what would be done.

    Raises:
        ConfigError: our part cannot be told from the rest: `file:line: why`. Nothing was written.
        OSError: a file cannot be written.
    """
    with nullcontext() if dry_run else _alone(adapter, paths, state):
        done = _take(adapter, paths, values, state, dry_run=dry_run)
    return [
        replace(one, deleted=one.deleted and (dry_run or not one.file.exists())) for one in done
    ]


def _take(
    adapter: Adapter, paths: Sequence[Path], values: Values, state: Path, *, dry_run: bool = False
) -> list[Outcome]:
    jobs = [_job(adapter, t, p, state) for t, p in zip(adapter.targets, paths, strict=True)]
    bases = [_base(job, values) for job in jobs]
    done = [_uninstall(j, b, dry_run=dry_run) for j, b in zip(jobs, bases, strict=True)]
    if any(one.deleted for one in done) and not dry_run:
        files.remove_empty({Path(f) for job in jobs if job.record for f in job.record.folders})
    return done


@contextmanager
def _alone(adapter: Adapter, paths: Sequence[Path], state: Path) -> Iterator[None]:
    """Lock the state, and have what was put on top of ours in the same file out of it meanwhile.

    So both a client's models and its tools come and go in any order, and the user's bytes come back.
    """
    with files.locked(state):
        other = sibling(adapter)
        above = _above(adapter, other, paths, state) if other is not None else None
        if other is None or above is None:
            yield
            return
        _take(other, paths, above.values, state)
        try:
            yield
        finally:
            _put(other, paths, above.values, state)


def _above(adapter: Adapter, other: Adapter, paths: Sequence[Path], state: Path) -> Record | None:
    """Return the other part's record when it was put on top of ours and nobody has changed the file since."""
    if len(paths) != 1 or len(other.targets) != 1:
        return None
    ours, theirs = (record.load(state, a.name, paths[0]) for a in (adapter, other))
    if ours is None or theirs is None:
        return None
    below, now = files.read(record.backup(state, other.name, paths[0])), files.read(paths[0])
    stacked = below is not None and record.digest(below) == ours.installed
    return (
        theirs if stacked and now is not None and record.digest(now) == theirs.installed else None
    )


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Put the file's name in front of a message that begins with a line."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}:{error.message}; the file was left as it is") from error


def _job(adapter: Adapter, target: Target, path: Path, state: Path) -> _Job:
    raw = files.read(path)
    with _located(path):
        content = files.decode(raw or b"")
    known = record.load(state, adapter.name, path)
    return _Job(adapter, target, path, state, raw, content, known)


def _missing(job: _Job, values: Values) -> tuple[tuple[KeyPath, object], ...]:
    template, rules = job.target.data(values), job.target.rules(values)
    with _located(job.file):
        return missing(job.editor, job.content.text, template, rules)


def _traces(job: _Job, values: Values) -> bool:
    """Whether something in the file is ours without doubt, though no record says so."""
    template, rules = job.target.data(values), job.target.rules(values)
    if BEGIN in job.content.text and _marked(job, template, rules):
        return True
    with _located(job.file):
        data = job.editor.data(job.content.text, rules)
    owned = [path for path in rules.own if get(template, path) is not MISSING]
    return any(same(get(data, path), get(template, path)) for path in owned)


def _marked(job: _Job, template: Mapping[str, object], rules: Rules) -> bool:
    """Whether what our marks enclose is of this template: another one may share the file."""
    try:
        return not template.keys().isdisjoint(job.editor.data(regions(job.content.text), rules))
    except ConfigError:  # a piece that says nothing without what is around it
        return True


def _base(job: _Job, values: Values) -> _Base:
    """Return the file without our part; `values` are what was installed, should no record say so."""
    known = job.record
    if job.raw is None:
        return _Base(files.Content(""), existed=False)
    if known is None and not _traces(job, values):
        return _Base(job.content)
    if known and record.digest(job.raw) == known.installed:
        original = files.read(record.backup(job.state, job.adapter.name, job.file))
        if original is not None:
            return _Base(files.decode(original), existed=known.existed, exact=True)
    values = known.values if known else values
    # Without a record: as if nothing of ours had been there before.
    lost = tuple(Change((key,), value) for key, value in job.target.data(values).items())
    changes, done = (known.changes, known.splices) if known else (lost, ())
    with _located(job.file):
        text = take_out(job.editor, job.content.text, changes, done, job.target.rules(values))
    # A file that we made goes when nothing else is in it.
    ours = known is not None and not known.existed and text.strip() in ("", "{}")
    return _Base(files.Content(text, job.content.bom), existed=not ours)


def _planned(job: _Job, values: Values) -> tuple[_Base, Edit] | None:
    """Return the file without us, and with us; None when it is as it should be."""
    asked = job.record is None or job.record.values == values
    if job.raw is not None and asked and not _missing(job, values):
        return None
    base = _base(job, values)
    template, rules = job.target.data(values), job.target.rules(values)
    with _located(job.file):
        return base, put_in(job.editor, base.content.text, template, rules)


def _install(
    job: _Job, plan: tuple[_Base, Edit] | None, values: Values, *, dry_run: bool
) -> Outcome:
    if plan is None:
        return Outcome(job.file, changed=False)
    base, edit = plan
    data = files.Content(edit.text, base.content.bom).encode()
    shown = _diff(job.file, job.content.text, edit.text)
    if dry_run:
        return Outcome(job.file, changed=data != job.raw, diff=shown)
    old = job.record
    made = files.missing_folders(job.file) if old is None or job.raw is None else ()
    fresh = Record(
        client=job.adapter.name,
        file=str(job.file),
        values=values,
        installed=record.digest(data),
        existed=base.existed,
        folders=tuple(map(str, made)) or (old.folders if old else ()),
        changes=edit.changes,
        splices=edit.splices,
    )
    # First how to undo, then the deed: whatever ends this process in between, nothing is lost.
    kept = record.save(job.state, fresh, base.data)
    try:
        files.write(job.file, data, job.raw)
    except BaseException:
        if old:
            record.save(job.state, old, base.data)
        else:
            record.drop(job.state, job.adapter.name, job.file, keep_backup=False)
        raise
    return Outcome(
        job.file, changed=data != job.raw, diff=shown, backup=kept if base.existed else None
    )


def _uninstall(job: _Job, base: _Base, *, dry_run: bool) -> Outcome:
    data = base.data if base.existed else None
    shown = _diff(job.file, job.content.text, base.content.text)
    changed = data != job.raw
    if dry_run:
        return Outcome(job.file, changed=changed, diff=shown, deleted=changed and data is None)
    if changed and job.raw is not None:
        if data is None:
            files.remove(job.file, job.raw)
        else:
            files.write(job.file, data, job.raw)
    kept = None
    if job.record:
        keep = job.record.existed and not base.exact
        kept = record.backup(job.state, job.adapter.name, job.file) if keep else None
        record.drop(job.state, job.adapter.name, job.file, keep_backup=keep)
    return Outcome(job.file, changed, shown, kept, deleted=changed and data is None)


def _diff(file: Path, old: str, new: str) -> str:
    """Return a unified diff in which no key of the user's can be read."""
    lines = unified_diff(
        old.splitlines(), new.splitlines(), f"{file} (before)", f"{file} (after)", "", "", 2, ""
    )
    # Without its mark: with a minus in front `env_key` would look like the end of another name.
    return "\n".join(line[:1] + masked(line[1:]) for line in lines)


def masked(line: str) -> str:
    """Return a line of a configuration file with the values of keys, tokens and passwords as `***`.

    They stand beside ours: in headers, variables, arguments and addresses of other servers.
    """
    for pattern, shown in _SECRETS:
        line = pattern.sub(shown, line)
    return line
