"""The three public price lists that are read, each by its own form.

Sources, as seen in 2026: models.dev's schema (anomalyco/models.dev, packages/core/src/schema.ts), OpenRouter's
`GET /api/v1/models`, LiteLLM's `model_prices_and_context_window.json` (its own `sample_spec` explains the keys).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from openfusion_auto.config.pool import FREE_SUFFIX
from openfusion_auto.config.price_entry import (
    MODEL_NAME,
    Entry,
    Tier,
    believed,
    number,
    table,
    tiers,
    tokens,
    words,
)
from openfusion_auto.core.price import OPENROUTER_PARTS

PER_TOKEN = 1e6  # USD per token -> USD per 1M tokens
# Modes of LiteLLM's list that a candidate can have; images, speech and rerankers are not chosen between.
MODES = ("chat", "responses", "completion", "embedding")
LITELLM_PARTS: Mapping[str, str] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
_ABOVE = re.compile(r"input_cost_per_token(_above_([0-9]{1,6})k_tokens)")

Rows = Iterator[Entry]


def kind_of(data: object) -> str | None:
    """Return which list `data` is by its form; None when it is none of them."""
    if not isinstance(data, dict):
        return None
    rows = data.get("data")
    if isinstance(rows, list):
        return "openrouter" if any("pricing" in table(row) for row in rows) else None
    values = [v for v in data.values() if isinstance(v, dict)]
    if any(isinstance(v.get("models"), dict) for v in values):
        return "models.dev"
    if any("litellm_provider" in v for v in values):
        return "litellm"
    return None


def models_dev(data: Mapping[str, object]) -> Rows:
    """Read `api.json` of models.dev, first and second version: provider -> models -> cost [USD per 1M tokens]."""
    for provider, told in data.items():
        for name, raw in table(table(told).get("models")).items():
            row = table(raw)
            cost, limit = table(row.get("cost")), table(row.get("limit"))
            price, notes = believed(cost, 1.0, embeds=row.get("type") == "embedding")
            longer = tiers(_models_dev_tiers(cost), 1.0)
            notes += [*longer.notes, *_thinking(cost.get("reasoning"), cost.get("output"), 1.0)]
            if row.get("status") == "deprecated":
                notes.append("deprecated")
            notes += _ends(row.get("deprecation_date"))
            yield Entry(
                provider=provider,
                id=name,
                price=price,
                long_context=longer.prices if price else (),
                context_tokens=tokens(limit.get("context")),
                priced_tokens=longer.known_tokens,
                input_tokens=tokens(limit.get("input")),
                max_output_tokens=tokens(limit.get("output")),
                offers=_models_dev_offers(row),
                notes=tuple(notes),
            )


def _models_dev_offers(row: Mapping[str, object]) -> dict[str, bool]:
    """Return what a model can do. The second version has it in `capabilities`, and subtypes such as `image/png`."""
    second = table(row.get("capabilities"))
    seen = {
        "tools": row.get("tool_call", second.get("tools")),
        "reasoning": row.get("reasoning", second.get("reasoning")),
        "json_schema": row.get("structured_output", second.get("structured_output")),
    }
    inputs = table(row.get("modalities")).get("input")
    if isinstance(inputs, list):
        seen["vision"] = any(word.partition("/")[0] == "image" for word in words(inputs))
    plain = {k: v.get("supported") if isinstance(v, dict) else v for k, v in seen.items()}
    return {k: v for k, v in plain.items() if isinstance(v, bool)}


def _models_dev_tiers(cost: Mapping[str, object]) -> list[Tier]:
    listed = cost.get("tiers")
    told = [table(t) for t in listed] if isinstance(listed, list) else []
    if not told and "context_over_200k" in cost:
        return [(200_000, table(cost["context_over_200k"]))]
    kinds = [(table(t.get("tier")), t) for t in told]
    return [(kind.get("size"), t) for kind, t in kinds if kind.get("type", "context") == "context"]


def openrouter(data: Mapping[str, object]) -> Rows:
    """Read OpenRouter's list of models: strings in USD per token."""
    rows = data.get("data")
    for raw in rows if isinstance(rows, list) else ():
        row = table(raw)
        name, pricing, top = (
            row.get("id"),
            table(row.get("pricing")),
            table(row.get("top_provider")),
        )
        if not isinstance(name, str):
            continue
        parts = {part: pricing.get(key) for part, key in OPENROUTER_PARTS.items()}
        price, notes = believed(parts, PER_TOKEN, free=name.endswith(FREE_SUFFIX))
        longer = tiers(_openrouter_tiers(pricing, price), PER_TOKEN)
        notes += [*longer.notes, *_openrouter_notes(pricing)]
        notes += _ends(row.get("expiration_date"))
        # The list's own window is the widest of its hosts; the first host may serve less.
        windows = [tokens(row.get("context_length")), tokens(top.get("context_length"))]
        yield Entry(
            provider="openrouter",
            id=name,
            price=price,
            long_context=longer.prices if price else (),
            context_tokens=min((w for w in windows if w), default=None),
            priced_tokens=longer.known_tokens,
            max_output_tokens=tokens(top.get("max_completion_tokens")),
            offers=_openrouter_offers(row),
            notes=tuple(notes),
        )


