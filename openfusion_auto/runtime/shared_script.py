"""The script that runs inside Redis for `shared.py`: it looks at all accounts of a request and changes them at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openfusion_auto.store.redis import Link

if TYPE_CHECKING:
    from redis.asyncio import Redis

TURNS_KEPT_S = 30 * 24 * 3600

# KEYS: one hash for each account, and last the hash of processes with the end of their lease [ms].
# ARGV[1]: JSON {me, lease_ms, op, count, first_day, first_month, scopes: [{rpm, tpm, conc, day, month (limits, -1 =
# none), run, held (of this process), known_day, new_day, known_month, new_month ([[slot, amount]]), requests, tokens
# (to add to the buckets), uses, known_uses (requests that ended), last_s}]}. op: `admit` a request of `count` tokens,
# `reserve` `count` units of money, or `sync`.
# Fields of an account: r:PROCESS running, h:PROCESS held, d:SLOT and m:SLOT money, rq/rt and tq/tt what a bucket is
# owed and as of when, n how many requests ended and e when the last one did. Money goes out as text: cjson writes 14
# digits.
SCRIPT = """
local asked = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local me, alive = asked.me, {}
local function text(number) return string.format('%.0f', number) end

local leases = KEYS[#KEYS]
redis.call('HSET', leases, me, text(now + asked.lease_ms))
local listed = redis.call('HGETALL', leases)
for i = 1, #listed, 2 do
  if tonumber(listed[i + 1]) >= now then alive[listed[i]] = true else redis.call('HDEL', leases, listed[i]) end
end

local function sums(slots)
  local sum = 0
  for _, amount in pairs(slots) do sum = sum + amount end
  return sum
end

local function drained(fields, owed, at, per_minute, added)
  local rest = tonumber(fields[owed] or 0)
  if per_minute > 0 then rest = math.max(0, rest - math.max(0, now - tonumber(fields[at] or now)) * per_minute) end
  return math.max(0, rest + added * 60000)
end

local function read(key, scope)
  local found = {run = 0, held = 0, d = {}, m = {}, changed = {}}
  local flat, fields = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    local name, value = flat[i], flat[i + 1]
    local kind, rest = string.sub(name, 1, 2), string.sub(name, 3)
    fields[name] = value
    if kind == 'r:' or kind == 'h:' then
      if not alive[rest] then redis.call('HDEL', key, name)
      elseif rest ~= me then
        if kind == 'r:' then found.run = found.run + tonumber(value) else found.held = found.held + tonumber(value) end
      end
    elseif kind == 'd:' or kind == 'm:' then
      local first = kind == 'd:' and asked.first_day or asked.first_month
      if tonumber(rest) < first then redis.call('HDEL', key, name)
      else found[string.sub(kind, 1, 1)][rest] = tonumber(value) end
    end
  end
  found.requests = drained(fields, 'rq', 'rt', scope.rpm, scope.requests)
  found.tokens = drained(fields, 'tq', 'tt', scope.tpm, scope.tokens)
  found.uses = math.max(tonumber(fields.n or 0), scope.known_uses) + scope.uses
  found.last_s = math.max(tonumber(fields.e or 0), scope.last_s)
  for kind, lists in pairs({d = {scope.known_day, scope.new_day}, m = {scope.known_month, scope.new_month}}) do
    local slots = found[kind]
    local function put(slot, amount)
      if amount ~= slots[slot] then
        slots[slot] = amount
        found.changed[kind .. ':' .. slot] = amount
      end
    end
    for _, pair in ipairs(lists[1]) do put(text(pair[1]), math.max(slots[text(pair[1])] or 0, pair[2])) end
    for _, pair in ipairs(lists[2]) do put(text(pair[1]), (slots[text(pair[1])] or 0) + pair[2]) end
  end
  return found
end

local function refusal(found, scope)
  if asked.op == 'reserve' then
    local held = found.held + scope.held + asked.count
    if scope.day >= 0 and sums(found.d) + held > scope.day then return {'money', 0} end
    if scope.month >= 0 and sums(found.m) + held > scope.month then return {'money', 0} end
  elseif asked.op == 'admit' then
    if scope.conc >= 0 and found.run + scope.run >= scope.conc then return {'concurrent', 1000} end
    local worst = nil
    for _, rate in ipairs({{'tokens', scope.tpm, asked.count}, {'requests', scope.rpm, 1}}) do
      local name, most, count = rate[1], rate[2], rate[3]
      if most >= 0 then
        if count > most then return {name, -1} end
        local wait = math.ceil((found[name] + (count - most) * 60000) / most)
        if wait > 0 and (worst == nil or wait > worst[2]) then worst = {name, wait} end
      end
    end
    return worst
  end
  return nil
end

local function write(key, found, scope)
  redis.call('HSET', key, 'r:' .. me, text(scope.run), 'h:' .. me, text(scope.held),
    'rq', text(found.requests), 'rt', text(now), 'tq', text(found.tokens), 'tt', text(now),
    'n', text(found.uses), 'e', string.format('%.3f', found.last_s))
  for name, amount in pairs(found.changed) do redis.call('HSET', key, name, text(amount)) end
  redis.call('PEXPIRE', key, 2764800000)
end

local accounts, refused = {}, false
for i, scope in ipairs(asked.scopes) do
  accounts[i] = read(KEYS[i], scope)
  if not refused then
    local why = refusal(accounts[i], scope)
    if why then refused = {i - 1, why[1], why[2]} end
  end
end
local told = {}
for i, scope in ipairs(asked.scopes) do
  local found = accounts[i]
  if not refused and asked.op == 'admit' then
    if scope.rpm >= 0 then found.requests = found.requests + 60000 end
    if scope.tpm >= 0 then found.tokens = found.tokens + asked.count * 60000 end
    scope.run = scope.run + 1
  elseif not refused and asked.op == 'reserve' then
    scope.held = scope.held + asked.count
  end
  write(KEYS[i], found, scope)
  local day, month = {}, {}
  for slot, amount in pairs(found.d) do day[#day + 1] = {slot, text(amount)} end
  for slot, amount in pairs(found.m) do month[#month + 1] = {slot, text(amount)} end
  told[i] = {run = text(found.run), held = text(found.held), day = day, month = month,
    requests = text(found.requests), tokens = text(found.tokens), uses = text(found.uses),
    last_s = string.format('%.3f', found.last_s)}
end
return cjson.encode({refused = refused, scopes = told})
"""


class RedisAccounts:
    """See `shared.py:Accounts`. The link is closed by whoever made it."""

    alone = False
    keeps_spending = False

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def up(self) -> bool:
        """Whether Redis answers."""
        return self._link.up

    async def ask(self, names: Sequence[str], asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Run the script; None when Redis does not answer."""
        keys = [self._link.key("account", name) for name in names]
        keys.append(self._link.key("processes"))
        text = await self._link.script(SCRIPT, keys, json.dumps(asked))
        return None if text is None else json.loads(text)

    async def turn(self, name: str) -> int | None:
        """Count in Redis; a list that nobody asked for in a month begins anew."""
        key = self._link.key("turn", name)

        async def count(redis: Redis) -> int:
            async with redis.pipeline(transaction=True) as both:
                both.incr(key)
                both.expire(key, TURNS_KEPT_S)
                found = await both.execute()
            return int(found[0]) - 1

        return await self._link.ask(count)

    async def probe(self) -> None:
        """Look whether Redis is back."""
        await self._link.probe()

    async def close(self) -> None:
        """Nothing of its own is open."""
