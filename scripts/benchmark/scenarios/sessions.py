"""Many sessions: what each takes in memory, and what it costs to find one among them."""

from __future__ import annotations

import random
import socket
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from processes import listens

from bench import Bench
from crowd import Crowd
from peers import ALL, Peer, Setting
from results import Column, Result
from upstreams import Upstream

import messages
import tools

# What a peer is given where the number is out of its reach: mod_auth_openidc's cache in shared memory is searched from its start.
MOST = {"apache": 5000}
# A session in the client's cookie takes no memory at the proxy.
WITHOUT = {"nginx", "haproxy", "envoy"}
SAMPLE = 2000


def _latencies(port: int, cookies: list[str], body: str) -> list[float]:
    """Sorted milliseconds of one request for each cookie, one after the other on one connection."""
    found = []
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cookie in cookies:
            request = messages.post(port, cookie, body)
            start = time.perf_counter()
            connection.sendall(request)
            data = connection.recv(65536)
            found.append((time.perf_counter() - start) * 1000)
            if not data.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"a session was not known: {data[:200]!r}")
    return sorted(found)


def _load(bench: Bench, peer: Peer, body: Path, cookie: str, cookies: Path | None = None) -> float:
    before = peer.cpu()
    done = tools.wrk(f"{peer.url}/mcp", body, cookie, bench.options.connections, bench.options.seconds, cookies)
    return (peer.cpu() - before) / done["requests"] * 1e6


def _figures(bench: Bench, peer: Peer, cookies: list[str]) -> dict:
    body = messages.call(100)
    sample = random.Random(1).sample(cookies, min(SAMPLE, len(cookies) // 2))
    first, second = _latencies(peer.port, sample, body), _latencies(peer.port, sample, body)
    everyone = bench.file("cookies", "\n".join(random.Random(2).sample(cookies, len(cookies))) + "\n")
    file = bench.file("body", body)
    _load(bench, peer, file, "", everyone)
    return {"first": first[len(first) // 2], "first99": first[int(len(first) * 0.99)], "second": second[len(second) // 2],
            "one": _load(bench, peer, file, cookies[0]), "all": _load(bench, peer, file, "", everyone)}


@contextmanager
def _in_memory(bench: Bench) -> Iterator[Path]:
    """A directory in memory: a disk that is waited for at each sign-in would make a hundred thousand of them take long."""
    if not Path("/dev/shm").is_dir():
        yield bench.directory
        return
    with tempfile.TemporaryDirectory(prefix="coatcheck-bench-", dir="/dev/shm") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def sessions(bench: Bench) -> Result:
    count = bench.options.sessions
    result = Result("sessions-100k", f"{count:,} sessions", "So many users are signed in. Then: 2,000 sessions' first and second request one after the other, and the closed loop of the small "
                    "calls, with one session and with another session each request. "
                    "Coatcheck's database lies on a file system in memory.", [
                        Column("sessions", "sessions"), Column("each", "bytes/session"), Column("over", "over its tokens"), Column("first", "first request p50 ms", 2),
                        Column("first99", "p99 ms", 2), Column("second", "second request p50 ms", 2), Column("one", "CPU µs, one session", 1), Column("all", "CPU µs, all sessions", 1),
                        Column("rate", "sign-ins/s")], chart="each")
    upstream = Upstream.small(bench.directory, messages.result(300))
    crowd = Crowd().start()
    with bench.upstream(upstream), _in_memory(bench) as directory:
        for name in bench.names:
            if name in WITHOUT:
                continue
            most = min(count, MOST.get(name, count))
            peer = ALL[name](Setting(directory, upstream.port, crowd, bench.options.binary, store=bench.options.store,
                                     access_log=bench.options.access_log, sessions=most))
            try:
                peer.service = crowd.during(peer.run)
                crowd.sign_in(peer.port, peer.start_page, 200, 30)
                before, start = peer.memory(), time.monotonic()
                cookies = crowd.sign_in(peer.port, peer.start_page, most, 200)
                took = time.monotonic() - start
                each = (peer.memory() - before) / len(cookies)
                bench.say(f"{name}: {len(cookies):,} sessions in {took:.0f} s, {each:.0f} bytes each")
                result.add(peer, sessions=len(cookies), each=each, over=each - crowd.token_bytes, rate=len(cookies) / took, **crowd.during(lambda: _figures(bench, peer, cookies)))
                if len(cookies) < count:
                    result.notes.append(f"{peer.title} was given {len(cookies):,} sessions.")
                if name == "coatcheck" and bench.options.store == "sqlite":
                    crowd.during(lambda: peer.stop())
                    crowd.during(lambda: peer.service.start(lambda: listens(peer.port)))
                    result.rows["coatcheck, restarted"] = {"title": "Coatcheck, started anew", "sessions": len(cookies), "each": None, "over": None, "rate": None,
                                                           **crowd.during(lambda: _figures(bench, peer, cookies))}
            finally:
                peer.stop()
    crowd.stop()
    result.notes.append(f"The tokens of a session have {crowd.token_bytes:,} bytes. nginx and HAProxy know no sessions; Envoy keeps them in the client's cookies.")
    return result
