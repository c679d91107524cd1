"""What all peers have in common."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from processes import Service, free_port
from support import http

import machine
import messages
from signin import BenchProvider, anyone, sign_in
from upstreams import Certificate


@dataclass
class Setting:
    """What a peer is started with."""

    directory: Path
    upstream: int
    provider: BenchProvider
    binary: Path
    certificate: Certificate | None = None
    # How many streams one process must bear; 0 for short requests.
    streams: int = 0
    workers: int = machine.CORES
    store: str = "sqlite"
    access_log: bool = False
    # Whether a session outlives the process.
    lasting: bool = False
    # How many sessions there must be room for.
    sessions: int = 100


class Peer:
    name = ""
    # What stands in tables.
    title = ""
    # Whether it knows who the user is, and fetches tokens.
    signs_in = False
    # How many streams it can be asked to hold, where each needs a thread.
    most_streams: int | None = None
    start_page = "/start"

    _count = 0
    _lock = threading.Lock()

    def __init__(self, setting: Setting):
        self.setting = setting
        with Peer._lock:
            Peer._count += 1
            self.directory = setting.directory / f"{self.name}-{Peer._count}"
        self.directory.mkdir(mode=0o755)
        self.port = free_port()
        self.cookie = ""
        self.service: Service | None = None

    # What a peer gives

    def run(self) -> Service:
        """Starts its process and returns when it listens."""
        raise NotImplementedError

    # What it has then

    def start(self) -> "Peer":
        self.service = self.run()
        try:
            if self.signs_in:
                self.cookie = sign_in(self.url, self.start_page, self.setting.provider)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        if self.service:
            self.service.stop()

    @property
    def scheme(self) -> str:
        return "https" if self.setting.certificate else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        return machine.tree(self.service.pid)

    def cpu(self) -> float:
        return machine.cpu_seconds(self.pids)

    def memory(self) -> int:
        return machine.memory(self.pids)

    def peak_memory(self) -> int:
        return machine.peak_memory(self.pids)

    def post(self, body: str) -> http.Response:
        headers = messages.HEADERS | ({"Cookie": self.cookie} if self.cookie else {})
        return http.request(self.url, "POST", "/mcp", headers, body.encode(), **({"tls": anyone()} if self.setting.certificate else {}))

    def check(self, body: str, answer: str | None = None) -> None:
        """Fails unless a call is answered as the upstream answers it."""
        seen = self.post(body)
        if seen.status != 200 or (answer is not None and seen.text != answer):
            raise RuntimeError(f"{self.name} does not work: {seen}\n{self.service.tail()}")

    def file(self, name: str, data: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path


@dataclass
class Direct:
    """The upstream without a proxy: what the others add to."""

    port: int
    name: str = "direct"
    title: str = "no proxy"
    cookie: str = ""
    signs_in: bool = False
    rounds: list[dict] = field(default_factory=list)
