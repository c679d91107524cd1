"""Replicas of the proxy at one Redis, behind one public URL, without stickiness: each request may go to any of them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from processes import free_port, wait_until
from proxy import Proxy, merged

from . import http
from .rotation import RotatingProvider
from .scene import Scene
from .server import Background, run
from .visitor import Visitor, tool_call


class Fleet(Scene):
    """Replicas that share a Redis, a sealing key and a public URL."""

    def __init__(self, binary: Path, background: Background, directory: Path, store: dict, provider: type[RotatingProvider] = RotatingProvider):
        """`store` is the section `session.store`."""
        super().__init__(binary, background, directory, provider)
        self.store = store
        self.url = f"http://127.0.0.1:{free_port()}"
        self.key = os.urandom(32)
        self.key_file = directory / "session.key"
        self.key_file.write_text(base64.urlsafe_b64encode(self.key).decode())
        self.key_file.chmod(0o600)
        self.fallen: list[Proxy] = []
        self._turns = itertools.count()

    def __exit__(self, *reason) -> None:
        for one in self.proxies:
            one.service.signal(signal.SIGCONT)
        with ThreadPoolExecutor(len(self.proxies) or 1) as pool:
            list(pool.map(lambda one: one.stop(), self.proxies))
        super().__exit__(*reason)
        assert not any("CANARY" in one.output() for one in self.fallen), "a secret in the log"

    # Replicas

    def replica(self, changes: dict | None = None, kind: type[Proxy] = Proxy) -> Proxy:
        return self.proxy(merged({
            "public_url": self.url, "workers": 1,
            "session": {"encryption_key_files": [str(self.key_file)], "store": self.store},
        }, changes or {}), kind)

    def replicas(self, count: int, changes: dict | None = None) -> list[Proxy]:
        return [self.replica(changes) for _ in range(count)]

    def kill(self, one: Proxy) -> None:
        """`kill -9`; the balancer sends nothing to it any more."""
        one.kill()
        self.proxies.remove(one)
        self.fallen.append(one)

    def restart(self, one: Proxy, crowd: "Crowd") -> None:
        """As an orchestrator does it: nothing new is sent there, it is told to stop, and started again."""
        self.proxies.remove(one)
        try:
            # Whoever chose it before has been served.
            crowd.flows(3 * len(crowd.visitors) * len(self.proxies))
            assert one.stop() == 0
            one.ended = False
            one.start()
        finally:
            self.proxies.append(one)

    def next(self) -> Proxy:
        """Whose turn it is."""
        return self.proxies[next(self._turns) % len(self.proxies)]

    def winner(self, seconds: float = 10) -> Proxy:
        """The replica whose refresh is on its way to the provider."""
        def found() -> Proxy | None:
            return next((one for one in self.proxies if self.provider.callers & ports_of(one)), None)
        return wait_until(found, "a replica to refresh", seconds)

    # People

    def anybody(self, user: str | None = None) -> "Wanderer":
        """Somebody who is not signed in."""
        return Wanderer(self, user or f"user{next(self.numbers)}")

    def visitor(self, proxy: Proxy | None = None, user: str | None = None) -> "Wanderer":
        """Somebody new, signed in."""
        return self.anybody(user).at(proxy).sign_in().at(None)

    def visitors(self, count: int) -> list["Wanderer"]:
        return [self.visitor() for _ in range(count)]

    def expired(self) -> "Wanderer":
        """Somebody new whose access token is of no use any more at once."""
        seconds, self.provider.access_token_seconds = self.provider.access_token_seconds, 0
        visitor = self.visitor()
        self.provider.access_token_seconds = seconds
        return visitor


def ports_of(one: Proxy) -> set[int]:
    """The local ports of a process's TCP connections."""
    inodes = set()
    directory = f"/proc/{one.service.pid}/fd"
    for name in os.listdir(directory):
        try:
            target = os.readlink(f"{directory}/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for line in Path(f"/proc/{one.service.pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[9] in inodes:
            found.add(int(words[1].rpartition(":")[2], 16))
    return found


class Wanderer(Visitor):
    """A visitor each of whose requests goes to the next replica, or to the one it was put `at`."""

    def __init__(self, fleet: Fleet, user: str, place: Proxy | None = None):
        super().__init__(fleet, fleet.provider, user)
        self.fleet, self.place = fleet, place

    def at(self, place: Proxy | None) -> "Wanderer":
        """The same browser, with its cookies; all its requests go to `place` (None: in turn)."""
        other = Wanderer(self.fleet, self.user, place)
        other.cookies, other.set_cookies = self.cookies, self.set_cookies
        return other

    def connect(self, timeout: float = 10) -> http.Connection:
        connection = http.Connection((self.place or self.fleet.next()).url, timeout)
        connection.authority = urlsplit(self.url).netloc
        return connection


# Load

class Line:
    """A kept connection to one replica; made anew when the replica has closed it."""

    def __init__(self, one: Proxy):
        self.one = one
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, data: bytes) -> tuple[int, bytes]:
        if self.streams and self.streams[0].at_eof():
            self.close()
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.one.port)
        reader, writer = self.streams
        try:
            writer.write(data)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
            self.streams = None


