"""HTTP/1.1 framing at both ends: what is ambiguous is refused, and an answer never meets another user's request."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from support import http
from support.server import Answer
from support.upstream import EVENTS, JSON, result
from support.visitor import Visitor, error_of, tool_call

# From the client

AMBIGUOUS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a list of lengths": b"Content-Length: 5, 6\r\n\r\nhello!",
    "a signed length": b"Content-Length: +5\r\n\r\nhello",
    "a negative length": b"Content-Length: -5\r\n\r\nhello",
    "a hexadecimal length": b"Content-Length: 0x5\r\n\r\nhello",
    "a length with a space in it": b"Content-Length: 5 5\r\n\r\nhello",
    "an empty length": b"Content-Length:\r\n\r\n",
    "a length beyond all numbers": b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "space before the colon": b"Content-Length : 5\r\n\r\nhello",
    "tab before the colon": b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"X-A: 1\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked misspelt": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked after a control character": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a bare line feed in the head": b"X-A: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": b"X-A: 1\rContent-Length: 5\r\n\r\nhello",
    "a null in a value": b"X-A: a\x00b\r\n\r\n",
    "a field without a name": b": value\r\n\r\n",
    "a field without a colon": b"novalue\r\n\r\n",
    "a name with a bracket": b"X(A): 1\r\n\r\n",
    "a second host": b"Host: other\r\n\r\n",
    "a chunk size that is no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "a chunk size too large": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    "a chunk ended by a line feed": b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_request_is_refused_and_its_connection_closed_for(shared_visitor, rest):
    """A second request hides behind the ambiguous one; it must not be answered."""
    upstream = shared_visitor.upstream
    upstream.forget()
    hidden = b"GET /public/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    data = b"POST /public/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n" % shared_visitor.proxy.port + rest + hidden
    with http.Connection(shared_visitor.proxy.url) as connection:
        connection.send(data)
        answer = connection.read_head()
        assert answer.status in (400, 411, 413, 431, 501), answer
        assert connection.ended_by_peer()
    assert not [request for request in upstream.requests if "hidden" in request.target]


BAD_LINES = [b"GET  /public/x HTTP/1.1", b"GET /public/x", b"GET /public/x HTTP/1.1 ", b" GET /public/x HTTP/1.1", b"GET /public/x HTTP/2.0", b"GET /public/x HTTP/1.10",
             b"GET /public/x http/1.1", b"G(T /public/x HTTP/1.1", b"GET /pub\x00lic HTTP/1.1", b"GET public/x HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\x00\x01"]


@pytest.mark.parametrize("line", BAD_LINES, ids=[repr(line) for line in BAD_LINES])
def test_a_broken_request_line_is_refused(shared_visitor, line):
    answer = http.exchange_raw(shared_visitor.proxy.url, line + b"\r\nHost: x\r\n\r\n")
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"405", b"501", b"505"), answer[:200]


def test_a_request_without_a_host_is_refused(shared_visitor):
    assert http.exchange_raw(shared_visitor.proxy.url, b"GET /public/x HTTP/1.1\r\n\r\n").split(b" ")[1] == b"400"


def test_http_1_0_is_answered_and_closed(shared_visitor):
    answer = http.exchange_raw(shared_visitor.proxy.url, b"GET /public/x HTTP/1.0\r\nHost: x\r\n\r\n")
    assert answer.split(b" ")[1] == b"200" and answer.endswith(b"hello"), answer
    assert b"chunked" not in answer.lower()


def test_pipelined_requests_are_answered_in_order(harvey):
    headers, _ = tool_call("x")
    requests = b""
    for number in range(10):
        fields, body = tool_call(f"tool-{number}", id=number)
        fields = harvey.headers("client", fields) | {"Host": "127.0.0.1:%d" % harvey.proxy.port, "Content-Length": str(len(body))}
        requests += b"POST /mcp HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()).encode() + b"\r\n" + body
    with harvey.connect() as connection:
        connection.send(requests)
        assert [connection.read_response().json()["id"] for _ in range(10)] == list(range(10))


def test_a_request_arriving_byte_by_byte_is_understood(harvey):
    fields, body = tool_call("whoami", id="slow")
    fields = harvey.headers("client", fields) | {"Host": "127.0.0.1:%d" % harvey.proxy.port, "Content-Length": str(len(body))}
    data = b"POST /mcp HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()).encode() + b"\r\n" + body
    with harvey.connect() as connection:
        for index in range(len(data)):
            connection.send(data[index:index + 1])
        assert connection.read_response().json()["id"] == "slow"


def test_a_chunked_call_passes_whole(harvey, upstream):
    fields, body = tool_call("whoami", {"text": "x" * 5000})
    with harvey.connect() as connection:
        connection.send_request("POST", "/mcp", harvey.headers("script", fields) | {"Transfer-Encoding": "chunked"})
        for start in range(0, len(body), 700):
            piece = body[start:start + 700]
            connection.send(b"%X;ext=1\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\nX-Trailer: 1\r\n\r\n")
        assert connection.read_response().status == 200
    assert upstream.last.body == body


def test_a_client_that_asks_first_is_told_to_go_on(harvey):
    fields, body = tool_call("whoami")
    with harvey.connect() as connection:
        connection.send_request("POST", "/mcp", harvey.headers("script", fields) | {"Expect": "100-continue", "Content-Length": str(len(body))})
        assert connection.read_line().startswith(b"HTTP/1.1 100")
        assert connection.read_line() == b""
        connection.send(body)
        assert connection.read_response().status == 200


def test_a_client_may_close_its_sending_side_and_still_gets_its_answer(harvey, upstream):
    import socket
    upstream.on("late", lambda request: Answer(200, [JSON], result(request, "here"), delay=0.5))
    fields, body = tool_call("late", era="2025-11-25")
    with harvey.connect() as connection:
        connection.send_request("POST", "/mcp", harvey.headers("script", fields), body)
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_response().status == 200


def test_a_large_answer_passes_whole(harvey, upstream):
    content = bytes(range(256)) * 40_000
    upstream.on_method("GET", Answer(200, [("Content-Type", "application/octet-stream")], content))
    answer = harvey.request("GET", "/pages/file")
    assert answer.body == content and answer.header("content-length") == str(len(content))


def test_a_large_chunked_answer_passes_whole(harvey, upstream):
    pieces = [(0, bytes([number % 251]) * 9973) for number in range(300)]
    upstream.on_method("GET", Answer(200, [("Content-Type", "application/octet-stream")], pieces=pieces))
    answer = harvey.request("GET", "/pages/file")
    assert answer.body == b"".join(piece for _, piece in pieces)


# From the upstream

def raw(head: bytes, body: bytes = b"") -> Answer:
    return Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head + b"\r\n" + body)


BROKEN = {
    "length and chunked": raw(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "two lengths": raw(b"Content-Length: 2\r\nContent-Length: 5\r\n", b"{}   "),
    "a length that is no number": raw(b"Content-Length: two\r\n", b"{}"),
    "an unknown coding": raw(b"Transfer-Encoding: gzip\r\n", b"{}"),
    "a folded field": raw(b"X-A: 1\r\n b: 2\r\nContent-Length: 2\r\n", b"{}"),
    "a broken field": raw(b"no colon here\r\nContent-Length: 2\r\n", b"{}"),
    "a null in a field": raw(b"X-A: \x00\r\nContent-Length: 2\r\n", b"{}"),
    "no status": Answer(raw=b"HTTP/1.1 \r\n\r\n"),
    "a status that is no number": Answer(raw=b"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n"),
    "another protocol": Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "nothing": Answer(raw=b""),
    "half a head": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
    "an endless head": Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 300_000 + b"\r\n\r\n"),
    "a switch of protocols": Answer(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_becomes_a_502_that_says_nothing_more(shared_visitor, shared_harvey, reply):
    shared_visitor.upstream.on("broken", reply)
    answer = shared_harvey.call("broken", id=5)
    assert answer.status == 502, answer
    error_of(answer)
    assert answer.json()["id"] == 5
    assert shared_harvey.call("whoami").status == 200
    assert shared_visitor.upstream.executed["broken"] == 1
    shared_visitor.upstream.forget()


CUT = {
    "before its length": raw(b"Content-Length: 500\r\n", b'{"jsonrpc":"2.0"'),
    "inside a chunk": raw(b"Transfer-Encoding: chunked\r\n", b"20\r\nonly a part"),
    "before the last chunk": raw(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
    "in a broken chunk": raw(b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloXX0\r\n\r\n"),
}


@pytest.mark.parametrize("reply", CUT.values(), ids=CUT.keys())
def test_a_cut_answer_never_looks_complete(shared_visitor, shared_harvey, reply):
    shared_visitor.upstream.on("cut", reply)
    try:
        answer = shared_harvey.call("cut")
    except (http.ConnectionEnded, ConnectionResetError, AssertionError, ValueError):
        return
    assert answer.status == 502, answer


def test_bytes_after_an_answer_never_reach_the_next_request(gateway, sign_in, upstream):
    harvey, kim = sign_in("harvey"), sign_in("kim")
    poison = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\npoisoned"

    async def poisoning(request, wire):
        import asyncio
        body = result(request, "fine")
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body + poison)
        await asyncio.sleep(3)

    async def poisoning_later(request, wire):
        import asyncio
        body = result(request, "fine")
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.sleep(0.05)
        await wire.write(poison)
        await asyncio.sleep(3)

    upstream.on("at-once", poisoning)
    upstream.on("later", poisoning_later)
    for tool in ("at-once", "later"):
        for _ in range(5):
            assert harvey.call(tool).json()["result"]["content"][0]["text"] == "fine"
            time.sleep(0.1 if tool == "later" else 0)
            assert kim.who() == "kim"


def test_an_answer_to_head_or_without_content_has_no_body_even_if_one_is_sent(harvey, upstream):
    upstream.on("none", Answer(raw=b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"))
    answer = harvey.call("none")
    assert answer.status in (204, 502) and answer.body in (b"",) or answer.status == 502
    assert harvey.who() == "harvey"


def test_an_answer_that_ends_with_its_connection_passes(harvey, upstream):
    upstream.on("until-close", lambda request: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + result(request, "all")))
    assert harvey.call("until-close").json()["result"]["content"][0]["text"] == "all"


def test_interim_answers_are_swallowed(harvey, upstream):
    def early(request):
        body = result(request, "final")
        return Answer(raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                      b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    upstream.on("early", early)
    answer = harvey.call("early")
    assert answer.status == 200 and answer.json()["result"]["content"][0]["text"] == "final"


# Times and failures of the upstream

def test_an_upstream_that_is_down_gives_a_502_and_recovers(proxy, provider, background):
    from processes import free_port
    from support.upstream import EchoUpstream
    port = free_port()
    visitor = Visitor(proxy({"routes": [{"path": "/mcp", "upstream": f"http://127.0.0.1:{port}/mcp", "scope": "mcp.use"}]}), provider).sign_in()
    answer = visitor.call()
    assert answer.status in (502, 503), answer
    error_of(answer)
    late = EchoUpstream(background).start(port)
    try:
        assert visitor.who() == "harvey"
    finally:
        late.stop()


def test_an_upstream_that_does_not_answer_gives_a_504(proxy, provider, upstream):
    visitor = Visitor(proxy({"timeouts": {"response_headers": "1s"}}), provider).sign_in()
    upstream.on("silent", Answer(200, delay=5))
    start = time.monotonic()
    answer = visitor.call("silent")
    assert answer.status == 504, answer
    error_of(answer)
    assert 0.8 < time.monotonic() - start < 3
    assert upstream.executed["silent"] == 1


# Content coding

def test_a_coded_answer_passes_as_the_client_accepts_it(harvey, upstream):
    body = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"x" * 3000 + b'"}]}}'
    for coding, coded in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        upstream.on("coded", Answer(200, [JSON, ("Content-Encoding", coding)], coded))
        answer = harvey.call("coded", headers={"Accept-Encoding": "gzip, deflate"})
        received = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[answer.header("content-encoding")](answer.body)
        assert received == body


def test_a_client_that_accepts_no_coding_gets_plain_text(harvey, upstream):
    body = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
    upstream.on("coded", Answer(200, [JSON, ("Content-Encoding", "gzip")], gzip.compress(body)))
    answer = harvey.call("coded", headers={"Accept-Encoding": "identity"})
    assert answer.header("content-encoding") in (None, "identity") and answer.body == body


def test_a_coded_event_stream_arrives_event_by_event(harvey, upstream):
    packer = zlib.compressobj(wbits=31)
    pieces = []
    for number in range(3):
        pieces.append((0.3, packer.compress(b"data: %d\n\n" % number) + packer.flush(zlib.Z_SYNC_FLUSH)))
    upstream.on("coded", Answer(200, [EVENTS, ("Content-Encoding", "gzip")], pieces=pieces))
    headers, body = tool_call("coded")
    with harvey.connect() as connection:
        connection.send_request("POST", "/mcp", harvey.headers("client", headers) | {"Accept-Encoding": "identity"}, body)
        head = connection.read_head()
        assert head.header("content-encoding") is None
        arrivals = [(at, text) for at, text in connection.events(head) if not text.startswith(":")]
    assert [text for _, text in arrivals] == ["data: 0", "data: 1", "data: 2"]
    assert arrivals[2][0] - arrivals[0][0] > 0.4


def test_a_small_answer_that_swells_beyond_measure_does_no_harm(shared_visitor, shared_harvey):
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(200)) + packer.flush()
    shared_visitor.upstream.on("bomb", Answer(200, [JSON, ("Content-Encoding", "gzip")], bomb))
    with shared_harvey.connect() as connection:
        headers, body = tool_call("bomb")
        connection.send_request("POST", "/mcp", shared_harvey.headers("script", headers) | {"Accept-Encoding": "identity"}, body)
        try:
            connection.read_response()
        except (http.ConnectionEnded, ConnectionResetError, ValueError):
            pass
    assert shared_harvey.call("whoami").status == 200
    with open(f"/proc/{shared_visitor.proxy.service.pid}/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert resident < 300_000, f"{resident} kB"
