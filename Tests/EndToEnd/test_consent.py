"""Consent: every dialect that asks for it is understood, every caller is told in its own way, and nothing loops."""

from __future__ import annotations

import base64
import json

import pytest

from support.server import Answer
from support.upstream import JSON, as_event, refuse, result, rpc_error, tool_error, zipped
from support.visitor import LEGACY, Visitor, consent_required, error_of, give_consent, local_path, message_of

NEEDS_FILES = 'Bearer error="insufficient_scope", scope="mcp.use files.read", resource_metadata="http://127.0.0.1:9/.well-known/oauth-protected-resource"'
CLAIMS = {"access_token": {"nbf": {"essential": True, "value": "1767225600"}}}
CLAIMS_TEXT = json.dumps(CLAIMS)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def unless(provider, scope: str, refusal):
    """Refuses until the token has `scope`, then answers."""
    def judge(request):
        if scope in provider.scopes_of(request.header("authorization")):
            return Answer(200, [JSON], result(request, "the files"))
        return refusal(request)
    return judge


SCOPE_DIALECTS = {
    "insufficient_scope": refuse(403, NEEDS_FILES),
    "insufficient_scope among other challenges": refuse(403, 'Basic realm="x", Negotiate', NEEDS_FILES),
    "two challenges in one field": refuse(403, 'DPoP algs="ES256", ' + NEEDS_FILES),
    "Microsoft.Identity.Web": refuse(403, 'Bearer consentUri="https://login.example/authorize?client_id=api&scope=files.read", claims="", scopes="mcp.use,files.read", proposedAction="consent"'),
    "a JSON-RPC error": rpc_error(-32001, "consent_required", {"error": "consent_required", "scope": "files.read"}),
    "a JSON-RPC error with an array of scopes": rpc_error(1403, "consent needed", {"error": "consent_required", "scopes": ["files.read"]}),
    "a tool result": tool_error({"error": "consent_required", "scope": "files.read"}),
    "a JSON-RPC error as an event": as_event(rpc_error(-32001, "consent_required", {"error": "consent_required", "scope": "files.read"})),
    "a tool result as an event": as_event(tool_error({"error": "consent_required", "scope": "files.read"})),
    "a zipped JSON-RPC error": zipped(rpc_error(-32001, "consent_required", {"error": "consent_required", "scope": "files.read"})),
    "a zipped tool result": zipped(tool_error({"error": "consent_required", "scope": "files.read"})),
}


@pytest.mark.parametrize("refusal", SCOPE_DIALECTS.values(), ids=SCOPE_DIALECTS.keys())
def test_a_missing_scope_is_understood_when_told_by(harvey, provider, upstream, refusal):
    upstream.on("files", unless(provider, "files.read", refusal))
    answer = harvey.call("files", id=41)
    data = consent_required(answer)
    assert "files.read" in data["scopes"], data
    assert message_of(answer)["id"] == 41
    callback = give_consent(harvey, answer)
    assert callback.status == 303, callback
    asked = provider.authorizations[-1]["scope"].split()
    assert {"openid", "mcp.use", "files.read"} <= set(asked), "the union of what was granted and what is missing is asked for"
    assert len(asked) == len(set(asked))
    again = harvey.call("files", id=42)
    assert again.status == 200 and again.json()["result"]["content"][0]["text"] == "the files", again


CLAIMS_DIALECTS = {
    "base64": refuse(401, f'Bearer realm="", error="insufficient_claims", claims="{b64(CLAIMS_TEXT)}"'),
    "base64 without padding": refuse(401, f'Bearer error="insufficient_claims", claims="{b64(CLAIMS_TEXT).rstrip("=")}"'),
    "base64url": refuse(401, f'Bearer error="insufficient_claims", claims="{base64.urlsafe_b64encode(CLAIMS_TEXT.encode()).decode()}"'),
    "status 403": refuse(403, f'Bearer error="insufficient_claims", claims="{b64(CLAIMS_TEXT)}"'),
    "a second field": refuse(401, 'Basic realm="x"', f'Bearer error="insufficient_claims", claims="{b64(CLAIMS_TEXT)}"'),
    "raw JSON of Microsoft.Identity.Web": refuse(403, f'Bearer consentUri="https://login.example/a", claims="{CLAIMS_TEXT}", scopes="mcp.use", proposedAction="consent"'),
}


