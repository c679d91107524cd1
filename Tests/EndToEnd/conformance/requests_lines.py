"""Request lines: their parts and spaces, methods, versions (RFC 9112 §2.3, §3; RFC 9110 §9)."""

from .case import HIDDEN, REFUSAL, Case, Received, passes, refused, request

AT = b" /api/x HTTP/1.1"


def line(text: bytes) -> bytes:
    return request(text)


def method(name: bytes) -> bytes:
    return request(name + AT)


CASES = [
    # Spaces and their like
    refused("two spaces before the target", line(b"GET  /api/x HTTP/1.1")),
    refused("two spaces before the version", line(b"GET /api/x  HTTP/1.1")),
    refused("a space behind the version", line(b"GET /api/x HTTP/1.1 ")),
    refused("a tab behind the version", line(b"GET /api/x HTTP/1.1\t")),
    refused("a space before the method", line(b" GET /api/x HTTP/1.1")),
    refused("a tab between method and target", line(b"GET\t/api/x HTTP/1.1")),
    refused("a tab between target and version", line(b"GET /api/x\tHTTP/1.1")),
    refused("a vertical tab between method and target", line(b"GET\x0b/api/x HTTP/1.1")),
    refused("a form feed between target and version", line(b"GET /api/x\x0cHTTP/1.1")),
    refused("a carriage return between target and version", line(b"GET /api/x\rHTTP/1.1")),
    refused("a bare carriage return behind the version", b"GET /api/x HTTP/1.1\r\r\nHost: @HOST@\r\n\r\n"),
    refused("a request line that ends in a line feed", b"GET /api/x HTTP/1.1\nHost: @HOST@\r\n\r\n"),
    refused("a whole head in line feeds", b"GET /api/x HTTP/1.1\nHost: @HOST@\nCookie: @COOKIE@\n\n"),
    refused("a space in the target", line(b"GET /api/x y HTTP/1.1")),
    refused("a second request line in the first", line(b"GET /api/x HTTP/1.1 GET /api/hidden HTTP/1.1")),
    refused("a no-break space before the target", line(b"GET \xa0/api/x HTTP/1.1")),
    # Parts that are missing
    refused("no version", line(b"GET /api/x")),
    refused("a method alone", line(b"GET")),
    refused("no target", line(b"GET HTTP/1.1")),
    refused("an empty target", line(b"GET  HTTP/1.1")),
    refused("no method", line(b"/api/x HTTP/1.1")),
    refused("a space instead of a method", line(b" /api/x HTTP/1.1")),
    refused("a status line", line(b"HTTP/1.1 200 OK")),
    refused("a field line instead of a request line", b"Host: @HOST@\r\n\r\n"),
    # Empty lines before it
    passes("one empty line before the request line", b"\r\n" + line(b"GET" + AT)),
    refused("two empty lines before the request line", b"\r\n\r\n" + line(b"GET" + AT)),
    refused("an empty line of a line feed alone", b"\n" + line(b"GET" + AT)),
    refused("a carriage return alone before the request line", b"\r" + line(b"GET" + AT)),
    refused("a space on the line before the request line", b" \r\n" + line(b"GET" + AT)),
    # Other protocols
    refused("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", hidden=False),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSAL, hidden=False),
    refused("the PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + line(b"GET" + AT)),
    refused("the PROXY protocol, version 2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12), hidden=False),
    # Versions
    passes("HTTP/1.2, read as 1.1", line(b"GET /api/x HTTP/1.2")),
    passes("HTTP/1.9, read as 1.1", line(b"GET /api/x HTTP/1.9")),
    passes("HTTP/1.0, closed after it", line(b"GET /api/x HTTP/1.0"), kept=False),
    passes("HTTP/1.0 without a Host", request(b"GET /api/x HTTP/1.0", host=b""), kept=False),
    passes("HTTP/1.0 that asks to stay", b"GET /api/x HTTP/1.0\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\nConnection: keep-alive\r\n\r\n", kept=None),
    refused("HTTP/0.9 with a version", line(b"GET /api/x HTTP/0.9"), 505),
    refused("HTTP/2.0", line(b"GET /api/x HTTP/2.0"), 505),
    refused("HTTP/3.0", line(b"GET /api/x HTTP/3.0"), 505),
    refused("HTTP/1.10", line(b"GET /api/x HTTP/1.10")),
    refused("HTTP/01.1", line(b"GET /api/x HTTP/01.1")),
    refused("HTTP/1", line(b"GET /api/x HTTP/1")),
    refused("HTTP/1.", line(b"GET /api/x HTTP/1.")),
    refused("HTTP/11", line(b"GET /api/x HTTP/11")),
    refused("HTTP/1,1", line(b"GET /api/x HTTP/1,1")),
    refused("HTTP/+1.1", line(b"GET /api/x HTTP/+1.1")),
    refused("HTTP/-1.1", line(b"GET /api/x HTTP/-1.1")),
    refused("HTTP/1.x", line(b"GET /api/x HTTP/1.x")),
    refused("http/1.1 in small letters", line(b"GET /api/x http/1.1")),
    refused("HTTPS/1.1", line(b"GET /api/x HTTPS/1.1")),
    refused("HTTP 1.1 with a space", line(b"GET /api/x HTTP 1.1")),
    refused("ICY/1.1", line(b"GET /api/x ICY/1.1")),
    refused("a version of digits beyond ASCII", line(b"GET /api/x HTTP/\xb9.\xb9")),
    # Methods
    passes("GET", method(b"GET")),
    passes("HEAD", method(b"HEAD"), Received(b"HEAD"), to_head=(True,)),
    passes("DELETE", method(b"DELETE"), Received(b"DELETE")),
    passes("OPTIONS of a page", method(b"OPTIONS"), Received(b"OPTIONS")),
    passes("PUT without a body", method(b"PUT"), Received(b"PUT", fields={b"content-length": b"0"})),
    passes("POST without a body", method(b"POST"), Received(b"POST", fields={b"content-length": b"0"})),
    passes("PATCH without a body", method(b"PATCH"), Received(b"PATCH", fields={b"content-length": b"0"})),
    passes("a method nobody knows", method(b"FROBNICATE"), Received(b"FROBNICATE")),
    passes("PROPFIND", method(b"PROPFIND"), Received(b"PROPFIND")),
    passes("a method in small letters is another method", method(b"get"), Received(b"get")),
    passes("a method of all characters a token may have", method(b"A!#$%&'*+-.^_`|~9"), Received(b"A!#$%&'*+-.^_`|~9")),
    refused("TRACE, whose answer would show the token", method(b"TRACE"), 501),
    refused("TRACE where no token goes", request(b"TRACE /public/x HTTP/1.1"), 501),
    refused("TRACE of a message", request(b"TRACE /mcp HTTP/1.1"), 501),
    refused("TRACE that may not be forwarded", request(b"TRACE /api/x HTTP/1.1", b"Max-Forwards: 0\r\n"), 501),
    refused("CONNECT with an authority", line(b"CONNECT 127.0.0.1:80 HTTP/1.1"), 501),
    refused("CONNECT with a path", line(b"CONNECT /api/x HTTP/1.1"), 501),
    refused("CONNECT with a body", request(b"CONNECT 127.0.0.1:80 HTTP/1.1", b"Content-Length: 5\r\n", b"hello"), 501),
    refused("a method with a colon", method(b"GE:T")),
    refused("a method with a bracket", method(b"G(T")),
    refused("a method in quotes", method(b'"GET"')),
    refused("a method with a NUL", method(b"GE\x00T")),
    refused("a method beyond ASCII", method(b"G\xc3\x89T")),
    refused("a method that is too long", method(b"A" * 25), 501),
    refused("a method of 9000 letters", method(b"A" * 9000), REFUSAL),
    # Limits
    refused("a request line beyond all limits", line(b"GET /api/" + b"x" * 20_000 + b" HTTP/1.1"), 414),
    refused("a request line that never ends", b"GET /api/" + b"x" * 40_000, 414, hidden=False),
    passes("a long target within the limit", line(b"GET /api/" + b"x" * 8000 + b" HTTP/1.1"), Received(target=b"/api/" + b"x" * 8000)),
    Case("nothing but an end", b"\r\n", (), ends=True),
    Case("half a request line", b"GET /api/x HT", (), ends=True),
    Case("a head that breaks off in a field", b"GET /api/x HTTP/1.1\r\nHost: @HO", (), ends=True),
    Case("a head without its last line", b"GET /api/x HTTP/1.1\r\nHost: @HOST@\r\nCookie: @COOKIE@\r\n", (), ends=True),
    Case("a request whose sender stops sending still gets its answer", HIDDEN.replace(b"hidden", b"x"), (200,), (Received(),), kept=False, ends=True),
]
