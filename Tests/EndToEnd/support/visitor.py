"""A user's browser (or MCP client) in front of the proxy: a cookie jar, and requests shaped as different callers send them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from . import http
from .http import Response

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = "io.modelcontextprotocol/"
BOTH_KINDS = "application/json, text/event-stream"


def rpc(method: str, params: dict | None = None, id: object = 1, era: str = MODERN, capabilities: dict | None = None) -> tuple[dict, bytes]:
    """Header fields and body of one MCP request, as the official clients make them."""
    body: dict = {"jsonrpc": "2.0", "method": method}
    if id is not None:
        body["id"] = id
    params = dict(params or {})
    headers = {"Content-Type": "application/json", "Accept": BOTH_KINDS}
    if era == MODERN:
        params["_meta"] = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": capabilities or {}} | params.get("_meta", {})
        headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        if name := params.get("name") or params.get("uri"):
            headers["Mcp-Name"] = name
    elif method != "initialize":
        headers["MCP-Protocol-Version"] = LEGACY
    if params:
        body["params"] = params
    return headers, json.dumps(body).encode()


URL_MODE = {"elicitation": {"url": {}}}
"""Capabilities of a client that can show links."""

# How the proxy names its own request for input, and what it adds for programs.
CONSENT_INPUT = "coatcheck.consent"
CONSENT_META = "coatcheck/consent"
ACCEPTED = {CONSENT_INPUT: {"action": "accept"}}


def tool_call(tool: str, arguments: dict | None = None, **options) -> tuple[dict, bytes]:
    return rpc("tools/call", {"name": tool, "arguments": arguments or {}}, **options)


INITIALIZE = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Visitor:
    """Cookies of one browser profile at one proxy."""

    def __init__(self, proxy, provider, user: str = "harvey", **connection_options):
        self.proxy, self.provider, self.user = proxy, provider, user
        self.url: str = proxy.url
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        self.connection_options = connection_options

    # Shapes of requests

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def shape(self, kind: str) -> dict[str, str]:
        match kind:
            case "navigation":
                shape = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate",
                         "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
            case "script":
                shape = {"Accept": BOTH_KINDS, "Origin": self.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
            case "client":
                shape = {"Accept": BOTH_KINDS}
            case "form":
                shape = {"Accept": "text/html,*/*;q=0.8", "Origin": self.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate",
                         "Sec-Fetch-Dest": "document", "Content-Type": "application/x-www-form-urlencoded"}
            case _:
                shape = {}
        if self.cookies:
            shape["Cookie"] = self.cookie
        return shape

    def headers(self, kind: str, headers: dict | None) -> dict[str, str]:
        """`headers` over the shape's own; None removes a field."""
        result = self.shape(kind)
        for name, value in (headers or {}).items():
            for key in [key for key in result if key.lower() == name.lower()]:
                del result[key]
            if value is not None:
                result[name] = value
        return result

    def request(self, method: str, target: str, headers: dict | None = None, body: bytes | None = None, kind: str = "script",
                timeout: float = 10) -> Response:
        with self.connect(timeout) as connection:
            answer = connection.request(method, target, self.headers(kind, headers), body)
        self.keep(answer)
        return answer

    def keep(self, answer: Response) -> None:
        """Takes the cookies of an answer into the jar, as a browser does."""
        for line in answer.all("set-cookie"):
            self.set_cookies.append(line)
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            options = {key.strip().lower(): content.strip() for key, _, content in (a.partition("=") for a in attributes)}
            if not value or options.get("max-age") == "0" or "1970" in options.get("expires", ""):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    def navigate(self, target: str, headers: dict | None = None) -> Response:
        """A top-level navigation; redirects are not followed."""
        return self.request("GET", target, headers, kind="navigation")

    def connect(self, timeout: float = 10) -> http.Connection:
        return http.Connection(self.url, timeout, **self.connection_options)

    # Signing in

    def start_sign_in(self, return_to: str = "/") -> str:
        """Returns the authorization URL the browser is sent to."""
        from urllib.parse import quote
        answer = self.navigate(f"/auth/login?return_to={quote(return_to, safe='')}")
        assert answer.status == 303, answer
        return answer.location

    def path_of(self, url: str) -> str:
        assert url.startswith(self.url + "/"), f"{url} is not at {self.url}"
        parts = urlsplit(url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def come_back(self, callback_url: str) -> Response:
        """The browser's request to the callback, as a navigation that started at the provider."""
        return self.navigate(self.path_of(callback_url), {"Sec-Fetch-Site": "cross-site"})

    def pass_provider(self, answer: Response, scopes: list[str] | None = None) -> Response:
        """Follows a 303 to the provider, through it, and back to the proxy's callback."""
        assert answer.status == 303, answer
        assert answer.location.startswith(self.provider.origin), answer.location
        return self.come_back(self.provider.approve(answer.location, self.user, scopes))

    def sign_in(self, return_to: str = "/", scopes: list[str] | None = None) -> "Visitor":
        answer = self.come_back(self.provider.approve(self.start_sign_in(return_to), self.user, scopes))
        assert answer.status == 303, answer
        assert urljoin(self.url, answer.location) == urljoin(self.url, return_to), answer.location
        return self

    # Consent

    def open_link(self, url: str) -> Response:
        """A navigation to a consent link, as from a click in another program."""
        return self.navigate(local_path(self, url))

    def decide(self, url: str, decision: str = "continue") -> Response:
        """Presses a button of the page behind a consent link: continue, decline or done."""
        return self.request("POST", local_path(self, url), body=f"decision={decision}".encode(), kind="form")

    def consent_through(self, url: str, scopes: list[str] | None = None) -> Response:
        """Opens a consent link, agrees there and at the provider. Returns the answer of the callback."""
        page = self.open_link(url)
        assert page.status == 200 and 'value="continue"' in page.text, page
        return self.pass_provider(self.decide(url), scopes)

    def sign_out(self) -> Response:
        return self.request("POST", "/auth/logout", body=b"", kind="form")

    def session(self) -> dict:
        answer = self.request("GET", "/auth/session")
        assert answer.status in (200, 401), answer
        return answer.json()

    @property
    def signed_in(self) -> bool:
        body = self.session()
        assert {"authenticated", "signed_in"} & body.keys(), body
        return bool(body.get("authenticated", body.get("signed_in")))

    # MCP

    def rpc(self, method: str, params: dict | None = None, path: str = "/mcp", headers: dict | None = None, kind: str = "script",
            timeout: float = 10, **options) -> Response:
        fields, body = rpc(method, params, **options)
        return self.request("POST", path, fields | (headers or {}), body, kind, timeout)

    def call(self, tool: str = "whoami", arguments: dict | None = None, **options) -> Response:
        return self.rpc("tools/call", {"name": tool, "arguments": arguments or {}}, **options)

    def who(self, **options) -> str:
        """Whose token the upstream double saw."""
        answer = self.call(**options)
        assert answer.status == 200, answer
        return answer.json()["result"]["content"][0]["text"]

    def open_session(self, path: str = "/mcp") -> str:
        """A legacy `initialize`; returns the Mcp-Session-Id."""
        answer = self.rpc("initialize", INITIALIZE, path=path, era=LEGACY)
        assert answer.status == 200, answer
        return answer.header("mcp-session-id")


class Client:
    """An MCP client that sends a visitor's cookie. What it can do it says in a session of its own (2025-11-25) or in each request."""

    def __init__(self, visitor: Visitor, era: str = MODERN, capabilities: dict | None = None, path: str = "/mcp"):
        self.visitor, self.era, self.capabilities, self.path = visitor, era, capabilities or {}, path
        self.session: str | None = None
        if era == LEGACY:
            answer = visitor.rpc("initialize", INITIALIZE | {"capabilities": self.capabilities}, path, era=LEGACY, kind="client")
            self.session = answer.header("mcp-session-id")
            assert answer.status == 200 and self.session, answer

    def request(self, method: str, params: dict | None, headers: dict | None, id: object) -> tuple[dict, bytes]:
        fields, body = rpc(method, params, id, self.era, self.capabilities)
        if self.session:
            fields["Mcp-Session-Id"] = self.session
        return self.visitor.headers("client", fields | (headers or {})), body

    def rpc(self, method: str, params: dict | None = None, headers: dict | None = None, id: object = 1, path: str | None = None,
            timeout: float = 10) -> Response:
        fields, body = self.request(method, params, headers, id)
        with self.visitor.connect(timeout) as connection:
            return connection.request("POST", path or self.path, fields, body)

    def call(self, tool: str, arguments: dict | None = None, input: dict | None = None, **options) -> Response:
        """A tool call; `input` is what a client adds after an `input_required` result."""
        return self.rpc("tools/call", {"name": tool, "arguments": arguments or {}} | (input or {}), **options)

    def open(self, tool: str, arguments: dict | None = None, input: dict | None = None, id: object = 1, timeout: float = 10,
             late: bool = False) -> "Stream":
        """A tool call that is answered with a stream, up to its head. The body of a `late` one is sent when the head has been read."""
        fields, body = self.request("tools/call", {"name": tool, "arguments": arguments or {}} | (input or {}), None, id)
        return Stream(self.visitor, "POST", self.path, fields, body, timeout, late)

    def listen(self, timeout: float = 10) -> "Stream":
        """The session's own stream."""
        fields = {"Accept": "text/event-stream", "MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self.session}
        return Stream(self.visitor, "GET", self.path, self.visitor.headers("client", fields), None, timeout)


class Stream:
    """An event stream that is read bit by bit."""

    def __init__(self, visitor: Visitor, method: str, path: str, headers: dict, body: bytes | None, timeout: float = 10, late: bool = False):
        self.connection = visitor.connect(timeout)
        if late:
            self.connection.send_request(method, path, headers | {"Content-Length": str(len(body)), "Expect": "100-continue"})
            assert self.connection.read_line().startswith(b"HTTP/1.1 100 ") and self.connection.read_line() == b""
            self.connection.send(body)
        else:
            self.connection.send_request(method, path, headers, body)
        self.head = self.connection.read_head()
        assert self.head.status == 200 and self.head.header("content-type") == "text/event-stream", (
            self.head, b"".join(self.connection.chunks(self.head)))
        self.parts = (text for _, text in self.connection.events(self.head))

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()

    def messages(self):
        """The JSON-RPC messages as they arrive, without comments."""
        for part in self.parts:
            data = [line.removeprefix("data:").strip() for line in part.splitlines() if line.startswith("data:")]
            if data and data != [""]:
                yield json.loads("\n".join(data))

    def message(self) -> dict:
        """The next message."""
        return next(self.messages())

    def last(self) -> dict:
        """The only message that is left; the stream ends behind it."""
        one, = self.messages()
        return one


@dataclass
class Told:
    """What a caller was told about consent, in whatever form."""

    # urlElicitation, inputRequired, callAgain, toolResult or error.
    form: str
    message: dict
    data: dict
    # What a person reads.
    text: str
    url: str | None = None
    state: str | None = None
    elicitation: str | None = None

    @property
    def reason(self) -> str:
        return self.data["reason"]


def told(answer: Response | dict) -> Told:
    """Reads what a caller was told about consent out of an answer or a message."""
    body = answer if isinstance(answer, dict) else message_of(answer)
    assert body["jsonrpc"] == "2.0" and "id" in body, body
    if error := body.get("error"):
        assert isinstance(error["code"], int) and error["message"], body
        data = error.get("data", {})
        if error["code"] == -32042:
            one, = data["elicitations"]
            return Told("urlElicitation", body, data, one["message"], one["url"], None, one["elicitationId"])
        return Told("error", body, data, error["message"], data.get("interaction_url"))
    result = body["result"]
    data = result.get("_meta", {}).get(CONSENT_META, {})
    if result.get("resultType") == "input_required" and "inputRequests" not in result:
        return Told("callAgain", body, data, "", None, result["requestState"])
    if result.get("resultType") == "input_required":
        params = result["inputRequests"][CONSENT_INPUT]["params"]
        return Told("inputRequired", body, data, params["message"], params["url"], result["requestState"])
    assert result["isError"] is True and data, body
    return Told("toolResult", body, data, result["content"][0]["text"], data.get("interaction_url"))


def message_of(answer: Response) -> dict:
    """The JSON-RPC message of an answer, be it JSON or the last event of a stream."""
    kind = (answer.header("content-type") or "").split(";")[0]
    if kind == "text/event-stream":
        data = [line.removeprefix("data:").strip() for line in answer.text.splitlines() if line.startswith("data:")]
        assert data, answer
        return json.loads(data[-1])
    assert kind == "application/json", answer
    return answer.json()


def error_of(answer: Response, status: int | None = None) -> dict:
    """The JSON-RPC error of a refusal, checked for its fixed shape."""
    if status is not None:
        assert answer.status == status, answer
    body = message_of(answer)
    assert body["jsonrpc"] == "2.0" and "id" in body, body
    assert isinstance(body["error"]["code"], int) and isinstance(body["error"]["message"], str), body
    return body["error"]


def login_required(answer: Response) -> dict:
    error = error_of(answer, 401)
    assert answer.location is None
    assert error["code"] > 0, error
    assert error["data"]["reason"] == "login_required", error
    assert re.search(r"/auth/login", error["data"]["login_url"]), error
    return error["data"]


def consent_required(answer: Response) -> dict:
    assert answer.status < 500 and answer.location is None, answer
    error = error_of(answer)
    assert error["code"] > 0, error
    assert error["data"]["reason"] == "consent_required", error
    assert "/auth/continue?i=" in error["data"]["interaction_url"], error
    return error["data"]


def local_path(visitor: Visitor, url: str) -> str:
    """Path and query of a URL that must be of the proxy's own origin."""
    absolute = urljoin(visitor.url + "/", url)
    return visitor.path_of(absolute)


def give_consent(visitor: Visitor, answer: Response, scopes: list[str] | None = None) -> Response:
    """Opens the answer's interaction link and goes through the provider. Returns the answer of the callback."""
    return visitor.consent_through(consent_required(answer)["interaction_url"], scopes)
