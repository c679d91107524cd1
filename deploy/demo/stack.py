"""All parts of the demo together: provider, MCP server, page, proxy."""

from __future__ import annotations

import sys
from pathlib import Path

from page_server import PageServer
from processes import Service, answers, free_port
from provider import BASIC_SCOPE, CLIENT_ID, CLIENT_SECRET, FILES_SCOPE, MAIL_SCOPE, Provider
from proxy import Proxy

HERE = Path(__file__).resolve().parent


class McpServer:
    def __init__(self, directory: Path, provider: Provider, port: int):
        self.port = port
        self.service = Service("mcp-server", [sys.executable, HERE / "mcp_server.py"], directory / "mcp-server.log", environment={
            "PORT": str(port), "ISSUER": provider.issuer, "RESOURCE": self.url,
            "BASIC_SCOPE": BASIC_SCOPE, "FILES_SCOPE": FILES_SCOPE, "MAIL_SCOPE": MAIL_SCOPE})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> "McpServer":
        self.service.start(lambda: answers(f"http://127.0.0.1:{self.port}/health"))
        return self

    def stop(self) -> None:
        self.service.stop()


class Stack:
    """Starts the parts in order, `stop` ends them in reverse. `tell` hears a line a part."""

    def __init__(self, directory: Path, proxy_port: int | None = None, access_token_seconds: int = 1800, binary: Path | None = None,
                 changes: dict | None = None, tell=lambda line: None):
        self.directory, self.tell = directory, tell
        mcp_port, page_port = free_port(), free_port()
        resource = f"http://127.0.0.1:{mcp_port}/mcp"
        self.provider = Provider(directory / "provider", [resource], access_token_seconds=access_token_seconds)
        self.mcp = McpServer(directory, self.provider, mcp_port)
        self.page = PageServer(page_port, self.provider.origin)
        self.proxy = Proxy(directory / "proxy", {
            "oidc": {"issuer": self.provider.issuer, "client_id": CLIENT_ID, "scope": "openid profile email offline_access"},
            "routes": [
                {"path": "/mcp", "upstream": resource, "scope": BASIC_SCOPE, "resource": resource},
                {"path": "/", "upstream": f"http://127.0.0.1:{page_port}/", "authorization": "none", "session": "optional"},
            ],
            **(changes or {}),
        }, CLIENT_SECRET, port=proxy_port, binary=binary)
        self.started: list = []

    def _start(self, part, line: str) -> None:
        part.start()
        self.started.append(part)
        self.tell(line)

    def start(self) -> "Stack":
        try:
            self._start(self.provider, f"OpenID provider   {self.provider.issuer}  (Glewlwyd)")
            self.provider.register(self.proxy.url)
            self._start(self.mcp, f"MCP server        {self.mcp.url}  (official Python SDK)")
            self._start(self.page, f"page              http://127.0.0.1:{self.page.port}/")
            self._start(self.proxy, f"coatcheck         {self.proxy.url}/  (health and metrics: {self.proxy.admin_url})")
        except BaseException:
            self.stop()
            raise
        return self

    def services(self) -> list[Service]:
        return [self.provider.service, self.mcp.service, self.proxy.service]

    def stop(self) -> None:
        while self.started:
            self.started.pop().stop()
