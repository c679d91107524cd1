#!/usr/bin/env python3
"""The demo's MCP server, on the official Python SDK (Streamable HTTP at /mcp). It accepts only access tokens made for it, and says whose they are.

Settings (environment): PORT, ISSUER, RESOURCE (the audience), BASIC_SCOPE, FILES_SCOPE, MAIL_SCOPE.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Literal

import anyio
import jwt
import uvicorn
from mcp import MCPError, UrlElicitationRequiredError
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, ElicitRequestURLParams, TextContent
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PORT = int(os.environ["PORT"])
ISSUER = os.environ["ISSUER"]
RESOURCE = os.environ["RESOURCE"]
BASIC_SCOPE = os.environ["BASIC_SCOPE"]
FILES_SCOPE = os.environ["FILES_SCOPE"]
MAIL_SCOPE = os.environ["MAIL_SCOPE"]

Dialect = Literal["challenge", "entra", "json_rpc", "tool_result", "elicitation"]

FILES = {
    "harvey": ["merger-agreement.pdf", "closing-checklist.md", "record-collection.xlsx"],
    "kim": ["pro-bono-cases.md", "sandpiper-plans.pdf", "motion-to-dismiss.docx"],
}


class Tokens:
    """Checks signature, issuer, audience and life of a JWT access token."""

    def __init__(self) -> None:
        self.keys = jwt.PyJWKClient(f"{ISSUER}/jwks", cache_keys=True)

    def read(self, token: str) -> AccessToken | None:
        try:
            key = self.keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key.key, algorithms=["RS256", "ES256"], issuer=ISSUER, audience=RESOURCE)
        except Exception:
            return None
        return AccessToken(token=token, client_id=claims.get("client_id", "?"), scopes=claims.get("scope", "").split(),
                           expires_at=claims["exp"], subject=claims["sub"], resource=RESOURCE, claims=claims)

    async def verify_token(self, token: str) -> AccessToken | None:
        return await anyio.to_thread.run_sync(self.read, token)


tokens = Tokens()
server = MCPServer("coatcheck-demo", version="1.0", token_verifier=tokens, auth=AuthSettings(
    issuer_url=ISSUER, resource_server_url=RESOURCE, validate_token_resource=False, required_scopes=[BASIC_SCOPE]))


def user() -> str:
    token = get_access_token()
    return (token.claims or {}).get("preferred_username", token.subject) if token else "nobody"


@server.tool()
def whoami() -> dict[str, Any]:
    """Says whose token this call carried."""
    token = get_access_token()
    claims = token.claims or {}
    return {"user": user(), "name": claims.get("name"), "subject": token.subject, "scopes": token.scopes,
            "audience": claims.get("aud"), "token_id": claims.get("jti"), "expires_at": token.expires_at}


@server.tool()
def add(a: float, b: float) -> str:
    """Adds two numbers."""
    return f"{a + b:g}"


@server.tool()
def echo(text: str) -> str:
    """Gives the text back."""
    return text


@server.tool()
def request_headers(ctx: Context) -> dict[str, Any]:
    """Lists the HTTP header fields this call arrived with, except the token."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in ctx.request_context.request.scope["headers"]]
    return {"headers": [[name, "Bearer …" if name == "authorization" else value] for name, value in fields]}


@server.tool()
async def slow_stream(ctx: Context, seconds: float = 3, interval: float = 0.5) -> str:
    """Reports progress at every interval, then answers."""
    steps = max(1, round(seconds / interval))
    start = time.monotonic()
    for step in range(1, steps + 1):
        await anyio.sleep(interval)
        await ctx.report_progress(step, steps, f"step {step} of {steps}")
    return f"{user()} waited {time.monotonic() - start:.1f} s"


@server.tool()
def read_files(dialect: Dialect = "challenge") -> CallToolResult:
    """Lists your files. Needs a permission you have not given yet; the dialect is the way in which the server says so."""
    if FILES_SCOPE in get_access_token().scopes:
        files = FILES.get(user(), [])
        return CallToolResult(content=[TextContent(type="text", text=f"{user()}'s files: {', '.join(files)}")],
                              structured_content={"user": user(), "files": files})
    refusal = {"error": "consent_required", "error_description": "this tool reads files and needs one more scope", "scope": FILES_SCOPE}
    if dialect == "json_rpc":
        raise MCPError(-32001, "consent_required", refusal)
    if dialect == "elicitation":
        raise UrlElicitationRequiredError([ElicitRequestURLParams(
            message="Allow reading your files", url=f"{ISSUER}/auth?scope={FILES_SCOPE}", elicitation_id=os.urandom(8).hex())])
    return CallToolResult(is_error=True, content=[TextContent(type="text", text=json.dumps(refusal))], structured_content=refusal)


@server.tool()
def send_mail(to: str = "donna@example.test", text: str = "Lunch?") -> str:
    """Sends a mail in your name. Needs a permission of its own, and says so inside MCP."""
    if MAIL_SCOPE not in get_access_token().scopes:
        raise MCPError(-32001, "consent_required", {"error": "consent_required", "scope": MAIL_SCOPE})
    return f"sent to {to} in the name of {user()}: {text}"


class ScopeGate:
    """Refuses `read_files` before MCP sees the call, in the dialects that are plain HTTP answers. Also answers /health."""

    CHALLENGES = {
        "challenge": f'Bearer error="insufficient_scope", error_description="reading files needs one more scope", scope="{BASIC_SCOPE} {FILES_SCOPE}", '
                     f'resource_metadata="http://127.0.0.1:{PORT}/.well-known/oauth-protected-resource/mcp"',
        "entra": f'Bearer consentUri="{ISSUER}/auth?client_id=files&response_type=code&scope={FILES_SCOPE}", claims="", '
                 f'scopes="{FILES_SCOPE}", proposedAction="consent"',
    }

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/health":
            return await answer(send, 200, b"ok\n")
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        challenge = self.challenge(bytes(body))
        if challenge is not None:
            fields = dict(scope["headers"])
            token = await tokens.verify_token(fields.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer "))
            if token is not None and FILES_SCOPE not in token.scopes:
                return await answer(send, 403, b'{"error":"insufficient_scope"}', challenge)
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    def challenge(self, body: bytes) -> str | None:
        if b"read_files" not in body:
            return None
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            message = json.loads(body)
            if message["method"] == "tools/call" and message["params"]["name"] == "read_files":
                return self.CHALLENGES.get(message["params"].get("arguments", {}).get("dialect", "challenge"))
        return None


async def answer(send: Send, status: int, body: bytes, challenge: str | None = None) -> None:
    fields = [(b"content-type", b"application/json" if challenge else b"text/plain"), (b"content-length", str(len(body)).encode())]
    if challenge:
        fields.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


app = ScopeGate(server.streamable_http_app())

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", timeout_graceful_shutdown=1)
