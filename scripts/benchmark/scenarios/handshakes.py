"""TLS handshakes: full ones, and ones that resume a session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bench import Bench, add_medians
from results import Column, Result
from upstreams import Upstream

import machine
import messages
import tools

AT_ONCE = 16


def _run(bench: Bench, name: str, mode: str, title: str, setup: str) -> Result:
    upstream = Upstream.small(bench.directory, messages.result(300))
    result = Result(name, title, f"{setup}; key on P-256, {AT_ONCE} connections at a time, closed after the handshake. The client's part costs time on the same cores.", [
        Column("cpu", "CPU µs/handshake", 0, ratio=True), Column("rate", "handshakes/s", ratio=True), Column("p50", "p50 ms", 2), Column("p99", "p99 ms", 2)],
        chart="cpu")
    with bench.upstream(upstream), bench.peers(upstream, certificate=bench.certificate) as peers:
        def shake(peer, seconds: float) -> dict:
            before = peer.cpu()
            with ThreadPoolExecutor() as pool:
                jobs = [pool.submit(tools.run, "handshakes", mode, peer.port, AT_ONCE // machine.CORES, seconds) for _ in range(machine.CORES)]
                found = [job.result() for job in jobs]
            done = sum(one["requests"] for one in found)
            return {"cpu": (peer.cpu() - before) / done * 1e6, "rate": sum(one["requests"] / one["seconds"] for one in found),
                    "p50": max(one["p50"] for one in found), "p99": max(one["p99"] for one in found), "cipher": found[0]["cipher"]}

        ciphers = {peer.title: shake(peer, 0.5)["cipher"] for peer in peers}
        rounds = bench.take_turns(peers, lambda peer: shake(peer, bench.options.seconds), lambda one: f"{one['cpu']:.0f} µs, {one['rate']:,.0f}/s")
        add_medians(result, peers, rounds)
    if len(set(ciphers.values())) == 1:
        result.notes.append(f"All agreed on {next(iter(ciphers.values()))}.")
    else:
        result.notes.append("Agreed on: " + ", ".join(f"{title} {cipher}" for title, cipher in ciphers.items()) + ".")
    return result


def full(bench: Bench) -> Result:
    return _run(bench, "tls-full", "full", "Full TLS handshakes", "TLS 1.3 with a certificate")


def resumed(bench: Bench) -> Result:
    return _run(bench, "tls-resumed", "resumed", "Resumed TLS handshakes", "TLS 1.3 with the ticket of an earlier connection")
