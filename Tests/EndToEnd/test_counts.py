"""What one request takes, counted: allocations, system calls and instructions of the release build, against committed counts (counts.json).

Counts do not depend on how fast or busy a machine is. They come from one data loop, one connection, one request at a time, after a warm-up.
"""

from __future__ import annotations

import os
import platform
import shutil
import warnings
from pathlib import Path

import pytest

from counting import gates
from counting.stage import SCENARIOS
from counting.tools import count_all
from proxy import ROOT

pytestmark = pytest.mark.timeout(180)

NEEDED = {"allocations": (), "system calls": ("strace",), "instructions": ("valgrind", "vgdb", "strip")}


@pytest.fixture(scope="module")
def release_binary() -> Path:
    """The debug build says nothing about counts."""
    path = Path(os.environ.get("COATCHECK_RELEASE", ROOT / ".build" / "release" / "coatcheck"))
    if not path.exists() and "COATCHECK_RELEASE" not in os.environ:
        pytest.skip("there is no release build: scripts/test makes one")
    return path.resolve(strict=True)


@pytest.fixture(scope="module")
def counted(release_binary, tmp_path_factory):
    """Counts all scenarios of a setting when the first of them is asked for."""
    known: dict[tuple[str, str], dict] = {}

    def count(kind: str, scenario: str) -> dict[str, float]:
        key = kind, SCENARIOS[scenario].setting
        if key not in known:
            known[key] = count_all(*key, tmp_path_factory.mktemp("counting"), release_binary)
        return known[key][scenario]
    return count


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("kind", NEEDED)
def test_a_request_takes_no_more_than_is_committed(kind, scenario, counted):
    missing = [tool for tool in NEEDED[kind] if not shutil.which(tool)]
    assert not missing, f"{missing} not installed: scripts/setup does it"
    if kind == "instructions" and (platform.machine() != "x86_64" or " avx2 " not in Path("/proc/cpuinfo").read_text()):
        pytest.skip("instructions are committed for x86-64 with AVX2")
    committed, measured = gates.load()[scenario], counted(kind, scenario)
    gated = [what for what, tool in gates.GATED.items() if tool == kind]
    refused = [text for what in gated if (text := gates.too_many(scenario, what, measured[what], committed[what]))]
    assert not refused, "\n".join(refused)
    for what in gated:
        if note := gates.can_be_lowered(scenario, what, measured[what], committed[what]):
            warnings.warn(note)


def test_every_scenario_has_committed_counts_and_no_other():
    committed = gates.load()
    assert list(committed) == list(SCENARIOS)
    assert all(list(figures) == list(gates.GATED) for figures in committed.values())


def test_one_allocation_or_system_call_more_is_refused_and_the_message_says_what_to_do():
    assert gates.too_many("a", "allocations", 0.04, 0) is None
    for what, measured in [("allocations", 1), ("kept", 0.5), ("system calls", 8)]:
        text = gates.too_many("a", what, measured, measured - 0.5)
        assert f"{measured:g} {what}" in text and "--thresholds" in text


def test_instructions_may_differ_by_a_little_and_a_gain_is_told():
    assert gates.too_many("a", "instructions", 60_500, 60_000) is None
    assert "allowed are 61,800" in gates.too_many("a", "instructions", 62_000, 60_000)
    assert gates.can_be_lowered("a", "instructions", 59_000, 60_000) is None
    assert "lower" in gates.can_be_lowered("a", "instructions", 50_000, 60_000)
    assert "lower" in gates.can_be_lowered("a", "system calls", 6, 7)
