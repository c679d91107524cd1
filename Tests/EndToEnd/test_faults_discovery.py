"""Keys and discovery of a provider that is down or wrong, at the start of the proxy and later: it heals by itself, without a restart."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from processes import answers, wait_until
from support import http
from support.faults import HTML, PAGE, PATIENCE, UNAVAILABLE, WRONG, MoodyProvider, begun, expired, hang_up, heals, refused, signs_in, silence
from support.provider import SigningKey
from support.scene import Scene
from support.server import Answer
from support.visitor import Visitor

DOCUMENT = "/.well-known/openid-configuration"


@pytest.fixture
def stage(binary, background, tmp_path):
    """Makes scenes, each with a provider of its own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Scene(binary, background, tmp_path / name.replace(" ", "-"), MoodyProvider))


# Discovery

DISCOVERY: dict[str, tuple[object, int]] = {
    "500": (UNAVAILABLE["500"], 503), "silence": (silence, 503), "a page": (Answer(200, HTML, PAGE), 502),
    "a huge body": (WRONG["a huge body"], 502), "another issuer": ({"issuer": "https://evil.example"}, 502), "nobody there": (None, 503),
}


def test_discovery_that_fails_at_the_start_heals_later(stage):
    """All at once: a failure without any document is kept for five seconds."""
    newcomers = []
    for name, (mood, status) in DISCOVERY.items():
        scene = stage(name)
        match mood:
            case None:
                scene.provider.stop()
            case dict():
                scene.provider.metadata_changes = mood
            case _:
                scene.provider.moods = {DOCUMENT: mood}
        one = scene.proxy(PATIENCE)
        newcomer = Visitor(one, scene.provider, "newcomer")
        answer = newcomer.navigate("/auth/login")
        assert answer.status == status and "text/html" in answer.header("content-type"), (name, answer)
        assert newcomer.call().status == 401, "a call without a session is told to sign in, as ever"
        assert http.request(one.admin_url, "GET", "/readyz").status == 503 and answers(f"{one.admin_url}/healthz"), name
        newcomers.append((scene, newcomer))
    for scene, _ in newcomers:
        scene.provider.moods.clear()
        scene.provider.metadata_changes = {}
    next(scene for (scene, _), (mood, _) in zip(newcomers, DISCOVERY.values()) if mood is None).provider.restart()
    for scene, newcomer in newcomers:
        wait_until(lambda: answers(f"{newcomer.proxy.admin_url}/readyz"), "readiness", 10, every=0.2)
        assert newcomer.sign_in().who() == "newcomer"


def test_sessions_of_before_outlive_a_restart_while_the_provider_is_down(stage):
    scene = stage("before")
    one = scene.proxy(PATIENCE)
    harvey, kim = scene.visitor(one, "harvey"), expired(scene)
    one.stop()
    scene.provider.stop()
    one.start()
    assert harvey.who() == "harvey" and harvey.signed_in
    refused(kim.call(), "down")
    scene.provider.restart()
    heals([kim])


# Keys

KEYS = {"500": (UNAVAILABLE["500"], 503), "reset": (hang_up, 503), "a page": (WRONG["a page"], 502), "a body without an end": (WRONG["a body without an end"], 502)}


def test_keys_that_cannot_be_had_at_the_first_sign_in(stage):
    scenes = []
    for name, (mood, status) in KEYS.items():
        scene = stage(name)
        scene.proxy(PATIENCE)
        scene.provider.moods = {"/jwks": mood}
        visitor, callback = begun(scene)
        answer = visitor.come_back(callback)
        assert answer.status == status and "text/html" in answer.header("content-type"), (name, answer)
        assert not visitor.signed_in
        scene.provider.moods.clear()
        scenes.append(scene)
    for scene in scenes:
        wait_until(lambda: signs_in(scene), "a sign-in", 12, every=0.3)


def test_rotated_keys_are_fetched_when_they_first_appear(stage):
    scene = stage("rotated")
    scene.proxy(PATIENCE)
    assert scene.visitor().call().status == 200
    scene.provider.add_key(SigningKey.ec("rotated-1"), keep_old=False)
    assert scene.visitor().call().status == 200
    assert scene.provider.count["/jwks"] == 2


def test_keys_rotated_while_their_endpoint_is_down_heal_when_it_is_back(stage):
    scene = stage("rotated")
    one = scene.proxy(PATIENCE)
    old = scene.visitor(one)
    scene.provider.add_key(SigningKey.ec("rotated-2"), keep_old=False)
    for mood in (UNAVAILABLE["503 with Retry-After"], hang_up):
        scene.provider.moods = {"/jwks": mood}
        visitor, callback = begun(scene)
        assert visitor.come_back(callback).status in (400, 503) and not visitor.signed_in
    assert old.call().status == 200, "who is signed in needs no key"
    scene.provider.moods.clear()
    wait_until(lambda: signs_in(scene), "the new key to be known", 12, every=0.3)
    assert scene.provider.count["/jwks"] <= 6, "tokens with unknown keys do not hammer the provider"
