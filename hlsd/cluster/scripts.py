"""Is the table of lives as scripts of Redis: `hlsd/cluster/lives.py` in Lua, each row one atomic step with its events.

All keys of a script have one hash tag, so that a cluster of Redis may spread them. Times are milliseconds of Redis' own
clock (`TIME`) unless a test gives another. What stands in a hash `h:{shard}:s:<sid>`: `life`, `s` ("on", "over"),
`about`, `began`, `barred`; `t:<token>` its life, `b:<token>` its counts in the last life, `a:<token>` that it serves
it, `l:<life>:<token>` what was told of a life that is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hlsd.sessions.store import (
    GRACE,
    KEEP,
    MAX_ABOUT,
    MAX_TOKENS,
    REMEMBERED_LIVES,
    SILENCE,
    SLACK,
    LifeEvent,
    LifeReport,
    ReportAnswer,
)

MAX_EVENTS: Final = 100_000
"""Events of a shard that nobody has settled; of more, the oldest are lost."""

_HEAD = """
local P = string.sub(KEYS[1], 1, -7)  -- KEYS[1] is <prefix>leases
local now = tonumber(ARGV[1])
if not now then local t = redis.call('TIME'); now = t[1] * 1000 + math.floor(t[2] / 1000) end
local function hear()  -- after a silence nobody is reaped for a while
  local last = tonumber(redis.call('GET', P .. 'alive') or now)
  if now - last > @SILENCE@ then
    redis.call('SET', P .. 'spared', string.format('%.0f', now + @GRACE@), 'PX', @KEEP@)
  end
  redis.call('SET', P .. 'alive', string.format('%.0f', now))
