"""Sends many mixed requests through coatcheck and fails when, after a warm-up, blocks of memory, resident memory, descriptors or threads grow.

Called by scripts/soak and by a test. Blocks are those that the allocator was asked for and that were not given back: they repeat exactly, where
resident memory moves by some megabytes with what the allocator keeps.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "deploy" / "demo"), str(ROOT / "Tests" / "EndToEnd")]

from processes import Service, free_port, listens, wait_until  # noqa: E402
from proxy import Proxy  # noqa: E402
from counting.tools import HEAD, SITE, SITES, SOURCE  # noqa: E402
from support import http  # noqa: E402
from support.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider  # noqa: E402
from support.server import Background  # noqa: E402
from support.visitor import Visitor  # noqa: E402

NGINX = """\
daemon off; master_process off; pid {dir}/upstream.pid; error_log {dir}/upstream.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000; tcp_nodelay on; server_tokens off; client_max_body_size 8m;
  client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3; uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {dir};
    location /mcp {{ default_type application/json; return 200 '{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"ok"}}]}}}}'; }}
    location /events {{ default_type text/event-stream; return 200 'data: {{"jsonrpc":"2.0","id":1,"result":{{}}}}\\n\\n'; }}
    location /refusing {{ default_type application/json; return 403 '{{"error":"forbidden"}}'; }}
    location /pages {{ default_type text/plain; }}
  }}
}}
"""

# Of twenty requests: what clients do all day, and what they do wrong.
WRK = r"""
local cookie, count = os.getenv("COOKIE"), 0
-- Read by `done`, which is in another place.
odd = 0
local threads = {}
function setup(thread) table.insert(threads, thread) end
local function message(size) return '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"' .. string.rep("x", size) .. '"}}}' end
local small, middle, large = message(10), message(20000), message(200000)
local function fields(more)
  local all = {["Content-Type"] = "application/json", Accept = "application/json, text/event-stream", ["MCP-Protocol-Version"] = "2025-11-25", Cookie = cookie}
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end
local requests = {}
function init()
  for i = 1, 9 do requests[i] = wrk.format("POST", "/mcp", fields(), small) end
  requests[10] = wrk.format("POST", "/mcp", fields(), middle)
  requests[11] = wrk.format("POST", "/mcp", fields(), large)
  requests[12] = wrk.format("POST", "/events", fields(), small)
  requests[13] = wrk.format("GET", "/pages/large", fields())
  requests[14] = wrk.format("POST", "/refusing", fields(), small)
  requests[15] = wrk.format("POST", "/mcp", fields({Cookie = "coatcheck=nothing"}), small)
  requests[16] = wrk.format("POST", "/mcp", fields({Cookie = "", Connection = "close"}), small)
  requests[17] = wrk.format("GET", "/nowhere", fields())
  requests[18] = wrk.format("GET", "/auth/session", fields())
  requests[19] = wrk.format("GET", "/auth/login?return_to=/", fields({Accept = "text/html"}))
  requests[20] = wrk.format("POST", "/mcp", fields({Origin = "https://evil.example"}), small)
