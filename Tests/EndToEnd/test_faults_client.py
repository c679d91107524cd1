"""Clients that vanish, at every stage of a call: what the upstream is doing is cancelled or kept as the era wants it, and nothing stays behind."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time

import pytest

from processes import wait_until
from support.faults import EVENT_HEAD, Baseline, BrokenUpstream, MoodyProvider, Wound, event_chunk, expired, numbers, well
from support.scene import Scene
from support.upstream import Guarded, refuse
from support.visitor import INITIALIZE, LEGACY, MODERN, Client, Stream, rpc, told, tool_call


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("client"), MoodyProvider) as one:
        one.broken = BrokenUpstream(background).start()
        routes = [
            one.route("/mcp", upstream=f"{one.broken.origin}/mcp"), one.route("/held"),
            {"path": "/plain", "upstream": f"{one.broken.origin}/plain", "authorization": "none", "mcp": False},
        ]
        timeouts = {"upstream_idle": "300ms", "request_headers": "2s", "request_body": "2s", "response_headers": "3s"}
        one.proxy({"routes": routes, "timeouts": timeouts, "workers": 1, "limits": {"request_body": "16MiB"}, "streams": {"keep_alive": "1s"}})
        one.harvey = one.visitor(user="harvey")
        one.baseline = None
        yield one
        one.broken.stop()


@pytest.fixture
def broken(scene):
    scene.broken.drop()
    scene.broken.mend()
    return scene.broken


@pytest.fixture
def harvey(scene, broken):
    """After each test everything is given back, and the user is served."""
    proxy = scene.proxies[0]
    scene.baseline = scene.baseline or Baseline(proxy)
    yield scene.harvey
    scene.provider.moods.clear()
    scene.baseline.returns()
    broken.drop()
    broken.behave = well
    assert scene.harvey.call("after").status == 200


def gone(scene) -> float:
    return numbers(scene.proxies[0])["coatcheck_clients_gone_total"]


ENDS = pytest.mark.parametrize("by_reset", [False, True], ids=["close", "reset"])
ERAS = pytest.mark.parametrize("era", [LEGACY, MODERN])


def vanish(connection, by_reset: bool) -> None:
    connection.reset() if by_reset else connection.close()


# Before there is a call

@ENDS
@pytest.mark.parametrize("sent", [b"", b"PO", b"POST /mcp HTTP/1.1\r\nHost: a\r\nCook"], ids=["nothing", "two bytes", "half a head"])
def test_inside_the_head(scene, harvey, broken, sent, by_reset):
    for _ in range(10):
        connection = harvey.connect()
        connection.send(sent)
        vanish(connection, by_reset)
    scene.baseline.returns()
    assert sum(broken.ran.values()) == 0


@ENDS
@ERAS
def test_inside_the_body_that_is_collected(scene, harvey, broken, by_reset, era):
    headers, body = tool_call("half", {"text": "x" * 100_000}, era=era)
    before, connections = gone(scene), broken.connections
    for _ in range(5):
        connection = harvey.connect()
        connection.send_request("POST", "/mcp", harvey.headers("client", headers) | {"Content-Length": str(len(body))})
        connection.send(body[:50_000])
        vanish(connection, by_reset)
    wait_until(lambda: gone(scene) == before + 5, "the proxy to notice")
    assert broken.connections == connections, "half a message is nobody's call"


@ENDS
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("path", ["/mcp", "/plain/upload"])
def test_inside_a_body_that_streams(scene, harvey, broken, by_reset, chunked, path):
    """The upstream must see that the request is not whole: it ends without the rest."""
    ends: list[str] = []

    async def behave(wound: Wound) -> None:
        await wound.head()
        try:
            while piece := await wound.reader.read(65536):
                pass
            ends.append("ended")
        except ConnectionError:
            ends.append("reset")

    broken.behave = behave
    headers, body = tool_call("half", {"text": "x" * (3 << 20)})
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
    connection = harvey.connect()
    connection.send_request("POST", path, harvey.headers("script", headers) | framing)
    part = body[:2 << 20]
    connection.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
    wait_until(lambda: broken.open, "the upstream to be asked")
    vanish(connection, by_reset)
    wait_until(lambda: ends, "the upstream to notice")
    assert broken.ran["half"] == 0


# While the proxy itself is busy with the call

@ENDS
@ERAS
def test_while_a_token_is_refreshed(scene, harvey, broken, by_reset, era):
    """The refresh goes on, for its answer may hold the only refresh token that works; the call does not."""
    visitor = expired(scene)
    refreshes = scene.provider.count["refresh_token"]
    goes_on = threading.Event()

    async def slow(request, wire, usual):
        await asyncio.to_thread(goes_on.wait, 8)
        return await usual(request, wire)

    scene.provider.moods = {"refresh_token": slow}
    headers, body = tool_call("left", era=era)
    before = gone(scene)
    connection = visitor.connect()
    connection.send_request("POST", "/mcp", visitor.headers("client", headers), body)
    wait_until(lambda: scene.provider.count["moody"], "the refresh")
    vanish(connection, by_reset)
    if era == LEGACY and not by_reset:
        # The end of what a client sends is not its end: it may still read, and the call goes on.
        goes_on.set()
        assert visitor.call("next").status == 200
        wait_until(lambda: broken.ran["left"] == 1, "the call that is not cancelled")
    else:
        wait_until(lambda: gone(scene) == before + 1, "the proxy to notice")
        goes_on.set()
        assert visitor.call("next").status == 200
        assert broken.ran["left"] == 0
    assert scene.provider.count["refresh_token"] == refreshes + 1 and scene.provider.count["reuse"] == 0


@ENDS
@ERAS
def test_while_an_upstream_connection_is_awaited(scene, harvey, broken, background, by_reset, era):
    """The request is not sent, so there is nothing to cancel and nothing to keep."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        proxy = scene.proxy({"routes": [scene.route("/mcp", upstream=f"http://127.0.0.1:{deaf.getsockname()[1]}/mcp")], "timeouts": {"connect": "2s"}})
        visitor = scene.visitor(proxy)
        baseline = Baseline(proxy)
        headers, body = tool_call("left", era=era)
        connection = visitor.connect()
        connection.send_request("POST", "/mcp", visitor.headers("client", headers), body)
        wait_until(lambda: numbers(proxy)["coatcheck_client_connections"] == 1, "the call")
        vanish(connection, by_reset)
        baseline.returns()
        for one in fillers:
            one.close()


