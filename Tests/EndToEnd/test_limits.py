"""Every queue and every wait has a bound, and what reaches it has an answer: see docs/limits.md."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import ssl
import stat
import time
from pathlib import Path

import pytest

from conftest import test_config
from processes import free_port, wait_until
from proxy import Proxy
from support import http
from support.authority import Authority
from support.provider import CLIENT_SECRET
from support.server import Answer
from support.upstream import EVENTS, SessionStreams
from support.visitor import BOTH_KINDS, LEGACY, Visitor, tool_call
from test_observability import metrics

LONG = {"request_headers": "60s", "request_body": "60s", "write": "60s"}


def refused(one, reason: str) -> int:
    return int(metrics(one)[f'coatcheck_refused_total{{reason="{reason}"}}'])


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def told(answer) -> tuple[int, str]:
    """Status and reason of a refusal; what may work later says when."""
    if answer.status in (429, 503):
        assert int(answer.header("retry-after")) > 0, answer
    return answer.status, answer.json()["error"]["data"]["reason"]


class Clients:
    """Raw connections that are closed together."""

    def __init__(self):
        self.open: list[socket.socket] = []

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_) -> None:
        for one in self.open:
            one.close()

    def connect(self, port: int, data: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        one = socket.socket()
        self.open.append(one)
        one.settimeout(10)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.connect(("127.0.0.1", port))
        one.sendall(data)
        return one


SLOW_HEAD = b"GET /public/x HTTP/1.1\r\nHost: x\r\nX-Slow: "
BIG = [(0, b"x" * 65536)] * 16


def slow_body(cookie: str, length: int = 100_000, sent: int = 20_000) -> bytes:
    return (f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: {BOTH_KINDS}\r\nCookie: {cookie}\r\n"
            f"Content-Length: {length}\r\n\r\n").encode() + b" " * sent


def slow_reader(cookie: str) -> bytes:
    return f"GET /public/big HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()


# Stalled clients

def test_a_thousand_stalled_clients_take_nothing_from_the_others(proxy, provider, upstream):
    upstream.on_method("GET", Answer(200, [("Content-Type", "text/plain")], pieces=BIG))
    one = proxy({"timeouts": LONG})
    harvey = Visitor(one, provider).sign_in()
    for _ in range(20):
        assert harvey.who() == "harvey"
    pid = one.service.pid
    before = resident(pid)
    with Clients() as stalled:
        for _ in range(334):
            stalled.connect(one.port, SLOW_HEAD)
            stalled.connect(one.port, slow_body(harvey.cookie))
            stalled.connect(one.port, slow_reader(harvey.cookie), receive_buffer=4096)
        wait_until(lambda: metrics(one)["coatcheck_client_connections"] >= 1002, "all connections to be there")
        wait_until(lambda: metrics(one)["coatcheck_held_bytes"] >= 334 * 20_000, "the bodies to be held")
        fields, body = tool_call("whoami")
        with harvey.connect() as kept:
            for number in range(200):
                answer = kept.request("POST", "/mcp", harvey.headers("script", fields), body)
                assert answer.status == 200 and answer.json()["result"]["content"][0]["text"] == "harvey", number
        for _ in range(30):
            assert harvey.who() == "harvey"
        assert Visitor(one, provider, "ada").sign_in().who() == "ada"
        shown = metrics(one)
        # What waits is a piece of an answer for each slow reader, and what the slow bodies have sent.
        assert shown["coatcheck_held_bytes"] <= 334 * (20_000 + 3 * 65536), shown["coatcheck_held_bytes"]
        assert resident(pid) - before < 160 << 20, f"{(resident(pid) - before) >> 20} MiB"
    wait_until(lambda: metrics(one)["coatcheck_client_connections"] <= 1, "all connections to be gone")
    wait_until(lambda: metrics(one)["coatcheck_held_bytes"] == 0, "nothing to be held")


def test_each_slowness_has_its_answer_and_is_counted(proxy, provider, upstream):
    upstream.on_method("GET", Answer(200, [("Content-Type", "text/plain")], pieces=BIG * 4))
    one = proxy({"timeouts": {"request_headers": "300ms", "request_body": "300ms", "write": "300ms", "idle": "600ms"}})
    harvey = Visitor(one, provider).sign_in()
    with Clients() as clients:
        head = clients.connect(one.port, SLOW_HEAD)
        body = clients.connect(one.port, slow_body(harvey.cookie))
        reader = clients.connect(one.port, slow_reader(harvey.cookie), receive_buffer=4096)
        idle = clients.connect(one.port)
        assert head.recv(65536).startswith(b"HTTP/1.1 408 ")
        answer = body.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"malformed_request"' in answer and b"Connection: close" in answer
        assert idle.recv(1) == b""
        for reason in ("slow_head", "slow_body", "slow_reader"):
            wait_until(lambda: refused(one, reason) == 1, reason)
        # The answer that was not taken is cut off, and nobody can take it for the whole.
        got = 0
        try:
            while piece := reader.recv(65536):
                got += len(piece)
        except ConnectionResetError:
            pass
        assert got < 64 * 65536


def test_each_size_has_its_answer_and_is_counted(proxy, provider):
    one = proxy({"limits": {"header_bytes": "2KiB", "request_body": "64KiB", "buffered_body": "64KiB"}})
    harvey = Visitor(one, provider).sign_in()
    large = {"X-Large": "y" * 4000}
    assert harvey.request("GET", "/public/x", large).status == 431
    assert told(harvey.call(arguments={"text": "z" * 70_000})) == (413, "body_too_large")
    assert http.exchange_raw(one.url, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert (refused(one, "large_head"), refused(one, "large_body"), refused(one, "malformed_head")) == (1, 1, 1)


# Connections

def test_beyond_the_limit_connections_wait_until_one_closes(proxy):
    one = proxy({"workers": 1, "limits": {"connections": 3}})
    with Clients() as clients:
        first = [clients.connect(one.port) for _ in range(3)]
        wait_until(lambda: metrics(one)["coatcheck_client_connections"] == 3, "three connections")
        waiting = clients.connect(one.port, b"GET /public/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert metrics(one)["coatcheck_client_connections"] == 3 and metrics(one)["coatcheck_accept_pauses_total"] == 1
        first[0].close()
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def secure(proxy, tmp_path):
    """Starts proxies that serve https on loopback; with the client side of TLS."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("front", "127.0.0.1")
    trust = ssl.create_default_context(cafile=authority.ca)

    def start(changes: dict):
        port = free_port()
        one = proxy({"public_url": f"https://127.0.0.1:{port}", "tls": {"certificate_file": str(certificate), "private_key_file": str(key)}} | changes, port=port)
        # The connection that asked whether it listens is closed by now.
        wait_until(lambda: metrics(one)["coatcheck_client_connections"] == 0, "no connection")
        return one

    start.trust = trust
    return start


