"""Refusals of a request, worded and coded as OpenAI's API does, and the checks of single fields.

Every check skips None: clients send `null` for what they leave open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openfusion_auto.errors import BadRequest, ModelNotFound

MODEL_LIMIT = 256  # characters of a model name or id
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_INTEGERS: Mapping[str, tuple[int | None, int | None]] = {
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "top_logprobs": (0, 20),
    "seed": (None, None),
}
_BOOLEANS = ("stream", "parallel_tool_calls", "logprobs", "store")
_SHAPES = ("text", "json_object", "json_schema")
_CHOICES = ("none", "auto", "required")
# What would send a request, or its credentials, somewhere else: names without case, `_` and `-`.
_FORBIDDEN = frozenset(
    {"baseurl", "apibase", "apikey", "proxy", "proxies", "httpproxy", "httpsproxy"}
)
# Members that hold the user's own text or schemas, where those words are only words.
_OWN_TEXT = frozenset(
    {"messages", "tools", "functions", "response_format", "metadata", "prediction", "input"}
)


def missing(param: str) -> BadRequest:
    """Return the refusal of a request that lacks `param`."""
    return BadRequest(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def wrong_type(param: str, expected: str, value: object) -> BadRequest:
    """Return the refusal of a value of the wrong JSON type; the value itself is never quoted."""
    return BadRequest(
        f"Invalid type for '{param}': expected {expected}, but got {_kind(value)} instead.",
        param=param,
        code="invalid_type",
    )


def wrong_value(param: str, expected: str) -> BadRequest:
    """Return the refusal of a value that is not among, or not within, what is expected."""
    return BadRequest(
        f"Invalid value for '{param}': expected {expected}.", param=param, code="invalid_value"
    )


def one_of(values: Iterable[str]) -> str:
    """Return `one of 'a', 'b'` for a message."""
    return "one of " + ", ".join(f"'{v}'" for v in values)


def number(param: str, value: object, low: float | None, high: float | None) -> float:
    """Return `value` as a number within bounds (None = unbounded); booleans are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(param, "a number", value)
    _bound(param, value, low, high)
    return float(value)


