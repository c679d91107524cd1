"""The acceptance criteria the product was asked for, each as one test by its name. Real provider and real MCP server unless said otherwise."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from provider import BASIC_SCOPE, FILES_SCOPE
from stack import Stack
from support.server import Answer
from support.upstream import JSON, refuse, result
from support.visitor import Visitor, consent_required, give_consent, login_required, tool_call


def server_saw(visitor: Visitor, tool: str = "whoami", **arguments) -> dict:
    answer = visitor.call(tool, arguments)
    assert answer.status == 200, answer
    return answer.json()["result"]["structuredContent"]


@pytest.fixture
def fresh_consent(stack):
    """Nobody has consented to anything when the test starts."""
    for user in ("harvey", "kim"):
        stack.provider.withdraw(user)


class TestPerSessionTokenPassthrough:
    def test_when_harvey_specter_is_logged_in_the_mcp_server_receives_harveys_token_and_resolves_his_identity(self, stack, real_sign_in):
        seen = server_saw(real_sign_in("harvey"))
        assert seen["user"] == "harvey" and seen["name"] == "Harvey Specter"
        assert seen["audience"] == stack.mcp.url

    def test_when_kim_wexler_is_logged_in_in_a_different_session_the_mcp_server_receives_kims_token(self, real_sign_in):
        real_sign_in("harvey")
        seen = server_saw(real_sign_in("kim"))
        assert seen["user"] == "kim" and seen["name"] == "Kim Wexler"

    def test_two_concurrent_user_sessions_do_not_share_tokens(self, real_sign_in):
        """Both signed in at once, 200 interleaved calls each over shared upstream connections, every call answered with the caller's own identity."""
        users = {user: real_sign_in(user) for user in ("harvey", "kim")}
        headers, body = tool_call("whoami")

        def calls(user: str) -> list[tuple[str, str]]:
            seen = []
            with users[user].connect(30) as connection:
                for _ in range(50):
                    answer = connection.request("POST", "/mcp", users[user].headers("script", headers), body)
                    content = answer.json()["result"]["structuredContent"]
                    seen.append((content["user"], content["token_id"]))
            return seen

        with ThreadPoolExecutor(8) as pool:
            futures = [(user, pool.submit(calls, user)) for _ in range(4) for user in users]
            results = {user: [] for user in users}
            for user, future in futures:
                results[user] += future.result()
        for user, seen in results.items():
            assert len(seen) == 200 and {name for name, _ in seen} == {user}
        assert not {token for _, token in results["harvey"]} & {token for _, token in results["kim"]}

    def test_token_refresh_happens_transparently(self, binary, tmp_path):
        """A token that expires mid-way is refreshed unnoticed."""
        short = Stack(tmp_path, access_token_seconds=4, binary=binary, changes={"tokens": {"refresh_before_expiry": "1s"}}).start()
        try:
            harvey = Visitor(short.proxy, short.provider, "harvey").sign_in()
            tokens = set()
            end = time.monotonic() + 9
            while time.monotonic() < end:
                seen = server_saw(harvey)
                assert seen["user"] == "harvey"
                tokens.add(seen["token_id"])
                time.sleep(0.3)
            assert len(tokens) >= 3
        finally:
            short.stop()

    def test_if_the_token_cannot_be_acquired_because_consent_was_revoked_the_user_sees_a_login_prompt(self, binary, tmp_path):
        short = Stack(tmp_path, access_token_seconds=3, binary=binary, changes={"tokens": {"refresh_before_expiry": "1s"}}).start()
        try:
            harvey, kim = (Visitor(short.proxy, short.provider, user).sign_in() for user in ("harvey", "kim"))
            assert server_saw(harvey)["user"] == "harvey"
            short.provider.withdraw("harvey")
            time.sleep(3.2)
            data = login_required(harvey.call())
            assert data["login_url"]
            assert server_saw(kim)["user"] == "kim", "the other user is not affected"
            harvey.sign_in()
            assert server_saw(harvey)["user"] == "harvey"
        finally:
            short.stop()

    def test_if_the_token_cannot_be_acquired_because_the_session_expired_the_user_sees_a_login_prompt(self, proxy, provider):
        """With the provider double."""
        harvey = Visitor(proxy({"session": {"idle_timeout": "1s"}}), provider).sign_in()
        time.sleep(1.5)
        login_required(harvey.call())
        assert harvey.navigate("/pages/x").status == 303


