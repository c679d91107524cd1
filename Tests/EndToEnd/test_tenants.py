"""People of several Microsoft Entra tenants: who may sign in, at the first time, at a refresh and after consent, and who is who."""

from __future__ import annotations

import pytest

from processes import wait_until
from support import http
from support.entra import TENANTS, EntraDouble, TenantKey
from support.provider import CLIENT_ID, SigningKey
from support.upstream import refuse
from support.visitor import LEGACY, Visitor, consent_required, error_of, login_required

FILES = "api://files/read"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"


def tokens_of(entra, user: str) -> list[str]:
    return [token for token in entra.issued if token.startswith(f"CANARY-rt~{user}~")]


def refresh_soon(entra) -> None:
    entra.access_token_seconds = 1
    entra.refresh_brings_id_token = True


# Refreshes

FORGERIES_AT_REFRESH = {
    "a tenant that is not listed": lambda entra, claims: claims | {"tid": TENANTS["saul"], "iss": entra.issuer_of("saul")},
    "the template's issuer of another tenant": lambda entra, claims: claims | {"iss": entra.issuer_of("kim")},
    "no tenant": lambda entra, claims: {name: value for name, value in claims.items() if name != "tid"},
    "another listed tenant": lambda entra, claims: claims | {"tid": TENANTS["kim"], "iss": entra.issuer_of("kim")},
}


@pytest.mark.parametrize("forge", FORGERIES_AT_REFRESH.values(), ids=FORGERIES_AT_REFRESH.keys())
def test_a_refreshed_id_token_must_fit_its_tenant_and_be_the_same_persons(entra_proxy, entra, upstream, forge):
    one = entra_proxy({"oidc": {"allowed_tenants": [TENANTS["harvey"], TENANTS["kim"]]},
                       "routes": [{"path": "/files", "upstream": upstream.url, "scope": FILES}]})
    refresh_soon(entra)
    harvey = Visitor(one, entra).sign_in()
    assert harvey.call(path="/files").status == 200
    any_tenant = SigningKey.rsa("any")
    entra.keys.append(TenantKey("any", any_tenant.private, issuer=f"{entra.origin}/{{tenantid}}/v2.0"))
    entra.mutate = lambda header, claims: entra.sign(header | {"kid": "any"}, forge(entra, claims), entra.keys[-1])
    wait_until(lambda: harvey.call(path="/files").status != 200, "the refreshed token to be refused")
    assert entra.count["refresh_token"] >= 1
    tokens = [token for token in entra.issued if token.count(".") == 2]
    sent = {(request.header("authorization") or "").removeprefix("Bearer ") for request in upstream.requests}
    assert sent <= set(tokens) and {EntraDouble.claims_of(request)["tid"] for request in upstream.requests} == {TENANTS["harvey"]}


def test_a_refreshed_id_token_of_the_same_person_is_taken(entra_proxy, entra, upstream):
    one = entra_proxy({"oidc": {"allowed_tenants": [TENANTS["harvey"]]}, "routes": [{"path": "/files", "upstream": upstream.url, "scope": FILES}]})
    refresh_soon(entra)
    harvey = Visitor(one, entra).sign_in()
    wait_until(lambda: harvey.call(path="/files").status == 200 and entra.count["refresh_token"] >= 2, "two refreshes")
    assert harvey.signed_in


def test_sessions_of_a_tenant_that_was_taken_off_the_list_are_of_no_use(entra_proxy, entra, upstream):
    one = entra_proxy({"oidc": {"allowed_tenants": [TENANTS["harvey"], TENANTS["kim"]]}})
    harvey, kim = (Visitor(one, entra, user).sign_in() for user in ("harvey", "kim"))
    assert one.stop() == 0
    one.config["oidc"]["allowed_tenants"] = [TENANTS["harvey"]]
    one.start()
    one.ended = False
    upstream.forget()
    calls = len(entra.token_requests)
    login_required(kim.call(path="/files"))
    assert not kim.signed_in and upstream.requests == [] and len(entra.token_requests) == calls
    assert harvey.call(path="/files").status == 200 and EntraDouble.user_of(upstream.last) == "harvey"
    back = kim.come_back(entra.approve(kim.start_sign_in(), "kim"))
    assert 400 <= back.status < 500 and not kim.signed_in


