"""However a session ends, what runs for it ends with it, within a second, in the way of its protocol."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest

from support import http
from support.scene import Scene, metric
from support.server import Answer
from support.upstream import EVENTS, JSON, SessionStreams, event, result
from support.visitor import LEGACY, MODERN, Client, Visitor, login_required

TOKEN = "operator-token-0123456789-abcdefghij-KLMNOP"


def endless(request) -> Answer:
    """Progress for ever, and no answer."""
    return Answer(200, [EVENTS], pieces=[(0, event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}))]
                  + [(0.3, event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": n}})) for n in range(100)])


def admin_file(directory) -> dict:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "admin.token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    return {"admin": {"token_file": str(file)}}


def stage(scene, changes: dict | None = None):
    scene.provider.names_sessions = True
    scene.upstream.on("endless", endless)
    number = len(scene.proxies)
    return scene.proxy(admin_file(scene.directory / f"admin-{number}") | (changes or {}))


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("ends")) as one:
        stage(one)
        yield one


def admin(one, method: str, target: str) -> http.Response:
    return http.request(one.admin_url, method, target, {"Authorization": f"Bearer {TOKEN}"})


def by_user(scene, visitor: Visitor) -> None:
    assert Visitor.sign_out(visitor).status == 303


def by_back_channel(scene, visitor: Visitor) -> None:
    body = urlencode({"logout_token": scene.provider.logout_token(visitor.user)}).encode()
    answer = http.request(visitor.url, "POST", "/auth/backchannel-logout", {"Content-Type": "application/x-www-form-urlencoded"}, body)
    assert answer.status == 200, answer


def by_front_channel(scene, visitor: Visitor) -> None:
    sid = next(family.sid for family in scene.provider.families if family.user == visitor.user)
    query = urlencode({"iss": scene.provider.issuer, "sid": sid})
    assert http.request(visitor.url, "GET", f"/auth/frontchannel-logout?{query}").status == 200


def by_operator(scene, visitor: Visitor) -> None:
    answer = admin(visitor.proxy, "DELETE", f"/sessions?user={visitor.user}")
    assert answer.status == 200 and answer.json() == {"ended": 1}, answer


WAYS = {"the user": by_user, "the back channel": by_back_channel, "the front channel": by_front_channel, "an operator": by_operator}


def told_in_stream(stream, id: object) -> None:
    """The last message is the answer to the request: that a sign-in is needed."""
    *_, last = stream.messages()
    assert last["id"] == id and last["error"]["data"]["reason"] == "login_required", last


def gone(visitor: Visitor, client: Client) -> None:
    """The next request of the same ticket is told what to do."""
    answer = client.call("whoami")
    login_required(answer)
    assert answer.header("www-authenticate"), answer


@pytest.mark.parametrize("era", [MODERN, LEGACY])
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_in_progress_gets_its_answer_and_ends_when_the_session_is_ended_by(scene, way, era):
    visitor = scene.visitor()
    client = Client(visitor, era)
    with client.open("endless", id="call-7") as stream:
        assert stream.message()["method"] == "notifications/progress"
        before = dict(visitor.cookies)
        start = time.monotonic()
        WAYS[way](scene, visitor)
        told_in_stream(stream, "call-7")
        assert time.monotonic() - start < 1
    visitor.cookies = before
    gone(visitor, client)


@pytest.mark.parametrize("way", WAYS)
def test_a_sessions_own_stream_just_ends_when_the_session_is_ended_by(scene, way):
    streams = SessionStreams(scene.upstream)
    visitor = scene.visitor()
    client = Client(visitor, LEGACY)
    with client.listen() as stream:
        streams.send(client.session, {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        assert stream.message()["method"] == "notifications/tools/list_changed"
        before = dict(visitor.cookies)
        start = time.monotonic()
        WAYS[way](scene, visitor)
        # Properly: the last chunk comes, and no event of ours.
        assert list(stream.messages()) == []
        assert time.monotonic() - start < 1
    visitor.cookies = before
    gone(visitor, client)


def test_the_streams_of_others_go_on(scene):
    visitor, other = scene.visitor(), scene.visitor()
    with Client(other).open("endless") as stream:
        stream.message()
        for way in (by_back_channel, by_operator):
            way(scene, visitor)
            visitor = scene.visitor()
        for _ in range(3):
            assert stream.message()["method"] == "notifications/progress"


def test_no_stream_begins_for_a_session_that_ended_while_its_upstream_was_waited_for(scene):
    scene.upstream.on("late", lambda request: Answer(200, [EVENTS], pieces=[(0, event("late"))] * 3, delay=0.6))
    visitor = scene.visitor()
    client = Client(visitor)
    with visitor.connect() as connection:
        fields, body = client.request("tools/call", {"name": "late", "arguments": {}}, None, 5)
        connection.send_request("POST", "/mcp", fields, body)
        while not scene.upstream.calls("late"):
            time.sleep(0.01)
        by_back_channel(scene, visitor)
        head = connection.read_head()
        assert head.status == 401, head


def test_a_short_answer_that_is_on_its_way_still_arrives(scene):
    scene.upstream.on("slow", lambda request: Answer(200, [JSON], result(request, "done"), delay=0.5))
    visitor = scene.visitor()
    client = Client(visitor)
    with visitor.connect() as connection:
        fields, body = client.request("tools/call", {"name": "slow", "arguments": {}}, None, 5)
        connection.send_request("POST", "/mcp", fields, body)
        while not scene.upstream.calls("slow"):
            time.sleep(0.01)
        by_back_channel(scene, visitor)
        head = connection.read_head()
        assert head.status == 200 and b"done" in b"".join(piece for piece in connection.chunks(head))


@pytest.mark.parametrize("timeouts, seconds, reason", [
    ({"idle_timeout": "2s", "absolute_timeout": "2s"}, 2, "expired"), ({"idle_timeout": "2s", "absolute_timeout": "12h"}, 2, "idle"),
], ids=["the absolute timeout", "the idle timeout"])
def test_streams_end_within_a_second_of(scene, timeouts, seconds, reason):
    one = stage(scene, {"session": timeouts})
    streams = SessionStreams(scene.upstream)
    visitor = scene.visitor(one)
    legacy = Client(visitor, LEGACY)
    with legacy.listen() as own, Client(visitor).open("endless", id=9, timeout=15) as call:
        start = time.monotonic()
        told_in_stream(call, 9)
        assert seconds - 1 < time.monotonic() - start < seconds + 1, time.monotonic() - start
        assert list(own.messages()) == []
        assert time.monotonic() - start < seconds + 1
    login_required(legacy.call("whoami"))
    assert metric(one, f'coatcheck_session_ends_total{{reason="{reason}"}}') == 1
    del streams


def test_a_stream_goes_on_while_its_user_is_active_elsewhere(scene):
    one = stage(scene, {"session": {"idle_timeout": "2s"}, "workers": 2})
    visitor = scene.visitor(one)
    with Client(visitor).open("endless", timeout=15) as stream:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert visitor.who() == visitor.user
            assert "error" not in stream.message()


def test_a_sign_in_again_leaves_the_streams_of_before_running_under_the_new_session(scene):
    one = scene.proxies[0]
    visitor = scene.visitor(one)
    with Client(visitor).open("endless", id=3) as stream:
        stream.message()
        visitor.sign_in()
        assert "error" not in stream.message()
        by_operator(scene, visitor)
        told_in_stream(stream, 3)


def test_everything_ends_at_once(scene):
    one = stage(scene)
    visitors = [scene.visitor(one) for _ in range(3)]
    opened = [Client(visitor).open("endless", id=number) for number, visitor in enumerate(visitors)]
    for stream in opened:
        stream.message()
    start = time.monotonic()
    answer = admin(one, "DELETE", "/sessions?all=true")
    assert answer.status == 200 and answer.json() == {"ended": 3}, answer
    for number, stream in enumerate(opened):
        told_in_stream(stream, number)
        stream.connection.close()
    assert time.monotonic() - start < 1.5
    for visitor in visitors:
        login_required(visitor.call())
    assert scene.proxies[0] is not one and json.loads(admin(one, "GET", "/sessions").text)["sessions"] == []
