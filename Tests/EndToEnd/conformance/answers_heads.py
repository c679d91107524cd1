"""Interim answers and status lines (RFC 9112 §4, RFC 9110 §15.2)."""

from .answer import CHUNKED, CLOSED, FINE, PLAIN, POISON, Answer, bad, good, head, once
from .recorder import CLOSE, RESET

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


def line(text: bytes) -> bytes:
    return head(b"Content-Length: 4\r\n", text) + b"fine"


CASES = [
    # Interim answers
    good("100 that nobody waits for", CONTINUE + FINE),
    good("103", HINTS + FINE),
    good("100, 103 and 102", CONTINUE + HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + FINE),
    good("ten times 100", CONTINUE * 10 + FINE),
    good("an interim answer nobody knows", b"HTTP/1.1 199 Whatever\r\n\r\n" + FINE),
    good("100 without a reason", b"HTTP/1.1 100 \r\n\r\n" + FINE),
    good("100 with a length of zero", b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n" + FINE),
    good("100 that announces chunks has no body", b"HTTP/1.1 100 Continue\r\n" + CHUNKED + b"\r\n" + FINE),
    good("103 with Set-Cookie", b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\n\r\n" + FINE, fields={b"set-cookie": None, b"link": None}),
    good("100 for a request with a body", CONTINUE + FINE, ask="post"),
    good("100 for HEAD", CONTINUE + head(b"Content-Length: 4\r\n"), ask="head", body=b"", fields={b"content-length": b"4"}),
    once("100 for a client of HTTP/1.0", CONTINUE + FINE, ask="old", end=CLOSED, reused=True),
    bad("100 with a body", b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello" + FINE),
    bad("100 with a length and chunks", b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n" + CHUNKED + b"\r\n" + FINE),
    bad("more than any number of interim answers", CONTINUE * 40 + FINE),
    bad("100 and nothing", CONTINUE, CLOSE),
    bad("100 and half a head", CONTINUE + b"HTTP/1.1 200 OK\r\nContent-", CLOSE),
    bad("100 and a broken head", CONTINUE + b"nonsense\r\n\r\n"),
    bad("100 with a broken field", b"HTTP/1.1 100 Continue\r\nX A: 1\r\n\r\n" + FINE),
    bad("101 that nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + FINE),
    bad("101 behind 100", CONTINUE + b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    bad("101 without fields", b"HTTP/1.1 101 \r\n\r\n"),
    # Status lines
    good("no reason", line(b"HTTP/1.1 200 ")),
    good("no reason and no space", line(b"HTTP/1.1 200")),
    good("a reason of several words", line(b"HTTP/1.1 200 All is fine")),
    good("a reason with a tab", line(b"HTTP/1.1 200 a\tb")),
    good("a reason beyond ASCII", line(b"HTTP/1.1 200 caf\xc3\xa9")),
    good("a status nobody knows", line(b"HTTP/1.1 299 X"), status=299),
    good("HTTP/1.2, read as 1.1", line(b"HTTP/1.2 200 OK")),
    good("599", line(b"HTTP/1.1 599 X"), status=599),
    good("an error in plain text", line(b"HTTP/1.1 500 X"), status=500),
    good("404", line(b"HTTP/1.1 404 X"), status=404),
    bad("099", line(b"HTTP/1.1 099 X")),
    bad("600", line(b"HTTP/1.1 600 X")),
    bad("999", line(b"HTTP/1.1 999 X")),
    bad("000", line(b"HTTP/1.1 000 X")),
    bad("two digits", line(b"HTTP/1.1 20 OK")),
    bad("four digits", line(b"HTTP/1.1 2000 OK")),
    bad("a status of letters", line(b"HTTP/1.1 abc OK")),
    bad("a status with a sign", line(b"HTTP/1.1 +20 OK")),
    bad("a status with a point", line(b"HTTP/1.1 20.0 OK")),
    bad("no status", line(b"HTTP/1.1 OK")),
    bad("two spaces before the status", line(b"HTTP/1.1  200 OK")),
    bad("a tab before the status", line(b"HTTP/1.1\t200 OK")),
    bad("a tab behind the status", line(b"HTTP/1.1 200\tOK")),
    bad("a space before the version", line(b" HTTP/1.1 200 OK")),
    bad("an empty line before the status line", b"\r\n" + FINE),
    bad("http/1.1 in small letters", line(b"http/1.1 200 OK")),
    bad("HTTP/2 200", line(b"HTTP/2 200 OK")),
    bad("HTTP/2.0", line(b"HTTP/2.0 200 OK")),
    bad("HTTP/0.9", line(b"HTTP/0.9 200 OK")),
    bad("HTTP/1.10", line(b"HTTP/1.10 200 OK")),
    bad("HTTP/1", line(b"HTTP/1 200 OK")),
    bad("ICY 200", line(b"ICY 200 OK")),
    bad("a NUL in the reason", line(b"HTTP/1.1 200 O\x00K")),
    bad("a control character in the reason", line(b"HTTP/1.1 200 O\x1bK")),
    bad("a carriage return in the reason", line(b"HTTP/1.1 200 O\rK")),
    bad("a status line that ends in a line feed", b"HTTP/1.1 200 OK\n" + PLAIN + b"Content-Length: 4\r\n\r\nfine"),
    bad("a request for an answer", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("a body without a head", b"<html>hello</html>", CLOSE),
    bad("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x28", CLOSE),
    bad("a frame of HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    bad("nothing at all", CLOSE, again=True),
    bad("nothing at all, and reset", RESET, again=True),
    bad("nothing at all to POST", CLOSE, ask="post"),
    bad("nothing at all to POST, and reset", RESET, ask="post"),
    bad("one byte", b"H", CLOSE),
    bad("half a status line", b"HTTP/1.1 20", CLOSE),
    bad("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE),
    bad("a head without its last line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", CLOSE),
    Answer("a good answer before a bad one", (FINE + b"nonsense",), reused=False),
    Answer("two good answers at once", (FINE + POISON,), reused=False),
]
