"""The protocol of MCP passing through: both eras, their headers, their sessions, and their rules for callers that leave."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest

from processes import wait_until
from support.server import Answer
from support.upstream import EVENTS, JSON, event, message, result, rpc_error
from support.visitor import LEGACY, MODERN, Visitor, rpc, tool_call

HEADER_MISMATCH = -32020


# Legacy sessions

def legacy(mcp_session: str, **more) -> dict[str, str]:
    return {"Mcp-Session-Id": mcp_session, "MCP-Protocol-Version": LEGACY, **more}


def test_the_session_id_passes_both_ways_unchanged(harvey, upstream):
    upstream.on_method("initialize", lambda request: Answer(200, [JSON, ("Mcp-Session-Id", "Id!with~odd(but)visible*chars")], result(request, "hi")))
    mcp_session = harvey.open_session()
    assert mcp_session == "Id!with~odd(but)visible*chars"
    assert harvey.call(era=LEGACY, headers=legacy(mcp_session)).status == 200
    assert upstream.last.all("mcp-session-id") == [mcp_session]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "resume"])
def test_the_session_of_another_user_is_not_found(sign_in, upstream, method):
    harvey, kim = sign_in("harvey"), sign_in("kim")
    mcp_session = harvey.open_session()
    count = len(upstream.requests)
    if method == "POST":
        answer = kim.call(era=LEGACY, headers=legacy(mcp_session))
    elif method == "resume":
        answer = kim.request("GET", "/mcp", legacy(mcp_session, **{"Last-Event-ID": "1", "Accept": "text/event-stream"}))
    else:
        answer = kim.request(method, "/mcp", legacy(mcp_session))
    assert answer.status == 404, answer
    assert len(upstream.requests) == count
    assert harvey.call(era=LEGACY, headers=legacy(mcp_session)).status == 200


def test_a_user_keeps_the_mcp_session_in_a_second_browser(sign_in):
    first, second = sign_in("harvey"), sign_in("harvey")
    mcp_session = first.open_session()
    assert second.call(era=LEGACY, headers=legacy(mcp_session)).status == 200


def test_an_mcp_session_of_before_a_restart_goes_on_or_is_answered_404(proxy, provider, upstream):
    one = proxy()
    harvey, kim = Visitor(one, provider, "harvey").sign_in(), Visitor(one, provider, "kim").sign_in()
    mcp_session = harvey.open_session()
    one.stop()
    one.start()
    assert harvey.call(era=LEGACY, headers=legacy(mcp_session)).status in (200, 404)
    assert kim.call(era=LEGACY, headers=legacy(mcp_session)).status == 404


def test_the_upstreams_404_for_a_dead_session_reaches_the_client(harvey, upstream):
    mcp_session = harvey.open_session()
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Session not found"}}'
    upstream.on("whoami", Answer(404, [JSON], body))
    answer = harvey.call(era=LEGACY, headers=legacy(mcp_session))
    assert (answer.status, answer.body) == (404, body)


@pytest.mark.parametrize("status", [200, 204, 405])
def test_delete_is_forwarded_and_its_answer_passes(harvey, upstream, status):
    mcp_session = harvey.open_session()
    upstream.on_method("DELETE", Answer(status))
    assert harvey.request("DELETE", "/mcp", legacy(mcp_session)).status == status
    assert upstream.last.method == "DELETE" and upstream.last.header("mcp-session-id") == mcp_session


def test_a_get_stream_is_forwarded_and_a_405_passes(harvey, upstream):
    mcp_session = harvey.open_session()
    upstream.on_method("GET", Answer(405, [("Allow", "POST")]), Answer(200, [EVENTS], pieces=[(0, event("one", id="1"))]))
    stream = legacy(mcp_session, Accept="text/event-stream")
    answer = harvey.request("GET", "/mcp", stream)
    assert answer.status == 405 and answer.header("allow") == "POST"
    answer = harvey.request("GET", "/mcp", stream | {"Last-Event-ID": "41"})
    assert answer.status == 200 and b"data: one" in answer.body
    assert upstream.last.header("last-event-id") == "41"


def test_a_notification_gets_its_empty_202(harvey, upstream):
    answer = harvey.rpc("notifications/cancelled", {"requestId": 7, "reason": "test"}, id=None, era=LEGACY)
    assert (answer.status, answer.body) == (202, b"")
    assert message(upstream.last) == {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7, "reason": "test"}}


def test_the_answer_of_a_client_to_a_request_of_the_server_passes(harvey, upstream):
    body = b'{"jsonrpc":"2.0","id":"srv-1","result":{"action":"accept"}}'
    upstream.on_method("POST", Answer(202))
    answer = harvey.request("POST", "/mcp", {"Content-Type": "application/json", "MCP-Protocol-Version": LEGACY}, body)
    assert answer.status == 202 and upstream.last.body == body


@pytest.mark.parametrize("version", [None, "2025-03-26", "2025-06-18", "2025-11-25", "2099-01-01"])
def test_a_legacy_call_passes_whatever_version_it_names(harvey, upstream, version):
    answer = harvey.call(era=LEGACY, headers={"MCP-Protocol-Version": version})
    assert answer.status == 200, answer
    assert upstream.last.header("mcp-protocol-version") == version


def test_a_body_passes_byte_for_byte(harvey, upstream):
    body = b'{ "jsonrpc":"2.0",\t"id" : 1.0e0 ,"method":"tools/call", "params":{"name":"x","arguments":{"text":"\\u00e9\xc3\xa9 \\/"}} }\n'
    harvey.request("POST", "/mcp", {"Content-Type": "application/json", "MCP-Protocol-Version": LEGACY}, body)
    assert upstream.last.body == body


@pytest.mark.parametrize("version, passes", [("2025-03-26", True), ("2025-06-18", False), ("2025-11-25", False), (MODERN, False)])
def test_a_batch_passes_only_in_the_version_that_has_batches(harvey, upstream, version, passes):
    body = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}]).encode()
    upstream.on_method("POST", Answer(200, [JSON], b"[]"))
    answer = harvey.request("POST", "/mcp", {"Content-Type": "application/json", "MCP-Protocol-Version": version}, body)
    assert answer.status == (200 if passes else 400), answer
    assert [request.body for request in upstream.requests] == ([body] if passes else [])


# Modern headers

def encoded(name: str) -> str:
    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


MISMATCHES = {
    "no method": {"Mcp-Method": None}, "another method": {"Mcp-Method": "tools/list"}, "a method in capitals": {"Mcp-Method": "TOOLS/CALL"},
    "no name": {"Mcp-Name": None}, "another name": {"Mcp-Name": "other"}, "another name in base64": {"Mcp-Name": encoded("other")}, "a name in capitals": {"Mcp-Name": "WHOAMI"},
    "another version": {"MCP-Protocol-Version": LEGACY}, "no version": {"MCP-Protocol-Version": None},
}


@pytest.mark.parametrize("headers", MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_modern_call_is_refused_when_its_header_has(harvey, upstream, headers):
    answer = harvey.call("whoami", headers=headers, id="m-1")
    assert answer.status == 400, answer
    body = answer.json()
    assert body["error"]["code"] == HEADER_MISMATCH and body["id"] == "m-1"
    assert upstream.requests == []


MATCHES = {
    "names in any case": ({"Mcp-Method": None, "mCp-mEtHoD": "tools/call"}, "whoami"),
    "space around the value": ({"Mcp-Method": None, "Mcp-Method ".strip(): "  tools/call \t"}, "whoami"),
    "a name in base64": ({"Mcp-Name": encoded("grüße")}, "grüße"),
    "a plain name in base64": ({"Mcp-Name": encoded("whoami")}, "whoami"),
}


@pytest.mark.parametrize("headers, tool", MATCHES.values(), ids=MATCHES.keys())
def test_a_modern_call_passes_with(harvey, upstream, headers, tool):
    fields, body = tool_call(tool)
    fields = {name: value for name, value in fields.items() if name.lower() not in {key.lower() for key in headers}}
    fields |= {name: value for name, value in headers.items() if value is not None}
    if tool != "whoami" or "Mcp-Name" in headers:
        fields["Mcp-Name"] = headers["Mcp-Name"]
    answer = harvey.request("POST", "/mcp", fields, body)
    assert answer.status == 200, answer
    assert len(upstream.last.all("mcp-method")) == 1 and len(upstream.last.all("mcp-name")) == 1


@pytest.mark.parametrize("name", ["Mcp-Method", "Mcp-Name", "MCP-Protocol-Version"])
def test_a_routing_header_sent_twice_is_refused_and_never_merged(harvey, upstream, name):
    fields, body = tool_call("whoami")
    lines = list(harvey.headers("script", fields).items()) + [(name, fields[name]), ("Content-Length", str(len(body)))]
    with harvey.connect() as connection:
        answer = connection.request("POST", "/mcp", lines, body)
    assert answer.status == 400, answer
    assert upstream.requests == []


def test_unknown_parameter_headers_pass_unchanged_and_once(harvey, upstream):
    harvey.call(headers={"Mcp-Param-Tenant": "  a  b ".strip(), "mcp-param-encoded": "=?base64?w6k=?="})
    assert upstream.last.all("mcp-param-tenant") == ["a  b"]
    assert upstream.last.all("mcp-param-encoded") == ["=?base64?w6k=?="]


def test_the_session_id_of_a_modern_call_is_neither_minted_nor_invented(harvey):
    answer = harvey.call()
    assert answer.header("mcp-session-id") is None


@pytest.mark.parametrize("status, code", [(400, -32020), (400, -32021), (400, -32022), (404, -32601)])
def test_protocol_errors_of_the_upstream_pass_with_status_and_id(harvey, upstream, status, code):
    reply = rpc_error(code, "said by the server", {"supported": [MODERN]}, status)
    upstream.on("whoami", reply)
    answer = harvey.call(id="exact")
    assert (answer.status, answer.body) == (status, reply(upstream.last).body)


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "subscriptions/listen"])
def test_discovery_and_lists_are_asked_of_the_upstream_for_every_user(sign_in, upstream, method):
    upstream.on_method(method, lambda request: Answer(200, [JSON, ("Cache-Control", "max-age=600")], result(request, upstream.user_of(request), ttlMs=60000, cacheScope="private")))
    for user in ("harvey", "kim", "harvey"):
        answer = sign_in(user).rpc(method)
        assert answer.json()["result"]["content"][0]["text"] == user
    assert len(upstream.requests) == 3


# Streams

def timed_events(visitor: Visitor, tool: str = "stream", era: str = MODERN, timeout: float = 10):
    headers, body = tool_call(tool, era=era)
    with visitor.connect(timeout) as connection:
        start = time.monotonic()
        connection.send_request("POST", "/mcp", visitor.headers("script", headers), body)
        head = connection.read_head()
        head_at = time.monotonic() - start
        yield head_at, head
        yield from connection.events(head)


def test_status_and_headers_of_a_stream_arrive_before_its_first_event(harvey, upstream):
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(1.2, event("late"))]))
    events = timed_events(harvey)
    head_at, head = next(events)
    assert head.status == 200 and head.header("content-type").startswith("text/event-stream")
    assert head_at < 0.5
    assert "late" in [text for _, text in events][-1]


def test_each_event_arrives_when_it_is_sent_and_byte_for_byte(harvey, upstream):
    sent = [b"id: p-1\nretry: 250\ndata: \n\n", b": just a comment\n\n", b"event: message\ndata: {\"a\":1}\ndata: {\"b\":2}\n\n", b"data:no space\nid: 9\n\n"]
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(0.25, piece) for piece in sent]))
    events = timed_events(harvey)
    _, head = next(events)
    got = list(events)
    assert [text.encode() + b"\n\n" for _, text in got] == sent
    times = [at for at, _ in got]
    assert all(0.15 < later - earlier < 0.45 for earlier, later in zip(times, times[1:])), times
    assert head.header("content-length") is None


def test_an_event_is_not_held_back_until_the_next_one(harvey, upstream):
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(0, b"id: 1\ndata: \n\n"), (2, event("second"))]))
    events = timed_events(harvey)
    next(events)
    at, text = next(events)
    assert at < 0.5 and text.startswith("id: 1")


def test_carriage_returns_and_split_events_pass(harvey, upstream):
    pieces = [b"da", b"ta: x\r", b"\n\r\n", b"data: y\r\r", b"data: ", b"z\n", b"\n"]
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(0.02, piece) for piece in pieces]))
    headers, body = tool_call("stream")
    answer = harvey.request("POST", "/mcp", headers, body)
    assert answer.body == b"".join(pieces)


def test_a_long_silence_is_kept_alive_by_comments(proxy, provider, upstream):
    visitor = Visitor(proxy({"streams": {"keep_alive": "300ms"}}), provider).sign_in()
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(1.6, event("after the silence"))]))
    events = timed_events(visitor)
    next(events)
    texts = [text for _, text in events]
    assert len([text for text in texts if text.startswith(":")]) >= 3
    assert texts[-1] == "data: after the silence"


def test_a_comment_never_splits_an_event(proxy, provider, upstream):
    visitor = Visitor(proxy({"streams": {"keep_alive": "200ms"}}), provider).sign_in()
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(0, b"data: one "), (0.9, b"line\n\n")]))
    events = timed_events(visitor)
    next(events)
    assert [text for _, text in events if not text.startswith(":")] == ["data: one line"]


def test_no_message_shows_up_on_two_streams(harvey, upstream):
    numbers = iter(range(1000))
    upstream.on("stream", lambda request: Answer(200, [EVENTS], pieces=[(0.05, event(f"n{next(numbers)}")) for _ in range(5)]))
    first, second = timed_events(harvey), timed_events(harvey)
    next(first), next(second)
    texts = [text for _, text in first] + [text for _, text in second]
    assert len(texts) == 10 and len(set(texts)) == 10


def test_a_large_stream_is_not_buffered_when_the_client_does_not_read(harvey, upstream):
    piece = event("x" * 65000)
    written = 0

    async def flood(request, wire):
        nonlocal written
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2000):
            await wire.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            written += len(piece)

    upstream.on("stream", flood)
    headers, body = tool_call("stream")
    with harvey.connect() as connection:
        connection.send_request("POST", "/mcp", harvey.headers("script", headers), body)
        connection.read_head()
        time.sleep(1)
        assert written < 48 << 20, f"{written >> 20} MiB were taken for a client that reads nothing"


# Callers that leave

def slow(upstream, log: list[str]):
    async def work(request, wire):
        gone = asyncio.ensure_future(wire.client_left())
        done, _ = await asyncio.wait([gone], timeout=1.2)
        if done:
            log.append("cancelled")
            return None
        log.append("completed")
        return Answer(200, [JSON], result(request, "done"))
    upstream.on("slow", work)


def leave(visitor: Visitor, era: str, by_reset: bool) -> None:
    headers, body = tool_call("slow", era=era)
    connection = visitor.connect()
    connection.send_request("POST", "/mcp", visitor.headers("client", headers), body)
    time.sleep(0.3)
    connection.reset() if by_reset else connection.close()


@pytest.mark.parametrize("by_reset", [False, True], ids=["close", "reset"])
def test_a_legacy_caller_that_leaves_does_not_cancel_its_call(harvey, upstream, by_reset):
    log: list[str] = []
    slow(upstream, log)
    leave(harvey, LEGACY, by_reset)
    wait_until(lambda: log, "the call to end")
    assert log == ["completed"]


@pytest.mark.parametrize("by_reset", [False, True], ids=["close", "reset"])
def test_a_modern_caller_that_leaves_cancels_its_call_at_once(harvey, upstream, by_reset):
    log: list[str] = []
    slow(upstream, log)
    leave(harvey, MODERN, by_reset)
    start = time.monotonic()
    wait_until(lambda: log, "the call to end")
    assert log == ["cancelled"] and time.monotonic() - start < 1


def test_a_modern_caller_that_leaves_a_stream_ends_it(harvey, upstream):
    log: list[float] = []

    async def endless(request, wire):
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.write(b"%x\r\n%s\r\n" % (len(event("hi")), event("hi")))
        await wire.client_left()
        log.append(time.monotonic())

    upstream.on("slow", endless)
    headers, body = tool_call("slow")
    connection = harvey.connect()
    connection.send_request("POST", "/mcp", harvey.headers("client", headers), body)
    next(connection.events(connection.read_head()))
    connection.close()
    wait_until(lambda: log, "the upstream to notice", 1.5)


# Executing once

def test_a_call_that_was_executed_is_never_sent_again(harvey, upstream):
    async def execute_and_drop(request, wire):
        wire.abort()

    upstream.on("transfer", execute_and_drop)
    harvey.who()
    answer = harvey.call("transfer")
    assert answer.status == 502, answer
    assert upstream.executed["transfer"] == 1


def test_a_connection_that_died_while_idle_costs_no_error(harvey, upstream):
    upstream.on("last", lambda request: Answer(200, [JSON], result(request, "bye")))
    for _ in range(20):
        assert harvey.call("last").status == 200
        for writer in list(upstream._open):
            upstream.background.loop.call_soon_threadsafe(writer.close)
        time.sleep(0.03)
