"""Certificates that the proxy presents to upstreams."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import ssl
import subprocess

import pytest

from processes import Service, free_port, listens, wait_until
from support.authority import Authority
from support.upstream import EchoUpstream
from support.visitor import Visitor, error_of


class Demanding(EchoUpstream):
    """An upstream that serves nobody without a certificate of `authority`, and notes whose each request came with."""

    def __init__(self, background, front: Authority, authority: Authority, label: str):
        super().__init__(background)
        self.names: list[str] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*front.issue(label, "127.0.0.1"))

        async def listen():
            return await asyncio.start_server(self._note, "127.0.0.1", 0, limit=1 << 20, ssl=context)
        self._server = background.run(listen())
        self.port = self._server.sockets[0].getsockname()[1]

    async def _note(self, reader, writer):
        subject = writer.get_extra_info("peercert")["subject"]
        self.names.append(dict(pair[0] for pair in subject)["commonName"])
        await self._serve(reader, writer)


@pytest.fixture
def clients(tmp_path) -> Authority:
    return Authority(tmp_path / "clients", "authority of clients")


@pytest.fixture
def demanding(background, authority, clients):
    started: list[Demanding] = []

    def start(label: str = "above") -> Demanding:
        started.append(Demanding(background, authority, clients, label))
        return started[-1]
    yield start
    for one in started:
        one.stop()


def route(path: str, port: int, ca, pair=None) -> dict:
    made = {"path": path, "upstream": f"https://127.0.0.1:{port}/mcp", "scope": "mcp.use", "ca_file": str(ca)}
    return made | ({"client_certificate_file": str(pair[0]), "client_private_key_file": str(pair[1])} if pair else {})


def test_an_upstream_gets_the_certificate_it_demands(proxy, provider, authority, clients, demanding):
    above = demanding()
    one = proxy({"routes": [route("/mcp", above.port, authority.ca, clients.issue("coat", "coat.example"))]})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.who() == "harvey"
    assert above.names == ["coat"]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("presents", ["nothing", "a certificate of a stranger"])
def test_without_the_right_certificate_there_is_no_call_and_the_log_says_why(proxy, provider, authority, clients, tmp_path, presents, version):
    """With TLS 1.3 the upstream refuses after the handshake is through for us."""
    certificate, key = authority.issue("above", "127.0.0.1")
    port = free_port()
    service = Service("s_server", ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, "-CAfile", clients.ca,
                                   "-Verify", "1", "-verify_return_error", "-www", version], tmp_path / "s_server.log").start(lambda: listens(port))
    try:
        pair = authority.issue("stranger", "coat.example") if presents != "nothing" else None
        one = proxy({"routes": [route("/mcp", port, authority.ca, pair)]})
        answer = Visitor(one, provider).sign_in().call()
        assert answer.status == 502, answer
        error_of(answer)
        line = wait_until(lambda: next((line for line in one.output().splitlines() if "upstream gave no answer" in line), None), "the log")
        # As the upstream says it: of one it does not know, or of none at all.
        assert re.search("alert (unknown ca|certificate required|handshake failure)" if pair else "alert (certificate required|handshake failure)", line), line
    finally:
        service.stop()


def test_routes_with_different_certificates_never_share_a_connection(proxy, provider, authority, clients, demanding):
    """To one and the same upstream, so that only the certificate tells them apart."""
    above = demanding()
    one = proxy({"workers": 1, "routes": [
        route("/first", above.port, authority.ca, clients.issue("first", "coat.example")),
        route("/second", above.port, authority.ca, clients.issue("second", "coat.example"))]})
    harvey = Visitor(one, provider).sign_in()
    for path in ["/first", "/second"] * 4:
        assert harvey.who(path=path) == "harvey"
    # The connections were kept: one for each certificate, no more.
    assert sorted(above.names) == ["first", "second"]


def test_a_certificate_goes_to_its_own_upstream_alone(proxy, provider, authority, clients, demanding):
    above, other = demanding("above"), demanding("other")
    one = proxy({"routes": [route("/mcp", above.port, authority.ca, clients.issue("coat", "coat.example")), route("/other", other.port, authority.ca)]})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.who() == "harvey"
    assert harvey.call(path="/other").status == 502
    assert other.requests == [] and other.names == []


def test_a_renewed_certificate_is_presented_to_the_upstream(proxy, provider, authority, clients, demanding):
    above = demanding()
    pair = clients.issue("coat", "coat.example")
    one = proxy({"routes": [route("/mcp", above.port, authority.ca, pair)], "timeouts": {"upstream_idle": "100ms"}})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.who() == "harvey"
    for new, old in zip(clients.issue("renewed", "coat.example"), pair):
        shutil.copy(new, old)
    one.service.signal(signal.SIGHUP)
    wait_until(lambda: "certificates read again" in one.output(), "the files to be read")
    wait_until(lambda: harvey.who() and above.names[-1] == "renewed", "the new certificate to be presented")


NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_client_certificate {ca}; ssl_verify_client on;
    location / {{ default_type application/json; return 200 '{{"name": "$ssl_client_s_dn"}}'; }}
  }}
}}
"""


