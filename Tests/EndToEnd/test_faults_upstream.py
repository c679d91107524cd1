"""An upstream that breaks: whatever it does at whatever moment, the caller gets a defined answer in its own form, and nothing runs twice."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from processes import free_port, wait_until
from support import http
from support.faults import EVENT_HEAD, Baseline, BrokenUpstream, Wound, answer_to, cpu_seconds, event_chunk, numbers, well
from support.scene import Scene
from support.visitor import LEGACY, MODERN, error_of, tool_call

LARGE = {"text": "x" * (3 << 20)}
"""More than the proxy keeps to look into: it streams through, and nobody knows its id."""


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("upstream")) as one:
        one.broken = BrokenUpstream(background).start()
        one.closed_port = free_port()
        routes = [
            one.route("/mcp", upstream=f"{one.broken.origin}/mcp"),
            one.route("/refused", upstream=f"http://127.0.0.1:{one.closed_port}/mcp"),
            one.route("/nowhere", upstream="http://no-such-host.invalid/mcp"),
            {"path": "/plain", "upstream": f"{one.broken.origin}/plain", "authorization": "none", "mcp": False},
        ]
        timeouts = {"connect": "1s", "response_headers": "1s", "upstream_idle": "5s"}
        one.proxy({"routes": routes, "timeouts": timeouts, "workers": 1, "limits": {"request_body": "16MiB"}})
        one.harvey = one.visitor(user="harvey")
        yield one
        one.broken.stop()


@pytest.fixture
def broken(scene):
    scene.broken.drop()
    scene.broken.mend()
    return scene.broken


@pytest.fixture
def harvey(scene, broken):
    return scene.harvey


def failed(answer, status: int, reason: str, id: object = 1) -> None:
    """A refusal in the form of JSON-RPC, for the request it belongs to."""
    assert error_of(answer, status)["data"]["reason"] == reason, answer
    assert answer.json()["id"] == id, answer


def works(scene) -> None:
    """The same user on the same route, at once."""
    scene.broken.behave = well
    assert scene.harvey.call("after").status == 200


# Not there

@pytest.mark.parametrize("path", ["/refused", "/nowhere"], ids=["refused", "a name that nobody knows"])
@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_an_upstream_that_cannot_be_reached_is_a_502_in_the_callers_form(harvey, path, era):
    failed(harvey.call("x", path=path, id="r-7", era=era), 502, "upstream_unreachable", "r-7")


def test_a_person_gets_a_page_for_an_upstream_that_cannot_be_reached(scene, harvey):
    answer = harvey.navigate("/refused")
    assert answer.status == 502 and "text/html" in answer.header("content-type") and "cannot be reached" in answer.text
    assert str(scene.closed_port) not in answer.text, "inner addresses are nobody's business"


def test_an_upstream_that_accepts_nothing_is_given_up_after_the_connect_timeout(scene, harvey):
    """Its queue of connections is full: the kernel answers no SYN any more."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fillers = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            fillers.append(one)
        proxy = scene.proxy({"routes": [scene.route("/mcp", upstream=f"http://127.0.0.1:{port}/mcp")], "timeouts": {"connect": "500ms"}})
        visitor = scene.visitor(proxy)
        start = time.monotonic()
        failed(visitor.call(), 502, "upstream_unreachable")
        assert 0.4 < time.monotonic() - start < 4
        for one in fillers:
            one.close()


def test_an_upstream_that_accepts_late_is_waited_for(scene, harvey, background):
    port = free_port()
    late = BrokenUpstream(background)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        slow.bind(("127.0.0.1", port))
        slow.listen(8)
        proxy = scene.proxy({"routes": [scene.route("/mcp", upstream=f"http://127.0.0.1:{port}/mcp")]})
        visitor = scene.visitor(proxy)
        with visitor.connect() as connection:
            headers, body = tool_call("whoami")
            connection.send_request("POST", "/mcp", visitor.headers("client", headers), body)
            # The request waits in the queue of a server that is busy elsewhere.
            wait_until(lambda: connections_to(port), "the proxy to connect")
            accepted, _ = slow.accept()
            accepted.settimeout(5)
            seen = b""
            while not seen.endswith(body):
                seen += accepted.recv(65536)
            accepted.sendall(answer_to({"id": 1}))
            assert connection.read_response().status == 200
            accepted.close()
    assert late.connections == 0


