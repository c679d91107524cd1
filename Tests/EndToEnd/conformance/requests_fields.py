"""Field lines: names, colons, white space, control characters, folding, limits (RFC 9110 §5, RFC 9112 §5)."""

from .case import REFUSAL, Received, passes, refused, request


def with_line(line: bytes) -> bytes:
    return request(fields=line + b"\r\n")


def carries(name: bytes, value: bytes | None) -> Received:
    return Received(fields={name: value})


CASES = [
    # What is fine
    passes("a field nobody knows", with_line(b"X-Some: thing"), carries(b"x-some", b"thing")),
    passes("an empty value", with_line(b"X-Some:"), carries(b"x-some", b"")),
    passes("no space behind the colon", with_line(b"X-Some:thing"), carries(b"x-some", b"thing")),
    passes("spaces and tabs around a value", with_line(b"X-Some: \t  thing \t "), carries(b"x-some", b"thing")),
    passes("a value of spaces alone", with_line(b"X-Some:   \t"), carries(b"x-some", b"")),
    passes("a tab inside a value", with_line(b"X-Some: a\tb"), carries(b"x-some", b"a\tb")),
    passes("colons in a value", with_line(b"X-Some: a: b: c"), carries(b"x-some", b"a: b: c")),
    passes("bytes beyond ASCII in a value", with_line(b"X-Some: caf\xc3\xa9 \xff"), carries(b"x-some", b"caf\xc3\xa9 \xff")),
    passes("a name of all characters a token may have", with_line(b"X!#$%&'*+-.^_`|~9: a"), carries(b"X!#$%&'*+-.^_`|~9", b"a")),
    passes("a name in any letters", with_line(b"x-SOME: a"), carries(b"x-some", b"a")),
    passes("quotes and backslashes in a value", with_line(b'X-Some: "a\\" b'), carries(b"x-some", b'"a\\" b')),
    passes("a long value", with_line(b"X-Some: " + b"v" * 20_000), carries(b"x-some", b"v" * 20_000)),
    passes("many fields within the limit", request(fields=b"".join(b"X-%d: a\r\n" % n for n in range(90))), carries(b"x-89", b"a")),
    passes("the same list in two fields", with_line(b"Accept: a/b\r\nAccept: c/d"), Received()),
    # Line ends
    refused("a field line that ends in a line feed", with_line(b"X-A: 1\nX-B: 2")),
    refused("a line feed inside a value with a framing field behind it", with_line(b"X-A: 1\nTransfer-Encoding: chunked")),
    refused("a carriage return inside a value", with_line(b"X-A: 1\rX-B: 2")),
    refused("two carriage returns before the line feed", with_line(b"X-A: 1\r")),
    refused("a head that ends in two line feeds", b"GET /api/x HTTP/1.1\r\nHost: @HOST@\n\n"),
    refused("a head that ends in CRLF and a line feed", b"GET /api/x HTTP/1.1\r\nHost: @HOST@\r\n\n"),
    refused("a head that ends in a line feed and CRLF", b"GET /api/x HTTP/1.1\r\nHost: @HOST@\n\r\n"),
    refused("a line feed before the carriage return", b"GET /api/x HTTP/1.1\r\nHost: @HOST@\n\r\n\r"),
    # Folding
    refused("a value folded with a space", with_line(b"X-A: 1\r\n more")),
    refused("a value folded with a tab", with_line(b"X-A: 1\r\n\tmore")),
    refused("a framing field folded under another", with_line(b"X-A: 1\r\n Transfer-Encoding: chunked")),
    refused("a folded Transfer-Encoding", with_line(b"Transfer-Encoding:\r\n chunked"), REFUSAL),
    refused("a folded Content-Length", with_line(b"Content-Length: 1\r\n 0")),
    refused("a first field line that is folded", b"GET /api/x HTTP/1.1\r\n X: y\r\nHost: @HOST@\r\n\r\n"),
    refused("a line of nothing but a space", with_line(b"X-A: 1\r\n ")),
    refused("a line of nothing but a tab", with_line(b"X-A: 1\r\n\t")),
    # Names
    refused("a space before the colon", with_line(b"X-A : 1")),
    refused("a tab before the colon", with_line(b"X-A\t: 1")),
    refused("a space in a name", with_line(b"X A: 1")),
    refused("no name", with_line(b": 1")),
    refused("no name and a space", with_line(b" : 1")),
    refused("no colon", with_line(b"X-A")),
    refused("an equals sign for a colon", with_line(b"X-A=1")),
    refused("a NUL in a name", with_line(b"X-\x00A: 1")),
    refused("a control character in a name", with_line(b"X-\x1fA: 1")),
    refused("a delete in a name", with_line(b"X-\x7fA: 1")),
    refused("a byte beyond ASCII in a name", with_line(b"X-\xe9: 1")),
    refused("a byte order mark before a name", with_line(b"\xef\xbb\xbfX-A: 1")),
    refused("a bracket in a name", with_line(b"X(A): 1")),
    refused("a slash in a name", with_line(b"X/A: 1")),
    refused("a quote in a name", with_line(b'"X-A": 1')),
    refused("a comma in a name", with_line(b"X-A,X-B: 1")),
    refused("a semicolon in a name", with_line(b"X-A;b: 1")),
    refused("a pseudo field of HTTP/2", with_line(b":authority: other")),
    refused("a vertical tab before a name", with_line(b"\x0bContent-Length: 5")),
    # Values
    refused("a NUL in a value", with_line(b"X-A: a\x00b")),
    refused("a NUL at the end of a value", with_line(b"X-A: a\x00")),
    refused("a control character in a value", with_line(b"X-A: a\x08b")),
    refused("an escape character in a value", with_line(b"X-A: \x1b[31m")),
    refused("a vertical tab in a value", with_line(b"X-A: a\x0bb")),
    refused("a form feed in a value", with_line(b"X-A: a\x0cb")),
    refused("a delete in a value", with_line(b"X-A: a\x7f")),
    # Limits
    refused("a head beyond all limits", with_line(b"X-A: " + b"v" * 40_000), 431),
    refused("a name beyond all limits", with_line(b"X" * 40_000 + b": 1"), 431),
    refused("a name longer than 64 KiB and no colon", with_line(b"X" * 70_000), 431),
    refused("more fields than allowed", request(fields=b"".join(b"X-%d: a\r\n" % n for n in range(120))), 431),
    refused("a field line that never ends", b"GET /api/x HTTP/1.1\r\nHost: @HOST@\r\nX-A: " + b"v" * 40_000, 431, hidden=False),
    # Fields of one value, twice
    refused("two types of content", request(b"POST /api/x HTTP/1.1", b"Content-Type: text/plain\r\nContent-Type: application/json\r\nContent-Length: 2\r\n", b"{}")),
    refused("the same type of content twice", request(b"POST /api/x HTTP/1.1", b"Content-Type: text/plain\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n", b"{}")),
    refused("two ranges", with_line(b"Range: bytes=0-1\r\nRange: bytes=2-3")),
    refused("two conditions on a range", with_line(b'If-Range: "a"\r\nIf-Range: "b"')),
    refused("two dates of If-Modified-Since", with_line(b"If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\nIf-Modified-Since: Sat, 29 Oct 1994 19:43:32 GMT")),
    refused("two dates of If-Unmodified-Since", with_line(b"If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\nIf-Unmodified-Since: Sat, 29 Oct 1994 19:43:32 GMT")),
    refused("two user agents", with_line(b"User-Agent: a\r\nUser-Agent: b")),
    refused("two Last-Event-ID", with_line(b"Last-Event-ID: 1\r\nLast-Event-ID: 2")),
    refused("two locations of content", with_line(b"Content-Location: /a\r\nContent-Location: /b")),
    refused("two ranges of content", request(b"PUT /api/x HTTP/1.1", b"Content-Range: bytes 0-1/4\r\nContent-Range: bytes 2-3/4\r\nContent-Length: 2\r\n", b"{}")),
]
