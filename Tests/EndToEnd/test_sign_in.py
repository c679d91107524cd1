"""The authorization code flow, seen from outside: what is asked for, what is refused, what the browser gets."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from processes import wait_until
from support.http import Response
from support.provider import CLIENT_ID, FakeProvider, SigningKey, b64
from support.visitor import Visitor, give_consent, login_required, rpc


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


def refused_without_session(answer: Response, visitor: Visitor) -> None:
    """A callback that fails is a page for a person, and leaves nobody signed in."""
    assert 400 <= answer.status < 600 and answer.status != 500, answer
    assert (answer.header("content-type") or "").startswith("text/html"), answer
    assert not visitor.signed_in


def test_a_user_signs_in_and_comes_back_to_the_page_they_wanted(visitor, provider, upstream):
    harvey = visitor("harvey").sign_in(return_to="/pages/list?tab=2")
    assert harvey.signed_in
    assert harvey.who() == "harvey"


def test_a_navigation_without_a_session_goes_to_sign_in_and_back_to_where_it_wanted(visitor, provider):
    harvey = visitor("harvey")
    answer = harvey.navigate("/pages/list?tab=2")
    assert answer.status == 303, answer
    if answer.location.startswith(harvey.url) or answer.location.startswith("/"):
        answer = harvey.navigate(harvey.path_of(answer.location) if "://" in answer.location else answer.location)
    answer = harvey.pass_provider(answer)
    assert answer.status == 303
    assert answer.location.removeprefix(harvey.url) == "/pages/list?tab=2"


def test_every_attempt_has_its_own_state_nonce_and_s256_challenge(visitor, provider, gateway):
    seen = {"state": set(), "nonce": set(), "code_challenge": set()}
    attempts = 100
    with visitor().connect() as connection:
        for _ in range(attempts):
            answer = connection.request("GET", "/auth/login?return_to=/", visitor().shape("navigation"))
            query = query_of(answer.location)
            assert query["response_type"] == "code" and query["client_id"] == CLIENT_ID
            assert query["redirect_uri"] == f"{gateway.url}/auth/callback"
            assert query["code_challenge_method"] == "S256"
            assert "openid" in query["scope"].split() and "mcp.use" in query["scope"].split()
            for name, values in seen.items():
                assert len(query[name]) >= 22
                values.add(query[name])
    assert all(len(values) == attempts for values in seen.values())


def test_the_redirect_uri_is_fixed_whatever_the_request_claims(visitor, gateway):
    answer = visitor().navigate("/auth/login?return_to=/", {
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example;proto=https"})
    assert query_of(answer.location)["redirect_uri"] == f"{gateway.url}/auth/callback"


def test_no_resource_is_asked_for_unless_the_route_names_one(visitor, provider):
    harvey = visitor().sign_in()
    assert "resource" not in provider.authorizations[-1]
    assert all("resource" not in form for form in provider.token_requests)


def test_a_configured_resource_is_sent_on_authorization_and_token_requests(proxy, provider, upstream):
    one = proxy({"routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use", "resource": "https://api.example/mcp"}]})
    harvey = Visitor(one, provider).sign_in()
    harvey.who()
    assert provider.authorizations[-1]["resource"] == "https://api.example/mcp"
    assert {form.get("resource") for form in provider.token_requests} == {"https://api.example/mcp"}


def test_extra_authorization_parameters_are_sent(proxy, provider):
    one = proxy({"oidc": {"extra_authorization_params": {"domain_hint": "example.test"}}})
    assert query_of(Visitor(one, provider).start_sign_in())["domain_hint"] == "example.test"


# The callback

def test_a_callback_without_its_cookie_is_refused_before_the_code_is_redeemed(visitor, provider):
    victim, attacker = visitor("harvey"), visitor("kim")
    callback = provider.approve(attacker.start_sign_in(), "kim")
    refused_without_session(victim.come_back(callback), victim)
    assert provider.count["/token"] == 0


def test_a_callback_with_the_cookie_of_another_attempt_is_refused(visitor, provider):
    victim, attacker = visitor("harvey"), visitor("kim")
    victim.start_sign_in()
    callback = provider.approve(attacker.start_sign_in(), "kim")
    refused_without_session(victim.come_back(callback), victim)
    assert provider.count["/token"] == 0


def test_a_callback_with_an_unknown_state_is_refused(visitor, provider):
    harvey = visitor()
    callback = provider.approve(harvey.start_sign_in(), "harvey")
    state = query_of(callback)["state"]
    refused_without_session(harvey.come_back(callback.replace(state, "x" * len(state))), harvey)
    assert provider.count["/token"] == 0


def test_a_state_works_once(visitor, provider):
    harvey = visitor()
    callback = provider.approve(harvey.start_sign_in(), "harvey")
    jar = dict(harvey.cookies)
    assert harvey.come_back(callback).status == 303
    redeemed = provider.count["/token"]
    again = visitor()
    again.cookies = jar
    answer = again.come_back(callback)
    assert answer.status != 500
    assert not again.signed_in
    assert provider.count["/token"] == redeemed


def test_the_codes_of_two_attempts_cannot_be_swapped(visitor, provider):
    harvey, kim = visitor("harvey"), visitor("kim")
    first, second = (provider.approve(one.start_sign_in(), one.user) for one in (harvey, kim))
    swapped = first.replace(urlencode({"code": query_of(first)["code"]}), urlencode({"code": query_of(second)["code"]}))
    refused_without_session(harvey.come_back(swapped), harvey)


@pytest.mark.parametrize("issuer", ["https://other.example", None], ids=["wrong", "missing although advertised"])
def test_a_callback_from_another_issuer_is_refused_before_the_code_is_redeemed(visitor, provider, issuer):
    provider.callback_changes = {"iss": issuer}
    harvey = visitor()
    refused_without_session(harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey")), harvey)
    assert provider.count["/token"] == 0


def test_an_error_from_another_issuer_is_not_shown(visitor, provider):
    provider.callback_changes = {"iss": "https://other.example", "code": None, "error": "access_denied", "error_description": "text-of-the-attacker"}
    harvey = visitor()
    answer = harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey"))
    refused_without_session(answer, harvey)
    assert "text-of-the-attacker" not in answer.text


def test_a_provider_that_does_not_advertise_iss_may_leave_it_out(proxy, provider):
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": None}
    provider.callback_changes = {"iss": None}
    assert Visitor(proxy(), provider).sign_in().signed_in


def test_tokens_in_the_front_channel_are_ignored(visitor, provider):
    provider.callback_changes = {"code": None, "access_token": "planted", "id_token": "planted"}
    harvey = visitor()
    refused_without_session(harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey")), harvey)
    assert provider.count["/token"] == 0


# The ID token, one thing wrong at a time

OTHER_KEY = SigningKey.rsa("key-other")


def resigned(change):
    return lambda provider: lambda header, claims: provider.sign(header, claims | change)


def without(name):
    return lambda provider: lambda header, claims: provider.sign(header, {key: value for key, value in claims.items() if key != name})


def by_stranger(provider: FakeProvider):
    return lambda header, claims: provider.sign(header, claims, OTHER_KEY)


def broken_signature(provider: FakeProvider):
    def mutate(header, claims):
        head, body, signature = provider.sign(header, claims).split(".")
        return ".".join([head, body, ("A" if signature[0] != "A" else "B") + signature[1:]])
    return mutate


def changed_body(provider: FakeProvider):
    def mutate(header, claims):
        head, _, signature = provider.sign(header, claims).split(".")
        return ".".join([head, b64(json.dumps(claims | {"sub": "subject-of-somebody-else"}).encode()), signature])
    return mutate


def unsigned(provider: FakeProvider):
    return lambda header, claims: b64(json.dumps({"alg": "none", "typ": "JWT"}).encode()) + "." + b64(json.dumps(claims).encode()) + "."


def signed_with_public_key_as_secret(provider: FakeProvider):
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    secret = provider.keys[-1].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def mutate(header, claims):
        signed = b64(json.dumps(header | {"alg": "HS256"}).encode()) + "." + b64(json.dumps(claims).encode())
        return signed + "." + b64(hmac.digest(secret, signed.encode(), hashlib.sha256))
    return mutate


def key_in_header(provider: FakeProvider):
    return lambda header, claims: jwt.encode(claims, OTHER_KEY.private, "RS256", headers={"typ": "JWT", "kid": "key-other", "jwk": OTHER_KEY.jwk()})


def critical_extension(provider: FakeProvider):
    return lambda header, claims: provider.sign(header | {"crit": ["unknown"], "unknown": True}, claims)


def double_claim(provider: FakeProvider):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    def mutate(header, claims):
        body = json.dumps(claims)[:-1] + ', "sub": "subject-of-somebody-else"}'
        signed = b64(json.dumps(header).encode()) + "." + b64(body.encode())
        return signed + "." + b64(provider.keys[-1].private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))
    return mutate


def now() -> int:
    return int(time.time())


MUTANTS = {
    "a broken signature": broken_signature,
    "claims changed after signing": changed_body,
    "the signature of a stranger's key": by_stranger,
    "a key brought along in the header": key_in_header,
    "no signature": unsigned,
    "HS256 with the public key as secret": signed_with_public_key_as_secret,
    "an unknown critical extension": critical_extension,
    "a claim twice": double_claim,
    "another issuer": resigned({"iss": "https://other.example"}),
    "no issuer": without("iss"),
    "an issuer with a slash more": lambda provider: resigned({"iss": provider.issuer + "/"})(provider),
    "another audience": resigned({"aud": "somebody-else"}),
    "an audience list without this client": resigned({"aud": ["a", "b"]}),
    "a second audience and no authorized party": lambda p: lambda h, c: p.sign(h, {k: v for k, v in c.items() if k != "azp"} | {"aud": [CLIENT_ID, "other"]}),
    "no audience": without("aud"),
    "another authorized party": resigned({"azp": "somebody-else"}),
    "an end in the past": lambda provider: resigned({"exp": now() - 600})(provider),
    "no end": without("exp"),
    "a start in the future": lambda provider: resigned({"nbf": now() + 600})(provider),
    "an issue time in the future": lambda provider: resigned({"iat": now() + 900, "exp": now() + 1800})(provider),
    "an issue time long ago": lambda provider: resigned({"iat": now() - 7200})(provider),
    "another nonce": resigned({"nonce": "somebody-elses-nonce"}),
    "no nonce": without("nonce"),
    "a hash of another access token": resigned({"at_hash": b64(b"0" * 16)}),
    "an empty subject": resigned({"sub": ""}),
    "no subject": without("sub"),
    "a subject that is no text": resigned({"sub": 7}),
    "text that is no token": lambda provider: lambda header, claims: "not.a.token",
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_an_id_token_is_refused_that_has(visitor, provider, mutant):
    provider.mutate = mutant(provider)
    harvey = visitor()
    refused_without_session(harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey")), harvey)
    # The attempt failed, not the proxy: the next one works.
    provider.mutate = None
    assert visitor().sign_in().signed_in


@pytest.mark.parametrize("change", [{"aud": [CLIENT_ID]}, {"iat": -45, "exp": 600}], ids=["an audience list of one", "a clock 45 seconds off"])
def test_an_id_token_is_accepted_with(visitor, provider, change):
    provider.claims_changes = {name: now() + value if isinstance(value, int) else value for name, value in change.items()}
    assert visitor().sign_in().signed_in


# Keys and discovery

def test_a_new_signing_key_is_fetched_once(visitor, provider):
    visitor("harvey").sign_in()
    fetched = provider.count["/jwks"]
    provider.add_key(SigningKey.ec("key-2"))
    visitor("kim").sign_in()
    visitor("harvey").sign_in()
    assert provider.count["/jwks"] == fetched + 1


def test_unknown_key_names_do_not_hammer_the_provider(visitor, provider):
    visitor().sign_in()
    fetched = provider.count["/jwks"]
    provider.mutate = lambda header, claims: provider.sign(header | {"kid": f"unknown-{time.monotonic_ns()}"}, claims, OTHER_KEY)
    for _ in range(10):
        harvey = visitor()
        harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey"))
    assert provider.count["/jwks"] <= fetched + 1


def test_known_keys_keep_working_while_the_key_endpoint_is_down(visitor, provider):
    visitor().sign_in()
    provider.fail_jwks(1000)
    assert visitor("kim").sign_in().signed_in


@pytest.mark.parametrize("changes", [
    {"issuer": "https://other.example"}, {"token_endpoint": "http://example.test/token"}, {"jwks_uri": None}, {"padding": "x" * 400_000}],
    ids=["another issuer", "a token endpoint without TLS", "no keys", "more than it may be long"])
def test_provider_metadata_is_refused_with(proxy, provider, changes):
    provider.metadata_changes = changes
    one = proxy()
    answer = Visitor(one, provider).navigate("/auth/login?return_to=/")
    assert answer.status in (502, 503), answer
    assert provider.count["/token"] == 0


def test_the_proxy_starts_and_signs_in_later_when_the_provider_was_down_at_first(proxy, provider):
    provider.metadata_changes = {"issuer": "https://other.example"}
    one = proxy()
    assert Visitor(one, provider).navigate("/auth/login").status in (502, 503)
    provider.metadata_changes = {}
    wait_until(lambda: Visitor(one, provider).navigate("/auth/login").status == 303, "the proxy to try the provider again")
    assert Visitor(one, provider).sign_in().signed_in


# Client authentication

@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_client_authenticates_by(proxy, provider, method):
    one = proxy({"oidc": {"token_endpoint_auth_method": method}})
    assert Visitor(one, provider).sign_in().signed_in
    request = provider.token_headers[-1]
    assert ((request.header("authorization") or "").startswith("Basic ")) == (method == "client_secret_basic")
    assert ("client_secret" in request.form) == (method == "client_secret_post")
    assert request.header("origin") is None and request.header("cookie") is None


# Cookies

def session_cookie(visitor: Visitor) -> tuple[str, str]:
    """Name and value of the one cookie a signed-in visitor holds."""
    assert len(visitor.cookies) == 1, visitor.cookies
    return next(iter(visitor.cookies.items()))


def test_the_browser_gets_one_small_opaque_cookie(visitor, provider):
    harvey = visitor().sign_in()
    name, value = session_cookie(harvey)
    line = next(line for line in harvey.set_cookies if line.startswith(f"{name}="))
    attributes = [part.strip().lower() for part in line.split(";")[1:]]
    assert "httponly" in attributes and "path=/" in attributes
    assert "samesite=lax" in attributes or "samesite=strict" in attributes
    assert not any(attribute.startswith("domain") for attribute in attributes)
    assert not name.startswith("__Host-"), "plain http on loopback has no prefix"
    assert len(value) == 43 and len(line) < 4096
    assert all("httponly" in line.lower() for line in harvey.set_cookies)


def test_a_planted_session_id_is_not_adopted(visitor, provider):
    name, _ = session_cookie(visitor().sign_in())
    victim = visitor("kim")
    victim.cookies[name] = "A" * 43
    victim.sign_in()
    assert victim.cookies[name] != "A" * 43
    attacker = visitor()
    attacker.cookies[name] = "A" * 43
    assert not attacker.signed_in


def test_signing_in_again_gives_a_new_session_id(visitor, provider):
    harvey = visitor().sign_in()
    name, first = session_cookie(harvey)
    harvey.sign_in()
    assert session_cookie(harvey)[1] != first
    assert harvey.who() == "harvey"


def test_signing_in_as_somebody_else_ends_the_first_ones_session(visitor, provider):
    browser = visitor("harvey").sign_in()
    name, first = session_cookie(browser)
    browser.user = "kim"
    browser.sign_in()
    assert browser.who() == "kim"
    old = visitor()
    old.cookies[name] = first
    assert not old.signed_in


def test_several_tabs_can_sign_in_at_once(visitor, provider):
    harvey = visitor()
    callbacks = [provider.approve(harvey.start_sign_in(return_to=f"/pages/{tab}"), "harvey") for tab in range(5)]
    for tab, callback in enumerate(callbacks):
        answer = harvey.come_back(callback)
        assert answer.status == 303, answer
        assert answer.location.removeprefix(harvey.url) == f"/pages/{tab}"
    assert harvey.who() == "harvey"


def test_abandoned_attempts_do_not_fill_the_cookie_header(visitor):
    harvey = visitor()
    for _ in range(30):
        harvey.start_sign_in()
    assert len(harvey.cookies) <= 12 and len(harvey.cookie) < 4096


BAD_RETURNS = [
    "https://evil.example", "http://evil.example/", "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
    "\\/evil.example", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/%2f/evil.example", "/%2F%2Fevil.example", "/%5cevil.example",
    "/%5C%5Cevil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,hi", "vbscript:x", "evil.example", "evil.example/", "@evil.example",
    "/@evil.example/..//evil.example", "/.//evil.example", "/..//evil.example", "/./\\evil.example", "/a/..//evil.example", "https:evil.example",
    "https:/evil.example", "http:///evil.example", " //evil.example", "\u00a0//evil.example", "/\u2028/evil.example", "/\x00/evil.example", "ftp://evil.example",
    "https://127.0.0.1@evil.example/", "https://evil.example#@127.0.0.1", "?//evil.example", "#//evil.example", "", "/" + "a" * 5000, "/\x0b/evil.example",
]


@pytest.mark.parametrize("target", BAD_RETURNS, ids=[ascii(value)[:40] for value in BAD_RETURNS])
def test_the_way_back_cannot_leave_the_origin(shared_visitor, target):
    harvey = shared_visitor()
    from urllib.parse import quote
    answer = harvey.navigate(f"/auth/login?return_to={quote(target, safe='')}")
    if answer.status == 303:
        answer = harvey.pass_provider(answer)
        assert answer.status == 303, answer
        where = answer.location.removeprefix(harvey.url)
        assert where == "/" or (where.startswith("/") and not where.startswith(("//", "/\\")) and "\\" not in where and "//evil" not in where), answer.location
    else:
        assert answer.status == 400, answer


# Another user comes back

def test_when_another_user_comes_back_from_consent_nothing_of_the_first_one_stays(sign_in, provider, upstream):
    from support.upstream import refuse
    harvey = sign_in("harvey")
    _, old_cookie = session_cookie(harvey)
    mcp_session = harvey.open_session()
    upstream.on("files", refuse(403, 'Bearer error="insufficient_scope", scope="files.read"'))
    refusal = harvey.call("files")
    harvey.user = "kim"
    answer = give_consent(harvey, refusal)
    assert answer.status in (303, 400, 403), answer
    first = Visitor(harvey.proxy, provider, "harvey")
    first.cookies = {next(iter(harvey.cookies)): old_cookie}
    assert not first.signed_in
    if harvey.signed_in:
        assert harvey.who() == "kim"
        fields, body = rpc("tools/list", era="2025-11-25")
        assert harvey.request("POST", "/mcp", fields | {"Mcp-Session-Id": mcp_session}, body).status == 404
        assert session_cookie(harvey)[1] != old_cookie


# Time

def test_a_session_ends_after_the_idle_time_and_asking_for_it_does_not_prolong_it(proxy, provider):
    one = proxy({"session": {"idle_timeout": "2s"}})
    harvey = Visitor(one, provider).sign_in()
    end = time.monotonic() + 2.6
    while time.monotonic() < end:
        harvey.session()
        time.sleep(0.4)
    login_required(harvey.call())


def test_calls_keep_a_session_alive_until_its_absolute_end(proxy, provider):
    one = proxy({"session": {"idle_timeout": "2s", "absolute_timeout": "4s"}})
    harvey = Visitor(one, provider).sign_in()
    start = time.monotonic()
    while time.monotonic() < start + 3.2:
        assert harvey.who() == "harvey"
        time.sleep(0.4)
    time.sleep(max(0, start + 4.6 - time.monotonic()))
    login_required(harvey.call())


# Pages

def test_own_pages_carry_strict_security_fields(visitor, provider):
    harvey = visitor()
    provider.denied = {"mcp.use"}
    pages = [harvey.navigate("/auth/"), harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey"))]
    provider.denied = set()
    pages.append(harvey.sign_in().navigate("/auth/"))
    for page in pages:
        assert "no-store" in page.header("cache-control"), page
        assert page.header("x-content-type-options") == "nosniff"
        # A form on a page with no-referrer is sent with `Origin: null`, so the page with the sign-out form may say same-origin.
        assert page.header("referrer-policy") in ("no-referrer", "same-origin")
        policy = page.header("content-security-policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    login = visitor().navigate("/auth/login?return_to=/")
    assert "no-store" in login.header("cache-control")
    assert login.header("referrer-policy") == "no-referrer"


def test_an_error_page_shows_a_request_id_and_never_the_providers_markup(visitor, provider):
    provider.callback_changes = {"code": None, "error": "server_error", "error_description": "<script>alert('x')</script>"}
    harvey = visitor()
    answer = harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey"))
    assert "<script>alert" not in answer.text
    assert answer.header("x-request-id") is None or answer.header("x-request-id") in answer.text
    refused_without_session(answer, harvey)


def test_the_session_endpoint_tells_who_is_signed_in_and_no_secret(visitor, provider):
    kim = visitor("kim")
    assert not kim.signed_in
    kim.sign_in()
    text = json.dumps(kim.session())
    assert "Kim Wexler" in text
    assert "CANARY" not in text and not any(secret in text for secret in provider.issued)
    assert "nonce" not in text and "at_hash" not in text


def test_the_account_page_names_the_user_and_the_granted_scopes(visitor):
    page = visitor("kim").sign_in().navigate("/auth/")
    assert page.status == 200
    assert "Kim Wexler" in page.text and "mcp.use" in page.text and "/auth/logout" in page.text


# Signing out

def test_signing_out_ends_session_and_tokens_everywhere(sign_in, provider):
    harvey = sign_in()
    jar = dict(harvey.cookies)
    refresh_token = provider.families[-1].current
    answer = harvey.sign_out()
    assert answer.status == 303, answer
    assert answer.location.startswith(f"{provider.origin}/logout"), answer.location
    assert query_of(answer.location)["post_logout_redirect_uri"].startswith(harvey.url)
    assert not harvey.cookies
    harvey.cookies = jar
    login_required(harvey.call())
    deadline = time.monotonic() + 3
    while refresh_token not in provider.revoked and time.monotonic() < deadline:
        time.sleep(0.02)
    assert refresh_token in provider.revoked


def test_signing_out_ends_running_streams(sign_in, upstream):
    from support.server import Answer
    from support.upstream import EVENTS, event
    upstream.on_method("GET", Answer(200, [EVENTS], pieces=[(0, event("hello"))] + [(0.2, event("more"))] * 100))
    harvey = sign_in()
    with harvey.connect() as connection:
        connection.send_request("GET", "/mcp", harvey.headers("script", {"Accept": "text/event-stream"}))
        head = connection.read_head()
        assert head.status == 200
        events = connection.events(head)
        next(events)
        harvey.sign_out()
        start = time.monotonic()
        try:
            for _ in events:
                assert time.monotonic() < start + 3, "the stream went on after signing out"
        except Exception as error:
            assert "ended" in str(error) or isinstance(error, OSError), error


@pytest.mark.parametrize("method, headers", [
    ("GET", {}), ("POST", {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}), ("POST", {"Sec-Fetch-Site": None, "Origin": "https://evil.example"}),
    ("POST", {"Sec-Fetch-Site": "same-site", "Origin": None})], ids=["GET", "cross-site", "foreign origin", "same-site"])
def test_nobody_else_can_sign_a_user_out_by(sign_in, method, headers):
    harvey = sign_in()
    answer = harvey.request(method, "/auth/logout", headers, b"" if method == "POST" else None, kind="form")
    assert answer.status in (400, 403, 405), answer
    assert harvey.signed_in


def test_signing_out_works_at_a_provider_without_revocation_or_end_session(proxy, provider):
    provider.supports_revocation = False
    provider.metadata_changes = {"end_session_endpoint": None}
    one = proxy()
    harvey = Visitor(one, provider).sign_in()
    answer = harvey.sign_out()
    assert answer.status == 303 and answer.location.removeprefix(one.url).startswith("/"), answer
    assert not harvey.signed_in
