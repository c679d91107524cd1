"""Two provider doubles behind one proxy, and people who choose between them."""

from __future__ import annotations

from urllib.parse import quote

from .http import Response
from .provider import CLIENT_ID, FakeProvider
from .server import Request
from .visitor import Visitor

NAMES = ("staff", "customers")


class Two:
    """Both providers, by name. It stands for one where only secrets count."""

    def __init__(self, **providers: FakeProvider):
        self.all = providers

    def __getitem__(self, name: str) -> FakeProvider:
        return self.all[name]

    @property
    def issued(self) -> list[str]:
        return [secret for one in self.all.values() for secret in one.issued]

    def source(self, request: Request) -> str | None:
        """Which provider gave the token of an upstream request."""
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        return next((name for name, one in self.all.items() if token in one.issued), None)

    def token_calls(self) -> int:
        return sum(one.count["/token"] for one in self.all.values())


def entry(name: str, provider: FakeProvider, **more) -> dict:
    """One element of `oidc`. The secret lies beside the configuration."""
    return {"name": name, "issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret_file": "client_secret"} | more


def two_config(two: Two, upstream, changes: dict | None = None) -> dict:
    """A route for the people of each provider, one for both, and pages of each."""
    return {
        "oidc": [entry(name, provider) for name, provider in two.all.items()],
        "routes": [
            {"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"},
            {"path": "/tools", "upstream": upstream.url, "scope": "tools.use", "provider": "staff"},
            {"path": "/orders", "upstream": upstream.url, "scope": "orders.read", "provider": "customers"},
            {"path": "/desk", "upstream": f"{upstream.origin}/pages", "authorization": "none", "provider": "staff"},
        ],
    } | (changes or {})


class Guest(Visitor):
    """Somebody with one browser and an account, or several, at each provider."""

    def __init__(self, proxy, two: Two, user: str = "harvey"):
        super().__init__(proxy, None, user)
        self.two = two

    def start_at(self, name: str, return_to: str = "/") -> str:
        """The authorization URL of a walk to that provider."""
        answer = self.navigate(f"/auth/login?provider={name}&return_to={quote(return_to, safe='')}")
        assert answer.status == 303 and answer.location.startswith(self.two[name].origin), answer
        self.provider = self.two[name]
        return answer.location

    def sign_in_at(self, name: str, return_to: str = "/") -> "Guest":
        answer = self.come_back(self.two[name].approve(self.start_at(name, return_to), self.user))
        assert answer.status == 303 and answer.location == return_to, answer
        return self

    def pass_on(self, answer: Response) -> Response:
        """Follows a redirect to an own address."""
        assert answer.status == 303 and answer.location.startswith("/"), answer
        return self.navigate(answer.location)
