"""Makes the TLS of every port of ours: which certificate is shown to whom, and how long a session can be resumed.

TLS 1.2 at least, forward secrecy and AEAD only, RSA keys of 2048 and EC keys of 256 bits at least (RFC 9325, hls-rules
HT12). A handshake takes the certificates of its instant; one that cannot be used never replaces one that can.

A port listens with one context, which does nothing but hold the key of the tickets; in each handshake the context of
the name that the client gave (SNI) takes its place. So what a client resumes outlives a renewed certificate, and is
good for every name. The key is made new with the listening context, every `ROTATION`: with TLS 1.2 whoever has it reads
what was recorded (RFC 9325 §3.4). With 1.3 he does not, since a resumed handshake agrees on keys anew. Python's `ssl`
cannot be given a key; docs/http2.md says what follows from that.
"""

from __future__ import annotations

import errno
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from hlsd.base.logger import Log
from hlsd.net.identity import MAX_PAIRS, Identity, Pair, pairs_in

ROTATION: Final = 12 * 3600.0
"""Seconds that a key of tickets is used. A ticket is good for two hours (OpenSSL's default): one handshake in twelve
that could have been resumed is a full one."""
_Group = tuple[Identity, ...]
"""Certificates for the same names, of keys of different kinds."""
_CALM: Final = 50
"""Pairs that are looked at in every turn of the sweep; of more, all of them every so many turns."""
# level 2 is what refuses RSA below 2048 and EC below 224 bits; 1.3 brings its own suites, all of them forward secret
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"


class _Looked:
    """A pair, and what was found when it was last looked at."""

    __slots__ = ("gone", "identity", "stamp")

    def __init__(self) -> None:
        self.stamp: object = None
        self.identity: Identity | None = None
        self.gone = 0
        """Looks in a row at which its folder did not have it."""


