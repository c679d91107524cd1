"""What a scenario found out, and how it is kept between runs."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Column:
    key: str
    title: str
    digits: int = 0
    # Whether a column with the ratio to nginx follows.
    ratio: bool = False


@dataclass
class Result:
    scenario: str
    title: str
    # How it was measured, in a sentence.
    setup: str
    columns: list[Column]
    # By peer: its title, and the figures by key. None stands for what a peer cannot do.
    rows: dict[str, dict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    # The figure that goes into the chart; less is better unless said otherwise.
    chart: str = ""
    more_is_better: bool = False
    machine: str = ""
    when: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    def add(self, peer, **figures) -> None:
        self.rows[peer.name] = {"title": peer.title, **figures}

    def ratio(self, name: str, key: str) -> float | None:
        row, bare = self.rows[name], self.rows.get("nginx")
        if row.get(key) is None or bare is None or not bare.get(key):
            return None
        return row.get(f"{key}_ratio") or row[key] / bare[key]

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{self.scenario}.json").write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "Result":
        value = json.loads(path.read_text())
        return cls(**value | {"columns": [Column(**column) for column in value["columns"]]})


def median(rounds: list[dict], key: str) -> float:
    return statistics.median(one[key] for one in rounds)


def ratio_of_rounds(ours: list[dict], bare: list[dict], key: str) -> float | None:
    """Rounds next to each other saw the same machine: their ratios vary less than the figures themselves."""
    pairs = [(a[key], b[key]) for a, b in zip(ours, bare) if b[key]]
    return statistics.median(a / b for a, b in pairs) if pairs else None
