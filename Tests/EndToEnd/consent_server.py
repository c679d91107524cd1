#!/usr/bin/env python3
"""An MCP server on the official Python SDK whose tools all need consent, each saying so in another dialect, and that counts what it carries out.

Every tool takes a `tag`, under which its runs are counted. `foundry` and `own_link` wait for the server's own page to be opened, all others
for the scope in the token. Settings are those of the demo's server (environment).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from mcp import MCPError, UrlElicitationRequiredError
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ElicitRequestURLParams, TextContent
from pydantic import AnyHttpUrl
from starlette.authentication import AuthCredentials
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server import BASIC_SCOPE, FILES_SCOPE, ISSUER, PORT, RESOURCE, answer, tokens, user

CLAIMS = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
REFUSAL = {"error": "consent_required", "error_description": "one more scope is needed", "scope": FILES_SCOPE}
METADATA = f'resource_metadata="http://127.0.0.1:{PORT}/.well-known/oauth-protected-resource/mcp"'
BOTH = f"{BASIC_SCOPE} {FILES_SCOPE}"

# Refusals before MCP sees the call: status, challenge, body.
CHALLENGES = {
    "challenge": (403, f'Bearer error="insufficient_scope", scope="{BOTH}", {METADATA}', b'{"error":"insufficient_scope"}'),
    "claims": (401, f'Bearer realm="", error="insufficient_claims", scope="{BOTH}", claims="{base64.b64encode(json.dumps(CLAIMS).encode()).decode()}"', b""),
    "identity_web": (403, f'Bearer consentUri="{ISSUER}/auth?client_id=files&response_type=code&scope={FILES_SCOPE}", claims="", '
                          f'scopes="{BASIC_SCOPE},{FILES_SCOPE}", proposedAction="consent"', b""),
    # Glewlwyd's ID tokens have an `auth_time` of 0, so the one with an age cannot be met there.
    "step_up": (401, f'Bearer error="insufficient_user_authentication", scope="{BOTH}"', b'{"error":"insufficient_user_authentication"}'),
    "step_up_recent": (401, f'Bearer error="insufficient_user_authentication", scope="{BOTH}", max_age="600"', b""),
}

server = MCPServer("consent", version="1.0", token_verifier=tokens, auth=AuthSettings(
    issuer_url=ISSUER, resource_server_url=RESOURCE, validate_token_resource=False, required_scopes=[BASIC_SCOPE]))

runs: Counter[str] = Counter()
entries: Counter[str] = Counter()
# Links of the server's own: what each stands for, and what was allowed by opening one.
links: dict[str, tuple[str, str]] = {}
allowed: set[tuple[str, str]] = set()


def has_scope() -> bool:
    return FILES_SCOPE in get_access_token().scopes


def run(tag: str) -> CallToolResult:
    runs[tag] += 1
    return CallToolResult(content=[TextContent(type="text", text=f"done for {user()}")], structured_content={"user": user()})


def own_link(tag: str) -> str | None:
    """A link that the user still has to open; nil once it was."""
    if (user(), tag) in allowed:
        return None
    handle = os.urandom(12).hex()
    links[handle] = (user(), tag)
    return f"http://127.0.0.1:{PORT}/allow?i={handle}"


for name in (*CHALLENGES, "sdk_middleware"):
    # What reaches these has passed the gate below.
    def challenged(tag: str) -> CallToolResult:
        """Refused by HTTP until the token has the scope."""
        return run(tag)
    server.add_tool(challenged, name=name)


@server.tool()
def rpc_error(tag: str) -> CallToolResult:
    entries[tag] += 1
    if not has_scope():
        raise MCPError(-32001, "consent_required", REFUSAL)
    return run(tag)


@server.tool()
def tool_result(tag: str) -> CallToolResult:
    entries[tag] += 1
    if not has_scope():
        return CallToolResult(is_error=True, content=[TextContent(type="text", text=json.dumps(REFUSAL))])
    return run(tag)


@server.tool()
def tool_raises(tag: str) -> CallToolResult:
    entries[tag] += 1
    if not has_scope():
        raise ToolError(json.dumps(REFUSAL))
    return run(tag)


@server.tool()
def tool_meta(tag: str) -> CallToolResult:
    entries[tag] += 1
    if not has_scope():
        return CallToolResult(is_error=True, content=[TextContent(type="text", text="You have to allow more first.")],
                              _meta={"mcp/www_authenticate": [f'Bearer error="insufficient_scope", scope="{BOTH}", {METADATA}']})
    return run(tag)


@server.tool()
def foundry(tag: str) -> CallToolResult:
    entries[tag] += 1
    if link := own_link(tag):
        raise MCPError(-32006, link)
    return run(tag)


@server.tool()
def elicitation(tag: str) -> CallToolResult:
    entries[tag] += 1
    if link := own_link(tag):
        raise UrlElicitationRequiredError([ElicitRequestURLParams(message="Allow it here", url=link, elicitation_id=os.urandom(8).hex())])
    return run(tag)


@server.tool()
def count(tag: str) -> dict[str, Any]:
    """How often the tools were carried out, and entered, under a tag."""
    return {"runs": runs[tag], "entries": entries[tag]}


@server.resource("files://{tag}")
def files(tag: str) -> str:
    entries[tag] += 1
    if not has_scope():
        raise MCPError(-32001, "consent_required", REFUSAL)
    runs[tag] += 1
    return f"done for {user()}"


class Gate:
    """Refuses the challenged tools before MCP sees the call, and serves the server's own pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/health":
            return await answer(send, 200, b"ok\n")
        if scope["type"] == "http" and scope["path"] == "/allow":
            handle = parse_qs(scope["query_string"].decode()).get("i", [""])[0]
            if handle not in links:
                return await answer(send, 404, b"no such link\n")
            allowed.add(links[handle])
            return await answer(send, 200, b"allowed\n")
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        pending = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay():
            return pending.pop() if pending else await receive()

        tool = self.tool(bytes(body))
        token = await tokens.verify_token(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer "))
        if token is None or tool is None:
            return await self.app(scope, replay, send)
        if tool == "sdk_middleware":
            # The SDK's own guard names the scope in the description alone.
            guard = RequireAuthMiddleware(self.app, [FILES_SCOPE], build_resource_metadata_url(AnyHttpUrl(RESOURCE)))
            return await guard(dict(scope, user=AuthenticatedUser(token), auth=AuthCredentials(token.scopes)), replay, send)
        if tool in CHALLENGES and FILES_SCOPE not in token.scopes:
            status, challenge, text = CHALLENGES[tool]
            return await answer(send, status, text, challenge)
        await self.app(scope, replay, send)

    @staticmethod
    def tool(body: bytes) -> str | None:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            message = json.loads(body)
            return message["params"]["name"] if message["method"] == "tools/call" else None
        return None


if __name__ == "__main__":
    uvicorn.run(Gate(server.streamable_http_app()), host="127.0.0.1", port=PORT, log_level="warning", timeout_graceful_shutdown=1)
