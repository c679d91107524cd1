"""Access tokens on their way upstream: whose they are, how they are renewed, and what happens when that fails."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from support.provider import FakeProvider
from support.server import Answer, run
from support.upstream import EchoUpstream, refuse, result, JSON
from support.visitor import Visitor, consent_required, error_of, give_consent, login_required, tool_call

SHORT = {"tokens": {"refresh_before_expiry": "1s"}}
INVALID = 'Bearer error="invalid_token", error_description="expired"'


def expire(provider: FakeProvider, visitor: Visitor) -> None:
    """Signs in with a token that has run out when this returns; those that follow live long."""
    provider.access_token_seconds = 2
    visitor.sign_in()
    provider.access_token_seconds = 3600
    time.sleep(2.1)


@pytest.fixture
def expired(proxy, provider):
    """A signed-in visitor whose access token has run out."""
    visitor = Visitor(proxy(SHORT), provider)
    expire(provider, visitor)
    return visitor


def refreshes(provider: FakeProvider) -> int:
    return provider.count["refresh_token"]


# Whose token

def test_two_users_interleaved_never_see_each_others_token(gateway, sign_in, upstream):
    users = {name: sign_in(name) for name in ("harvey", "kim")}

    def calls(name: str) -> list[str]:
        seen = []
        with users[name].connect() as connection:
            headers, body = tool_call("whoami")
            for _ in range(200):
                answer = connection.request("POST", "/mcp", users[name].headers("script", headers), body)
                seen.append(answer.json()["result"]["content"][0]["text"])
        return seen

    with ThreadPoolExecutor(8) as pool:
        work = [(name, pool.submit(calls, name)) for name in ("harvey", "kim", "harvey", "kim")]
        for name, future in work:
            assert set(future.result()) == {name}
    # The upstream connections are shared, not one a user. The kernel picks the loop of a connection, and each loop has
    # a pool of its own: each user comes back on fresh connections until both were on one loop.
    def shared() -> bool:
        owners: dict[int, set[str]] = {}
        for request in upstream.requests:
            owners.setdefault(request.connection, set()).add(upstream.user_of(request))
        return any(len(names) == 2 for names in owners.values())

    for _ in range(64):
        if shared():
            break
        for name in users:
            assert users[name].call("whoami").json()["result"]["content"][0]["text"] == name
    assert shared()


def test_every_upstream_request_carries_the_sessions_token(harvey, upstream):
    mcp_session = harvey.open_session()
    upstream.on_method("GET", Answer(405))
    upstream.on_method("DELETE", Answer(200))
    with_session = {"Mcp-Session-Id": mcp_session, "MCP-Protocol-Version": "2025-11-25"}
    harvey.request("GET", "/mcp", with_session)
    harvey.request("DELETE", "/mcp", with_session)
    harvey.call()
    assert {request.method for request in upstream.requests} == {"POST", "GET", "DELETE"}
    for request in upstream.requests:
        assert len(request.all("authorization")) == 1
        assert request.header("authorization").startswith("Bearer CANARY-at~harvey~"), request.target


def test_no_secret_reaches_the_browser(visitor, provider, upstream):
    upstream.on("leaky", lambda request: Answer(200, [JSON, ("Set-Cookie", "upstream=1"), ("X-Debug", "plain")], result(request, "done")))
    harvey = visitor()
    seen = [harvey.navigate("/auth/login?return_to=/")]
    callback = provider.approve(seen[0].location, "harvey")
    seen.append(harvey.come_back(callback))
    seen += [harvey.call(), harvey.call("leaky"), harvey.request("GET", "/auth/session"), harvey.navigate("/auth/"), harvey.navigate("/pages/x")]
    provider.refresh_mode = "invalid_grant"
    upstream.on("whoami", refuse(401, INVALID))
    seen += [harvey.call(), harvey.sign_out()]
    code_and_tokens = [secret for secret in provider.issued if secret.startswith("CANARY") and "client-secret" not in secret]
    id_tokens = [secret for secret in provider.issued if secret.startswith("eyJ")]
    for answer in seen:
        text = str(answer.fields) + answer.text
        assert not [secret for secret in code_and_tokens if secret in text], answer
        assert "client-secret" not in text
        # The provider is told who signs out by the ID token; nowhere else may it appear.
        if not (answer.location or "").startswith(f"{provider.origin}/logout"):
            assert not [token for token in id_tokens if token in text], answer


# Renewal

def test_an_expired_token_is_renewed_unnoticed(expired, provider, upstream):
    assert expired.who() == "harvey"
    assert refreshes(provider) == 1
    assert len(upstream.requests) == 1


def test_a_thousand_requests_at_expiry_cause_one_refresh(expired, provider, upstream):
    provider.refresh_delay = 1.5
    headers, body = tool_call("whoami")
    head = "POST /mcp HTTP/1.1\r\nHost: x\r\n".replace("x", expired.proxy.url.removeprefix("http://"))
    fields = expired.headers("client", headers) | {"Content-Length": str(len(body)), "Connection": "close"}
    data = (head + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode() + body

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", expired.proxy.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return answer

    async def all_of_them() -> list[bytes]:
        return await asyncio.wait_for(asyncio.gather(*[one() for _ in range(1000)]), 30)

    answers = run(all_of_them())
    wrong = [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200 ") or b'"text": "harvey"' not in answer]
    assert not wrong, (len(wrong), wrong[0][:500])
    assert refreshes(provider) == 1 and provider.count["reuse"] == 0
    assert len({request.header("authorization") for request in upstream.requests}) == 1


def test_a_rotated_refresh_token_is_used_only_once(proxy, provider):
    visitor = Visitor(proxy(SHORT), provider)
    provider.access_token_seconds = 2
    visitor.sign_in()
    for _ in range(3):
        time.sleep(1.2)
        assert visitor.who() == "harvey"
    assert refreshes(provider) >= 2 and provider.count["reuse"] == 0
    assert len(provider.families) == 1 and not provider.families[0].revoked


def test_a_provider_that_keeps_the_refresh_token_is_served_too(proxy, provider):
    provider.rotate = False
    visitor = Visitor(proxy(SHORT), provider)
    expire(provider, visitor)
    assert visitor.who() == "harvey"


def test_a_caller_that_leaves_does_not_stop_the_refresh(expired, provider):
    provider.refresh_delay = 0.8
    headers, body = tool_call("whoami")
    connection = expired.connect()
    connection.send_request("POST", "/mcp", expired.headers("script", headers), body)
    wait_until(lambda: provider.refreshing, "the refresh to start")
    connection.reset()
    assert expired.who() == "harvey"
    assert refreshes(provider) == 1 and provider.count["reuse"] == 0


def test_a_token_is_renewed_ahead_of_its_end_while_the_old_one_serves(proxy, provider, upstream):
    visitor = Visitor(proxy({"tokens": {"refresh_before_expiry": "3s"}}), provider)
    provider.access_token_seconds = 6
    visitor.sign_in()
    provider.access_token_seconds = 3600
    first = visitor.call() and upstream.last.header("authorization")
    # Past half of its life and before its last tenth.
    time.sleep(3.6)
    provider.refresh_delay = 1
    start = time.monotonic()
    assert visitor.who() == "harvey"
    assert time.monotonic() - start < 0.5, "the caller waited for a refresh ahead of time"
    assert upstream.last.header("authorization") == first
    wait_until(lambda: refreshes(provider) == 1 and not provider.refreshing, "the refresh in the background")

    def renewed() -> bool:
        visitor.who()
        return upstream.last.header("authorization") != first

    wait_until(renewed, "the new token to be used", 3)


@pytest.mark.parametrize("mode", ["500", "503", "drop", "temporarily_unavailable", "invalid_client"])
def test_a_still_valid_token_serves_while_the_refresh_fails_with(proxy, provider, mode):
    visitor = Visitor(proxy({"tokens": {"refresh_before_expiry": "3s"}}), provider)
    provider.access_token_seconds = 6
    visitor.sign_in()
    provider.refresh_mode = mode
    time.sleep(3.6)
    for _ in range(3):
        assert visitor.who() == "harvey"
        time.sleep(0.2)
    wait_until(lambda: refreshes(provider) >= 1, "a refresh to be tried")
    assert refreshes(provider) <= 4, "a failing provider is not hammered"


@pytest.mark.parametrize("mode", ["500", "503", "drop", "temporarily_unavailable", "invalid_client"])
def test_the_session_survives_a_refresh_that_fails_with(expired, provider, mode):
    provider.refresh_mode = mode
    answer = expired.call()
    assert answer.status in (502, 503), answer
    error_of(answer)
    assert expired.signed_in
    provider.refresh_mode = "ok"

    def works_again() -> bool:
        return expired.call().status == 200

    wait_until(works_again, "the session to work again", 15, every=0.2)


@pytest.mark.parametrize("mode", ["invalid_grant", "empty"], ids=["invalid_grant", "an empty 400"])
def test_an_ended_grant_asks_for_a_new_sign_in_and_then_works_again(expired, provider, mode):
    provider.refresh_mode = mode
    data = login_required(expired.call())
    assert data["login_url"]
    tried = refreshes(provider)
    login_required(expired.call())
    assert refreshes(provider) == tried, "a refused refresh token is not tried again"
    answer = expired.navigate("/pages/x")
    assert answer.status in (200, 303)
    provider.refresh_mode = "ok"
    assert expired.sign_in().who() == "harvey"


def test_a_navigation_with_an_ended_grant_goes_to_sign_in_and_comes_back(proxy, provider, upstream):
    one = proxy(SHORT | {"routes": [{"path": "/app", "upstream": f"{upstream.origin}/app", "scope": "app.use", "mcp": False}]})
    harvey = Visitor(one, provider)
    expire(provider, harvey)
    provider.refresh_mode = "invalid_grant"
    answer = harvey.navigate("/app/page?x=1")
    assert answer.status == 303, answer
    if not answer.location.startswith(provider.origin):
        answer = harvey.navigate(harvey.path_of(answer.location) if "://" in answer.location else answer.location)
    assert harvey.pass_provider(answer).location.removeprefix(one.url) == "/app/page?x=1"
    assert harvey.navigate("/app/page").status == 200


def test_a_lost_answer_of_the_token_endpoint_never_ends_in_another_users_token_or_a_500(expired, provider):
    provider.refresh_modes.append("lost")
    answer = expired.call()
    assert answer.status in (200, 401, 502, 503), answer
    second = expired.call()
    assert second.status in (200, 401, 502, 503), second
    if second.status == 200:
        assert second.json()["result"]["content"][0]["text"] == "harvey"


def test_a_slow_token_endpoint_is_given_up_on(proxy, provider):
    visitor = Visitor(proxy({"tokens": {"refresh_before_expiry": "1s", "refresh_timeout": "1s"}}), provider)
    expire(provider, visitor)
    provider.refresh_delay = 5
    start = time.monotonic()
    answer = visitor.call()
    assert answer.status in (502, 503, 504), answer
    assert time.monotonic() - start < 3.5
    assert visitor.signed_in


def test_consent_missing_at_refresh_is_told_with_its_scopes_and_heals_by_consent(expired, provider):
    provider.refresh_modes.append("consent_required")
    answer = expired.call()
    data = consent_required(answer)
    assert "mcp.use" in data["scopes"]
    callback = give_consent(expired, answer)
    assert callback.status == 303, callback
    assert {"mcp.use", "openid"} <= set(provider.authorizations[-1]["scope"].split())
    assert expired.who() == "harvey"


def test_claims_demanded_at_refresh_are_sent_along_to_the_provider(expired, provider):
    import json
    provider.refresh_modes.append("interaction_required")
    answer = expired.call()
    give_consent(expired, answer)
    assert json.loads(provider.authorizations[-1]["claims"])["access_token"]["acrs"]["value"] == "c1"
    assert expired.who() == "harvey"


# Several resources

def test_two_resources_have_a_token_each_and_share_one_refresh_at_a_time(proxy, provider, upstream, other_upstream):
    one = proxy(SHORT | {"routes": [
        {"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use", "resource": "https://one.example/"},
        {"path": "/two", "upstream": other_upstream.url, "scope": "two.use", "resource": "https://two.example/"}]})
    visitor = Visitor(one, provider)
    expire(provider, visitor)
    provider.refresh_delay = 0.2
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda path: visitor.call(path=path), ["/mcp", "/two"] * 10))
    assert [answer.status for answer in answers] == [200] * 20
    for double, resource in ((upstream, "https://one.example/"), (other_upstream, "https://two.example/")):
        assert {provider.resource_of(request.header("authorization")) for request in double.requests} == {resource}
    assert provider.overlapping_refreshes == 0 and provider.count["reuse"] == 0
    assert refreshes(provider) == 2
    for form in provider.token_requests:
        assert " " not in form.get("resource", "")


def test_an_upstream_never_sees_the_token_of_another_resource(proxy, provider, upstream, other_upstream):
    one = proxy({"routes": [
        {"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use", "resource": "https://one.example/"},
        {"path": "/mcp/two", "upstream": other_upstream.url, "scope": "two.use", "resource": "https://two.example/"},
        {"path": "/pages", "upstream": other_upstream.origin, "authorization": "none"}]})
    visitor = Visitor(one, provider).sign_in()
    assert visitor.who(path="/mcp") == visitor.who(path="/mcp/two") == "harvey"
    assert {provider.resource_of(r.header("authorization")) for r in upstream.requests} == {"https://one.example/"}
    assert {provider.resource_of(r.header("authorization")) for r in other_upstream.requests} == {"https://two.example/"}
    other_upstream.forget()
    visitor.navigate("/pages/x")
    assert other_upstream.last.header("authorization") is None


# The upstream refuses the token

def test_a_refused_token_is_renewed_once_and_the_call_replayed(harvey, upstream, provider):
    before = None

    def judge(request):
        nonlocal before
        before = before or request.header("authorization")
        return refuse(401, INVALID)(request) if request.header("authorization") == before else Answer(200, [JSON], result(request, "accepted"))

    upstream.on("send", judge)
    answer = harvey.call("send", {"text": "hello" * 1000})
    assert answer.status == 200 and answer.json()["result"]["content"][0]["text"] == "accepted"
    first, second = upstream.calls("send")
    assert first.body == second.body
    assert refreshes(provider) == 1


def test_many_refused_calls_share_one_refresh(harvey, upstream, provider):
    harvey.who()
    stale = upstream.last.header("authorization")
    upstream.on("send", lambda request: refuse(401, INVALID)(request) if request.header("authorization") == stale
                else Answer(200, [JSON], result(request, "accepted")))
    provider.refresh_delay = 0.3
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: harvey.call("send"), range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert refreshes(provider) == 1


def test_a_token_that_stays_refused_ends_in_a_sign_in_and_not_in_a_loop(harvey, upstream, provider):
    upstream.on("send", refuse(401, INVALID))
    login_required(harvey.call("send"))
    assert upstream.executed["send"] == 2
    assert refreshes(provider) == 1


def test_a_call_too_large_to_be_kept_is_not_replayed_in_part(proxy, provider, upstream):
    visitor = Visitor(proxy({"limits": {"request_body": "64MiB"}}), provider).sign_in()
    upstream.on("send", refuse(401, INVALID))
    answer = visitor.call("send", {"text": "x" * (6 << 20)})
    assert answer.status in (401, 413, 502), answer
    assert upstream.executed["send"] <= 2
    assert all(len(request.body) > 6 << 20 for request in upstream.calls("send"))


# Crashes

def test_a_session_and_its_rotated_refresh_token_survive_a_kill(proxy, provider):
    one = proxy(SHORT)
    visitor = Visitor(one, provider)
    expire(provider, visitor)
    provider.access_token_seconds = 2
    assert visitor.who() == "harvey"
    one.kill()
    time.sleep(1.2)
    provider.access_token_seconds = 3600
    one.start()
    assert visitor.signed_in
    assert visitor.who() == "harvey"
    assert provider.count["reuse"] == 0


def test_a_kill_in_the_middle_of_a_refresh_leads_to_a_call_or_a_sign_in(proxy, provider):
    one = proxy(SHORT)
    visitor = Visitor(one, provider)
    expire(provider, visitor)
    provider.refresh_delay = 1

    def call_and_be_cut_off() -> None:
        try:
            visitor.call()
        except Exception:
            pass

    thread = threading.Thread(target=call_and_be_cut_off)
    thread.start()
    wait_until(lambda: provider.refreshing, "the refresh to start")
    one.kill()
    thread.join()
    provider.refresh_delay = 0
    wait_until(lambda: not provider.refreshing, "the double to finish")
    one.start()
    answer = visitor.call()
    assert answer.status in (200, 401), answer
    if answer.status == 401:
        login_required(answer)
        assert visitor.sign_in().who() == "harvey"
