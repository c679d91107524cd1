"""Any replica serves any request: a sign-in, a session and its end are everybody's at once."""

from __future__ import annotations

import time

import pytest

from processes import wait_until
from support.redis import RedisServer
from support.replicas import Fleet
from support.upstream import SessionStreams
from support.visitor import LEGACY, Client, Stream, login_required

SECOND = 1.0


@pytest.fixture
def fleet(binary, background, tmp_path):
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store()) as one:
        one.redis = redis
        one.replicas(4)
        yield one


def test_each_step_of_a_sign_in_may_be_at_another_replica(fleet):
    first, second, third, fourth = fleet.proxies
    harvey = fleet.anybody("harvey")
    url = harvey.at(first).start_sign_in("/mcp")
    assert harvey.at(second).come_back(fleet.provider.approve(url, "harvey")).status == 303
    assert harvey.at(third).who() == "harvey"
    assert harvey.at(fourth).signed_in
    stolen = fleet.anybody("harvey")
    stolen.cookies.update(harvey.cookies)
    assert harvey.at(fourth).sign_out().status == 303
    wait_until(lambda: not any(stolen.at(one).signed_in for one in fleet.proxies), "all replicas to know", SECOND)


def test_a_callback_is_taken_once_by_all_replicas_together(fleet):
    first, second, *_ = fleet.proxies
    harvey = fleet.anybody("harvey")
    callback = fleet.provider.approve(harvey.at(first).start_sign_in(), "harvey")
    cookies = dict(harvey.cookies)
    assert harvey.at(first).come_back(callback).status == 303
    again = fleet.anybody("harvey")
    again.cookies.update(cookies)
    assert again.at(second).come_back(callback).status >= 400
    assert fleet.provider.count["authorization_code"] == 1


def test_a_sign_out_ends_streams_at_all_replicas_within_a_second_and_leaves_the_cookie_worth_nothing(fleet):
    harvey, kim = fleet.visitor(user="harvey"), fleet.visitor(user="kim")
    streams = SessionStreams(fleet.upstream)
    open_streams = [stream(fleet, harvey, one) for one in fleet.proxies]
    others = [stream(fleet, kim, one) for one in fleet.proxies]
    wait_until(lambda: sum(map(len, streams.wires.values())) == 8, "all streams to be open")
    stolen = dict(harvey.cookies)
    begun = time.monotonic()
    assert harvey.at(fleet.proxies[1]).sign_out().status == 303
    for one in open_streams:
        assert one.connection.ended_by_peer(SECOND), "a stream goes on"
    print(f"streams at four replicas ended {time.monotonic() - begun:.3f} s after the sign-out began")
    assert time.monotonic() - begun < SECOND
    thief = fleet.anybody("harvey")
    thief.cookies.update(stolen)
    for one in fleet.proxies:
        login_required(thief.at(one).call())
    for number, one in enumerate(others):
        assert not one.connection.ended_by_peer(0.05), f"somebody else's stream at replica {number} ended"
        one.connection.close()


def stream(fleet, visitor, one) -> Stream:
    """The stream of an MCP session that is opened at `one`."""
    return Client(visitor.at(one), LEGACY).listen()


def test_the_cookie_of_a_user_who_was_replaced_by_another_is_worth_nothing_anywhere(fleet):
    first, second, third, fourth = fleet.proxies
    browser = fleet.visitor(first, "harvey")
    for one in fleet.proxies:
        assert browser.at(one).who() == "harvey"
    old = dict(browser.cookies)
    browser.user = "kim"
    browser.at(second).sign_in()
    for one in fleet.proxies:
        assert browser.at(one).who() == "kim"
    thief = fleet.anybody("harvey")
    thief.cookies.update(old)
    for one in fleet.proxies:
        answer = thief.at(one).call()
        assert answer.status == 401 or answer.json()["result"]["content"][0]["text"] != "harvey", answer
