"""Connection and what it names, Expect, Upgrade, and other fields of one hop (RFC 9110 §7.6, §7.8, §10.1.1)."""

from .case import Case, HIDDEN, Received, answered, passes, post, refused, request


def get(fields: bytes) -> bytes:
    return request(fields=fields)


def names(option: bytes, fields: bytes = b"") -> bytes:
    return get(b"Connection: " + option + b"\r\n" + fields)


def without(*fields: bytes, **more) -> Received:
    return Received(fields={name: None for name in fields} | more.get("fields", {}))


CONTINUED = frozenset({(), (100,)})

CASES = [
    # Connection
    passes("keep-alive", names(b"keep-alive"), without(b"connection", b"keep-alive")),
    passes("Keep-Alive with numbers", names(b"keep-alive", b"Keep-Alive: timeout=5, max=9\r\n"), without(b"connection", b"keep-alive")),
    passes("close", names(b"close"), without(b"connection"), kept=False),
    passes("close among others", names(b"TE, close, x"), without(b"connection", b"te"), kept=False),
    passes("a field that Connection names", names(b"X-Hop", b"X-Hop: 1\r\nX-End: 2\r\n"), without(b"x-hop", fields={b"x-end": b"2"})),
    passes("a field that Connection names in other letters", names(b"x-hOP", b"X-Hop: 1\r\n"), without(b"x-hop")),
    passes("fields that stand before the Connection that names them", get(b"X-Hop: 1\r\nX-Two: 2\r\nConnection: X-Hop, X-Two\r\n"), without(b"x-hop", b"x-two")),
    passes("two Connection fields", get(b"Connection: X-Hop\r\nConnection: X-Two\r\nX-Hop: 1\r\nX-Two: 2\r\n"), without(b"x-hop", b"x-two")),
    passes("empty elements", names(b", ,X-Hop,,", b"X-Hop: 1\r\n"), without(b"x-hop")),
    passes("a name that no field has", names(b"X-Nothing"), without(b"connection")),
    passes("an empty Connection", names(b""), without(b"connection")),
    passes("Proxy-Connection", get(b"Proxy-Connection: keep-alive\r\n"), without(b"proxy-connection")),
    refused("a Connection in quotes", names(b'"X-Hop"', b"X-Hop: 1\r\n")),
    refused("a Connection with a quote that hides close", names(b'"x, close')),
    refused("a Connection with a space in a name", names(b"X Hop", b"X-Hop: 1\r\n")),
    refused("a Connection with a parameter", names(b"close;x=1")),
    refused("a Connection of twenty names", names(b", ".join(b"X-%d" % n for n in range(20)))),
    # What a client would like to strip
    passes("Connection names Authorization: the user's token goes all the same", names(b"Authorization"), Received()),
    passes("Connection names Cookie: the session counts, and the passed cookie stays here", get(b"Connection: Cookie\r\nCookie: theme=dark\r\n"), without(b"cookie")),
    passes("Connection names Host: the upstream has its name", names(b"Host"), Received()),
    passes("Connection names Content-Length: the body has its length", post(b"Connection: Content-Length\r\nContent-Length: 5\r\n", b"hello"),
           Received(b"POST", body=b"hello", fields={b"content-length": b"5"})),
    passes("Connection names Transfer-Encoding: the body has its chunks", post(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
           Received(b"POST", body=b"hello")),
    passes("Connection names X-Forwarded-For: ours goes all the same", names(b"X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded"),
           Received(fields={b"x-forwarded-for": b"127.0.0.1", b"x-forwarded-proto": b"http"})),
    passes("Connection names Via: ours goes all the same", names(b"Via"), Received(fields={b"via": b"1.1 coatcheck"})),
    passes("Connection names X-Request-ID: ours goes all the same", names(b"X-Request-ID"), Received()),
    passes("Connection names Connection", names(b"Connection, close"), without(b"connection"), kept=False),
    passes("Connection names Content-Type", post(b"Connection: Content-Type\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n", b"hello"),
           Received(b"POST", body=b"hello", fields={b"content-type": None})),
    # TE, Trailer, Upgrade and their like
    passes("TE: trailers", get(b"TE: trailers\r\nConnection: TE\r\n"), without(b"te", b"connection")),
    passes("TE: gzip", get(b"TE: gzip;q=0.5\r\n"), without(b"te")),
    passes("Trailer", get(b"Trailer: X-Sum\r\n"), without(b"trailer")),
    passes("Proxy-Authorization", get(b"Proxy-Authorization: Basic eDp5\r\n"), without(b"proxy-authorization")),
    passes("Proxy-Authenticate", get(b"Proxy-Authenticate: Basic\r\n"), without(b"proxy-authenticate")),
    passes("Upgrade to a WebSocket", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
           without(b"upgrade", b"connection")),
    passes("Upgrade to a WebSocket of another version", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1337\r\n"), without(b"upgrade")),
    passes("Upgrade to h2c", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
           without(b"upgrade", b"http2-settings", b"connection")),
    passes("Upgrade to h2c without Connection", get(b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), without(b"upgrade", b"http2-settings")),
    passes("Upgrade to TLS", get(b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"), without(b"upgrade")),
    passes("Upgrade with a body", post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n", b"hello"), Received(b"POST", body=b"hello", fields={b"upgrade": None})),
    Case("Upgrade to h2c and its preface at once", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
         (200, 505), (without(b"upgrade"),)),
    Case("Upgrade to a WebSocket and a request inside it", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + get(b"").replace(b"/api/x", b"/api/y"), (200, 200),
         (without(b"upgrade"), Received(target=b"/api/y")), kept=True),
    # Expect
    passes("100-continue and the body at once", post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"), Received(b"POST", body=b"hello", fields={b"expect": None}),
           interim=CONTINUED),
    passes("100-continue and chunks at once", post(b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
           Received(b"POST", body=b"hello", fields={b"expect": None}), interim=CONTINUED),
    passes("100-continue in capitals", post(b"Expect: 100-CONTINUE\r\nContent-Length: 5\r\n", b"hello"), Received(b"POST", body=b"hello"), interim=CONTINUED),
    passes("100-continue without a body", get(b"Expect: 100-continue\r\n"), without(b"expect")),
    passes("100-continue with a length of zero", post(b"Expect: 100-continue\r\nContent-Length: 0\r\n"), Received(b"POST", fields={b"expect": None})),
    passes("100-continue of HTTP/1.0", request(b"POST /api/x HTTP/1.0", b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"), Received(b"POST", body=b"hello"), kept=False),
    passes("100-continue and a request behind the body", post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello") + get(b""), Received(b"POST", body=b"hello"), Received(),
           interim=CONTINUED),
    answered("100-continue without a session", request(b"POST /api/x HTTP/1.1", b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello", cookie=b""), 401, kept=None),
    answered("100-continue without a session and without the body", request(b"POST /api/x HTTP/1.1", b"Expect: 100-continue\r\nContent-Length: 5\r\n", cookie=b""), 401, kept=False),
    refused("another expectation", get(b"Expect: 200-ok\r\n"), 417),
    refused("two expectations in a list", post(b"Expect: 100-continue, x\r\nContent-Length: 5\r\n", b"hello"), 417),
    refused("two expectations in two fields", post(b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", b"hello"), 417),
    refused("an empty expectation", get(b"Expect:\r\n"), 417),
    refused("100-continue with a parameter", post(b"Expect: 100-continue;x=1\r\nContent-Length: 5\r\n", b"hello"), 417),
    refused("100 continue with a space", post(b"Expect: 100 continue\r\nContent-Length: 5\r\n", b"hello"), 417),
    # Max-Forwards
    answered("OPTIONS that may not be forwarded is answered here", request(b"OPTIONS /api/x HTTP/1.1", b"Max-Forwards: 0\r\n"), 204),
    passes("OPTIONS that may be forwarded once more", request(b"OPTIONS /api/x HTTP/1.1", b"Max-Forwards: 1\r\n"), Received(b"OPTIONS", fields={b"max-forwards": b"0"})),
    passes("OPTIONS that may be forwarded often", request(b"OPTIONS /api/x HTTP/1.1", b"Max-Forwards: 70\r\n"), Received(b"OPTIONS", fields={b"max-forwards": b"69"})),
    passes("Max-Forwards of GET means nothing", get(b"Max-Forwards: 0\r\n"), Received(fields={b"max-forwards": b"0"})),
    Case("noise behind a request that is not kept", names(b"close") + HIDDEN, (200,), (Received(),)),
]
