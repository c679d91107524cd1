"""What replicas tell each other beside sessions: completions, pages that wait, rounds, learned scopes; and what is played at them or lost."""

from __future__ import annotations

import json
import signal
import socket
import threading

import pytest

from processes import wait_until
from support import http
from support.redis import RedisServer
from support.replicas import Fleet
from support.scene import metric
from support.upstream import Guarded, SessionStreams, refuse
from support.visitor import LEGACY, MODERN, URL_MODE, Client, local_path, told

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')
MARK = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "mark"}}
REFUSED = "coatcheck_replica_messages_refused_total"


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path) as one:
        yield one


@pytest.fixture
def make(binary, background, tmp_path, redis):
    """A fleet of three with these settings."""
    fleets = []

    def build(changes: dict | None = None) -> Fleet:
        fleet = Fleet(binary, background, tmp_path, redis.store(command_timeout="500ms", connect_timeout="500ms")).__enter__()
        fleets.append(fleet)
        fleet.replicas(3, changes)
        fleet.judge = Guarded("files.read", NEEDS_FILES)
        fleet.upstream.on("files", fleet.judge)
        return fleet

    yield build
    for fleet in fleets:
        fleet.__exit__(None, None, None)


def ask(client) -> "object":
    question = told(client.call("files"))
    assert question.reason == "consent_required", question
    return question


def state(page, url: str, wait: int | None = None) -> str:
    answer = page.request("GET", local_path(page, url) + (f"&wait={wait}" if wait else ""))
    assert answer.status == 200, answer
    return answer.json()["state"]


def through(stream) -> None:
    answer = stream.last()
    assert answer["result"]["isError"] is False, answer


class Eavesdropper:
    """Somebody in Redis who hears everything and can say anything."""

    def __init__(self, redis: RedisServer):
        self.redis, self.heard = redis, []
        self.connection = redis.connect()
        self.connection("PSUBSCRIBE", "*")
        self.connection.socket.settimeout(None)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self) -> None:
        try:
            while True:
                _, _, channel, data = self.connection._read()
                self.heard.append((channel, data))
        except (OSError, ValueError, ConnectionError):
            pass

    @property
    def messages(self) -> list[tuple[bytes, bytes]]:
        """What replicas told each other beside the sessions: behind the sender's name, kind 6."""
        return [(channel, data) for channel, data in list(self.heard) if data[32:33] == b"\x06"]

    def say(self, channel: bytes, data: bytes) -> None:
        assert self.redis.command("PUBLISH", channel, data) >= 1

    def close(self) -> None:
        self.connection.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.connection.socket.close()


@pytest.fixture
def eavesdropper(redis):
    one = Eavesdropper(redis)
    yield one
    one.close()


# What reaches whom