def hello(one, trust, source: str = "127.0.0.1") -> ssl.SSLSocket | None:
    """A connection from an address of this machine; None when it is turned away."""
    plain = socket.create_connection(("127.0.0.1", one.port), 5, source_address=(source, 0))
    try:
        return trust.wrap_socket(plain, server_hostname="127.0.0.1")
    except (ssl.SSLError, ConnectionError):
        plain.close()
        return None


def test_one_address_has_so_many_connections_and_others_are_not_concerned(secure):
    one = secure({"limits": {"connections_per_address": 3}})
    mine = [hello(one, secure.trust) for _ in range(3)]
    assert all(mine) and hello(one, secure.trust) is None and hello(one, secure.trust) is None
    assert refused(one, "connections_per_address") == 2
    other = hello(one, secure.trust, "127.0.0.2")
    assert other
    mine.pop().close()
    mine.append(wait_until(lambda: hello(one, secure.trust), "a place to be free"))
    assert hello(one, secure.trust) is None
    for each in [other, *mine]:
        each.close()


def test_a_trusted_proxy_has_as_many_connections_as_it_wants(secure):
    one = secure({"limits": {"connections_per_address": 2}, "trusted_proxies": ["127.0.0.1/32"]})
    mine = [hello(one, secure.trust) for _ in range(6)]
    assert all(mine)
    for each in mine:
        each.close()


