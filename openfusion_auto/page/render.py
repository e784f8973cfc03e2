"""Templates to answers. Everything that is printed is escaped, and foreign characters that move or hide text are shown.

A template is a file of `templates/`; `base.html` is the frame that all views extend. No inline script, no inline style:
the policy in `mount.py` shuts both, the `style` attribute included (sizes go into attributes of SVG).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup, escape

from openfusion_auto import __version__
from openfusion_auto.core import words
from openfusion_auto.page.files import STATIC
from openfusion_auto.page.routes import NAVIGATION
from openfusion_auto.server.keys import CLIENT, ENGINE

TEMPLATES = Path(__file__).parent / "templates"
# [characters] of one value that are printed, and of one word in it: where the font has pairs of letters (DejaVu Sans),
# Chromium takes 6 ms to break a word of 1,000 letters into lines, 5 s for 20,000, and it grows with the square.
LONGEST, LONGEST_WORD = 20_000, 1_000
LONG_WORD = re.compile(rf"(?<!\S)(\S{{{LONGEST_WORD}}})(\S+)")
PIECE = 500  # [characters] of a word that is shown whole: there a line may end
WHOLE_WORD = re.compile(rf"(?<!\S)\S{{{PIECE + 1},}}")
# Characters that order text from right to left or hide it (Unicode's bidirectional controls), and escapes of terminals.
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SEEN = {ord(c): f"[U+{ord(c):04X}]" for c in DIRECTIONS}
# Unicode's control pictures.
SEEN |= {c: chr(0x2400 + c) for c in range(0x20) if chr(c) not in "\n\t"}
SEEN |= dict.fromkeys(range(127, 160), "␡")


def seen(text: str) -> str:
    """Return text in which control and direction characters are shown instead of obeyed; half characters too."""
    return text.translate(SEEN).encode("utf-8", "replace").decode()


def breakable(text: str) -> Markup:
    """Return text as HTML whose long words may be broken here and there, so that a browser need not try everywhere."""
    found = WHOLE_WORD.finditer(text)
    ends = [0, *(at for w in found for at in range(w.start() + PIECE, w.end(), PIECE)), len(text)]
    pieces = (escape(text[a:b]) for a, b in pairwise(ends))
    return Markup("<wbr>").join(pieces)


def render(
    request: web.Request, template: str, *, status: int = 200, **values: object
) -> web.Response:
    """Return a template as an answer.

    Args:
        request: For what the frame shows: who has signed in, whether it is a dry run.
        template: Name in `templates/`.
        status: Of HTTP.
        values: For the template. `here` is the view's name in `NAVIGATION`, `title` its title.
    """
    client = request.get(CLIENT)
    frame: dict[str, object] = {
        "here": "",
        "title": "",
        "signed_in": client.name if client is not None else None,
        "dry_run": request.app[ENGINE].dry_run,
    }
    text = environment().get_template(template).render(frame | values)
    return web.Response(text=text, content_type="text/html", charset="utf-8", status=status)


@cache
def environment() -> Environment:
    """Return the templates' environment."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(navigation=NAVIGATION, static=static_url, version=__version__, **SHOWS)
    made.filters.update(FILTERS)
    return made


def finalize(value: object) -> object:
    """Return what is printed for a value: text of `seen` characters, `LONGEST` at most; a dash for what is unknown."""
    if isinstance(value, Undefined | Markup):
        return value
    if value is None:
        return "\N{EN DASH}"
    if not isinstance(value, str):
        return value
    if len(value) > LONGEST_WORD:
        value = LONG_WORD.sub(lambda word: f"{word[1]} [and {len(word[2]):,} letters more]", value)
    rest = len(value) - LONGEST
    return seen(value) if rest <= 0 else f"{seen(value[:LONGEST])} [and {rest:,} characters more]"


@cache
def static_url(name: str) -> str:
    """Return the address of a file of ours; it changes with the file, so that browsers may keep it."""
    mark = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/ui/static/{name}?v={mark}"


# -- filters -----------------------------------------------------------------------------------------------------------


def ms(value: object) -> str:
    """Return a duration of so many milliseconds."""
    if not isinstance(value, int | float):
        return "\N{EN DASH}"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 100_000 else f"{value / 60_000:.1f} min"


def share(value: object) -> str:
    """Return a share 0..1 as percent."""
    return f"{value:.0%}" if isinstance(value, int | float) else "\N{EN DASH}"


def number(value: object, decimals: int = 2) -> str:
    """Return a number with so many decimals."""
    return f"{value:,.{decimals}f}" if isinstance(value, int | float) else "\N{EN DASH}"


def iso(at_s: float) -> str:
    """Return a moment [s since 1970] in ISO 8601, UTC: for the `datetime` of `<time>`; the script shows local time."""
    if not words.has_date(at_s):
        return ""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")


def clock_time(at_s: float) -> str:
    """Return a moment [s since 1970] as a person reads it, UTC."""
    if not words.has_date(at_s):
        return "\N{EN DASH}"
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S}"


def money(value: object) -> str:
    """Return money for a column: six decimals below a dollar, so that the points stand below each other."""
    if not isinstance(value, int | float) or abs(value) >= 1:
        return words.usd(value)
    return f"{'-' if value < 0 else ''}${abs(value):.6f}"


def amount(value: object) -> str:
    """Return money as a sum alone: cents are enough from a dollar on."""
    if isinstance(value, int | float) and abs(value) >= 1:
        return f"${value:,.2f}"
    return words.usd(value)


def tenth(value: object) -> str:
    """Return a number with one decimal."""
    return number(value, 1)


def thousandth(value: object) -> str:
    """Return a number with three decimals."""
    return number(value, 3)


def plain(value: object) -> object:
    """Return a value as it is, for macros that are told how to show one."""
    return value


FILTERS: Mapping[str, Callable[..., str]] = {
    "usd": words.usd,
    "money": money,
    "amount": amount,
    "count": words.count,
    "many": words.many,
    "ms": ms,
    "share": share,
    "number": number,
    "iso": iso,
    "clock_time": clock_time,
}
# The same as functions, for macros that are told how to show a number.
SHOWS: Mapping[str, Callable[..., object]] = {
    "usd": words.usd,
    "ms": ms,
    "share": share,
    "tenth": tenth,
    "thousandth": thousandth,
    "plain": plain,
}