def connections_to(port: int) -> int:
    """Established connections to a loopback port, as the kernel lists them."""
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/tcp") as table:
        return sum(1 for line in table if line.split()[2] == wanted and line.split()[3] == "01")


# Resets

async def reset_inside_request(wound: Wound) -> None:
    await wound.head()
    await wound.reader.read(1000)
    wound.reset()


async def reset_before_head(wound: Wound) -> None:
    await wound.request()
    wound.reset()


async def reset_inside_head(wound: Wound) -> None:
    await wound.request()
    await wound.send(b"HTTP/1.1 200 OK\r\nContent-")
    await asyncio.sleep(0.05)
    wound.reset()


async def end_before_head(wound: Wound) -> None:
    await wound.request()


async def half_close_before_head(wound: Wound) -> None:
    """Says that it will say nothing, and keeps listening."""
    await wound.request()
    wound.end()
    await wound.peer_left()


BEFORE_AN_ANSWER = {
    "reset inside the request": (reset_inside_request, LARGE, 0),
    "reset before the head": (reset_before_head, {}, 1),
    "reset inside the head": (reset_inside_head, {}, 1),
    "end before the head": (end_before_head, {}, 1),
    "half-close before the head": (half_close_before_head, {}, 1),
}


@pytest.mark.parametrize("behave, arguments, ran", BEFORE_AN_ANSWER.values(), ids=BEFORE_AN_ANSWER.keys())
@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_an_upstream_that_breaks_before_its_answer_is_a_502_and_is_not_asked_again(scene, harvey, broken, behave, arguments, ran, era):
    broken.behave = behave
    failed(harvey.call("once", arguments, id=5, era=era), 502, "upstream_broken", None if arguments else 5)
    assert broken.ran["once"] == ran
    works(scene)


