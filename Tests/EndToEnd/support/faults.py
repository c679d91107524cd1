"""Counterparts that break at a chosen moment, load that notices every lost answer, and what a process holds open."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Awaitable, Callable

from processes import wait_until
from proxy import Proxy

from . import http
from .http import ConnectionEnded
from .provider import TOKEN_EXCHANGE, FakeProvider
from .server import Answer, Background, Request, Server, Wire
from .upstream import event
from .visitor import Visitor, error_of, tool_call


class Wound:
    """One connection of a `BrokenUpstream`: its behaviour reads and writes as it likes."""

    def __init__(self, owner: "BrokenUpstream", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int):
        self.owner, self.reader, self.writer, self.number = owner, reader, writer, number

    async def head(self) -> bytes:
        """The head of the next request."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> dict:
        """The whole next request: it counts as carried out. Returns its JSON message."""
        head = await self.head()
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = bytearray()
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int((await self.reader.readuntil(b"\r\n")), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        else:
            body += await self.reader.readexactly(int(fields.get(b"content-length", 0)))
        message = json.loads(body) if body else {}
        self.owner.ran[(message.get("params") or {}).get("name") or head.split(b" ", 1)[0].decode()] += 1
        return message

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, message: dict, more: bytes = b"") -> None:
        await self.send(answer_to(message, more))

    def reset(self) -> None:
        """RST, whatever is on its way; nothing where the proxy has reset the connection itself."""
        if not self.writer.is_closing():
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.writer.transport.abort()

    def end(self) -> None:
        """FIN: nothing more is said, but still listened to."""
        self.writer.write_eof()

    async def peer_left(self) -> None:
        """Returns when the proxy has closed or reset the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


def answer_to(message: dict, more: bytes = b"") -> bytes:
    """A good answer: `more` are further header lines."""
    body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": {"content": [{"type": "text", "text": "done"}], "isError": False}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


Behaviour = Callable[[Wound], Awaitable[None]]


async def well(wound: Wound) -> None:
    """Answers every request."""
    while True:
        await wound.answer(await wound.request())


class BrokenUpstream(Server):
    """A server whose connections behave as `behave` says, or as `behaviours` say one after the other first. `ran` counts what was carried out."""

    def __init__(self, background: Background):
        super().__init__(background)
        self.left = 0
        self.ran: Counter = Counter()
        self.mend()

    def mend(self) -> None:
        """Answers every request from here on, and has carried out none."""
        self.behave: Behaviour = well
        self.behaviours: list[Behaviour] = []
        self.ran.clear()

    def start(self, port: int = 0, backlog: int = 100) -> "BrokenUpstream":
        super().start(port, backlog)
        return self

    def drop(self, politely: bool = True) -> None:
        """Closes all connections, as a server that restarts does."""
        async def end():
            for writer in list(self._open):
                writer.close() if politely else writer.transport.abort()
        self.background.run(end())

    @property
    def open(self) -> set[asyncio.StreamWriter]:
        return self._open

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        behave = self.behaviours.pop(0) if self.behaviours else self.behave
        try:
            await behave(Wound(self, reader, writer, self.connections))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            self.left += 1
            writer.close()


EVENT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event_chunk(data: dict | str) -> bytes:
    piece = event(data)
    return b"%x\r\n%s\r\n" % (len(piece), piece)


class Launched(Proxy):
    """A proxy that a shell script starts. `launcher` is the script; it ends by executing `"$BINARY" "$@"`."""

    launcher = 'exec "$BINARY" "$@"'

    def start(self) -> "Launched":
        binary, script = self.binary, self.directory / "launch"
        script.write_text(f'#!/bin/sh\nBINARY="{binary}"\n{self.launcher}\n')
        script.chmod(0o755)
        self.binary = script
        try:
            return super().start()
        finally:
            self.binary = binary


# What a process holds

def descriptors(proxy) -> int:
    return len(os.listdir(f"/proc/{proxy.service.pid}/fd"))


def numbers(proxy) -> dict[str, float]:
    """All numbers of the metrics page, with their labels."""
    found = {}
    for line in http.request(proxy.admin_url, "GET", "/metrics").text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


class Baseline:
    """Descriptors and connections of a proxy at rest, to which it has to come back."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.descriptors = descriptors(proxy)

    def returns(self, seconds: float = 8) -> None:
        """The numbers may be lower than they were: kept-alive connections end by themselves."""
        def state() -> tuple[int, float]:
            return descriptors(self.proxy), numbers(self.proxy)["coatcheck_client_connections"]

        def rests() -> bool:
            held, connections = state()
            return held <= self.descriptors and connections == 0

        try:
            wait_until(rests, "the proxy to let go", seconds)
        except TimeoutError:
            raise AssertionError(f"descriptors and connections {state()} do not return to {self.descriptors, 0}") from None


