"""Many calls of one user at the moment the token has expired."""

from __future__ import annotations

import json
import time

from support import http
from support.server import Background

from bench import Bench
from peers import ALL
from results import Column, Result
from signin import BenchProvider
from upstreams import Upstream

import messages
import tools

LIFETIME, TOKEN_ENDPOINT_SECONDS = 2, 0.1


def refresh(bench: Bench) -> Result:
    waiters = 100 if bench.options.quick else 1000
    result = Result("refresh-1000", f"{waiters:,} calls on one expired token",
                    f"{waiters:,} connections send a call at once when the session's token has expired. The token endpoint takes {TOKEN_ENDPOINT_SECONDS * 1000:.0f} ms and gives refresh "
                    "tokens that work once; used twice, all that came of the sign-in is revoked.", [
                        Column("calls", "token endpoint calls"), Column("good", "answered 200"), Column("stale", "sent with the expired token"),
                        Column("failed", "failed"), Column("total", "all answered after ms"), Column("p50", "p50 ms"), Column("p99", "p99 ms")], chart="calls")
    names = [name for name in bench.names if ALL[name].signs_in]
    for name in names:
        provider = BenchProvider(Background()).start()
        provider.access_token_seconds = LIFETIME
        upstream = Upstream.sized(bench.directory, 300)
        with bench.upstream(upstream), bench.peer(name, upstream, provider) as peer:
            signed_in = time.monotonic()
            first = next(token for token in provider.issued if token.startswith("CANARY-at"))
            provider.access_token_seconds, provider.refresh_delay = 3600, TOKEN_ENDPOINT_SECONDS
            time.sleep(max(0.0, signed_in + LIFETIME + 1 - time.monotonic()))
            found = tools.run("load", "burst", peer.port, bench.file("request", messages.post(peer.port, peer.cookie, messages.call(100))), waiters, in_part=True)
            seen = json.loads(http.request(f"http://127.0.0.1:{upstream.port}", "GET", "/tokens").body)
            stale = seen.get(f"Bearer {first}", 0)
            # What went upstream with the expired token is no good answer: a real upstream refuses it.
            result.add(peer, calls=provider.refreshes, good=found["good"], stale=stale, failed=waiters - found["good"], total=found["seconds"] * 1000,
                       p50=found["p50"], p99=found["p99"])
            bench.say(f"{name}: {provider.refreshes} calls of the token endpoint, {found['good']} good, {stale} with the expired token, {found['seconds'] * 1000:.0f} ms")
        provider.stop()
    result.notes.append("The upstream of the benchmark takes any token; a real one refuses those in the third column.")
    return result
