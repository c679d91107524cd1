"""Scopes that are known to be needed are compared with what the user agreed to before a call goes anywhere."""

from __future__ import annotations

import json
import threading

import pytest

from processes import wait_until
from support import http
from support.entra import OWN_SCOPE
from support.server import Answer
from support.upstream import JSON, refuse, result
from support.visitor import INITIALIZE, LEGACY, Visitor, consent_required, error_of, give_consent, message_of

ON = {"require_pre_consent": True}
SCOPES = [
    {"tool": "send", "scope": "mail.send"},
    {"tool": "erase", "scope": "mail.send mail.erase"},
    {"method": "prompts/get", "scope": "prompts.use"},
    {"method": "resources/read", "tool": "file:///salaries", "scope": "salaries.read"},
]


@pytest.fixture
def before(proxy, provider, upstream):
    """A proxy that knows what its tools need, and users of it."""
    one = proxy({"consent": ON | {"tool_scopes": SCOPES}})
    make = lambda user="harvey", **options: Visitor(one, provider, user).sign_in(**options)
    make.proxy = one
    return make


def asked_for(answer) -> list[str]:
    return consent_required(answer)["scopes"]


def test_a_tool_that_needs_more_is_asked_about_before_the_upstream_hears_of_it(before, provider, upstream):
    harvey = before()
    answer = harvey.call("send", id=5)
    data = consent_required(answer)
    assert data["scopes"] == ["mail.send"] and data["tool"] == "send" and message_of(answer)["id"] == 5
    assert upstream.requests == []
    give_consent(harvey, answer)
    assert {"mcp.use", "mail.send"} <= set(provider.authorizations[-1]["scope"].split())
    assert harvey.call("send").status == 200
    assert len(upstream.calls("send")) == 1
    assert "mail.send" in provider.scopes_of(upstream.last.header("authorization"))
    # What is still missing for another tool is all that is asked for.
    assert asked_for(harvey.call("erase")) == ["mail.erase"]
    assert len(upstream.requests) == 1


def test_a_user_who_agreed_changes_nothing_for_another(before, upstream):
    harvey, kim = before("harvey"), before("kim")
    give_consent(harvey, harvey.call("send"))
    assert harvey.call("send").status == 200
    assert asked_for(kim.call("send")) == ["mail.send"]
    assert len(upstream.requests) == 1


def test_scopes_of_a_method_go_for_all_of_its_names_and_for_no_other_method(before, upstream):
    harvey = before()
    assert asked_for(harvey.rpc("prompts/get", {"name": "send"})) == ["prompts.use"]
    assert asked_for(harvey.rpc("prompts/get", {"name": "anything"})) == ["prompts.use"]
    assert upstream.requests == []
    for method, params in (("tools/list", None), ("prompts/list", None), ("resources/read", {"uri": "file:///menu"}), ("tools/call", {"name": "prompts/get"})):
        assert harvey.rpc(method, params).status == 200, method
    assert asked_for(harvey.rpc("resources/read", {"uri": "file:///salaries"})) == ["salaries.read"]
    assert len(upstream.requests) == 4


