"""The `entra` profile: what a provider that behaves like Microsoft Entra ID is asked, and what each of its refusals becomes."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from support.entra import OPENID, OWN_SCOPE, TENANTS, EntraDouble, TenantKey, resource_of
from support.server import Answer
from support.upstream import JSON, refuse, result
from support.visitor import Visitor, consent_required, error_of, give_consent, login_required

FILES, MAIL, CALENDAR = "api://files/read", "api://mail/read", "api://calendar/read"
CP1 = {"xms_cc": {"values": ["cp1"]}}


@pytest.fixture
def one(entra_proxy):
    return entra_proxy()


@pytest.fixture
def sign_in(one, entra):
    return lambda user="harvey": Visitor(one, entra, user).sign_in()


@pytest.fixture
def harvey(sign_in):
    return sign_in()


def claims_in(query: dict[str, str]) -> dict:
    return json.loads(query["claims"])["access_token"]


# What is asked

def test_the_sign_in_asks_with_full_scopes_for_all_resources_and_says_that_challenges_are_understood(harvey, entra):
    asked = entra.authorizations[-1]
    assert asked["scope"].split() == ["openid", "profile", "offline_access", FILES, MAIL, OWN_SCOPE]
    assert claims_in(asked) == CP1
    assert "resource" not in asked and "prompt" not in asked
    assert entra.complaints == []


def test_each_token_call_is_for_one_resource_and_each_upstream_gets_its_own_token(harvey, entra, upstream, other_upstream):
    for path in ("/files", "/mail", "/files", "/mail"):
        assert harvey.call(path=path).status == 200
    assert {EntraDouble.claims_of(request)["aud"] for request in upstream.requests} == {"api://files"}
    assert {EntraDouble.claims_of(request)["aud"] for request in other_upstream.requests} == {"api://mail"}
    for form in entra.token_requests:
        named = [scope for scope in form["scope"].split() if scope not in OPENID]
        assert len({resource_of(scope) for scope in named}) == 1, form
        assert "resource" not in form
    assert [form["grant_type"] for form in entra.token_requests] == ["authorization_code", "refresh_token"]
    assert entra.complaints == []


def test_consent_for_the_second_resource_brings_a_token_for_the_second_resource(harvey, entra, upstream, other_upstream):
    assert harvey.call(path="/files").status == harvey.call(path="/mail").status == 200
    other_upstream.on("send", lambda request: Answer(200, [JSON], result(request, "sent")) if "send" in EntraDouble.claims_of(request)["scp"].split()
                      else refuse(403, 'Bearer error="insufficient_scope", scope="api://mail/send"')(request))
    answer = harvey.call("send", path="/mail")
    assert consent_required(answer)["scopes"] == ["api://mail/send"]
    give_consent(harvey, answer)
    assert {FILES, MAIL, "api://mail/send"} <= set(entra.authorizations[-1]["scope"].split()), "what was granted is asked for along with it"
    assert harvey.call("send", path="/mail").status == 200
    assert harvey.call(path="/files").status == 200
    # No upstream ever sees a token that another API would take.
    assert {EntraDouble.claims_of(request)["aud"] for request in other_upstream.requests} == {"api://mail"}
    assert {EntraDouble.claims_of(request)["aud"] for request in upstream.requests} == {"api://files"}
    assert entra.complaints == []


def test_a_configured_resource_is_never_sent(entra_proxy, entra, upstream):
    one = entra_proxy({"routes": [{"path": "/files", "upstream": upstream.url, "scope": FILES, "resource": upstream.url}],
                       "oidc": {"extra_authorization_params": {"domain_hint": "organizations"}}})
    harvey = Visitor(one, entra).sign_in()
    upstream.on("whoami", refuse(401, 'Bearer error="invalid_token"'), lambda request: Answer(200, [JSON], result(request, "again")))
    assert harvey.call(path="/files").status == 200
    assert entra.count["refresh_token"] == 1
    assert not [form for form in entra.token_requests + entra.authorizations if "resource" in form]
    assert entra.authorizations[-1]["domain_hint"] == "organizations"
    assert entra.complaints == []


def test_no_request_to_the_token_endpoint_names_an_origin(harvey, entra):
    harvey.call(path="/mail")
    assert entra.token_headers and not [request for request in entra.token_headers if request.header("origin")]


# Claims challenges

NBF = {"access_token": {"nbf": {"essential": True, "value": "1767225600"}}}


def continuous_access(claim: str, challenge: dict):
    """An API that evaluates access continuously: whoever understands challenges gets one until the token meets it."""
    text = base64.b64encode(json.dumps(challenge).encode()).decode()

    def judge(request):
        token = EntraDouble.claims_of(request)
        if token.get("xms_cc") == ["cp1"] and claim not in token["met"]:
            return refuse(401, f'Bearer realm="", authorization_uri="https://login.example/common/oauth2/authorize", error="insufficient_claims", claims="{text}"')(request)
        return Answer(200, [JSON], result(request, "done"))
    return judge


def test_a_claims_challenge_is_met_without_the_user_where_the_refresh_suffices(harvey, entra, upstream):
    upstream.on("report", continuous_access("nbf", NBF))
    assert harvey.call("report", path="/files").json()["result"]["content"][0]["text"] == "done"
    form = entra.token_requests[-1]
    assert form["grant_type"] == "refresh_token" and form["scope"].split()[0] == FILES
    assert claims_in(form) == CP1 | NBF["access_token"]
    assert len(entra.authorizations) == 1 and upstream.executed["report"] == 2


def test_a_claims_challenge_that_needs_the_user_is_repeated_in_full_until_it_is_met(harvey, entra, upstream):
    upstream.on("report", continuous_access("nbf", NBF))
    entra.revoked_users.add("harvey")
    answer = harvey.call("report", path="/files")
    consent_required(answer)
    refreshes = entra.count["refresh_token"]
    assert refreshes == 1, "the refresh is tried first"
    give_consent(harvey, answer)
    assert claims_in(entra.authorizations[-1]) == CP1 | NBF["access_token"]
    assert "resource" not in entra.authorizations[-1]
    # The code is redeemed without the claims: the next challenge is met by a refresh, since the user came by.
    assert harvey.call("report", path="/files").status == 200
    assert len(entra.authorizations) == 2


def test_demands_of_the_token_endpoint_reach_the_authorization_request_letter_by_letter(harvey, entra):
    entra.policies["api://mail"] = "33333333-0000-4000-8000-000000000001"
    answer = harvey.call(path="/mail")
    consent_required(answer)
    give_consent(harvey, answer)
    demand = claims_in(entra.authorizations[-1])
    assert demand["polids"] == {"essential": True, "Values": ["33333333-0000-4000-8000-000000000001"]}, "`Values` must not be re-typed"
    assert demand["xms_cc"] == CP1["xms_cc"]
    assert "prompt" not in entra.authorizations[-1]
    assert harvey.call(path="/mail").status == 200


# Consent

def test_a_consent_that_was_taken_back_at_the_provider_is_asked_for_again(harvey, entra):
    entra.consents["harvey"].discard(MAIL)
    answer = harvey.call(path="/mail")
    assert consent_required(answer)["scopes"] == [MAIL]
    give_consent(harvey, answer)
    assert harvey.call(path="/mail").status == 200
    assert "prompt" not in entra.authorizations[-1]


def test_what_an_api_lacks_itself_is_asked_for_as_a_whole_with_prompt_and_without_single_scopes(harvey, entra, upstream):
    entra.registrations["api://files"] = {"api://files/read", "api://files/write", "api://graph-of-files/all"}
    link = "https://login.example/t/oauth2/v2.0/authorize?client_id=files&scope=User.Read"
    upstream.on("sync", lambda request: Answer(200, [JSON], result(request, "synced")) if "api://graph-of-files/all" in entra.consents["harvey"]
                else refuse(403, f'Bearer consentUri="{link}", claims="", scopes="User.Read,Mail.Read", proposedAction="consent"')(request))
    answer = harvey.call("sync", path="/files")
    consent_required(answer)
    give_consent(harvey, answer)
    asked = entra.authorizations[-1]
    assert asked["prompt"] == "consent"
    assert [scope for scope in asked["scope"].split() if scope not in OPENID] == ["api://files/.default"]
    assert harvey.call("sync", path="/files").json()["result"]["content"][0]["text"] == "synced"
    assert harvey.call(path="/mail").status == 200
    assert {EntraDouble.claims_of(request)["aud"] for request in upstream.requests} == {"api://files"}
    assert entra.complaints == []


# Tenants

@pytest.mark.parametrize("allowed", [[], ["harvey"], ["harvey", "kim"]], ids=lambda names: " and ".join(names) or "all")
def test_people_of_the_listed_tenants_sign_in_and_nobody_else(entra_proxy, entra, upstream, allowed):
    one = entra_proxy({"oidc": {"allowed_tenants": [TENANTS[user] for user in allowed]}})
    for user in TENANTS:
        visitor = Visitor(one, entra, user)
        callback = visitor.come_back(entra.approve(visitor.start_sign_in(), user))
        if user in allowed or not allowed:
            assert callback.status == 303, (user, callback)
            assert visitor.call(path="/files").status == 200
            assert EntraDouble.user_of(upstream.last) == user
        else:
            assert 400 <= callback.status < 500, (user, callback)
            assert not visitor.signed_in
            login_required(visitor.call(path="/files"))


TENANT_FORGERIES = {
    "signed with another tenant's key": {"iss": None},
    "the issuer of another tenant": {"tid": TENANTS["kim"]},
    "no tenant": {"tid": ""},
    "the template itself as issuer": {"tid": "{tenantid}"},
    "the name common as tenant": {"tid": "common"},
}


@pytest.mark.parametrize("changes", TENANT_FORGERIES.values(), ids=TENANT_FORGERIES.keys())
def test_an_id_token_must_fit_its_tenant(shared_entra, changes):
    def forge(header: dict, claims: dict) -> str:
        if "iss" in changes:
            # Harvey's claims under Kim's key: good for her tenant alone.
            key = shared_entra.key_of("kim")
            return shared_entra.sign(header | {"kid": key.kid}, claims, key)
        key = shared_entra.key_of("harvey")
        tid = changes["tid"]
        claims = {name: value for name, value in (claims | {"tid": tid}).items() if value}
        if tid.startswith("{") or tid == "common":
            claims["iss"] = f"{shared_entra.origin}/{tid}/v2.0"
        return shared_entra.sign(header, claims, key)

    shared_entra.mutate = forge
    try:
        visitor = Visitor(shared_entra.proxy, shared_entra)
        callback = visitor.come_back(shared_entra.approve(visitor.start_sign_in(), "harvey"))
    finally:
        shared_entra.mutate = None
    assert 400 <= callback.status < 500, callback
    assert not visitor.signed_in


def test_a_key_without_an_issuer_is_good_for_all_tenants(entra_proxy, entra):
    common = TenantKey.rsa("common")
    entra.keys = [TenantKey("key-of-harveys-tenant", common.private, issuer=f"{entra.origin}/{{tenantid}}/v2.0")]
    entra.key_of = lambda user: entra.keys[0]
    assert Visitor(entra_proxy(), entra, "kim").sign_in().signed_in


def test_users_of_two_tenants_with_one_object_id_are_two_users(sign_in, entra):
    entra.claims_changes = {"oid": "the-same", "sub": "the-same"}
    harvey, kim = sign_in("harvey"), sign_in("kim")
    harvey_session = harvey.open_session("/files")
    answer = kim.rpc("tools/list", path="/files", era="2025-11-25", headers={"Mcp-Session-Id": harvey_session})
    error_of(answer, 404)


# Sign-out

def test_sign_out_names_the_user_by_hint_and_shows_no_token_to_the_browser(harvey, entra):
    answer = harvey.sign_out()
    assert answer.status == 303 and urlsplit(answer.location).path == "/common/oauth2/v2.0/logout"
    query = parse_qs(urlsplit(answer.location).query)
    assert query["logout_hint"] == ["O.hint-of-harvey"]
    assert "id_token_hint" not in query and "eyJ" not in answer.location
    assert query["post_logout_redirect_uri"] == [harvey.url + "/"]


# Loops

def test_a_loop_that_the_provider_saw_ends_in_a_pause_and_not_in_a_storm(one, entra, sign_in):
    entra.always["refresh_token"] = entra.refuse(50196, "invalid_grant")
    visitors = [sign_in() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: visitors[index % 4].call(path="/mail"), range(24)))
    # One for each session, and no more follow.
    assert entra.count["refresh_token"] == 4
    for answer in answers + [visitor.call(path="/mail") for visitor in visitors]:
        assert error_of(answer, 503)["data"]["reason"] == "provider_unavailable"
        assert 30 <= int(answer.header("retry-after")) <= 120, answer
    assert entra.count["refresh_token"] == 4
    # What was not refused goes on, and nobody is signed out or held up.
    assert visitors[0].call(path="/files").status == 200 and visitors[0].signed_in
    entra.always.clear()
    assert sign_in("kim").call(path="/mail").status == 200


# The whole table

ASK, STEP, BLOCKED, LOGIN, CONFIG, LATER = (
    ("consent_required", 403), ("consent_required", 403), ("consent_blocked", 403), ("login_required", 401), ("provider_misconfigured", 502),
    ("provider_unavailable", 503))
DEMAND = json.dumps({"access_token": {"polids": {"essential": True, "values": ["p"]}}})

REFUSALS = {
    "65001 as invalid_grant": ((65001,), {"suberror": "consent_required"}, ASK),
    "65001 without suberror": ((65001,), {}, ASK),
    "65001 as consent_required": ((65001, "consent_required"), {}, ASK),
    "65001 as interaction_required": ((65001, "interaction_required"), {"suberror": "consent_required"}, ASK),
    "65001 with claims": ((65001,), {"suberror": "consent_required", "claims": DEMAND}, ASK),
    "90008 without grant": ((90008,), {}, ASK),
    "65004 declined": ((65004, "access_denied"), {}, ASK),
    "90094 administrator": ((90094,), {}, BLOCKED),
    "90094 as consent_required": ((90094, "consent_required"), {"suberror": "consent_required"}, BLOCKED),
    "90095 approval pending": ((90095, "interaction_required"), {"suberror": "additional_action"}, BLOCKED),
    "50076 with claims": ((50076, "interaction_required"), {"suberror": "basic_action", "claims": DEMAND}, STEP),
    "50076 without claims": ((50076, "interaction_required"), {}, STEP),
    "50079 enrol": ((50079, "interaction_required"), {"suberror": "basic_action"}, STEP),
    "50072 enrol": ((50072, "interaction_required"), {}, STEP),
    "50074 failed": ((50074,), {"suberror": "basic_action"}, STEP),
    "50078 expired": ((50078, "interaction_required"), {}, STEP),
    "50158 external": ((50158, "interaction_required"), {"claims": DEMAND}, STEP),
    "53000 device, with claims": ((53000, "interaction_required"), {"claims": DEMAND}, STEP),
    "53000 device": ((53000, "interaction_required"), {"suberror": "message_only"}, BLOCKED),
    "53003 policy": ((53003, "interaction_required"), {}, BLOCKED),
    "53001 device": ((53001,), {}, BLOCKED),
    "50097 device": ((50097, "interaction_required"), {}, BLOCKED),
    "530032 tenant policy": ((530032,), {}, BLOCKED),
    "message_only": ((1234567, "interaction_required"), {"suberror": "message_only"}, BLOCKED),
    "50055 password expired": ((50055,), {"suberror": "user_password_expired"}, LOGIN),
    "50173 revoked": ((50173,), {}, LOGIN),
    "50132 session": ((50132,), {}, LOGIN),
    "70008 expired": ((70008,), {"suberror": "token_expired"}, LOGIN),
    "700082 inactive": ((700082,), {}, LOGIN),
    "70043 sign-in frequency": ((70043,), {"suberror": "bad_token"}, LOGIN),
    "70000 without more": ((70000,), {}, LOGIN),
    "client_mismatch": ((70000,), {"suberror": "client_mismatch"}, CONFIG),
    "protection_policy_required": ((1234567,), {"suberror": "protection_policy_required"}, CONFIG),
    "65005 registration": ((65005, "invalid_client"), {}, CONFIG),
    "650052 no service principal": ((650052,), {}, CONFIG),
    "650057 resource not registered": ((650057, "invalid_resource"), {}, CONFIG),
    "500011 unknown resource": ((500011, "invalid_resource"), {}, CONFIG),
    "700016 unknown client": ((700016, "unauthorized_client"), {}, CONFIG),
    "70011 scope": ((70011, "invalid_scope"), {}, CONFIG),
    "28002 scope": ((28002, "invalid_request"), {}, CONFIG),
    "9002313 malformed": ((9002313, "invalid_request"), {}, CONFIG),
    "901002 resource": ((901002, "invalid_request"), {}, CONFIG),
    "7000215 secret": ((7000215, "invalid_client", 401), {}, CONFIG),
    "700027 assertion": ((700027, "invalid_client", 401), {}, CONFIG),
    "700024 assertion time": ((700024, "invalid_client", 401), {}, CONFIG),
    "7000214 unauthorized": ((7000214, "unauthorized_client"), {}, CONFIG),
    "90033 transient": ((90033, "invalid_grant"), {}, LATER),
    "90024 budget": ((90024, "temporarily_unavailable", 503), {}, LATER),
    "50033 retryable": ((50033, "invalid_grant"), {}, LATER),
    "50087 transient": ((50087, "temporarily_unavailable"), {}, LATER),
    "429": ((1234567, "invalid_request", 429, {"Retry-After": "17"}), {}, LATER),
    "500": ((1234567, "server_error", 500), {}, LATER),
}


@pytest.mark.parametrize("path", ["/mail", "/calendar"], ids=["refresh", "on behalf of"])
@pytest.mark.parametrize("name", REFUSALS.keys())
def test_a_refusal_of_the_token_endpoint_has_one_reason_and_one_status(shared_entra, path, name):
    arguments, more, (reason, status) = REFUSALS[name]
    harvey = Visitor(shared_entra.proxy, shared_entra).sign_in()
    grant = "refresh_token" if path == "/mail" else "on_behalf_of"
    if grant == "on_behalf_of":
        assert harvey.call(path="/files").status == 200
    asked, complaints = len(shared_entra.authorizations), list(shared_entra.complaints)
    shared_entra.always[grant] = shared_entra.refuse(*arguments, **more)
    try:
        answer = harvey.call(path=path)
    finally:
        del shared_entra.always[grant]
    error = error_of(answer, status)
    assert error["data"]["reason"] == reason, error
    assert answer.location is None and "no-store" in answer.header("cache-control")
    assert "AADSTS" not in answer.text and "double" not in answer.text, "the provider's words stay in the log"
    if "Retry-After" in str(arguments):
        assert answer.header("retry-after") == "17"
    assert len(shared_entra.authorizations) == asked
    if reason == "consent_required":
        # The way out works, with the claims where there are some.
        give_consent(harvey, answer)
        assert ("polids" in shared_entra.authorizations[-1].get("claims", "")) == ("claims" in more)
        assert harvey.call(path=path).status == 200
    elif reason == "login_required" and grant == "refresh_token":
        harvey.sign_in()
        assert harvey.call(path=path).status == 200
    else:
        # The session is kept, and so are its other tokens.
        assert harvey.call(path="/files").status == 200
    assert shared_entra.complaints == complaints
