"""What a row of the table of answers says, and words to say it with."""

from __future__ import annotations

from dataclasses import dataclass, field

# Ways in which an answer ends for the client: whole and the connection stays, whole and closed, or visibly not whole.
KEPT, CLOSED, CUT = "kept", "closed", "cut"

CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}'
ASKS = {
    "call": b"POST @TARGET@ HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CALL) + CALL,
    "get": b"GET @TARGET@ HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\n\r\n",
    "head": b"HEAD @TARGET@ HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\n\r\n",
    "old": b"GET @TARGET@ HTTP/1.0\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\n\r\n",
    "post": b"POST @TARGET@ HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\nContent-Length: 5\r\n\r\nhello",
    "begun": b"POST @TARGET@ HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\nContent-Length: 10\r\n\r\nhello",
    "begun chunks": b"POST @TARGET@ HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
}
"""Requests by which an answer is asked for."""


@dataclass(frozen=True)
class Answer:
    """The upstream says `steps`; the client sees `status`, `body` and `end`. `fields` are values it must see, or None for fields it must not.

    `reused`: whether the next request, another user's, may go over the same upstream connection. `early` answers do not wait for the request's
    body. `greeting` is said when the connection opens, `before` on all idle ones before the request, `late` on all idle ones after the answer.
    """

    name: str
    steps: tuple[bytes | str, ...]
    status: int = 200
    body: bytes = b"fine"
    end: str = KEPT
    fields: dict[bytes, bytes | None] = field(default_factory=dict)
    ask: str = "get"
    route: bytes = b"/api"
    reused: bool | None = None
    early: bool = False
    greeting: bytes = b""
    before: bytes = b""
    late: bytes = b""
    # The request may be sent once more, over a new connection: nothing of an answer came, and twice is as good as once.
    again: bool = False


PLAIN = b"Content-Type: text/plain\r\n"
FINE = b"HTTP/1.1 200 OK\r\n" + PLAIN + b"Content-Length: 4\r\n\r\nfine"
"""A plain good answer."""
POISON = b"HTTP/1.1 200 OK\r\n" + PLAIN + b"Content-Length: 6\r\n\r\npoison"
"""Another whole answer, which nobody may ever see."""
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def head(fields: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return line + b"\r\n" + PLAIN + fields + b"\r\n"


def good(name: str, said: bytes, **more) -> Answer:
    """Passes, and the connection to the upstream serves the next one."""
    return Answer(name, (said,), **{"reused": True} | more)


def bad(name: str, *said: bytes | str, **more) -> Answer:
    """Nothing of it reaches the client, who is told that it was broken; the connection serves nobody else."""
    return Answer(name, said, **{"status": 502, "body": b"", "reused": False} | more)


def cut(name: str, *said: bytes | str, body: bytes = b"", **more) -> Answer:
    """Breaks off, and so does what the client gets: some of `body`, and no proper end."""
    return Answer(name, said, body=body, end=CUT, **{"reused": False} | more)


def once(name: str, *said: bytes | str, **more) -> Answer:
    """Passes, but its connection serves nobody else."""
    return Answer(name, said, **{"reused": False} | more)
