"""A strict reader of HTTP/1.1 messages, written for these tests alone: whatever has more than one reading is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[!-~]*) HTTP/1\.1\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)\Z")
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"): (|[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)\Z")
LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,17})\Z")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}\Z")
BEARER = re.compile(rb"Bearer [!-~]+\Z")

# Fields of one connection only: never to be seen behind a proxy.
HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"expect", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate",
              b"http2-settings"}
# Fields that have one value: twice the same name would leave the choice to the reader.
SINGLE = {b"host", b"content-length", b"transfer-encoding", b"authorization", b"content-type", b"content-encoding", b"content-range", b"content-location", b"range",
          b"if-range", b"if-modified-since", b"if-unmodified-since", b"user-agent", b"from", b"last-event-id", b"mcp-method", b"mcp-name", b"mcp-protocol-version",
          b"mcp-session-id", b"max-forwards", b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"cookie"}
# Names that some gateway interface makes the same as one of those above, or as one that only the proxy may send.
GUARDED = SINGLE | HOP_BY_HOP | {b"remote-user", b"x-user", b"x-email", b"x-real-ip", b"forwarded", b"x-forwarded-user", b"x-auth-request-user", b"x-http-method-override",
                                 b"x-original-url", b"x-rewrite-url", b"proxy", b"via", b"client-ip", b"true-client-ip"}


class Violation(Exception):
    """Bytes that no two readers need to understand alike."""


@dataclass
class Message:
    """One message: `first` is its request or status line's parts."""

    first: tuple[bytes, ...]
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    whole: bool = False
    # How its body is delimited: "none", "length", "chunked" or "close".
    framing: str = "none"

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: bytes) -> bytes | None:
        return next(iter(self.all(name)), None)


class Reader:
    """Takes one message after another out of what is fed to it."""

    def __init__(self):
        self.buffer = bytearray()
        self.message: Message | None = None
        self.left = 0
        self.state = "head"

    def feed(self, data: bytes) -> None:
        self.buffer += data

    @property
    def at_rest(self) -> bool:
        return self.message is None and not self.buffer

    def next(self) -> Message | None:
        """The next whole message, or None while it is not there."""
        while True:
            if self.state == "head" and not self._head():
                return None
            if self.state == "body" and not self._take(len(self.message.body) + self.left):
                return None
            if self.state == "close":
                self._take(None)
                return None
            while self.state in ("size", "data", "trailer"):
                if not self._chunk():
                    return None
            done, self.message, self.state = self.message, None, "head"
            done.whole = True
            return done

    def _line(self) -> bytes | None:
        end = self.buffer.find(b"\n")
        if end < 0:
            return None
        if end == 0 or self.buffer[end - 1] != 13:
            raise Violation(f"a line that ends without CR: {bytes(self.buffer[:end + 1])!r}")
        line = bytes(self.buffer[:end - 1])
        del self.buffer[:end + 1]
        if b"\r" in line or b"\0" in line:
            raise Violation(f"a bare CR or NUL in {line!r}")
        return line

    def _field(self, line: bytes) -> tuple[bytes, bytes]:
        found = FIELD_LINE.match(line)
        if not found:
            raise Violation(f"no field line: {line!r}")
        return found.group(1), found.group(2)

    def _head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if re.search(rb"\n\n|\n\r\r|[^\r]\n", self.buffer):
                raise Violation(f"a head of other lines than CRLF: {bytes(self.buffer[:200])!r}")
            return False
        first = self._line()
        fields = []
        while line := self._line():
            fields.append(self._field(line))
        self.message = Message(self.first_line(first), fields)
        self.check(self.message)
        self.state = self._framing()
        return True

    def _framing(self) -> str:
        one = self.message
        codings, lengths = one.all(b"transfer-encoding"), one.all(b"content-length")
        if len(codings) + len(lengths) > 1:
            raise Violation(f"more than one framing: {codings} {lengths}")
        if codings and codings != [b"chunked"]:
            raise Violation(f"transfer coding {codings}")
        if lengths and not LENGTH.match(lengths[0]):
            raise Violation(f"length {lengths}")
        if self.has_no_body(one):
            return "done"
        if codings:
            one.framing = "chunked"
            return "size"
        if lengths:
            one.framing = "length"
            self.left = int(lengths[0])
            return "body" if self.left else "done"
        if self.ends_with_connection:
            one.framing = "close"
            return "close"
        return "done"

    def _take(self, upto: int | None) -> bool:
        """Moves bytes to the body until it has that many."""
        count = len(self.buffer) if upto is None else min(len(self.buffer), upto - len(self.message.body))
        self.message.body += bytes(self.buffer[:count])
        self.left -= count
        del self.buffer[:count]
        return upto is not None and len(self.message.body) == upto

    def _chunk(self) -> bool:
        if self.state == "size":
            line = self._line()
            if line is None:
                return False
            if not CHUNK_SIZE.match(line):
                raise Violation(f"chunk size {line!r}")
            self.left = int(line, 16)
            self.state = "data" if self.left else "trailer"
        elif self.state == "data":
            if self.left and not self._take(len(self.message.body) + self.left):
                return False
            if len(self.buffer) < 2:
                return False
            if self.buffer[:2] != b"\r\n":
                raise Violation(f"chunk followed by {bytes(self.buffer[:2])!r}")
            del self.buffer[:2]
            self.state = "size"
        else:
            line = self._line()
            if line is None:
                return False
            if line:
                self.message.trailers.append(self._field(line))
            else:
                self.state = "done"
        return True

    # What requests and answers differ in.

    ends_with_connection = False

    def first_line(self, line: bytes) -> tuple[bytes, ...]:
        raise NotImplementedError

    def check(self, message: Message) -> None:
        raise NotImplementedError

    def has_no_body(self, message: Message) -> bool:
        return False


