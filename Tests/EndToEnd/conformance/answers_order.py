"""Answers at the wrong time, answers to messages, and event streams: nobody gets what was meant for another."""

from .answer import CHUNKED, CLOSED, FINE, POISON, Answer, bad, cut, good, head, once
from .recorder import CLOSE, HALF_CLOSE, RESET

JSON = b"Content-Type: application/json\r\n"
RESULT = b'{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}'
EVENT = b"data: " + RESULT + b"\n\n"
MCP = {"ask": "call", "route": b"/mcp"}


def result(fields: bytes = b"Content-Length: %d\r\n" % len(RESULT), body: bytes = RESULT) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + JSON + fields + b"\r\n" + body


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def events(*bodies: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + CHUNKED + b"\r\n" + b"".join(chunk(body) for body in bodies) + end


def stream(name: str, *bodies: bytes, **more) -> Answer:
    return good(name, events(*bodies), body=b"".join(bodies), **MCP | more)


CASES = [
    # Bytes behind an answer
    once("an answer behind an answer", FINE + POISON),
    once("an answer behind chunks", head(CHUNKED) + b"4\r\nfine\r\n0\r\n\r\n" + POISON),
    once("a line end behind an answer", FINE + b"\r\n"),
    once("a line end behind chunks", head(CHUNKED) + b"4\r\nfine\r\n0\r\n\r\n\r\n"),
    once("a NUL behind an answer", FINE + b"\x00"),
    once("an interim answer behind an answer", FINE + b"HTTP/1.1 100 Continue\r\n\r\n"),
    once("ten answers behind an answer", FINE + POISON * 10),
    once("an answer behind an answer, said later", FINE, late=POISON),
    once("a byte behind an answer, said later", FINE, late=b"H"),
    once("an interim answer, said later", FINE, late=b"HTTP/1.1 100 Continue\r\n\r\n"),
    once("a line end, said later", FINE, late=b"\r\n"),
    once("an answer behind HEAD, said later", head(b"Content-Length: 4\r\n"), late=b"fine", ask="head", body=b""),
    once("a body behind 304, said later", b"HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\n", late=b"fine", status=304, body=b""),
    once("a closed connection behind an answer", FINE, CLOSE),
    once("a half-closed connection behind an answer", FINE, HALF_CLOSE),
    once("a refusal because of time, said later", FINE, late=b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    # Answers before a request
    good("an answer on an idle connection is nobody's", FINE, before=POISON),
    good("a byte on an idle connection", FINE, before=b"\x00"),
    good("a refusal because of time on an idle connection", FINE, before=b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    once("a greeting that is an answer: the answer proper is not the next one's", FINE, greeting=POISON, body=b"poison"),
    bad("a greeting of another protocol", FINE, greeting=b"220 mail.example ESMTP\r\n"),
    # Answers before the request is there
    Answer("a refusal before the body is there", (b"HTTP/1.1 413 X\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine",), 413, ask="begun", early=True, reused=False),
    Answer("a refusal before the chunks are there", (b"HTTP/1.1 413 X\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine",), 413, end=CLOSED, ask="begun chunks", early=True,
           reused=False),
    Answer("a good answer before the chunks are there", (FINE,), end=CLOSED, ask="begun chunks", early=True, reused=False),
    Answer("a refusal before the body is there, and a closed connection", (b"HTTP/1.1 413 X\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine", CLOSE), 413, end=CLOSED,
           ask="begun chunks", early=True, reused=False),
    cut("an answer that breaks off before the body is there", head(b"Content-Length: 9\r\n") + b"fine", CLOSE, body=b"fine", ask="begun chunks", early=True),
    bad("a broken answer before the body is there", b"nonsense\r\n\r\n", ask="begun chunks", early=True, end=CLOSED),
    # Answers to messages: held until they are whole
    good("a result", result(), body=RESULT, **MCP),
    good("a result in chunks", result(CHUNKED, chunk(RESULT) + b"0\r\n\r\n"), body=RESULT, **MCP),
    once("a result that ends with its connection", result(b"", RESULT), CLOSE, body=RESULT, **MCP),
    good("a result behind 100", b"HTTP/1.1 100 Continue\r\n\r\n" + result(), body=RESULT, **MCP),
    good("a result of no JSON", result(b"Content-Length: 4\r\n", b"fine"), **MCP),
    good("202 without a body", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", status=202, body=b"", **MCP),
    once("a result and another one", result() + result(), body=RESULT, **MCP),
    once("a result and another one later", result(), late=result(), body=RESULT, **MCP),
    bad("a result that is too short", result(b"Content-Length: 500\r\n"), CLOSE, **MCP),
    bad("a result that is too short, and reset", result(b"Content-Length: 500\r\n"), RESET, **MCP),
    bad("a result in chunks without an end", result(CHUNKED, chunk(RESULT)), CLOSE, **MCP),
    bad("a result in broken chunks", result(CHUNKED, b"x\r\n"), **MCP),
    bad("a result with two lengths", result(b"Content-Length: 5\r\nContent-Length: 46\r\n"), **MCP),
    bad("a result with a length and chunks", result(b"Content-Length: 5\r\n" + CHUNKED, chunk(RESULT) + b"0\r\n\r\n"), **MCP),
    bad("a result that is reset where its connection should end it", result(b"", RESULT), RESET, **MCP),
    once("a result with close", result(b"Connection: close\r\nContent-Length: %d\r\n" % len(RESULT)), body=RESULT, **MCP),
    # Event streams
    stream("one event", EVENT),
    stream("several events", EVENT, b": comment\n\n", b"id: 1\nevent: message\n" + EVENT),
    stream("events with CRLF", EVENT.replace(b"\n", b"\r\n")),
    stream("events with carriage returns", EVENT.replace(b"\n", b"\r")),
    stream("an event in three chunks", EVENT[:9], EVENT[9:20], EVENT[20:]),
    stream("events behind a byte order mark", b"\xef\xbb\xbf" + EVENT),
    stream("an event without its empty line", EVENT, b"data: rest\n"),
    stream("no event", b": nothing\n\n"),
    stream("an event with a NUL", b"data: a\x00b\n\n"),
    stream("an event that is not UTF-8", b"data: \xff\xfe\n\n"),
    stream("an event that looks like an answer", b"data: x\n\n", POISON + b"\n\n"),
    stream("events for GET", EVENT, ask="get"),
    stream("events on a route that is no MCP", EVENT, ask="get", route=b"/api"),
    once("events that end with their connection", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENT, CLOSE, body=EVENT, **MCP),
    good("events with a length", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(EVENT) + EVENT, body=EVENT, **MCP),
    good("events for a client of HTTP/1.0", events(EVENT), body=EVENT, ask="old", end=CLOSED),
    once("events and an answer behind them", events(EVENT) + POISON, body=EVENT, **MCP),
    once("events and an answer behind them later", events(EVENT), late=POISON, body=EVENT, **MCP),
    cut("events that break off between two", events(EVENT, end=b""), CLOSE, body=EVENT, **MCP),
    cut("events that break off inside one", events(EVENT, b"data: half", end=b""), CLOSE, body=EVENT + b"data: half", **MCP),
    cut("events that break off inside a chunk", events(EVENT, end=b"50\r\ndata"), CLOSE, body=EVENT + b"data", **MCP),
    cut("events that are reset", events(EVENT, end=b""), RESET, body=EVENT, **MCP),
    cut("events in a broken chunk", events(EVENT, end=b"x\r\n"), body=EVENT, **MCP),
    cut("events with a length that is too long", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 500\r\n\r\n" + EVENT, CLOSE, body=EVENT, **MCP),
    bad("events with two lengths", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\n" + EVENT, **MCP),
    bad("events in a coding nobody knows", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: x\r\n" + CHUNKED + b"\r\n" + chunk(EVENT) + b"0\r\n\r\n", **MCP),
    cut("events in a coding that is broken", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n" + CHUNKED + b"\r\n" + chunk(EVENT) + b"0\r\n\r\n", **MCP),
]