def test_nginx_takes_the_certificate_for_what_it_is(proxy, provider, authority, clients, tmp_path):
    certificate, key = authority.issue("above", "127.0.0.1")
    port = free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(port=port, certificate=certificate, key=key, ca=clients.ca))
    service = Service("nginx", ["/usr/sbin/nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], tmp_path / "nginx.log")
    service.start(lambda: listens(port))
    try:
        pages = route("/pages", port, authority.ca, clients.issue("coat", "coat.example")) | {"authorization": "none", "scope": None, "session": "optional"}
        bare = pages | {"path": "/bare", "client_certificate_file": None, "client_private_key_file": None}
        drop = lambda made: {name: value for name, value in made.items() if value is not None}
        one = proxy({"routes": [drop(pages), drop(bare)]})
        visitor = Visitor(one, provider)
        assert json.loads(visitor.navigate("/pages").body) == {"name": "CN=coat"}
        # nginx shakes hands without a certificate, and refuses the request.
        assert visitor.navigate("/bare").status == 400
    finally:
        service.stop()


# Configuration

def check(binary, tmp_path, provider, changes: dict) -> subprocess.CompletedProcess:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    file = tmp_path / "checked.json"
    file.write_text(json.dumps({
        "listen": "127.0.0.1:1", "public_url": "http://localhost:1", "session": {"store": {"type": "memory"}},
        "oidc": {"issuer": provider.issuer, "client_id": "c", "client_secret_file": str(secret)},
        "routes": [{"path": "/mcp", "upstream": "https://127.0.0.1:2/mcp", "scope": "mcp.use"} | changes]}))
    return subprocess.run([binary, "run", file], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("change, reason", [
    ({"client_private_key_file": None}, 'client_private_key_file: is missing'),
    ({"client_certificate_file": None}, 'client_certificate_file: is missing'),
    ({"upstream": "http://127.0.0.1:2/mcp"}, "must not be there with an http upstream"),
    ({"client_certificate_file": "absent.crt"}, "does not exist"),
    ({"client_private_key_file": "OTHER"}, "key values mismatch")])
def test_a_pair_of_no_use_keeps_the_proxy_from_starting(binary, tmp_path, provider, clients, change, reason):
    pair, other = clients.issue("coat", "coat.example"), clients.issue("other", "coat.example")
    made = {"client_certificate_file": str(pair[0]), "client_private_key_file": str(pair[1])} | change
    if made["client_private_key_file"] == "OTHER":
        made["client_private_key_file"] = str(other[1])
    ended = check(binary, tmp_path, provider, {name: value for name, value in made.items() if value is not None})
    assert ended.returncode == 78, ended
    assert reason in ended.stderr, ended.stderr
