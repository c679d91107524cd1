"""The ground the scripted doubles stand on: a raw HTTP/1.1 server on a background event loop."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit


class Background:
    """One event loop on one thread for all doubles of a test run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="doubles", daemon=True).start()

    def run(self, coroutine, timeout: float = 10):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)


def run(coroutine, seconds: float = 40):
    """Runs a coroutine in a thread of its own: the browser driver keeps an event loop in the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asyncio.wait_for(coroutine, seconds)).result()


@dataclass
class Request:
    """A request as it came over the wire. `lines` are the raw header lines, `fields` the parsed ones in order."""

    method: str
    target: str
    lines: list[bytes]
    fields: list[tuple[str, str]]
    body: bytes = b""
    connection: int = 0
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The form with repeated names, in order."""
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.pairs)


@dataclass
class Answer:
    """What a double says. `raw` replaces everything by exact bytes; `pieces` streams a chunked body as (delay, bytes)."""

    status: int = 200
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    raw: bytes | None = None
    pieces: list[tuple[float, bytes]] | None = None
    delay: float = 0
    close: bool = False


class Wire:
    """One accepted connection, for handlers that want to write by themselves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int):
        self.reader, self.writer, self.number = reader, writer, number

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def client_left(self) -> None:
        """Returns when the peer has closed."""
        while not self.reader.at_eof():
            try:
                if not await self.reader.read(4096):
                    return
            except ConnectionError:
                return

    async def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()


Handler = Callable[[Request, Wire], Awaitable["Answer | None"]]


class Server:
    """Subclasses give `handle`. A None answer means the handler has written all it wanted; the connection is closed then."""

    def __init__(self, background: Background):
        self.background = background
        self.connections = 0
        # Set before `start` to serve https.
        self.tls: ssl.SSLContext | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        raise NotImplementedError

    def start(self, port: int = 0, backlog: int = 4096) -> "Server":
        async def listen():
            return await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20, backlog=backlog, ssl=self.tls)
        self._server = self.background.run(listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        async def end():
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
        self.background.run(end())

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        wire = Wire(reader, writer, self.connections)
        self._open.add(writer)
        try:
            while True:
                request = await self._read(reader, wire)
                answer = await self.handle(request, wire)
                if answer is None:
                    break
                if answer.delay:
                    await asyncio.sleep(answer.delay)
                await self._answer(request, answer, wire)
                if answer.close or answer.raw is not None:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, wire: Wire) -> Request:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        fields = []
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip()))
        request = Request(method, target, lines, fields, connection=wire.number)
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            body = bytearray()
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            request.body = bytes(body)
        elif length := request.header("content-length"):
            request.body = await reader.readexactly(int(length))
        return request

    async def _answer(self, request: Request, answer: Answer, wire: Wire) -> None:
        if answer.raw is not None:
            await wire.write(answer.raw)
            return
        fields = list(answer.fields)
        names = {name.lower() for name, _ in fields}
        if answer.pieces is not None:
            fields.append(("Transfer-Encoding", "chunked"))
        elif "content-length" not in names and answer.status not in (204, 304):
            fields.append(("Content-Length", str(len(answer.body))))
        if answer.close:
            fields.append(("Connection", "close"))
        head = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
        if answer.pieces is None:
            await wire.write(head.encode("latin-1") + (b"" if request.method == "HEAD" else answer.body))
            return
        await wire.write(head.encode("latin-1"))
        for delay, piece in answer.pieces:
            if delay:
                await asyncio.sleep(delay)
            await wire.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await wire.write(b"0\r\n\r\n")