@pytest.mark.parametrize("refusal", CLAIMS_DIALECTS.values(), ids=CLAIMS_DIALECTS.keys())
def test_demanded_claims_reach_the_provider_when_told_by(harvey, provider, upstream, refusal):
    upstream.on("claims", refusal)
    provider.refresh_mode = "interaction_required"
    provider.claims_challenge = CLAIMS_TEXT
    answer = harvey.call("claims")
    consent_required(answer)
    provider.refresh_mode = "ok"
    give_consent(harvey, answer)
    assert json.loads(provider.authorizations[-1]["claims"])["access_token"]["nbf"] == CLAIMS["access_token"]["nbf"]


def test_step_up_asks_the_provider_for_context_and_age(harvey, provider, upstream):
    upstream.on("vault", refuse(401, 'Bearer error="insufficient_user_authentication", error_description="recent second factor, please", acr_values="phr mfa", max_age="300"'))
    answer = harvey.call("vault")
    consent_required(answer)
    provider.claims_changes = {"acr": "phr"}
    give_consent(harvey, answer)
    assert provider.authorizations[-1]["acr_values"] == "phr mfa"
    assert provider.authorizations[-1]["max_age"] == "300"


NOT_CONSENT = {
    "a plain 403": refuse(403, body=b'{"error":{"code":"Authorization_RequestDenied"}}'),
    "a JSON-RPC error of another kind": rpc_error(-32602, "bad arguments"),
    "a failed tool": tool_error({"error": "not_found"}),
    "a result that talks about consent": lambda request: Answer(200, [JSON], result(request, "the word consent_required in a text")),
    "a 404": refuse(404, body=b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}'),
}


@pytest.mark.parametrize("reply", NOT_CONSENT.values(), ids=NOT_CONSENT.keys())
def test_what_is_no_demand_for_consent_passes_unchanged(harvey, upstream, reply):
    upstream.on("other", reply)
    answer = harvey.call("other")
    expected = reply(upstream.calls("other")[-1])
    assert (answer.status, answer.body) == (expected.status, expected.body)


# How callers are told

def test_a_navigation_that_lacks_a_scope_goes_to_the_provider_and_returns_to_its_page(proxy, provider, upstream):
    one = proxy({"routes": [{"path": "/app", "upstream": f"{upstream.origin}/app", "scope": "app.use", "mcp": False}]})
    upstream.on_method("GET", lambda request: Answer(200, body=b"page") if "files.read" in provider.scopes_of(request.header("authorization"))
                       else refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')(request))
    harvey = Visitor(one, provider).sign_in()
    answer = harvey.navigate("/app/report?year=2026")
    assert answer.status == 303, answer
    if not answer.location.startswith(provider.origin):
        answer = harvey.navigate(local_path(harvey, answer.location))
    back = harvey.pass_provider(answer)
    assert {"app.use", "files.read"} <= set(provider.authorizations[-1]["scope"].split())
    assert back.location.removeprefix(one.url) == "/app/report?year=2026"
    assert harvey.navigate("/app/report?year=2026").body == b"page"


@pytest.mark.parametrize("kind", ["script", "client"])
@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "*/*", None])
def test_no_call_is_ever_redirected_to_the_provider(gateway, provider, sign_in, upstream, kind, accept):
    upstream.on("files", refuse(403, NEEDS_FILES))
    for visitor in (sign_in(), Visitor(gateway, provider)):
        answer = visitor.call("files", kind=kind, headers={"Accept": accept})
        assert answer.status < 300 or answer.status >= 400, answer
        assert answer.location is None
        assert "no-store" in answer.header("cache-control")


def test_the_refusal_keeps_the_type_of_the_request_id(harvey, upstream):
    upstream.on("files", refuse(403, NEEDS_FILES))
    for value in (7, "seven", "7", 0):
        assert harvey.call("files", id=value).json()["id"] == value
        assert type(harvey.call("files", id=value).json()["id"]) is type(value)


def test_legacy_clients_get_the_same_refusal(harvey, upstream):
    upstream.on("files", refuse(403, NEEDS_FILES))
    assert "files.read" in consent_required(harvey.call("files", era=LEGACY))["scopes"]


def test_the_upstreams_challenge_and_metadata_stay_inside(harvey, upstream):
    upstream.on("files", refuse(403, NEEDS_FILES))
    upstream.on("token", refuse(401, 'Bearer error="invalid_token", resource_metadata="http://127.0.0.1:9/.well-known/oauth-protected-resource"'))
    upstream.on("plain", refuse(403, 'Bearer realm="upstream-realm", resource_metadata="http://127.0.0.1:9/.well-known/oauth-protected-resource"'))
    for tool in ("files", "token", "plain"):
        answer = harvey.call(tool)
        text = str(answer.fields) + answer.text
        assert "127.0.0.1:9" not in text and "upstream-realm" not in text, answer


