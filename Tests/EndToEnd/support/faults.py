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

from . import http
from .http import ConnectionEnded
from .server import Background
from .upstream import event
from .visitor import Visitor, tool_call


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
            while size := int(await self.reader.readline(), 16):
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


class BrokenUpstream:
    """A server whose connections behave as `behave` says, or as `behaviours` say one after the other first. `ran` counts what was carried out."""

    def __init__(self, background: Background):
        self.background = background
        self.behave: Behaviour = well
        self.behaviours: list[Behaviour] = []
        self.ran: Counter = Counter()
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.left = 0

    def start(self, port: int = 0, backlog: int = 100) -> "BrokenUpstream":
        async def listen():
            return await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20, backlog=backlog)
        self._server = self.background.run(listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """No longer listens; connections are reset."""
        async def end():
            self._server.close()
            for writer in list(self.open):
                writer.transport.abort()
        self.background.run(end())

    def drop(self, politely: bool = True) -> None:
        """Closes all connections, as a server that restarts does."""
        async def end():
            for writer in list(self.open):
                writer.close() if politely else writer.transport.abort()
        self.background.run(end())

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        behave = self.behaviours.pop(0) if self.behaviours else self.behave
        try:
            await behave(Wound(self, reader, writer, self.connections))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            self.left += 1
            writer.close()


EVENT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event_chunk(data: dict | str) -> bytes:
    piece = event(data)
    return b"%x\r\n%s\r\n" % (len(piece), piece)


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