def test_scopes_of_one_route_go_for_that_route(proxy, provider, upstream, other_upstream):
    entry = {"route": "/other", "tool": "whoami", "scope": "other.whoami"}
    one = proxy({"consent": ON | {"tool_scopes": [*SCOPES, entry]}, "routes": [
        {"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}, {"path": "/other", "upstream": other_upstream.url, "scope": "mcp.use"}]})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.call("whoami").status == 200
    assert asked_for(harvey.call("whoami", path="/other")) == ["other.whoami"]
    assert asked_for(harvey.call("send", path="/other")) == ["mail.send"], "an entry without a route is for all"
    assert other_upstream.requests == []


@pytest.mark.parametrize("era", ["2026-07-28", LEGACY])
def test_the_tools_name_is_taken_from_the_body_where_no_field_repeats_it(before, upstream, era):
    assert asked_for(before().call("send", era=era)) == ["mail.send"]
    assert upstream.requests == []


def test_a_field_that_names_another_tool_than_the_body_gets_nowhere(before, upstream):
    harvey = before()
    answer = harvey.call("send", headers={"Mcp-Name": "whoami"})
    assert error_of(answer, 400)["data"]["reason"] == "header_mismatch"
    assert error_of(harvey.call("whoami", headers={"Mcp-Name": "send"}), 400)["data"]["reason"] == "header_mismatch"
    assert upstream.requests == []


def test_a_legacy_clients_field_of_that_name_does_not_decide(before, upstream):
    harvey = before()
    assert asked_for(harvey.call("send", era=LEGACY, headers={"Mcp-Name": "whoami"})) == ["mail.send"]
    assert upstream.requests == []


def test_of_a_body_too_long_to_be_looked_into_the_fields_tell_which_tool_is_called(proxy, provider, upstream):
    one = proxy({"consent": ON | {"tool_scopes": SCOPES}, "limits": {"buffered_body": "1KiB"}})
    harvey = Visitor(one, provider).sign_in()
    long = {"text": "x" * 8000}
    answer = harvey.call("send", long)
    data = consent_required(answer)
    assert data["scopes"] == ["mail.send"] and upstream.requests == []
    assert harvey.call("whoami", long).status == 200
    give_consent(harvey, answer)
    assert harvey.call("send", long).status == 200
    assert json.loads(upstream.last.body)["params"]["arguments"] == long
    # A client of the older revision repeats nothing in fields: the route's scopes are all that is known.
    assert harvey.call("erase", long, era=LEGACY).status == 200


def test_a_page_that_navigates_is_taken_to_the_provider_before_the_upstream_is_asked(proxy, provider, upstream):
    one = proxy({"consent": ON, "routes": [{"path": "/app", "upstream": f"{upstream.origin}/app", "scope": "app.use app.more", "mcp": False}]})
    harvey = Visitor(one, provider).sign_in(scopes=["openid", "app.use"])
    answer = harvey.navigate("/app/report")
    assert answer.status == 303 and upstream.requests == []
    back = harvey.pass_provider(answer)
    assert "app.more" in provider.authorizations[-1]["scope"].split()
    assert back.location.removeprefix(one.url) == "/app/report"
    assert harvey.navigate("/app/report").status == 200 and len(upstream.requests) == 1


def test_what_the_sign_in_itself_did_not_bring_is_asked_for(before, upstream):
    harvey = before(scopes=["openid", "profile", "offline_access"])
    answer = harvey.call("send")
    assert sorted(asked_for(answer)) == ["mail.send", "mcp.use"]
    assert asked_for(harvey.call("whoami")) == ["mcp.use"]
    assert upstream.requests == []
    give_consent(harvey, answer)
    assert harvey.call("send").status == 200


# On and off

def test_without_the_flag_the_upstream_decides(proxy, provider, upstream):
    one = proxy({"consent": {"tool_scopes": SCOPES}})
    harvey = Visitor(one, provider).sign_in(scopes=["openid", "profile", "offline_access"])
    assert harvey.call("send").status == 200 and harvey.call("whoami").status == 200
    assert len(upstream.requests) == 2


def test_a_route_says_for_itself_whether_consent_is_checked_before(proxy, provider, upstream, other_upstream):
    for everywhere, here in ((True, False), (False, True)):
        routes = [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"},
                  {"path": "/other", "upstream": other_upstream.url, "scope": "mcp.use", "require_pre_consent": here}]
        one = proxy({"consent": {"require_pre_consent": everywhere, "tool_scopes": SCOPES}, "routes": routes})
        harvey = Visitor(one, provider).sign_in()
        checked, free = ("/mcp", "/other") if everywhere else ("/other", "/mcp")
        assert asked_for(harvey.call("send", path=checked)) == ["mail.send"]
        assert harvey.call("send", path=free).status == 200


def test_a_token_whose_scopes_nobody_told_passes(proxy, provider, upstream):
    provider.say_scope = False
    one = proxy({"consent": ON | {"tool_scopes": SCOPES}, "routes": [{"path": "/mcp", "upstream": upstream.url, "resource": upstream.url}]})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.call("send").status == 200 and len(upstream.requests) == 1


def test_a_provider_that_says_no_scopes_granted_those_that_were_asked_for(proxy, provider, upstream):
    # RFC 6749 §5.1: `scope` may be left out when it is what was asked.
    provider.say_scope = False
    harvey = Visitor(proxy({"consent": ON | {"tool_scopes": SCOPES}}), provider).sign_in()
    assert harvey.call("whoami").status == 200
    answer = harvey.call("send")
    assert asked_for(answer) == ["mail.send"]
    give_consent(harvey, answer)
    assert harvey.call("send").status == 200


def test_a_provider_that_never_grants_it_is_not_asked_about_forever(before, provider, upstream):
    harvey = before()
    rounds = 0
    while rounds < 5 and (answer := harvey.call("send")).json()["error"]["data"]["reason"] == "consent_required":
        give_consent(harvey, answer, scopes=["openid", "profile", "offline_access", "mcp.use"])
        rounds += 1
    assert rounds == 2
    assert error_of(answer, 403)["data"] | {"request_id": ""} == {"reason": "consent_failed", "scopes": ["mail.send"], "request_id": ""}
    assert upstream.requests == [] and harvey.call("whoami").status == 200


# Before an exchange

def exchanging(upstream) -> dict:
    return {"routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use", "exchange": {
        "form": "token_exchange", "subject_scope": "proxy.access", "audience": ["mcp"]}}]}


def test_no_token_is_exchanged_for_a_call_that_lacks_a_scope(proxy, provider, upstream):
    one = proxy({"consent": ON | {"tool_scopes": SCOPES}, **exchanging(upstream)})
    harvey = Visitor(one, provider).sign_in()
    answer = harvey.call("send")
    assert asked_for(answer) == ["mail.send"]
    assert provider.count["exchange"] == 0 and upstream.requests == []
    give_consent(harvey, answer)
    assert harvey.call("send").status == 200
    assert provider.count["exchange"] == 1
    assert dict(provider.exchanges[-1])["scope"].split() == ["mcp.use", "mail.send"]
    assert asked_for(harvey.call("erase")) == ["mail.erase"]
    assert provider.count["exchange"] == 1 and len(upstream.requests) == 1


def test_nobody_is_acted_for_before_they_agreed(entra_proxy, entra, upstream):
    one = entra_proxy({"consent": ON | {"tool_scopes": [{"tool": "invite", "scope": "api://calendar/write"}]}})
    entra.consents["harvey"].add("api://calendar/read")
    harvey = Visitor(one, entra).sign_in()
    answer = harvey.call("invite", path="/calendar")
    assert asked_for(answer) == ["api://calendar/write"]
    assert entra.count["on_behalf_of"] == 0 and upstream.requests == []
    give_consent(harvey, answer)
    assert {OWN_SCOPE, "api://calendar/read", "api://calendar/write"} <= set(entra.authorizations[-1]["scope"].split())
    assert harvey.call("invite", path="/calendar").status == 200
    assert entra.count["on_behalf_of"] == 1 and entra.complaints == []


# Learning

LEARN = {"consent": ON | {"learn_tool_scopes": True}}


def demanding(provider, scope: str):
    return lambda request: Answer(200, [JSON], result(request, "done")) if scope in provider.scopes_of(request.header("authorization")) else refuse(
        403, f'Bearer error="insufficient_scope", scope="mcp.use {scope}"')(request)


def learned(one) -> list[dict]:
    answer = http.request(one.admin_url, "GET", "/tool-scopes")
    assert answer.status == 200 and answer.header("content-type") == "application/json", answer
    return json.loads(answer.body)["tool_scopes"]


@pytest.fixture
def learning(proxy, provider, upstream):
    """A proxy that learned from Harvey's refused call that `files` needs files.read."""
    one = proxy(LEARN)
    upstream.on("files", demanding(provider, "files.read"))
    harvey = Visitor(one, provider, "harvey").sign_in()
    assert "files.read" in asked_for(harvey.call("files"))
    assert len(upstream.calls("files")) == 1
    return one


def test_what_one_user_was_asked_for_the_next_is_asked_for_at_once(learning, provider, upstream):
    kim = Visitor(learning, provider, "kim").sign_in()
    answer = kim.call("files")
    assert asked_for(answer) == ["files.read"]
    assert len(upstream.calls("files")) == 1, "Kim's call did not go upstream"
    give_consent(kim, answer)
    assert kim.call("files").status == 200
    # Other tools are not concerned.
    assert Visitor(learning, provider, "saul").sign_in().call("whoami").status == 200


def test_what_was_learned_survives_a_restart(learning, provider, upstream):
    before = learned(learning)
    learning.stop()
    learning.start()
    assert learned(learning) == before
    kim = Visitor(learning, provider, "kim").sign_in()
    assert asked_for(kim.call("files")) == ["files.read"]
    assert len(upstream.calls("files")) == 1


def test_the_operator_sees_what_was_learned_and_no_user(learning, upstream):
    [entry] = learned(learning)
    assert {name: entry[name] for name in ("route", "method", "tool", "scopes")} == {
        "route": "/mcp", "method": "tools/call", "tool": "files", "scopes": ["files.read"]}
    assert set(entry) == {"route", "method", "tool", "scopes", "learned_at"} and "harvey" not in json.dumps(entry)
    line = wait_until(lambda: next((line for line in learning.output().splitlines() if "learned what a tool needs" in line), None), "a line in the log", 5)
    assert "files.read" in line and "/mcp" in line


@pytest.mark.parametrize("query, forgets", [("", True), ("?tool=files", True), ("?route=/mcp", True), ("?route=%2Fmcp&tool=files", True),
                                            ("?tool=other", False), ("?route=/other", False)])
def test_what_was_learned_is_forgotten_for_good(learning, provider, upstream, query, forgets):
    answer = http.request(learning.admin_url, "DELETE", f"/tool-scopes{query}")
    assert answer.status == 200 and answer.text == f"forgotten: {int(forgets)}\n"
    kim = Visitor(learning, provider, "kim").sign_in()
    kim.call("files")
    assert len(upstream.calls("files")) == 1 + forgets, "forgotten: the upstream is asked again"
    if forgets:
        http.request(learning.admin_url, "DELETE", "/tool-scopes")
        learning.stop()
        learning.start()
        assert learned(learning) == []


def test_learned_scopes_are_at_the_admin_listener_alone(learning, provider):
    harvey = Visitor(learning, provider).sign_in()
    for method in ("GET", "DELETE"):
        assert harvey.request(method, "/tool-scopes").status == 404
    assert http.request(learning.admin_url, "POST", "/tool-scopes", {}, b"").status == 405
    assert len(learned(learning)) == 1


def test_scopes_of_several_demands_add_up(learning, provider, upstream):
    upstream.on("files", demanding(provider, "files.write"))
    harvey = Visitor(learning, provider).sign_in()
    give_consent(harvey, harvey.call("files"))
    assert "files.write" in asked_for(harvey.call("files"))
    kim = Visitor(learning, provider, "kim").sign_in()
    assert asked_for(kim.call("files")) == ["files.read", "files.write"]


def test_many_users_who_are_asked_at_once_leave_one_entry(proxy, provider, upstream):
    one = proxy(LEARN)
    upstream.on("files", demanding(provider, "files.read"))
    visitors = [Visitor(one, provider, f"user-{index}").sign_in() for index in range(8)]
    threads = [threading.Thread(target=visitor.call, args=("files",)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(learned(one)) == 1


@pytest.mark.parametrize("length", [128, 129, 200])
def test_a_name_is_learned_whole_or_not_at_all(proxy, provider, upstream, length):
    one = proxy(LEARN)
    name = "n" * length
    upstream.on(name, demanding(provider, "files.read"))
    assert "files.read" in asked_for(Visitor(one, provider).sign_in().call(name))
    assert [entry["tool"] for entry in learned(one)] == ([name] if length == 128 else [])


def test_long_names_that_begin_alike_are_two_names(proxy, provider, upstream):
    name = "file:///" + "n" * 190
    one = proxy({"consent": ON | {"tool_scopes": [{"method": "resources/read", "tool": name + "/secret", "scope": "secrets.read"}]}})
    harvey = Visitor(one, provider).sign_in()
    assert asked_for(harvey.rpc("resources/read", {"uri": name + "/secret"})) == ["secrets.read"]
    assert harvey.rpc("resources/read", {"uri": name + "/menu"}).status == 200


def test_nothing_is_learned_where_that_is_off(proxy, provider, upstream):
    one = proxy({"consent": ON})
    upstream.on("files", demanding(provider, "files.read"))
    for user in ("harvey", "kim"):
        assert "files.read" in asked_for(Visitor(one, provider, user).sign_in().call("files"))
    assert len(upstream.calls("files")) == 2 and learned(one) == []


def test_what_was_learned_is_used_only_where_consent_is_checked_before(proxy, provider, upstream):
    one = proxy({"consent": {"learn_tool_scopes": True}})
    upstream.on("files", demanding(provider, "files.read"))
    for user in ("harvey", "kim"):
        Visitor(one, provider, user).sign_in().call("files")
    assert len(upstream.calls("files")) == 2 and len(learned(one)) == 1


def test_a_legacy_session_is_asked_before_as_well(before, upstream):
    harvey = before()
    session = harvey.open_session()
    assert asked_for(harvey.call("send", era=LEGACY, headers={"Mcp-Session-Id": session})) == ["mail.send"]
    assert upstream.calls("send") == [] and harvey.rpc("initialize", INITIALIZE, era=LEGACY).status == 200