class Requests(Reader):
    """Requests as they must reach an upstream whose own name is `authority`."""

    def __init__(self, authority: bytes):
        super().__init__()
        self.authority = authority

    def first_line(self, line: bytes) -> tuple[bytes, ...]:
        found = REQUEST_LINE.match(line)
        if not found or b"#" in found.group(2):
            raise Violation(f"request line {line!r}")
        return found.group(1), found.group(2)

    def check(self, message: Message) -> None:
        names = [name.lower() for name, _ in message.fields]
        if message.all(b"host") != [self.authority]:
            raise Violation(f"Host {message.all(b'host')}")
        for name in set(names):
            if name in SINGLE and names.count(name) > 1:
                raise Violation(f"{name!r} {names.count(name)} times")
            if name in HOP_BY_HOP:
                raise Violation(f"hop-by-hop field {name!r}")
            plain = re.sub(rb"[^0-9a-z-]", b"-", name)
            if plain != name and plain in GUARDED:
                raise Violation(f"{name!r} can be read as {plain!r}")
        if not all(BEARER.match(value) for value in message.all(b"authorization")):
            raise Violation(f"Authorization {message.all(b'authorization')}")


class Answers(Reader):
    """Answers as a client reads them; `to_head` says for each in turn whether it answers a HEAD."""

    def __init__(self, to_head: list[bool]):
        super().__init__()
        self.to_head = list(to_head)
        self.ends_with_connection = True

    def first_line(self, line: bytes) -> tuple[bytes, ...]:
        found = STATUS_LINE.match(line)
        if not found:
            raise Violation(f"status line {line!r}")
        return found.group(1), found.group(2)

    def check(self, message: Message) -> None:
        for name in (b"keep-alive", b"upgrade", b"te", b"trailer", b"proxy-authenticate"):
            if message.all(name):
                raise Violation(f"hop-by-hop field {name!r}")
        if any(value not in (b"close", b"keep-alive") for value in message.all(b"connection")):
            raise Violation(f"Connection {message.all(b'connection')}")

    def has_no_body(self, message: Message) -> bool:
        status = int(message.first[0])
        if status < 200:
            return True
        return (self.to_head.pop(0) if self.to_head else False) or status in (204, 304)
