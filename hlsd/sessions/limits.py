"""Decides whether there is room for one more session of a token, user, address, stream (contract §4.2, rule 11).

Law: only what is bounded is indexed; an entry goes with its lease. A token's or user's bound ends its oldest session,
refuses the new one or lets it in for a while, as the operator says; an address's or a stream's bound always refuses, or
strangers could end each other's sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hlsd.base.household import household
from hlsd.ports import Denial
from hlsd.sessions.directory import PlaceClaim
from hlsd.sessions.refusals import TOO_MANY
from hlsd.sessions.settings import SessionSettings


@dataclass(slots=True)
class Quota:
    """What it takes to let a session in: who must leave for it (ids), and whether it may stay."""

    denial: Denial | None = None
    leave: list[str] = field(default_factory=list)
    soft: bool = False


Key = tuple[str, str]
Entry = str | dict[str, None]


class Limits:
    """The leases that something bounds, by what does."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._by: dict[Key, Entry] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}
        """Of each lease, what it is found by."""

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, place: str) -> bool:
        return place in self._keys

    def judge(self, claim: PlaceClaim) -> Quota:
        """Whether a viewer may begin a session; it does not count itself."""
        settings = self._settings
        refused = (("stream", claim.path), settings.max_per_stream), (("ip", household(claim.ip)), settings.max_per_ip)
        for key, most in refused:
            if most and len(self._others(key, claim.id)) >= most:
                return Quota(TOO_MANY)
        quota = Quota()
        user, token = ("user", claim.who), ("token", claim.token)
        leave: dict[str, None] = {}
        if claim.unique and claim.who:
            leave.update(dict.fromkeys(self._others(user, claim.id)))
        per_token, per_user = settings.max_per_token, settings.max_per_user
        for key, most in ((token, claim.most), (user, claim.most), (token, per_token), (user, per_user)):
            if not most or not key[1]:
                continue
            there = [place for place in self._others(key, claim.id) if place not in leave]
            if len(there) < most:
                continue
            if settings.when_full == "refuse":
                return Quota(TOO_MANY)
            if settings.when_full == "soft":
                quota.soft = True
            else:
                leave.update(dict.fromkeys(there[: len(there) - most + 1]))
        quota.leave = list(leave)
        return quota

    def add(self, claim: PlaceClaim) -> None:
        """A lease begins, or goes on by other keys; the place in the order of those that it has keeps."""
        keys, before = self._keys_of(claim), self._keys.get(claim.id, ())
        for key in before:
            if key not in keys:
                self._take_out(key, claim.id)
        if not keys:
            self._keys.pop(claim.id, None)
            return
        self._keys[claim.id] = keys
        for key in keys:
            there = self._by.get(key)
            if there is None:
                self._by[key] = claim.id
            elif isinstance(there, dict):
                there[claim.id] = None
            elif there != claim.id:
                self._by[key] = {there: None, claim.id: None}

    def remove(self, place: str) -> None:
        """The lease is over."""
        for key in self._keys.pop(place, ()):
            self._take_out(key, place)

    def _take_out(self, key: Key, place: str) -> None:
        there = self._by.get(key)
        if there == place:
            del self._by[key]
        elif isinstance(there, dict):
            there.pop(place, None)
            if not there:
                del self._by[key]

    def _keys_of(self, claim: PlaceClaim) -> tuple[Key, ...]:
        settings = self._settings
        keys: list[Key] = []
        if claim.token and (claim.most or settings.max_per_token):
            keys.append(("token", claim.token))
        if claim.who:
            keys.append(("user", claim.who))
        if settings.max_per_ip:
            keys.append(("ip", household(claim.ip)))
        if settings.max_per_stream:
            keys.append(("stream", claim.path))
        return tuple(keys)

    def _others(self, key: Key, place: str) -> list[str]:
        """The leases of `key`, the oldest first, but for `place`."""
        there = self._by.get(key)
        if there is None or there == place:
            return []
        return [one for one in there if one != place] if isinstance(there, dict) else [there]