def cpu_seconds(proxy) -> float:
    """Processor time of the proxy so far."""
    words = Path(f"/proc/{proxy.service.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# Load

class Load:
    """Visitors that call without a pause, each on a connection of its own that is kept while the proxy keeps it.

    Every answer is counted by its status. A call that was sent and got none is in `lost`; one that could not even be sent (nobody
    listens) is in `refused` and ends the caller.
    """

    def __init__(self, visitors: list[Visitor], tool: str = "whoami", keep: bool = True):
        self.answers: Counter = Counter()
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.refused = 0
        self.closes = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(visitor, tool, keep), daemon=True) for visitor in visitors]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopping.set()
        for thread in self.threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self.threads), "a caller hangs"

    def flows(self, count: int) -> "Load":
        """Waits until so many more calls were answered."""
        goal = sum(self.answers.values()) + count
        wait_until(lambda: sum(self.answers.values()) >= goal or not self.running, f"{count} calls")
        return self

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def _run(self, visitor: Visitor, tool: str, keep: bool) -> None:
        headers, body = tool_call(tool)
        connection = None
        while not self._stopping.is_set():
            if connection is None:
                try:
                    connection = visitor.connect()
                except OSError:
                    with self._lock:
                        self.refused += 1
                    return
            try:
                answer = connection.request("POST", "/mcp", visitor.headers("script", headers), body)
            except (OSError, ConnectionEnded) as error:
                with self._lock:
                    self.lost.append(repr(error))
                connection.close()
                connection = None
                continue
            with self._lock:
                self.answers[answer.status] += 1
                if answer.status == 200 and f'"{visitor.user}"' not in answer.text:
                    self.wrong.append(answer.text[:200])
            if (answer.header("connection") or "").lower() == "close" or not keep:
                self.closes += keep
                connection.close()
                connection = None
        if connection:
            connection.close()


# The provider

class MoodyProvider(FakeProvider):
    """Does what `moods` says before the usual: a mood for a path, or for a grant type of the token endpoint.

    A mood is an `Answer`, or a coroutine function of (request, wire, usual) where `usual` gives the usual answer.
    """

    def __init__(self, background: Background):
        super().__init__(background)
        self.moods: dict[str, object] = {}

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        mood = self.moods.get(request.path) or (self.moods.get(request.form.get("grant_type", "")) if request.path == "/token" else None)
        if mood is None:
            return await super().handle(request, wire)
        self.count["moody"] += 1
        if isinstance(mood, Answer):
            return mood
        return await mood(request, wire, super().handle)

    def restart(self) -> None:
        """Listens again where it listened before."""
        self.start(self.port)


HTML = [("Content-Type", "text/html; charset=utf-8")]
PAGE = b"<!doctype html><title>Gateway</title><p>Something went wrong.</p>"


async def silence(request: Request, wire: Wire, usual) -> None:
    await wire.client_left()


async def hang_up(request: Request, wire: Wire, usual) -> None:
    wire.abort()


async def half(request: Request, wire: Wire, usual) -> None:
    """Half of an answer, then a reset."""
    await wire.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"access_token":"CANARY')
    await asyncio.sleep(0.02)
    wire.abort()


async def endless(request: Request, wire: Wire, usual) -> None:
    """A body without an end."""
    await wire.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n')
    try:
        for _ in range(1000):
            await wire.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
    except ConnectionError:
        pass


async def mislabelled(request: Request, wire: Wire, usual) -> Answer:
    """The right answer under the wrong content type."""
    answer = await usual(request, wire)
    answer.fields = HTML
    return answer


# What a provider that is down or wrong may say, and how the proxy names it.
UNAVAILABLE: dict[str, object] = {
    "reset": hang_up,
    "half an answer": half,
    "500": Answer(500, HTML, PAGE),
    "502": Answer(502, HTML, PAGE),
    "503 with Retry-After": Answer(503, [("Retry-After", "1")]),
    "429": Answer(429, [("Retry-After", "1")]),
}
WRONG: dict[str, object] = {
    "a page": Answer(200, HTML, PAGE),
    "a page with 404": Answer(404, HTML, PAGE),
    "a redirect": Answer(302, [("Location", "/elsewhere")]),
    "broken JSON": Answer(200, [("Content-Type", "application/json")], b'{"access_token": "CANARY'),
    "a list": Answer(200, [("Content-Type", "application/json")], b"[]"),
    "no content": Answer(204),
    "a huge body": Answer(200, [("Content-Type", "application/json")], b" " * (2 << 20) + b"{}"),
    "a body without an end": endless,
    "no HTTP": Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
}
GRANTS = {"code": "authorization_code", "refresh": "refresh_token", "exchange": TOKEN_EXCHANGE}

PATIENCE = {"tokens": {"refresh_before_expiry": "1s", "refresh_timeout": "1s"}, "timeouts": {"connect": "1s"}, "workers": 1}
"""The configuration of a proxy that does not wait long for its provider."""


def expired(scene) -> Visitor:
    """Somebody new whose access token is of no use any more at once."""
    scene.provider.access_token_seconds = 0
    visitor = scene.visitor()
    scene.provider.access_token_seconds = 3600
    return visitor


def refused(answer, kind: str, name: str = "") -> None:
    """A call that got no token, told in the form of JSON-RPC."""
    status, reason = {"down": (503, "provider_unavailable"), "wrong": (502, "provider_misconfigured")}[kind]
    assert error_of(answer)["data"]["reason"] == reason, (name, answer)
    assert answer.status == status
    assert (int(answer.header("retry-after")) >= 1) if kind == "down" else answer.header("retry-after") is None
    assert "CANARY" not in answer.text and "Something went wrong" not in answer.text


def heals(visitors: list[Visitor], path: str = "/mcp") -> None:
    """Everybody's next calls go through before long."""
    for visitor in visitors:
        wait_until(lambda: visitor.call(path=path).status == 200, "the session to work again", 15, every=0.2)


def begun(scene) -> tuple[Visitor, str]:
    """Somebody new on the way back from the provider, and where to."""
    visitor = Visitor(scene.proxies[0], scene.provider, f"user{next(scene.numbers)}")
    return visitor, scene.provider.approve(visitor.start_sign_in(), visitor.user)


def signs_in(scene) -> bool:
    """Whether a sign-in works now."""
    visitor, callback = begun(scene)
    visitor.come_back(callback)
    return visitor.signed_in