class TestConsentFlow:
    def test_a_first_time_call_for_a_user_who_has_not_consented_returns_a_structured_consent_required_error_and_not_a_500(self, fresh_consent, real_sign_in):
        for dialect in ("challenge", "entra", "json_rpc", "tool_result"):
            answer = real_sign_in("harvey").call("read_files", {"dialect": dialect})
            assert answer.status < 500
            consent_required(answer)

    def test_the_error_response_includes_the_specific_scopes_that_need_consent(self, fresh_consent, real_sign_in):
        data = consent_required(real_sign_in("harvey").call("read_files"))
        assert FILES_SCOPE in data["scopes"]
        assert "profile" not in data["scopes"]

    def test_after_the_user_consents_and_retries_the_tool_call_succeeds(self, fresh_consent, real_sign_in):
        harvey = real_sign_in("harvey")
        refused = harvey.call("read_files")
        assert give_consent(harvey, refused).status == 303
        assert server_saw(harvey, "read_files")["files"][0] == "merger-agreement.pdf"
        assert {BASIC_SCOPE, FILES_SCOPE} <= set(server_saw(harvey)["scopes"])

    def test_the_consent_flow_does_not_affect_other_users_requests(self, fresh_consent, real_sign_in):
        harvey, kim = real_sign_in("harvey"), real_sign_in("kim")
        refused = harvey.call("read_files")
        assert server_saw(kim)["user"] == "kim"
        give_consent(harvey, refused)
        assert server_saw(harvey, "read_files")["user"] == "harvey"
        consent_required(kim.call("read_files"))
        assert FILES_SCOPE not in server_saw(kim)["scopes"]

    def test_pre_consent_validation_when_enabled_catches_missing_scopes_before_the_call_goes_out(self, proxy, provider, upstream):
        """With the provider double: a user who granted less than the route's scope is stopped before the upstream is asked."""
        lenient = Visitor(proxy(), provider).sign_in(scopes=["openid", "profile", "offline_access"])
        upstream.on("send", lambda request: Answer(200, [JSON], result(request, "asked")))
        lenient.call("send")
        strict = proxy({"consent": {"require_pre_consent": True}})
        harvey = Visitor(strict, provider).sign_in(scopes=["openid", "profile", "offline_access"])
        upstream.forget()
        data = consent_required(harvey.call("send"))
        assert data["scopes"] == ["mcp.use"]
        assert upstream.requests == []


class TestTheWholeJob:
    def test_two_hundred_calls_each_while_tokens_are_refreshed_never_mix(self, proxy, provider, upstream):
        """With the doubles: rotation with reuse detection, tokens of two seconds, two users at once."""
        one = proxy({"tokens": {"refresh_before_expiry": "1s"}})
        provider.access_token_seconds = 2
        users = {user: Visitor(one, provider, user).sign_in() for user in ("harvey", "kim")}
        headers, body = tool_call("whoami")

        def calls(user: str) -> set[str]:
            with users[user].connect(30) as connection:
                seen = set()
                for _ in range(200):
                    answer = connection.request("POST", "/mcp", users[user].headers("client", headers), body)
                    seen.add(answer.json()["result"]["content"][0]["text"])
                    time.sleep(0.015)
                return seen

        with ThreadPoolExecutor(4) as pool:
            futures = [(user, pool.submit(calls, user)) for user in ("harvey", "kim", "harvey", "kim")]
            for user, future in futures:
                assert future.result() == {user}
        assert provider.count["refresh_token"] >= 2 and provider.count["reuse"] == 0

    def test_a_revoked_grant_leads_to_a_sign_in_prompt(self, proxy, provider, upstream):
        """With the doubles: the upstream refuses the token and the provider refuses to renew it."""
        harvey = Visitor(proxy(), provider).sign_in()
        provider.withdraw("harvey")
        upstream.on("whoami", refuse(401, 'Bearer error="invalid_token"'))
        login_required(harvey.call())
        assert wait_until(lambda: harvey.navigate("/auth/login?return_to=/").status == 303, "sign-in to be offered")