# The link

@pytest.fixture
def refused(harvey, provider, upstream):
    """Harvey's call that lacks a scope."""
    upstream.on("files", unless(provider, "files.read", refuse(403, NEEDS_FILES)))
    return harvey.call("files")


def test_the_interaction_link_is_of_this_origin_and_says_nothing(harvey, refused, provider):
    path = local_path(harvey, consent_required(refused)["interaction_url"])
    assert path.startswith("/auth/continue?i=")
    assert "files" not in path and "harvey" not in path and len(path.split("i=")[1]) >= 20


def test_the_interaction_link_works_once(harvey, refused):
    path = local_path(harvey, consent_required(refused)["interaction_url"])
    # Looking at the page changes nothing; deciding does, once.
    assert harvey.navigate(path).status == 200
    assert harvey.consent_through(path).status == 303
    for answer in (harvey.navigate(path), harvey.decide(path), harvey.decide(path, "decline")):
        assert answer.status == 410 and "agreed already" in answer.text, answer


def test_the_interaction_link_of_one_user_does_nothing_for_another(harvey, refused, sign_in, provider):
    kim = sign_in("kim")
    path = local_path(harvey, consent_required(refused)["interaction_url"])
    asked = len(provider.authorizations)
    for answer in (kim.navigate(path), kim.decide(path), kim.decide(path, "decline")):
        assert answer.status == 403 and "not for you" in answer.text, answer
    assert len(provider.authorizations) == asked
    # It was not used up by the stranger.
    assert harvey.consent_through(path).status == 303
    assert harvey.call("files").status == 200


def test_the_interaction_link_without_a_session_leads_to_nothing_but_a_sign_in(harvey, refused, visitor, provider):
    answer = visitor().navigate(local_path(harvey, consent_required(refused)["interaction_url"]))
    assert answer.status in (303, 401, 403, 404), answer
    if answer.status == 303 and answer.location.startswith(provider.origin):
        assert "files.read" not in answer.location


@pytest.mark.parametrize("handle", ["", "x", "A" * 43, "../../etc", "%00"])
def test_an_unknown_interaction_link_ends_in_a_page(harvey, handle):
    answer = harvey.navigate(f"/auth/continue?i={handle}")
    assert 400 <= answer.status < 500, answer
    assert (answer.header("content-type") or "").startswith("text/html")


# The user says no

def test_a_declined_consent_ends_in_a_page_with_a_reason(harvey, refused, provider, upstream):
    provider.denied = {"files.read"}
    asked = len(provider.authorizations)
    answer = give_consent(harvey, refused)
    assert answer.status in (200, 400, 403), answer
    assert (answer.header("content-type") or "").startswith("text/html")
    assert "http-equiv" not in answer.text.lower(), "the page must not go on by itself"
    assert len(provider.authorizations) == asked + 1
    assert harvey.signed_in and harvey.who() == "harvey"
    provider.denied = set()
    give_consent(harvey, harvey.call("files"))
    assert harvey.call("files").status == 200


def test_an_upstream_that_is_never_satisfied_is_not_asked_about_forever(harvey, provider, upstream):
    upstream.on("files", refuse(403, NEEDS_FILES))
    rounds = 0
    while rounds < 10:
        answer = harvey.call("files")
        if answer.json().get("error", {}).get("data", {}).get("reason") != "consent_required":
            break
        rounds += 1
        give_consent(harvey, answer)
    assert 1 <= rounds <= 3, "asked again and again"
    assert answer.status in (200, 403), answer
    assert answer.status != 500


def test_consent_of_one_user_changes_nothing_for_another(harvey, refused, sign_in, provider):
    kim = sign_in("kim")
    give_consent(harvey, refused)
    assert harvey.call("files").status == 200
    consent_required(kim.call("files"))


def test_a_user_who_allows_only_a_part_is_asked_again_but_never_gets_a_500(harvey, refused, provider):
    give_consent(harvey, refused, scopes=["openid", "profile", "offline_access", "mcp.use"])
    answer = harvey.call("files")
    assert answer.status < 500
    error_of(answer) if answer.status != 403 else None
