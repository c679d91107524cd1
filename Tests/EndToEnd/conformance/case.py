"""What a row of the table of requests says, and words to say it with."""

from __future__ import annotations

from dataclasses import dataclass, field

CRLF = b"\r\n"
REFUSAL = frozenset({400, 414, 417, 431, 501, 505})
"""How a request is refused that cannot be read in one way only."""


@dataclass(frozen=True)
class Received:
    """A request as the upstream must have it. `fields` are values that must be there, or None for fields that must not."""

    method: bytes = b"GET"
    target: bytes = b"/api/x"
    body: bytes = b""
    fields: dict[bytes, bytes | None] = field(default_factory=dict)
    trailers: tuple[tuple[bytes, bytes], ...] = ()
    # Whose token; None for a route without.
    user: str | None = "harvey"
    # False for a request whose body the client broke off: the upstream must be able to tell.
    whole: bool = True


@dataclass(frozen=True)
class Case:
    """`data` with `@HOST@` and `@COOKIE@` filled in is answered with `statuses` in turn; `received` reaches the upstream, and nothing else.

    The connection stays open (`kept`), is closed, or (None) either. `ends` half-closes it behind the bytes. A status of None stands for a
    connection that ends without an answer.
    """

    name: str
    data: bytes
    statuses: tuple[frozenset[int] | int, ...]
    received: tuple[Received, ...] = ()
    kept: bool | None = False
    ends: bool = False
    to_head: tuple[bool, ...] = ()
    interim: frozenset[tuple[int, ...]] = frozenset({()})


def request(line: bytes = b"GET /api/x HTTP/1.1", fields: bytes = b"", body: bytes = b"", host: bytes = b"Host: @HOST@\r\n",
            cookie: bytes = b"Cookie: @COOKIE@\r\n") -> bytes:
    """A request with the given lines between Host and Cookie and the end of its head."""
    return line + CRLF + host + cookie + fields + CRLF + body


def post(fields: bytes, body: bytes = b"", target: bytes = b"/api/x") -> bytes:
    return request(b"POST " + target + b" HTTP/1.1", fields, body)


def chunked(body: bytes, fields: bytes = b"", target: bytes = b"/api/x") -> bytes:
    """A POST whose body is sent as given behind `Transfer-Encoding: chunked`."""
    return post(b"Transfer-Encoding: chunked\r\n" + fields, body, target)


HIDDEN = b"GET /api/hidden HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\n\r\n"
"""What hides behind an ambiguous request; nobody may ever see it."""


def refused(name: str, data: bytes, status: int | frozenset[int] = 400, ends: bool = False, hidden: bool = True) -> Case:
    """Refused, the connection closed, and what stands behind it not read."""
    return Case(name, data + (HIDDEN if hidden and not ends else b""), (status,), ends=ends)


def passes(name: str, data: bytes, *received: Received, **options) -> Case:
    """Passes as one request or several, and the connection stays."""
    received = received or (Received(),)
    return Case(name, data, tuple(200 for _ in received), received, **{"kept": True} | options)


def answered(name: str, data: bytes, status: int, kept: bool | None = True, **options) -> Case:
    """Understood, and answered here without the upstream."""
    return Case(name, data, (status,), kept=kept, **options)
