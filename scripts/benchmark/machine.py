"""What the machine tells: processor time and memory of processes, limits, and what it is."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from pathlib import Path

CORES = len(os.sched_getaffinity(0))
# A proxy needs two descriptors for each stream, and some of its own.
SPARE_DESCRIPTORS = 500


def raise_descriptor_limit() -> int:
    """Raises this process' limit, and that of all it starts, as far as it may. Returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (200_000, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            break
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def descriptor_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def streams_per_process() -> int:
    """How many streams a proxy of one process can hold here."""
    return (descriptor_limit() - SPARE_DESCRIPTORS) // 2


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:
            continue  # The thread has ended since.
        for child in children:
            found += tree(int(child))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Processor time of processes with all their threads, those that ended too."""
    # The kernel's clock of another process: CPUCLOCK_SCHED, see clock_getcpuclockid(3). Finer than the ticks of /proc.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def _kilobytes(pid: int, file: str, key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.M)
    return int(match.group(1)) if match else 0


def memory(pids: list[int]) -> int:
    """Bytes of memory that are these processes' own, shared pages counted in part (PSS)."""
    return 1024 * sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in pids)


def peak_memory(pids: list[int]) -> int:
    """The most resident memory each has had, in bytes, added up. Shared pages count in each process."""
    return 1024 * sum(_kilobytes(pid, "status", "VmHWM") for pid in pids)


def description() -> str:
    model = re.search(r"^model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(), re.M)
    virtual = " (virtual machine)" if re.search(r"^flags.*\bhypervisor\b", Path("/proc/cpuinfo").read_text(), re.M) else ""
    total = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) / 1024 / 1024
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return (f"{CORES} cores of {model.group(1) if model else platform.machine()}{virtual}, {total:.0f} GB, "
            f"Linux {platform.release().split('-')[0]}, {release.group(1) if release else ''}").rstrip(", ")
