"""From the start of the process to the first good answer."""

from __future__ import annotations

import socket
import time

from bench import Bench, add_medians
from results import Column, Result
from upstreams import Upstream

import messages


def _answered(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(request)
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def cold_start(bench: Bench) -> Result:
    rounds = 3 if bench.options.quick else 9
    upstream = Upstream.small(bench.directory, messages.result(300))
    result = Result("cold-start", "From exec to the first answer", "The process is started, and asked every half millisecond until a call is answered with 200: where there are sessions, with "
                    "one from before the restart.", [Column("ready", "ms", 0, ratio=True), Column("cpu", "CPU ms", 0), Column("memory", "memory then MB", 1)], chart="ready")
    with bench.upstream(upstream), bench.peers(upstream, lasting=True) as peers:
        requests = {peer.name: messages.post(peer.port, peer.cookie, messages.call(100)) for peer in peers}
        for peer in peers:
            peer.check(messages.call(100))
            peer.stop()

        def start(peer) -> dict:
            begin = time.monotonic()
            peer.service.start(lambda: True)
            while not _answered(peer.port, requests[peer.name]):
                if time.monotonic() > begin + 20 or not peer.service.running:
                    raise RuntimeError(f"{peer.name} did not come up again:\n{peer.service.tail()}")
                time.sleep(0.0005)
            took = time.monotonic() - begin
            figures = {"ready": took * 1000, "cpu": peer.cpu() * 1000, "memory": peer.memory() / 2**20}
            peer.stop()
            return figures

        add_medians(result, peers, bench.take_turns(peers, start, lambda one: f"{one['ready']:.0f} ms", rounds))
    return result
