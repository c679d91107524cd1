"""Signing out through the browser: by a frame of the provider's (OpenID Connect Front-Channel Logout 1.0), and where people land afterwards."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from support import http
from support.scene import Scene
from support.visitor import Visitor, login_required

PATH = "/auth/frontchannel-logout"
FRAME = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("front-channel")) as one:
        one.provider.names_sessions = True
        one.proxy()
        yield one


def sid_of(scene, visitor: Visitor) -> str:
    return [family for family in scene.provider.families if family.user == visitor.user][-1].sid


def frame(one, headers: dict | None = None, query: list | None = None, **parameters) -> http.Response:
    text = urlencode(query or {name: value for name, value in parameters.items() if value is not None})
    return http.request(one.url, "GET", f"{PATH}?{text}", FRAME | (headers or {}))


def shown(answer: http.Response, provider) -> http.Response:
    """The one page that is always shown: the provider's pages alone may frame it, and nobody keeps it."""
    assert answer.status == 200 and answer.header("content-type").startswith("text/html"), answer
    assert "no-store" in answer.header("cache-control"), answer
    assert answer.header("x-frame-options") is None
    ancestors = next(part for part in answer.header("content-security-policy").split(";") if "frame-ancestors" in part)
    assert ancestors.split()[1:] == [provider.origin], ancestors
    return answer


def test_issuer_and_sid_end_the_session_without_its_cookie(scene):
    first, other = scene.visitor(), scene.visitor()
    second = scene.visitor(user=first.user)
    answer = shown(frame(scene.proxies[0], iss=scene.provider.issuer, sid=sid_of(scene, second)), scene.provider)
    assert not answer.all("set-cookie")
    login_required(second.call())
    assert first.who() == first.user and other.who() == other.user


def test_the_cookie_is_cleared_where_it_comes_along(scene):
    kim = scene.visitor()
    answer = frame(scene.proxies[0], {"Cookie": kim.cookie, "Sec-Fetch-Site": "same-site"}, iss=scene.provider.issuer, sid=sid_of(scene, kim))
    shown(answer, scene.provider)
    kim.keep(answer)
    assert not kim.cookies


def test_the_cookie_of_another_session_stays(scene):
    kim, other = scene.visitor(), scene.visitor()
    answer = frame(scene.proxies[0], {"Cookie": other.cookie}, iss=scene.provider.issuer, sid=sid_of(scene, kim))
    assert not shown(answer, scene.provider).all("set-cookie")
    login_required(kim.call())
    assert other.who() == other.user


NAMES_NOBODY = {
    "no sid": lambda iss, sid: [("iss", iss)],
    "an empty sid": lambda iss, sid: [("iss", iss), ("sid", "")],
    "the beginning of a sid": lambda iss, sid: [("iss", iss), ("sid", sid[:-1])],
    "a sid and more": lambda iss, sid: [("iss", iss), ("sid", sid + "x")],
    "a sid in other case": lambda iss, sid: [("iss", iss), ("sid", sid.swapcase())],
    "a wildcard": lambda iss, sid: [("iss", iss), ("sid", "%")],
    "another issuer": lambda iss, sid: [("iss", "https://evil.example"), ("sid", sid)],
    "the issuer with a slash": lambda iss, sid: [("iss", iss + "/"), ("sid", sid)],
    "no issuer": lambda iss, sid: [("sid", sid)],
    "two sids": lambda iss, sid: [("iss", iss), ("sid", "x"), ("sid", sid)],
}


@pytest.mark.parametrize("name", NAMES_NOBODY)
def test_nobody_is_signed_out_by(scene, name):
    kim = scene.visitor()
    query = NAMES_NOBODY[name](scene.provider.issuer, sid_of(scene, kim))
    shown(frame(scene.proxies[0], {"Cookie": kim.cookie}, query=query), scene.provider)
    assert kim.who() == kim.user


def test_only_get_is_known(scene):
    for method in ("POST", "DELETE", "PUT"):
        answer = http.request(scene.proxies[0].url, method, f"{PATH}?sid=x")
        assert answer.status in (404, 405), (method, answer)


def test_the_cookie_can_be_demanded(scene):
    one = scene.proxy({"oidc": {"front_channel_logout": "cookie"}})
    kim, other = scene.visitor(one), scene.visitor(one)
    named = {"iss": scene.provider.issuer, "sid": sid_of(scene, kim)}
    shown(frame(one, **named), scene.provider)
    shown(frame(one, {"Cookie": other.cookie}, **named), scene.provider)
    assert kim.who() == kim.user and other.who() == other.user
    shown(frame(one, {"Cookie": kim.cookie}, **named), scene.provider)
    login_required(kim.call())
    assert other.who() == other.user


def test_it_can_be_turned_off(scene):
    one = scene.proxy({"oidc": {"front_channel_logout": "off"}})
    kim = scene.visitor(one)
    assert frame(one, {"Cookie": kim.cookie}, iss=scene.provider.issuer, sid=sid_of(scene, kim)).status == 404
    assert kim.who() == kim.user


# Where people land

def test_after_the_providers_sign_out_people_land_on_a_page_that_exists(scene):
    kim = scene.visitor()
    at_provider = kim.sign_out().location
    back = http.request(scene.provider.origin, "GET", at_provider.removeprefix(scene.provider.origin)).location
    # As providers do, with the state that they were given.
    state = dict(pair.split("=") for pair in at_provider.partition("?")[2].split("&"))["state"]
    answer = kim.navigate(kim.path_of(back) + f"?state={state}", {"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 303 and answer.location == "/auth/?done=signed_out", answer
    page = kim.navigate(answer.location)
    assert page.status == 200 and "You are signed out" in page.text


def test_the_start_page_is_the_account_page_where_no_route_has_another(scene):
    kim = scene.visitor()
    answer = kim.navigate("/")
    assert answer.status == 303 and answer.location == "/auth/", answer
    # Programs are told as before.
    assert kim.request("GET", "/").status == 404
    assert kim.navigate("/elsewhere").status == 404


def test_a_route_at_the_start_page_keeps_it(scene):
    one = scene.proxy({"routes": [scene.route("/mcp"), {"path": "/", "upstream": scene.upstream.origin, "authorization": "none", "session": "optional"}]})
    answer = Visitor(one, scene.provider).navigate("/?state=x")
    assert answer.status == 200, answer
