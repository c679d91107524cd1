"""Calls in a closed loop: small ones, small ones over TLS, long answers, long requests."""

from __future__ import annotations

from bench import Bench, add_medians
from results import Column, Result
from upstreams import Upstream

import messages
import tools


def _run(bench: Bench, name: str, title: str, setup: str, request: int, answer: int, nginx_above: bool, tls: bool = False, connections: int | None = None) -> Result:
    body, wanted = messages.call(request), messages.result(answer)
    file = bench.file("body", body)
    connections = connections or bench.options.connections
    upstream = Upstream.small(bench.directory, wanted) if nginx_above else Upstream.sized(bench.directory, answer, wanted)
    result = Result(name, title, f"{setup}; {connections} connections, keep-alive.", [
        Column("cpu", "CPU µs/request", 1, ratio=True), Column("rate", "requests/s", ratio=True), Column("p50", "p50 ms", 2), Column("p99", "p99 ms", 2),
        Column("memory", "peak memory MB", 1)], chart="cpu")
    with bench.upstream(upstream), bench.peers(upstream, certificate=bench.certificate if tls else None) as peers:
        def load(peer, seconds: float) -> dict:
            before = peer.cpu()
            found = tools.wrk(f"{peer.url}/mcp", file, peer.cookie, connections, seconds)
            return found | {"cpu": (peer.cpu() - before) / found["requests"] * 1e6, "rate": found["requests"] / found["seconds"]}

        for peer in peers:
            peer.check(body, wanted)
            load(peer, 1)
        rounds = bench.take_turns(peers, lambda peer: load(peer, bench.options.seconds), lambda one: f"{one['cpu']:.1f} µs, {one['rate']:,.0f}/s")
        add_medians(result, peers, rounds, memory={peer.name: peer.peak_memory() / 2**20 for peer in peers})
    return result


def small(bench: Bench) -> Result:
    return _run(bench, "small", "Small calls", "POST of 100 bytes, answer of 300", 100, 300, True)


def small_tls(bench: Bench) -> Result:
    return _run(bench, "small-tls", "Small calls over TLS", "The same over TLS 1.3 in front of the proxy", 100, 300, True, tls=True)


def answer_64k(bench: Bench) -> Result:
    return _run(bench, "answer-64k", "Answers of 64 KiB", "POST of 100 bytes, answer of 64 KiB", 100, 65536, False)


def upload_1m(bench: Bench) -> Result:
    return _run(bench, "upload-1m", "Requests of 1 MiB", "POST of 1 MiB, answer of 300 bytes", 1 << 20, 300, False, connections=8)