def head_of(kind: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n" % kind.encode()


CUT = {
    "plain": head_of("text/plain") + b"Content-Length: 1000\r\n\r\nhalf",
    "JSON": head_of("application/json") + b'Content-Length: 1000\r\n\r\n{"jsonrpc":"2.0","id":1,',
    "chunked": head_of("text/plain") + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "a stream": EVENT_HEAD + event_chunk({"jsonrpc": "2.0", "method": "notifications/message"}),
    "a stream inside an event": EVENT_HEAD + b"7\r\ndata: {\r\n",
}


@pytest.mark.parametrize("start", CUT.values(), ids=CUT.keys())
@pytest.mark.parametrize("by_reset", [False, True], ids=["end", "reset"])
def test_an_answer_that_breaks_off_is_never_taken_for_whole(scene, harvey, broken, start, by_reset):
    async def behave(wound: Wound) -> None:
        await wound.request()
        await wound.send(start)
        await asyncio.sleep(0.05)
        if by_reset:
            wound.reset()

    broken.behave = behave
    try:
        answer = harvey.call("once")
    except (http.ConnectionEnded, ConnectionResetError):
        pass  # What had come was passed on; the missing end tells that it is not all.
    else:
        failed(answer, 502, "upstream_broken")
    assert broken.ran["once"] == 1
    works(scene)


# Stalls

async def stall_before_head(wound: Wound) -> None:
    await wound.request()
    await wound.peer_left()


async def stall_inside_head(wound: Wound) -> None:
    await wound.request()
    await wound.send(b"HTTP/1.1 200 OK\r\nX-A")
    await wound.peer_left()


async def stall_after_interim(wound: Wound) -> None:
    await wound.request()
    await wound.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    await wound.peer_left()


async def stall_inside_json(wound: Wound) -> None:
    await wound.request()
    await wound.send(CUT["JSON"])
    await wound.peer_left()


async def take_nothing(wound: Wound) -> None:
    await wound.head()
    wound.reader._transport.pause_reading()
    await asyncio.sleep(4)


STALLS = {"before the head": (stall_before_head, {}), "inside the head": (stall_inside_head, {}), "after an interim answer": (stall_after_interim, {}),
          "inside a message": (stall_inside_json, {}), "inside the request": (take_nothing, LARGE)}


@pytest.mark.parametrize("behave, arguments", STALLS.values(), ids=STALLS.keys())
def test_an_upstream_that_stalls_is_a_504_in_the_callers_form(scene, harvey, broken, behave, arguments):
    broken.behave = behave
    before = cpu_seconds(scene.proxies[0])
    start = time.monotonic()
    failed(harvey.call("once", arguments, id="slow"), 504, "upstream_timeout", None if arguments else "slow")
    assert 0.8 < time.monotonic() - start < 4
    assert cpu_seconds(scene.proxies[0]) - before < 0.5, "it spun while it waited"
    assert broken.ran["once"] <= 1
    works(scene)


def test_a_person_gets_a_page_for_an_upstream_that_stalls(scene, harvey, broken):
    broken.behave = stall_before_head
    answer = harvey.navigate("/plain/x")
    assert answer.status == 504 and "text/html" in answer.header("content-type") and "does not answer" in answer.text


def test_an_answer_that_stalls_inside_its_body_is_cut_off(scene, harvey, broken):
    async def behave(wound: Wound) -> None:
        await wound.request()
        await wound.send(CUT["plain"])
        await wound.peer_left()

    broken.behave = behave
    left = broken.left
    start = time.monotonic()
    with pytest.raises((http.ConnectionEnded, ConnectionResetError)):
        harvey.call("once")
    assert 0.8 < time.monotonic() - start < 4
    wait_until(lambda: broken.left > left, "the upstream connection to be closed")
    works(scene)


def test_a_stream_may_be_silent_for_longer_than_an_answer(scene, harvey, broken):
    """Tools think for long, and the session's own stream may have nothing to say for hours."""
    async def behave(wound: Wound) -> None:
        message = await wound.request()
        await wound.send(EVENT_HEAD)
        await asyncio.sleep(1.6)
        await wound.send(event_chunk({"jsonrpc": "2.0", "id": message["id"], "result": {}}) + b"0\r\n\r\n")

    broken.behave = behave
    answer = harvey.call("once")
    assert answer.status == 200 and '"result"' in answer.text


# Early answers

async def refuse_at_once(wound: Wound) -> None:
    """Answers before a byte of the body is read, reads it then, and goes on."""
    head = await wound.head()
    await wound.send(b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    await wound.reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    await well(wound)


async def refuse_and_close(wound: Wound) -> None:
    await wound.head()
    await wound.send(b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")


async def refuse_and_reset(wound: Wound) -> None:
    await refuse_and_close(wound)
    await asyncio.sleep(0.05)
    wound.reset()


async def refuse_and_half_close(wound: Wound) -> None:
    await refuse_and_close(wound)
    wound.end()
    await wound.peer_left()


@pytest.mark.parametrize("behave", [refuse_at_once, refuse_and_close, refuse_and_reset, refuse_and_half_close])
@pytest.mark.parametrize("path", ["/mcp", "/plain/upload"])
def test_an_early_answer_reaches_the_caller_and_poisons_no_connection(scene, harvey, broken, behave, path):
    broken.behave = behave
    headers, body = tool_call("once", LARGE)
    answer = harvey.request("POST", path, headers, body)
    assert answer.status == 413 and answer.body == b"{}", answer
    works(scene)


def test_an_early_answer_while_the_caller_still_sends_is_passed_on_at_once(scene, harvey, broken):
    broken.behave = refuse_at_once
    with harvey.connect() as connection:
        connection.send_request("POST", "/plain/upload", harvey.headers("script", {"Content-Length": str(8 << 20), "Content-Type": "application/json"}))
        connection.send(b"x" * 100_000)
        answer = connection.read_response()
        assert answer.status == 413
    works(scene)


# Restarts

def warm(harvey, broken) -> None:
    """A kept-alive connection to the upstream is there, for calls and for pages."""
    assert harvey.call("warm").status == harvey.request("GET", "/plain/x").status == 200
    assert len(broken.open) >= 2
    broken.ran.clear()


@pytest.mark.parametrize("politely", [True, False], ids=["ended", "reset"])
def test_connections_that_died_between_requests_cost_no_answer(scene, harvey, broken, politely):
    for _ in range(5):
        warm(harvey, broken)
        broken.drop(politely)
        assert harvey.call("next").status == 200
        assert broken.ran["next"] == 1


def dies_at_the_second_request(read_it: bool):
    """A kept-alive connection that ends when the next request is already on its way."""
    async def behave(wound: Wound) -> None:
        await wound.answer(await wound.request())
        if read_it:
            await wound.request()
        else:
            await wound.head()
        wound.reset()
    return behave


def test_a_get_that_met_a_dying_connection_is_sent_again(scene, harvey, broken):
    broken.behaviours = [dies_at_the_second_request(read_it=True)] * 2
    warm(harvey, broken)
    answer = harvey.request("GET", "/plain/x")
    assert answer.status == 200
    assert broken.ran["GET"] == 2, "once on the dying connection, once on a fresh one"


def test_a_post_that_may_have_run_is_never_sent_twice(scene, harvey, broken):
    broken.behaviours = [dies_at_the_second_request(read_it=True)] * 2
    warm(harvey, broken)
    failed(harvey.call("transfer"), 502, "upstream_broken")
    assert broken.ran["transfer"] == 1
    works(scene)


def test_a_post_that_cannot_have_arrived_whole_is_sent_again(scene, harvey, broken):
    """Most of its body was still to be written when the kept-alive connection died, so it cannot have run."""
    broken.behaviours = [dies_at_the_second_request(read_it=False)] * 2
    warm(harvey, broken)
    headers, body = tool_call("transfer", {"text": "x" * 900_000})
    answer = harvey.request("POST", "/mcp", headers, body)
    assert answer.status in (200, 502), answer
    assert broken.ran["transfer"] == (answer.status == 200)


def test_a_second_death_in_a_row_is_not_met_with_a_third_try(scene, harvey, broken):
    broken.behaviours = [dies_at_the_second_request(read_it=True)] * 2
    warm(harvey, broken)
    broken.behave = reset_before_head
    answer = harvey.request("GET", "/plain/x")
    assert answer.status == 502
    assert broken.ran["GET"] == 2
    broken.drop()
    works(scene)


def test_a_server_that_restarts_under_load_runs_nothing_twice(scene, harvey, broken):
    """Every call has a name of its own: carried out at most once, and if it was answered with 200, exactly once."""
    answers: dict[str, int] = {}
    for round in range(6):
        for number in range(20):
            name = f"call-{round}-{number}"
            answers[name] = harvey.call(name).status
        broken.drop(politely=round % 2 == 0)
    assert set(answers.values()) == {200}, answers
    assert all(broken.ran[name] == 1 for name in answers)


# What is left behind

def test_failures_are_counted_and_nothing_is_left_behind(scene, harvey, broken):
    proxy = scene.proxies[0]
    broken.drop()
    baseline = Baseline(proxy)
    before = numbers(proxy)["coatcheck_upstream_failures_total"]
    for behave in (reset_before_head, reset_inside_head, end_before_head, half_close_before_head) * 5:
        broken.behave = behave
        assert harvey.call("once").status == 502
    harvey.call("x", path="/refused")
    assert numbers(proxy)["coatcheck_upstream_failures_total"] == before + 21
    baseline.returns()
