"""A proxy with doubles of its own, for the tests of a module: each test takes a user that no other has."""

from __future__ import annotations

import itertools
from pathlib import Path

from proxy import Proxy, merged

from . import http
from .provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from .server import Background
from .upstream import EchoUpstream
from .visitor import Client, Visitor


class Scene:
    def __init__(self, binary: Path, background: Background, directory: Path, provider: type[FakeProvider] = FakeProvider):
        self.binary, self.directory = binary, directory
        self.provider = provider(background).start()
        self.upstream = EchoUpstream(background).start()
        self.proxies: list[Proxy] = []
        self.numbers = itertools.count(1)

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *_) -> None:
        codes = [one.stop() for one in self.proxies]
        self.provider.stop()
        self.upstream.stop()
        outputs = [one.output() for one in self.proxies]
        assert set(codes) <= {0}, (codes, [output[-2000:] for output in outputs])
        assert not any("CANARY" in output for output in outputs), "a secret in the log"

    def proxy(self, changes: dict | None = None, kind: type[Proxy] = Proxy) -> Proxy:
        config = {
            "oidc": {"issuer": self.provider.issuer, "client_id": CLIENT_ID, "scope": "openid profile offline_access"},
            "routes": [self.route("/mcp")],
        }
        directory = self.directory / f"proxy-{len(self.proxies)}"
        one = kind(directory, merged(config, changes or {}), CLIENT_SECRET, binary=self.binary).start()
        self.proxies.append(one)
        return one

    def route(self, path: str, **options) -> dict:
        return {"path": path, "upstream": self.upstream.url, "scope": "mcp.use"} | options

    def visitor(self, proxy: Proxy | None = None, user: str | None = None) -> Visitor:
        """Somebody new, signed in."""
        return Visitor(proxy or self.proxies[0], self.provider, user or f"user{next(self.numbers)}").sign_in()

    def client(self, *options, proxy: Proxy | None = None, **more) -> Client:
        """An MCP client of somebody new."""
        return Client(self.visitor(proxy), *options, **more)


def metric(proxy: Proxy, name: str) -> float:
    """One number of the proxy's metrics, without labels."""
    for line in http.request(proxy.admin_url, "GET", "/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")
