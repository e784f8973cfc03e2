"""OpenRouter's fields in a request: `provider`, `plugins`, `models`, `route`, `session_id`.

An upstream whose `offers` names a field gets it as it came, in whatever dialect the client speaks. From all others it
is kept: strict servers refuse what they do not know. What `provider` demands is then held here as far as that can be
(`provider_of`), an upstream that cannot hold the rest is not asked, and what is only a wish is told as lost.

Source: OpenRouter's guides to provider selection and model fallbacks, as of 2026-08-22.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openfusion_auto.core.prompt import Hosts, Prompt
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level, without_fields

# Field -> the offer of an upstream that takes it.
FIELDS: Mapping[str, str] = {
    "provider": "provider",
    "plugins": "plugins",
    "models": "models",
    "route": "models",
    "session_id": "session_id",
}
QUIET = ("session_id",)  # no answer is other without it
# Demands on who serves a model, and values that demand nothing.
_HARD: Mapping[str, tuple[object, ...]] = {
    "data_collection": ("allow",),
    "zdr": (False,),
    "enforce_distillable_text": (False,),
    "quantizations": ([],),
}
_HELD = ("only", "ignore", "max_price")
# Where a plugin names models, and plugins that choose among all of OpenRouter's where they list none.
_PLUGIN_MODELS = ("model", "analysis_models", "allowed_models")
_CHOOSERS: Mapping[str, tuple[str, str]] = {
    "fusion": ("analysis_models", "openrouter/fusion"),
    "auto-router": ("allowed_models", "openrouter/auto"),
}
_NOTHING: tuple[object, ...] = (None, [], {}, "")
# Wishes that are held anyway: abilities are asked of every candidate, and others stand behind the first.
_MET: Mapping[str, tuple[object, ...]] = {
    "allow_fallbacks": (True,),
    "require_parameters": (False,),
}


def provider_of(value: object) -> Hosts | None:
    """Return what the field `provider` demands; None without a demand. One that cannot be read cannot be held."""
    if value in _NOTHING:
        return None
    given = as_object(value)
    if given is None:
        return Hosts(unmet=("(not an object)",))
    unmet = [k for k, fine in _HARD.items() if given.get(k) is not None and given[k] not in fine]
    names: dict[str, tuple[str, ...]] = {}
    for key in ("only", "ignore"):
        found = given.get(key) or []
        if isinstance(found, list) and all(isinstance(n, str) for n in found):
            names[key] = tuple(n.lower() for n in found)
        else:
            unmet.append(key)
    prices: dict[str, float] = {}
    most = given.get("max_price")
    for key, price in (as_object(most) or {}).items():
        if key in ("prompt", "completion") and _is_price(price):
            prices[key] = float(str(price))
        elif price is not None:
            unmet.append(f"max_price.{key}")
    if most is not None and as_object(most) is None:
        unmet.append("max_price")
    hosts = Hosts(
        names.get("only", ()),
        names.get("ignore", ()),
        prices.get("prompt"),
        prices.get("completion"),
        tuple(unmet),
    )
    return None if hosts == Hosts() else hosts


def _is_price(value: object) -> bool:
    """Whether a value is a price [USD per 1,000,000 tokens]: a number, or one as text, as OpenRouter takes it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return 0 <= float(value) < 1e9
    except ValueError:
        return False


def without_extensions(prompt: Prompt, offers: tuple[str, ...]) -> tuple[Prompt, tuple[str, ...]]:
    """Return a request without the fields that an upstream does not take, and what is lost by that.

    Args:
        prompt: The request, in the dialect of the upstream.
        offers: What the upstream takes besides the dialect.
    """
    gone = [f for f, offer in FIELDS.items() if f in prompt.body and offer not in offers]
    if not gone:
        return prompt, ()
    lost = tuple(line for field in gone for line in _lost(field, prompt.body[field]))
    return without_fields(prompt, gone), lost


def with_extensions(sent: Rendered, prompt: Prompt, offers: tuple[str, ...]) -> Rendered:
    """Return a request that was written for an upstream of another dialect, with the fields that it takes."""
    taken = {f: prompt.body[f] for f, o in FIELDS.items() if f in prompt.body and o in offers}
    if not taken:
        return sent
    told = tuple(line for line in sent.lost if line not in {f"field {f}" for f in taken})
    return Rendered(splice_top_level(read_top_level(sent.body), sent.body, taken), told)


def tells_bill(prompt: Prompt, offers: tuple[str, ...]) -> bool:
    """Whether what an upstream says a call costs is believed before its tokens at the candidate's price.

    Who takes OpenRouter's fields bills as OpenRouter does: by the host that served, with what a plugin searched, for
    another of `models`. Of others nobody knows the unit, but a tool that they run themselves is in their bill alone.
    """
    takes = any(FIELDS[f] in offers for f in ("provider", "plugins", "models"))
    return takes or any(t.kind == "server" for t in prompt.tools)


_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


def models_beside(body: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of models that a request hands on to its upstream beside its own: in `models`, in plugins, in
    tools that OpenRouter runs itself, and in the fallbacks that LiteLLM takes from clients.

    One that lets OpenRouter choose counts as the model of OpenRouter's that does the same.
    """
    found = [*_texts(body.get("models")), *_fallbacks(body)]
    for kind, given in (*_plugins(body.get("plugins")), *_server_tools(body.get("tools"))):
        found += [n for key in _PLUGIN_MODELS for n in _texts(given.get(key))]
        lists, chooser = _CHOOSERS.get(kind, ("", None))
        if chooser is not None and not given.get(lists):
            found.append(chooser)
    return tuple(dict.fromkeys(found))


def _fallbacks(body: Mapping[str, object]) -> Iterator[str]:
    """Yield models that LiteLLM may answer with: listed, as requests of their own, or by the model that fails."""
    for field in _FALLBACKS:
        value = body.get(field)
        for entry in value if isinstance(value, list) else []:
            given = as_object(entry)
            for named in [entry] if given is None else [given.get("model"), *given.values()]:
                yield from _texts(named)


def _plugins(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    for entry in value if isinstance(value, list) else []:
        given = as_object(entry) or {}
        if given.get("enabled") is not False:
            yield str(given.get("id")), given


def _server_tools(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    for entry in value if isinstance(value, list) else []:
        given = as_object(entry) or {}
        prefix, _, kind = str(given.get("type")).partition(":")
        if prefix == "openrouter":
            yield kind, as_object(given.get("parameters")) or {}


def _texts(value: object) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return [v for v in several if isinstance(v, str)]


def _lost(field: str, value: object) -> list[str]:
    """Return what is lost with a field, in stable words."""
    if field in QUIET or value in _NOTHING:
        return []
    given = as_object(value)
    if field != "provider" or given is None:
        return [f"field {field}"]
    return [
        f"field provider.{key}"
        for key, said in given.items()
        if key not in _HARD
        and key not in _HELD
        and said not in _NOTHING
        and said not in _MET.get(key, ())
    ]
