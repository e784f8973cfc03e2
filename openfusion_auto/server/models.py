"""`GET /v1/models`: what clients may ask for, in one body for OpenAI's, Anthropic's and OpenRouter's readers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from openfusion_auto.core.cost import known_rates
from openfusion_auto.core.digest import plain
from openfusion_auto.core.own import OwnModel, OwnModels
from openfusion_auto.core.price import OPENROUTER_PARTS, LongPrice
from openfusion_auto.core.strength import is_embedding
from openfusion_auto.core.types import Candidate, Pool, Price, Stats
from openfusion_auto.runtime.access import View
from openfusion_auto.runtime.names import AUTO, FUSION, PREFIX, not_found, roles_of
from openfusion_auto.server.keys import CLIENT, ENGINE, VIEWS
from openfusion_auto.server.middleware import answer_json

OWNER = "openfusion_auto"  # of names behind which several candidates stand
UNKNOWN_PRICE = "-1"  # as OpenRouter says of its own openrouter/auto: it varies, or nobody knows
# What a candidate offers -> the request's fields by which OpenRouter's clients know it.
PARAMETERS = {
    "tools": ("tools", "tool_choice"),
    "json_schema": ("response_format", "structured_outputs"),
    "reasoning": ("reasoning", "include_reasoning"),
}


async def models(request: web.Request) -> web.Response:
    """`GET /v1/models`: virtual models, roles, the operator's own, then the pool."""
    data = listing(request)
    return answer_json(
        {
            "object": "list",
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
    )


async def model(request: web.Request) -> web.Response:
    """`GET /v1/models/{id}`; the id may hold slashes, plain or escaped."""
    wanted = request.match_info["model"]
    view = view_of(request)
    pool = view.pool if view else request.app[ENGINE].means.pool
    aliases = {c.model: c.id for c in pool.candidates}
    for row in listing(request):
        if row["id"] in (wanted, aliases.get(wanted)):
            return answer_json(row)
    if view is not None:
        view.check(wanted)
    raise not_found(wanted, pool, request.app[ENGINE].own)


def listing(request: web.Request) -> list[dict[str, object]]:
    """Return every model as a JSON entry; of those only that the client's key may use."""
    view, engine = view_of(request), request.app[ENGINE]
    pool = view.pool if view else engine.means.pool
    live, most = engine.means.live.snapshot(None).stats, engine.means.ceilings.answer
    found = catalogue(pool, engine.own, live, most)
    return found if view is None else [e for e in found if e["id"] in view.names]


def view_of(request: web.Request) -> View | None:
    """Return what the client's key may ask for; None = everything."""
    client = request.get(CLIENT)
    return None if client is None else request.app[VIEWS].of(client.models)


def catalogue(
    pool: Pool, own: OwnModels, live: Mapping[str, Stats], most: int | None
) -> list[dict[str, object]]:
    """Return the entries of all names, virtual ones first.

    Args:
        pool: The candidates.
        own: The operator's own models.
        live: Candidate -> what was measured of it.
        most: The longest answer that a client may ask for [tokens]; None = no ceiling.
    """
    rows = virtual_entries(pool, own)
    for c in pool.candidates:
        stats = live.get(c.id)
        latency = round(stats.ttft_ms, 1) if stats and stats.ttft_weight >= 1 else None
        rows.append(entry(c.id, c.upstream, "", (c,), candidate_info(c, latency)))
    return [within(row, most) for row in rows]


def within(row: dict[str, object], most: int | None) -> dict[str, object]:
    """Return an entry whose longest answer is no longer than a client may ask for [tokens]; None = no ceiling."""
    own = row["max_output_tokens"]
    if most is None or (isinstance(own, int) and own <= most):
        return row
    top = {"context_length": row["context_length"], "max_completion_tokens": most}
    return {**row, "max_output_tokens": most, "top_provider": {**top, "is_moderated": False}}


def virtual_entries(pool: Pool, own: OwnModels) -> list[dict[str, object]]:
    """Return the entries of all names behind which several candidates stand."""
    said = "picks the model, or several, for each request"
    talkers = tuple(c for c in pool.candidates if not is_embedding(c))
    found = [
        virtual_entry(AUTO, said, pool, talkers),
        virtual_entry(FUSION, "always a panel", pool, talkers),
    ]
    for role in roles_of(pool):
        players = tuple(c for c in pool.candidates if role in c.roles)
        said = f"the best candidate for the role {role}"
        found.append(virtual_entry(PREFIX + role, said, pool, players))
    return [*found, *(own_entry(model, pool) for model in own.values())]


def own_entry(model: OwnModel, pool: Pool) -> dict[str, object]:
    """Return the entry of a model of the operator's own."""
    shown = virtual_entry(model.name, model.says, pool, model.players(pool))
    made = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**shown, "created": model.created, "created_at": made}


