"""What every scenario needs: the options, the provider, peers that are started and stopped, rounds that take turns."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Callable, Iterator

from support.server import Background

from peers import ALL, Peer, Setting
from results import Result, median, ratio_of_rounds
from signin import BenchProvider
from upstreams import Certificate, Upstream


@dataclass
class Options:
    binary: Path
    peers: list[str]
    rounds: int
    seconds: float
    connections: int
    store: str
    access_log: bool
    sessions: int
    quick: bool


@dataclass
class Bench:
    options: Options
    directory: Path
    _background: Background = field(default_factory=Background)

    @cached_property
    def provider(self) -> BenchProvider:
        return BenchProvider(self._background).start()

    @cached_property
    def certificate(self) -> Certificate:
        return Certificate(self.directory)

    @property
    def names(self) -> list[str]:
        return self.options.peers

    def say(self, text: str) -> None:
        print(f"    {text}", file=sys.stderr, flush=True)

    def file(self, name: str, data: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    @contextmanager
    def upstream(self, upstream: Upstream) -> Iterator[Upstream]:
        try:
            yield upstream
        finally:
            upstream.stop()

    @contextmanager
    def peer(self, name: str, upstream: Upstream, provider: BenchProvider | None = None, **setting) -> Iterator[Peer]:
        one = ALL[name](Setting(self.directory, upstream.port, provider or self.provider, self.options.binary,
                                **{"store": self.options.store, "access_log": self.options.access_log} | setting))
        try:
            yield one.start()
        finally:
            one.stop()

    @contextmanager
    def peers(self, upstream: Upstream, names: list[str] | None = None, **setting) -> Iterator[list[Peer]]:
        """All of them at once: those that wait cost nothing, and rounds can take turns."""
        started: list[Peer] = []
        try:
            for name in names or self.names:
                one = ALL[name](Setting(self.directory, upstream.port, self.provider, self.options.binary,
                                        **{"store": self.options.store, "access_log": self.options.access_log} | setting))
                started.append(one.start())
            yield started
        finally:
            for one in reversed(started):
                one.stop()

    def take_turns(self, contenders: list, measure: Callable[[object], dict], show: Callable[[dict], str], rounds: int | None = None) -> dict[str, list[dict]]:
        """Rounds in which each is measured once, forwards and backwards in turn."""
        found: dict[str, list[dict]] = {one.name: [] for one in contenders}
        total = rounds or self.options.rounds
        for number in range(total):
            for one in contenders if number % 2 == 0 else reversed(contenders):
                found[one.name].append(measure(one))
            self.say(f"round {number + 1} of {total}: " + ", ".join(f"{one.name} {show(found[one.name][-1])}" for one in contenders))
        return found


def add_medians(result: Result, contenders: list, rounds: dict[str, list[dict]], **more: dict) -> None:
    """A row for each contender with the medians of its rounds; `more` are further figures by peer."""
    for one in contenders:
        mine = rounds[one.name]
        figures = {key: median(mine, key) for key in mine[0] if isinstance(mine[0][key], (int, float))}
        for column in result.columns:
            if column.ratio and "nginx" in rounds and column.key in mine[0]:
                figures[f"{column.key}_ratio"] = ratio_of_rounds(mine, rounds["nginx"], column.key)
        result.add(one, **figures, **{key: values.get(one.name) for key, values in more.items()})
