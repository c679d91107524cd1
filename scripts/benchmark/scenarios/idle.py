"""Event streams that are open and silent: what each costs in memory."""

from __future__ import annotations

import math
import subprocess
import time
from contextlib import ExitStack

from processes import wait_until

import machine
import messages
import peers
import tools
from bench import Bench
from peers import Peer
from results import Column, Result
from upstreams import Upstream


class Streams:
    """Streams held open by processes of their own."""

    def __init__(self, bench: Bench, port: int, cookie: str, count: int, tls: bool):
        request = bench.file("stream", messages.stream(port, cookie))
        # The client needs a descriptor for each stream, and TLS takes time.
        processes = max(2, math.ceil(count / (machine.descriptor_limit() - 100)))
        self.process = subprocess.Popen([tools.tool("streams"), "idle", request, str(count), str(processes), "tls" if tls else "plain", str(port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != f"OPEN {count}\n":
            self.process.kill()
            raise RuntimeError(f"not all streams were opened: {self.process.stderr.read().strip()}")

    def close(self) -> None:
        self.process.communicate()


def _settled(memory) -> int:
    """The memory when it has stopped to change."""
    values: list[int] = []

    def steady() -> bool:
        values.append(memory())
        return len(values) >= 4 and max(values[-4:]) - min(values[-4:]) <= 64 * 1024

    try:
        wait_until(steady, "memory to settle", 4, every=0.2)
    except TimeoutError:
        pass
    return values[-1]


def _measure(bench: Bench, name: str, count: int, tls: bool) -> tuple[object, dict]:
    # One process where its descriptors are enough, else several side by side, each with an upstream of its own.
    instances = math.ceil(count / machine.streams_per_process())
    shares = [count // instances + (number < count % instances) for number in range(instances)]
    certificate = bench.certificate if tls else None
    with ExitStack() as stack:
        ours: list[tuple[Peer, int]] = []
        for share in shares:
            upstream = stack.enter_context(bench.upstream(Upstream.sized(bench.directory, 300)))
            ours.append((stack.enter_context(bench.peer(name, upstream, streams=share, certificate=certificate)), share))
        for one, _ in ours:
            Streams(bench, one.port, one.cookie, 50, tls).close()

        def memory() -> int:
            return sum(one.memory() for one, _ in ours)

        before, start = _settled(memory), time.monotonic()
        held = [Streams(bench, one.port, one.cookie, share, tls) for one, share in ours]
        took = time.monotonic() - start
        after = _settled(memory)
        for one in held:
            one.close()
        return ours[0][0], {"streams": count, "stream": (after - before) / count / 1024, "before": before / 2**20, "after": after / 2**20,
                            "opened": count / took, "instances": instances}


def _run(bench: Bench, name: str, count: int, tls: bool) -> Result:
    if bench.options.quick:
        count //= 10
    over = " over TLS 1.3" if tls else ""
    result = Result(name, f"{count:,} idle event streams{over}",
                    f"GET for an event stream{over}, one event at once, then silence. Memory is the sum of PSS of the proxy's processes; what sockets take in the kernel is not in it.",
                    [Column("streams", "streams"), Column("stream", "KiB/stream", 1, ratio=True), Column("before", "before MB", 1), Column("after", "after MB", 1),
                     Column("opened", "streams opened/s")], chart="stream")
    instances = 1
    for peer in bench.names:
        most = peers.ALL[peer].most_streams
        own = min(count, most) if most else count
        seen, figures = _measure(bench, peer, own, tls)
        instances = max(instances, figures.pop("instances"))
        bench.say(f"{peer}: {figures['stream']:.1f} KiB for each of {figures['streams']}, {figures['opened']:.0f} opened a second")
        result.add(seen, **figures)
        if own < count:
            result.notes.append(f"{seen.title} needs a thread for each stream and was given {own:,}.")
    if instances > 1:
        result.notes.append(f"A process may have {machine.descriptor_limit():,} descriptors here: the streams were spread over {instances} processes of each peer.")
    return result


def idle_5k(bench: Bench) -> Result:
    return _run(bench, "idle-streams-5k", 5000, False)


def idle_20k(bench: Bench) -> Result:
    return _run(bench, "idle-streams-20k", 20000, False)


def idle_tls(bench: Bench) -> Result:
    return _run(bench, "idle-streams-tls", 5000, True)
