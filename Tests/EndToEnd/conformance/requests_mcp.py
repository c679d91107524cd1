"""Requests with JSON-RPC in them: methods, types, fields that repeat the body, framing (MCP, transports)."""

import json

from .case import Case, HIDDEN, Received, answered, passes, refused, request

MODERN, LEGACY = b"2026-07-28", b"2025-11-25"
BODY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {}, "_meta": {
    "io.modelcontextprotocol/protocolVersion": MODERN.decode(), "io.modelcontextprotocol/clientCapabilities": {}}}}).encode()
OLD = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}'
JSON = b"Content-Type: application/json\r\n"
NAMES = b"MCP-Protocol-Version: " + MODERN + b"\r\nMcp-Method: tools/call\r\nMcp-Name: t\r\n"


def call(fields: bytes = JSON + NAMES, body: bytes = BODY, framing: bytes | None = None, verb: bytes = b"POST") -> bytes:
    return request(verb + b" /mcp HTTP/1.1", fields + (framing if framing is not None else b"Content-Length: %d\r\n" % len(body)), body)


def arrived(body: bytes = BODY, **fields) -> Received:
    return Received(b"POST", b"/mcp", body, fields={b"content-length": b"%d" % len(body), b"transfer-encoding": None} | fields)


def chunks(body: bytes, size: int = 40) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(body[n:n + size]), body[n:n + size]) for n in range(0, len(body), size)) + b"0\r\n\r\n"


def rejected(name: str, data: bytes, status: int = 400, kept: bool | None = True) -> Case:
    return answered(name, data, status, kept)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LONG = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"x":"' + b"l" * 90_000 + b'"}}}'

