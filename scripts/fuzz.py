"""Runs the fuzzers that scripts/fuzz_build.py has built, and says what they found. See docs/fuzzing.md."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as tree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fuzz_build import EXECUTABLE, OUT, ROOT, BuildError, build

FUZZ = ROOT / "Fuzz"
SMOKE_SECONDS = 5
LONG_SECONDS = 300


@dataclass
class Result:
    target: str
    seconds: float
    seeds: int
    executions: int = 0
    edges: int = 0
    corpus: int = 0
    found: list[Path] = field(default_factory=list)
    problem: str = ""


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_file()) if directory.is_dir() else []


def environment() -> dict[str, str]:
    swift = shutil.which(os.environ.get("SWIFTC", "swiftc"))
    symbolizer = Path(swift).resolve().parent / "llvm-symbolizer" if swift else Path()
    extra = {"ASAN_SYMBOLIZER_PATH": str(symbolizer)} if symbolizer.exists() else {}
    # Swift's own backtrace of a trap takes long and says less than the sanitizer's.
    return os.environ | {"SWIFT_BACKTRACE": "enable=no"} | extra


def run(target: str, seconds: int, smoke: bool) -> Result:
    """One target for so many seconds, after all its seeds and everything that it was ever broken by."""
    seeds, crashes = FUZZ / "Seeds" / target, FUZZ / "Crashes" / target
    corpus = OUT / ("smoke" if smoke else "corpus") / target
    if smoke:
        shutil.rmtree(corpus, ignore_errors=True)
    for directory in (corpus, OUT / "found", OUT / "logs"):
        directory.mkdir(parents=True, exist_ok=True)
    before = set(files(OUT / "found"))
    command = [
        str(EXECUTABLE), f"--target={target}", f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048",
        "-malloc_limit_mb=64", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={OUT / 'found' / target}-"]
    dictionary = FUZZ / "Dictionaries" / f"{target}.dict"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    # What everybody runs begins alike for everybody; a long run goes its own way each time.
    command.append("-seed=1" if smoke else "-use_value_profile=1")
    command += [str(directory) for directory in (corpus, seeds, crashes) if directory.is_dir()]
    log = OUT / "logs" / f"{target}.log"
    start = time.monotonic()
    # To a file: the run may end in the middle of a line, and a reader of a pipe would wait.
    with log.open("w") as out:
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=environment(),
                timeout=seconds + 120).returncode
        except subprocess.TimeoutExpired:
            code = -1
    text = log.read_text(errors="replace")
    result = Result(target, time.monotonic() - start, len(files(seeds)) + len(files(crashes)))
    if stats := re.findall(r"^#\d+\s.*?cov: (\d+) ft: \d+ corp: (\d+)", text, re.MULTILINE):
        result.edges, result.corpus = (int(number) for number in stats[-1])
    if executed := re.search(r"stat::number_of_executed_units:\s*(\d+)", text):
        result.executions = int(executed[1])
    if code:
        result.found = [path for path in files(OUT / "found") if path not in before]
        reason = re.search(r"^(Fuzz/.*|.*Fatal error.*|==\d+==.*ERROR.*|SUMMARY.*)$", text, re.MULTILINE)
        result.problem = reason[1] if reason else f"ended with {code}"
    elif not result.executions:
        result.problem = "nothing was executed"
    return result


def show(result: Result) -> None:
    rate = result.executions / max(result.seconds, 0.1)
    verdict = result.problem or "good"
    print(
        f"    {result.target:<20} {result.executions:>10,} inputs {rate:>9,.0f}/s {result.edges:>6} edges "
        f"{result.corpus:>5} kept  {verdict}", flush=True)
    if result.problem:
        log = OUT / "logs" / f"{result.target}.log"
        print(f"        what it printed: {log.relative_to(ROOT)}")
        for path in result.found:
            print(f"        the input:       {path.relative_to(ROOT)}")
            print(f"        to try again:    {EXECUTABLE.relative_to(ROOT)} --target={result.target} {path.relative_to(ROOT)}")


def report(results: list[Result], path: Path) -> None:
    suite = tree.Element("testsuite", name="fuzz", tests=str(len(results)))
    for result in results:
        case = tree.SubElement(suite, "testcase", classname="fuzz", name=result.target, time=f"{result.seconds:.1f}")
        if result.problem:
            tree.SubElement(case, "failure", message=result.problem)
    path.parent.mkdir(parents=True, exist_ok=True)
    tree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Coverage-guided fuzzing of everything that reads bytes from outside.")
    parser.add_argument("targets", nargs="*", help="which; all when none is named")
    parser.add_argument("--smoke", action="store_true", help=f"a bounded run, {SMOKE_SECONDS} seconds for each target, that begins alike each time")
    parser.add_argument("--seconds", type=int, help=f"for each target; {LONG_SECONDS} unless said")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="targets at a time")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--xml", type=Path, help="write a JUnit report here")
    options = parser.parse_args()
    try:
        build()
    except (BuildError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    known = subprocess.run([str(EXECUTABLE), "--list"], check=True, capture_output=True, text=True).stdout.split()
    if options.list:
        print("\n".join(known))
        return 0
    if unknown := set(options.targets) - set(known):
        parser.error(f"no such target: {' '.join(sorted(unknown))}; there are {' '.join(known)}")
    seconds = options.seconds or (SMOKE_SECONDS if options.smoke else LONG_SECONDS)

    def one(target: str) -> Result:
        result = run(target, seconds, options.smoke)
        show(result)
        return result

    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        results = list(pool.map(one, options.targets or known))
    if options.xml:
        report(results, options.xml)
    bad = [result for result in results if result.problem]
    executed = sum(result.executions for result in results)
    print(f"{len(results) - len(bad)} targets good, {len(bad)} broken, {executed:,} inputs")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
