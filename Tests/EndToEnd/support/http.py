"""A small HTTP/1.1 client that hides nothing: header fields in order, chunk arrival times, raw bytes in and out."""

from __future__ import annotations

import json as json_module
import socket
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Response:
    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    interim: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def json(self):
        return json_module.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def location(self) -> str | None:
        return self.header("location")

    def __repr__(self) -> str:
        return f"<{self.status} {dict(self.fields)} {self.text[:300]!r}>"


class ConnectionEnded(Exception):
    """The peer closed before the answer was complete. `got` is what had arrived."""

    def __init__(self, got: bytes = b""):
        super().__init__(f"connection ended after {got[:200]!r}")
        self.got = got


class Connection:
    """One TCP (or TLS) connection, kept open until closed."""

    def __init__(self, url: str, timeout: float = 10, tls: ssl.SSLContext | None = None, server_name: str | None = None):
        parts = urlsplit(url)
        self.authority = parts.netloc
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            self.socket = (tls or ssl.create_default_context()).wrap_socket(self.socket, server_hostname=server_name or parts.hostname)
        self.buffer = bytearray()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # Writing

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_request(self, method: str, target: str, headers: dict | list | None = None, body: bytes | None = None) -> None:
        items = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        names = {name.lower() for name, _ in items}
        if "host" not in names:
            items.insert(0, ("Host", self.authority))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            items.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in items) + "\r\n"
        self.send(head.encode("latin-1") + (body or b""))

    # Reading

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionEnded(bytes(self.buffer))
        self.buffer += data

    def read_line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    def read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_head(self) -> Response:
        interim = []
        while True:
            status = int(self.read_line().split(b" ", 2)[1])
            fields = []
            while line := self.read_line():
                name, _, value = line.decode("latin-1").partition(":")
                fields.append((name, value.strip()))
            if status >= 200:
                return Response(status, fields, interim=interim)
            interim.append(status)

    def chunks(self, head: Response, method: str = "GET"):
        """The body in the pieces it was sent in, as they arrive."""
        if method == "HEAD" or head.status in (204, 304):
            return
        if (head.header("transfer-encoding") or "").lower() == "chunked":
            while size := int(self.read_line().split(b";")[0], 16):
                yield self.read_exactly(size)
                assert self.read_line() == b""
            while self.read_line():
                pass
        elif head.header("content-length") is not None:
            left = int(head.header("content-length"))
            while left:
                if not self.buffer:
                    self._more()
                piece = self.read_exactly(min(left, len(self.buffer)))
                left -= len(piece)
                yield piece
        else:
            try:
                while True:
                    if self.buffer:
                        yield self.read_exactly(len(self.buffer))
                    self._more()
            except ConnectionEnded:
                return

    def read_response(self, method: str = "GET") -> Response:
        head = self.read_head()
        head.body = b"".join(self.chunks(head, method))
        return head

    def request(self, method: str, target: str, headers: dict | list | None = None, body: bytes | None = None) -> Response:
        self.send_request(method, target, headers, body)
        return self.read_response(method)

    def events(self, head: Response):
        """Server-sent events as (seconds since the call, raw text of the event)."""
        start, text = time.monotonic(), b""
        for piece in self.chunks(head):
            text += piece
            while (end := text.find(b"\n\n")) >= 0:
                yield time.monotonic() - start, text[:end].decode()
                text = text[end + 2:]

    def ended_by_peer(self, seconds: float = 3) -> bool:
        """True if the peer closes within `seconds`; bytes that still come are dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except (ConnectionResetError, ssl.SSLError, BrokenPipeError):
            return True
        except TimeoutError:
            return False


def request(url: str, method: str, target: str, headers: dict | list | None = None, body: bytes | None = None, timeout: float = 10, **options) -> Response:
    """One request on a connection of its own."""
    with Connection(url, timeout, **options) as connection:
        return connection.request(method, target, headers, body)


def exchange_raw(url: str, data: bytes, timeout: float = 5) -> bytes:
    """Sends exact bytes and returns all that comes back until the peer closes or is silent for a moment."""
    with Connection(url, timeout) as connection:
        connection.send(data)
        got = bytearray()
        connection.socket.settimeout(timeout)
        try:
            while piece := connection.socket.recv(65536):
                got += piece
                connection.socket.settimeout(0.4)
        except (TimeoutError, ConnectionResetError):
            pass
        return bytes(got)