# While the upstream works

def works(seconds: float, log: list[str]):
    async def behave(wound: Wound) -> None:
        message = await wound.request()
        left = asyncio.ensure_future(wound.peer_left())
        done, _ = await asyncio.wait([left], timeout=seconds)
        log.append("cancelled" if done else "completed")
        if not done:
            left.cancel()
            await wound.answer(message)
    return behave


@ENDS
@pytest.mark.parametrize("era, fate", [(LEGACY, "completed"), (MODERN, "cancelled")])
@pytest.mark.parametrize("method", ["tools/call", "resources/read", "initialize", "ping"])
def test_while_the_upstream_works(scene, harvey, broken, by_reset, era, fate, method):
    if method == "initialize" and era == MODERN:
        pytest.skip("there is no initialize since 2026-07-28")
    log: list[str] = []
    broken.behave = works(0.4, log)
    params = {"tools/call": {"name": "work", "arguments": {}}, "resources/read": {"uri": "file:///x"}, "initialize": INITIALIZE}.get(method)
    headers, body = rpc(method, params, era=era)
    connection = harvey.connect()
    connection.send_request("POST", "/mcp", harvey.headers("client", headers), body)
    wait_until(lambda: sum(broken.ran.values()), "the call to arrive")
    vanish(connection, by_reset)
    wait_until(lambda: log, "the call to end")
    assert log == [fate]


@ENDS
def test_a_page_that_is_left_is_not_fetched_on(scene, harvey, broken, by_reset):
    log: list[str] = []
    broken.behave = works(0.8, log)
    connection = harvey.connect()
    connection.send_request("GET", "/plain/x", harvey.headers("navigation", None))
    wait_until(lambda: broken.ran["GET"], "the request to arrive")
    if by_reset:
        connection.reset()
        wait_until(lambda: log, "the request to end", 1)
        assert log == ["cancelled"]
    else:
        # A client may close its sending side and still read: only the first write tells whether it is there.
        connection.close()
        wait_until(lambda: log, "the request to end")


# While the answer is passed on

def streams(head: bytes, piece: bytes, log: list[str], count: int = 400):
    """A long answer; notes whether all of it was taken."""
    async def behave(wound: Wound) -> None:
        await wound.request()
        await wound.send(head)
        try:
            for _ in range(count):
                await wound.send(piece)
                await asyncio.sleep(0.001)
        except ConnectionError:
            log.append("cancelled")
        else:
            log.append("completed")
    return behave


