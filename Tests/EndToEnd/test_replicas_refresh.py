"""Replicas at one Redis refresh each session once an expiry, whoever asks where, and nobody is signed out for it (O13)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from support.redis import RedisServer
from support.replicas import Crowd, Fleet
from support.upstream import good, refuse

REQUESTS = 10_000
LIFE = 3
"""How many seconds an access token lives. The next one is fetched after 1.8 s at the soonest: a second ahead, less a tenth of jitter."""

SHORT = {"tokens": {"refresh_before_expiry": "1s", "refresh_timeout": "15s"}}


@pytest.fixture
def fleet(binary, background, tmp_path):
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store()) as one:
        yield one


@pytest.mark.parametrize("count", [2, 4])
def test_ten_thousand_calls_of_many_users_over_all_replicas_at_once_refresh_once_an_expiry(fleet, count):
    provider = fleet.provider
    fleet.replicas(count, SHORT)
    provider.access_token_seconds = LIFE
    visitors = fleet.visitors(40)
    begun = time.monotonic()
    # A user's wave reaches all replicas at the same moment, twice each, every few tenths of a second.
    crowd = Crowd(fleet, visitors, each=2, pause=0.4 * count / 4).run(REQUESTS)
    elapsed = time.monotonic() - begun
    crowd.all_well()
    assert crowd.sum >= REQUESTS
    provider.is_unharmed()
    assert len(provider.families) == len(visitors), "somebody signed in again"
    assert provider.collisions == 0
    assert provider.shortest_gap() > (LIFE - 1) * 0.9 - 0.1, "two refreshes for one expiry"
    expiries = int(elapsed // LIFE)
    assert expiries >= 2 and all(len(provider.rotations[visitor.user]) >= expiries - 1 for visitor in visitors)
    print(f"{count} replicas: {crowd.sum} calls, {provider.refreshes} refreshes of {len(visitors)} users in {elapsed:.1f} s, "
          f"slowest call {crowd.latest:.2f} s")


def test_all_replicas_wait_for_a_slow_provider_and_go_on_together_with_what_one_of_them_got(fleet):
    """Ten seconds are longer than any lease: it is renewed meanwhile. Who waits elsewhere is told at once."""
    fleet.replicas(4, SHORT)
    visitor = fleet.expired()
    fleet.provider.refresh_delay = 10
    ends: list[float] = []

    def call(number: int):
        answer = visitor.at(fleet.proxies[number % 4]).call(timeout=20)
        ends.append(time.monotonic())
        return answer

    begun = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(call, range(16)))
    assert [answer.status for answer in answers] == [200] * 16, answers[0]
    assert {answer.json()["result"]["content"][0]["text"] for answer in answers} == {visitor.user}
    assert fleet.provider.count["refresh_token"] == 1
    assert len({request.header("authorization") for request in fleet.upstream.requests}) == 1
    assert min(ends) - begun >= 10 and max(ends) - min(ends) < 0.8, "the losers were told late"
    print(f"slow provider: first answer after {min(ends) - begun:.2f} s, last {max(ends) - min(ends):.3f} s later")


def test_a_refused_token_is_renewed_once_over_all_replicas(fleet):
    """The upstream refuses a token that was good: all replicas that hear so at the same time share one new token."""
    fleet.replicas(4, SHORT)
    visitor = fleet.visitor()
    assert visitor.who() == visitor.user
    stale = fleet.upstream.last.header("authorization")
    refusal = refuse(401, 'Bearer error="invalid_token", error_description="expired"')
    fleet.upstream.on("send", lambda request: (refusal if request.header("authorization") == stale else good)(request))
    fleet.provider.refresh_delay = 0.3
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: visitor.at(fleet.proxies[number % 4]).call("send"), range(16)))
    assert [answer.status for answer in answers] == [200] * 16, answers
    assert fleet.provider.count["refresh_token"] == 1


def test_after_invalid_grant_the_store_is_read_again_before_anybody_is_signed_out(fleet):
    """A real refusal ends the session for all replicas, once; a new sign-in of the same user is not touched by it."""
    fleet.replicas(2, SHORT)
    visitor = fleet.expired()
    fleet.provider.withdraw(visitor.user)
    answers = [visitor.at(one).call() for one in fleet.proxies * 2]
    assert [answer.status for answer in answers] == [401] * 4, answers
    assert fleet.provider.count["refresh_token"] == 1, "the second replica asked the provider what the first one knew"
    visitor.sign_in()
    assert [visitor.at(one).who() for one in fleet.proxies] == [visitor.user] * 2


def test_a_caller_who_leaves_one_replica_leaves_its_refresh_to_the_others(fleet):
    first, second = fleet.replicas(2, SHORT)
    visitor = fleet.expired()
    fleet.provider.refresh_delay = 1
    impatient = threading.Thread(target=lambda: leave(visitor.at(first), 0.4))
    impatient.start()
    wait_until(lambda: fleet.provider.refreshing, "the refresh to begin")
    assert visitor.at(second).who() == visitor.user
    impatient.join()
    assert fleet.provider.count["refresh_token"] == 1


def leave(visitor, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        visitor.call(timeout=seconds)