CASES = [
    passes("a call", call(), arrived()),
    passes("a call of the older era", call(JSON, OLD), arrived(OLD)),
    passes("a call in chunks goes with its length", call(body=chunks(BODY), framing=CHUNKED), arrived()),
    passes("a call in chunks of one byte", call(JSON, chunks(OLD, 1), framing=CHUNKED), arrived(OLD)),
    passes("a call in chunks with a trailer", call(JSON, chunks(OLD)[:-2] + b"X-Sum: 1\r\n\r\n", framing=CHUNKED), arrived(OLD)),
    passes("a call in chunks with a forbidden trailer", call(JSON, chunks(OLD)[:-2] + b"Authorization: Bearer x\r\n\r\n", framing=CHUNKED), arrived(OLD)),
    passes("a call too long to be looked at", call(JSON, LONG), arrived(LONG)),
    passes("a call too long to be looked at, in chunks", call(JSON, chunks(LONG, 30_000), framing=CHUNKED), Received(b"POST", b"/mcp", LONG)),
    passes("a call that waits to be asked for", call(JSON + b"Expect: 100-continue\r\n", OLD), arrived(OLD), interim=frozenset({(), (100,)})),
    passes("a type with a parameter", call(b"Content-Type: application/json; charset=utf-8\r\n", OLD), arrived(OLD)),
    passes("a type in capitals", call(b"Content-Type: APPLICATION/JSON\r\n", OLD), arrived(OLD)),
    passes("two calls in one go", call(JSON, OLD) + call(), arrived(OLD), arrived()),
    passes("a stream is asked for", request(b"GET /mcp HTTP/1.1", b"Accept: text/event-stream\r\n"), Received(target=b"/mcp")),
    passes("an Mcp-Param field", call(JSON + NAMES + b"Mcp-Param-Region: eu\r\n"), Received(b"POST", b"/mcp", BODY, fields={b"mcp-param-region": b"eu"})),
    passes("white space around Mcp-Method", call(JSON + NAMES.replace(b"tools/call", b" \ttools/call\t ")), arrived()),
    # Fields against the body
    rejected("Mcp-Method says something else", call(JSON + NAMES.replace(b"tools/call", b"tools/list"))),
    rejected("Mcp-Method in capitals", call(JSON + NAMES.replace(b"tools/call", b"TOOLS/CALL"))),
    rejected("Mcp-Name says something else", call(JSON + NAMES.replace(b"Mcp-Name: t", b"Mcp-Name: u"))),
    rejected("the version says something else", call(JSON + NAMES.replace(MODERN, LEGACY))),
    rejected("Mcp-Method twice", call(JSON + NAMES + b"Mcp-Method: tools/list\r\n")),
    rejected("the same Mcp-Method twice", call(JSON + NAMES + b"Mcp-Method: tools/call\r\n")),
    rejected("Mcp-Name twice", call(JSON + NAMES + b"Mcp-Name: u\r\n")),
    rejected("the version twice", call(JSON + NAMES + b"MCP-Protocol-Version: " + LEGACY + b"\r\n")),
    rejected("no Mcp-Method", call(JSON + b"MCP-Protocol-Version: " + MODERN + b"\r\nMcp-Name: t\r\n")),
    rejected("no Mcp-Name", call(JSON + b"MCP-Protocol-Version: " + MODERN + b"\r\nMcp-Method: tools/call\r\n")),
    rejected("no version of a call", call(JSON + b"Mcp-Method: tools/call\r\nMcp-Name: t\r\n")),
    rejected("a session nobody opened", call(JSON + b"Mcp-Session-Id: made-up\r\n", OLD), 404),
    rejected("two sessions", call(JSON + b"Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n", OLD), 404),
    rejected("two versions of a stream that is asked for", request(b"GET /mcp HTTP/1.1", b"Accept: text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nMCP-Protocol-Version: 2025-06-18\r\n")),
    rejected("two versions of a call too long to be looked at", call(JSON + b"MCP-Protocol-Version: 2025-11-25\r\nMCP-Protocol-Version: 2025-06-18\r\n", LONG), kept=None),
    rejected("two methods of a call too long to be looked at", call(JSON + NAMES + b"Mcp-Method: tools/list\r\n", LONG), kept=None),
    passes("Connection names Mcp-Method: judged and sent are the same", call(JSON + NAMES + b"Connection: Mcp-Method\r\n"),
           Received(b"POST", b"/mcp", BODY, fields={b"mcp-method": None})),
    # Bodies that are no message
    rejected("no body", call(JSON, b"")),
    rejected("no JSON", call(JSON, b"hello")),
    rejected("JSON and more behind it", call(JSON, OLD + b"{}")),
    rejected("two messages", call(JSON, OLD + b"\r\n" + OLD)),
    rejected("a request for a body", call(JSON, b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")),
    rejected("a member twice", call(JSON, OLD.replace(b'"id":1', b'"id":1,"method":"tools/list"'))),
    rejected("a NUL in the body", call(JSON, OLD + b"\x00")),
    rejected("a body in a coding", call(JSON + b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00")),
    # Types and methods
    rejected("a plain text", call(b"Content-Type: text/plain\r\n", OLD), 415),
    rejected("a form", call(b"Content-Type: application/x-www-form-urlencoded\r\n", OLD), 415),
    rejected("no type", call(b"", OLD), 415),
    rejected("a type that only begins like JSON", call(b"Content-Type: application/json-patch\r\n", OLD), 415),
    rejected("two types, one of them JSON", call(b"Content-Type: application/json\r\nContent-Type: text/plain\r\n", OLD), 400, kept=False),
    rejected("PUT of a message", call(JSON, OLD, verb=b"PUT"), 405),
    rejected("PATCH of a message", call(JSON, OLD, verb=b"PATCH"), 405),
    Case("HEAD where messages are spoken", request(b"HEAD /mcp HTTP/1.1"), (405,), kept=True, to_head=(True,)),
    # Framing that is refused before anything of it is read
    refused("a call with a length and chunks", call(JSON, chunks(OLD), framing=b"Content-Length: 5\r\n" + CHUNKED)),
    Case("a call with a broken chunk", call(JSON, b"5\r\nhello!\r\n0\r\n\r\n", framing=CHUNKED) + HIDDEN, (400,)),
    Case("a call whose chunks end too early", call(JSON, b"5\r\n{\"js", framing=CHUNKED), (), ends=True),
    Case("a call that ends too early", call(JSON, OLD, framing=b"Content-Length: 500\r\n"), (), ends=True),
]