def test_completion_is_announced_on_the_stream_wherever_it_is(make):
    fleet = make()
    first, second, third = fleet.proxies
    streams = SessionStreams(fleet.upstream)
    visitor = fleet.visitor()
    client = Client(visitor.at(first), LEGACY, URL_MODE)
    client.visitor = visitor.at(second)
    with client.listen() as stream:
        wait_until(lambda: streams.wires[client.session], "the stream to be open")
        client.visitor = visitor.at(third)
        question = ask(client)
        assert visitor.at(first).consent_through(question.url).status == 303
        assert stream.message() == {"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {"elicitationId": question.elicitation}}
        streams.send(client.session, MARK)
        assert stream.message() == MARK


@pytest.mark.parametrize("decision", ["granted", "declined"])
def test_a_page_that_waits_at_one_replica_is_answered_when_its_person_decides_at_another(make, decision):
    fleet = make()
    first, second, third = fleet.proxies
    page = fleet.visitor()
    question = ask(page.at(first))
    for one in fleet.proxies:
        assert state(page.at(one), question.url) == "pending"
    answers = []
    waiting = [threading.Thread(target=lambda one=one: answers.append(state(page.at(one), question.url, 20))) for one in (first, second)]
    for one in waiting:
        one.start()
    if decision == "granted":
        page.at(third).consent_through(question.url)
    else:
        page.at(third).open_link(question.url)
        page.at(third).decide(question.url, "decline")
    for one in waiting:
        one.join(10)
    assert answers == [decision] * 2
    assert state(page.at(third), question.url) == decision
    kim = fleet.visitor()
    assert state(kim.at(first), question.url) == "unknown"


def test_a_replica_that_began_after_the_question_knows_what_became_of_it(make):
    fleet = make()
    first, second, _ = fleet.proxies
    page = fleet.visitor()
    question = ask(page.at(first))
    late = fleet.replica()
    assert state(page.at(late), question.url) == "pending"
    early = page.at(late).request("POST", local_path(page, question.url), {"Content-Length": "0"})
    assert early.status == 409 and fleet.judge.ran == []
    page.at(second).consent_through(question.url)
    latest = fleet.replica()
    for one in (late, latest):
        assert state(page.at(one), question.url) == "granted"
    assert page.at(latest).request("POST", local_path(page, question.url), {"Content-Length": "0"}).status == 200
    assert len(fleet.judge.ran) == 1


def test_rounds_of_consent_are_counted_over_all_replicas(make):
    fleet = make({"consent": {"max_rounds": 2}})
    fleet.upstream.on("files", NEEDS_FILES)
    first, second, third = fleet.proxies
    visitor = fleet.visitor()
    for asked, answered in ((first, second), (second, third)):
        question = ask(visitor.at(asked))
        assert visitor.at(answered).consent_through(question.url).status == 303
    for one in fleet.proxies:
        wait_until(lambda: told(visitor.at(one).call("files")).reason == "consent_failed", "the rounds to be used up", 5)


def test_what_one_replica_learned_all_know_and_what_one_forgets_all_forget(make):
    fleet = make({"consent": {"require_pre_consent": True, "learn_tool_scopes": True}})
    first, second, third = fleet.proxies

    def learned(one) -> list[str]:
        return [entry["tool"] for entry in json.loads(http.request(one.admin_url, "GET", "/tool-scopes").body)["tool_scopes"]]

    ask(fleet.visitor().at(first))
    for one in fleet.proxies:
        wait_until(lambda: learned(one) == ["files"], "the scopes to be known", 5)
    calls = len(fleet.upstream.calls("files"))
    ask(fleet.visitor().at(second))
    assert len(fleet.upstream.calls("files")) == calls, "asked beforehand"
    assert http.request(third.admin_url, "DELETE", "/tool-scopes?tool=files").status in (200, 204)
    for one in fleet.proxies:
        wait_until(lambda: learned(one) == [], "the scopes to be forgotten", 5)


# What is lost

def test_a_replica_that_heard_nothing_of_the_consent_lets_its_held_call_go_on_when_it_hears_again(make, redis):
    fleet = make()
    first, second, _ = fleet.proxies
    visitor = fleet.visitor()
    client = Client(visitor.at(first), MODERN, {})
    question = ask(client)
    with client.open("files", id="second", timeout=30) as stream:
        first.service.signal(signal.SIGSTOP)
        try:
            # Its subscription is gone: what is told now it will never hear.
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            assert visitor.at(second).consent_through(question.url).status == 303
        finally:
            first.service.signal(signal.SIGCONT)
        through(stream)
    assert len(fleet.judge.ran) == 1


def test_while_redis_is_away_nobody_is_told_to_give_up_an_mcp_session(make, redis):
    fleet = make()
    first, second, third = fleet.proxies
    visitor = fleet.visitor()
    client = Client(visitor.at(first), LEGACY)
    # The person is known there, the MCP session is not.
    assert visitor.at(second).call().status == 200
    redis.pause()
    try:
        client.visitor = visitor.at(second)
        answer = client.call("whoami")
        assert answer.status == 503 and answer.header("retry-after"), answer
        client.visitor = visitor.at(first)
        assert client.call("whoami").status == 200
    finally:
        redis.resume()
    for one in (second, third):
        client.visitor = visitor.at(one)
        wait_until(lambda: client.call("whoami").status == 200, "the MCP session to be known", 10, every=0.1)


def test_a_question_whose_link_cannot_be_kept_is_not_asked(make, redis):
    fleet = make()
    visitor = fleet.visitor()
    first = fleet.proxies[0]
    assert visitor.at(first).call().status == 200
    redis.pause()
    try:
        assert visitor.at(first).call("files").status == 503
    finally:
        redis.resume()
    wait_until(lambda: visitor.at(first).call("files").status == 403, "the question to be asked", 10, every=0.1)


# Who is in Redis

def test_nobody_in_redis_can_answer_for_a_person(make, eavesdropper):
    """Not by making messages up, and not by playing those again that answered another question of the same person."""
    fleet = make()
    first, second, _ = fleet.proxies
    visitor = fleet.visitor()
    client = Client(visitor.at(first), MODERN, {})
    question = ask(client)
    with client.open("files", id=1) as stream:
        visitor.at(second).consent_through(question.url)
        through(stream)
    assert len(fleet.judge.ran) == 1
    # Now the server wants more, and the person is asked anew.
    fleet.upstream.on("files", again := Guarded("files.write", refuse(403, 'Bearer error="insufficient_scope", scope="files.write"')))
    # A new sign-in, the question, the round and its outcome.
    wait_until(lambda: len(eavesdropper.messages) >= 4, "all to be said", 5)
    played = eavesdropper.messages
    question = ask(client)
    with client.open("files", id=2) as stream:
        calls = len(fleet.upstream.calls("files"))
        refused = lambda: sum(metric(one, REFUSED) for one in fleet.proxies)
        before = refused()
        for channel, data in played:
            eavesdropper.say(channel, data)
            eavesdropper.say(channel, data[:-1])
            eavesdropper.say(channel, data[: len(data) // 2] + b'{"kind":"settled","state":"granted"}')
            eavesdropper.say(channel, b"")
        # Each but the empty one, by the two that had not said it.
        wait_until(lambda: refused() == before + 3 * 2 * len(played), "all to be refused", 5)
        assert len(fleet.upstream.calls("files")) == calls and again.ran == [], "the call did not wait"
        visitor.at(second).consent_through(question.url)
        through(stream)
    assert len(again.ran) == 1
    assert all(one.service.running for one in fleet.proxies)


def test_no_message_tells_who_asked_for_what(make, eavesdropper, redis):
    fleet = make()
    first, second, _ = fleet.proxies
    visitor = fleet.visitor(user="harvey")
    question = ask(visitor.at(first))
    visitor.at(second).consent_through(question.url)
    said = b"".join(data for _, data in eavesdropper.heard)
    assert said
    for word in ("harvey", "files", "granted", question.url.rsplit("=", 1)[1]):
        assert word.encode() not in said
