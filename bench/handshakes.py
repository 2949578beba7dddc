"""What a TLS handshake costs: full and resumed, 1.2 and 1.3, beside nginx with the same certificate.

`python -m bench handshakes`. Both servers are on core 0, the clients on core 1, in turns of a few hundred handshakes;
CPU of the server by the kernel's own account (/proc/PID/schedstat). A connection is made, shaken, closed by TLS's
goodbye, and carries nothing else. Ratios are of one turn, since the speed of a shared machine changes all the time.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import machine, report
from hlsd.delivery.tls.certificate import write_self_signed
from tests.support.ports import free_port

NAME = "handshakes"
TITLE = "Handshakes: what TLS costs before the first byte"
COUNTS = (400,)
"""Handshakes of a turn."""
CLIENTS = 4
"""At a time."""
TARGET = 0.7
KINDS = tuple((version, resumed) for version in ("1.3", "1.2") for resumed in (False, True))
Costs = dict[tuple[str, str, bool], list[float]]
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_ROOT = Path(__file__).resolve().parents[1]
_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{ listen 127.0.0.1:{port} ssl http2; root {root}; ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20; ssl_session_tickets on; }}
}}
"""


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met (or could not be judged)."""
    if counts[0] < 50:  # the counts of publishers of another page
        counts = COUNTS
    turns = rounds * max(1, round(seconds / 10))
    costs = measure(turns, counts[0], [name for name in ("hlsd", "nginx") if not only or name in only])
    return _write(costs, turns, counts[0])


def measure(turns: int, count: int, names: Sequence[str] = ("hlsd", "nginx")) -> Costs:
    """Microseconds of server CPU a handshake, in each turn, by server, version and whether it is resumed."""
    costs: Costs = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hlsd-bench-")))
        cert, key = folder / "cert.pem", folder / "key.pem"
        write_self_signed(cert, key, ["localhost"])
        servers = {name: stack.enter_context(_server(name, folder, cert, key)) for name in names}
        for turn in range(-1, turns):  # the first one is for caches, and is not counted
            for version, resumed in KINDS:
                for name, (pid, port) in servers.items():
                    cost = _cost(pid, port, version, 20 if turn < 0 else count, resumed=resumed)
                    if turn >= 0:
                        costs.setdefault((name, version, resumed), []).append(cost)
                        how = "resumed" if resumed else "full"
                        print(f"turn {turn + 1}/{turns}  {name:<6} {version} {how:<8} {cost:6.0f} us", flush=True)
    return costs


@contextmanager
def _server(name: str, folder: Path, cert: Path, key: Path) -> Iterator[tuple[int, int]]:
    """A server on core 0: its pid and port."""
    port = free_port()
    if name == "nginx":
        conf = folder / "nginx.conf"
        conf.write_text(_NGINX.format(root=folder, port=port, cert=cert, key=key))
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin") or "nginx"
        command = [program, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(conf)]
    else:
        command = [sys.executable, "-m", "bench.origin", str(free_port()), "--https", str(port)]
        command += ["--certificate", str(cert), str(key)]
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command], cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(port)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(10)


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def _cpu(pid: int) -> float:
    """Seconds that the threads of a process have run."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _client(version: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = _VERSIONS[version]
    context.set_alpn_protocols(["http/1.1"])
    return context


def _cost(pid: int, port: int, version: str, count: int, *, resumed: bool) -> float:
    """Microseconds of CPU of the server for each of `count` handshakes, `CLIENTS` at a time."""
    command = ["taskset", "-c", "1", sys.executable, "-m", "bench.handshakes"]
    command += [str(port), version, str(count // CLIENTS)]
    clients = [
        subprocess.Popen(
            [*command, *(["--resumed"] if resumed else [])],
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(CLIENTS)
    ]  # fmt: skip
    for client in clients:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
    began = _cpu(pid)
    for client in clients:
        assert client.stdin is not None
        client.stdin.close()
    for client in clients:
        assert client.wait() == 0, "a client failed"
        assert client.stdout is not None
        client.stdout.close()
    return (_cpu(pid) - began) / (count // CLIENTS * CLIENTS) * 1e6


def shake(port: int, version: str, count: int, *, resumed: bool) -> None:
    """A client: `count` handshakes one after the other, as soon as its input ends."""
    context = _client(version)
    session = _session(context, port) if resumed else None
    print("ready", flush=True)
    sys.stdin.read()
    for _ in range(count):
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", port)), server_hostname="localhost", session=session
        ) as tls:
            if tls.session_reused != resumed:
                raise RuntimeError("the server has another view of resumption")
            with contextlib.suppress(OSError):
                tls.unwrap()  # waits for the server's goodbye, and so for its tickets


def _session(context: ssl.SSLContext, port: int) -> ssl.SSLSession | None:
    """One that can be resumed: with 1.3 its ticket comes before the first answer."""
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while tls.recv(65536):
            pass
        return tls.session


def _write(costs: Costs, turns: int, count: int) -> bool:
    met = True
    rows = []
    for version, resumed in KINDS:
        row = [f"{version} {'resumed' if resumed else 'full'}"]
        for name in ("hlsd", "nginx"):
            found = costs.get((name, version, resumed))
            row += [f"{statistics.median(found):.0f}", f"{1e6 / statistics.median(found):.0f}"] if found else ["–", "–"]
        pairs = zip(costs.get(("hlsd", version, resumed), ()), costs.get(("nginx", version, resumed), ()), strict=False)
        ratios = [nginx / hlsd for hlsd, nginx in pairs]
        if ratios:
            ratio = statistics.median(ratios)
            met &= ratio >= TARGET
            row.append(f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        else:
            row.append("–")
        rows.append(row)
    head = ["TLS", "hlsd, us", "hlsd, per core-second", "nginx, us", "nginx, per core-second", "hlsd / nginx"]
    words = (__doc__ or "").split("\n\n", 1)
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            words[1].strip(),
            "",
            f"{turns} turns of {count} handshakes; medians. ECDSA P-256; hlsd's tickets and limits are the defaults.",
            "",
            report.table(head, rows),
            "",
            f"Target: {TARGET} of nginx's handshakes per core-second, full and resumed: {'met' if met else 'NOT MET'}.",
            "",
            *machine.section(),
        ]
    )
    raw = [{"server": one[0], "version": one[1], "resumed": one[2], "us": found} for one, found in costs.items()]
    path = report.write(NAME, text, {}, raw)
    print(report.table(head, rows))
    print(f"{path}: {'met' if met else 'NOT MET'}")
    return met


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("version", choices=list(_VERSIONS))
    parser.add_argument("count", type=int)
    parser.add_argument("--resumed", action="store_true")
    given = parser.parse_args()
    shake(given.port, given.version, given.count, resumed=given.resumed)
