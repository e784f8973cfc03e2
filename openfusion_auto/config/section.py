"""What all tables of a configuration are made of: strict, frozen, no unknown key."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def listed(value: object) -> object:
    """Let a TOML array stand where a tuple is meant; strict mode would want a tuple."""
    return tuple(value) if isinstance(value, list) else value


Strings = Annotated[tuple[str, ...], BeforeValidator(listed)]


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