def _openrouter_offers(row: Mapping[str, object]) -> dict[str, bool]:
    seen: dict[str, bool] = {}
    if isinstance(row.get("supported_parameters"), list):
        known = words(row["supported_parameters"])
        seen = {
            "tools": "tools" in known,
            "reasoning": "reasoning" in known,
            "json_schema": "structured_outputs" in known,
        }
    inputs = table(row.get("architecture")).get("input_modalities")
    if isinstance(inputs, list):
        seen["vision"] = "image" in inputs
    return seen


def _openrouter_notes(pricing: Mapping[str, object]) -> Iterator[str]:
    request = number(pricing.get("request"))
    if request is not None and request > 0:
        yield f"{request:g} USD for each request come on top; a pool cannot hold that"
    yield from _thinking(pricing.get("internal_reasoning"), pricing.get("completion"), PER_TOKEN)
    if any("min_prompt_tokens" not in row for row in _overrides(pricing)):
        yield "the price depends on the hour or another condition; the list's base is taken"


def _overrides(pricing: Mapping[str, object]) -> list[Mapping[str, object]]:
    rows = pricing.get("overrides")
    return [table(row) for row in rows] if isinstance(rows, list) else []


def _openrouter_tiers(pricing: Mapping[str, object], base: Mapping[str, float]) -> list[Tier]:
    """Return the overrides for longer prompts; what they do not override stays."""
    stays = {part: usd / PER_TOKEN for part, usd in base.items()}
    return [
        (
            row.get("min_prompt_tokens"),
            {**stays, **{part: row[key] for part, key in OPENROUTER_PARTS.items() if key in row}},
        )
        for row in _overrides(pricing)
    ]


def litellm(data: Mapping[str, object]) -> Rows:
    """Read LiteLLM's list: numbers in USD per token, the provider in front of the name or beside it."""
    for name, raw in data.items():
        row = table(raw)
        provider, mode = row.get("litellm_provider"), row.get("mode", "chat")
        if name == "sample_spec" or not isinstance(provider, str) or mode not in MODES:
            continue
        embeds = mode == "embedding"
        ranges = _litellm_ranges(row)
        base = next((parts for above, parts in ranges if above == 0), _litellm_parts(row, ""))
        price, notes = believed(base, PER_TOKEN, embeds=embeds)
        longer = tiers([*_litellm_tiers(row), *ranges], PER_TOKEN, embeds=embeds)
        notes += [*longer.notes, *_litellm_notes(row)]
        seen = {
            "tools": row.get("supports_function_calling"),
            "vision": row.get("supports_vision"),
            "reasoning": row.get("supports_reasoning"),
            "json_schema": row.get("supports_response_schema"),
        }
        yield Entry(
            provider=provider,
            id=name.removeprefix(f"{provider}/"),
            price=price,
            long_context=longer.prices if price else (),
            priced_tokens=longer.known_tokens,
            input_tokens=tokens(row.get("max_input_tokens")),
            max_output_tokens=tokens(row.get("max_output_tokens")),
            offers={k: v for k, v in seen.items() if isinstance(v, bool)},
            notes=tuple(notes),
        )


def _litellm_parts(row: Mapping[str, object], suffix: str) -> dict[str, object]:
    return {part: row.get(f"{key}{suffix}") for part, key in LITELLM_PARTS.items()}


def _litellm_tiers(row: Mapping[str, object]) -> list[Tier]:
    found = [_ABOVE.fullmatch(key) for key in row]
    return [(int(m[2]) * 1000, _litellm_parts(row, m[1])) for m in found if m]


def _litellm_ranges(row: Mapping[str, object]) -> list[Tier]:
    """Return the prices by ranges of lengths that some models have instead of one; the first range begins at 0."""
    listed = row.get("tiered_pricing")
    found: list[Tier] = []
    ends: list[float] = []
    for told in map(table, listed if isinstance(listed, list) else ()):
        bounds = told.get("range")
        if isinstance(bounds, list) and len(bounds) == 2:
            found.append((bounds[0], _litellm_parts(told, "")))
            ends.append(number(bounds[1]) or 0.0)
    longest = number(row.get("max_input_tokens"))
    if ends and longest is not None and longest > max(ends):
        found.append((max(ends), {}))  # nobody says what it costs from there on
    return found


def _litellm_notes(row: Mapping[str, object]) -> Iterator[str]:
    if "off_peak_pricing" in row:
        yield "the price depends on the hour; the list's base is taken"
    request = number(row.get("input_cost_per_request"))
    if request is not None and request > 0:
        yield f"{request:g} USD for each request come on top; a pool cannot hold that"
    thinking, output = row.get("output_cost_per_reasoning_token"), row.get("output_cost_per_token")
    yield from _thinking(thinking, output, PER_TOKEN)
    yield from _ends(row.get("deprecation_date"))


def _ends(day: object) -> Iterator[str]:
    if isinstance(day, str) and day:
        yield f"ends on {day[:10]}"


def _thinking(reasoning: object, output: object, per_mtok: float) -> Iterator[str]:
    """Yield a note when thinking costs more than answering."""
    thought, said = number(reasoning), number(output)
    if thought is not None and said is not None and thought > said:
        yield f"thinking costs {thought * per_mtok:g}, more than output; a pool holds output only"


READERS: Mapping[str, Callable[[Mapping[str, object]], Rows]] = {
    "models.dev": models_dev,
    "openrouter": openrouter,
    "litellm": litellm,
}


def usable(entry: Entry) -> bool:
    """Whether a candidate could be named like this entry."""
    return bool(MODEL_NAME.fullmatch(entry.id) and MODEL_NAME.fullmatch(entry.provider))
