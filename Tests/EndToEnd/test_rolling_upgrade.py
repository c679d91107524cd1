"""Replicas of two versions at one Redis. The newer one is this test: it reads and writes what a later release would."""

from __future__ import annotations

import base64
import os

import pytest

from processes import wait_until
from support.record import Envelope, Record
from support.redis import RedisServer
from support.replicas import Crowd, Fleet

SHORT = {"tokens": {"refresh_before_expiry": "1s"}}
UNKNOWN = 0x7F01, b"what only a later release understands"


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path) as one:
        yield one


@pytest.fixture
def fleet(binary, background, tmp_path, redis):
    with Fleet(binary, background, tmp_path, redis.store()) as one:
        yield one


def test_replicas_that_are_replaced_one_by_one_under_load_lose_nothing(fleet):
    replicas = fleet.replicas(3, SHORT)
    fleet.provider.access_token_seconds = 4
    visitors = fleet.visitors(20)
    with Crowd(fleet, visitors, pause=0.15) as crowd:
        for one in replicas:
            fleet.restart(one, crowd)
        crowd.flows(300)
    crowd.all_well()
    fleet.provider.is_unharmed()
    assert len(fleet.provider.families) == len(visitors) and fleet.provider.collisions == 0
    print(f"three replicas replaced under {crowd.sum} calls, {fleet.provider.refreshes} refreshes")


class Newer:
    """A later release, as far as its reading and writing of sessions goes."""

    HEAD = 33
    """Before the envelope: the row's version, generation, beginning, last use and fence."""

    def __init__(self, redis: RedisServer, key: bytes):
        self.redis, self.envelope = redis, Envelope(key)

    def rows(self) -> list[bytes]:
        return self.redis.keys("coatcheck:{*}s:*")

    def read(self, key: bytes) -> Record:
        return Record(self.envelope.open(self.redis.command("GET", key)[self.HEAD:], self.place(key)))

    def write(self, key: bytes, record: Record) -> None:
        head = self.redis.command("GETRANGE", key, 0, self.HEAD - 1)
        self.redis.command("SET", key, head + self.envelope.seal(record.written(), self.place(key)), "KEEPTTL")

    def place(self, key: bytes) -> bytes:
        return self.envelope.place("sessions", key.split(b"}s:", 1)[1], "session")

    def says(self, field: str, value: int | None = None) -> int:
        """A number of the layout; first set, where there is a value."""
        if value is not None:
            self.redis.command("HSET", "coatcheck:{meta}", field, value)
        return int(self.redis.command("HGET", "coatcheck:{meta}", field))


@pytest.fixture
def newer(redis, fleet):
    return Newer(redis, fleet.key)


def test_fields_of_a_newer_release_outlive_what_an_older_one_does_with_the_session(fleet, newer):
    """The older replica serves the session, refreshes it, and leaves what it does not understand alone."""
    first, second = fleet.replicas(2, SHORT)
    fleet.provider.access_token_seconds = 3
    visitor = fleet.visitor(first)
    key, = newer.rows()
    newer.says("version", newer.says("version") + 1)
    record = newer.read(key)
    before = record.generation
    record.fields.append(UNKNOWN)
    newer.write(key, record)
    # The second replica has never seen it without the field.
    assert visitor.at(second).who() == visitor.user

    def refreshed() -> bool:
        visitor.at(second).call()
        return newer.read(key).generation > before

    wait_until(refreshed, "a refresh", 10, every=0.1)
    now = newer.read(key)
    assert UNKNOWN in now.fields and now.refresh_token != record.refresh_token
    # The first one learns of the refresh, refreshes itself, and keeps the field as well.
    for _ in range(2):
        generation = newer.read(key).generation

        def refreshed_by_the_first() -> bool:
            assert visitor.at(first).who() == visitor.user
            return newer.read(key).generation > generation

        wait_until(refreshed_by_the_first, "the first replica's refresh", 10, every=0.1)
        assert UNKNOWN in newer.read(key).fields
    fleet.provider.is_unharmed()
    assert len(fleet.provider.families) == 1


def test_a_replica_starts_beside_a_newer_release_that_says_it_may(fleet, newer):
    first, = fleet.replicas(1, SHORT)
    visitor = fleet.visitor(first)
    newer.says("version", newer.says("version") + 3)
    second = fleet.replica(SHORT)
    assert visitor.at(second).who() == visitor.user
    assert fleet.anybody("mike").at(second).sign_in().at(first).who() == "mike"
    assert newer.says("version") == 4, "an older release took the layout back"


def test_a_replica_does_not_start_beside_a_release_that_is_too_new_for_it_and_harms_nothing(fleet, newer):
    first, = fleet.replicas(1, SHORT)
    visitor = fleet.visitor(first)
    newer.says("version", 7)
    newer.says("oldest", 6)
    rows = {key: newer.redis.command("GET", key) for key in newer.rows()}
    with pytest.raises(RuntimeError) as refusal:
        fleet.replica(SHORT)
    text = str(refusal.value)
    assert "ended with 78" in text and "session.store" in text and "version 7" in text, text
    assert {key: newer.redis.command("GET", key) for key in newer.rows()} == rows
    assert (newer.says("version"), newer.says("oldest")) == (7, 6)
    # Who runs already, goes on.
    assert visitor.at(first).who() == visitor.user


def test_a_replica_with_another_sealing_key_does_not_start(fleet, tmp_path):
    first, = fleet.replicas(1, SHORT)
    visitor = fleet.visitor(first)
    other = tmp_path / "other.key"
    other.write_text(base64.urlsafe_b64encode(os.urandom(32)).decode())
    other.chmod(0o600)
    with pytest.raises(RuntimeError) as refusal:
        fleet.replica({**SHORT, "session": {"encryption_key_files": [str(other)]}})
    assert "ended with 78" in str(refusal.value) and "session.encryption_key_files" in str(refusal.value), refusal.value
    assert visitor.who() == visitor.user
