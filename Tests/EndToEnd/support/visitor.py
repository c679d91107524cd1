"""A user's browser (or MCP client) in front of the proxy: a cookie jar, and requests shaped as different callers send them."""

from __future__ import annotations

import json
import re
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
        answer = http.request(self.url, method, target, self.headers(kind, headers), body, timeout, **self.connection_options)
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
