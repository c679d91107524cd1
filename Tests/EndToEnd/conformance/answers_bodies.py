"""Bodies of answers: framing, chunks, what is too short or too long, and answers without a body (RFC 9112 §6, §7)."""

from .answer import CHUNKED, CLOSED, FINE, PLAIN, POISON, Answer, bad, cut, good, head, once
from .recorder import CLOSE, HALF_CLOSE, RESET

END = b"0\r\n\r\n"
LARGE = bytes(range(256)) * 1200


def length(value: bytes, body: bytes = b"fine") -> bytes:
    return head(b"Content-Length: " + value + b"\r\n") + body


def coding(line: bytes, body: bytes = b"4\r\nfine\r\n" + END) -> bytes:
    return head(line + b"\r\n") + body


def chunks(body: bytes) -> bytes:
    return head(CHUNKED) + body


def trailers(lines: bytes) -> bytes:
    return chunks(b"4\r\nfine\r\n0\r\n" + lines + b"\r\n")


def broken(name: str, body: bytes, passed: bytes = b""):
    """A chunk that is none: the client gets what came before and no end."""
    return cut(name, chunks(body), body=passed)


def bare(status: bytes, fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b" X\r\n" + fields + b"\r\n"


CASES = [
    # Content-Length
    good("a length", length(b"4")),
    good("a length of zero", length(b"0", b""), body=b""),
    good("a length with white space", length(b" \t4\t ")),
    good("a length with leading zeros", length(b"0004")),
    good("300 KiB", length(b"%d" % len(LARGE), LARGE), body=LARGE),
    bad("two different lengths", head(b"Content-Length: 4\r\nContent-Length: 5\r\n") + b"fine!"),
    bad("the same length twice", head(b"Content-Length: 4\r\nContent-Length: 4\r\n") + b"fine"),
    bad("a list of lengths", length(b"4, 4")),
    bad("a list of different lengths", length(b"4, 5")),
    bad("a length with a plus sign", length(b"+4")),
    bad("a length with a minus sign", length(b"-4")),
    bad("a hexadecimal length", length(b"0x4")),
    bad("a length of letters", length(b"four")),
    bad("a length with a point", length(b"4.0")),
    bad("a length with a space in it", length(b"4 4")),
    bad("an empty length", length(b"")),
    bad("a length of 2^64", length(b"18446744073709551616")),
    bad("a length of forty digits", length(b"4" * 40)),
    bad("a length in full-width digits", length(b"\xef\xbc\x94")),
    bad("a length and chunks", head(b"Content-Length: 4\r\n" + CHUNKED) + b"4\r\nfine\r\n" + END),
    bad("chunks and a length", head(CHUNKED + b"Content-Length: 4\r\n") + b"4\r\nfine\r\n" + END),
    bad("chunks and a length of zero", head(CHUNKED + b"Content-Length: 0\r\n") + b"4\r\nfine\r\n" + END),
    # Transfer-Encoding
    good("chunked", coding(b"Transfer-Encoding: chunked")),
    good("chunked in capitals", coding(b"transfer-encoding: CHUNKED")),
    bad("gzip", coding(b"Transfer-Encoding: gzip")),
    bad("gzip and chunked", coding(b"Transfer-Encoding: gzip, chunked")),
    bad("chunked and gzip", coding(b"Transfer-Encoding: chunked, gzip")),
    bad("chunked twice", coding(b"Transfer-Encoding: chunked, chunked")),
    bad("chunked in two fields", coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
    bad("identity", coding(b"Transfer-Encoding: identity", b"fine"), CLOSE),
    bad("an empty coding", coding(b"Transfer-Encoding:")),
    bad("xchunked", coding(b"Transfer-Encoding: xchunked")),
    bad("chunked in quotes", coding(b'Transfer-Encoding: "chunked"')),
    bad("chunked with a parameter", coding(b"Transfer-Encoding: chunked;x=y")),
    bad("chunked behind a vertical tab", coding(b"Transfer-Encoding: \x0bchunked")),
    bad("chunked with a space before its colon", coding(b"Transfer-Encoding : chunked")),
    bad("chunked in HTTP/1.0", head(CHUNKED, b"HTTP/1.0 200 OK") + b"4\r\nfine\r\n" + END),
    # Until the connection closes
    once("no framing and a closed connection", head() + b"fine", CLOSE),
    once("no framing, half closed", head() + b"fine", HALF_CLOSE),
    once("no framing, nothing, and a closed connection", head(), CLOSE, body=b""),
    once("no framing and 300 KiB", head() + LARGE, CLOSE, body=LARGE),
    once("no framing, for a client of HTTP/1.0", head() + b"fine", CLOSE, ask="old", end=CLOSED),
    cut("no framing and a reset connection", head() + b"fine", RESET, body=b"fine"),
    cut("no framing and a reset connection, for a client of HTTP/1.0", head() + b"fine", RESET, body=b"fine", ask="old"),
    once("an answer behind one without framing is its body", head() + b"fine" + POISON, CLOSE, body=b"fine" + POISON),
    # HTTP/1.0
    once("HTTP/1.0 with a length", head(b"Content-Length: 4\r\n", b"HTTP/1.0 200 OK") + b"fine", CLOSE),
    once("HTTP/1.0 with a length, left open", head(b"Content-Length: 4\r\n", b"HTTP/1.0 200 OK") + b"fine"),
    once("HTTP/1.0 without a length", head(line=b"HTTP/1.0 200 OK") + b"fine", CLOSE),
    good("HTTP/1.0 that stays", head(b"Content-Length: 4\r\nConnection: keep-alive\r\n", b"HTTP/1.0 200 OK") + b"fine"),
    once("HTTP/1.0 that stays without a length", head(b"Connection: keep-alive\r\n", b"HTTP/1.0 200 OK") + b"fine", CLOSE),
    # Chunks
    good("an empty body in chunks", chunks(END), body=b""),
    good("four chunks", chunks(b"1\r\nf\r\n1\r\ni\r\n1\r\nn\r\n1\r\ne\r\n" + END)),
    good("leading zeros", chunks(b"0004\r\nfine\r\n000\r\n\r\n")),
    good("extensions", chunks(b'4;a=b;c="d"\r\nfine\r\n0;e\r\n\r\n')),
    good("300 KiB in chunks", chunks(b"%x\r\n%s\r\n" % (len(LARGE), LARGE) + END), body=LARGE),
    good("chunks for a client of HTTP/1.0", chunks(b"4\r\nfine\r\n" + END), ask="old", end=CLOSED, fields={b"transfer-encoding": None}),
    broken("a size that is no number", b"x\r\nfine\r\n" + END),
    broken("a size with a prefix", b"0x4\r\nfine\r\n" + END),
    broken("a size with a sign", b"+4\r\nfine\r\n" + END),
    broken("a size behind a space", b" 4\r\nfine\r\n" + END),
    broken("a size before a space", b"4 \r\nfine\r\n" + END),
    broken("a size of seventeen digits", b"00000000000000004\r\nfine\r\n" + END),
    broken("a size beyond 64 bits", b"fffffffffffffffff\r\nfine\r\n" + END),
    broken("a size of 2^63", b"8000000000000000\r\nfine\r\n" + END),
    broken("no size", b"\r\nfine\r\n" + END),
    broken("sizes that end in line feeds", b"4\nfine\n0\n\n"),
    broken("an extension with a line feed", b"4;a\nb\r\nfine\r\n" + END),
    broken("an extension with a NUL", b"4;\x00\r\nfine\r\n" + END),
    broken("data without an end", b"4\r\nfine" + END, b"fine"),
    broken("data that ends in a line feed", b"4\r\nfine\n" + END, b"fine"),
    broken("data longer than its size", b"2\r\nfine\r\n" + END, b"fi"),
    broken("data shorter than its size", b"9\r\nfine\r\n" + END + b"\r\n", b"fine\r\n0\r\n\r\n\r\n"),
    broken("a last chunk with a sign", b"4\r\nfine\r\n-0\r\n\r\n", b"fine"),
    broken("a status line for a chunk", b"4\r\nfine\r\n" + POISON, b"fine"),
    good("chunks that hold an answer are a body", chunks(b"%x\r\n%s\r\n" % (len(POISON), POISON) + END), body=POISON),
    # Trailers
    good("a trailer nobody knows", trailers(b"X-Sum: 1\r\n")),
    good("framing, cookies and challenges in a trailer", trailers(b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nWWW-Authenticate: Basic\r\n")),
    broken("a trailer without a colon", b"4\r\nfine\r\n0\r\nnonsense\r\n\r\n", b"fine"),
    broken("a folded trailer", b"4\r\nfine\r\n0\r\nX-A: 1\r\n more\r\n\r\n", b"fine"),
    broken("a NUL in a trailer", b"4\r\nfine\r\n0\r\nX-A: \x00\r\n\r\n", b"fine"),
    broken("a trailer that ends in a line feed", b"4\r\nfine\r\n0\r\nX-A: 1\n\r\n", b"fine"),
    broken("a trailer beyond all limits", b"4\r\nfine\r\n0\r\nX-A: " + b"v" * 10_000 + b"\r\n\r\n", b"fine"),
    broken("a status line in the trailer", b"4\r\nfine\r\n0\r\n" + POISON, b"fine"),
    # Too short
    cut("a length, and closed before it", length(b"500"), CLOSE, body=b"fine"),
    cut("a length, and half closed before it", length(b"500"), HALF_CLOSE, body=b"fine"),
    cut("a length, and reset before it", length(b"500"), RESET, body=b"fine"),
    cut("a length, and closed before any of it", length(b"500", b""), CLOSE),
    cut("one byte too few", length(b"5"), CLOSE, body=b"fine"),
    cut("closed inside a chunk", chunks(b"20\r\nfine"), CLOSE, body=b"fine"),
    cut("reset inside a chunk", chunks(b"20\r\nfine"), RESET, body=b"fine"),
    cut("closed inside a size", chunks(b"4\r\nfine\r\n1"), CLOSE, body=b"fine"),
    cut("closed before the last chunk", chunks(b"4\r\nfine\r\n"), CLOSE, body=b"fine"),
    cut("closed inside the last chunk", chunks(b"4\r\nfine\r\n0\r\n"), CLOSE, body=b"fine"),
    cut("closed inside a trailer", chunks(b"4\r\nfine\r\n0\r\nX-A: 1\r\n"), CLOSE, body=b"fine"),
    cut("closed before any chunk", chunks(b""), CLOSE),
    cut("closed too early, for a client of HTTP/1.0", length(b"500"), CLOSE, body=b"fine", ask="old"),
    cut("chunks closed too early, for a client of HTTP/1.0", chunks(b"20\r\nfine"), CLOSE, body=b"fine", ask="old"),
    # Without a body
    good("HEAD with a length", length(b"4", b""), ask="head", body=b"", fields={b"content-length": b"4"}),
    good("HEAD with chunks that do not come", chunks(b""), ask="head", body=b"", fields={b"transfer-encoding": None}),
    good("HEAD without framing", head(), ask="head", body=b""),
    once("HEAD with a body all the same", length(b"4"), ask="head", body=b""),
    once("HEAD with chunks all the same", chunks(b"4\r\nfine\r\n" + END), ask="head", body=b""),
    once("HEAD with an answer for a body", length(b"%d" % len(POISON), POISON), ask="head", body=b""),
    bad("HEAD with two lengths", head(b"Content-Length: 4\r\nContent-Length: 5\r\n"), ask="head"),
    good("204", bare(b"204"), status=204, body=b""),
    good("204 with a length of zero", bare(b"204", b"Content-Length: 0\r\n"), status=204, body=b"", fields={b"content-length": None}),
    once("204 with a length and no body", bare(b"204", b"Content-Length: 4\r\n"), status=204, body=b"", fields={b"content-length": None}),
    once("204 with a body", bare(b"204", b"Content-Length: 4\r\n") + b"fine", status=204, body=b""),
    once("204 with chunks", bare(b"204", CHUNKED) + b"4\r\nfine\r\n" + END, status=204, body=b"", fields={b"transfer-encoding": None}),
    once("204 with a body that comes later", bare(b"204", b"Content-Length: %d\r\n" % len(POISON)), late=POISON, status=204, body=b""),
    once("204 with an answer behind it", bare(b"204") + POISON, status=204, body=b""),
    good("304", bare(b"304", b'ETag: "a"\r\n'), status=304, body=b"", fields={b"etag": b'"a"'}),
    good("304 with a length", bare(b"304", b"Content-Length: 4\r\n"), status=304, body=b"", fields={b"content-length": b"4"}),
    once("304 with a body", bare(b"304", b"Content-Length: 4\r\n") + b"fine", status=304, body=b""),
    once("304 with chunks", bare(b"304", CHUNKED) + b"4\r\nfine\r\n" + END, status=304, body=b""),
    good("205 with a length of zero", bare(b"205", b"Content-Length: 0\r\n"), status=205, body=b""),
    good("206", b"HTTP/1.1 206 X\r\n" + PLAIN + b"Content-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\nfine", status=206, fields={b"content-range": b"bytes 0-3/9"}),
    good("an answer of a route without tokens", FINE, route=b"/public"),
    cut("a short answer of a route without tokens", length(b"500"), CLOSE, body=b"fine", route=b"/public"),
    Answer("one byte too many", (length(b"4", b"fine!"),), reused=False),
]