def integer(param: str, value: object, low: int | None, high: int | None) -> int:
    """Return `value` as an integer within bounds (None = unbounded); booleans and 1.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(param, "an integer", value)
    _bound(param, value, low, high)
    return value


def boolean(param: str, value: object) -> bool:
    """Return `value` when it is true or false."""
    if not isinstance(value, bool):
        raise wrong_type(param, "a boolean", value)
    return value


def string(param: str, value: object) -> str:
    """Return `value` when it is a string."""
    if not isinstance(value, str):
        raise wrong_type(param, "a string", value)
    return value


def members(param: str, value: object) -> dict[str, object]:
    """Return `value` when it is an object."""
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)
    return value


def items(param: str, value: object) -> list[object]:
    """Return `value` when it is an array."""
    if not isinstance(value, list):
        raise wrong_type(param, "an array", value)
    return value


def name(param: str, value: object) -> str:
    """Return `value` when it can be a name: 1 to 256 printable characters."""
    text = string(param, value)
    if not text or len(text) > MODEL_LIMIT or not text.isprintable():
        raise wrong_value(param, f"a name of 1 to {MODEL_LIMIT} printable characters")
    return text


def check_model(body: Mapping[str, object]) -> str:
    """Return the model's name.

    Raises:
        BadRequest: missing, not a string, empty.
        ModelNotFound: too long, or with characters that no model name has.
    """
    value = body.get("model")
    if value is None:
        raise missing("model")
    model = string("model", value)
    if not model:
        raise wrong_value("model", "the name of a model")
    if len(model) > MODEL_LIMIT or not model.isprintable():
        raise ModelNotFound(
            f"The model does not exist: a name has up to {MODEL_LIMIT} printable characters. "
            "GET /v1/models lists those that do.",
            param="model",
        )
    return model


def check_sampling(body: Mapping[str, object]) -> None:
    """Check numbers, integers, booleans, `stop` and `logit_bias`."""
    for field, (low, high) in _NUMBERS.items():
        if body.get(field) is not None:
            number(field, body[field], low, high)
    for field, (least, most) in _INTEGERS.items():
        if body.get(field) is not None:
            integer(field, body[field], least, most)
    for field in _BOOLEANS:
        if body.get(field) is not None:
            boolean(field, body[field])
    _check_stop(body.get("stop"))
    if body.get("logit_bias") is not None:
        for value in members("logit_bias", body["logit_bias"]).values():
            number("logit_bias", value, -100, 100)


def check_stream_options(body: Mapping[str, object]) -> bool:
    """Return whether the client wants the usage chunk."""
    value = body.get("stream_options")
    if value is None:
        return False
    options = members("stream_options", value)
    if body.get("stream") is not True:
        raise BadRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is true.",
            param="stream_options",
            code="invalid_value",
        )
    wanted = options.get("include_usage")
    return wanted is not None and boolean("stream_options.include_usage", wanted)


def check_response_format(body: Mapping[str, object]) -> str:
    """Return the form of output that is asked for: text, json_object or json_schema."""
    value = body.get("response_format")
    if value is None:
        return "text"
    shape = members("response_format", value)
    kind = shape.get("type")
    if kind is None:
        raise missing("response_format.type")
    if string("response_format.type", kind) not in _SHAPES:
        raise wrong_value("response_format.type", one_of(_SHAPES))
    if kind == "json_schema":
        _check_schema(shape.get("json_schema"))
    return str(kind)


def check_tool_choice(body: Mapping[str, object], names: frozenset[str]) -> bool:
    """Return whether tools are switched off; a forced tool must be among `names`."""
    value = body.get("tool_choice")
    if value is None or isinstance(value, str):
        if value is not None and value not in _CHOICES:
            raise wrong_value("tool_choice", one_of(_CHOICES) + ", or an object")
        return value == "none"
    if not isinstance(value, dict):
        raise wrong_type("tool_choice", "a string or an object", value)
    kind = string("tool_choice.type", value.get("type"))
    if kind in ("function", "custom"):
        forced = members(f"tool_choice.{kind}", value.get(kind))
        wanted = string(f"tool_choice.{kind}.name", forced.get("name"))
        if wanted not in names:
            raise BadRequest(
                f"Invalid value for 'tool_choice': the named {kind} is not in 'tools'.",
                param="tool_choice",
                code="invalid_value",
            )
    return False


def refuse_forbidden(body: Mapping[str, object]) -> None:
    """Refuse a request that names an address, a key or a proxy to use.

    At the top level and at any depth below it, but not where the user's own text and schemas stand.
    """
    for field, value in body.items():
        _refuse_name(field, field)
        if field not in _OWN_TEXT:
            _refuse_below(field, value)


def _refuse_below(path: str, value: object) -> None:
    level = [value]
    while level:
        node = level.pop()
        if isinstance(node, dict):
            for field in node:
                _refuse_name(field, path)
            level += node.values()
        elif isinstance(node, list):
            level += node


def _refuse_name(field: str, path: str) -> None:
    if field.lower().replace("_", "").replace("-", "") in _FORBIDDEN:
        raise BadRequest(
            "Addresses, keys and proxies cannot be given with a request; the server's configuration names them.",
            param=path,
            code="forbidden_field",
        )


def _check_stop(value: object) -> None:
    if value is None or isinstance(value, str):
        return
    for i, word in enumerate(items("stop", value)):
        string(f"stop[{i}]", word)


def _check_schema(value: object) -> None:
    if value is None:
        raise missing("response_format.json_schema")
    schema = members("response_format.json_schema", value)
    if schema.get("name") is None:
        raise missing("response_format.json_schema.name")
    string("response_format.json_schema.name", schema["name"])
    if schema.get("schema") is not None:
        members("response_format.json_schema.schema", schema["schema"])


def _bound(param: str, value: float, low: float | None, high: float | None) -> None:
    if (low is None or value >= low) and (high is None or value <= high):
        return
    expected = f"at least {low}" if high is None else f"{low} to {high}"
    raise wrong_value(
        param, f"a number of {expected}" if high is None else f"a number from {expected}"
    )


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
