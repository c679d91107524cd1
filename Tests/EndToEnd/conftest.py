"""Fixtures: the real counterparts once a run, the doubles and the proxy fresh for every test."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

import proxy as proxy_module
from processes import Service, answers, free_port
from provider import BASIC_SCOPE, FILES_SCOPE, MAIL_SCOPE, Provider
from provider import CLIENT_ID as REAL_CLIENT_ID, CLIENT_SECRET as REAL_CLIENT_SECRET
from proxy import Proxy, merged
from stack import Stack
from support.authority import Authority
from support.entra import OWN_SCOPE, EntraDouble
from support.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from support.providers import NAMES, Guest, Two, two_config
from support.server import Background
from support.upstream import EchoUpstream
from support.visitor import Visitor


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


@pytest.fixture(scope="session")
def background() -> Background:
    return Background()


@pytest.fixture(scope="session")
def binary() -> Path:
    try:
        return proxy_module.find_binary()
    except FileNotFoundError as error:
        pytest.exit(str(error), returncode=2)


# Doubles

@pytest.fixture
def provider(background):
    double = FakeProvider(background).start()
    yield double
    double.stop()


@pytest.fixture
def upstream(background):
    double = EchoUpstream(background).start()
    yield double
    double.stop()


@pytest.fixture
def other_upstream(background):
    double = EchoUpstream(background).start()
    yield double
    double.stop()


def test_config(provider, upstream, changes: dict | None = None) -> dict:
    """The configuration most tests run with: one route with a token, one page route without."""
    return merged({
        "oidc": {"issuer": provider.issuer, "client_id": CLIENT_ID, "scope": "openid profile offline_access"},
        "routes": [
            {"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"},
            {"path": "/pages", "upstream": f"{upstream.origin}/pages", "authorization": "none"},
            {"path": "/public", "upstream": f"{upstream.origin}/public", "authorization": "none", "session": "optional"},
        ],
    }, changes or {})


test_config.__test__ = False


def proxies(binary, provider, make_config, directory):
    """Starts proxies: `proxy()`, or `proxy({"tokens": {…}})` with changes to the configuration. Each is stopped as an operator would, must exit
    with 0 then, and nothing it wrote may hold a secret of the provider double."""
    started: list[Proxy] = []

    def start(changes: dict | None = None, **options) -> Proxy:
        one = Proxy(directory / f"proxy-{len(started)}", make_config(changes), CLIENT_SECRET, binary=binary, **options)
        one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        output = one.output()
        if not one.ended:
            crashed = not one.service.running
            code = one.stop()
            output = one.output()
            assert not crashed, f"the proxy ended by itself with {code}:\n{output[-3000:]}"
            assert code == 0, f"the proxy ended with {code}:\n{output[-3000:]}"
        leaked = [secret for secret in provider.issued if secret in output]
        assert not leaked and "CANARY" not in output, f"secrets in the log: {leaked}"


@pytest.fixture
def proxy(binary, provider, upstream, tmp_path):
    yield from proxies(binary, provider, lambda changes: test_config(provider, upstream, changes), tmp_path)


@pytest.fixture
def gateway(proxy) -> Proxy:
    """A proxy with the usual configuration."""
    return proxy()


@pytest.fixture
def visitor(gateway, provider):
    """Makes visitors of the usual proxy who are not signed in."""
    return lambda user="harvey": Visitor(gateway, provider, user)


@pytest.fixture
def sign_in(gateway, provider):
    """Makes signed-in visitors of the usual proxy."""
    return lambda user="harvey", **options: Visitor(gateway, provider, user).sign_in(**options)


@pytest.fixture
def harvey(sign_in) -> Visitor:
    return sign_in("harvey")


@pytest.fixture(scope="module")
def shared_visitor(binary, background, tmp_path_factory):
    """Visitors of one proxy that all tests of a module share: for tables of requests that leave nothing behind."""
    double, above = FakeProvider(background).start(), EchoUpstream(background).start()
    one = Proxy(tmp_path_factory.mktemp("shared"), test_config(double, above), CLIENT_SECRET, binary=binary).start()
    make = lambda user="harvey": Visitor(one, double, user)
    make.upstream, make.provider, make.proxy = above, double, one
    yield make
    code = one.stop()
    double.stop()
    above.stop()
    assert code == 0 and "CANARY" not in one.output()


@pytest.fixture(scope="module")
def shared_harvey(shared_visitor):
    return shared_visitor("harvey").sign_in()


# Microsoft Entra ID

@pytest.fixture
def entra(background):
    double = EntraDouble(background).start()
    yield double
    double.stop()


def entra_config(provider, upstream, other_upstream, changes: dict | None = None) -> dict:
    """Two APIs with a token each, and two that are called on behalf of the user."""
    return merged({
        "oidc": {"issuer": provider.issuer, "client_id": CLIENT_ID, "profile": "entra"},
        "routes": [
            {"path": "/files", "upstream": upstream.url, "scope": "api://files/read"},
            {"path": "/mail", "upstream": other_upstream.url, "scope": "api://mail/read"},
            {"path": "/calendar", "upstream": upstream.url, "scope": "api://calendar/read", "exchange": {"form": "on_behalf_of", "subject_scope": OWN_SCOPE}},
            {"path": "/tasks", "upstream": upstream.url, "scope": "api://tasks/read", "exchange": {"form": "on_behalf_of", "subject_scope": OWN_SCOPE}},
        ],
    }, changes or {})


@pytest.fixture
def entra_proxy(binary, entra, upstream, other_upstream, tmp_path):
    yield from proxies(binary, entra, lambda changes: entra_config(entra, upstream, other_upstream, changes), tmp_path)


@pytest.fixture(scope="module")
def shared_entra(binary, background, tmp_path_factory):
    """One double, one proxy and two upstreams for tables of refusals: each test signs somebody in anew."""
    double, above, other = EntraDouble(background).start(), EchoUpstream(background).start(), EchoUpstream(background).start()
    starting = proxies(binary, double, lambda changes: entra_config(double, above, other, changes), tmp_path_factory.mktemp("entra"))
    double.proxy, double.upstream, double.other_upstream = next(starting)(), above, other
    yield double
    next(starting, None)
    for one in (double, above, other):
        one.stop()


# Several providers

@pytest.fixture
def two(background):
    both = Two(**{name: FakeProvider(background).start() for name in NAMES})
    yield both
    for one in both.all.values():
        one.stop()


@pytest.fixture
def two_proxy(binary, two, upstream, tmp_path):
    yield from proxies(binary, two, lambda changes: two_config(two, upstream, changes), tmp_path)


@pytest.fixture
def guest(two_proxy, two):
    """Makes people of one proxy with two providers."""
    one = two_proxy()
    return lambda user="harvey": Guest(one, two, user)


# TLS

@pytest.fixture
def authority(tmp_path) -> Authority:
    """An authority whose files are in the test's directory."""
    return Authority(tmp_path)