class Certificates:
    """The certificates of one port: `pairs` first, then those of `folder`. `alpn`: protocol names by preference.

    Of two for one name and one kind of key the first counts, one that has expired only if there is no other. Who names
    no host, or none that is known, gets the first of all.
    """

    def __init__(
        self, pairs: Iterable[tuple[str | Path, str | Path]], folder: str | Path | None = None, alpn: Sequence[str] = ()
    ) -> None:
        self._listed = [Pair(Path(cert), Path(key)) for cert, key in pairs][:MAX_PAIRS]
        self._folder = Path(folder) if folder else None
        self._alpn = list(alpn)
        self._looked: dict[Pair, _Looked] = {}
        self._folder_said = ""
        self._sorted: tuple[list[Identity], frozenset[Identity]] = ([], frozenset())
        self._made: dict[_Group, ssl.SSLContext] = {}
        self._default: ssl.SSLContext | None = None
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._listening: ssl.SSLContext | None = None
        self._since = 0.0
        self._turns = 0

    @property
    def identities(self) -> list[Identity]:
        """Those that can be used, in their order."""
        return [looked.identity for looked in self._looked.values() if looked.identity is not None]

    @property
    def listening(self) -> ssl.SSLContext:
        """The context to listen with, once there is one; another one after `ROTATION`."""
        assert self._listening is not None
        return self._listening

    def open(self, log: Log, now: float) -> ssl.SSLContext:
        """Loads all pairs and gives the context to listen with. `now`: seconds of the clock that `refresh` is told.

        Raises:
            OSError: none can be used; the text says what is wrong with the first.
        """
        problems = self._look()
        if not self.identities:
            raise problems[0] if problems else OSError(errno.ENOENT, f"no certificate with its key in {self._folder}")
        _tell(problems, log)
        self._sort_out(log)
        return self._rotate(now)

    def turn_to(
        self, pairs: Iterable[tuple[str | Path, str | Path]], folder: str | Path | None, log: Log, now: float
    ) -> Callable[[], None]:
        """Other files; what shows their certificates from then on. What is resumed goes on.

        Raises:
            OSError: none can be used; the text says what is wrong with the first.
        """
        new = Certificates(pairs, folder, self._alpn)
        new.open(log, now)

        def commit() -> None:
            self._listed, self._folder, self._folder_said = new._listed, new._folder, ""
            self._looked, self._sorted, self._made = new._looked, new._sorted, new._made
            self._default, self._by_name = new._default, new._by_name
            self._turns = 0

        return commit

    def refresh(self, log: Log, now: float) -> None:
        """Looks at files and clock once more, as a sweep does each second; says what has changed, once."""
        if now - self._since >= ROTATION:
            self._rotate(now)
        self._turns += 1
        if self._turns <= len(self._looked) // _CALM:
            return
        self._turns = 0
        before = set(self.identities)
        _tell(self._look(), log)
        for new in self.identities:
            if new not in before:
                log.info("certificate loaded", cert=str(new.pair.cert), names=list(new.names[:8]))
        self._sort_out(log)

    def _look(self) -> list[OSError]:
        """Reads what is new or has changed; gives what is wrong with it."""
        problems: list[OSError] = []
        for pair in self._found(problems):
            looked = self._looked.setdefault(pair, _Looked())
            try:
                stamp = pair.stamp()
            except OSError as error:  # in the middle of being replaced, or gone
                if looked.stamp != "":
                    problems.append(error)
                looked.stamp = ""
                continue
            if stamp == looked.stamp:
                continue
            looked.stamp = stamp
            try:
                pair.load_into(self._context())
                looked.identity = pair.read()
            except OSError as error:
                problems.append(error)
        return problems

    def _found(self, problems: list[OSError]) -> list[Pair]:
        """All pairs, in their order; forgets those that are no more in the folder."""
        there: list[Pair] = []
        if self._folder is not None:
            try:
                there = pairs_in(self._folder)
                self._folder_said = ""
            except OSError as error:
                if self._folder_said != str(error):
                    problems.append(error)
                self._folder_said = str(error)
                there = [pair for pair in self._looked if pair not in self._listed]
        pairs = list(dict.fromkeys([*self._listed, *there]))[:MAX_PAIRS]
        for pair, looked in list(self._looked.items()):
            looked.gone = 0 if pair in pairs else looked.gone + 1
            if looked.gone == 1:
                pairs.append(pair)  # renewing takes a file away before it puts the new one there
            elif looked.gone:
                del self._looked[pair]
        if list(self._looked) != pairs:  # a new one may belong between two others
            self._looked = {pair: self._looked.get(pair) or _Looked() for pair in pairs}
        return pairs

    def _sort_out(self, log: Log) -> None:
        """Decides who is shown what, if certificates have changed or expired since that was decided."""
        wall = time.time()
        identities = self.identities
        expired = frozenset(one for one in identities if one.expires <= wall)
        if (identities, expired) == self._sorted or not identities:
            return
        for one in expired - self._sorted[1]:
            log.warning("certificate has expired", cert=str(one.pair.cert), names=list(one.names[:8]))
        self._sorted = (identities, expired)
        order = sorted(identities, key=lambda one: one in expired)  # stable: those that have expired come last
        kinds_of: dict[str, dict[str, Identity]] = {}
        for one in order:
            for name in one.names:
                kinds_of.setdefault(name, {}).setdefault(one.kind, one)
        groups: dict[str, _Group] = {}
        for name, kinds in kinds_of.items():
            groups[name] = tuple(one for one in kinds.values() if one not in expired) or tuple(kinds.values())
        first = order[0]
        of_first = groups[first.names[0]] if first.names else (first,)
        made: dict[_Group, ssl.SSLContext] = {}
        for group in {*groups.values(), of_first}:
            # what is in memory stays as it is: its files may be in the middle of being replaced
            context = self._made.get(group) or self._make(group, log)
            if context is not None:
                made[group] = context
        self._by_name = {
            name: context for name, group in groups.items() if (context := made.get(group) or self._by_name.get(name))
        }
        self._default = made.get(of_first) or self._default
        self._made = made

    def _make(self, group: _Group, log: Log) -> ssl.SSLContext | None:
        """A context that shows the certificates of `group`, each to who can check it; None if there are none left."""
        context = self._context()
        loaded = 0
        for one in group:
            try:
                one.pair.load_into(context)
                loaded += 1
            except OSError as error:  # replaced since it was looked at: the next look finds it
                _tell([error], log)
        return context if loaded else None

    def _rotate(self, now: float) -> ssl.SSLContext:
        """A new listening context, and with it a new key of tickets."""
        context = self._context()
        context.sni_callback = self._choose
        context.num_tickets = 1  # each costs a twentieth of a handshake, and a player keeps its connection
        self._listening = context
        self._since = now
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002
        """Called in each handshake, be there a name or not; of a resumed one nobody sees the certificate."""
        found = None
        if name:
            name = name.lower()
            found = self._by_name.get(name) or self._by_name.get(f"*.{name.partition('.')[2]}")
        found = found or self._default
        if found is not None:
            connection.context = found

    def _context(self) -> ssl.SSLContext:
        return server_context(self._alpn)


def server_context(alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A context with the rules of this server, and no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _tell(problems: Iterable[OSError], log: Log) -> None:
    for problem in problems:
        log.warning("certificate refused", reason=problem.strerror or str(problem))
