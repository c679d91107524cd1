"""Measures coatcheck beside a bare nginx: same upstream, same load, alternating rounds, CPU counted from /proc. Called by scripts/bench."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "deploy" / "demo"), str(ROOT / "Tests" / "EndToEnd")]

from processes import Service, free_port, listens  # noqa: E402
from proxy import Proxy  # noqa: E402
from support import http  # noqa: E402
from support.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider  # noqa: E402
from support.server import Background  # noqa: E402
from support.visitor import Visitor  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def sized(template: str, size: int) -> str:
    """`template` with its @ filled so that the whole is `size` bytes long."""
    if len(template) - 1 > size:
        raise SystemExit(f"{size} bytes are too few")
    return template.replace("@", "x" * (size - len(template) + 1))


def request_body(size: int) -> str:
    return sized('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"@"}}}', size)


def answer_body(size: int) -> str:
    return sized('{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"@"}],"isError":false}}', size)


NGINX_COMMON = """\
daemon off; master_process on; worker_processes {workers}; pid {dir}/{name}.pid; error_log {dir}/{name}.log warn; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on; server_tokens off; default_type application/json;
  client_body_temp_path {dir}/{name}-1; proxy_temp_path {dir}/{name}-2; fastcgi_temp_path {dir}/{name}-3; uwsgi_temp_path {dir}/{name}-4; scgi_temp_path {dir}/{name}-5;
"""

NGINX_UPSTREAM = NGINX_COMMON + """\
  server {{ listen 127.0.0.1:{port} reuseport backlog=4096; location / {{ return 200 '{answer}'; }} }}
}}
"""

NGINX_PROXY = NGINX_COMMON + """\
  upstream above {{ server 127.0.0.1:{above}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    location / {{
      proxy_pass http://above; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Cookie "";
      proxy_set_header Authorization "Bearer {token}"; proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""

WRK = """\
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
wrk.headers["Cookie"] = os.getenv("COOKIE")
done = function(summary, latency, requests)
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"max":%f,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def tree(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [int(child) for child in children]


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident_megabytes(pids: list[int]) -> float:
    kilobytes = 0
    for pid in pids:
        match = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        kilobytes += int(match.group(1)) if match else 0
    return kilobytes / 1024


@dataclass
class Contender:
    name: str
    port: int
    pids: list[int]
    cookie: str
    rounds: list[dict] = field(default_factory=list)

    def load(self, script: Path, body: str, connections: int, seconds: float, keep: bool = True) -> None:
        before = cpu_seconds(self.pids)
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), f"http://127.0.0.1:{self.port}/mcp"],
                              capture_output=True, text=True, check=True, env={**os.environ, "BODY": body, "COOKIE": self.cookie})
        used = cpu_seconds(self.pids) - before
        result = json.loads(re.search(r"RESULT (.*)", done.stdout).group(1))
        if result["refused"] or result["broken"] or not result["requests"]:
            raise SystemExit(f"{self.name}: {result['refused']} refused, {result['broken']} broken of {result['requests']} requests")
        result |= {"cpu": used / result["requests"] * 1e6, "rate": result["requests"] / result["seconds"]}
        if keep:
            self.rounds.append(result)

    def median(self, what: str) -> float:
        return statistics.median(one[what] for one in self.rounds)


def start_nginx(name: str, directory: Path, text: str, **values) -> Service:
    config = directory / f"{name}.conf"
    config.write_text(text.format(name=name, dir=directory, user="user root;" if os.geteuid() == 0 else "", **values))
    binary = "/usr/sbin/nginx"
    return Service(name, [binary, "-p", directory, "-c", config, "-e", directory / f"{name}.log"], directory / f"{name}.out").start(lambda: listens(values["port"]))


def check(contender: Contender, body: str, answer: str) -> None:
    seen = http.request(f"http://127.0.0.1:{contender.port}", "POST", "/mcp", {
        "Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25", "Cookie": contender.cookie}, body.encode())
    if seen.status != 200 or seen.text != answer:
        raise SystemExit(f"{contender.name} does not work: {seen}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=3, help="length of one round (default 3)")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--request", type=int, default=100, help="bytes of a request's body (default 100)")
    parser.add_argument("--answer", type=int, default=300, help="bytes of an answer's body (default 300)")
    parser.add_argument("--store", choices=["memory", "sqlite"], default="sqlite")
    parser.add_argument("--access-log", action="store_true", help="let coatcheck write its access log (nginx writes none)")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    options = parser.parse_args()
    if options.rounds * options.seconds * 2 > 60:
        parser.error("that would take more than a minute")

    body, answer = request_body(options.request), answer_body(options.answer)
    # As many nginx workers as coatcheck has loops: one a core.
    workers = len(os.sched_getaffinity(0))
    started: list = []
    with tempfile.TemporaryDirectory(prefix="coatcheck-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        script = directory / "load.lua"
        script.write_text(WRK)
        try:
            above, front = free_port(), free_port()
            started.append(start_nginx("upstream", directory, NGINX_UPSTREAM, workers=1, port=above, answer=answer))
            provider = FakeProvider(Background()).start()
            proxy = Proxy(directory / "coatcheck", {
                "oidc": {"issuer": provider.issuer, "client_id": CLIENT_ID},
                "routes": [{"path": "/mcp", "upstream": f"http://127.0.0.1:{above}/mcp", "scope": "mcp.use"}],
                "session": {"store": {"type": options.store} | ({"path": None} if options.store == "memory" else {})},
                "log": {"level": "info" if options.access_log else "warning"},
            }, CLIENT_SECRET, binary=options.binary).start()
            started.append(proxy)
            cookie = Visitor(proxy, provider).sign_in().cookie
            token = next(secret for secret in provider.issued if secret.startswith("CANARY-at"))
            nginx = start_nginx("nginx", directory, NGINX_PROXY, workers=workers, port=front, above=above, token=token)
            started.append(nginx)
            contenders = [Contender("nginx", front, tree(nginx.pid), cookie), Contender("coatcheck", proxy.port, [proxy.service.pid], cookie)]
            for one in contenders:
                check(one, body, answer)
                one.load(script, body, options.connections, 1, keep=False)
            for number in range(options.rounds):
                for one in contenders if number % 2 == 0 else reversed(contenders):
                    one.load(script, body, options.connections, options.seconds)
                print(f"    round {number + 1} of {options.rounds}: " + ", ".join(
                    f"{one.name} {one.rounds[-1]['cpu']:.2f} µs, {one.rounds[-1]['rate']:,.0f}/s" for one in contenders), flush=True)
            memory = {one.name: resident_megabytes(one.pids) for one in contenders}
        finally:
            for one in reversed(started):
                one.stop()

    print(f"\n{options.connections} connections, {options.request} B POST, {options.answer} B answer, keep-alive, {workers} workers each; medians of {options.rounds} rounds\n")
    print(f"{'':12}{'CPU µs/request':>16}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'memory MB':>11}")
    for one in contenders:
        print(f"{one.name:12}{one.median('cpu'):16.2f}{one.median('rate'):12,.0f}{one.median('p50'):9.2f}{one.median('p99'):9.2f}{memory[one.name]:11.1f}")
    bare, ours = contenders
    # Rounds next to each other saw the same machine: their ratios vary less than the figures themselves.
    ratio = statistics.median(b["cpu"] / a["cpu"] for a, b in zip(bare.rounds, ours.rounds))
    print(f"\nCPU per request, coatcheck with a session / nginx bare: {ratio:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"ratio": ratio, "memory": memory, **{one.name: one.rounds for one in contenders}}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
