"""What counts: an interposer for allocations, strace for system calls, callgrind for instructions. Each runs the proxy and counts from outside."""

from __future__ import annotations

import mmap
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .stage import SCENARIOS, SETTINGS, Stage, Step

WARM_UP = 60
SOURCE = Path(__file__).parent / "allocations.c"


def repeat(stage: Stage, step: Step, count: int) -> None:
    """Each step finds a proxy that waits: whether a request is there before the proxy asks for it must not be left to chance."""
    for _ in range(count):
        step()
        stage.settle()


class Tool:
    """Counts on one stage. `count` does `repeats` of a step and says what one of them took."""

    # Steps that are counted together, and how often that is done; the lowest count is the one that nothing disturbed.
    repeats, rounds = 100, 3

    def __init__(self, directory: Path, setting: str, binary: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.stage = Stage(directory / "proxy", SETTINGS[setting], binary, self.wrapper())

    def wrapper(self) -> list:
        raise NotImplementedError

    def total(self) -> dict[str, float]:
        raise NotImplementedError

    def __enter__(self) -> "Tool":
        self.stage.__enter__()
        return self

    def __exit__(self, *_) -> None:
        self.stage.__exit__()

    def open(self, scenario: str) -> Step:
        step = SCENARIOS[scenario].open(self.stage)
        repeat(self.stage, step, WARM_UP)
        return step

    def count(self, scenario: str) -> dict[str, float]:
        step, found = self.open(scenario), []
        for _ in range(self.rounds):
            before = self.total()
            repeat(self.stage, step, self.repeats)
            found.append({name: (value - before[name]) / self.repeats for name, value in self.total().items()})
        return {name: max(0, min(one[name] for one in found)) for name in found[0]}


def count_all(kind: str, setting: str, directory: Path, binary: Path) -> dict[str, dict[str, float]]:
    """What a tool counts in each scenario of a setting."""
    with TOOLS[kind](directory, setting, binary) as tool:
        return {name: tool.count(name) for name, scenario in SCENARIOS.items() if scenario.setting == setting}


# Allocations

HEAD = struct.Struct("7Q")
SITE = struct.Struct("43Q")
SITES = 8192


@dataclass
class Site:
    count: int
    bytes: int
    frames: tuple[int, ...]


class Allocations(Tool):
    def wrapper(self) -> list:
        library, self.file = self.directory / "allocations.so", self.directory / "counts"
        compiler = shutil.which("clang") or shutil.which("cc")
        assert compiler, "no C compiler: clang comes with the Swift toolchain"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        with self.file.open("wb") as file:
            file.truncate(HEAD.size + SITE.size * SITES)
        return ["env", f"LD_PRELOAD={library}", f"ALLOCATION_COUNTS={self.file}"]

    def __enter__(self) -> "Allocations":
        super().__enter__()
        with self.file.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        attached, _, allocations, *_ = self._head()
        assert attached == 1 and allocations > 1000, "the proxy runs without the interposer"
        return self

    def _head(self) -> tuple[int, ...]:
        return HEAD.unpack_from(self.map)

    def total(self) -> dict[str, float]:
        _, _, allocations, resizes, frees, size, _ = self._head()
        return {"allocations": allocations + resizes, "bytes": size, "kept": allocations - frees}

    def sites(self, scenario: str) -> list[Site]:
        """The call stacks of all allocations of `repeats` steps."""
        step = self.open(scenario)
        self.map[HEAD.size:] = bytes(len(self.map) - HEAD.size)
        self.map[8:16] = struct.pack("Q", 1)
        repeat(self.stage, step, self.repeats)
        self.map[8:16] = struct.pack("Q", 0)
        assert self._head()[6] == 0, "more call stacks than there is room for"
        rows = (SITE.unpack_from(self.map, HEAD.size + SITE.size * number) for number in range(SITES))
        return [Site(count, size, frames[:depth]) for count, size, depth, *frames in rows if count]


# System calls

class SystemCalls(Tool):
    def wrapper(self) -> list:
        self.log = self.directory / "strace"
        return ["strace", "-f", "-q", "-s", "60", "-o", self.log, "--signal=none"]

    def lines(self) -> list[str]:
        """System calls that have ended, as strace writes them."""
        with self.log.open(errors="replace") as log:
            return [line.rstrip("\n") for line in log if line.endswith("\n") and "<unfinished" not in line and "+++" not in line]

    def total(self) -> dict[str, float]:
        return {"system calls": len(self.lines())}

    def one(self, scenario: str) -> list[str]:
        """Those of one step, in order."""
        step = self.open(scenario)
        before = len(self.lines())
        repeat(self.stage, step, 1)
        return self.lines()[before:]


# Instructions

class Instructions(Tool):
    repeats, rounds = 100, 1

    def __init__(self, directory: Path, setting: str, binary: Path):
        # Valgrind cannot read all of what a compiler says for debuggers; it does without.
        directory.mkdir(parents=True, exist_ok=True)
        bare = directory / "coatcheck"
        subprocess.run(["strip", "--strip-debug", "-o", bare, binary], check=True)
        super().__init__(directory, setting, bare)

    def wrapper(self) -> list:
        # Tables that are hashed differently in every process would make counts differ, too.
        return ["env", "SWIFT_DETERMINISTIC_HASHING=1", "valgrind", "--tool=callgrind", "--instr-atstart=no", "--vgdb-poll=100000", f"--callgrind-out-file={self.directory}/callgrind"]

    def _tell(self, *command: str) -> None:
        done = subprocess.run(["vgdb", f"--pid={self.stage.pid}", *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def open(self, scenario: str) -> Step:
        self._tell("instrumentation", "off")
        step = super().open(scenario)
        self._tell("instrumentation", "on")
        repeat(self.stage, step, WARM_UP // 3)
        return step

    def dump(self, scenario: str) -> Path:
        """The counts of `repeats` steps, in callgrind's own form."""
        step = self.open(scenario)
        self._tell("zero")
        repeat(self.stage, step, self.repeats)
        before = set(self.directory.glob("callgrind.*"))
        self._tell("dump")
        made, = set(self.directory.glob("callgrind.*")) - before
        return made

    def count(self, scenario: str) -> dict[str, float]:
        total = re.search(r"^(?:totals|summary): (\d+)", self.dump(scenario).read_text(), re.M)
        return {"instructions": int(total.group(1)) / self.repeats}


TOOLS = {"allocations": Allocations, "system calls": SystemCalls, "instructions": Instructions}
