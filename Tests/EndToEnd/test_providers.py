"""Several providers at once: how one is chosen, which one each token, refresh and sign-out goes to, and what never passes from one to another."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from processes import wait_until
from support import http
from support.provider import CLIENT_ID
from support.providers import Guest, entry
from support.upstream import Guarded, refuse
from support.visitor import LEGACY, consent_required, error_of, give_consent, login_required

NEEDS_MORE = refuse(403, 'Bearer error="insufficient_scope", scope="files.write"')


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


def links(page: http.Response) -> list[tuple[str, str]]:
    return [(unescape(words), unescape(href)) for href, words in re.findall(r'<a class="button" href="([^"]*)">([^<]*)</a>', page.text)]


# Which provider

def test_without_a_name_the_person_chooses_and_comes_back_to_the_page_they_wanted(two_proxy, two):
    one = two_proxy({"oidc": [entry("staff", two["staff"], display_name="Staff & <friends>"), entry("customers", two["customers"])]})
    guest = Guest(one, two)
    page = guest.navigate("/auth/login?return_to=" + quote("/desk/a?b=c&d=%C3%A9", safe=""))
    assert page.status == 200 and page.header("content-type").startswith("text/html")
    assert [words for words, _ in links(page)] == ["Staff & <friends>", "127.0.0.1"]
    assert "<script" not in page.text and page.text.count("<form") == 0
    assert "default-src 'none'" in page.header("content-security-policy") and page.header("cache-control") == "no-store"
    assert not guest.cookies, "nothing begins before somebody chose"
    for (_, href), name in zip(links(page), ("staff", "customers"), strict=True):
        assert query_of(href) == {"provider": name, "return_to": "/desk/a?b=c&d=%C3%A9"}
        answer = guest.navigate(href)
        assert answer.location.startswith(two[name].origin + "/authorize?")
    back = guest.come_back(two["customers"].approve(answer.location, "harvey"))
    assert back.status == 303 and back.location == "/desk/a?b=c&d=%C3%A9", back


def test_each_provider_is_asked_as_it_is_configured(two_proxy, two):
    one = two_proxy({"oidc": [
        entry("staff", two["staff"], client_id="client-of-staff", scope="openid", prompt="login", extra_authorization_params={"domain_hint": "a"}),
        entry("customers", two["customers"], acr_values="urn:mfa", redirect_path="/auth/callback")]})
    staff = query_of(Guest(one, two).start_at("staff"))
    customers = query_of(Guest(one, two).start_at("customers"))
    assert (staff["client_id"], staff["scope"], staff["prompt"], staff["domain_hint"]) == ("client-of-staff", "openid mcp.use tools.use", "login", "a")
    assert staff["redirect_uri"] == f"{one.url}/auth/callback/staff"
    assert (customers["client_id"], customers["scope"]) == (CLIENT_ID, "openid profile offline_access mcp.use orders.read"), "no scope of the others' routes"
    assert customers["redirect_uri"] == f"{one.url}/auth/callback" and customers["acr_values"] == "urn:mfa"
    assert "prompt" not in customers and "domain_hint" not in customers


@pytest.mark.parametrize("name", ["nobody", "", "Staff", "staff%00", "..%2Fstaff"])
def test_a_name_that_is_none_begins_nothing(guest, two, name):
    visitor = guest()
    page = visitor.navigate(f"/auth/login?provider={name}&return_to=%2Fdesk")
    assert page.status == 400 and links(page) == [("Try again", "/auth/login?return_to=%2Fdesk")], page
    assert not visitor.cookies and not any(one.count["/authorize"] for one in two.all.values())


def test_a_route_leads_to_its_provider_in_each_callers_own_way(guest, two, upstream):
    visitor = guest()
    assert visitor.navigate("/desk/x?y=1").location == "/auth/login?provider=staff&return_to=%2Fdesk%2Fx%3Fy%3D1"
    for path, expected in (("/tools", "staff"), ("/orders", "customers"), ("/mcp", None)):
        for kind in ("script", "client"):
            url = login_required(visitor.call(path=path, kind=kind))["login_url"]
            assert url.startswith(visitor.url + "/auth/login?") and query_of(url).get("provider") == expected, url
    assert upstream.requests == []


def test_a_route_without_a_provider_sends_each_session_with_a_token_of_its_own(guest, two, upstream):
    for name in ("staff", "customers"):
        visitor = guest().sign_in_at(name)
        assert visitor.who() == "harvey" and two.source(upstream.last) == name
        assert visitor.session()["provider"] == name


def test_a_session_of_one_provider_is_none_on_the_others_routes(guest, two, upstream):
    visitor = guest().sign_in_at("customers")
    assert visitor.who(path="/orders") == "harvey" and two.source(upstream.last) == "customers"
    upstream.forget()
    assert query_of(login_required(visitor.call(path="/tools"))["login_url"])["provider"] == "staff"
    assert upstream.requests == []
    answer = visitor.pass_on(visitor.navigate("/desk/list"))
    assert answer.location.startswith(two["staff"].origin)
    back = visitor.come_back(two["staff"].approve(answer.location, "harvey"))
    assert back.location == "/desk/list" and visitor.navigate("/desk/list").status == 200
    assert visitor.who(path="/tools") == "harvey" and two.source(upstream.last) == "staff"
    login_required(visitor.call(path="/orders"))


# One browser, one after the other

def test_signing_in_elsewhere_replaces_the_session_and_carries_nothing_over(guest, two, upstream):
    guarded = Guarded("files.write", NEEDS_MORE)
    upstream.on("write", guarded)
    visitor = guest().sign_in_at("staff")
    give_consent(visitor, visitor.call("write"))
    assert visitor.call("write").status == 200 and "files.write" in visitor.navigate("/auth/").text
    mcp, before = visitor.open_session(), dict(visitor.cookies)
    visitor.sign_in_at("customers")
    old = guest()
    old.cookies = before
    login_required(old.call()), login_required(old.call(path="/tools"))
    upstream.forget()
    assert visitor.who() == "harvey" and two.source(upstream.last) == "customers"
    error_of(visitor.rpc("tools/list", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)
    consent_required(visitor.call("write"))
    assert "files.write" not in visitor.navigate("/auth/").text
    assert {two.source(request) for request in upstream.requests} == {"customers"}
    asked = two["customers"].authorizations
    assert all("files.write" not in one["scope"] for one in asked)


def test_one_person_at_two_clients_of_one_issuer_keeps_two_sets_of_tokens(two_proxy, two, upstream):
    staff = two["staff"]
    one = two_proxy({"oidc": [entry("staff", staff), entry("customers", staff)]})
    guest = Guest(one, two)
    upstream.on("write", Guarded("files.write", NEEDS_MORE))
    guest.sign_in_at("staff")
    give_consent(guest, guest.call("write"))
    assert guest.call("write").status == 200
    before = {token for token in staff.issued if token.startswith("CANARY-")}
    guest.provider = staff
    assert guest.pass_provider(guest.navigate("/auth/login?provider=customers&return_to=%2F")).status == 303
    upstream.forget()
    consent_required(guest.call("write"))
    sent = {request.header("authorization").removeprefix("Bearer ") for request in upstream.requests}
    assert sent and not sent & before
    login_required(guest.call(path="/tools"))


def test_the_name_of_a_single_provider_is_good_for_one_of_several_as_well(two_proxy, two, upstream):
    staff = two["staff"]
    one = two_proxy({"oidc": [entry("default", staff), entry("other", staff)], "routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}]})
    for name in ("default", "other"):
        guest = Guest(one, two)
        guest.provider = staff
        assert guest.pass_provider(guest.navigate(f"/auth/login?provider={name}&return_to=%2F")).status == 303
        assert guest.who() == "harvey" and guest.session()["provider"] == name


def test_two_people_with_one_subject_at_two_issuers_never_meet(guest, two, upstream):
    guarded = Guarded("files.write", NEEDS_MORE)
    upstream.on("write", guarded)
    one, other = guest().sign_in_at("staff"), guest().sign_in_at("customers")
    assert one.session()["sub"] == other.session()["sub"]
    link = consent_required(one.call("write"))["interaction_url"]
    assert other.open_link(link).status == 403 and other.decide(link).status == 403
    mcp = one.open_session()
    error_of(other.rpc("tools/list", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)
    assert one.consent_through(link).status == 303
    assert "files.write" in one.navigate("/auth/").text and "files.write" not in other.navigate("/auth/").text
    assert one.sign_out().status == 303 and not one.signed_in
    assert other.who() == "harvey" and two.source(upstream.last) == "customers"


# Which provider everything else goes to

def test_refreshes_go_to_the_sessions_own_provider(guest, two, upstream):
    for one in two.all.values():
        one.access_token_seconds = 1
    visitors = {name: guest().sign_in_at(name) for name in ("staff", "customers")}
    for name, visitor in visitors.items():
        mine, others = two[name], next(one for key, one in two.all.items() if key != name)
        seen = others.count["refresh_token"]
        wait_until(lambda: visitor.who() == "harvey" and mine.count["refresh_token"] >= 1, "a refresh")
        assert two.source(upstream.last) == name and others.count["refresh_token"] == seen
        given = [token for token in mine.issued if token.startswith("CANARY-rt")]
        used = [form["refresh_token"] for form in mine.token_requests if form["grant_type"] == "refresh_token"]
        assert used and set(used) <= set(given)


def test_sign_out_revokes_and_ends_at_the_sessions_own_provider(guest, two):
    for one in two.all.values():
        one.supports_revocation = True
    visitor = guest().sign_in_at("customers")
    policy = visitor.navigate("/auth/").header("content-security-policy")
    assert two["customers"].origin in policy and two["staff"].origin not in policy
    answer = visitor.sign_out()
    assert answer.location.startswith(two["customers"].origin + "/logout?")
    wait_until(lambda: two["customers"].revoked, "the revocation")
    assert two["customers"].revoked[0] in two["customers"].issued and not two["staff"].revoked
    assert not visitor.signed_in


def test_consent_is_asked_at_the_provider_of_the_session_that_asks(guest, two, upstream):
    guarded = Guarded("files.write", NEEDS_MORE)
    upstream.on("write", guarded)
    visitor = guest().sign_in_at("customers")
    asked = consent_required(visitor.call("write"))
    policy = visitor.open_link(asked["interaction_url"]).header("content-security-policy")
    assert two["customers"].origin in policy and two["staff"].origin not in policy
    begun = len(two["staff"].authorizations)
    assert visitor.consent_through(asked["interaction_url"]).status == 303
    assert "files.write" in two["customers"].authorizations[-1]["scope"].split() and len(two["staff"].authorizations) == begun
    assert visitor.call("write").status == 200 and two.source(upstream.last) == "customers"


# Providers that come, go and fail

def restarted(one, changes: dict):
    assert one.stop() == 0
    one.config |= changes
    one.start()
    one.ended = False
    return one


def test_a_session_of_a_provider_that_is_gone_is_of_no_use_to_the_others(two_proxy, two, upstream):
    one = two_proxy()
    visitor = Guest(one, two).sign_in_at("customers")
    restarted(one, {"oidc": [entry("staff", two["staff"])], "routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}]})
    calls = two.token_calls()
    login_required(visitor.call())
    assert not visitor.signed_in and "Sign in" in visitor.navigate("/auth/").text
    assert two.token_calls() == calls and upstream.requests == []
    # It can be ended, here; nobody else's provider hears of it.
    answer = visitor.sign_out()
    assert answer.status == 303 and answer.location == "/auth/?done=signed_out" and not visitor.cookies
    assert not any(one.revoked or one.ended_sessions for one in two.all.values())


@pytest.mark.parametrize("names", [("customers", "staff"), ("other", "staff")], ids=["two names change places", "a new name"])
def test_a_session_is_bound_to_name_and_issuer(two_proxy, two, upstream, names):
    one = two_proxy({"routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}]})
    visitor = Guest(one, two).sign_in_at("staff")
    restarted(one, {"oidc": [entry(names[0], two["staff"]), entry(names[1], two["customers"])]})
    calls = two.token_calls()
    login_required(visitor.call())
    assert two.token_calls() == calls and upstream.requests == []


def test_sessions_of_a_single_provider_go_on_when_another_joins(two_proxy, two, upstream):
    alone = entry("staff", two["staff"])
    del alone["name"]
    routes = [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}]
    one = two_proxy({"oidc": alone, "routes": routes})
    visitor = Guest(one, two)
    visitor.provider = two["staff"]
    visitor.sign_in()
    assert two["staff"].authorizations[-1]["redirect_uri"] == f"{one.url}/auth/callback"
    assert "provider" not in visitor.session()
    two["staff"].access_token_seconds = 1
    restarted(one, {"oidc": [entry("customers", two["customers"]), entry("staff", two["staff"])]})
    assert visitor.who() == "harvey" and two.source(upstream.last) == "staff"
    assert visitor.session()["provider"] == "staff" and two["customers"].count["/token"] == 0


def test_the_others_work_while_one_does_not_answer(two_proxy, two, upstream):
    two["staff"].stop()
    one = two_proxy()
    ready = http.request(one.admin_url, "GET", "/readyz")
    assert ready.status == 200 and "staff" in ready.text and "customers" not in ready.text
    visitor = Guest(one, two).sign_in_at("customers")
    assert visitor.who() == "harvey"
    refused = Guest(one, two).navigate("/auth/login?provider=staff&return_to=%2F")
    assert refused.status in (502, 503) and refused.header("retry-after")
    metrics = http.request(one.admin_url, "GET", "/metrics").text
    for line in ('coatcheck_provider_known{provider="staff"} 0', 'coatcheck_provider_known{provider="customers"} 1',
                 'coatcheck_provider_sign_ins_total{provider="customers"} 1', 'coatcheck_provider_sign_ins_total{provider="staff"} 0'):
        assert line in metrics.splitlines()
    wait_until(lambda: '"staff: ' in one.output(), "the log to say which provider fails")


def test_nobody_can_sign_in_where_no_provider_answers(two_proxy, two):
    for one in two.all.values():
        one.stop()
    answer = http.request(two_proxy().admin_url, "GET", "/readyz")
    assert answer.status == 503 and "provider" in answer.text


def test_check_online_looks_at_every_provider(two_proxy, two, binary):
    one = two_proxy()
    two["customers"].metadata_changes = {"issuer": "https://other.example"}
    done = subprocess.run([binary, "check", one.config_file, "--online"], capture_output=True, text=True, timeout=30, cwd=one.directory)
    assert done.returncode != 0
    lines = done.stdout.splitlines()
    assert f"OK staff: redirect URI: register {one.url}/auth/callback/staff at the provider (type: web)" in lines
    assert any(line.startswith("OK staff: discovery: ") for line in lines)
    assert any(line.startswith("ERROR customers: discovery: ") for line in lines)
