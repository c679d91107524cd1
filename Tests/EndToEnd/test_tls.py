"""TLS in front and to the upstream."""

from __future__ import annotations

import socket
import ssl

import pytest

from processes import free_port
from support.upstream import EchoUpstream
from support.visitor import Visitor, error_of, tool_call


@pytest.fixture
def secure(proxy, authority, provider):
    """A proxy that serves https on loopback, and visitors that trust it."""
    certificate, key = authority.issue("front", "127.0.0.1", "localhost")
    port = free_port()
    one = proxy({"public_url": f"https://127.0.0.1:{port}", "tls": {"certificate_file": str(certificate), "private_key_file": str(key)}}, port=port)
    trust = ssl.create_default_context(cafile=authority.ca)

    def visitor(user="harvey"):
        made = Visitor(one, provider, user, tls=trust)
        made.url = f"https://127.0.0.1:{port}"
        return made

    visitor.proxy, visitor.trust = one, trust
    return visitor


def test_a_user_signs_in_and_calls_over_tls_with_a_host_bound_cookie(secure, upstream):
    harvey = secure().sign_in()
    assert harvey.who() == "harvey"
    name = next(iter(harvey.cookies))
    assert name.startswith("__Host-")
    line = next(line for line in harvey.set_cookies if line.startswith(name + "=")).lower()
    for attribute in ("secure", "httponly", "path=/", "samesite="):
        assert attribute in line
    assert "domain" not in line
    assert all("secure" in line.lower() and line.startswith("__Host-") for line in harvey.set_cookies)
    assert upstream.last.header("x-forwarded-proto") == "https"
    assert "max-age" in (harvey.navigate("/auth/").header("strict-transport-security") or "")


@pytest.mark.parametrize("version, works", [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)])
def test_tls_versions(secure, version, works):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(secure.proxy.directory.parent / "ca.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version = context.maximum_version = version
    if version == ssl.TLSVersion.TLSv1_1:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", secure.proxy.port), 5), server_hostname="127.0.0.1") as stream:
            assert works
            assert stream.selected_alpn_protocol() == "http/1.1"
    except ssl.SSLError:
        assert not works


def test_a_tls_session_is_resumed(secure):
    context = secure.trust
    session = None
    reused = []
    for _ in range(3):
        with context.wrap_socket(socket.create_connection(("127.0.0.1", secure.proxy.port), 5), server_hostname="127.0.0.1", session=session) as stream:
            stream.sendall(b"GET /auth/session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            stream.recv(4096)
            reused.append(stream.session_reused)
            session = stream.session
    assert reused[0] is False and reused[-1] is True


def test_plain_http_on_the_tls_port_is_turned_away(secure):
    from support import http
    try:
        answer = http.exchange_raw(f"http://127.0.0.1:{secure.proxy.port}", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    except ConnectionResetError:
        return
    assert b" 200 " not in answer.split(b"\r\n")[0]


# Towards the upstream

@pytest.fixture
def secure_upstream(background, authority):
    def start(*hosts: str, days: int = 30):
        certificate, key = authority.issue("above", *hosts, days=days)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        double = EchoUpstream(background)
        import asyncio

        async def listen():
            return await asyncio.start_server(double._serve, "127.0.0.1", 0, limit=1 << 20, ssl=context)
        double._server = background.run(listen())
        double.port = double._server.sockets[0].getsockname()[1]
        started.append(double)
        return double
    started: list[EchoUpstream] = []
    yield start
    for double in started:
        double.stop()


def towards(proxy, provider, above, ca) -> Visitor:
    route = {"path": "/mcp", "upstream": f"https://127.0.0.1:{above.port}/mcp", "scope": "mcp.use"} | ({"ca_file": str(ca)} if ca else {})
    return Visitor(proxy({"routes": [route]}), provider).sign_in()


def test_an_upstream_with_a_trusted_certificate_is_called(proxy, provider, secure_upstream, authority):
    above = secure_upstream("127.0.0.1")
    visitor = towards(proxy, provider, above, authority.ca)
    headers, body = tool_call("whoami")
    with visitor.connect() as connection:
        for _ in range(3):
            assert connection.request("POST", "/mcp", visitor.headers("client", headers), body).json()["result"]["content"][0]["text"] == "harvey"
    assert above.connections == 1


@pytest.mark.parametrize("hosts, days, trusted", [(("other.example",), 30, True), (("127.0.0.1",), -1, True), (("127.0.0.1",), 30, False)],
                         ids=["another name", "an expired certificate", "an unknown authority"])
def test_no_token_goes_to_an_upstream_with(proxy, provider, secure_upstream, authority, hosts, days, trusted):
    above = secure_upstream(*hosts, days=days)
    visitor = towards(proxy, provider, above, authority.ca if trusted else None)
    answer = visitor.call()
    assert answer.status == 502, answer
    error_of(answer)
    assert above.requests == []