PIECE = b"x" * 16_384
ANSWERS = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (400 * len(PIECE)), PIECE),
    "chunked": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + PIECE + b"\r\n"),
    "a stream": (EVENT_HEAD, event_chunk("y" * 1000)),
}


@ENDS
@pytest.mark.parametrize("era, fate", [(LEGACY, "completed"), (MODERN, "cancelled")])
@pytest.mark.parametrize("head, piece", ANSWERS.values(), ids=ANSWERS.keys())
def test_inside_an_answer(scene, harvey, broken, by_reset, era, fate, head, piece):
    """A disconnect of the old era is no cancellation, even for a stream: its server runs to the end."""
    log: list[str] = []
    broken.behave = streams(head, piece, log)
    headers, body = tool_call("long", era=era)
    connection = harvey.connect()
    connection.send_request("POST", "/mcp", harvey.headers("client", headers), body)
    assert connection.read_head().status == 200
    vanish(connection, by_reset)
    wait_until(lambda: log, "the answer to end")
    assert log == [fate]


@ENDS
def test_inside_the_sessions_own_stream(scene, harvey, broken, by_reset):
    log: list[str] = []

    async def behave(wound: Wound) -> None:
        message = await wound.request()
        if message.get("method") == "initialize":
            await wound.answer(message, b"Mcp-Session-Id: s-1\r\n")
            await wound.request()
        await wound.send(EVENT_HEAD + event_chunk("hello"))
        await wound.peer_left()
        log.append("ended")

    broken.behave = behave
    client = Client(harvey, LEGACY)
    own = client.listen()
    next(own.parts)
    vanish(own.connection, by_reset)
    wait_until(lambda: log, "the upstream to notice", 3)


def test_a_client_that_reads_nothing_and_leaves(scene, harvey, broken):
    log: list[str] = []
    broken.behave = streams(*ANSWERS["chunked"], log, count=4000)
    headers, body = tool_call("long")
    connection = harvey.connect()
    connection.send_request("POST", "/mcp", harvey.headers("client", headers), body)
    wait_until(lambda: broken.ran["long"], "the call to arrive")
    time.sleep(0.2)
    assert log == [], "64 MiB were taken for a client that reads nothing"
    connection.reset()
    wait_until(lambda: log == ["cancelled"], "the upstream to notice")


# While the call is held for consent

@ENDS
@ERAS
def test_while_the_call_is_held_for_consent(scene, harvey, broken, by_reset, era):
    judge = Guarded("files.read", refuse(403, 'Bearer error="insufficient_scope", scope="files.read"'))
    scene.upstream.on("files", judge)
    visitor = scene.visitor()
    visitor.proxy = scene.proxies[0]
    headers, body = tool_call("files", era=era)
    first = visitor.request("POST", "/held", headers, body, kind="client")
    question = told(first)
    stream = Stream(visitor, "POST", "/held", visitor.headers("client", headers), body)
    before = gone(scene)
    vanish(stream.connection, by_reset)
    wait_until(lambda: gone(scene) == before + 1, "the proxy to notice")
    visitor.consent_through(question.url)
    assert judge.ran == [], "a call whose client left while it was held never runs"


# Crowds

@ERAS
def test_a_crowd_that_leaves_in_every_stage_leaves_nothing(scene, harvey, broken, era):
    """Two hundred clients, cut off after a random part of their call and its answer; the seed is fixed."""
    chance = random.Random(7)

    async def behave(wound: Wound) -> None:
        while True:
            message = await wound.request()
            await asyncio.sleep(chance.random() * 0.02)
            if chance.random() < 0.3:
                await wound.send(EVENT_HEAD + event_chunk("x") * 3 + event_chunk({"jsonrpc": "2.0", "id": message["id"], "result": {}}) + b"0\r\n\r\n")
            else:
                await wound.answer(message)

    broken.behave = behave
    headers, body = tool_call("crowd", {"text": "z" * 3000}, era=era)
    fields = harvey.headers("client", headers) | {"Host": harvey.url.removeprefix("http://"), "Content-Length": str(len(body))}
    whole = "".join(["POST /mcp HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"]).encode() + body
    for _ in range(200):
        connection = harvey.connect()
        connection.send(whole[:chance.randrange(len(whole) + 1)] if chance.random() < 0.5 else whole)
        if chance.random() < 0.5:
            connection.socket.settimeout(chance.random() * 0.03 + 0.001)
            try:
                connection.socket.recv(chance.randrange(1, 2000))
            except OSError:
                pass
        vanish(connection, chance.random() < 0.5)
    scene.baseline.returns()
