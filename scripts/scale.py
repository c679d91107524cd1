"""Fills session stores and prints what they cost. Called by scripts/scale.

Everything is on loopback, in a directory of its own, and goes away at the end.

SQLite is filled in memory (--filling, a directory there) and copied to disk before it is measured: a million commits that wait for a disk would
take an hour and tell no more than the two thousand that are measured afterwards.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "deploy" / "demo")]

from processes import Service, free_port, listens  # noqa: E402


def run(binary: Path, *words: object) -> list[str]:
    """Lines of measurements; progress goes to standard error."""
    process = subprocess.Popen([binary, *map(str, words)], stdout=subprocess.PIPE, text=True)
    lines = []
    try:
        for line in process.stdout:
            print("   ", line.rstrip(), flush=True)
            lines.append(line)
    except BaseException:
        process.kill()
        raise
    if process.wait() != 0:
        raise SystemExit(f"{binary.name} ended with {process.returncode}")
    return lines


def fill(binary: Path, options: list, sessions: int, start: int = 0) -> None:
    """In pieces, each of which says how far it came."""
    while start < sessions:
        line = run(binary, "fill", *options, "--from", start, "--count", sessions - start)[-1]
        start = int(float(line.split("next=")[1].split()[0]))


def sizes(file: Path) -> int:
    return sum(part.stat().st_size for part in file.parent.glob(file.name + "*"))


def measure_sqlite(args: argparse.Namespace, directory: Path) -> None:
    print(f"SQLite, {args.sessions:,} sessions", flush=True)
    file = directory / "sessions.db"
    key = directory / "key"
    with tempfile.TemporaryDirectory(prefix="coatcheck-scale-", dir=args.filling) as name:
        early = Path(name) / "sessions.db"
        fill(args.binary, ["--sqlite", early, "--key", key], args.sessions)
        for part in early.parent.glob("sessions.db*"):
            shutil.copyfile(part, directory / part.name)
    print(f"    file bytes_per_session={sizes(file) / args.sessions:.0f} bytes={sizes(file)}", flush=True)
    run(args.binary, "measure", "--sqlite", file, "--key", key, "--sessions", args.sessions, "--operations", args.operations, "--sweep")


def ask(port: int, *words: str) -> str:
    """One command and the beginning of its answer: enough for INFO."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        text = connection.recv(65536)
        while not text.endswith(b"\r\n"):
            text += connection.recv(65536)
        return text.decode(errors="replace")


def number(port: int, section: str, name: str) -> float:
    return float(ask(port, "INFO", section).split(f"\r\n{name}:")[1].split("\r\n")[0])


def spent(port: int) -> list[float]:
    """Of the server so far: seconds of its processor, bytes in, bytes out."""
    processor = number(port, "cpu", "used_cpu_user") + number(port, "cpu", "used_cpu_sys")
    return [processor] + [number(port, "stats", f"total_net_{way}_bytes") for way in ("input", "output")]


def measure_redis(args: argparse.Namespace, directory: Path) -> None:
    print(f"Redis, {args.sessions:,} sessions", flush=True)
    port = free_port()
    server = Service("redis-server", [shutil.which("redis-server") or "/usr/bin/redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                                      "--appendonly", "no", "--dir", directory, "--daemonize", "no"], directory / "redis.log")
    server.start(lambda: listens(port))
    try:
        print("    server", ask(port, "INFO", "server").split("redis_version:")[1].split()[0], flush=True)
        options = ["--redis", port, "--key", directory / "key"]
        empty = number(port, "memory", "used_memory")
        fill(args.binary, options, args.sessions)
        used = number(port, "memory", "used_memory") - empty
        print(f"    memory bytes_per_session={used / args.sessions:.0f} used={used:.0f} resident={number(port, 'memory', 'used_memory_rss'):.0f}", flush=True)
        for kind in ("lookup", "refresh", "insert", "touch", "page", "sweep"):
            before = spent(port)
            lines = run(args.binary, "measure", *options, "--sessions", args.sessions, "--operations", args.operations, "--only", kind)
            used = [after - one for one, after in zip(before, spent(port))]
            # What a kind counts: operations, or sessions that it touched, listed or removed.
            count = sum(float(word.split("=")[1]) for line in lines for word in line.split() if word.split("=")[0] in ("count", "sessions", "removed"))
            print(f"    server {kind} cpu_us={used[0] / count * 1e6:.1f} in={used[1] / count:.0f} out={used[2] / count:.0f}", flush=True)
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--store", choices=["sqlite", "redis", "both"], default="both")
    parser.add_argument("--filling", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--directory", type=Path, default=ROOT / ".build", help="where a directory is made for the files that are measured")
    args = parser.parse_args()
    # A signal ends it as an error does: servers are stopped and files go away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scale-", dir=args.directory) as name:
        if args.store != "redis":
            measure_sqlite(args, Path(name))
        if args.store != "sqlite":
            (Path(name) / "redis").mkdir()
            measure_redis(args, Path(name) / "redis")


if __name__ == "__main__":
    main()
