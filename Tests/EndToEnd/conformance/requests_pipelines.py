"""Several requests in one go, one of them bad, and what stands behind the last (RFC 9112 §9.3)."""

from .case import Case, HIDDEN, Received, passes, request


def get(number: int, fields: bytes = b"") -> bytes:
    return request(b"GET /api/%d HTTP/1.1" % number, fields)


def post(number: int, fields: bytes = b"Content-Length: 5\r\n", body: bytes = b"hello") -> bytes:
    return request(b"POST /api/%d HTTP/1.1" % number, fields, body)


def got(number: int, body: bytes = b"", method: bytes = b"GET") -> Received:
    return Received(method, b"/api/%d" % number, body)


CHUNKS = (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")
NOBODY = b"GET /api/nobody HTTP/1.1\r\nHost: @HOST@\r\n\r\n"


def stops(name: str, first: bytes, received: tuple[Received, ...], *statuses: int) -> Case:
    """Answered so far and then closed; what stands behind is not read."""
    return Case(name, first + HIDDEN, tuple(200 for _ in received) + statuses, received)


CASES = [
    passes("two requests", get(1) + get(2), got(1), got(2)),
    passes("ten requests", b"".join(get(n) for n in range(10)), *(got(n) for n in range(10))),
    passes("a request behind a body", post(1) + get(2), got(1, b"hello", b"POST"), got(2)),
    passes("a request behind chunks", post(1, *CHUNKS) + get(2), got(1, b"hello", b"POST"), got(2)),
    passes("bodies of all kinds in turn", post(1) + post(2, *CHUNKS) + get(3) + post(4, b"Content-Length: 0\r\n", b"") + post(5, *CHUNKS),
           got(1, b"hello", b"POST"), got(2, b"hello", b"POST"), got(3), got(4, b"", b"POST"), got(5, b"hello", b"POST")),
    passes("a request behind HEAD", request(b"HEAD /api/1 HTTP/1.1") + get(2), got(1, b"", b"HEAD"), got(2), to_head=(True, False)),
    passes("HEAD behind a request", get(1) + request(b"HEAD /api/2 HTTP/1.1"), got(1), got(2, b"", b"HEAD"), to_head=(False, True)),
    passes("a request behind GET with a body", request(b"GET /api/1 HTTP/1.1", b"Content-Length: 5\r\n", b"hello") + get(2), got(1, b"hello"), got(2)),
    passes("an empty line between two requests", get(1) + b"\r\n" + get(2), got(1), got(2)),
    passes("an empty line behind a body", post(1) + b"\r\n" + get(2), got(1, b"hello", b"POST"), got(2)),
    passes("an empty line behind the last request", get(1) + b"\r\n", got(1)),
    passes("a large body and a request", post(1, b"Content-Length: 200000\r\n", b"w" * 200_000) + get(2), got(1, b"w" * 200_000, b"POST"), got(2)),
    # Refusals in between
    Case("no route in the middle", get(1) + request(b"GET /nowhere HTTP/1.1") + get(2), (200, 404, 200), (got(1), got(2)), kept=True),
    Case("no session in the middle", get(1) + NOBODY + get(2), (200, 401, 200), (got(1), got(2)), kept=True),
    Case("no session in the middle, with a body", get(1) + request(b"POST /api/9 HTTP/1.1", b"Content-Length: 5\r\n", b"hello", cookie=b"") + get(2),
         (200, 401, 200), (got(1), got(2)), kept=True),
    Case("a path of two readings in the middle", get(1) + request(b"GET /api/../x HTTP/1.1") + get(2), (200, 400, 200), (got(1), got(2)), kept=True),
    Case("no session, and chunks that nobody wants", get(1) + request(b"POST /api/9 HTTP/1.1", *CHUNKS, cookie=b"") + HIDDEN, (200, 401), (got(1),)),
    # The end of it
    stops("a bad request line in the middle", get(1) + b"GET  /api/9 HTTP/1.1\r\nHost: @HOST@\r\n\r\n", (got(1),), 400),
    stops("a bad field in the middle", get(1) + get(9, b"X A: 1\r\n"), (got(1),), 400),
    stops("a framing of two readings in the middle", get(1) + post(9, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), (got(1),), 400),
    stops("a bad chunk in the middle", get(1) + request(b"POST /mcp HTTP/1.1", b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", b"xyz\r\n"), (got(1),), 400),
    stops("a body that is longer than it says", post(1, b"Content-Length: 3\r\n", b"hel{o"), (got(1, b"hel", b"POST"),), 400),
    stops("a body that is longer than it says by a word", post(1, b"Content-Length: 0\r\n", b"smuggled "), (got(1, b"", b"POST"),), 400),
    passes("a head that a short length leaves for the next request to complete is one request of the same client",
           post(1, b"Content-Length: 0\r\n", b"GET /api/2 HTTP/1.1\r\nX-Ignore: X") + get(3), got(1, b"", b"POST"),
           Received(target=b"/api/2", fields={b"x-ignore": b"XGET /api/3 HTTP/1.1"})),
    stops("an answer in the middle", get(1) + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (got(1),), 400),
    stops("a NUL between two requests", get(1) + b"\x00", (got(1),), 400),
    stops("two empty lines between two requests", get(1) + b"\r\n\r\n", (got(1),), 400),
    stops("a line feed between two requests", get(1) + b"\n", (got(1),), 400),
    stops("CONNECT in the middle", get(1) + request(b"CONNECT a:1 HTTP/1.1"), (got(1),), 501),
    stops("the preface of HTTP/2 in the middle", get(1) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (got(1),), 505),
    stops("a request behind Connection: close", get(1, b"Connection: close\r\n"), (got(1),)),
    stops("a request behind Connection: close and a body", post(1, b"Connection: close\r\nContent-Length: 5\r\n"), (got(1, b"hello", b"POST"),)),
    stops("a request behind Connection: close and chunks", post(1, b"Connection: close\r\n" + CHUNKS[0], CHUNKS[1]), (got(1, b"hello", b"POST"),)),
    stops("a request behind HTTP/1.0", request(b"GET /api/1 HTTP/1.0"), (got(1),)),
    stops("a request behind CLOSE in capitals", get(1, b"Connection: CLOSE\r\n"), (got(1),)),
    stops("a request behind close in a list", get(1, b"Connection: keep-alive, close\r\n"), (got(1),)),
    stops("a request behind close in a second field", get(1, b"Connection: keep-alive\r\nConnection: close\r\n"), (got(1),)),
    Case("noise behind Connection: close", get(1, b"Connection: close\r\n") + b"\x00\xff nonsense", (200,), (got(1),)),
    Case("half a request behind a whole one", get(1) + b"GET /api/2 HT", (200,), (got(1),), ends=True),
    Case("two requests and an end", get(1) + get(2), (200, 200), (got(1), got(2)), ends=True),
]
