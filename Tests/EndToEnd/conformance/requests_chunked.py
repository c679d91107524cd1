"""Chunked bodies: sizes, extensions, line ends, trailers (RFC 9112 §7.1)."""

from .case import Case, HIDDEN, Received, chunked, passes

HELLO = Received(b"POST", body=b"hello")
END = b"0\r\n\r\n"


def trailers(lines: bytes) -> bytes:
    return chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")


def broken(name: str, body: bytes, taken: bytes = b"") -> Case:
    """Refused. Held in full until it is whole, it would not reach the upstream at all; streamed, the upstream has a request that visibly breaks off."""
    return Case(name, chunked(body) + HIDDEN, (400,), (Received(b"POST", body=taken, whole=False),))


def drops(name: str, line: bytes) -> Case:
    """A trailer field that must not slip in behind the checks of the head."""
    return passes(name, trailers(line + b"\r\nX-Sum: 1\r\n"), Received(b"POST", body=b"hello", trailers=((b"X-Sum", b"1"),)))


CASES = [
    # Sizes
    passes("one chunk", chunked(b"5\r\nhello\r\n" + END), HELLO),
    passes("no chunk", chunked(END), Received(b"POST")),
    passes("five chunks", chunked(b"".join(b"1\r\n%c\r\n" % c for c in b"hello") + END), HELLO),
    passes("a size in small letters", chunked(b"a\r\n0123456789\r\n" + END), Received(b"POST", body=b"0123456789")),
    passes("a size in capitals", chunked(b"A\r\n0123456789\r\n" + END), Received(b"POST", body=b"0123456789")),
    passes("leading zeros within sixteen digits", chunked(b"0000000000000005\r\nhello\r\n" + END), HELLO),
    passes("a last chunk of several zeros", chunked(b"5\r\nhello\r\n000\r\n\r\n"), HELLO),
    passes("a chunk of 70000 bytes", chunked(b"11170\r\n" + b"z" * 70_000 + b"\r\n" + END), Received(b"POST", body=b"z" * 70_000)),
    passes("chunks that look like a request", chunked(b"1a\r\nGET /api/hidden HTTP/1.1\r\n\r\n0\r\n\r\n"), Received(b"POST", body=b"GET /api/hidden HTTP/1.1\r\n")),
    broken("seventeen digits", b"00000000000000005\r\nhello\r\n" + END),
    broken("a size beyond 64 bits", b"fffffffffffffffff\r\nhello\r\n" + END),
    broken("a size of 2^64 and five", b"10000000000000005\r\nhello\r\n" + END),
    broken("a size of 2^64 less one", b"ffffffffffffffff\r\nhello\r\n" + END),
    broken("a size of 2^63", b"8000000000000000\r\nhello\r\n" + END),
    broken("no size", b"\r\nhello\r\n" + END),
    broken("a size that is no number", b"zz\r\nhello\r\n" + END),
    broken("a size with a prefix", b"0x5\r\nhello\r\n" + END),
    broken("a size with a plus sign", b"+5\r\nhello\r\n" + END),
    broken("a size with a minus sign", b"-5\r\nhello\r\n" + END),
    broken("a size with an underscore", b"0_5\r\nhello\r\n" + END),
    broken("a size with a point", b"5.0\r\nhello\r\n" + END),
    broken("a size behind a space", b" 5\r\nhello\r\n" + END),
    broken("a size behind a tab", b"\t5\r\nhello\r\n" + END),
    broken("a size before a space", b"5 \r\nhello\r\n" + END),
    broken("a size before a tab", b"5\t\r\nhello\r\n" + END),
    broken("two sizes", b"5 5\r\nhello\r\n" + END),
    broken("a size before a NUL", b"5\x00\r\nhello\r\n" + END),
    broken("a size before a comma", b"5,\r\nhello\r\n" + END),
    broken("a size in quotes", b'"5"\r\nhello\r\n' + END),
    broken("a size in full-width digits", b"\xef\xbc\x95\r\nhello\r\n" + END),
    broken("a last chunk with a minus sign", b"5\r\nhello\r\n-0\r\n\r\n", b"hello"),
    broken("a last chunk with a prefix", b"5\r\nhello\r\n0x0\r\n\r\n", b"hello"),
    # Extensions
    passes("an extension", chunked(b"5;a=b\r\nhello\r\n" + END), HELLO),
    passes("an extension without a value", chunked(b"5;a\r\nhello\r\n" + END), HELLO),
    passes("an extension in quotes", chunked(b'5;a="b c"\r\nhello\r\n' + END), HELLO),
    passes("several extensions", chunked(b"5;a=b;c=d\r\nhello\r\n" + END), HELLO),
    passes("an extension behind a space", chunked(b"5 ;a=b\r\nhello\r\n" + END), HELLO),
    passes("an extension of the last chunk", chunked(b"5\r\nhello\r\n0;a=b\r\n\r\n"), HELLO),
    passes("an extension that looks like a size", chunked(b"5;6\r\nhello\r\n" + END), HELLO),
    broken("an extension with a line feed", b"5;a\nb\r\nhello\r\n" + END),
    broken("an extension with a carriage return", b"5;a\rb\r\nhello\r\n" + END),
    broken("an extension with a NUL", b"5;a\x00b\r\nhello\r\n" + END),
    broken("an extension that ends in a line feed", b"5;a=b\nhello\r\n" + END),
    broken("an extension that ends in two carriage returns", b"5;a\r\r\nhello\r\n" + END),
    broken("an extension that hides a chunk behind a line feed", b"2;\nxx\r\n4c\r\nhello\r\n" + END),
    broken("an extension of 2000 bytes", b"5;" + b"a" * 2000 + b"\r\nhello\r\n" + END),
    broken("an extension of the last chunk with a line feed", b"5\r\nhello\r\n0;a\n\r\n\r\n", b"hello"),
    # Line ends
    broken("sizes that end in line feeds", b"5\nhello\n0\n\n"),
    broken("a size that ends in a carriage return", b"5\rhello\r\n" + END),
    broken("a size that ends in two carriage returns", b"5\r\r\nhello\r\n" + END),
    broken("a size that ends in LF CR", b"5\n\rhello\r\n" + END),
    broken("data that ends in a line feed", b"5\r\nhello\n" + END, b"hello"),
    broken("data that ends in a carriage return", b"5\r\nhello\r" + END, b"hello"),
    broken("data without an end", b"5\r\nhello" + END, b"hello"),
    broken("data that ends in two line ends", b"5\r\nhello\r\n\r\n" + END, b"hello"),
    broken("data that ends in any two bytes", b"5\r\nhelloXX" + END, b"hello"),
    broken("data longer than its size", b"3\r\nhello\r\n" + END, b"hel"),
    broken("data shorter than its size", b"7\r\nhello\r\n" + END, b"hello\r\n"),
    broken("a last chunk that ends in a line feed", b"5\r\nhello\r\n0\n\r\n", b"hello"),
    broken("an end of one line feed", b"5\r\nhello\r\n0\r\n\n", b"hello"),
    broken("an end of a carriage return and something else", b"5\r\nhello\r\n0\r\n\rX", b"hello"),
    Case("chunks that end too early", chunked(b"5\r\nhello\r\n"), (), (Received(b"POST", body=b"hello", whole=False),), ends=True),
    Case("a chunk that ends too early", chunked(b"9\r\nhello"), (), (Received(b"POST", body=b"hello", whole=False),), ends=True),
    Case("chunks without their empty line", chunked(b"5\r\nhello\r\n0\r\n"), (), (Received(b"POST", body=b"hello", whole=False),), ends=True),
    # Trailers
    passes("a trailer", trailers(b"X-Sum: 1\r\n"), Received(b"POST", body=b"hello", trailers=((b"X-Sum", b"1"),))),
    passes("two trailers", trailers(b"X-Sum: 1\r\nX-Other: 2\r\n"), Received(b"POST", body=b"hello", trailers=((b"X-Sum", b"1"), (b"X-Other", b"2")))),
    passes("a trailer that was announced", chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"Trailer: X-Sum\r\n"),
           Received(b"POST", body=b"hello", fields={b"trailer": None}, trailers=((b"X-Sum", b"1"),))),
    drops("Content-Length in the trailer", b"Content-Length: 50"),
    drops("Transfer-Encoding in the trailer", b"Transfer-Encoding: chunked"),
    drops("Host in the trailer", b"Host: other.example"),
    drops("Authorization in the trailer", b"Authorization: Bearer stolen"),
    drops("Proxy-Authorization in the trailer", b"Proxy-Authorization: Basic eA=="),
    drops("Cookie in the trailer", b"Cookie: a=b"),
    drops("Set-Cookie in the trailer", b"Set-Cookie: a=b"),
    drops("Content-Type in the trailer", b"Content-Type: text/html"),
    drops("Content-Encoding in the trailer", b"Content-Encoding: gzip"),
    drops("Content-Range in the trailer", b"Content-Range: bytes 0-1/2"),
    drops("X-Forwarded-For in the trailer", b"X-Forwarded-For: 192.0.2.1"),
    drops("Forwarded in the trailer", b"Forwarded: for=192.0.2.1"),
    drops("Connection in the trailer", b"Connection: close"),
    drops("Upgrade in the trailer", b"Upgrade: h2c"),
    drops("Expect in the trailer", b"Expect: 100-continue"),
    drops("TE in the trailer", b"TE: trailers"),
    drops("Remote-User in the trailer", b"Remote-User: root"),
    drops("Remote_User with an underscore in the trailer", b"Remote_User: root"),
    drops("Content_Length with an underscore in the trailer", b"Content_Length: 5"),
    drops("X-HTTP-Method-Override in the trailer", b"X-HTTP-Method-Override: DELETE"),
    drops("Mcp-Method in the trailer", b"Mcp-Method: tools/list"),
    drops("Cache-Control in the trailer", b"Cache-Control: no-store"),
    drops("If-Match in the trailer", b'If-Match: "a"'),
    drops("Max-Forwards in the trailer", b"Max-Forwards: 0"),
    passes("a trailer field that Connection names", chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Hop: 1\r\n\r\n", b"Connection: X-Hop\r\n"),
           Received(b"POST", body=b"hello", trailers=((b"X-Sum", b"1"),))),
    broken("a trailer line without a colon", b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n", b"hello"),
    broken("a trailer line without a name", b"5\r\nhello\r\n0\r\n: x\r\n\r\n", b"hello"),
    broken("a folded trailer", b"5\r\nhello\r\n0\r\nX-A: 1\r\n more\r\n\r\n", b"hello"),
    broken("a space before a trailer's colon", b"5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n", b"hello"),
    broken("a NUL in a trailer", b"5\r\nhello\r\n0\r\nX-A: \x00\r\n\r\n", b"hello"),
    broken("a carriage return in a trailer", b"5\r\nhello\r\n0\r\nX-A: a\rb\r\n\r\n", b"hello"),
    broken("a trailer that ends in a line feed", b"5\r\nhello\r\n0\r\nX-A: 1\n\r\n", b"hello"),
    broken("a request line in the trailer", b"5\r\nhello\r\n0\r\nGET /api/hidden HTTP/1.1\r\n\r\n", b"hello"),
    broken("a trailer beyond all limits", b"5\r\nhello\r\n0\r\nX-A: " + b"v" * 10_000 + b"\r\n\r\n", b"hello"),
    Case("a trailer of more fields than anybody sends", trailers(b"".join(b"X-%d: 1\r\n" % n for n in range(40))), (200,), (HELLO,), kept=True),
]