# Real counterparts

@pytest.fixture(scope="session")
def stack(binary, tmp_path_factory):
    """Glewlwyd, the SDK's MCP server, the demo page and the proxy before them."""
    real = Stack(tmp_path_factory.mktemp("stack"), binary=binary).start()
    yield real
    real.stop()


@pytest.fixture(scope="session")
def real_sign_in(stack):
    """Signs a user of the real provider in, with plain HTTP."""
    return lambda user: Visitor(stack.proxy, stack.provider, user).sign_in()


@pytest.fixture(scope="session")
def chromium():
    from browser import chromium as launch
    with launch() as browser:
        yield browser


class ConsentStack:
    """The real provider, the server whose tools all need consent (`consent_server.py`), and a proxy before it.

    `proxy` keeps its links for long, `brief` for as short as may be. On the route `/linked` the server's own links may be shown.
    """

    def __init__(self, directory: Path, binary: Path):
        port = free_port()
        self.server_origin = f"http://127.0.0.1:{port}"
        resource = f"{self.server_origin}/mcp"
        self.provider = Provider(directory / "provider", [resource])
        self.server = Service("consent-server", [sys.executable, Path(__file__).parent / "consent_server.py"], directory / "server.log", environment={
            "PORT": str(port), "ISSUER": self.provider.issuer, "RESOURCE": resource,
            "BASIC_SCOPE": BASIC_SCOPE, "FILES_SCOPE": FILES_SCOPE, "MAIL_SCOPE": MAIL_SCOPE,
            "PYTHONPATH": str(proxy_module.ROOT / "deploy" / "demo")})
        route = {"path": "/mcp", "name": "The Files", "upstream": resource, "scope": BASIC_SCOPE, "resource": resource}
        linked = {**route, "path": "/linked", "downstream_consent": "upstream_link", "consent_link_hosts": ["127.0.0.1"]}
        config = {"oidc": {"issuer": self.provider.issuer, "client_id": REAL_CLIENT_ID, "scope": "openid profile offline_access"}, "routes": [route, linked]}
        self.proxy = Proxy(directory / "proxy", config, REAL_CLIENT_SECRET, binary=binary)
        self.brief = Proxy(directory / "brief", merged(config, {"consent": {"link_lifetime": "10s", "hold": "0s"}}), REAL_CLIENT_SECRET, binary=binary)

    def start(self) -> "ConsentStack":
        self.provider.start()
        for one in (self.proxy, self.brief):
            self.provider.register(one.url)
        self.server.start(lambda: answers(f"{self.server_origin}/health"))
        for one in (self.proxy, self.brief):
            one.start()
        return self

    def stop(self) -> None:
        codes = [one.stop() for one in (self.brief, self.proxy)]
        self.server.stop()
        self.provider.stop()
        assert codes == [0, 0], codes


@pytest.fixture(scope="session")
def consent_stack(binary, tmp_path_factory):
    real = ConsentStack(tmp_path_factory.mktemp("consent-stack"), binary).start()
    yield real
    real.stop()