def virtual_entry(
    name: str, says: str, pool: Pool, players: tuple[Candidate, ...]
) -> dict[str, object]:
    """Return the entry of a name behind which several candidates stand."""
    who = players or pool.candidates
    listed = [c.price for c in who if c.price is not None]
    prices: list[Price | LongPrice] = [*listed]
    prices += [longer for price in listed for longer in price.long_context]
    info = {
        "virtual": True,
        "description": says,
        "candidates": [c.id for c in players],
        "offers": offers_of(who),
        "price_range_usd_per_mtok": {
            "input": ends([p.input for p in prices]),
            "output": ends([p.output for p in prices]),
        }
        if prices
        else None,
    }
    return entry(name, OWNER, says, who, info)


def ends(prices: list[float]) -> list[float]:
    """Return the lowest and the highest price [USD per 1M tokens]."""
    return [min(prices), max(prices)]


def offers_of(players: tuple[Candidate, ...]) -> list[str]:
    """Return what at least one of them offers: a request that needs it goes to who has it."""
    return sorted({offer for c in players for offer in c.offers})


def entry(
    name: str, owner: str, says: str, players: tuple[Candidate, ...], info: dict[str, object]
) -> dict[str, object]:
    """Return one entry with what every reader needs; `info` is ours, as the field `openfusion`.

    Windows are the smallest among the players: what is safe to fill.
    """
    windows = [c.context_tokens for c in players if c.context_tokens]
    outputs = [c.max_output_tokens for c in players if c.max_output_tokens]
    window, output = min(windows, default=None), min(outputs, default=None)
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "lifecycle": "active",
        "created": 0,
        "created_at": "1970-01-01T00:00:00Z",
        "owned_by": owner,
        "display_name": name,
        "context_length": window,
        "context_window": window,
        "max_output_tokens": output,
        **as_openrouter(name, says, players, window, output),
        "openfusion": info,
    }


def as_openrouter(
    name: str, says: str, players: tuple[Candidate, ...], window: int | None, output: int | None
) -> dict[str, object]:
    """Return what OpenRouter's clients read of a model: prices are strings, in USD per token."""
    offers = offers_of(players)
    takes = ["text", *(["image"] if "vision" in offers else [])]
    gives = "embeddings" if offers == ["embeddings"] else "text"
    return {
        "name": name,
        "canonical_slug": name,
        "description": says,
        "architecture": {
            "modality": f"{'+'.join(takes)}->{gives}",
            "input_modalities": takes,
            "output_modalities": [gives],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": pricing(players[0].price if len(players) == 1 else None),
        "top_provider": {
            "context_length": window,
            "max_completion_tokens": output,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": [
            "max_tokens",
            *(p for offer in offers for p in PARAMETERS.get(offer, ())),
        ],
    }


def pricing(price: Price | None) -> dict[str, object]:
    """Return a price as OpenRouter writes it [USD per token]; what varies or is not known costs `UNKNOWN_PRICE`."""
    if price is None:
        return {"prompt": UNKNOWN_PRICE, "completion": UNKNOWN_PRICE}
    longer = [{"min_prompt_tokens": p.above_tokens, **told(p)} for p in price.long_context]
    return {**told(price), **({"overrides": longer} if longer else {})}


def told(price: Price | LongPrice) -> dict[str, str]:
    """Return the parts that are known under OpenRouter's names [USD per token]."""
    return {OPENROUTER_PARTS[part]: per_token(usd) for part, usd in known_rates(price).items()}


def per_token(usd_per_mtok: float) -> str:
    """Return USD per 1M tokens as USD per token, in plain digits without a float's noise."""
    text = f"{Decimal(repr(usd_per_mtok)).scaleb(-6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def candidate_info(c: Candidate, latency_ms: float | None) -> dict[str, object]:
    """Return what the pool knows of a candidate; unknown is null."""
    price = c.price
    return {
        "virtual": False,
        "model": c.model,
        "roles": list(c.roles),
        "offers": list(c.offers),
        "price_usd_per_mtok": {
            "input": price.input,
            "output": price.output,
            "cache_read": price.cache_read,
            "cache_write": price.cache_write,
            "source": price.source,
            "as_of": price.as_of,
            "long_context": plain(price.long_context),
        }
        if price
        else None,
        "live_ttft_ms": latency_ms,
    }
