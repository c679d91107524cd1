"""An MCP server double that logs what reaches it and says what it is told to say."""

from __future__ import annotations

import gzip
import inspect
import json
import threading
import time
from collections import defaultdict, deque

from .provider import FakeProvider
from .server import Answer, Background, Request, Server, Wire

JSON = ("Content-Type", "application/json")
EVENTS = ("Content-Type", "text/event-stream")


def result(request: Request, text: str, **more) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": message_id(request), "result": {
        "content": [{"type": "text", "text": text}], "isError": False, **more}}).encode()


def message(request: Request) -> dict:
    try:
        value = json.loads(request.body)
        return value if isinstance(value, dict) else {}
    except ValueError:
        return {}


def message_id(request: Request):
    return message(request).get("id")


def event(data: dict | str, **fields: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in fields.items()]
    lines.append("data: " + (data if isinstance(data, str) else json.dumps(data)))
    return ("\n".join(lines) + "\n\n").encode()


# Answers to `tools/call`, each made from the request it answers.

def refuse(status: int, *challenges: str, body: bytes = b'{"error":"refused"}'):
    """An HTTP refusal with `WWW-Authenticate` fields."""
    return lambda request: Answer(status, [JSON] + [("WWW-Authenticate", challenge) for challenge in challenges], body)


def rpc_error(code: int, text: str, data: object = None, status: int = 200):
    def answer(request: Request) -> Answer:
        error = {"code": code, "message": text} | ({} if data is None else {"data": data})
        return Answer(status, [JSON], json.dumps({"jsonrpc": "2.0", "id": message_id(request), "error": error}).encode())
    return answer


def tool_error(structured: dict):
    def answer(request: Request) -> Answer:
        body = {"content": [{"type": "text", "text": json.dumps(structured)}], "structuredContent": structured, "isError": True}
        return Answer(200, [JSON], json.dumps({"jsonrpc": "2.0", "id": message_id(request), "result": body}).encode())
    return answer


def as_event(inner):
    """The JSON answer of `inner` as the one event of a stream."""
    def answer(request: Request) -> Answer:
        plain = inner(request)
        return Answer(200, [EVENTS], pieces=[(0, event(plain.body.decode(), event="message"))])
    return answer


def zipped(inner):
    def answer(request: Request) -> Answer:
        plain = inner(request)
        return Answer(plain.status, plain.fields + [("Content-Encoding", "gzip")], gzip.compress(plain.body))
    return answer


def before(inner, *messages: dict):
    """The JSON answer of `inner` as an event behind others."""
    def answer(request: Request) -> Answer:
        plain = inner(request)
        return Answer(200, [EVENTS], pieces=[(0, event(one)) for one in messages] + [(0, event(plain.body.decode(), event="message"))])
    return answer


def good(request: Request) -> Answer:
    return Answer(200, [JSON], result(request, "done"))


class Guarded:
    """Refuses calls until the token has `scope` (or, without one, until `open` is set), then carries them out. `ran` are those it did."""

    def __init__(self, scope: str | None, refusal, answer=good):
        self.scope, self.refusal, self.answer = scope, refusal, answer
        self.open = False
        self.ran: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        if self.open or (self.scope and self.scope in FakeProvider.scopes_of(request.header("authorization"))):
            self.ran.append(request)
            return self.answer(request)
        return self.refusal(request)


class SessionStreams:
    """Answers GET with streams that stay open, one or more a session, and sends into them what a test wants."""

    def __init__(self, upstream: "EchoUpstream"):
        self.upstream = upstream
        self.wires: dict[str, list[Wire]] = defaultdict(list)
        upstream.on_method("GET", self.serve)

    async def serve(self, request: Request, wire: Wire) -> None:
        # Before the head: whoever has read that may send at once.
        self.wires[request.header("mcp-session-id")].append(wire)
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.client_left()

    def send(self, session: str, message: dict) -> None:
        """Into every stream of a session."""
        piece = event(message)
        for wire in self.wires[session]:
            self.upstream.background.run(wire.write(b"%x\r\n%s\r\n" % (len(piece), piece)))


class EchoUpstream(Server):
    """By default every call is answered with whose token it carried. `on(tool, …)` scripts a tool, `on_method(…)` an MCP or HTTP method.

    A script is a row of answers, used up one a call; the last one stays. An answer is an `Answer`, a function of the request that gives
    one, or a coroutine function of (request, wire).
    """

    def __init__(self, background: Background):
        super().__init__(background)
        self.requests: list[Request] = []
        self.executed: dict[str, int] = defaultdict(int)
        self.departures: list[float] = []
        self.completions: list[float] = []
        self._scripts: dict[str, deque] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def on(self, tool: str, *answers) -> None:
        self._scripts[tool] = deque(answers)

    on_method = on

    def calls(self, tool: str) -> list[Request]:
        return [request for request in self.requests if (message(request).get("params") or {}).get("name") == tool]

    def forget(self) -> None:
        self.requests.clear()
        self.executed.clear()

    @property
    def last(self) -> Request:
        return self.requests[-1]

    @staticmethod
    def user_of(request: Request) -> str:
        """The user named in a token of the provider double (`CANARY-at~<user>~…`)."""
        words = (request.header("authorization") or "").split("~")
        return words[1] if len(words) > 2 else "nobody"

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        self.requests.append(request)
        call = message(request)
        params = call.get("params") if isinstance(call.get("params"), dict) else {}
        for key in (params.get("name"), call.get("method"), request.method):
            script = self._scripts.get(key)
            if script:
                self.executed[key] += 1
                answer = script.popleft() if len(script) > 1 else script[0]
                if inspect.iscoroutinefunction(answer):
                    return await answer(request, wire)
                return answer(request) if callable(answer) else answer
        self.executed[params.get("name") or call.get("method") or request.method] += 1
        return self.echo(request, call)

    def echo(self, request: Request, call: dict) -> Answer:
        if request.method == "HEAD":
            return Answer(200, [("Content-Type", "text/plain"), ("Content-Length", "5")])
        if not call:
            return Answer(200, [("Content-Type", "text/plain")], b"hello")
        if "id" not in call:
            return Answer(202)
        fields = [JSON]
        if call.get("method") == "initialize":
            fields.append(("Mcp-Session-Id", f"session-{self.user_of(request)}-{time.monotonic_ns()}"))
        return Answer(200, fields, result(request, self.user_of(request), seen={
            "method": request.method, "target": request.target, "fields": [f for f in request.fields if f[0].lower() != "authorization"]}))
