"""What becomes of a refresh whose replica, or whose answer, is lost on the way: another replica takes over, and no user pays for another (O14)."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from support.faults import silence
from support.redis import RedisServer
from support.replicas import Fleet
from support.rotation import once, rotate_and_hang_up, rotate_and_hold
from support.upstream import good, refuse
from support.visitor import login_required

SHORT = {"tokens": {"refresh_before_expiry": "1s", "refresh_timeout": "15s"}}
LEEWAY = 60


@pytest.fixture
def fleet(binary, background, tmp_path):
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store()) as one:
        yield one


def calls(visitor, places) -> list[threading.Thread]:
    """Calls whose answers do not matter: what serves them may end under them."""
    def call(one) -> None:
        try:
            visitor.at(one).call(timeout=30)
        except Exception:
            pass

    threads = [threading.Thread(target=call, args=(one,), daemon=True) for one in places]
    for thread in threads:
        thread.start()
    return threads


def others_go_on(visitors) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda visitor: visitor.who(), visitors)) == [visitor.user for visitor in visitors]


def test_an_answer_that_is_lost_after_the_rotation_costs_nobody_a_session_where_the_provider_is_lenient(fleet):
    fleet.replicas(4, SHORT)
    fleet.provider.leeway = LEEWAY
    visitors = [fleet.expired() for _ in range(8)]
    for visitor in visitors:
        fleet.provider.moods = {"refresh_token": once(rotate_and_hang_up)}
        with ThreadPoolExecutor(4) as pool:
            first = list(pool.map(lambda one: visitor.at(one).call(timeout=20), fleet.proxies))
        # Whoever asked while the answer got lost may be told to come again, never to sign in.
        assert {answer.status for answer in first} <= {200, 502, 503}, first
    fleet.provider.moods = {}
    for visitor in visitors:
        for one in fleet.proxies:
            wait_until(lambda: visitor.at(one).call().status == 200, "the session to work again", 15, every=0.2)
    fleet.provider.is_unharmed()
    assert fleet.provider.count["leeway"] == len(visitors)


def test_an_answer_that_is_lost_without_leniency_ends_that_session_alone(fleet):
    fleet.replicas(2, SHORT)
    others = fleet.visitors(3)
    visitor = fleet.expired()
    fleet.provider.moods = {"refresh_token": once(rotate_and_hang_up)}
    visitor.call()
    fleet.provider.moods = {}

    def told(one) -> bool:
        answer = visitor.at(one).call()
        assert answer.status in (401, 502, 503), answer
        return answer.status == 401

    for one in fleet.proxies:
        wait_until(lambda: told(one), "the replica to ask for a sign-in", 15, every=0.2)
        login_required(visitor.at(one).call())
    others_go_on(others)
    assert visitor.sign_in().who() == visitor.user


@pytest.mark.parametrize("mood", ["before the rotation", "after it"])
def test_the_next_replica_takes_over_when_the_one_that_refreshes_is_killed(fleet, mood):
    """The lease of the dead runs out, and one of those who wait asks the provider itself."""
    fleet.replicas(4, SHORT)
    fleet.provider.leeway = LEEWAY
    others, visitor = fleet.visitors(4), fleet.expired()
    fleet.provider.moods = {"refresh_token": once(silence if mood == "before the rotation" else rotate_and_hold)}
    threads = calls(visitor, fleet.proxies)
    winner = fleet.winner()
    killed = time.monotonic()
    fleet.kill(winner)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda one: visitor.at(one).call(timeout=40), fleet.proxies))
    elapsed = time.monotonic() - killed
    assert [answer.status for answer in answers] == [200] * 3, answers
    assert all(visitor.user in answer.text for answer in answers)
    for thread in threads:
        thread.join(40)
    assert fleet.provider.count["moody"] == 2, "asked once by the dead, once by who took over"
    fleet.provider.is_unharmed()
    others_go_on(others)
    print(f"taken over {elapsed:.2f} s after the kill, {mood}")


def test_killed_after_the_rotation_without_leniency_that_user_alone_signs_in_again(fleet):
    fleet.replicas(2, SHORT)
    others, visitor = fleet.visitors(4), fleet.expired()
    fleet.provider.moods = {"refresh_token": once(rotate_and_hold)}
    threads = calls(visitor, fleet.proxies)
    fleet.kill(fleet.winner())
    login_required(visitor.call(timeout=40))
    for thread in threads:
        thread.join(40)
    others_go_on(others)
    assert visitor.sign_in().who() == visitor.user
    assert {fleet.upstream.user_of(request) for request in fleet.upstream.requests} == {one.user for one in [visitor, *others]}


def test_a_replica_that_is_told_to_stop_finishes_its_refresh_first(fleet):
    fleet.replicas(2, SHORT)
    visitor = fleet.expired()
    fleet.provider.refresh_delay = 1.5
    answers = []
    one = fleet.next()
    thread = threading.Thread(target=lambda: answers.append(visitor.at(one).call()))
    thread.start()
    winner = fleet.winner()
    winner.service.signal(signal.SIGTERM)
    assert winner.service.wait(15) == 0
    thread.join()
    assert answers[0].status == 200, answers
    fleet.proxies.remove(winner)
    fleet.fallen.append(winner)
    # What it got is there for the other: nothing is asked again.
    assert visitor.who() == visitor.user
    assert fleet.provider.count["refresh_token"] == 1
    fleet.provider.is_unharmed()


def test_a_replica_that_sleeps_beyond_its_lease_harms_nothing_that_another_one_got(fleet):
    """Stopped by the kernel in the middle of its refresh. When it wakes up, its answer is old: the store refuses it as it is, and the newer
    refresh token stays."""
    fleet.replicas(2, SHORT)
    fleet.provider.leeway = LEEWAY
    visitor = fleet.expired()
    held = threading.Event()

    async def hold(request, wire, usual):
        answer = await usual(request, wire)
        while not held.is_set():
            await asyncio.sleep(0.02)
        return answer

    fleet.provider.moods = {"refresh_token": once(hold)}
    threads = calls(visitor, fleet.proxies[:1])
    sleeper = fleet.winner()
    sleeper.service.signal(signal.SIGSTOP)
    held.set()
    awake = next(one for one in fleet.proxies if one is not sleeper)
    assert visitor.at(awake).call(timeout=40).status == 200
    assert fleet.provider.count["leeway"] == 1
    sleeper.service.signal(signal.SIGCONT)
    for thread in threads:
        thread.join(40)
    assert [visitor.at(one).who() for one in fleet.proxies * 3] == [visitor.user] * 6
    assert fleet.provider.count["refresh_token"] == 2
    # Neither access token is accepted any more: the next refresh shows which refresh token was kept.
    stale = {request.header("authorization") for request in fleet.upstream.requests}
    refusal = refuse(401, 'Bearer error="invalid_token", error_description="expired"')
    fleet.upstream.on("send", lambda request: (refusal if request.header("authorization") in stale else good)(request))
    assert [visitor.at(one).call("send").status for one in (sleeper, awake)] == [200, 200]
    assert fleet.provider.count["leeway"] == 1, "an older refresh token was used"
    fleet.provider.is_unharmed()