# Consent

@pytest.mark.parametrize("who, listed", [("kim", True), ("saul", False)], ids=["a listed tenant's", "an unlisted tenant's"])
def test_a_consent_that_another_tenants_person_gives_brings_nothing_to_the_asker(entra_proxy, entra, upstream, who, listed):
    """Both have one object id, one subject and one address: the tenant alone tells them apart."""
    one = entra_proxy({"oidc": {"allowed_tenants": [TENANTS["harvey"], TENANTS["kim"]]}})
    entra.claims_changes = {"oid": "the-same", "sub": "the-same", "email": "us@example.test", "preferred_username": "us@example.test"}
    upstream.on("send", refuse(403, 'Bearer error="insufficient_scope", scope="api://files/send"'))
    harvey = Visitor(one, entra).sign_in()
    mcp = harvey.open_session("/files")
    asked = consent_required(harvey.call("send", path="/files"))
    before = dict(harvey.cookies)
    begun = harvey.decide(asked["interaction_url"])
    back = harvey.come_back(entra.approve(begun.location, who))
    upstream.forget()
    if listed:
        # A new session, and the asker's is over: it was this browser's.
        assert back.status == 303 and harvey.signed_in
        assert harvey.call(path="/files").status == 200 and EntraDouble.user_of(upstream.last) == who
        error_of(harvey.rpc("tools/list", path="/files", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)
        page = harvey.navigate("/auth/").text
        assert "api://files/send" not in page.split("When you allowed more")[-1] or "When you allowed more" not in page
        old = Visitor(one, entra)
        old.cookies = before
        login_required(old.call(path="/files"))
    else:
        assert 400 <= back.status < 500, back
        assert harvey.call(path="/files").status == 200 and EntraDouble.user_of(upstream.last) == "harvey"
        assert "coatcheck_consents_granted_total 0" in http.request(one.admin_url, "GET", "/metrics").text.splitlines()


# Who is who

def test_an_address_identifies_nobody(entra_proxy, entra, upstream):
    """Harvey left, and Kim got his address: she is another person all the same."""
    one = entra_proxy()
    entra.claims_changes = {"email": "boss@example.test", "preferred_username": "boss@example.test", "upn": "boss@example.test", "name": "The Boss"}
    harvey, kim = (Visitor(one, entra, user).sign_in() for user in ("harvey", "kim"))
    assert harvey.session()["name"] == kim.session()["name"]
    upstream.on("send", refuse(403, 'Bearer error="insufficient_scope", scope="api://files/send"'))
    link = consent_required(harvey.call("send", path="/files"))["interaction_url"]
    assert kim.open_link(link).status == 403
    mcp = harvey.open_session("/files")
    error_of(kim.rpc("tools/list", path="/files", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)
    assert harvey.consent_through(link).status == 303
    assert "When you allowed more" in harvey.navigate("/auth/").text and "When you allowed more" not in kim.navigate("/auth/").text


def test_signing_in_under_the_same_address_carries_nothing_over(entra_proxy, entra, upstream):
    one = entra_proxy()
    entra.claims_changes = {"email": "boss@example.test", "preferred_username": "boss@example.test", "sub": "the-same"}
    browser = Visitor(one, entra).sign_in()
    mcp = browser.open_session("/files")
    browser.user = "kim"
    browser.sign_in()
    upstream.forget()
    assert browser.call(path="/files").status == 200 and EntraDouble.claims_of(upstream.last)["tid"] == TENANTS["kim"]
    error_of(browser.rpc("tools/list", path="/files", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)
    used = {form.get("refresh_token") for form in entra.token_requests}
    assert not used & set(tokens_of(entra, "harvey"))


def test_one_person_is_the_same_under_a_new_name_and_address(entra_proxy, entra, upstream):
    one = entra_proxy()
    harvey = Visitor(one, entra).sign_in()
    mcp = harvey.open_session("/files")
    entra.claims_changes = {"email": "new@example.test", "preferred_username": "new@example.test", "name": "New Name", "sub": "pairwise-of-another-app"}
    again = Visitor(one, entra).sign_in()
    assert again.rpc("tools/list", path="/files", era=LEGACY, headers={"Mcp-Session-Id": mcp}).status == 200


def test_an_id_token_without_an_object_id_is_nobody_who_has_one(entra_proxy, entra):
    one = entra_proxy()
    harvey = Visitor(one, entra).sign_in()
    mcp = harvey.open_session("/files")
    entra.claims_changes = {"oid": None, "sub": "object-of-harvey"}
    other = Visitor(one, entra).sign_in()
    error_of(other.rpc("tools/list", path="/files", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)


# Personal accounts, and providers for single tenants

@pytest.mark.parametrize("tenant, allowed, admitted", [("common", [], True), ("organizations", [], False), ("organizations", [CONSUMERS], True),
                                                       ("common", [TENANTS["kim"]], False)])
def test_personal_accounts_sign_in_where_they_are_wanted(entra_proxy, entra, tenant, allowed, admitted):
    entra.tenant = tenant
    issuer = f"{entra.origin}/{CONSUMERS}/v2.0"
    entra.claims_changes = {"tid": CONSUMERS, "iss": issuer}
    entra.key_of("harvey").issuer = issuer
    visitor = Visitor(entra_proxy({"oidc": {"issuer": entra.issuer, "allowed_tenants": allowed}}), entra)
    back = visitor.come_back(entra.approve(visitor.start_sign_in(), "harvey"))
    assert (back.status == 303) is admitted and visitor.signed_in is admitted, back


def test_each_tenant_can_be_a_provider_of_its_own(entra_proxy, entra, upstream, background):
    """One registration, twice in the list, with the issuers of two tenants: a route for each."""
    other = EntraDouble(background).start()
    try:
        for double, user in ((entra, "harvey"), (other, "kim")):
            double.tenant = TENANTS[user]
            double.metadata_changes = {"issuer": double.issuer}
        one = entra_proxy({
            "oidc": [{"name": user, "issuer": double.issuer, "profile": "entra", "client_id": CLIENT_ID, "client_secret_file": "client_secret"}
                     for double, user in ((entra, "harvey"), (other, "kim"))],
            "routes": [{"path": f"/{user}", "upstream": upstream.url, "scope": FILES, "provider": user} for user in ("harvey", "kim")]})
        for double, user, stranger in ((entra, "harvey", "kim"), (other, "kim", "harvey")):
            visitor = Visitor(one, double, user)
            answer = visitor.navigate(f"/auth/login?provider={user}&return_to=%2F")
            # Somebody of another tenant of the same authority is turned away.
            assert 400 <= visitor.come_back(double.approve(answer.location, stranger)).status < 500 and not visitor.signed_in
            answer = visitor.navigate(f"/auth/login?provider={user}&return_to=%2F")
            assert visitor.pass_provider(answer).status == 303
            assert visitor.call(path=f"/{user}").status == 200
            assert EntraDouble.claims_of(upstream.last)["tid"] == TENANTS[user]
            login_required(visitor.call(path=f"/{stranger}"))
    finally:
        other.stop()


def test_another_authority_does_not_speak_for_the_people_of_a_tenant(entra_proxy, entra, upstream, background):
    """A second provider of the same kind that writes the first one's tenant and object id into its tokens."""
    other = EntraDouble(background).start()
    try:
        one = entra_proxy({
            "oidc": [{"name": name, "issuer": double.issuer, "profile": "entra", "client_id": CLIENT_ID, "client_secret_file": "client_secret"}
                     for double, name in ((entra, "first"), (other, "second"))],
            "routes": [{"path": "/files", "upstream": upstream.url, "scope": FILES}]})

        def sign_in(name: str, double: EntraDouble) -> Visitor:
            visitor = Visitor(one, double)
            assert visitor.pass_provider(visitor.navigate(f"/auth/login?provider={name}&return_to=%2F")).status == 303
            return visitor
        harvey, forger = sign_in("first", entra), sign_in("second", other)
        assert harvey.session()["sub"] == forger.session()["sub"]
        mcp = harvey.open_session("/files")
        error_of(forger.rpc("tools/list", path="/files", era=LEGACY, headers={"Mcp-Session-Id": mcp}), 404)
    finally:
        other.stop()
