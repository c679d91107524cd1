"""Sessions that the provider or an operator ends, end at every replica, with their streams, within a second."""

from __future__ import annotations

import secrets
import time

import pytest

from processes import wait_until
from support import http
from support.redis import RedisServer, secret_file
from support.replicas import Fleet
from support.upstream import SessionStreams
from support.visitor import LEGACY, Client, login_required

ADMIN = "CANARY-admin-" + secrets.token_urlsafe(24)
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def fleet(binary, background, tmp_path):
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store()) as one:
        token = secret_file(tmp_path, ADMIN, "admin-token")
        one.replicas(3, {"admin": {"token_file": token}})
        yield one


def sessions(one, method: str, target: str, token: str = ADMIN) -> http.Response:
    return http.request(one.admin_url, method, target, {"Authorization": f"Bearer {token}"})


def back_channel(fleet, one, **claims) -> http.Response:
    """What the provider sends when a user signs out there."""
    provider, now = fleet.provider, int(time.time())
    body = {"iss": provider.issuer, "aud": "coatcheck-test", "iat": now, "exp": now + 120, "jti": secrets.token_hex(8), "events": {EVENT: {}}, **claims}
    token = provider.sign({"typ": "logout+jwt", "kid": provider.keys[-1].kid}, body)
    return http.request(one.url, "POST", "/auth/backchannel-logout", {"Content-Type": "application/x-www-form-urlencoded"}, f"logout_token={token}".encode())


class Watch:
    """A user with an MCP stream at every replica."""

    def __init__(self, fleet, user: str, **claims):
        self.fleet = fleet
        fleet.provider.claims_changes = claims
        self.visitor = fleet.visitor(user=user)
        fleet.provider.claims_changes = {}
        before = sum(map(len, fleet.streams.wires.values()))
        self.streams = [Client(self.visitor.at(one), LEGACY).listen() for one in fleet.proxies]
        wait_until(lambda: sum(map(len, fleet.streams.wires.values())) == before + len(self.streams), "the streams to be open")

    def is_over(self, begun: float) -> None:
        for stream in self.streams:
            assert stream.connection.ended_by_peer(1), "a stream goes on"
        elapsed = time.monotonic() - begun
        for one in self.fleet.proxies:
            login_required(self.visitor.at(one).call())
        assert elapsed < 1
        print(f"all streams of {self.visitor.user} ended after {elapsed:.3f} s")

    def goes_on(self) -> None:
        for one, stream in zip(self.fleet.proxies, self.streams):
            assert self.visitor.at(one).who() == self.visitor.user
            assert not stream.connection.ended_by_peer(0.05)


@pytest.fixture
def watch(fleet):
    fleet.streams = SessionStreams(fleet.upstream)
    opened = []

    def make(user: str, **claims) -> Watch:
        opened.append(Watch(fleet, user, **claims))
        return opened[-1]

    yield make
    for one in opened:
        for stream in one.streams:
            stream.connection.close()


def test_an_operator_ends_a_users_sessions_from_any_replica(fleet, watch):
    harvey, kim = watch("harvey"), watch("kim")
    begun = time.monotonic()
    answer = sessions(fleet.proxies[1], "DELETE", "/sessions?user=subject-of-harvey")
    assert answer.status == 200, answer
    harvey.is_over(begun)
    kim.goes_on()
    for one in fleet.proxies:
        text = sessions(one, "GET", "/sessions").text
        assert "subject-of-kim" in text and "subject-of-harvey" not in text
        assert sessions(one, "GET", "/sessions", "another").status == 401


def test_an_operator_ends_all_sessions_from_any_replica(fleet, watch):
    everybody = [watch(user) for user in ("harvey", "kim")]
    begun = time.monotonic()
    assert sessions(fleet.proxies[2], "DELETE", "/sessions?all=true").status == 200
    for one in everybody:
        one.is_over(begun)
    assert everybody[0].visitor.sign_in().who() == "harvey"


def test_a_sign_out_at_the_provider_reaches_every_replica_through_one(fleet, watch):
    harvey, at_work = watch("harvey", sid="sid-home"), watch("harvey", sid="sid-work")
    begun = time.monotonic()
    assert back_channel(fleet, fleet.proxies[0], sid="sid-home").status in (200, 204)
    harvey.is_over(begun)
    at_work.goes_on()
    begun = time.monotonic()
    assert back_channel(fleet, fleet.proxies[1], sub="subject-of-harvey").status in (200, 204)
    at_work.is_over(begun)


def test_a_logout_token_is_taken_once_by_all_replicas_together(fleet, watch):
    """A replay would sign out whoever signed in since."""
    harvey = fleet.visitor(user="harvey")
    jti = secrets.token_hex(8)
    assert back_channel(fleet, fleet.proxies[0], sub="subject-of-harvey", jti=jti).status in (200, 204)
    harvey.sign_in()
    back_channel(fleet, fleet.proxies[1], sub="subject-of-harvey", jti=jti)
    assert [harvey.at(one).who() for one in fleet.proxies] == ["harvey"] * 3