# Users

def open_stream(visitor, session: str) -> tuple[http.Connection, http.Response]:
    connection = visitor.connect()
    connection.send_request("GET", "/mcp", visitor.headers("client", {
        "Accept": "text/event-stream", "MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": session}))
    head = connection.read_head()
    if head.status != 200:
        head.body = b"".join(connection.chunks(head))
    return connection, head


def test_a_user_has_so_many_streams_over_all_sessions_and_loops(proxy, provider, upstream):
    SessionStreams(upstream)
    one = proxy({"limits": {"streams_per_user": 3}})
    harvey, again, ada = Visitor(one, provider).sign_in(), Visitor(one, provider).sign_in(), Visitor(one, provider, "ada").sign_in()
    sessions = {who: who.open_session() for who in (harvey, again, ada)}
    streams = [open_stream(harvey, sessions[harvey]) for _ in range(2)] + [open_stream(again, sessions[again])]
    assert [head.status for _, head in streams] == [200, 200, 200]
    reached = len(upstream.requests)
    for who in (harvey, again):
        connection, head = open_stream(who, sessions[who])
        assert told(head) == (429, "too_many_streams")
        # The connection is as good as before.
        connection.send_request("GET", "/pages/x", who.headers("navigation", None))
        connection.close()
    answer = harvey.call(era=LEGACY)
    assert told(answer) == (429, "too_many_streams") and answer.json()["id"] == 1
    assert [request for request in upstream.requests[reached:] if request.path == "/mcp"] == [], "nothing of it went upstream"
    assert harvey.request("DELETE", "/mcp", {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": sessions[harvey]}).status == 200
    assert harvey.rpc("tools/call", {"name": "whoami"}, headers={"Accept": "application/json"}).status == 200, "that is no stream"
    connection, head = open_stream(ada, sessions[ada])
    assert head.status == 200 and ada.who() == "ada"
    connection.close()
    streams.pop()[0].close()
    wait_until(lambda: again.call().status == 200, "the closed stream to be forgotten")
    assert refused(one, "streams_per_user") >= 3
    for connection, _ in streams:
        connection.close()


def test_an_answer_that_becomes_a_stream_is_counted_and_never_thrown_away(proxy, provider, upstream):
    upstream.on("tail", Answer(200, [EVENTS], pieces=[(0, b": begin\n\n"), (30, b"")]))
    one = proxy({"limits": {"streams_per_user": 1}})
    harvey = Visitor(one, provider).sign_in()
    fields, body = tool_call("tail")
    with harvey.connect() as stream:
        stream.send_request("POST", "/mcp", harvey.headers("client", fields), body)
        assert stream.read_head().status == 200
        assert told(harvey.call()) == (429, "too_many_streams")
    wait_until(lambda: harvey.call().status == 200, "the closed stream to be forgotten")


FRONT = {"trusted_proxies": ["127.0.0.1/32"]}


def test_sign_ins_from_one_address_are_slowed_down(proxy, provider):
    one = proxy(FRONT | {"limits": {"sign_ins_per_address": 6}})
    stranger = Visitor(one, provider)
    login = lambda address: stranger.navigate("/auth/login?return_to=/", {"X-Forwarded-For": address})
    for number in range(6):
        # What a client claims before the proxy in front says who it is does not count.
        assert login(f"198.51.100.{number}, 203.0.113.1").status == 303
    answer = login("198.51.100.99, 203.0.113.1")
    assert answer.status == 429 and 1 <= int(answer.header("retry-after")) <= 11
    assert "Too many attempts" in answer.text and answer.header("cache-control") == "no-store" and not answer.all("set-cookie")
    callback = stranger.navigate("/auth/callback?code=x&state=y", {"X-Forwarded-For": "203.0.113.1"})
    assert callback.status == 429
    assert login("203.0.113.2").status == 303 and login("2001:db8::1").status == 303
    assert refused(one, "sign_ins_per_address") == 2
    # Whoever is signed in is not concerned.
    ada = Visitor(one, provider, "ada").sign_in()
    assert ada.request("POST", "/mcp", tool_call("whoami")[0] | {"X-Forwarded-For": "203.0.113.1"}, tool_call("whoami")[1]).status == 200


def test_one_session_walks_to_the_provider_only_so_often(proxy, provider):
    one = proxy({"limits": {"sign_ins_per_address": 4}})
    # Without TLS and without a trusted proxy nobody knows whose address this is.
    for _ in range(6):
        assert Visitor(one, provider).navigate("/auth/login?return_to=/").status == 303
    harvey = Visitor(one, provider).sign_in()
    asked = len(provider.authorizations)
    assert [harvey.navigate("/auth/login?return_to=/").status for _ in range(6)] == [303] * 4 + [429] * 2
    assert harvey.who() == "harvey" and len(provider.authorizations) == asked


# Memory

def test_when_memory_is_short_large_bodies_are_refused_and_small_ones_pass(proxy, provider):
    one = proxy({"workers": 1, "limits": {"memory": "1MiB"}, "timeouts": LONG})
    harvey = Visitor(one, provider).sign_in()
    large = {"text": "x" * 200_000}
    with Clients() as hogs:
        for _ in range(3):
            hogs.connect(one.port, slow_body(harvey.cookie, length=500_000, sent=349_000))
        wait_until(lambda: metrics(one)["coatcheck_held_bytes"] == 3 * 349_000, "the bodies to be held")
        assert told(harvey.call(arguments=large)) == (503, "server_busy")
        assert refused(one, "memory") == 1
        assert harvey.who() == "harvey" and harvey.call(arguments={"text": "y" * 10_000}).status == 200
        assert metrics(one)["coatcheck_held_bytes"] <= 1 << 20
    wait_until(lambda: metrics(one)["coatcheck_held_bytes"] == 0, "the bodies to be gone")
    assert harvey.call(arguments=large).status == 200
    assert metrics(one)["coatcheck_held_bytes"] == 0


# The upstream

def test_when_the_upstreams_queue_is_full_the_next_is_told_when_to_come_back(proxy, provider, upstream):
    upstream.on("slow", Answer(200, [("Content-Type", "application/json")], b"{}", delay=30))
    one = proxy({"workers": 1, "limits": {"upstream_connections": 1, "upstream_waiting": 1}})
    harvey = Visitor(one, provider).sign_in()
    fields, body = tool_call("slow")
    with harvey.connect() as first, harvey.connect() as second:
        first.send_request("POST", "/mcp", harvey.headers("client", fields), body)
        wait_until(lambda: upstream.calls("slow"), "the call to be upstream")
        second.send_request("POST", "/mcp", harvey.headers("client", fields), body)
        wait_until(lambda: metrics(one)["coatcheck_client_connections"] >= 2, "the second")
        assert told(harvey.call()) == (503, "upstream_overloaded")
        assert refused(one, "upstream_queue") == 1


# Descriptors

def test_without_descriptors_nothing_spins_and_all_recovers_by_itself(proxy, provider):
    one = proxy({"timeouts": LONG})
    harvey = Visitor(one, provider).sign_in()
    pid = one.service.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with harvey.connect() as kept, Clients() as crowd:
        fields = harvey.headers("client", None)
        assert kept.request("GET", "/auth/session", fields).status == 200
        # Its connection to the upstream and to the provider are kept for some seconds, and are not what this is about.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + 8, hard))
        ticks, until, turned_away, served = cpu_ticks(pid), time.monotonic() + 1.5, 0, 0
        while time.monotonic() < until:
            crowd.connect(one.port)
            crowd.open[-1].settimeout(0.02)
            try:
                turned_away += crowd.open[-1].recv(1) == b""
            except TimeoutError:
                served += 1
            except ConnectionResetError:
                turned_away += 1
        assert turned_away > 0
        assert cpu_ticks(pid) - ticks < 60, "more than 0.6 s of computing for nothing"
        answer = kept.request("GET", "/public/x", fields)
        assert answer.status == 503 and told(answer)[1] == "server_busy"
        assert kept.request("GET", "/auth/session", fields).status == 200, "what needs no descriptor goes on"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        wait_until(lambda: kept.request("GET", "/public/x", fields).status == 200, "upstream connections")
        wait_until(lambda: harvey.who() == "harvey", "new clients")
    assert refused(one, "descriptors") >= 2


def test_the_process_takes_the_descriptors_it_may_have_and_says_when_they_are_too_few(binary, provider, upstream, tmp_path):
    wrapper = tmp_path / "few"
    wrapper.write_text(f'#!/bin/sh\nulimit -Sn 200\nulimit -Hn 600\nexec "{Path(binary).resolve()}" "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    one = Proxy(tmp_path / "proxy", test_config(provider, upstream, {"limits": {"connections": 500, "upstream_connections": 100}}), CLIENT_SECRET, binary=wrapper)
    one.start()
    try:
        limits = Path(f"/proc/{one.service.pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5] == ["600", "600"]
        warning = next(json.loads(line) for line in one.output().splitlines() if "too few descriptors" in line)
        assert warning["level"] == "warning" and (warning["descriptors"], warning["needed"]) == ("600", "864")
        assert Visitor(one, provider).sign_in().who() == "harvey"
    finally:
        assert one.stop() == 0


# The log

def test_a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end(binary, provider, upstream, tmp_path):
    one = Proxy(tmp_path / "proxy", test_config(provider, upstream), CLIENT_SECRET, binary=binary)
    os.mkfifo(tmp_path / "proxy" / "proxy.log")
    pipe = os.open(tmp_path / "proxy" / "proxy.log", os.O_RDWR | os.O_NONBLOCK)
    try:
        one.start()
        harvey = Visitor(one, provider).sign_in()
        with harvey.connect() as connection:
            fields = harvey.headers("client", None)
            # Some 300 bytes a line, and a pipe holds 64 KiB.
            for number in range(1_000):
                assert connection.request("GET", "/public/x", fields).status == 200, number
        assert one.stop() == 0
        read = b""
        try:
            while piece := os.read(pipe, 1 << 20):
                read += piece
        except BlockingIOError:
            pass
        assert 60_000 < len(read) <= 1 << 16, "the pipe was full"
    finally:
        os.close(pipe)
        if one.service.running:
            one.kill()


# The document

def test_the_table_of_limits_names_tests_and_metrics_that_exist():
    root = Path(__file__).resolve().parents[2]
    table = [line for line in (root / "docs" / "limits.md").read_text().splitlines() if line.startswith("|")]
    sources = "\n".join(path.read_text() for kind in ("*.swift", "*.py") for path in (root / "Tests").rglob(kind))
    named = [name for line in table for name in re.findall(r"`([^`]+)`", line.rpartition(" | ")[2])]
    assert len(named) > 40
    for name in named:
        exists = (root / "Tests" / name).exists() if "/" in name else f"func `{name}`" in sources or f"def {name}(" in sources
        assert exists, name
    page = "\n".join(path.read_text() for path in (root / "Sources" / "Gateway" / "Observe").glob("*.swift"))
    for label in re.findall(r'"([a-z_]+)"$', (root / "Sources" / "Gateway" / "Observe" / "Refusals.swift").read_text(), re.M):
        assert any(f"`{label}`" in line for line in table), label
    for name in re.findall(r"`(coatcheck_[a-z_]+)`", "\n".join(table)):
        assert f'"{name}"' in page, name
