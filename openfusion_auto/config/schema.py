"""What `openfusion.toml` may say. Every field carries its meaning and unit: the template is made of them.

Unknown keys, wrong types and numbers that are not finite are refused; nothing is converted silently.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from openfusion_auto.config.addresses import check_header, checked_host, checked_url, is_loopback
from openfusion_auto.config.cache import CacheSection
from openfusion_auto.config.ceilings import CeilingsSection
from openfusion_auto.config.hedge import HedgeSection
from openfusion_auto.config.models import Models
from openfusion_auto.config.page import PageSection
from openfusion_auto.config.rules import ClassifierSection, LearnSection, RuleConfig
from openfusion_auto.config.section import Name, Section, Strings, listed
from openfusion_auto.config.strategies import StageSection, checked
from openfusion_auto.core.prompt import Dialect
from openfusion_auto.core.types import Policy, Preferences, Twice

# What a relay may be told to accept on top of the dialect; other words are kept, with a warning.
KNOWN_OFFERS = (
    "models", "provider", "plugins", "session_id", "web_search", "cache_control", "any_model",
)  # fmt: skip

# Upper case only: a key pasted here by mistake would otherwise pass as a name and be shown.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


class UpstreamConfig(Section):
    """`[[upstreams]]`: a place that serves models."""

    name: Name = Field(description="name that the pool's candidates use")
    base_url: str = Field(
        description="address up to and with the version part, such as /v1; http or https"
    )
    api_key_env: str | None = Field(
        default=None,
        description="environment variable (or line in .env) that holds the key; never the key itself",
        examples=["OPENROUTER_API_KEY"],
    )
    proxy_env: str | None = Field(
        default=None,
        description='environment variable (or line in .env) that holds the URL of its proxy, "" = no proxy; '
        "else HTTPS_PROXY, but for the hosts of NO_PROXY",
        examples=["RELAY_PROXY"],
    )
    dialect: Dialect = Field(
        default="chat", description="how it is spoken to: chat, responses or messages"
    )
    extra_headers: dict[str, str] = Field(
        default_factory=dict, description="headers sent with every call; no keys", repr=False
    )
    offers: Strings = Field(
        default=(),
        description="what it takes besides the dialect: " + ", ".join(KNOWN_OFFERS),
    )
    cache_ttl_s: float | None = Field(
        default=None,
        gt=0,
        description="its prompt cache counts as warm so long, seconds; else session.cache_ttl_s",
        examples=[300.0],
    )
    cache_min_tokens: int | None = Field(
        default=None,
        ge=0,
        description="shortest prompt that it caches, tokens; else 1024",
        examples=[1024],
    )

    search_usd: float | None = Field(
        default=None, ge=0, description="what one web search costs there, USD", examples=[0.01]
    )

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("api_key_env")
    @classmethod
    def _api_key_env(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise ValueError(
                "must be the NAME of an environment variable (upper case), never the key itself"
            )
        return value

    @field_validator("proxy_env")
    @classmethod
    def _proxy_env(cls, value: str | None) -> str | None:
        if value and not _VARIABLE.fullmatch(value):
            raise ValueError(
                "must be the NAME of an environment variable (upper case), never the URL itself"
            )
        return value

    @field_validator("extra_headers")
    @classmethod
    def _extra_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            check_header(name, content)
        return value

    @model_validator(mode="after")
    def _whole(self) -> UpstreamConfig:
        if self.proxy_env and not self.base_url.startswith("https://"):
            raise ValueError("proxy_env needs a base_url of https://: nothing else goes by a proxy")
        return self

    @property
    def loopback(self) -> bool:
        """Whether it runs on this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")


class PoolSection(Section):
    """`[pool]`: the candidates."""

    file: str = Field(
        default="default",
        description='a path, relative to this file, or a shipped pool: "default", "local"',
        min_length=1,
    )


class PreferencesSection(Section):
    """`[auto.preferences]`: hard limits; a candidate outside is rejected. Without a value: no limit."""

    max_input_price: float | None = Field(
        default=None, ge=0, description="highest input price, USD per 1M tokens", examples=[5.0]
    )
    max_output_price: float | None = Field(
        default=None, ge=0, description="highest output price, USD per 1M tokens", examples=[25.0]
    )
    min_benchmark: float | None = Field(
        default=None, ge=0, le=100, description="lowest benchmark score, percent", examples=[60.0]
    )
    min_tokens_per_s: float | None = Field(
        default=None, ge=0, description="lowest output rate, tokens per second", examples=[30.0]
    )
    max_ttft_ms: float | None = Field(
        default=None, gt=0, description="longest wait for the first token, ms", examples=[5000.0]
    )
    fail_open: bool = Field(
        default=False,
        description="when nothing meets the limits: drop them and say so, instead of failing",
    )


