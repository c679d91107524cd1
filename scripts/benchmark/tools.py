"""The programs that make load: wrk from Debian, and small ones in C that are compiled here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent / "tools"
OUT = Path(__file__).resolve().parents[2] / ".build" / "benchmark"

WRK = """\
wrk.method = "POST"
local body = io.open(os.getenv("BODY"))
wrk.body = body:read("a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
wrk.headers["Cookie"] = os.getenv("COOKIE")
if os.getenv("COOKIES") then
  local cookies, at = {}, 0
  for line in io.lines(os.getenv("COOKIES")) do cookies[#cookies + 1] = line end
  request = function()
    at = at % #cookies + 1
    wrk.headers["Cookie"] = cookies[at]
    return wrk.format()
  end
end
done = function(summary, latency, requests)
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"max":%f,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def compile_all() -> None:
    """Compiles what is older than its source."""
    OUT.mkdir(parents=True, exist_ok=True)
    compiler = next((name for name in ("gcc", "cc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise SystemExit("no C compiler is installed")
    common = (HERE / "common.h").stat().st_mtime
    for source in sorted(HERE.glob("*.c")):
        target = OUT / source.stem
        if target.exists() and target.stat().st_mtime > max(common, source.stat().st_mtime):
            continue
        subprocess.run([compiler, "-O2", "-Wall", "-o", target, source, "-lssl", "-lcrypto"], check=True)
    (OUT / "load.lua").write_text(WRK)


def tool(name: str) -> str:
    return str(OUT / name)


def run(name: str, *words, seconds: float = 60, in_part: bool = False) -> dict:
    """Runs a tool to its end and returns what it found out; with `in_part` also where not everything was answered."""
    done = subprocess.run([tool(name), *map(str, words)], capture_output=True, text=True, timeout=seconds)
    if (done.returncode and not in_part) or not done.stdout:
        raise RuntimeError(f"{name} {' '.join(map(str, words))}: {done.stderr.strip() or done.stdout}")
    return json.loads(done.stdout)


def wrk(url: str, body: Path, cookie: str, connections: int, seconds: float, cookies: Path | None = None) -> dict:
    """A closed loop: each connection sends its next request when the answer is there."""
    environment = {**os.environ, "BODY": str(body), "COOKIE": cookie} | ({"COOKIES": str(cookies)} if cookies else {})
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", OUT / "load.lua", url],
                          capture_output=True, text=True, env=environment, timeout=seconds + 30)
    found = re.search(r"RESULT (.*)", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"wrk {url}: {done.stderr or done.stdout}")
    result = json.loads(found.group(1))
    if result["refused"] or result["broken"] or not result["requests"]:
        raise RuntimeError(f"{url}: {result['refused']} refused, {result['broken']} broken of {result['requests']} requests")
    return result
