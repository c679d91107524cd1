"""Measures Coatcheck beside its peers: same upstream, same load, rounds that take turns. Called by scripts/bench."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy" / "demo"), str(ROOT / "Tests" / "EndToEnd")]

import chart  # noqa: E402
import machine  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
import tools  # noqa: E402
from bench import Bench, Options  # noqa: E402
from results import Result  # noqa: E402

KEPT = tools.OUT / "results"
DOCUMENT, CHART = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"


def names(known: dict, given: list[str] | None, what: str) -> list[str]:
    """What was chosen, with commas or spaces between, in the order it is known."""
    chosen = {name for word in given or known for name in word.split(",") if name}
    if unknown := chosen - known.keys():
        raise SystemExit(f"unknown {what}: {', '.join(sorted(unknown))} (known: {', '.join(known)})")
    return [name for name in known if name in chosen]


def write_documents() -> None:
    results = [Result.load(path) for name in scenarios.ALL if (path := KEPT / f"{name}.json").exists()]
    if not results:
        raise SystemExit("nothing was measured yet")
    report.write_into(DOCUMENT, results)
    CHART.write_text(chart.svg(results))
    print(f"wrote {DOCUMENT.relative_to(ROOT)} and {CHART.relative_to(ROOT)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, epilog=f"Scenarios: {', '.join(scenarios.ALL)}. Peers: {', '.join(peers.ALL)}.")
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--scenario", nargs="+", metavar="NAME", help="only these (default all)")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="only these (default all)")
    parser.add_argument("--quick", action="store_true", help="two short rounds and smaller numbers, for a first look")
    parser.add_argument("--rounds", type=int, help="default 5; with --quick 2")
    parser.add_argument("--seconds", type=float, help="length of one round, default 3; with --quick 1")
    parser.add_argument("--connections", type=int, default=32, help="of the closed loops, default 32")
    parser.add_argument("--sessions", type=int, help="sessions in the store, default 100000; with --quick 5000")
    parser.add_argument("--store", choices=["memory", "sqlite"], default="sqlite", help="where coatcheck keeps sessions (default sqlite)")
    parser.add_argument("--access-log", action="store_true", help="let coatcheck write its access log (the peers write none)")
    parser.add_argument("--write-docs", action="store_true", help="put the newest figures of each scenario into docs/performance.md and docs/performance.svg")
    parser.add_argument("--only-docs", action="store_true", help="the same without measuring anything")
    given = parser.parse_args()
    if given.only_docs:
        write_documents()
        return 0

    chosen = names(scenarios.ALL, given.scenario, "scenario")
    quick = given.quick
    options = Options(given.binary, names(peers.ALL, given.peers, "peer"), given.rounds or (2 if quick else 5), given.seconds or (1 if quick else 3),
                      given.connections, given.store, given.access_log, given.sessions or (5000 if quick else 100_000), quick)
    machine.raise_descriptor_limit()
    tools.compile_all()
    failed = []
    for number, name in enumerate(chosen, 1):
        print(f"==> {name} ({number} of {len(chosen)})", file=sys.stderr, flush=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="coatcheck-bench-") as directory:
            Path(directory).chmod(0o755)
            try:
                result = scenarios.ALL[name](Bench(options, Path(directory)))
            except (RuntimeError, OSError, TimeoutError) as error:
                print(f"    failed: {error}", file=sys.stderr, flush=True)
                failed.append(name)
                continue
        result.machine = machine.description()
        if not quick and options.peers == list(peers.ALL):
            result.save(KEPT)
        print(f"\n{report.text(result)}", flush=True)
        print(f"    {time.monotonic() - start:.0f} s", file=sys.stderr)
    if given.write_docs:
        write_documents()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