class AutoSection(Section):
    """`[auto]`: how Auto decides."""

    cost_quality: float = Field(
        default=5.0, ge=0, le=10, description="0 = quality first .. 10 = cheapest first"
    )
    mode: Literal["auto", "single", "verify", "panel"] = Field(
        default="auto", description="auto, or one mode for every user turn: single, verify, panel"
    )
    fallbacks: int = Field(
        default=3, ge=0, le=8, description="further candidates behind the first, 0 to 8"
    )
    panel_size: int = Field(default=3, ge=2, le=8, description="members of a panel, 2 to 8")
    panel_wait_s: float = Field(
        default=120.0, gt=0, description="longest wait for members once one has answered, seconds"
    )
    samples: int = Field(
        default=3,
        ge=2,
        le=8,
        description="answers of the one model in strategy self_fusion, 2 to 8",
    )
    debate_rounds: int = Field(
        default=1, ge=1, le=3, description="rounds of revision in strategy debate, 1 to 3"
    )
    pipeline: Annotated[
        tuple[StageSection, ...], BeforeValidator(listed), AfterValidator(checked)
    ] = ()
    hold_destructive: bool = Field(
        default=False,
        description="a verifier reads tool calls that destroy something before the client gets them",
    )
    judge_twice: Twice = Field(
        default="auto",
        description="judge in both orders: auto (2 answers, tied vote), always, never",
    )
    max_usd: float | None = Field(
        default=None, gt=0, description="ceiling for one request, worst case, USD", examples=[0.5]
    )
    max_calls: int = Field(
        default=12, ge=1, le=64, description="ceiling for upstream calls of one request"
    )
    experience: str | None = Field(
        default=None,
        description="what recorded outcomes taught: a file of openfusion replay --save-experience",
        examples=["experience.npz"],
        min_length=1,
    )
    preferences: PreferencesSection = Field(default_factory=PreferencesSection)

    def policy(self) -> Policy:
        """Return these settings as what a decision takes."""
        same = self.model_dump(exclude={"experience", "pipeline", "preferences"})
        return Policy(
            **same,
            pipeline=tuple(s.stage() for s in self.pipeline),
            preferences=Preferences(**self.preferences.model_dump()),
        )


class TimeoutsSection(Section):
    """`[timeouts]`: seconds."""

    connect_s: float = Field(default=5.0, gt=0, description="to open a connection, seconds")
    first_token_s: float = Field(
        default=60.0, gt=0, description="from the request to the first byte of the answer, seconds"
    )
    idle_s: float = Field(default=120.0, gt=0, description="silence inside an answer, seconds")
    total_s: float = Field(default=900.0, gt=0, description="one whole upstream call, seconds")


