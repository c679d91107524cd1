"""Says where a request's allocations, system calls and instructions are. Called by scripts/profile."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "deploy" / "demo"), str(ROOT / "Tests" / "EndToEnd")]

from counting import gates  # noqa: E402
from counting.stage import SCENARIOS, SETTINGS  # noqa: E402
from counting.tools import TOOLS, Allocations, Instructions, SystemCalls, count_all  # noqa: E402

# What stands between a call and the allocator, or below everything.
PLUMBING = re.compile(r"^(\w*alloc\w*|_?swift_\w+|swift::\w+.*|enter|taken|\w*memalign|_?Znwm|operator new.*|0x[0-9a-f]+|\?\?)$")


def readable(text: str) -> str:
    """Swift's own names in words."""
    tool = shutil.which("swift-demangle") or Path(shutil.which("swift")).parent / "swift-demangle"
    text = subprocess.run([tool, "--simplified"], input=text, capture_output=True, text=True, check=True).stdout
    return re.sub(r"(generic |function signature |merged |specialization )+<[^>]*> of |closure #\d+ in ", "", text)


def symbols(pid_maps: str, addresses: set[int]) -> dict[int, list[str]]:
    """The functions at return addresses, those that were inlined first."""
    areas, bases = [], {}
    for line in pid_maps.splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and words[5].startswith("/"):
            start, end = (int(word, 16) for word in words[0].split("-"))
            bases.setdefault(words[5], start)
            areas.append((start, end, words[5]))
    found: dict[int, list[str]] = {}
    by_file: dict[str, list[int]] = {}
    for address in addresses:
        file = next((file for start, end, file in areas if start <= address < end), None)
        if file and not file.endswith("allocations.so"):
            by_file.setdefault(file, []).append(address)
    symbolizer = shutil.which("llvm-symbolizer") or Path(shutil.which("swift")).resolve().parent / "llvm-symbolizer"
    for file, inside in by_file.items():
        asked = "\n".join(hex(address - 1 - bases[file]) for address in inside)
        said = subprocess.run([symbolizer, f"--obj={file}", "--output-style=JSON"], input=asked, capture_output=True, text=True, check=True).stdout
        for address, line in zip(inside, readable(said).splitlines()):
            try:
                entries = json.loads(line)["Symbol"]
            except ValueError:
                entries = []
            found[address] = [f"{one['FunctionName'] or Path(file).name} ({Path(one['FileName']).name}:{one['Line']})" if one["Line"]
                              else one["FunctionName"] or Path(file).name for one in entries]
    return found


def allocations(tool: Allocations, scenario: str, options: argparse.Namespace) -> None:
    totals = tool.count(scenario)
    print(f"\n## {scenario}: {totals['allocations']:g} allocations, {totals['bytes']:g} bytes, {totals['kept']:g} kept\n")
    sites = tool.sites(scenario)
    names = symbols(Path(f"/proc/{tool.stage.pid}/maps").read_text(), {frame for site in sites for frame in site.frames})
    count, size = Counter(), Counter()
    for site in sites:
        chain = [name for frame in site.frames for name in names.get(frame, []) if not PLUMBING.match(name.split(" (")[0])]
        # What is allocated is said by the innermost frame; between it and our own source there is only the standard library.
        chain = tuple(chain[:1] + [name for name in chain[1:] if " (" in name][:options.depth])
        count[chain] += site.count
        size[chain] += site.bytes
    print(f"{'each':>7}  {'bytes':>8}  allocated by, innermost first")
    for chain, number in count.most_common():
        print(f"{number / tool.repeats:7.2f}  {size[chain] / number:8.0f}  {chr(10).join(' ' * 19 * bool(level) + name for level, name in enumerate(chain))}")


def system_calls(tool: SystemCalls, scenario: str, options: argparse.Namespace) -> None:
    print(f"\n## {scenario}: {tool.count(scenario)['system calls']:g} system calls; one request in full\n")
    for line in tool.one(scenario):
        print(f"  {line}")


