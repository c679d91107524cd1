"""Signing out by the provider, server to server (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import jwt
import pytest

from processes import wait_until
from support import http
from support.provider import CLIENT_ID, CLIENT_SECRET, LOGOUT_EVENT, SigningKey, b64
from support.scene import Scene, metric
from support.visitor import Visitor, login_required

PATH = "/auth/backchannel-logout"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("sign-out")) as one:
        one.provider.names_sessions = True
        one.proxy({"limits": {"sign_ins_per_address": 10_000}})
        yield one


def send(one, token: str | None, headers: dict | None = None, **more) -> http.Response:
    form = ({} if token is None else {"logout_token": token}) | more
    return http.request(one.url, "POST", PATH, FORM | (headers or {}), urlencode(form).encode())


def sid_of(scene, visitor: Visitor) -> str:
    """The provider's session of the visitor's last sign-in."""
    return [family for family in scene.provider.families if family.user == visitor.user][-1].sid


def accepted(answer: http.Response) -> None:
    assert answer.status in (200, 204), answer
    assert "no-store" in answer.header("cache-control") and not answer.all("set-cookie"), answer


def refused(answer: http.Response, status: int = 400) -> dict:
    assert answer.status == status, answer
    assert "no-store" in answer.header("cache-control"), answer
    assert answer.header("content-type") == "application/json", answer
    assert answer.json()["error"] in ("invalid_request", "temporarily_unavailable"), answer
    return answer.json()


def test_a_token_with_a_sid_ends_that_session_alone(scene):
    one = scene.proxies[0]
    first = scene.visitor()
    second = scene.visitor(user=first.user)
    accepted(send(one, scene.provider.logout_token(sid=sid_of(scene, second))))
    login_required(second.call())
    assert first.who() == first.user


def test_a_token_with_a_sub_ends_all_sessions_of_that_user(scene):
    one = scene.proxies[0]
    first, other = scene.visitor(), scene.visitor()
    second = scene.visitor(user=first.user)
    accepted(send(one, scene.provider.logout_token(first.user)))
    login_required(first.call())
    login_required(second.call())
    assert other.who() == other.user


def test_a_token_with_both_ends_what_both_name(scene):
    one = scene.proxies[0]
    first, other = scene.visitor(), scene.visitor()
    second = scene.visitor(user=first.user)
    accepted(send(one, scene.provider.logout_token(other.user, sid_of(scene, second))))
    assert (first.who(), second.who(), other.who()) == (first.user, first.user, other.user)
    accepted(send(one, scene.provider.logout_token(first.user, sid_of(scene, second))))
    login_required(second.call())
    assert first.who() == first.user


def test_a_token_with_both_ends_sessions_of_which_no_sid_is_known(scene):
    one, provider = scene.proxies[0], scene.provider
    provider.names_sessions = False
    nameless = scene.visitor()
    provider.names_sessions = True
    accepted(send(one, provider.logout_token(nameless.user, "sid-of-somewhere")))
    login_required(nameless.call())


def test_somebody_who_is_not_there_is_signed_out_already(scene):
    accepted(send(scene.proxies[0], scene.provider.logout_token("nobody", "sid-of-nobody")))


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "JWT", None])
def test_the_type_may_be_said_in_any_way_that_is_in_use(scene, typ):
    kim = scene.visitor()
    accepted(send(scene.proxies[0], scene.provider.logout_token(kim.user, header={"typ": typ})))
    login_required(kim.call())


def test_neither_cookie_nor_origin_of_the_request_count(scene):
    """The provider sends neither; what a browser would add for another site does no harm, since the token is signed."""
    kim, other = scene.visitor(), scene.visitor()
    fields = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Cookie": other.cookie}
    accepted(send(scene.proxies[0], scene.provider.logout_token(kim.user), fields))
    login_required(kim.call())
    assert other.who() == other.user
    # The same fields get nowhere at any other address.
    for path in ("/auth/logout", "/auth/revoke", PATH + "/", PATH + "x"):
        answer = http.request(other.url, "POST", path, FORM | fields, b"logout_token=x")
        assert answer.status == 403, (path, answer)
    assert other.who() == other.user


stranger = SigningKey.rsa("key-1")


def unsigned(scene, kim):
    head, claims, _ = scene.provider.logout_token(kim.user, sid_of(scene, kim)).split(".")
    return ".".join([b64(json.dumps({"alg": "none", "typ": "logout+jwt"}).encode()), claims, ""])


def shared_secret(scene, kim):
    claims = jwt.decode(scene.provider.logout_token(kim.user), options={"verify_signature": False})
    return jwt.encode(claims, CLIENT_SECRET, "HS256", {"typ": "logout+jwt", "kid": "key-1"})


def tampered(scene, kim):
    head, claims, signature = scene.provider.logout_token("somebody").split(".")
    other = scene.provider.logout_token(kim.user).split(".")[1]
    return ".".join([head, other, signature])


def mutant(header=None, key=None, **changes):
    return lambda scene, kim: scene.provider.logout_token(kim.user, sid_of(scene, kim), header, key, **changes)


def seconds(offset: int) -> int:
    return int(time.time()) + offset


MUTANTS = {
    "the signature of somebody else": mutant(key=stranger),
    "a key that nobody knows": mutant({"kid": "key-9"}),
    "no signature": unsigned,
    "a signature by the client secret": shared_secret,
    "claims of another token": tampered,
    "another issuer": mutant(iss="https://evil.example"),
    "no issuer": mutant(iss=None),
    "another client's audience": mutant(aud="somebody-else"),
    "an audience nobody trusts": mutant(aud=[CLIENT_ID, "somebody-else"], azp=CLIENT_ID),
    "no iat": mutant(iat=None),
    "no exp": mutant(exp=None),
    "an exp that has passed": lambda scene, kim: mutant(iat=seconds(-500), exp=seconds(-300))(scene, kim),
    "an iat of an hour ago": lambda scene, kim: mutant(iat=seconds(-3600), exp=seconds(3600))(scene, kim),
    "an iat that is to come": lambda scene, kim: mutant(iat=seconds(3600), exp=seconds(7200))(scene, kim),
    "no events": mutant(events=None),
    "another event": mutant(events={"http://schemas.openid.net/event/other": {}}),
    "an event that is no object": mutant(events={LOGOUT_EVENT: True}),
    "events in a list": mutant(events=[LOGOUT_EVENT]),
    "a nonce": mutant(nonce="n"),
    "no jti": mutant(jti=None),
    "a jti that is a number": mutant(jti=7),
    "neither sub nor sid": lambda scene, kim: scene.provider.logout_token(),
    "an empty sub": mutant(sub=""),
    "a sid that is a list": lambda scene, kim: scene.provider.logout_token(kim.user, ["a"]),
    "the type of an access token": mutant({"typ": "at+jwt"}),
    "the type of an ID token": mutant({"typ": "id_token+jwt"}),
    "a critical extension": mutant({"crit": ["exp"]}),
    "the form of an ID token": lambda scene, kim: next(token for token in reversed(scene.provider.issued) if token.count(".") == 2 and "CANARY" not in token),
    "no form of a token": lambda scene, kim: "logout",
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_token_is_refused_with_no_effect_on_anybody_that_has(scene, name):
    one = scene.proxies[0]
    kim, other = scene.visitor(), scene.visitor()
    before = metric(one, "coatcheck_logout_tokens_refused_total")
    refused(send(one, MUTANTS[name](scene, kim)))
    assert kim.who() == kim.user and other.who() == other.user
    assert metric(one, "coatcheck_logout_tokens_refused_total") == before + 1


@pytest.mark.parametrize("headers, body", {
    "nothing": (FORM, b""), "another name": (FORM, b"id_token=x"), "JSON": ({"Content-Type": "application/json"}, b'{"logout_token":"x"}'),
    "two tokens": (FORM, b"logout_token=x&logout_token=y"), "an empty token": (FORM, b"logout_token="),
}.values())
def test_a_form_without_one_token_is_refused(scene, headers, body):
    refused(http.request(scene.proxies[0].url, "POST", PATH, headers, body))


def test_a_body_beyond_the_bound_is_refused(scene):
    assert send(scene.proxies[0], "x" * 20_000).status == 413


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_nothing_but_post_reaches_it(scene, method):
    answer = http.request(scene.proxies[0].url, method, PATH)
    assert answer.status == 405 and answer.header("allow") == "POST", answer


def test_a_token_counts_once(scene):
    one = scene.proxies[0]
    kim = scene.visitor()
    token = scene.provider.logout_token(kim.user)
    accepted(send(one, token))
    again = scene.visitor(user=kim.user)
    assert "before" in refused(send(one, token))["error_description"]
    assert again.who() == kim.user
    # Nor does another token with its name.
    name = jwt.decode(token, options={"verify_signature": False})["jti"]
    refused(send(one, scene.provider.logout_token(kim.user, jti=name)))
    assert again.who() == kim.user


def test_the_refresh_tokens_of_ended_sessions_are_revoked(scene):
    kim = scene.visitor()
    token = [family for family in scene.provider.families if family.user == kim.user][-1].current
    accepted(send(scene.proxies[0], scene.provider.logout_token(kim.user)))
    wait_until(lambda: token in scene.provider.revoked, "revocation", 5)


def test_the_log_and_the_metrics_tell(scene):
    one = scene.proxies[0]
    kim = scene.visitor()
    accepted(send(one, scene.provider.logout_token(kim.user)))
    lines = [json.loads(line) for line in one.output().splitlines() if line.startswith("{")]
    told = [line for line in lines if "the provider ended sessions" in json.dumps(line)]
    assert told and "back_channel" in json.dumps(told[-1]), told
    assert metric(one, 'coatcheck_session_ends_total{reason="back_channel"}') >= 1


def test_bad_tokens_of_one_address_are_not_looked_at_for_ever(proxy, provider):
    """In front of this proxy stands another one that says for whom it asks."""
    one = proxy({"limits": {"sign_ins_per_address": 5}, "trusted_proxies": ["127.0.0.1"]})
    visitor = Visitor(one, provider).sign_in()
    statuses = [send(one, "bad", {"X-Forwarded-For": "203.0.113.7"}).status for _ in range(7)]
    assert statuses == [400] * 5 + [429] * 2, statuses
    accepted(send(one, provider.logout_token(visitor.user)))


def test_a_session_that_only_the_store_has_ends_and_a_token_counts_once_over_a_restart(proxy, provider):
    provider.names_sessions = True
    one = proxy()
    harvey, kim, louis = (Visitor(one, provider, user).sign_in() for user in ("harvey", "kim", "louis"))
    sid = provider.families[0].sid
    one.stop()
    one.start()
    by_sid = provider.logout_token(sid=sid)
    accepted(send(one, by_sid))
    accepted(send(one, provider.logout_token("kim")))
    login_required(harvey.call())
    login_required(kim.call())
    assert louis.who() == "louis"
    one.stop()
    one.start()
    refused(send(one, by_sid))
    login_required(harvey.call())


def test_without_the_providers_keys_it_is_told_to_try_again(proxy, provider):
    one = proxy()
    Visitor(one, provider).sign_in()
    one.stop()
    one.start()
    provider.fail_jwks(3)
    token = provider.logout_token("harvey")
    answer = send(one, token)
    refused(answer, 503)
    assert answer.header("retry-after")
    provider.fail_jwks(0)
    wait_until(lambda: send(one, token).status == 200, "the keys", 10, every=0.5)