end
local function whole(n) return string.format('%.0f', n) end
local function split(c)
  local found = {}
  for one in string.gmatch(c, '[^,]+') do found[#found + 1] = tonumber(one) end
  return found
end
local function first(c) return tonumber(string.match(c, '^[^,]+')) end
local function add(one, other, sign)
  local a, b = split(one), split(other)
  for i = 1, #a do a[i] = whole(a[i] + sign * b[i]) end
  return table.concat(a, ',')
end
local NOTHING = '0,0,0,0,0'
local function event(k, sid, life, name, kind, counts, why)
  local said = redis.call('HMGET', k, 'began', 'about', 'life')
  local began = tonumber(said[3] or '0') == life and said[1] or '0'
  redis.call('XADD', P .. 'ev', 'MAXLEN', '~', @MAX_EVENTS@, '*', 'id', sid .. '.' .. whole(life) .. '.' .. name,
    'sid', sid, 'life', whole(life), 'kind', kind, 'at', whole(now), 'began', began or '0', 'counts', counts,
    'why', why, 'about', said[2] or '')
end
local function stop(k, sid, life, why)
  local total, h, off = NOTHING, redis.call('HGETALL', k), {}
  for i = 1, #h, 2 do
    local mark = string.sub(h[i], 1, 2)
    if mark == 'b:' then total = add(total, h[i + 1], 1) elseif mark == 'a:' then off[#off + 1] = h[i] end
  end
  if #off > 0 then redis.call('HDEL', k, unpack(off)) end
  redis.call('HSET', k, 's', 'over')
  redis.call('ZREM', P .. 'leases', sid)
  event(k, sid, life, 'stop', 'stop', total, why)
  redis.call('PEXPIRE', k, @KEEP@)
end
"""

REPORT = (
    _HEAD
    + """
hear()
local function begin(k, sid, cur, life, token, about)
  if cur > 0 then
    local h, off = redis.call('HGETALL', k), {}
    for i = 1, #h, 2 do
      local f, mark = h[i], string.sub(h[i], 1, 2)
      if mark == 'b:' then
        redis.call('HSETNX', k, 'l:' .. whole(cur) .. ':' .. string.sub(f, 3), h[i + 1]); off[#off + 1] = f
      elseif mark == 'a:' then off[#off + 1] = f
      elseif mark == 't:' and tonumber(h[i + 1]) <= life - @LIVES@ then off[#off + 1] = f
      elseif mark == 'l:' and tonumber(string.match(f, '^l:(%d+)')) <= life - @LIVES@ then off[#off + 1] = f end
    end
    if #off > 0 then redis.call('HDEL', k, unpack(off)) end
  end
  redis.call('HSET', k, 'life', whole(life), 's', 'on', 'began', whole(now), 't:' .. token, whole(life))
  if about ~= '' then redis.call('HSET', k, 'about', about) end
  redis.call('PERSIST', k)
  event(k, sid, life, 'start', 'start', NOTHING, '')
end
local function join(k, cur, token)  -- of very many tokens those that are not in use are told apart no longer
  if redis.call('HLEN', k) > @TOKENS@ then
    local h, on, idle, n = redis.call('HGETALL', k), {}, {}, 0
    for i = 1, #h, 2 do if string.sub(h[i], 1, 2) == 'a:' then on[string.sub(h[i], 3)] = true end end
    for i = 1, #h, 2 do
      local t = string.sub(h[i], 3)
      if string.sub(h[i], 1, 2) == 'b:' then
        n = n + 1
        if not on[t] and t ~= '*' then idle[#idle + 1] = {t, h[i + 1]} end
      end
    end
    if n >= @TOKENS@ then
      for _, one in ipairs(idle) do
        redis.call('HSET', k, 'b:*', add(redis.call('HGET', k, 'b:*') or NOTHING, one[2], 1))
        redis.call('HDEL', k, 'b:' .. one[1], 't:' .. one[1])
      end
    end
  end
  redis.call('HSET', k, 't:' .. token, whole(cur))
end
local function fix(k, sid, cur, life, token, counts)
  if life <= cur - @LIVES@ then return end
  local f = 'l:' .. whole(life) .. ':' .. token
  local before = redis.call('HGET', k, f)
  if not before then before = life == cur and redis.call('HGET', k, 'b:' .. token) or NOTHING end
  if first(counts) <= first(before) then return end
  redis.call('HSET', k, f, counts)
  event(k, sid, life, 'fix.' .. token .. '.' .. whole(first(counts)), 'fix', add(counts, before, -1), '')
end
local function over(k, cur, on)
  if not on and cur > 0 then redis.call('PEXPIRE', k, @KEEP@) end
  local barred = tonumber(redis.call('HGET', k, 'barred') or '0') or 0
  return {0, cur, (not on and barred > now) and 1 or 0, 0}
end
local function report(sid, token, life, counts, left, active, why, all, bar, after, about)
  local k = P .. 's:' .. sid
  local said = redis.call('HMGET', k, 'life', 's', 't:' .. token, 'b:' .. token, 'barred')
  local cur, on = tonumber(said[1] or '0'), said[2] == 'on'
  if life == 0 then life = tonumber(said[3] or '0') end  -- it asked before, and the answer was lost
  local mine = said[4] or NOTHING
  if life > cur then
    if about == '' then return {0, cur, 0, 1} end
    if on then stop(k, sid, cur, 'lost') end
    begin(k, sid, cur, life, token, about); cur = life; mine = NOTHING
  elseif life > 0 and (life < cur or not on) then
    fix(k, sid, cur, life, token, counts)
    return over(k, cur, on)
  elseif not on then
    if not active and first(counts) == 0 then return over(k, cur, on) end
    if tonumber(said[5] or '0') > now then
      redis.call('HSET', k, 't:' .. token, whole(cur))
      fix(k, sid, cur, cur, token, counts)
      return over(k, cur, on)
    end
    local new = math.max(cur, after) + 1
    begin(k, sid, cur, new, token, about); cur = new; mine = NOTHING
  elseif life == 0 then
    join(k, cur, token)
  end
  if first(counts) > first(mine) then mine = counts end
  if active then
    redis.call('HSET', k, 'b:' .. token, mine, 'a:' .. token, 1)
    redis.call('ZADD', P .. 'leases', 'GT', whole(now + left + @SLACK@), sid)
    return {1, cur, 0, 0}
  end
  redis.call('HSET', k, 'b:' .. token, mine)
  redis.call('HDEL', k, 'a:' .. token)
  if bar > 0 then redis.call('HSET', k, 'barred', whole(math.max(now + bar, tonumber(said[5] or '0')))) end
  local any = false
  if not all then
    for _, f in ipairs(redis.call('HKEYS', k)) do if string.sub(f, 1, 2) == 'a:' then any = true; break end end
  end
  if any then return {1, cur, 0, 0} end
  stop(k, sid, cur, why == '' and 'idle' or why)
  return over(k, cur, false)
end
local answers = {}
for i = 2, #ARGV, 11 do
  answers[#answers + 1] = report(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], tonumber(ARGV[i + 4]),
    ARGV[i + 5] == '1', ARGV[i + 6], ARGV[i + 7] == '1', tonumber(ARGV[i + 8]), tonumber(ARGV[i + 9]), ARGV[i + 10])
end
return answers
"""
)
"""KEYS: <prefix>leases. ARGV: now or "", then of each report its eleven fields. Gives on, life, barred, again."""

REAP = (
    _HEAD
    + """
hear()
if now < tonumber(redis.call('GET', P .. 'spared') or '0') then return {} end
local due = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', whole(now), 'LIMIT', 0, tonumber(ARGV[2]))
for _, sid in ipairs(due) do
  local k = P .. 's:' .. sid
  local said = redis.call('HMGET', k, 'life', 's')
  if said[2] == 'on' then stop(k, sid, tonumber(said[1]), 'lost') else redis.call('ZREM', P .. 'leases', sid) end
end
return due
"""
)
"""KEYS: <prefix>leases. ARGV: now or "", how many at most. Gives whose leases were over."""

END = (
    _HEAD
    + """
local sid, k = ARGV[2], P .. 's:' .. ARGV[2]
local said = redis.call('HMGET', k, 'life', 's', 'barred')
local cur = tonumber(said[1] or '0')
if cur == 0 then return 0 end
local bar = tonumber(ARGV[4])
if bar > 0 then redis.call('HSET', k, 'barred', whole(math.max(now + bar, tonumber(said[3] or '0')))) end
if said[2] == 'on' then stop(k, sid, cur, ARGV[3]) end
return 1
"""
)
"""KEYS: <prefix>leases. ARGV: now or "", sid, why, milliseconds for which no other life begins."""

INTRODUCE = (
    _HEAD
    + """
local k = P .. 's:' .. ARGV[2]
local said = redis.call('HMGET', k, 'life', 's', 'about')
if ARGV[3] ~= '' and (ARGV[4] == '1' or said[2] ~= 'on' or not said[3]) then
  redis.call('HSET', k, 'about', ARGV[3]); said[3] = ARGV[3]
end
if said[2] ~= 'on' and redis.call('PTTL', k) < @SLACK@ then redis.call('PEXPIRE', k, @SLACK@) end
return {tonumber(said[1] or '0'), said[2] == 'on' and 1 or 0, said[3] or ''}
"""
)
"""KEYS: <prefix>leases. ARGV: now or "", sid, what is said about it or "", "1" if whatever was said before.

Gives its life, whether that is on, and about.
"""

LIMIT = """
local now = tonumber(ARGV[1])
if not now then local t = redis.call('TIME'); now = t[1] * 1000 + math.floor(t[2] / 1000) end
local there, order, sid, most, how = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[4]), ARGV[5]
local until_ = string.format('%.0f', now + tonumber(ARGV[3]))
local function away(one) redis.call('ZREM', there, one); redis.call('ZREM', order, one) end
local this = string.format('%.0f', now)
for _, one in ipairs(redis.call('ZRANGEBYSCORE', there, '-inf', this, 'LIMIT', 0, 1000)) do away(one) end
for i = 6, #ARGV do away(ARGV[i]) end
if redis.call('ZSCORE', there, sid) then
  redis.call('ZADD', there, 'GT', until_, sid)
  redis.call('PEXPIRE', there, 3600000); redis.call('PEXPIRE', order, 3600000)
  return {1, 0}
end
local n, soft, gone = redis.call('ZCOUNT', there, '(' .. this, '+inf'), 0, {}
if how == 'unique' then gone = redis.call('ZRANGE', order, 0, -1)
elseif most > 0 and n >= most then
  if how == 'refuse' then return {0, 0} end
  if how == 'soft' then soft = 1 else gone = redis.call('ZRANGE', order, 0, n - most) end
end
for _, one in ipairs(gone) do away(one) end
local last = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')
local place = math.max(now, tonumber(last[2] or '0') + 1)
redis.call('ZADD', there, until_, sid)
redis.call('ZADD', order, string.format('%.0f', place), sid)
redis.call('PEXPIRE', there, 3600000); redis.call('PEXPIRE', order, 3600000)
local said = {1, soft}
for _, one in ipairs(gone) do said[#said + 1] = one end
return said
"""
"""Takes a place of one bound: KEYS: who has one until when, and in which order they came.

ARGV: now or "", sid, milliseconds, bound, "refuse", "soft", "replace" or "unique", who has gone already. Gives whether
there is a place, whether it is beyond the bound, and who has to go for it.
"""

PROLONG = """
local now = tonumber(ARGV[1])
if not now then local t = redis.call('TIME'); now = t[1] * 1000 + math.floor(t[2] / 1000) end
for i = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'XX', 'GT', string.format('%.0f', now + ARGV[i] + @SLACK@), ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], 3600000); redis.call('PEXPIRE', KEYS[1] .. ':o', 3600000)
"""
"""Places of one bound last on. KEYS: who has one. ARGV: now or "", then milliseconds until it is idle, and sid."""

DISPATCH = """
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return {} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', 10000)
return redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', tonumber(ARGV[2]))
"""
"""KEYS: a shard's events, and who has them. ARGV: who asks, how many at most. Gives the first of them."""

SETTLE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
"""
"""KEYS: a shard's events, and who has them. ARGV: who settles, entries."""

LEAVE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[2])
"""
"""KEYS: a shard's events, and who has them. ARGV: who gives them away, so that another one need not wait."""

REVOKE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local message, until_ = ARGV[1], now + tonumber(ARGV[2])
redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*', 'what', message)
for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[2], one); redis.call('ZREM', KEYS[4], one)
end
local version = redis.call('INCR', KEYS[3])
redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', until_), message)
redis.call('ZADD', KEYS[4], version, message)
local more = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if more > 0 then
  for _, one in ipairs(redis.call('ZRANGE', KEYS[2], 0, more - 1)) do
    redis.call('ZREM', KEYS[2], one); redis.call('ZREM', KEYS[4], one)
  end
end
return version
"""
"""KEYS: the control stream, what holds until when, its version, what holds by version. ARGV: message, ms, bound."""

STANDING = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local since, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local version = tonumber(redis.call('GET', KEYS[3]) or '0')
local rows = redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local more = #rows >= 2 * most
if more then version = tonumber(rows[#rows]) end
local said = {string.format('%.0f', version), more and 1 or 0}
for i = 1, #rows, 2 do
  local until_ = tonumber(redis.call('ZSCORE', KEYS[2], rows[i]) or '0')
  if until_ > now then said[#said + 1] = rows[i]; said[#said + 1] = string.format('%.0f', until_ - now) end
end
return said
"""
"""KEYS as REVOKE. ARGV: the version that is known, how many at most.

Gives a version, whether there is more, then message and milliseconds left of each.
"""

NAMES: Final = ("REPORT", "REAP", "END", "INTRODUCE", "LIMIT", "PROLONG", "DISPATCH", "SETTLE", "LEAVE")

_NUMBERS: Final = {
    "SILENCE": SILENCE * 1000,
    "GRACE": GRACE * 1000,
    "KEEP": KEEP * 1000,
    "SLACK": SLACK * 1000,
    "LIVES": REMEMBERED_LIVES,
    "TOKENS": MAX_TOKENS,
    "MAX_EVENTS": MAX_EVENTS,
}


def source(script: str) -> str:
    """The script with its numbers in place."""
    for name, number in _NUMBERS.items():
        script = script.replace(f"@{name}@", f"{number:.0f}")
    return script


def arguments(report: LifeReport) -> list[str]:
    """A report as `REPORT` wants it."""
    return [
        report.sid,
        report.token,
        str(report.life),
        ",".join(map(str, report.counts)),
        f"{report.left * 1000:.0f}",
        "1" if report.active else "0",
        report.why,
        "1" if report.whole else "0",
        f"{report.bar * 1000:.0f}",
        str(report.after),
        report.about[:MAX_ABOUT],
    ]


def answer(said: Sequence[int]) -> ReportAnswer:
    """What `REPORT` gives for one."""
    return ReportAnswer(bool(said[0]), said[1], bool(said[2]), bool(said[3]))


def life_event(entry: str, fields: Mapping[str, str]) -> LifeEvent:
    """An entry of a shard's stream."""
    counts = tuple(int(float(one)) for one in fields["counts"].split(","))
    assert len(counts) == 5
    return LifeEvent(
        fields["id"],
        fields["sid"],
        int(fields["life"]),
        fields["kind"],
        int(fields["at"]) / 1000,
        int(fields["began"]) / 1000,
        counts,
        fields["why"],
        fields["about"],
        entry,
    )
