"""`scripts/scale` measures what it says, here with few sessions: nothing is said of how fast."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"filled", "open", "lookup", "refresh", "insert", "touch", "page", "sweep-nothing", "sweep"}


def scale(binary: Path) -> Path:
    """The program, of the same build if it is there: building the tests makes it."""
    places = [binary.parent, ROOT / ".build" / "debug", ROOT / ".build" / "release"]
    return next(place / "coatcheck-scale" for place in places if (place / "coatcheck-scale").exists())


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_store_is_filled_measured_and_removed(binary, tmp_path, store):
    filling = tmp_path / "filling"
    filling.mkdir()
    done = subprocess.run([sys.executable, ROOT / "scripts" / "scale.py", "--binary", scale(binary), "--store", store, "--sessions", "400", "--operations", "200",
                           "--filling", filling, "--directory", tmp_path / "files"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("    ")]
    assert {words[0] for words in lines} >= KINDS, done.stdout
    removed = {words[0]: words[1] for words in lines if words[0].startswith("sweep")}
    assert removed == {"sweep-nothing": "removed=0.0", "sweep": "removed=20.0"}
    size = int(re.search(r"bytes_per_session=(\d+)", done.stdout)[1])
    assert 3500 < size < 20_000, "tokens, and what is kept beside them"
    assert not list((tmp_path / "files").iterdir()) and not list(filling.iterdir())
