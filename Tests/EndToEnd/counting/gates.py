"""What one request may take: the committed counts, and how far from them is still the same."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).parents[1] / "counts.json"

# Each with the tool that counts it. What is kept was allocated and not given back.
GATED = {"allocations": "allocations", "kept": "allocations", "system calls": "system calls", "instructions": "instructions"}

# Above a count by more than this is a failure. Counts repeat to far less, but a compiler's update must not fail for a handful of instructions.
MARGINS = {"allocations": 0.05, "kept": 0.05, "system calls": 0.1}
INSTRUCTIONS_MARGIN = 0.03
# Below a count by more than this, it should be lowered, so that the gain is not lost again unseen.
STEPS = {"allocations": 0.5, "kept": 0.5, "system calls": 0.5}
INSTRUCTIONS_STEP = 0.15

HOW = "`scripts/profile` shows where it is; when it is meant, `scripts/profile --thresholds` writes Tests/EndToEnd/counts.json anew"


def load() -> dict[str, dict[str, float]]:
    return json.loads(FILE.read_text())


def save(counted: dict[str, dict[str, float]]) -> None:
    rounded = {scenario: {what: round(figures[what], None if what == "instructions" else 2) for what in GATED}
               for scenario, figures in counted.items()}
    lines = ",\n".join(f"  {json.dumps(scenario)}: {json.dumps(figures)}" for scenario, figures in rounded.items())
    FILE.write_text(f"{{\n{lines}\n}}\n")


def too_many(scenario: str, what: str, measured: float, committed: float) -> str | None:
    allowed = committed * (1 + INSTRUCTIONS_MARGIN) if what == "instructions" else committed + MARGINS[what]
    if measured <= allowed:
        return None
    return f"{scenario}: {measured:,g} {what}, allowed are {allowed:,g} (committed: {committed:,g}); {HOW}"


def can_be_lowered(scenario: str, what: str, measured: float, committed: float) -> str | None:
    limit = committed * (1 - INSTRUCTIONS_STEP) if what == "instructions" else committed - STEPS[what]
    if measured >= limit:
        return None
    return f"{scenario}: {measured:,g} {what} instead of {committed:,g}: lower what is committed with `scripts/profile --thresholds`"
