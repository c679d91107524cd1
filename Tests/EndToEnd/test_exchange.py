"""Tokens had in exchange: on behalf of the user (Microsoft Entra ID) and RFC 8693; and how the proxy proves who it is when it asks."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from conftest import test_config
from processes import wait_until
from proxy import Proxy
from support.authority import Authority
from support.entra import ON_BEHALF_OF, OWN_SCOPE, EntraDouble
from support.provider import CLIENT_ID, CLIENT_SECRET, TOKEN_EXCHANGE, TOKEN_TYPE, FakeProvider
from support.server import Answer
from support.upstream import JSON, EchoUpstream, message, refuse, result
from support.visitor import Visitor, consent_required, error_of, give_consent, login_required, tool_call

CALENDAR = "api://calendar/read"
BODY = "application/x-www-form-urlencoded"


def interleaved(visitors: dict[str, Visitor], path: str, times: int) -> None:
    """Calls of all visitors, many at once; each names its caller in the arguments."""
    def calls(user: str) -> None:
        with visitors[user].connect() as connection:
            headers, body = tool_call("whoami", {"caller": user})
            for _ in range(times):
                assert connection.request("POST", path, visitors[user].headers("script", headers), body).status == 200

    with ThreadPoolExecutor(4) as pool:
        for work in [pool.submit(calls, user) for user in [*visitors, *visitors]]:
            work.result()


def caller_of(request) -> str:
    return message(request)["params"]["arguments"]["caller"]


# On behalf of

@pytest.fixture
def behalf(entra_proxy, entra):
    """Users of a proxy before an API that is called on their behalf; they and their organisation have agreed."""
    one = entra_proxy({"tokens": {"refresh_before_expiry": "1s"}})
    for user in ("harvey", "kim"):
        entra.consents[user] |= {CALENDAR, "api://tasks/read"}
    make = lambda user="harvey": Visitor(one, entra, user).sign_in()
    make.proxy = one
    return make


def test_on_behalf_of_sends_exactly_its_fields(behalf, entra, upstream):
    harvey = behalf()
    assert harvey.call(path="/calendar").status == 200
    form = entra.token_requests[-1]
    assert form == {"grant_type": ON_BEHALF_OF, "assertion": form["assertion"], "requested_token_use": "on_behalf_of", "scope": CALENDAR}
    assertion = jwt.decode(form["assertion"], options={"verify_signature": False})
    assert assertion["aud"] == CLIENT_ID and assertion["scp"] == "access", "the user's token for this client, and no ID token"
    assert entra.token_headers[-1].header("content-type") == BODY
    token = EntraDouble.claims_of(upstream.last)
    assert token["aud"] == "api://calendar" and token["behalf"] is True
    assert entra.complaints == []


def test_on_behalf_of_two_users_interleaved_each_upstream_request_is_its_users_own(behalf, entra, upstream):
    interleaved({"harvey": behalf("harvey"), "kim": behalf("kim")}, "/calendar", 50)
    assert len(upstream.requests) == 200
    for request in upstream.requests:
        token = EntraDouble.claims_of(request)
        assert token["oid"] == f"object-of-{caller_of(request)}" and token["aud"] == "api://calendar" and token["behalf"] is True
    assert entra.count["on_behalf_of"] == 2, "one exchange a user"
    assert entra.complaints == []


def test_fifty_calls_at_once_cause_one_exchange(behalf, entra, upstream):
    harvey = behalf()
    entra.exchange_delay = 0.3
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: harvey.call(path="/calendar").status, range(50)))
    assert statuses == [200] * 50
    assert entra.count["on_behalf_of"] == 1


def test_an_exchanged_token_is_used_until_it_ends(behalf, entra):
    entra.exchange_seconds = 3
    harvey = behalf()
    for _ in range(5):
        assert harvey.call(path="/calendar").status == 200
    assert entra.count["on_behalf_of"] == 1
    wait_until(lambda: harvey.call(path="/calendar").status == 200 and entra.count["on_behalf_of"] >= 2, "a second exchange", 5, every=0.1)
    # The user's own token lives on: it is exchanged again, not renewed.
    assert entra.count["refresh_token"] == 1


def test_an_exchanged_token_never_outlives_the_token_it_was_made_from(behalf, entra, upstream):
    harvey = behalf()
    entra.access_token_seconds, entra.exchange_seconds = 3, 3600
    late = []

    def judge(request):
        late.append(time.time() > EntraDouble.claims_of(request)["until"])
        return Answer(200, [JSON], result(request, "x"))

    upstream.on("whoami", judge)
    assert harvey.call(path="/calendar").status == 200
    first = entra.token_requests[-1]["assertion"]
    assert jwt.decode(first, options={"verify_signature": False})["exp"] - time.time() < 3.5
    wait_until(lambda: harvey.call(path="/calendar").status == 200 and entra.token_requests[-1].get("assertion") not in (None, first),
               "an exchange of a newer token", 6, every=0.1)
    assert not any(late)


def test_a_stale_assertion_is_renewed_once(behalf, entra):
    harvey = behalf()
    assert harvey.call(path="/calendar").status == 200
    entra.next_answers["on_behalf_of"].append(entra.refuse(50013))
    assert harvey.call(path="/tasks").status == 200
    used, stale, renewed = [form["assertion"] for form in entra.token_requests if form["grant_type"] == ON_BEHALF_OF]
    assert used == stale != renewed, "both routes exchange the same token"
    assert entra.count["refresh_token"] == 2
    # The token that the first route has is still good.
    assert harvey.call(path="/calendar").status == 200 and entra.count["on_behalf_of"] == 3


def test_an_assertion_that_stays_stale_ends_in_a_sign_in_for_that_route_alone(behalf, entra, upstream):
    harvey = behalf()
    entra.always["on_behalf_of"] = entra.refuse(50013)
    for _ in range(5):
        login_required(harvey.call(path="/calendar"))
    assert entra.count["on_behalf_of"] == 1, "a token fetched for this very call is not renewed, and the refusal is remembered"
    assert harvey.call(path="/files").status == 200 and harvey.call(path="/mail").status == 200 and harvey.signed_in
    assert {EntraDouble.claims_of(request)["aud"] for request in upstream.requests} == {"api://files"}
    entra.always.clear()
    harvey.sign_in()
    assert harvey.call(path="/calendar").status == 200


def test_a_claims_challenge_passes_the_kept_token_by(behalf, entra, upstream):
    harvey = behalf()
    text = base64.b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}').decode()

    def judge(request):
        if "nbf" in EntraDouble.claims_of(request)["met"]:
            return Answer(200, [JSON], result(request, "met"))
        return refuse(401, f'Bearer error="insufficient_claims", claims="{text}"')(request)

    assert harvey.call(path="/calendar").status == 200
    upstream.on("report", judge)
    assert harvey.call("report", path="/calendar").json()["result"]["content"][0]["text"] == "met"
    form = entra.token_requests[-1]
    assert form["grant_type"] == ON_BEHALF_OF
    assert json.loads(form["claims"])["access_token"] == {"xms_cc": {"values": ["cp1"]}, "nbf": {"essential": True, "value": "1767225600"}}
    assert entra.count["on_behalf_of"] == 2


def test_the_exchanges_demand_for_more_proof_reaches_the_user_with_its_claims(behalf, entra):
    harvey = behalf()
    entra.policies["api://calendar"] = "c0ffee00-0000-4000-8000-000000000002"
    answer = harvey.call(path="/calendar")
    consent_required(answer)
    give_consent(harvey, answer)
    assert json.loads(entra.authorizations[-1]["claims"])["access_token"]["polids"]["Values"] == ["c0ffee00-0000-4000-8000-000000000002"]
    assert harvey.call(path="/calendar").status == 200
    assert entra.complaints == []


def test_a_consent_that_the_exchange_lacks_is_asked_for_with_the_routes_scopes(behalf, entra, upstream):
    harvey, kim = behalf("harvey"), behalf("kim")
    entra.consents["harvey"].discard(CALENDAR)
    answer = harvey.call(path="/calendar")
    assert consent_required(answer)["scopes"] == [CALENDAR]
    assert not upstream.requests, "nothing went upstream"
    assert kim.call(path="/calendar").status == 200
    give_consent(harvey, answer)
    assert {OWN_SCOPE, CALENDAR} <= set(entra.authorizations[-1]["scope"].split())
    assert harvey.call(path="/calendar").status == 200
    # The token that came of the walk is this client's own: it is exchanged, never passed on.
    assert {EntraDouble.claims_of(request)["aud"] for request in upstream.requests} == {"api://calendar"}
    assert entra.complaints == []


# RFC 8693

EXCHANGE = {"form": "token_exchange", "subject_scope": "proxy.access", "audience": ["files-api", "archive"]}


def exchanging(upstream, **changes) -> dict:
    route = {"path": "/files", "upstream": upstream.url, "scope": "files.read", "resource": "https://files.example/api", "exchange": EXCHANGE | changes}
    archive = {"path": "/archive", "upstream": upstream.url, "scope": "archive.read", "exchange": EXCHANGE}
    return {"routes": [route, archive, {"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}]}


@pytest.fixture
def exchange(proxy, provider, upstream):
    """Users of a proxy with routes whose tokens are exchanged, and one whose is not."""
    one = proxy(exchanging(upstream))
    make = lambda user="harvey": Visitor(one, provider, user).sign_in()
    make.proxy = one
    return make


def targets_of(request) -> list[str]:
    return FakeProvider.resource_of(request.header("authorization")).split()


def is_exchanged(request) -> bool:
    return request.header("authorization").startswith("Bearer CANARY-xt~")


def test_token_exchange_sends_exactly_its_fields(exchange, provider, upstream):
    assert exchange().call(path="/files").status == 200
    pairs = provider.exchanges[-1]
    assert dict(pairs)["subject_token"].startswith("CANARY-at~harvey~")
    assert [(name, value) for name, value in pairs if name != "subject_token"] == [
        ("grant_type", TOKEN_EXCHANGE), ("subject_token_type", f"{TOKEN_TYPE}access_token"), ("audience", "files-api"), ("audience", "archive"),
        ("resource", "https://files.example/api"), ("scope", "files.read")]
    assert "proxy.access" in FakeProvider.scopes_of(dict(pairs)["subject_token"])
    assert is_exchanged(upstream.last) and targets_of(upstream.last) == ["files-api", "archive", "https://files.example/api"]


def test_routes_with_and_without_exchange_keep_their_tokens_apart(exchange, provider, upstream):
    harvey = exchange()
    for _ in range(2):
        harvey.call(path="/files")
        assert is_exchanged(upstream.last)
        harvey.call(path="/mcp")
        assert not is_exchanged(upstream.last)
        assert "mcp.use" in FakeProvider.scopes_of(upstream.last.header("authorization"))
    assert provider.count["exchange"] == 1


def test_two_users_interleaved_each_upstream_request_carries_its_users_exchanged_token(exchange, provider, upstream):
    interleaved({"harvey": exchange("harvey"), "kim": exchange("kim")}, "/files", 50)
    assert len(upstream.requests) == 200
    for request in upstream.requests:
        assert is_exchanged(request) and upstream.user_of(request) == caller_of(request)
    assert provider.count["exchange"] == 2


def test_an_id_token_is_exchanged_where_that_is_configured_and_the_sign_ins_own_token_goes_nowhere(proxy, provider, upstream):
    one = proxy({"routes": [{"path": "/files", "upstream": upstream.url, "scope": "files.read",
                             "exchange": {"form": "token_exchange", "subject_token": "id_token", "audience": ["files-api"]}}]})
    harvey = Visitor(one, provider).sign_in()
    assert harvey.call(path="/files").status == 200
    sent = dict(provider.exchanges[-1])
    assert sent["subject_token_type"] == f"{TOKEN_TYPE}id_token"
    assert jwt.decode(sent["subject_token"], options={"verify_signature": False})["sub"] == "subject-of-harvey"
    assert [is_exchanged(request) for request in upstream.requests] == [True]


def test_the_actors_token_is_read_for_each_exchange(proxy, provider, upstream, tmp_path):
    actor = tmp_path / "actor"
    actor.write_text("CANARY-actor-1\n")
    one = proxy(exchanging(upstream, actor_token_file=str(actor)))
    for user, token in (("harvey", "CANARY-actor-1"), ("kim", "CANARY-actor-2")):
        actor.write_text(f"{token}\n")
        assert Visitor(one, provider, user).sign_in().call(path="/files").status == 200
        assert (dict(provider.exchanges[-1])["actor_token"], dict(provider.exchanges[-1])["actor_token_type"]) == (token, f"{TOKEN_TYPE}access_token")
    actor.unlink()
    saul = Visitor(one, provider, "saul").sign_in()
    assert error_of(saul.call(path="/files"), 502)["data"]["reason"] == "provider_misconfigured"
    assert saul.call(path="/mcp").status == 200
    wait_until(lambda: "actor" in one.output(), "the log to say what is wrong")


MODES = {
    "N_A": ("provider_misconfigured", 502),
    "no issued_token_type": ("provider_misconfigured", 502),
    "an ID token": ("provider_misconfigured", 502),
    "a refresh token": ("provider_misconfigured", 502),
    "invalid_target": ("provider_misconfigured", 502),
    "invalid_scope": ("provider_misconfigured", 502),
    "invalid_client": ("provider_misconfigured", 502),
    "consent_required": ("consent_required", 403),
    "interaction_required": ("consent_required", 403),
    "claims": ("consent_required", 403),
    "access_denied": ("consent_blocked", 403),
    "invalid_request": ("login_required", 401),
    "invalid_grant": ("login_required", 401),
    "503": ("provider_unavailable", 503),
}


@pytest.fixture(scope="module")
def shared_exchange(binary, background, tmp_path_factory):
    provider, upstream = FakeProvider(background).start(), EchoUpstream(background).start()
    one = Proxy(tmp_path_factory.mktemp("exchange"), test_config(provider, upstream, exchanging(upstream)), CLIENT_SECRET, binary=binary).start()
    make = lambda user="harvey": Visitor(one, provider, user).sign_in()
    make.provider, make.upstream = provider, upstream
    yield make
    code = one.stop()
    provider.stop()
    upstream.stop()
    assert code == 0 and "CANARY" not in one.output()


@pytest.mark.parametrize("mode", MODES.keys())
def test_what_an_exchange_answers_has_one_reason_and_leaves_other_routes_alone(shared_exchange, mode):
    provider, upstream = shared_exchange.provider, shared_exchange.upstream
    harvey = shared_exchange()
    upstream.forget()
    provider.exchange_mode = mode
    try:
        answers = [harvey.call(path="/files") for _ in range(3)]
    finally:
        provider.exchange_mode = "ok"
    reason, status = MODES[mode]
    for answer in answers:
        error = error_of(answer, status)
        assert error["data"]["reason"] == reason, error
        assert "by the double" not in answer.text
    if mode == "consent_required":
        assert consent_required(answers[-1])["scopes"] == ["files.read"]
    assert not upstream.requests, "no token of any kind went upstream"
    assert harvey.call(path="/mcp").status == 200 and not is_exchanged(upstream.last)
    assert harvey.signed_in


def test_an_issued_jwt_is_as_good_as_an_access_token(shared_exchange):
    shared_exchange.provider.exchange_modes.append("jwt")
    assert shared_exchange().call(path="/files").status == 200
    assert is_exchanged(shared_exchange.upstream.last)


@pytest.mark.parametrize("mode", ["invalid_request", "invalid_grant"])
def test_a_refused_subject_is_renewed_once_and_the_refresh_token_lives_on(shared_exchange, mode):
    provider = shared_exchange.provider
    harvey = shared_exchange()
    assert harvey.call(path="/archive").status == 200 and harvey.call(path="/mcp").status == 200
    provider.exchange_modes.append(mode)
    before, exchanges = provider.count["refresh_token"], provider.count["exchange"]
    assert harvey.call(path="/files").status == 200
    assert provider.count["exchange"] == exchanges + 2
    assert provider.count["refresh_token"] == before + 1
    used, refused, renewed = [dict(pairs)["subject_token"] for pairs in provider.exchanges[-3:]]
    assert used == refused != renewed
    assert harvey.call(path="/archive").status == 200 and harvey.call(path="/mcp").status == 200


def test_a_refusal_for_good_asks_for_a_sign_in_on_that_route_and_the_provider_is_not_asked_again_and_again(shared_exchange):
    provider = shared_exchange.provider
    harvey, kim = shared_exchange("harvey"), shared_exchange("kim")
    assert kim.call(path="/files").status == 200
    provider.exchange_mode = "invalid_request"
    try:
        before = provider.count["exchange"]
        for _ in range(10):
            login_required(harvey.call(path="/files"))
        assert provider.count["exchange"] - before <= 2
        # Whoever has a token already, and every other route, goes on.
        assert kim.call(path="/files").status == 200 and harvey.call(path="/mcp").status == 200
    finally:
        provider.exchange_mode = "ok"
    harvey.sign_in()
    assert harvey.call(path="/files").status == 200


def test_after_the_consent_that_an_exchange_lacked_the_call_goes_through(exchange, provider, upstream):
    provider.exchange_wants_consent = True
    harvey = exchange()
    answer = harvey.call(path="/files")
    assert consent_required(answer)["scopes"] == ["files.read"]
    give_consent(harvey, answer)
    asked = provider.authorizations[-1]
    assert {"proxy.access", "files.read"} <= set(asked["scope"].split())
    assert harvey.call(path="/files").status == 200
    assert [is_exchanged(request) for request in upstream.requests] == [True]
    assert provider.count["exchange"] == 2


def test_a_declined_consent_of_an_exchange_sends_nothing_upstream(exchange, provider, upstream):
    provider.exchange_wants_consent = True
    provider.denied = {"files.read"}
    harvey = exchange()
    assert give_consent(harvey, harvey.call(path="/files")).status == 403
    consent_required(harvey.call(path="/files"))
    assert not upstream.requests and harvey.call(path="/mcp").status == 200


def test_a_scope_that_the_upstream_misses_is_asked_for_and_exchanged(exchange, provider, upstream):
    harvey = exchange()
    upstream.on("write", lambda request: Answer(200, [JSON], result(request, "written")) if "files.write" in provider.scopes_of(request.header("authorization"))
                else refuse(403, 'Bearer error="insufficient_scope", scope="files.write"')(request))
    answer = harvey.call("write", path="/files")
    give_consent(harvey, answer)
    assert harvey.call("write", path="/files").json()["result"]["content"][0]["text"] == "written"
    assert dict(provider.exchanges[-1])["scope"].split() == ["files.read", "files.write"]
    assert all(is_exchanged(request) for request in upstream.requests)


def test_signing_out_and_in_as_somebody_else_reuses_no_exchanged_token(exchange, provider, upstream):
    harvey = exchange("harvey")
    assert harvey.call(path="/files").status == 200
    harvey.sign_out()
    harvey.user = "kim"
    harvey.sign_in()
    assert harvey.call(path="/files").status == 200
    assert upstream.user_of(upstream.last) == "kim" and provider.count["exchange"] == 2


def test_no_exchanged_token_reaches_the_browser_or_the_store(exchange, provider):
    harvey = exchange()
    seen = [harvey.call(path="/files"), harvey.request("GET", "/auth/session"), harvey.navigate("/auth/")]
    tokens = [secret for secret in provider.issued if secret.startswith("CANARY-xt")]
    assert tokens
    for answer in seen:
        assert not [token for token in tokens if token in answer.text + str(answer.fields)]
    content = b"".join(file.read_bytes() for file in exchange.proxy.directory.glob("sessions.db*"))
    assert not [token for token in tokens if token.encode() in content]


# How the proxy proves who it is

def asserted(provider: FakeProvider) -> list[str]:
    return [form["client_assertion"] for form in provider.token_requests]


@pytest.fixture
def federated(proxy, provider, upstream, tmp_path):
    """Starts a proxy that proves itself with what a platform writes into a file."""
    file = tmp_path / "federated-token"
    file.write_text("CANARY.platform.1\n")
    provider.issued += ["CANARY.platform.1", "CANARY.platform.2"]
    provider.check_client = lambda request: (
        request.form.get("client_id") == CLIENT_ID and request.header("authorization") is None and "client_secret" not in request.form
        and request.form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        and request.form.get("client_assertion") == file.read_text().strip())

    def start(**oidc) -> Proxy:
        return proxy({"oidc": {"token_endpoint_auth_method": "workload_identity", **oidc}, **exchanging(upstream)})

    start.file = file
    return start


def test_a_platforms_assertion_is_read_again_after_it_was_rotated(federated, provider):
    one = federated(assertion_file=str(federated.file))
    harvey = Visitor(one, provider).sign_in()
    federated.file.write_text("CANARY.platform.2\n")
    assert harvey.call(path="/mcp").status == 200 and harvey.call(path="/files").status == 200
    assert asserted(provider) == ["CANARY.platform.1"] + ["CANARY.platform.2"] * (len(provider.token_requests) - 1)
    assert TOKEN_EXCHANGE in [form["grant_type"] for form in provider.token_requests], "an exchange is authenticated the same way"


def test_the_platform_names_the_file_in_the_environment(federated, provider, monkeypatch):
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(federated.file))
    assert Visitor(federated(), provider).sign_in().call(path="/mcp").status == 200
    assert set(asserted(provider)) == {"CANARY.platform.1"}


def test_an_assertion_that_vanished_is_the_operators_fault_and_ends_no_session(federated, provider):
    one = federated(assertion_file=str(federated.file))
    harvey = Visitor(one, provider).sign_in()
    federated.file.unlink()
    assert error_of(harvey.call(path="/mcp"), 502)["data"]["reason"] == "provider_misconfigured"
    wait_until(lambda: str(federated.file) in one.output(), "the log to name the file")
    assert harvey.signed_in


@pytest.mark.parametrize("content", [None, "", "two\nlines\n"], ids=["missing", "empty", "two lines"])
def test_a_start_without_a_usable_assertion_says_what_is_wrong(federated, content):
    if content is None:
        federated.file.unlink()
    else:
        federated.file.write_text(content)
    with pytest.raises(RuntimeError) as failure:
        federated(assertion_file=str(federated.file))
    assert "assertion_file" in str(failure.value) and str(federated.file) in str(failure.value)


def test_a_start_without_any_assertion_names_the_key_and_the_variable(federated, monkeypatch):
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE", raising=False)
    with pytest.raises(RuntimeError) as failure:
        federated()
    assert "assertion_file" in str(failure.value) and "AZURE_FEDERATED_TOKEN_FILE" in str(failure.value)


@pytest.fixture
def signing_key(tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coatcheck")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1)).sign(key, SHA256()))
    (tmp_path / "client.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "client.key").chmod(0o600)
    (tmp_path / "client.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    return key.public_key(), certificate, {"token_endpoint_auth_method": "private_key_jwt", "private_key_file": str(tmp_path / "client.key"),
                                           "certificate_file": str(tmp_path / "client.crt"), "signing_alg": "PS256"}


def test_a_signed_assertion_names_its_certificate_is_short_lived_and_never_used_twice(proxy, provider, upstream, signing_key):
    public, certificate, oidc = signing_key
    seen: list[dict] = []

    def check(request) -> bool:
        form = request.form
        header = jwt.get_unverified_header(form["client_assertion"])
        assert header == {"alg": "PS256", "typ": "JWT", "x5t#S256": base64.urlsafe_b64encode(
            hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()).rstrip(b"=").decode()}
        seen.append(jwt.decode(form["client_assertion"], public, algorithms=["PS256"], audience=f"{provider.origin}/token",
                               options={"require": ["exp", "iat", "nbf", "jti", "iss", "sub"]}))
        return form["client_assertion_type"].endswith(":jwt-bearer") and request.header("authorization") is None and "client_secret" not in form

    provider.check_client = check
    one = proxy({"oidc": oidc, **exchanging(upstream)})
    for user in ("harvey", "kim"):
        visitor = Visitor(one, provider, user).sign_in()
        assert visitor.call(path="/files").status == 200 and visitor.call(path="/mcp").status == 200
    assert len(seen) == len(provider.token_requests) >= 6
    assert {(claims["iss"], claims["sub"]) for claims in seen} == {(CLIENT_ID, CLIENT_ID)}
    assert len({claims["jti"] for claims in seen}) == len(seen)
    for claims in seen:
        assert claims["nbf"] == claims["iat"] and 0 < claims["exp"] - claims["iat"] <= 600
        assert abs(claims["iat"] - time.time()) < 30


# Certificates (RFC 8705)

class CertifyingProvider(FakeProvider):
    """Its token endpoint is at a port of its own, where clients have to show a certificate; `expected` is the name in it."""

    def __init__(self, background, authority: Authority):
        super().__init__(background)
        certificate, key = authority.issue("provider", "127.0.0.1")
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(certificate, key)
        self.demanding = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
        self.demanding.load_cert_chain(certificate, key)
        self.demanding.verify_mode = ssl.CERT_REQUIRED
        self.expected = "coatcheck"
        self.shown: list[str] = []
        self.check_client = lambda request: self.shown[-1] == self.expected and request.form.get("client_id") == CLIENT_ID and (
            not {"client_secret", "client_assertion"} & request.form.keys() and request.header("authorization") is None)

    def start(self, port: int = 0) -> "CertifyingProvider":
        super().start(port)
        self._alias = self.background.run(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.demanding))
        alias = f"https://127.0.0.1:{self._alias.sockets[0].getsockname()[1]}"
        self.metadata_changes = {"mtls_endpoint_aliases": {"token_endpoint": f"{alias}/token", "revocation_endpoint": f"{alias}/revoke"},
                                 "tls_client_certificate_bound_access_tokens": False}
        return self

    def stop(self) -> None:
        self.background.loop.call_soon_threadsafe(self._alias.close)
        super().stop()

    async def handle(self, request, wire):
        if request.path in ("/token", "/revoke"):
            shown = wire.writer.get_extra_info("peercert")
            names = dict(pair for part in shown.get("subject", ()) for pair in part) if shown else {}
            self.shown.append(names.get("commonName", "nobody"))
        return await super().handle(request, wire)


@pytest.fixture
def certified(binary, background, upstream, tmp_path):
    """Starts a proxy that shows the certificate of a name to a provider that wants to see one."""
    authority = Authority(tmp_path)
    double = CertifyingProvider(background, authority).start()
    started: list[Proxy] = []

    def start(name: str = "coatcheck", issuer: Authority = authority) -> Visitor:
        certificate, key = issuer.issue(name, "127.0.0.1")
        config = test_config(double, upstream, {"oidc": {
            "token_endpoint_auth_method": "tls_client_auth", "certificate_file": str(certificate), "private_key_file": str(key), "ca_file": str(authority.ca)},
            **exchanging(upstream)})
        started.append(Proxy(tmp_path / f"proxy-{len(started)}", config, CLIENT_SECRET, binary=binary).start())
        return Visitor(started[-1], double)

    start.provider = double
    yield start
    for one in started:
        assert one.stop() == 0 and "CANARY" not in one.output()
    double.stop()


def test_a_certificate_is_shown_at_the_addresses_that_demand_one(certified, upstream):
    harvey = certified().sign_in()
    assert harvey.call(path="/files").status == 200 and harvey.call(path="/mcp").status == 200
    harvey.sign_out()
    provider = certified.provider
    wait_until(lambda: provider.revoked, "the refresh token to be revoked", 5)
    assert set(provider.shown) == {"coatcheck"} and len(provider.shown) >= 4
    assert is_exchanged(upstream.requests[0])


def test_a_certificate_that_is_not_registered_is_the_operators_fault(certified):
    harvey = certified("somebody-else")
    callback = harvey.come_back(certified.provider.approve(harvey.start_sign_in(), "harvey"))
    assert callback.status == 502 and "refuses this server" in callback.text, callback
    assert certified.provider.shown == ["somebody-else"]


def test_a_certificate_that_is_no_longer_accepted_ends_no_session(certified):
    harvey = certified().sign_in()
    certified.provider.expected = "the-new-name"
    assert error_of(harvey.call(path="/mcp"), 502)["data"]["reason"] == "provider_misconfigured"
    assert harvey.signed_in
    wait_until(lambda: "invalid_client" in harvey.proxy.output(), "the log to say why")


def test_a_certificate_of_an_unknown_authority_fails_without_harm(certified, tmp_path):
    (tmp_path / "foreign").mkdir()
    harvey = certified(issuer=Authority(tmp_path / "foreign"))
    callback = harvey.come_back(certified.provider.approve(harvey.start_sign_in(), "harvey"))
    assert callback.status in (502, 503) and not harvey.signed_in, callback
    assert certified.provider.shown == [], "the handshake failed before any request"
