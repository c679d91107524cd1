"""Redis is gone, silent, full, or comes back: signed-in users go on, nobody is signed out for it, and all of it heals by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import answers, wait_until
from support import http
from support.faults import numbers
from support.redis import RedisServer
from support.replicas import Fleet

SHORT = {"tokens": {"refresh_before_expiry": "1s"}}


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path, durable=True) as one:
        yield one


@pytest.fixture
def fleet(binary, background, tmp_path, redis):
    with Fleet(binary, background, tmp_path, redis.store(command_timeout="500ms", connect_timeout="500ms")) as one:
        yield one


def grace(fleet, text: str) -> dict:
    return {**SHORT, "session": {"store": {"outage_grace": text}}}


def ready(one) -> int:
    return http.request(one.admin_url, "GET", "/readyz").status


def takes_traffic(one) -> bool:
    return http.request(one.admin_url, "GET", "/readyz/traffic").status == 200


def seen_everywhere(fleet, visitors) -> None:
    """Every replica has served everybody."""
    with ThreadPoolExecutor(6) as pool:
        for one in fleet.proxies:
            assert list(pool.map(lambda visitor: visitor.at(one).who(), visitors)) == [visitor.user for visitor in visitors]


def told_to_wait(answer) -> None:
    assert answer.status == 503 and int(answer.header("retry-after")) >= 1, answer
    assert not answer.all("set-cookie"), "a cookie is taken back"


def all_ready(fleet, seconds: float = 15) -> None:
    wait_until(lambda: all(ready(one) == 200 for one in fleet.proxies), "all replicas to be ready", seconds, every=0.1)


def full(redis: RedisServer) -> None:
    redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis.command("CONFIG", "SET", "maxmemory", "1")


OUTAGES = {
    "killed": (RedisServer.kill, RedisServer.start),
    "silent": (RedisServer.pause, RedisServer.resume),
    "full": (full, lambda redis: redis.command("CONFIG", "SET", "maxmemory", "0")),
    "read-only": (lambda redis: redis.command("REPLICAOF", "127.0.0.1", "1"), lambda redis: redis.command("REPLICAOF", "NO", "ONE")),
}


@pytest.mark.parametrize("kind", OUTAGES)
def test_signed_in_users_go_on_at_every_replica_while_redis_is(fleet, redis, kind):
    begin, end = OUTAGES[kind]
    fleet.replicas(2, SHORT)
    visitors = fleet.visitors(6)
    fleet.provider.access_token_seconds = 12
    due = fleet.visitors(2)
    fleet.provider.access_token_seconds = 3600
    seen_everywhere(fleet, visitors + due)
    unfinished = fleet.anybody("louis")
    callback = fleet.provider.approve(unfinished.start_sign_in(), "louis")
    signed_in_at = time.monotonic()
    begin(redis)
    for one in fleet.proxies:
        for visitor in visitors:
            assert visitor.at(one).who() == visitor.user
            assert visitor.cookies
    # What begins anew has to wait, and is told for how long.
    for one in fleet.proxies:
        told_to_wait(fleet.anybody("mike").at(one).navigate("/auth/login"))
    # A server that is full still forgets: the way back can be gone once, and no session comes of it.
    for one in fleet.proxies[:1] if kind == "full" else fleet.proxies:
        told_to_wait(unfinished.at(one).come_back(callback))
        assert not unfinished.at(one).signed_in
    # Readiness and metrics tell; the processes live.
    for one in fleet.proxies:
        wait_until(lambda: ready(one) == 503, "the replica to say that its store is gone", 5, every=0.1)
        assert "session store" in http.request(one.admin_url, "GET", "/readyz").text
        assert answers(f"{one.admin_url}/healthz") and takes_traffic(one)
        assert numbers(one)["coatcheck_store_errors_total"] >= 1
    assert time.monotonic() - signed_in_at < 40
    end(redis)
    all_ready(fleet)
    seen_everywhere(fleet, visitors + due)
    wait_until(lambda: fleet.anybody("mike").start_sign_in(), "a sign-in to begin")
    assert fleet.anybody("mike").sign_in().who() == "mike"
    assert fleet.provider.count["reuse"] == 0
    families = [family for family in fleet.provider.families if family.user not in ("mike", "louis")]
    assert len(families) == len(visitors + due) and not any(family.revoked for family in families)


@pytest.mark.parametrize("kind", ["killed", "silent"])
def test_a_token_that_runs_out_while_redis_is(fleet, redis, kind):
    """It is renewed by one replica or none; whatever happens, nobody is signed out and no refresh token is used twice."""
    begin, end = OUTAGES[kind]
    fleet.replicas(2, SHORT)
    visitors = [fleet.visitor() for _ in range(4)]
    seen_everywhere(fleet, visitors)
    fleet.provider.access_token_seconds = 3
    short = fleet.visitors(4)
    fleet.provider.access_token_seconds = 3600
    seen_everywhere(fleet, short)
    begin(redis)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for visitor in short:
            answer = visitor.call()
            assert answer.status in (200, 503), answer
            if answer.status == 200:
                assert answer.json()["result"]["content"][0]["text"] == visitor.user
        time.sleep(0.2)
    end(redis)
    all_ready(fleet)
    for visitor in short:
        for one in fleet.proxies:
            wait_until(lambda: visitor.at(one).call().status == 200, "the session to work again", 15, every=0.2)
    seen_everywhere(fleet, visitors)
    fleet.provider.is_unharmed()
    assert fleet.provider.collisions == 0


def test_a_replica_that_never_saw_a_session_asks_for_patience_and_not_for_a_sign_in(fleet, redis):
    first, second = fleet.replicas(2, SHORT)
    visitor = fleet.visitor(first)
    assert visitor.at(first).who() == visitor.user
    redis.kill()
    told_to_wait(visitor.at(second).call())
    told_to_wait(visitor.at(second).request("GET", "/auth/session"))
    assert visitor.at(first).who() == visitor.user
    redis.start()
    all_ready(fleet)
    assert visitor.at(second).who() == visitor.user


def test_after_the_grace_everybody_is_asked_for_patience_and_nobody_to_sign_in(fleet, redis):
    fleet.replicas(2, grace(fleet, "3s"))
    visitors = fleet.visitors(4)
    seen_everywhere(fleet, visitors)
    redis.kill()
    begun = time.monotonic()
    assert [visitors[0].at(one).who() for one in fleet.proxies] == [visitors[0].user] * 2
    for one in fleet.proxies:
        wait_until(lambda: visitors[0].at(one).call().status == 503, "the grace to be over", 12, every=0.1)
    assert time.monotonic() - begun > 2
    for one in fleet.proxies:
        assert not takes_traffic(one)
        for visitor in visitors:
            told_to_wait(visitor.at(one).call())
            assert visitor.cookies
    redis.start()
    all_ready(fleet)
    for one in fleet.proxies:
        wait_until(lambda: visitors[0].at(one).call().status == 200, "sessions to be in use again", 5, every=0.1)
    seen_everywhere(fleet, visitors)


def test_a_replica_that_starts_while_redis_is_away_says_so_and_one_that_starts_later_serves(fleet, redis):
    one, = fleet.replicas(1, SHORT)
    visitor = fleet.visitor()
    redis.pause()
    try:
        with pytest.raises(RuntimeError) as refusal:
            fleet.replica(SHORT)
        assert "session.store" in str(refusal.value) and redis.address in str(refusal.value)
    finally:
        redis.resume()
    other = fleet.replica(SHORT)
    assert visitor.at(other).who() == visitor.user


def test_connections_that_break_cost_nobody_an_answer(fleet, redis):
    """A proxy or firewall between drops every connection, again and again: they are made anew before anybody notices."""
    fleet.replicas(2, SHORT)
    visitors = fleet.visitors(6)
    for _ in range(5):
        redis.drop_clients()
        seen_everywhere(fleet, visitors)
    all_ready(fleet)
    assert fleet.anybody("mike").sign_in().who() == "mike"


def test_a_redis_that_comes_back_empty_signs_out_nobody_whom_a_replica_knows(binary, background, tmp_path):
    """It kept nothing on disk. What the replicas have in memory is put back, with its tokens, and only once."""
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store(command_timeout="500ms", connect_timeout="500ms")) as fleet:
        one, two = fleet.replicas(2, SHORT)
        shared, at_one, gone = fleet.visitors(3), fleet.visitor(), fleet.visitor()
        seen_everywhere(fleet, [*shared, gone])
        assert at_one.at(one).who() == at_one.user
        redis.kill()
        wait_until(lambda: ready(one) == ready(two) == 503, "both to know that Redis is gone")
        redis.start()
        all_ready(fleet)
        for visitor in shared:
            for replica in fleet.proxies:
                assert visitor.at(replica).who() == visitor.user
        # One that only the other replica knew may have to wait until that has put it back.
        wait_until(lambda: at_one.at(two).call().status == 200, "the session to be back")
        assert at_one.at(two).who() == at_one.user and at_one.cookies
        wait_until(lambda: redis.command("DBSIZE") > 0, "sessions in Redis")
        assert gone.at(one).sign_out().status in (200, 303)
        wait_until(lambda: gone.at(two).call().status == 401, "the sign-out to be heard")
        fleet.provider.access_token_seconds = 3600
        assert fleet.provider.count["reuse"] == 0
