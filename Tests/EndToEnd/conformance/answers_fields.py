"""Fields of answers: syntax, limits, one hop's own, and those that an upstream may not set here (RFC 9110 §5, §7.6.1)."""

from .answer import CLOSED, FINE, bad, good, head, once
from .recorder import CLOSE


def with_line(line: bytes) -> bytes:
    return head(b"Content-Length: 4\r\n" + line + b"\r\n") + b"fine"


def carries(name: str, line: bytes, **fields: bytes | None):
    return good(name, with_line(line), fields={key.replace("_", "-").encode(): value for key, value in fields.items()})


CASES = [
    carries("a field nobody knows", b"X-Some: thing", x_some=b"thing"),
    carries("an empty value", b"X-Some:", x_some=b""),
    carries("white space around a value", b"X-Some: \t thing \t", x_some=b"thing"),
    carries("bytes beyond ASCII in a value", b"X-Some: caf\xc3\xa9", x_some=b"caf\xc3\xa9"),
    good("an underscore in a name", with_line(b"X_Some: thing"), fields={b"x_some": b"thing"}),
    good("fifty fields", with_line(b"\r\n".join(b"X-%d: a" % n for n in range(50))), fields={b"x-49": b"a"}),
    good("a long value", with_line(b"X-Some: " + b"v" * 20_000), fields={b"x-some": b"v" * 20_000}),
    # Syntax
    bad("a folded field", with_line(b"X-A: 1\r\n more")),
    bad("a field folded with a tab", with_line(b"X-A: 1\r\n\tmore")),
    bad("a folded length", head(b"Content-Length:\r\n 4\r\n") + b"fine"),
    bad("a first field that is folded", b"HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 4\r\n\r\nfine"),
    bad("a field line that ends in a line feed", with_line(b"X-A: 1\nX-B: 2")),
    bad("a head that ends in two line feeds", b"HTTP/1.1 200 OK\nContent-Length: 4\n\nfine"),
    bad("a head that ends in CRLF and a line feed", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\nfine"),
    bad("a carriage return in a value", with_line(b"X-A: a\rb")),
    bad("a carriage return too much", with_line(b"X-A: a\r")),
    bad("a NUL in a value", with_line(b"X-A: a\x00b")),
    bad("a control character in a value", with_line(b"X-A: a\x01b")),
    bad("a delete in a value", with_line(b"X-A: a\x7fb")),
    bad("a NUL in a name", with_line(b"X\x00A: 1")),
    bad("a space in a name", with_line(b"X A: 1")),
    bad("a space before the colon", with_line(b"X-A : 1")),
    bad("a space before the colon of the length", head(b"Content-Length : 4\r\n") + b"fine"),
    bad("no colon", with_line(b"nonsense")),
    bad("no name", with_line(b": 1")),
    bad("a name beyond ASCII", with_line(b"X-\xe9: 1")),
    bad("a line of a space alone", with_line(b" ")),
    bad("a status line among the fields", with_line(b"HTTP/1.1 200 OK")),
    # Limits
    bad("a head beyond all limits", with_line(b"X-A: " + b"v" * 300_000)),
    bad("more fields than allowed", with_line(b"\r\n".join(b"X-%d: a" % n for n in range(2000)))),
    bad("a head that never ends", b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 40_000, CLOSE),
    # One hop's own
    carries("Keep-Alive", b"Connection: keep-alive\r\nKeep-Alive: timeout=5", connection=None, keep_alive=None),
    carries("Proxy-Connection", b"Proxy-Connection: keep-alive", proxy_connection=None),
    carries("Upgrade that is only offered", b"Upgrade: h2c\r\nConnection: upgrade", upgrade=None, connection=None),
    carries("TE and Trailer", b"TE: gzip\r\nTrailer: X-Sum", te=None, trailer=None),
    carries("Proxy-Authenticate", b"Proxy-Authenticate: Basic", proxy_authenticate=None),
    carries("a field that Connection names", b"Connection: X-Hop\r\nX-Hop: 1\r\nX-End: 2", x_hop=None, x_end=b"2"),
    carries("fields that two Connections name", b"X-Hop: 1\r\nConnection: X-Hop\r\nConnection: X-Two\r\nX-Two: 2", x_hop=None, x_two=None),
    good("a length that Connection names", head(b"Connection: Content-Length\r\nContent-Length: 4\r\n") + b"fine", fields={b"connection": None}),
    good("chunks that Connection names", head(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n") + b"4\r\nfine\r\n0\r\n\r\n"),
    good("Content-Type that Connection names", with_line(b"Connection: Content-Type"), fields={b"content-type": None}),
    good("Cache-Control that Connection names is ours", with_line(b"Connection: Cache-Control\r\nCache-Control: public"), fields={b"cache-control": b"no-store"}),
    once("close", with_line(b"Connection: close"), fields={b"connection": None}),
    once("close in capitals", with_line(b"Connection: CLOSE")),
    once("close in a list", with_line(b"Connection: keep-alive, close")),
    once("close in a second field", with_line(b"Connection: keep-alive\r\nConnection: close")),
    once("close and a closed connection", with_line(b"Connection: close"), CLOSE),
    # What an upstream may not say here
    carries("Set-Cookie", b"Set-Cookie: session=stolen; Path=/", set_cookie=None),
    carries("two Set-Cookie", b"Set-Cookie: a=b\r\nSet-Cookie: c=d", set_cookie=None),
    carries("WWW-Authenticate with a good status", b"WWW-Authenticate: Bearer realm=x", www_authenticate=None),
    carries("Authentication-Info", b"Authentication-Info: x=y", authentication_info=None),
    carries("Authorization", b"Authorization: Bearer x", authorization=None),
    carries("Access-Control-Allow-Origin", b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true",
            access_control_allow_origin=None, access_control_allow_credentials=None),
    carries("Clear-Site-Data", b'Clear-Site-Data: "*"', clear_site_data=None),
    carries("Alt-Svc", b'Alt-Svc: h3=":443"', alt_svc=None),
    carries("Strict-Transport-Security", b"Strict-Transport-Security: max-age=1", strict_transport_security=None),
    carries("Cache-Control: public", b"Cache-Control: public, max-age=999", cache_control=b"no-store"),
    carries("Expires and Age", b"Expires: 0\r\nAge: 5\r\nPragma: x", expires=None, age=None, pragma=None),
    carries("Server-Timing", b"Server-Timing: db;dur=5", server_timing=None),
    good("Date is there once", with_line(b"Date: Sat, 29 Oct 1994 19:43:31 GMT"), fields={}),
    good("a refusal with a challenge", b"HTTP/1.1 403 X\r\nContent-Type: text/plain\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 4\r\n\r\nfine", status=403,
         fields={b"www-authenticate": None}),
    once("an answer to HTTP/1.0 that asked for nothing", FINE, ask="old", end=CLOSED, reused=True),
]
