"""Asking a person for the key of an upstream, and keeping it; never where nobody is there to be asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import lacks_key, stdin_is_terminal
from openfusion_auto.config import given
from openfusion_auto.config.sealed import DOTENV, ENVIRONMENT

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.config.schema import UpstreamConfig


def can_ask() -> bool:
    """Whether a person types, and sees what is said on stdout and stderr."""
    streams = (sys.stdout, sys.stderr)
    return stdin_is_terminal() and all(s is not None and s.isatty() for s in streams)


def offer(settings: Settings) -> Literal["given", "declined", "not asked"]:
    """Ask for a key where no upstream can be called for want of one.

    Raises:
        click.Abort: Ctrl-C or Ctrl-D.
    """
    waiting = [u for u in settings.config.upstreams if lacks_key(settings, u) and u.api_key_env]
    if not waiting or len(waiting) < len(settings.config.upstreams) or not can_ask():
        return "not asked"
    first = waiting[0]
    output.note(f"No key is set for the upstream {first.name} ({first.base_url}).")
    output.note(
        "Paste it here: it is kept for later chats and the server. Enter alone: a dry run, which calls no model."
    )
    return "given" if ask(settings, first) else "declined"


def ask(settings: Settings, upstream: UpstreamConfig) -> bool:
    """Ask for the key of an upstream and keep it; returns whether one was given.

    Raises:
        click.Abort: Ctrl-C or Ctrl-D.
    """
    name = upstream.api_key_env or ""
    key = click.prompt(
        f"{name} (not shown)", hide_input=True, default="", show_default=False, err=True
    ).strip()
    if not key:
        return False
    if not (key.isascii() and key.isprintable() and " " not in key):
        output.problem("that holds characters that no key has; nothing was kept")
        return False
    path = given.path_in(settings.state_path)
    where = given.give(path, name, upstream.base_url, key)
    place = "the system keyring" if where == "keyring" else f"{path}, which only you can read"
    output.note(f"kept in {place}")
    if settings.key_places.get(name) in (ENVIRONMENT, DOTENV):
        output.problem(f"{name} is set in {settings.key_places[name]}, too: that one goes before")
    return True
