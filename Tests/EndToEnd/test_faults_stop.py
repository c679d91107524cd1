"""The end of a process, and the start of the next one in its place: nothing that was sent is lost, and signals mean what the documentation says."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time

import pytest

from processes import answers, listens, wait_until
from proxy import Proxy
from support import http
from support.faults import EVENT_HEAD, Launched, Load, event_chunk
from support.provider import CLIENT_SECRET
from support.server import Answer
from support.upstream import JSON, SessionStreams, result
from support.visitor import LEGACY, MODERN, Client, Stream, Visitor, tool_call


def ends(one, code: int = 0, seconds: float = 8) -> None:
    """The process ends by itself with this code."""
    one.ended = True
    assert one.service.wait(seconds) == code, one.output()[-2000:]


def terminate(one, number: int = signal.SIGTERM) -> None:
    one.ended = True
    one.service.signal(number)


def slow(seconds: float):
    async def answer(request, wire):
        await asyncio.sleep(seconds)
        return Answer(200, [JSON], result(request, EchoName.of(request)))
    return answer


class EchoName:
    @staticmethod
    def of(request) -> str:
        return (request.header("authorization") or "~nobody").split("~")[1]


def crowd(one, provider, count: int) -> list[Visitor]:
    names = ("harvey", "kim")
    users = [Visitor(one, provider, name).sign_in() for name in names]
    return [users[number % 2] for number in range(count)]


# SIGTERM

@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "a connection a call"])
def test_a_stop_under_load_loses_no_call(gateway, provider, upstream, keep):
    upstream.on("whoami", slow(0.03))
    visitors = crowd(gateway, provider, 12)
    with Load(visitors, keep=keep) as load:
        load.flows(60)
        terminate(gateway)
        wait_until(lambda: not load.running, "all callers to be told", 10)
    ends(gateway)
    assert load.lost == [] and load.wrong == []
    assert set(load.answers) == {200} and sum(load.answers.values()) == upstream.executed["whoami"]
    assert load.refused == 12 and (load.closes == 12 or not keep)


def test_what_reached_the_kernel_before_the_stop_is_answered(gateway, harvey, upstream):
    """Requests on kept-alive connections and on connections that nobody has accepted yet, when the signal is there first."""
    headers, body = tool_call("whoami")
    fields = harvey.headers("script", headers)
    kept = [harvey.connect() for _ in range(20)]
    for connection in kept:
        assert connection.request("POST", "/mcp", fields, body).status == 200
    gateway.service.signal(signal.SIGSTOP)
    terminate(gateway)
    fresh = [harvey.connect() for _ in range(150)]
    for connection in kept + fresh:
        connection.send_request("POST", "/mcp", fields, body)
    gateway.service.signal(signal.SIGCONT)
    for connection in kept + fresh:
        answer = connection.read_response()
        assert answer.status == 200 and '"harvey"' in answer.text
        connection.close()
    ends(gateway)


def test_a_request_that_crosses_the_stop_is_answered(gateway, harvey, upstream):
    """A client that was told to keep its connection sends the next request before it can know of the stop."""
    upstream.on("held", slow(1))
    headers, body = tool_call("whoami")
    fields = harvey.headers("script", headers)
    with harvey.connect() as busy, harvey.connect() as quiet:
        assert quiet.request("POST", "/mcp", fields, body).status == 200
        busy.send_request("POST", "/mcp", harvey.headers("script", tool_call("held")[0]), tool_call("held")[1])
        wait_until(lambda: upstream.executed["held"], "the call to arrive")
        terminate(gateway)
        wait_until(lambda: not listens(gateway.port), "nobody to listen")
        answer = quiet.request("POST", "/mcp", fields, body)
        assert answer.status == 200 and answer.header("connection") == "close"
        assert quiet.ended_by_peer()
        assert busy.read_response().header("connection") == "close"
    ends(gateway)


def test_an_upload_under_way_is_finished(gateway, harvey, upstream):
    headers, body = tool_call("upload", {"text": "x" * 500_000})
    with harvey.connect() as connection:
        connection.send_request("POST", "/mcp", harvey.headers("script", headers) | {"Content-Length": str(len(body))})
        connection.send(body[:200_000])
        terminate(gateway)
        wait_until(lambda: not listens(gateway.port), "nobody to listen")
        connection.send(body[200_000:])
        answer = connection.read_response()
    assert answer.status == 200 and answer.header("connection") == "close"
    assert upstream.calls("upload")[0].body == body
    ends(gateway)


def test_readiness_ends_before_the_process_does(gateway, harvey, upstream):
    upstream.on("held", slow(1))
    caller = threading.Thread(target=harvey.call, args=("held",))
    caller.start()
    wait_until(lambda: upstream.executed["held"], "the call to arrive")
    assert answers(f"{gateway.admin_url}/readyz")
    terminate(gateway)
    wait_until(lambda: not listens(gateway.port), "nobody to listen")
    answer = http.request(gateway.admin_url, "GET", "/readyz")
    assert answer.status == 503 and "stopping" in answer.text
    assert answers(f"{gateway.admin_url}/healthz"), "it lives, and must not be killed for stopping"
    caller.join()
    ends(gateway)


def test_streams_end_the_way_of_the_protocol(proxy, provider, upstream):
    """A session's own stream ends at once; a call's stream goes on to its answer, or is ended at the end of the drain time."""
    one = proxy({"timeouts": {"drain": "2s"}})
    client = Client(Visitor(one, provider).sign_in(), LEGACY)
    SessionStreams(upstream)

    async def ends_soon(request, wire):
        await wire.write(EVENT_HEAD + event_chunk("first"))
        await asyncio.sleep(0.8)
        await wire.write(event_chunk({"jsonrpc": "2.0", "id": 1, "result": {}}) + b"0\r\n\r\n")

    async def never_ends(request, wire):
        await wire.write(EVENT_HEAD + event_chunk("first"))
        await wire.client_left()

    upstream.on("soon", ends_soon)
    upstream.on("never", never_ends)
    with client.listen() as own, client.open("soon") as soon, client.open("never") as never:
        next(soon.parts), next(never.parts)
        start = time.monotonic()
        terminate(one)
        assert [*own.parts] == [] and time.monotonic() - start < 1, "the last chunk came, and at once"
        assert [*soon.messages()] == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
        assert [*never.parts] == [] and 1.5 < time.monotonic() - start < 5
    ends(one)


def test_a_second_signal_wins_over_everything_under_way(gateway, harvey, upstream):
    upstream.on("held", slow(20))
    connection = harvey.connect()
    headers, body = tool_call("held")
    connection.send_request("POST", "/mcp", harvey.headers("script", headers), body)
    wait_until(lambda: upstream.executed["held"], "the call to arrive")
    terminate(gateway)
    wait_until(lambda: not listens(gateway.port), "nobody to listen")
    terminate(gateway)
    ends(gateway, 1, 2)
    assert connection.ended_by_peer()


# Other signals

@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE], ids=lambda number: number.name)
def test_a_signal_that_means_nothing_disturbs_nobody(gateway, harvey, number):
    headers, body = tool_call("whoami")
    with harvey.connect() as connection:
        for _ in range(3):
            gateway.service.signal(number)
            assert connection.request("POST", "/mcp", harvey.headers("script", headers), body).status == 200
    assert gateway.service.running and harvey.who() == "harvey"


# Nobody reads the log

class Detached(Launched):
    """A proxy with its standard descriptors as `redirections` says."""

    redirections = ""

    @property
    def launcher(self) -> str:
        return f'exec "$BINARY" "$@" {self.redirections}'


@pytest.fixture
def detached(binary, provider, upstream, tmp_path):
    from conftest import test_config as config
    started = []

    def start(redirections: str) -> Detached:
        one = Detached(tmp_path / f"detached-{len(started)}", config(provider, upstream), CLIENT_SECRET, binary=binary)
        one.redirections = redirections
        started.append(one)
        return one.start()

    yield start
    for one in started:
        assert one.ended or one.stop() == 0


@pytest.mark.parametrize("redirections", ["0<&- 1>&- 2>&-", "2>&-", "1>&-", "0<&-"])
def test_closed_standard_descriptors_are_never_taken_for_the_log(detached, provider, redirections):
    """A socket or a file with number 2 would get every log line."""
    one = detached(redirections)
    harvey = Visitor(one, provider).sign_in()
    with harvey.connect() as connection:
        headers, body = tool_call("whoami")
        for _ in range(20):
            answer = connection.request("POST", "/mcp", harvey.headers("script", headers), body)
            assert answer.status == 200 and answer.json()["result"]["content"][0]["text"] == "harvey"
    for number in range(3):
        target = os.readlink(f"/proc/{one.service.pid}/fd/{number}")
        assert target == "/dev/null" or target.endswith("proxy.log"), (number, target)
    assert one.stop() == 0


def test_a_full_pipe_behind_the_log_stops_neither_the_traffic_nor_the_end(detached, provider, tmp_path):
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    one = detached(f"2>{fifo}")
    harvey = Visitor(one, provider).sign_in()
    headers, body = tool_call("x" * 800)
    with harvey.connect() as connection:
        for _ in range(120):
            assert connection.request("POST", "/mcp", harvey.headers("script", headers), body).status == 200
    start = time.monotonic()
    terminate(one)
    ends(one)
    assert time.monotonic() - start < 6
    os.close(reader)


def test_a_log_that_nobody_reads_any_more_is_given_up(detached, provider, tmp_path):
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    one = detached(f"2>{fifo}")
    harvey = Visitor(one, provider).sign_in()
    os.close(reader)
    for _ in range(5):
        assert harvey.who() == "harvey"
    assert one.stop() == 0


# The next process in its place

@pytest.fixture
def successor(proxy, provider, binary, tmp_path):
    """Two proxies for one address, one store and one key; the second is not started."""
    key = tmp_path / "session.key"
    key.write_text(subprocess.run([binary, "key"], capture_output=True, text=True, check=True).stdout)
    key.chmod(0o600)
    first = proxy({"session": {"encryption_key_files": [str(key)]}})
    config = {name: value for name, value in first.config.items() if name != "admin"}
    second = Proxy(tmp_path / "second", config, CLIENT_SECRET, port=first.port, binary=binary)
    assert second.url == first.url
    yield first, second
    if second.service:
        assert second.ended or second.stop() == 0


@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "a connection a call"])
def test_a_successor_takes_over_under_load_without_a_lost_call(successor, provider, upstream, keep):
    """It listens on the same address before the first one stops: nobody is refused, and sessions go along."""
    first, second = successor
    upstream.on("whoami", slow(0.01))
    visitors = crowd(first, provider, 8)
    with Load(visitors, keep=keep) as load:
        load.flows(40)
        second.start()
        load.flows(40)
        terminate(first)
        ends(first)
        load.flows(40)
    assert (load.lost, load.wrong, load.refused) == ([], [], 0)
    assert set(load.answers) == {200}
    assert visitors[0].sign_out().status == 303


def test_a_restart_under_load_interrupts_and_loses_no_answer_that_was_begun(successor, provider, upstream):
    """Stop, then start: in between nobody listens, and what was sent before was answered."""
    first, second = successor
    upstream.on("whoami", slow(0.02))
    visitors = crowd(first, provider, 6)
    with Load(visitors) as load:
        load.flows(30)
        terminate(first)
        ends(first)
        wait_until(lambda: not load.running, "all callers to be told")
    assert (load.lost, load.wrong, set(load.answers)) == ([], [], {200})
    second.start()
    with Load(visitors) as load:
        load.flows(30)
    assert (load.lost, load.wrong, load.refused, set(load.answers)) == ([], [], 0, {200})
