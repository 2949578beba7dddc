"""Knows which node has which stream, and which nodes there are: leases in Redis, kept in memory while it is away.

    h:{stream:/app/name}        node, run, url, gen; gone 6 s after its last renewal
    h:{stream:/app/name}:gen    the last generation, without an end
    h:{nodes} …                 until when each node is there, and what it says of itself

Law: a *generation* rises with each node that takes a stream, also over a loss of Redis' last second: who has a lower
one has lost the stream, whatever it believes. What was known is believed as long as Redis does not answer, so nothing
that runs stops because of it; who deletes or renews compares first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from hlsd.cluster.redis_line import RedisLine
from hlsd.sessions.store import StoreAway

LEASE: Final = 6.0
RENEW: Final = 2.0
"""Seconds that a lease lasts, and between its renewals."""
MAX_KNOWN: Final = 10_000
"""Streams of other nodes that are remembered."""
MAX_NODES: Final = 1000

_CLAIM: Final = """
local holder, gen = redis.call('HGET', KEYS[1], 'node'), tonumber(redis.call('GET', KEYS[2]) or '0')
local mine = tonumber(redis.call('HGET', KEYS[1], 'gen') or '0')
local known = tonumber(ARGV[4])
if holder == ARGV[1] and known == mine and known > 0 then
  gen = mine
elseif holder and holder ~= ARGV[1] and ARGV[6] == '0' then
  return {0, mine, holder}
else
  gen = math.max(gen, mine, known) + 1
  redis.call('SET', KEYS[2], gen)
end
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'run', ARGV[2], 'url', ARGV[3], 'gen', gen)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {1, gen, ARGV[1]}
"""
_RENEW: Final = """
local holder = redis.call('HMGET', KEYS[1], 'node', 'gen')
if holder[1] and (holder[1] ~= ARGV[1] or tonumber(holder[2]) > tonumber(ARGV[4])) then return 0 end
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[4]) then return 0 end
redis.call('SET', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'run', ARGV[2], 'url', ARGV[3], 'gen', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""
_LEAVE: Final = """
local holder = redis.call('HMGET', KEYS[1], 'node', 'gen')
if holder[1] ~= ARGV[1] or holder[2] ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_HERE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))) do
  redis.call('ZREM', KEYS[1], one); redis.call('HDEL', KEYS[2], one)
end
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
else
  redis.call('ZREM', KEYS[1], ARGV[1]); redis.call('HDEL', KEYS[2], ARGV[1])
end
return redis.call('HGETALL', KEYS[2])
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who has a stream: its node, the run on air, where to fetch it, in which generation."""

    node: str
    run: str
    url: str
    gen: int


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a node says of itself."""

    url: str
    viewers: int = 0
    mbit: float = 0.0
    draining: bool = False


class Origins:
    """As the node `me` sees them."""

    def __init__(self, line: RedisLine, me: str, prefix: str = "h") -> None:
        self._line = line
        self._me = me
        self._prefix = prefix
        self._claim, self._renew, self._leave, self._here = (
            line.script(text) for text in (_CLAIM, _RENEW, _LEAVE, _HERE)
        )
        self._mine: dict[str, Origin] = {}
        self._known: dict[str, Origin] = {}
        self.nodes: dict[str, NodeState] = {}
        """Those that were there when Redis answered last."""

    @property
    def mine(self) -> dict[str, Origin]:
        """The streams that this node has, by path."""
        return dict(self._mine)

    async def claim(self, path: str, run: str, url: str, *, take_over: bool = False) -> Origin:
        """Takes a stream for this node, unless another one has it and `take_over` is not said; who has it then.

        Raises StoreAway.
        """
        known = max((one.gen for one in (self._mine.get(path), self._known.get(path)) if one is not None), default=0)
        over = "1" if take_over else "0"
        said = await self._line.ask(
            self._claim.call(self._keys(path), self._me, run, url, known, int(LEASE * 1000), over)
        )
        given, gen, holder = bool(said[0]), int(said[1]), str(said[2])
        if given:
            self._mine[path] = origin = Origin(self._me, run, url, gen)
            return origin
        found = await self.find(path)
        return found if found is not None else Origin(holder, "", "", gen)

    async def renew(self) -> list[str]:
        """Each `RENEW` seconds: the leases of this node go on. Returns what it has lost to a later generation."""
        some = list(self._mine.items())
        asked = [
            self._line.send(self._renew.call(self._keys(path), self._me, one.run, one.url, one.gen, int(LEASE * 1000)))
            for path, one in some
        ]
        lost: list[str] = []
        for (path, one), answer in zip(some, asked, strict=True):
            try:
                held = await answer
            except StoreAway:
                continue  # it goes on; whoever took it meanwhile has a later generation, and says so then
            if not held and self._mine.get(path) is one:
                del self._mine[path]
                lost.append(path)
        return lost

    def leave(self, path: str) -> None:
        """This node has the stream no more."""
        one = self._mine.pop(path, None)
        if one is not None:
            self._line.tell(self._leave.call(self._keys(path)[:1], self._me, one.gen))

    async def find(self, path: str) -> Origin | None:
        """Who has a stream; what was known last if Redis is away. None: nobody, as far as is known."""
        if path in self._mine:
            return self._mine[path]
        try:
            node, run, url, gen = await self._line.ask(("HMGET", self._keys(path)[0], "node", "run", "url", "gen"))
        except StoreAway:
            return self._known.get(path)
        before = self._known.pop(path, None)
        if node is None:
            return None
        found = Origin(node, run or "", url or "", int(gen or 0))
        if before is not None and before.gen > found.gen:  # Redis lost its last second: never back to a lower one
            found = before
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[path] = found
        return found

    async def here(self, state: NodeState | None) -> None:
        """Each `RENEW` seconds: says how this node is (None: it goes), and learns of the others."""
        said = ""
        if state is not None:
            said = json.dumps([state.url, state.viewers, state.mbit, state.draining])
        tag = f"{self._prefix}:{{nodes}}"
        try:
            found = await self._line.ask(self._here.call([tag, tag + ":state"], self._me, said, int(LEASE * 1000)))
        except StoreAway:
            return
        self.nodes = dict(list(_nodes(found).items())[:MAX_NODES])

    def _keys(self, path: str) -> list[str]:
        key = f"{self._prefix}:{{stream:{path}}}"
        return [key, key + ":gen"]


def _nodes(said: Any) -> dict[str, NodeState]:  # noqa: ANN401 - what Redis says
    pairs = said.items() if isinstance(said, dict) else zip(said[::2], said[1::2], strict=True)
    found: dict[str, NodeState] = {}
    for name, text in pairs:
        try:
            url, viewers, mbit, draining = json.loads(text)
            found[name] = NodeState(str(url), int(viewers), float(mbit), bool(draining))
        except (ValueError, TypeError):
            continue
    return found