class ServerSection(Section):
    """`[server]`: the address that clients talk to."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8787, ge=0, le=65535, description="port; 0 = any free one")
    workers: int = Field(
        default=1, ge=1, le=64, description="processes that serve the address together; Linux only"
    )
    allowed_hosts: Strings = Field(
        default=(), description="names accepted in the Host header besides loopback"
    )
    report_model: Literal["answering", "requested"] = Field(
        default="answering", description="the `model` of an answer: answering or requested"
    )
    report_usage: Literal["all", "answering"] = Field(
        default="all", description="the `usage` of an answer: of all calls, or of the answering one"
    )
    max_body_mb: float = Field(
        default=64.0, gt=0, le=1024, description="largest request body, MB (1,000,000 bytes)"
    )
    traces_kept: int = Field(default=1000, ge=0, description="newest traces kept in memory")
    keep_alive_s: float = Field(
        default=3.0,
        ge=0,
        description="pause between signs of life on a waiting stream, seconds; 0 = none",
    )
    drain_s: float = Field(
        default=20.0,
        ge=0,
        description="how long running requests may finish after SIGTERM, seconds",
    )
    insecure_no_keys: bool = Field(
        default=False,
        description="confirms `serve --insecure-no-keys`; by itself it does nothing",
    )

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return checked_host(value)

    @field_validator("allowed_hosts")
    @classmethod
    def _allowed_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_host(host).lower() for host in value)


class StreamSection(Section):
    """`[stream]`: how streams are relayed."""

    tool_calls: Literal["guarded", "live"] = Field(
        default="guarded",
        description="guarded = a tool call is passed on when it is whole, and asked for once more elsewhere when "
        "it breaks its tool's schema; live = as it comes",
    )


class SessionSection(Section):
    """`[session]`: how long a conversation keeps its model."""

    ttl_s: float = Field(default=3600.0, gt=0, description="a session forgets its model, seconds")
    cache_ttl_s: float = Field(
        default=300.0, gt=0, description="a provider's prompt cache counts as warm, seconds"
    )


class StoreSection(Section):
    """`[store]`: what is kept on disk, so that a restart forgets nothing; prompts and answers only with `texts`."""

    enabled: bool = Field(
        default=True, description="keep statistics, sessions, traces and the ledger in a file"
    )
    max_mb: float = Field(
        default=256.0,
        ge=1,
        le=1_000_000,
        description="largest file, MB (1,000,000 bytes); the oldest traces go first",
    )
    keep_days: float = Field(
        default=30.0, gt=0, le=36_500, description="age at which things are deleted, days"
    )
    texts: bool = Field(
        default=False,
        description="keep the words of requests and answers with their traces too, in memory and in the file",
    )


class RedisSection(Section):
    """`[redis]`: what several processes or machines share, when the variable is set."""

    url_env: str = Field(
        default="OPENFUSION_REDIS_URL",
        description="environment variable (or line in .env) that holds the URL; never the URL itself",
    )
    prefix: str = Field(
        default="openfusion",
        description="start of all keys; servers with the same one share",
        min_length=1,
        max_length=64,
    )
    wait_s: float = Field(
        default=0.25,
        description="how long a question to Redis may take [s]; after that each server is on its own for a while",
        gt=0,
        le=10,
    )

    @field_validator("url_env")
    @classmethod
    def _url_env(cls, value: str) -> str:
        if not _VARIABLE.fullmatch(value):
            raise ValueError("must be the NAME of an environment variable, never the URL itself")
        return value


class LimitsSection(Section):
    """`[limits]`: what all clients together may use; a key has its own limits besides. Without a value: no limit."""

    max_concurrent: int | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="requests that are answered at once; more get a 503",
        examples=[64],
    )
    requests_per_minute: int | None = Field(
        default=None,
        gt=0,
        le=10**9,
        description="requests in a minute; more get a 429",
        examples=[600],
    )
    usd_per_day: float | None = Field(
        default=None, gt=0, le=1e8, description="budget of 24 hours, USD", examples=[20.0]
    )
    usd_per_month: float | None = Field(
        default=None, gt=0, le=1e8, description="budget of 30 days, USD", examples=[200.0]
    )
    usd_per_session: float | None = Field(
        default=None,
        gt=0,
        le=1e8,
        description="budget of one session in 30 days, USD",
        examples=[5.0],
    )


class MetricsSection(Section):
    """`[metrics]`: who may read `GET /metrics`."""

    open_on_loopback: bool = Field(
        default=False,
        description="clients on this machine need no key for it, also when others ask for one",
    )


class LogSection(Section):
    """`[log]`: what is written to stderr; never a prompt, a key or what an upstream said."""

    format: Literal["text", "json"] = Field(
        default="text", description="text for people, or json: one object a line"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="lowest level: debug, info, warning or error"
    )
    access: bool = Field(default=True, description="one line for every answer, at level info")


class OtelSection(Section):
    """`[otel]`: spans of OpenTelemetry; where they go is said by the standard variables OTEL_*."""

    enabled: bool = Field(
        default=False, description="send spans of requests and calls; needs the extra otel"
    )


Named = tuple[UpstreamConfig, ...] | tuple[RuleConfig, ...] | Models


class Config(Section):
    """A whole `openfusion.toml`."""

    upstreams: Annotated[tuple[UpstreamConfig, ...], BeforeValidator(listed)] = ()
    pool: PoolSection = Field(default_factory=PoolSection)
    auto: AutoSection = Field(default_factory=AutoSection)
    classifier: ClassifierSection = Field(default_factory=ClassifierSection)
    learn: LearnSection = Field(default_factory=LearnSection)
    timeouts: TimeoutsSection = Field(default_factory=TimeoutsSection)
    hedge: HedgeSection = Field(default_factory=HedgeSection)
    max_tokens: CeilingsSection = Field(default_factory=CeilingsSection)
    server: ServerSection = Field(default_factory=ServerSection)
    stream: StreamSection = Field(default_factory=StreamSection)
    session: SessionSection = Field(default_factory=SessionSection)
    store: StoreSection = Field(default_factory=StoreSection)
    cache: CacheSection = Field(default_factory=CacheSection)
    redis: RedisSection = Field(default_factory=RedisSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    rules: Annotated[tuple[RuleConfig, ...], BeforeValidator(listed)] = ()
    models: Models = ()
    page: PageSection = Field(default_factory=PageSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    log: LogSection = Field(default_factory=LogSection)
    otel: OtelSection = Field(default_factory=OtelSection)

    @field_validator("upstreams", "rules", "models")
    @classmethod
    def _unique(cls, value: Named) -> Named:
        check_unique([each.name for each in value])
        return value


def check_unique(names: Sequence[str]) -> None:
    """Check that no name stands twice.

    Raises:
        ValueError: one does.
    """
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"two have the name {', '.join(map(repr, twice))}")
