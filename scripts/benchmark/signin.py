"""Signing in through a peer as a browser would: redirects to the provider, which agrees at once, and back."""

from __future__ import annotations

import ssl
from urllib.parse import urljoin, urlsplit

from support import http
from support.provider import FakeProvider


class BenchProvider(FakeProvider):
    """The tests' provider double. Peers escape the client's secret in their own ways; that is not what is measured."""

    def __init__(self, background):
        super().__init__(background)
        self.check_client = lambda request: True

    @property
    def refreshes(self) -> int:
        return self.count["refresh_token"]


def anyone() -> ssl.SSLContext:
    """TLS without a look at the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Browser:
    """Cookies of one peer."""

    def __init__(self, origin: str):
        self.origin = origin
        self.cookies: dict[str, str] = {}
        self.options = {"tls": anyone()} if origin.startswith("https:") else {}

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, url: str) -> http.Response:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "User-Agent": "benchmark"}
        answer = http.request(self.origin, "GET", target, headers | ({"Cookie": self.cookie} if self.cookies else {}), **self.options)
        for line in answer.all("set-cookie"):
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            gone = not value or any(word.strip().lower() in ("max-age=0",) or "1970" in word for word in attributes)
            if gone:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer


def sign_in(origin: str, start: str, provider: FakeProvider, user: str = "harvey") -> str:
    """Returns the cookies of a session at the peer. `start` is where it sends a browser to the provider."""
    browser = Browser(origin)
    url, been = urljoin(origin, start), False
    for _ in range(8):
        answer = browser.get(url)
        if answer.status not in (302, 303, 307):
            raise RuntimeError(f"{url} did not lead to the provider and back: {answer}")
        url = urljoin(url, answer.location)
        if url.startswith(provider.origin):
            url, been = provider.approve(url, user), True
        elif been:
            return browser.cookie
    raise RuntimeError(f"too many redirects at {origin}")
