"""What a proxy adds to the time of an answer at a rate well below its limit, and to the time of an event in a stream."""

from __future__ import annotations

from bench import Bench, add_medians
from peers.base import Direct
from results import Column, Result
from upstreams import Upstream

import messages
import tools

RATE, CONNECTIONS = 3000, 64
STREAMS, TICK = 50, 50


def _added(rounds: dict[str, list[dict]]) -> None:
    """Puts what a round took more than the direct one beside it into each round."""
    for mine in rounds.values():
        for one, direct in zip(mine, rounds["direct"]):
            for key in ("p50", "p99"):
                one[f"{key}_added"] = one[key] - direct[key]


def _compare(bench: Bench, result: Result, contenders: list, measure, first: float, digits: int) -> None:
    """`measure` for `first` seconds to warm up, then for a round's in turns."""
    for one in contenders:
        measure(one, first)
    rounds = bench.take_turns(contenders, lambda one: measure(one, bench.options.seconds), lambda one: f"p50 {one['p50']:.{digits}f} p99 {one['p99']:.{digits}f}")
    _added(rounds)
    add_medians(result, contenders, rounds)
    # The row without a proxy has neither a difference to itself nor a proxy's processor time.
    result.rows["direct"] = {key: None if key.startswith("cpu") or key.endswith("_added") else value for key, value in result.rows["direct"].items()}


_COLUMNS = [Column("p50", "p50 ms", 3), Column("p99", "p99 ms", 3), Column("p50_added", "p50 added ms", 3), Column("p99_added", "p99 added ms", 3)]


def rate_3000(bench: Bench) -> Result:
    body, wanted = messages.call(100), messages.result(300)
    upstream = Upstream.small(bench.directory, wanted)
    result = Result("rate-3000", f"{RATE:,} calls a second", f"POST of 100 bytes, answer of 300, sent at fixed moments, {RATE:,} a second over {CONNECTIONS} connections, "
                    "whether earlier answers are there or not; latency counts from the moment a request was due.",
                    [*_COLUMNS, Column("cpu", "CPU µs/request", 1, ratio=True)], chart="p99_added")
    with bench.upstream(upstream), bench.peers(upstream) as peers:
        contenders = [Direct(upstream.port), *peers]

        def load(one, seconds: float) -> dict:
            file = bench.file("request", messages.post(one.port, one.cookie, body))
            before = one.cpu() if one.name != "direct" else 0
            found = tools.run("load", "rate", one.port, file, CONNECTIONS, seconds, RATE)
            if found["good"] != found["requests"]:
                raise RuntimeError(f"{one.name}: {found['requests'] - found['good']} of {found['requests']} answers were no 200")
            return found | {"cpu": (one.cpu() - before) / found["requests"] * 1e6 if one.name != "direct" else 0.0}

        _compare(bench, result, contenders, load, first=1, digits=2)
    return result


def sse_latency(bench: Bench) -> Result:
    upstream = Upstream.sized(bench.directory, 300, tick=TICK)
    result = Result("sse-latency", "Events on their way", f"{STREAMS} event streams with an event each {TICK} ms ({STREAMS * 1000 // TICK:,} events a second in all); the time from the "
                    "upstream's write to the client's read.", list(_COLUMNS), chart="p50_added")
    with bench.upstream(upstream), bench.peers(upstream, streams=STREAMS) as peers:
        contenders = [Direct(upstream.port), *peers]

        def listen(one, seconds: float) -> dict:
            file = bench.file("request", messages.stream(one.port, one.cookie))
            return tools.run("streams", "latency", file, STREAMS, seconds, one.port)

        _compare(bench, result, contenders, listen, first=0.5, digits=3)
    return result
