"""Nothing grows with the number of requests: `scripts/soak`, small enough for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(200)
def test_memory_and_descriptors_do_not_grow_with_requests(binary, tmp_path):
    done = subprocess.run([sys.executable, ROOT / "scripts" / "soak.py", "--binary", binary, "--requests", "50000", "--looks", "1", "--warm-up", "0.4",
                           "--json", tmp_path / "soak.json"], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    states = json.loads((tmp_path / "soak.json").read_text())
    assert states[-1]["requests"] >= 50_000
