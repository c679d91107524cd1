"""MCP sessions and consent over several replicas: the question is asked at one, answered at another, and the call that waits goes through where
it waits."""

from __future__ import annotations

import pytest

from support.redis import RedisServer
from support.replicas import Fleet
from support.upstream import Guarded, refuse
from support.visitor import ACCEPTED, LEGACY, MODERN, URL_MODE, Client, local_path, told

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')
CLIENTS = {"2025 with links": (LEGACY, URL_MODE), "2025 without": (LEGACY, {}), "2026 with links": (MODERN, URL_MODE), "2026 without": (MODERN, {})}


@pytest.fixture
def fleet(binary, background, tmp_path):
    with RedisServer(tmp_path) as redis, Fleet(binary, background, tmp_path, redis.store()) as one:
        one.replicas(3)
        one.judge = Guarded("files.read", NEEDS_FILES)
        one.upstream.on("files", one.judge)
        yield one


@pytest.mark.parametrize("era, capabilities", CLIENTS.values(), ids=CLIENTS.keys())
def test_a_call_that_is_held_at_one_replica_goes_through_when_the_consent_is_given_at_another(fleet, era, capabilities):
    first, second, third = fleet.proxies
    visitor = fleet.visitor()
    client = Client(visitor.at(first), era, capabilities)
    question = told(client.call("files"))
    assert question.reason == "consent_required"
    input = {"requestState": question.state, "inputResponses": ACCEPTED} if question.state else None
    # The client comes again elsewhere than it asked, and the person decides at a third place.
    client.visitor = visitor.at(second)
    with client.open("files", input=input, id="second") as held:
        assert fleet.judge.ran == []
        assert visitor.at(third).consent_through(question.url).status == 303
        answer = held.last()
    assert answer["id"] == "second" and answer["result"]["isError"] is False, answer
    assert len(fleet.judge.ran) == 1, "carried out exactly once"
    assert [visitor.at(one).call("files").status for one in fleet.proxies] == [200] * 3


def test_the_steps_of_one_consent_may_be_at_different_replicas(fleet):
    """Link, decision, the way back from the provider, and the kept call's answer."""
    first, second, third = fleet.proxies
    page = fleet.visitor()
    question = told(page.at(first).call("files"))
    link = local_path(page, question.url)
    assert 'value="continue"' in page.at(second).navigate(link).text
    back = page.at(third).decide(question.url)
    assert page.at(first).come_back(fleet.provider.approve(back.location, page.user)).status == 303
    answer = page.at(second).request("POST", link, {"Content-Length": "0"})
    assert answer.status == 200 and answer.json()["result"]["content"][0]["text"] == "done", answer
    assert len(fleet.judge.ran) == 1
    assert page.at(third).request("POST", link, {"Content-Length": "0"}).status == 410, "fetched once, wherever"


def test_a_decline_at_one_replica_ends_the_wait_at_another(fleet):
    first, second, _ = fleet.proxies
    visitor = fleet.visitor()
    client = Client(visitor.at(first), MODERN, {})
    question = told(client.call("files"))
    with client.open("files", input={"requestState": question.state} if question.state else None, id=2) as held:
        visitor.at(second).open_link(question.url)
        visitor.at(second).decide(question.url, "decline")
        answer = held.last()
    assert told(answer).reason == "consent_declined", answer
    assert fleet.judge.ran == []


def test_an_mcp_session_that_was_opened_at_one_replica_is_used_at_all_and_by_nobody_else(fleet):
    first, *others = fleet.proxies
    harvey, kim = fleet.visitor(user="harvey"), fleet.visitor(user="kim")
    client = Client(harvey.at(first), LEGACY)
    for one in others:
        client.visitor = harvey.at(one)
        assert client.call("whoami").json()["result"]["content"][0]["text"] == "harvey"
        intruder = Client(kim.at(one), LEGACY)
        intruder.session = client.session
        assert intruder.call("whoami").status == 404