def instructions(tool: Instructions, scenario: str, options: argparse.Namespace) -> None:
    dump = tool.dump(scenario)
    for title, flags in (("by the function itself", []), ("with all that it calls", ["--inclusive=yes"])):
        text = subprocess.run(["callgrind_annotate", "--threshold=100", "--show-percs=no", "--auto=no", *flags, dump], capture_output=True, text=True, check=True).stdout
        costs: Counter = Counter()
        for number, place, in re.findall(r"^\s*([\d,]+)  (.*)$", text, re.M):
            name = re.sub(r"'\d+|\s*\[[^]]*\]$", "", place).partition(":")[2]
            costs[name] += int(number.replace(",", ""))
        total = int(re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.M).group(1))
        print(f"\n## {scenario}: {total / tool.repeats:,.0f} instructions, {title}\n")
        lines = [f"{cost / tool.repeats:10,.0f} {100 * cost / total:5.1f} %  {name}" for name, cost in costs.most_common(60) if name]
        print(readable("\n".join(lines)))
    for function in options.callers:
        callers(dump, tool.repeats, function)


def callers(dump: Path, repeats: int, function: str) -> None:
    """Who calls a function, and how often in one step."""
    text = subprocess.run(["callgrind_annotate", "--threshold=100", "--show-percs=no", "--auto=no", "--inclusive=yes", "--tree=caller", dump],
                          capture_output=True, text=True, check=True).stdout
    found, waiting = Counter(), Counter()
    for line in text.splitlines():
        if call := re.match(r"^\s*[\d,]+\s+<\s+[^:]*:(.*?) \(([\d,]+)x\)", line):
            waiting[re.sub(r"'\d+$", "", call.group(1))] += int(call.group(2).replace(",", ""))
        elif own := re.match(r"^\s*[\d,]+\s+\*\s+[^:]*:(.*?)(?:'\d+)?(?: \[[^]]*\])?$", line):
            if own.group(1) == function:
                found += waiting
            waiting.clear()
    print(f"\n## {function} is called by, times a request\n")
    print(readable("\n".join(f"{count / repeats:8.1f}  {name}" for name, count in found.most_common(40))))


PRINTERS = {"allocations": allocations, "system calls": system_calls, "instructions": instructions}


def write_thresholds(directory: Path, binary: Path) -> None:
    counted: dict[str, dict[str, float]] = {name: {} for name in SCENARIOS}
    for kind in TOOLS:
        for setting in SETTINGS:
            for scenario, figures in count_all(kind, setting, directory / f"{kind}-{setting}".replace(" ", "-"), binary).items():
                counted[scenario] |= figures
    before = gates.load() if gates.FILE.exists() else {}
    gates.save(counted)
    for scenario, figures in gates.load().items():
        print(scenario)
        for what, value in figures.items():
            was = before.get(scenario, {}).get(what)
            print(f"  {value:10,g} {what}" + ("" if was in (None, value) else f" (was {was:,g})"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/profile", description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tool", choices=TOOLS, action="append", help="only this one (may be repeated)")
    parser.add_argument("--depth", type=int, default=8, help="frames of a call stack that are told apart (default 8)")
    parser.add_argument("--callers", metavar="FUNCTION", action="append", default=[], help="also who calls this one, by its symbol, such as swift_retain")
    parser.add_argument("--thresholds", action="store_true", help="count all scenarios and write what the tests allow")
    parser.add_argument("scenario", nargs="*", help=f"default: small POST; all, or any of: {', '.join(SCENARIOS)}")
    options = parser.parse_args()
    wanted = list(SCENARIOS) if options.scenario == ["all"] else options.scenario or ["small POST"]
    if unknown := [name for name in wanted if name not in SCENARIOS]:
        parser.error(f"no scenario is called {unknown[0]!r}")
    with tempfile.TemporaryDirectory(prefix="coatcheck-profile-") as name:
        if options.thresholds:
            write_thresholds(Path(name), options.binary.resolve())
            return 0
        for kind in options.tool or TOOLS:
            print(f"\n# {kind}", flush=True)
            for setting in SETTINGS:
                if inside := [scenario for scenario in wanted if SCENARIOS[scenario].setting == setting]:
                    with TOOLS[kind](Path(name) / kind.replace(" ", "-") / setting.replace(" ", "-"), setting, options.binary.resolve()) as tool:
                        for scenario in inside:
                            PRINTERS[kind](tool, scenario, options)
                            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
