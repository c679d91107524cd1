"""Redis with sentinels, and Redis as a cluster, under load: when the master falls or slots move, no user is signed out."""

from __future__ import annotations

import time

import pytest

from processes import wait_until
from support import http
from support.redis import PASSWORD, RedisCluster, RedisSentinels, RedisServer, secret_file
from support.replicas import Crowd, Fleet

SHORT = {"tokens": {"refresh_before_expiry": "1s"}}


@pytest.fixture
def make_fleet(binary, background, tmp_path):
    opened = []

    def make(store: dict, count: int = 2) -> Fleet:
        fleet = Fleet(binary, background, tmp_path, store).__enter__()
        opened.append(fleet)
        fleet.replicas(count, SHORT)
        return fleet

    yield make
    for fleet in opened:
        fleet.__exit__()


@pytest.fixture
def cluster(tmp_path):
    with RedisCluster(tmp_path) as one:
        yield one


@pytest.fixture
def sentinels(tmp_path):
    with RedisSentinels(tmp_path) as one:
        yield one


def ready(fleet) -> bool:
    return all(http.request(one.admin_url, "GET", "/readyz").status == 200 for one in fleet.proxies)


def nobody_signed_out(fleet, visitors) -> None:
    for visitor in visitors:
        for one in fleet.proxies:
            assert visitor.at(one).who() == visitor.user
    fleet.provider.is_unharmed()
    assert len(fleet.provider.families) == len(visitors)


def move(source: RedisServer, target: RedisServer, crowd: Crowd) -> int:
    """Every slot of `source` that holds keys goes to `target`, key by key, while both are in use. Returns how many keys moved."""
    moved = 0
    here, there = source.command("CLUSTER", "MYID"), target.command("CLUSTER", "MYID")
    with source.connect() as old, target.connect() as new:
        slots = {old("CLUSTER", "KEYSLOT", key) for key in source.keys()}
        for slot in slots:
            new("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
            old("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
            crowd.flows(20)
            while keys := old("CLUSTER", "GETKEYSINSLOT", slot, 10):
                old("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
                moved += len(keys)
            new("CLUSTER", "SETSLOT", slot, "NODE", there)
            old("CLUSTER", "SETSLOT", slot, "NODE", there)
    return moved


def test_sentinels_put_another_master_in_place_and_nobody_notices_more_than_a_pause(sentinels, make_fleet):
    fleet = make_fleet(sentinels.store(command_timeout="500ms"))
    fleet.provider.access_token_seconds = 6
    fleet.provider.leeway = 60
    visitors = fleet.visitors(12)
    with Crowd(fleet, visitors, pause=0.2) as crowd:
        crowd.flows(200)
        begun = time.monotonic()
        sentinels.fail_over()
        wait_until(lambda: ready(fleet), "the replicas to find the new master", 20, every=0.1)
        elapsed = time.monotonic() - begun
        crowd.flows(400)
    assert not crowd.lost and set(crowd.answers) <= {200, 503}, (crowd.answers, crowd.wrong[:3])
    nobody_signed_out(fleet, visitors)
    assert fleet.anybody("mike").sign_in().who() == "mike"
    print(f"sentinel failover: ready after {elapsed:.1f} s, answers {dict(crowd.answers)}, refreshes {fleet.provider.refreshes}")


def test_slots_that_move_between_masters_cost_nobody_an_answer(cluster, make_fleet):
    fleet = make_fleet(cluster.store())
    fleet.provider.access_token_seconds = 3
    visitors = fleet.visitors(24)
    first, second, third = cluster.masters
    assert all(node.keys() for node in cluster.masters), "the sessions are spread"
    with Crowd(fleet, visitors, pause=0.2) as crowd:
        crowd.flows(200)
        before = fleet.provider.refreshes
        moved = move(first, second, crowd)
        moved += move(second, third, crowd)
        meanwhile = fleet.provider.refreshes - before
        crowd.flows(200)
    crowd.all_well()
    assert moved > 0 and meanwhile > 0 and fleet.provider.refreshes > len(visitors)
    nobody_signed_out(fleet, visitors)
    assert fleet.provider.collisions == 0
    assert fleet.provider.shortest_gap() > 1.7
    assert fleet.anybody("mike").sign_in().who() == "mike"
    print(f"cluster: {moved} keys moved under {crowd.sum} calls and {fleet.provider.refreshes} refreshes, {meanwhile} of them meanwhile")


def test_a_sign_out_reaches_every_replica_through_a_cluster(cluster, make_fleet):
    fleet = make_fleet(cluster.store(), 3)
    visitors = fleet.visitors(6)
    for visitor in visitors:
        for one in fleet.proxies:
            assert visitor.at(one).who() == visitor.user
        stolen = dict(visitor.cookies)
        assert visitor.at(fleet.proxies[0]).sign_out().status == 303
        visitor.cookies.update(stolen)
        wait_until(lambda: [visitor.at(one).call().status for one in fleet.proxies] == [401] * 3, "all to know", 1)


def test_a_redis_with_password_and_tls_serves_replicas(tmp_path, authority, make_fleet):
    with RedisServer(tmp_path, authority=authority, password=PASSWORD) as redis:
        fleet = make_fleet(redis.store(password_file=secret_file(tmp_path, PASSWORD)))
        visitors = fleet.visitors(3)
        nobody_signed_out(fleet, visitors)
        dump = redis.dump()
        assert not [secret for secret in fleet.provider.issued if secret.encode() in dump], "a token that is not sealed"
        for one in list(fleet.proxies):
            assert one.stop() == 0
