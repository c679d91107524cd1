"""The requests of the benchmark, as bytes."""

from __future__ import annotations

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


def _sized(template: str, size: int) -> str:
    """`template` with its @ filled so that the whole is `size` bytes long."""
    if len(template) - 1 > size:
        raise SystemExit(f"{size} bytes are too few")
    return template.replace("@", "x" * (size - len(template) + 1))


def call(size: int) -> str:
    """The body of a tool call."""
    return _sized('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"@"}}}', size)


def result(size: int) -> str:
    """The body of its answer."""
    return _sized('{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"@"}],"isError":false}}', size)


def post(port: int, cookie: str, body: str) -> bytes:
    fields = HEADERS | {"Host": f"127.0.0.1:{port}", "Cookie": cookie, "Content-Length": str(len(body))}
    return _request("POST", fields) + body.encode()


def stream(port: int, cookie: str) -> bytes:
    """A request for an event stream, as MCP clients make it."""
    return _request("GET", {"Accept": "text/event-stream", "MCP-Protocol-Version": "2025-11-25", "Host": f"127.0.0.1:{port}", "Cookie": cookie})


def _request(method: str, fields: dict[str, str]) -> bytes:
    return (f"{method} /mcp HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value) + "\r\n").encode()
