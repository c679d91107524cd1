"""A provider that is slow, down or wrong: users with good tokens notice nothing, the others are told what is the matter, and it heals by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from support.faults import (
    GRANTS, PATIENCE, UNAVAILABLE, WRONG, MoodyProvider, begun, expired, hang_up, heals, mislabelled, numbers, refused, silence)
from support.scene import Scene
from support.visitor import Visitor

@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("provider"), MoodyProvider) as one:
        exchange = {"form": "token_exchange", "subject_scope": "mcp.use"}
        one.proxy(PATIENCE | {"routes": [one.route("/mcp"), one.route("/behind", scope="behind.use", exchange=exchange)]})
        one.fresh = one.visitor(user="fresh")
        # With two resources the first token is had at the first call.
        assert one.fresh.who() == "fresh"
        yield one


@pytest.fixture
def provider(scene):
    double = scene.provider
    double.moods.clear()
    yield double
    double.moods.clear()


MOODS = {name: (mood, "down") for name, mood in UNAVAILABLE.items()} | {name: (mood, "wrong") for name, mood in WRONG.items()}


# Refresh and exchange: all moods after one another, then all heal together.

@pytest.mark.parametrize("grant, path", [("refresh", "/mcp"), ("exchange", "/behind")])
def test_no_answer_of_the_token_endpoint_ends_a_session(scene, provider, grant, path):
    victims = []
    scene.upstream.forget()
    for name, (mood, kind) in MOODS.items():
        victim = expired(scene) if grant == "refresh" else scene.visitor()
        provider.moods = {GRANTS[grant]: mood}
        refused(victim.call(path=path), kind, name)
        assert victim.signed_in, name
        assert scene.fresh.who() == "fresh", name
        victims.append(victim)
    assert {scene.upstream.user_of(request) for request in scene.upstream.requests} == {"fresh"}
    provider.moods.clear()
    heals(victims, path)


@pytest.mark.parametrize("grant, path", [("refresh", "/mcp"), ("exchange", "/behind")])
def test_a_silent_token_endpoint_holds_up_only_those_who_need_it(scene, provider, grant, path):
    victims = [expired(scene) if grant == "refresh" else scene.visitor() for _ in range(8)]
    provider.moods = {GRANTS[grant]: silence}
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(victim.call, path=path) for victim in victims]
        wait_until(lambda: provider.count["moody"], "a request to hang")
        for _ in range(20):
            assert scene.fresh.who() == "fresh"
        assert time.monotonic() - start < 0.9, "users with good tokens waited"
        for future in work:
            refused(future.result(), "down")
    assert 0.9 < time.monotonic() - start < 3
    provider.moods.clear()
    heals(victims, path)


def test_a_provider_that_is_not_there_costs_only_those_who_need_it(scene, provider):
    victim = expired(scene)
    provider.stop()
    refused(victim.call(), "down")
    assert scene.fresh.who() == "fresh" and scene.fresh.signed_in and victim.signed_in
    page = Visitor(scene.proxies[0], provider).navigate("/auth/login")
    assert page.status == 303, "the walk begins at the provider's own page, which may be back by then"
    provider.restart()
    heals([victim])


def test_a_provider_that_restarts_between_two_refreshes_costs_none(scene, provider):
    """The connection that was kept to it is dead when the next refresh wants it."""
    for politely in (True, False):
        first, second = expired(scene), expired(scene)
        assert first.call().status == 200
        provider.stop()
        provider.restart()
        assert second.call().status == 200, politely


def test_a_wrong_content_type_is_no_reason_to_lose_tokens(scene, provider):
    provider.moods = {"refresh_token": mislabelled}
    victim = expired(scene)
    assert victim.call().status == 200
    provider.moods = {"/token": mislabelled, "/jwks": mislabelled}
    assert scene.visitor().call().status == 200


def test_failures_are_counted_and_told_in_the_log_without_a_secret(scene, provider):
    proxy = scene.proxies[0]
    before = numbers(proxy)
    provider.moods = {"refresh_token": UNAVAILABLE["500"]}
    refused(expired(scene).call(), "down")
    provider.moods = {"refresh_token": WRONG["a page"]}
    refused(expired(scene).call(), "wrong")
    after = numbers(proxy)
    for name in ("coatcheck_token_refresh_failures_total", "coatcheck_provider_misconfigured_total"):
        assert after[name] == before[name] + 1, name
    output = wait_until(lambda: (text := proxy.output()) if "not a JSON object" in proxy.output() else None, "the log")
    assert "CANARY" not in output


# Sign-in

def arrive(scene, visitor: Visitor, callback: str):
    answer = visitor.come_back(callback)
    assert "CANARY" not in answer.text + str(answer.fields)
    return answer


@pytest.mark.parametrize("mood, kind", MOODS.values(), ids=MOODS.keys())
def test_a_sign_in_that_the_provider_spoils_ends_in_a_page_that_says_so(scene, provider, mood, kind):
    visitor, callback = begun(scene)
    provider.moods = {"authorization_code": mood}
    answer = arrive(scene, visitor, callback)
    assert answer.status == (503 if kind == "down" else 502) and "text/html" in answer.header("content-type"), answer
    assert ("does not answer" if kind == "down" else "refuses this server") in answer.text
    assert not visitor.signed_in and "Something went wrong" not in answer.text
    assert scene.fresh.who() == "fresh"
    provider.moods.clear()
    assert visitor.sign_in().call().status == 200, "the next try"


def test_a_sign_in_that_the_provider_leaves_hanging_is_given_up(scene, provider):
    visitor, callback = begun(scene)
    provider.moods = {"authorization_code": silence}
    start = time.monotonic()
    answer = arrive(scene, visitor, callback)
    assert answer.status == 503 and answer.header("retry-after") and 0.9 < time.monotonic() - start < 4
    provider.moods.clear()
    assert visitor.sign_in().call().status == 200


WRONG_TOKENS = {"another issuer": {"iss": "https://evil.example"}, "another client": {"aud": "somebody-else"}, "no subject": {"sub": None},
                "an old token": {"exp": 1_000_000}, "a token of tomorrow": {"iat": 4_000_000_000}}


@pytest.mark.parametrize("changes", WRONG_TOKENS.values(), ids=WRONG_TOKENS.keys())
def test_a_wrong_id_token_signs_nobody_in(scene, provider, changes):
    visitor, callback = begun(scene)
    provider.claims_changes = changes
    try:
        answer = arrive(scene, visitor, callback)
    finally:
        provider.claims_changes = {}
    assert answer.status == 400 and not visitor.signed_in
    assert visitor.sign_in().call().status == 200


def test_a_refresh_that_brings_somebody_elses_id_token_ends_the_session(scene, provider):
    """The only answer that does: going on could give one user the token of another."""
    one = scene.proxy(PATIENCE | {"routes": [scene.route("/mcp"), scene.route("/two", scope="openid two.use", resource="https://two.example/")]})
    visitor = scene.visitor(one)
    provider.refresh_brings_id_token = True
    provider.claims_changes = {"sub": "subject-of-somebody-else"}
    try:
        answer = visitor.call(path="/two")
    finally:
        provider.refresh_brings_id_token = False
        provider.claims_changes = {}
    assert answer.status == 401 and not visitor.signed_in


# Sign-out

@pytest.mark.parametrize("mood", [silence, hang_up, UNAVAILABLE["500"], WRONG["a page"]], ids=["silence", "reset", "500", "a page"])
def test_a_sign_out_is_done_whatever_the_provider_says(scene, provider, mood):
    visitor = scene.visitor()
    jar = dict(visitor.cookies)
    provider.moods = {"/revoke": mood}
    start = time.monotonic()
    assert visitor.sign_out().status == 303
    assert time.monotonic() - start < 3
    visitor.cookies = jar
    assert not visitor.signed_in