class Crowd:
    """Users who call all replicas at the same moment, wave after wave. What did not come back as it should is in `wrong` and `lost`."""

    def __init__(self, fleet: Fleet, visitors: list[Visitor], each: int = 1, pause: float = 0):
        """`each`: calls of a wave at each replica; `pause`: seconds between one user's waves."""
        self.fleet, self.visitors, self.each, self.pause = fleet, visitors, each, pause
        self.answers: Counter = Counter()
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.latest = 0.0

    @property
    def sum(self) -> int:
        return sum(self.answers.values())

    def run(self, total: int, seconds: float = 50) -> "Crowd":
        """At least `total` calls."""
        run(self._all(total, self.pause), seconds)
        return self

    def __enter__(self) -> "Crowd":
        """Goes on beside the test until the end of the block."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all(float("inf"), self.pause)))
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._left = 0
        self._thread.join(40)
        assert not self._thread.is_alive(), "a caller hangs"

    def flows(self, count: int, seconds: float = 20) -> "Crowd":
        """Waits until so many more calls were answered."""
        goal = self.sum + count
        wait_until(lambda: self.sum >= goal, f"{count} calls", seconds)
        return self

    async def _all(self, total: int, pause: float) -> None:
        self._left = total
        async with asyncio.TaskGroup() as group:
            for number, visitor in enumerate(self.visitors):
                group.create_task(self._user(visitor, pause, pause * number / len(self.visitors)))

    async def _user(self, visitor: Visitor, pause: float, delay: float) -> None:
        headers, body = tool_call("whoami")
        fields = {"Host": urlsplit(visitor.url).netloc} | visitor.headers("script", headers) | {"Content-Length": str(len(body))}
        data = ("POST /mcp HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode() + body
        lines: dict[Proxy, list[Line]] = {}
        await asyncio.sleep(delay)
        while self._left > 0:
            proxies = list(self.fleet.proxies)
            self._left -= len(proxies) * self.each
            wave = [line for one in proxies for line in lines.setdefault(one, [Line(one) for _ in range(self.each)])]
            await asyncio.gather(*[self._call(visitor, line, data) for line in wave])
            await asyncio.sleep(pause)
        for line in itertools.chain.from_iterable(lines.values()):
            line.close()

    async def _call(self, visitor: Visitor, line: Line, data: bytes) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            status, body = await asyncio.wait_for(line.call(data), 30)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.lost.append(repr(error))
            return
        self.latest = max(self.latest, asyncio.get_running_loop().time() - begun)
        self.answers[status] += 1
        if status == 200 and f'"{visitor.user}"'.encode() not in body:
            self.wrong.append(f"{visitor.user}: {body[:300]!r}")
        elif status != 200 and len(self.wrong) < 20:
            self.wrong.append(f"{visitor.user}: {status} {body[:300]!r}")

    def all_well(self) -> None:
        """Every call was answered with its own user's name."""
        assert not self.wrong and not self.lost, (self.answers, self.wrong[:5], self.lost[:5])
        assert set(self.answers) == {200}
