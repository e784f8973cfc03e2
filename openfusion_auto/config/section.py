"""What all tables of a configuration are made of: strict, frozen, no unknown key."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def listed(value: object) -> object:
    """Let a TOML array stand where a tuple is meant; strict mode would want a tuple."""
    return tuple(value) if isinstance(value, list) else value


def named(value: str) -> str:
    """Refuse what is no plain name."""
    if not _NAME.fullmatch(value):
        raise ValueError("must be letters, digits, '.', '_' or '-', at most 64")
    return value


Strings = Annotated[tuple[str, ...], BeforeValidator(listed)]
Name = Annotated[str, AfterValidator(named)]


class Section(BaseModel):
    """Base of all tables of a configuration: strict, frozen, no unknown key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_by_name=False,
        validate_by_alias=True,
    )