end
function request() count = count + 1; return requests[(count % #requests) + 1] end
local expected = {[200] = true, [303] = true, [401] = true, [403] = true, [404] = true, [429] = true}
function response(status) if not expected[status] then odd = odd + 1 end end
function done(summary)
  local strange = 0
  for _, thread in ipairs(threads) do strange = strange + (thread:get("odd") or 0) end
  io.write(string.format('RESULT {"requests":%d,"odd":%d,"broken":%d}\n', summary.requests, strange,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


@dataclass
class State:
    """Of the proxy between two loads, when no client is there."""

    requests: int
    blocks: int
    resident: int
    anonymous: int
    descriptors: int
    threads: int
    held: int
    connections: int

    @staticmethod
    def of(proxy: Proxy, counts: mmap.mmap, requests: int) -> "State":
        pid = proxy.service.pid
        text = Path(f"/proc/{pid}/status").read_text()
        number = lambda name: int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))
        page = http.request(proxy.admin_url, "GET", "/metrics").text
        shown = dict(line.rpartition(" ")[::2] for line in page.splitlines() if not line.startswith("#"))
        _, _, allocations, _, frees, *_ = HEAD.unpack_from(counts)
        return State(requests, allocations - frees, number("VmRSS"), number("RssAnon"), len(os.listdir(f"/proc/{pid}/fd")), number("Threads"),
                     int(shown["coatcheck_held_bytes"]), int(shown["coatcheck_client_connections"]))


def settled(proxy: Proxy, counts: mmap.mmap, requests: int) -> State:
    """Clients have left, and unused connections to upstreams are closed."""
    last: list[State] = []

    def quiet() -> bool:
        last.append(State.of(proxy, counts, requests))
        return last[-1].connections == 0 and last[-1].held == 0 and len(last) > 1 and last[-1].descriptors == last[-2].descriptors

    wait_until(quiet, "the proxy to be quiet", 20, every=1)
    return last[-1]


def load(proxy: Proxy, script: Path, cookie: str, connections: int, seconds: float) -> int:
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), proxy.url],
                          capture_output=True, text=True, env={**os.environ, "COOKIE": cookie})
    found = re.search(r"RESULT (.*)", done.stdout)
    if not found:
        raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
    result = json.loads(found.group(1))
    if result["odd"] or result["broken"]:
        raise SystemExit(f"{result['odd']} answers of an unexpected status, {result['broken']} broken of {result['requests']} requests")
    return result["requests"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--looks", type=int, default=8, help="how often memory is looked at after the warm-up (default 8)")
    parser.add_argument("--warm-up", type=float, default=0.2, help="part of the requests that may still let memory grow (default 0.2)")
    parser.add_argument("--blocks", type=int, default=1000, help="blocks of memory that may be more at the end (default 1000)")
    parser.add_argument("--growth", type=int, default=8192, help="KiB of memory that may be more at the end (default 8192)")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    options = parser.parse_args()

    states: list[State] = []
    started: list = []
    with tempfile.TemporaryDirectory(prefix="coatcheck-soak-") as name:
        directory = Path(name)
        script = directory / "load.lua"
        script.write_text(WRK)
        (directory / "pages").mkdir()
        (directory / "pages" / "large").write_bytes(b"x" * 300_000)
        interposer, compiler = directory / "allocations.so", shutil.which("clang") or shutil.which("cc")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", interposer, SOURCE], check=True)
        (directory / "counts").write_bytes(bytes(HEAD.size + SITE.size * SITES))
        with (directory / "counts").open("r+b") as file:
            counts = mmap.mmap(file.fileno(), 0)
        try:
            above = free_port()
            (directory / "upstream.conf").write_text(NGINX.format(dir=directory, port=above))
            started.append(Service("upstream", ["/usr/sbin/nginx", "-p", directory, "-c", directory / "upstream.conf", "-e", directory / "upstream.log"],
                                   directory / "upstream.out").start(lambda: listens(above)))
            provider = FakeProvider(Background()).start()
            route = lambda path: {"path": path, "upstream": f"http://127.0.0.1:{above}{path}", "scope": "mcp.use"}
            proxy = Proxy(directory / "coatcheck", {
                "oidc": {"issuer": provider.issuer, "client_id": CLIENT_ID},
                "routes": [route("/mcp"), route("/events"), route("/refusing"), {"path": "/pages", "upstream": f"http://127.0.0.1:{above}/pages", "authorization": "none"}],
                "log": {"level": "warning"},
                # Every sign-in that is begun leaves a record, up to the store's limit.
                "limits": {"sign_ins_per_address": 1_000_000},
                # So that what is left at a look is what stays.
                "timeouts": {"upstream_idle": "500ms"},
            }, CLIENT_SECRET, binary=options.binary, wrapper=["env", f"LD_PRELOAD={interposer}", f"ALLOCATION_COUNTS={directory / 'counts'}"]).start()
            started.append(proxy)
            cookie = Visitor(proxy, provider).sign_in().cookie
            total, rate = 0, 1_000.0
            marks = [options.requests * (options.warm_up + (1 - options.warm_up) * look / options.looks) for look in range(options.looks + 1)]
            print(f"{'requests':>10}{'blocks':>9}{'RSS KiB':>10}{'anonymous':>11}{'descriptors':>13}{'threads':>9}", flush=True)
            for mark in marks:
                while total < mark:
                    begin = time.monotonic()
                    count = load(proxy, script, cookie, options.connections, min(10, (mark - total) / rate))
                    rate = count / (time.monotonic() - begin)
                    total += count
                state = settled(proxy, counts, total)
                states.append(state)
                print(f"{state.requests:10,}{state.blocks:9,}{state.resident:10,}{state.anonymous:11,}{state.descriptors:13}{state.threads:9}", flush=True)
        finally:
            for one in reversed(started):
                one.stop()
    if options.json:
        options.json.write_text(json.dumps([vars(state) for state in states], indent=2))
    first, last = states[0], states[-1]
    blocks, grown = last.blocks - first.blocks, last.anonymous - first.anonymous
    print(f"\nbetween {first.requests:,} and {last.requests:,} requests: {blocks:+,} blocks, {grown:+,} KiB")
    if blocks > options.blocks or grown > options.growth:
        print("memory grows")
        return 1
    if last.descriptors > first.descriptors + 8 or last.threads > first.threads + 8:
        print("descriptors or threads grow")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
