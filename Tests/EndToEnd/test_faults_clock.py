"""A wall clock that jumps: deadlines keep their length, tokens are fetched anew, sessions neither end for it nor live forever."""

from __future__ import annotations

import asyncio
import datetime
import glob
import threading
import time
from pathlib import Path

import pytest

from processes import wait_until
from support.faults import EVENT_HEAD, Launched, MoodyProvider, UNAVAILABLE, begun, event_chunk
from support.scene import Scene
from support.server import Answer
from support.upstream import JSON, refuse, result
from support.visitor import Client, Visitor, tool_call

LIBRARY = next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))), None)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")

MINUTE, HOUR, DAY = 60, 3600, 86400


class OnItsOwnClock(Launched):
    """A proxy whose wall clock is the machine's plus as many seconds as a test says. Its monotonic clock is the machine's."""

    @property
    def launcher(self) -> str:
        # `env` comes first, because the library changes the environment of the first process that it is in, and Swift finds its
        # arguments beside an environment as it was.
        return (f'export LD_PRELOAD="{LIBRARY}" FAKETIME_TIMESTAMP_FILE="{self.offset_file}" FAKETIME_NO_CACHE=1 '
                f'FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\nexec env "$BINARY" "$@"')

    @property
    def offset_file(self) -> Path:
        return self.directory / "offset"

    def start(self) -> "OnItsOwnClock":
        if not self.offset_file.exists():
            self.set(0)
        return super().start()

    def stop(self) -> int | None:
        code = super().stop()
        self.tidy()
        return code

    def kill(self) -> None:
        super().kill()
        self.tidy()

    def tidy(self) -> None:
        """What the library shares with children stays behind when a process is replaced by another program or killed."""
        for name in ("faketime_shm_", "sem.faketime_sem_"):
            (Path("/dev/shm") / f"{name}{self.service.pid}").unlink(missing_ok=True)

    def set(self, seconds: float) -> None:
        """Whoever reads the file in between finds the old time or the new one."""
        fresh = self.offset_file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self.offset_file)
        self.ahead = seconds

    def now(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def scene(binary, background, tmp_path):
    with Scene(binary, background, tmp_path, MoodyProvider) as one:
        yield one


def clocked(scene, changes: dict | None = None) -> OnItsOwnClock:
    changes = {"session": {"idle_timeout": "1h", "absolute_timeout": "8h"}, "workers": 1, "tokens": {"refresh_before_expiry": "1s"}} | (changes or {})
    return scene.proxy(changes, OnItsOwnClock)


def ends_at(visitor: Visitor) -> float:
    """When the session ends, as the proxy says."""
    text = visitor.session()["expires_at"]
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def refreshes(scene) -> int:
    return scene.provider.count["refresh_token"]


def test_the_clock_of_these_tests_moves(scene):
    one = clocked(scene)
    harvey = scene.visitor(one)
    for seconds in (0, DAY, -DAY):
        one.set(seconds)
        date = time.mktime(time.strptime(harvey.request("GET", "/auth/session").header("date"), "%a, %d %b %Y %H:%M:%S %Z")) - time.timezone
        assert abs(date - one.now()) < 5


def test_a_jump_forward_fetches_tokens_and_keeps_sessions(scene):
    one = clocked(scene)
    scene.provider.access_token_seconds = 600
    harvey = scene.visitor(one, "harvey")
    assert harvey.who() == "harvey" and refreshes(scene) == 0
    one.set(30 * MINUTE)
    assert harvey.who() == "harvey" and refreshes(scene) == 1
    assert harvey.who() == "harvey" and refreshes(scene) == 1
    one.set(0)
    assert harvey.who() == "harvey" and harvey.signed_in
    assert scene.provider.count["reuse"] == 0


def test_a_jump_beyond_the_idle_timeout_ends_sessions_and_the_right_time_lets_everybody_in_again(scene):
    """It cannot be told from time that has passed, so the safe reading counts."""
    one = clocked(scene)
    harvey = scene.visitor(one, "harvey")
    one.set(2 * HOUR)
    assert harvey.call().status == 401
    visitor, callback = begun(scene)
    assert visitor.come_back(callback).status == 400, "an ID token that seems to have run out signs nobody in"
    one.set(0)
    assert harvey.sign_in().who() == "harvey" and visitor.sign_in().call().status == 200


def test_after_a_jump_back_a_session_does_not_live_longer(scene):
    one = clocked(scene)
    harvey = scene.visitor(one, "harvey")
    one.set(-DAY)
    assert harvey.who() == "harvey"
    one.kill()
    one.start()
    assert harvey.who() == "harvey"
    end = ends_at(harvey)
    assert abs(end - (one.now() + 8 * HOUR)) < 2 * MINUTE, "eight hours from now, not a day and eight hours"
    one.set(-DAY + 7 * HOUR)
    assert harvey.call().status == 401, "an hour without use is the end of it"


def test_after_a_jump_back_a_session_in_memory_does_not_live_longer_and_its_uses_count(scene):
    one = clocked(scene, {"session": {"idle_timeout": "10m", "absolute_timeout": "8h"}})
    harvey = scene.visitor(one, "harvey")
    assert harvey.who() == "harvey"
    one.set(-DAY)
    # The proxy looks at what it holds every fifteen seconds.
    wait_until(lambda: ends_at(harvey) < one.now() + 8 * HOUR + 2 * MINUTE, "the session's end to be counted anew", 20, every=0.3)
    for minutes in (6, 12, 18, 24):
        one.set(-DAY + minutes * MINUTE)
        assert harvey.who() == "harvey", f"it was in use, and ended after {minutes} minutes"
        assert harvey.signed_in
    one.set(-DAY + 40 * MINUTE)
    assert harvey.call().status == 401


def test_after_a_jump_back_a_token_that_has_run_out_is_replaced_unnoticed(scene):
    """The proxy takes it for good, the upstream does not."""
    one = clocked(scene)
    harvey = scene.visitor(one, "harvey")
    harvey.who()
    stale = scene.upstream.last.header("authorization")
    one.set(-DAY)
    scene.upstream.on("strict", lambda request: refuse(401, 'Bearer error="invalid_token"')(request)
                      if request.header("authorization") == stale else Answer(200, [JSON], result(request, "accepted")))
    assert harvey.call("strict").status == 200 and refreshes(scene) == 1
    assert harvey.signed_in


def test_a_failure_is_not_remembered_for_the_time_of_a_jump_back(scene):
    routes = [scene.route("/mcp"), scene.route("/two", scope="two.use", resource="https://two.example/")]
    one = clocked(scene, {"routes": routes})
    victim = scene.visitor(one)
    scene.provider.moods = {"refresh_token": UNAVAILABLE["500"]}
    assert victim.call(path="/two").status == 503
    scene.provider.moods.clear()
    one.set(-30 * MINUTE)
    wait_until(lambda: victim.call(path="/two").status == 200, "the session to work again", 5, every=0.1)


@pytest.mark.parametrize("seconds, status", [(-80, 303), (80, 303), (-HOUR, 400), (HOUR, 400)])
def test_id_tokens_are_believed_within_the_clock_skew(scene, seconds, status):
    one = clocked(scene)
    one.set(seconds)
    visitor, callback = begun(scene)
    assert visitor.come_back(callback).status == status
    assert visitor.signed_in == (status == 303)


@pytest.mark.parametrize("seconds", [-HOUR, HOUR // 2], ids=["behind", "ahead"])
def test_a_wrong_clock_signs_nobody_out_at_a_refresh_that_brings_an_id_token(scene, seconds):
    """Its times look wrong; the tokens beside it are good, and the old refresh token is spent."""
    routes = [scene.route("/mcp", scope="openid mcp.use"), scene.route("/two", scope="openid two.use", resource="https://two.example/")]
    one = clocked(scene, {"routes": routes})
    harvey = scene.visitor(one, "harvey")
    assert harvey.who() == "harvey"
    scene.provider.refresh_brings_id_token = True
    one.set(seconds)
    assert harvey.who(path="/two") == "harvey" and harvey.who() == "harvey"
    assert harvey.signed_in and scene.provider.count["reuse"] == 0
    one.set(0)
    assert harvey.who(path="/two") == "harvey" and harvey.who() == "harvey"


def test_a_sign_in_that_crosses_a_jump_can_be_finished(scene):
    one = clocked(scene)
    visitor, callback = begun(scene)
    one.set(-80)
    assert visitor.come_back(callback).status == 303 and visitor.signed_in


@pytest.mark.parametrize("seconds", [-DAY, DAY], ids=["back", "forward"])
def test_deadlines_keep_their_length(scene, seconds):
    """What is under way goes on, and what is late is still found to be late."""
    one = clocked(scene, {"timeouts": {"response_headers": "2s", "idle": "60s"}, "session": {"idle_timeout": "3d", "absolute_timeout": "7d"}})
    scene.provider.access_token_seconds = 7 * DAY
    harvey = scene.visitor(one, "harvey")
    moved = threading.Event()

    async def stream(request, wire):
        await wire.write(EVENT_HEAD + event_chunk("first"))
        while not moved.is_set():
            await asyncio.sleep(0.02)
        await wire.write(event_chunk({"jsonrpc": "2.0", "id": 1, "result": {}}) + b"0\r\n\r\n")

    async def slow(request, wire):
        while not moved.is_set():
            await asyncio.sleep(0.02)
        return Answer(200, [JSON], result(request, "done"))

    scene.upstream.on("stream", stream)
    scene.upstream.on("slow", slow)
    scene.upstream.on("silent", Answer(200, delay=20))
    headers, body = tool_call("slow")
    with harvey.connect() as waiting, harvey.connect() as idle, Client(harvey).open("stream") as streaming:
        assert idle.request("GET", "/auth/session", harvey.headers("script", None)).status == 200
        waiting.send_request("POST", "/mcp", harvey.headers("script", headers), body)
        next(streaming.parts)
        wait_until(lambda: scene.upstream.executed["slow"], "the call to arrive")
        one.set(seconds)
        assert harvey.who() == "harvey"
        moved.set()
        assert waiting.read_response().status == 200
        assert [*streaming.messages()] == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
        assert idle.request("GET", "/auth/session", harvey.headers("script", None)).status == 200
    start = time.monotonic()
    assert harvey.call("silent").status == 504
    assert 1.8 < time.monotonic() - start < 5
