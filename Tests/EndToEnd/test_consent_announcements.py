"""Sessions of 2025-11-25 hear on their own stream that what they were asked for has been done."""

from __future__ import annotations

import pytest

from processes import wait_until
from support.scene import Scene
from support.upstream import Guarded, SessionStreams, refuse
from support.visitor import LEGACY, MODERN, URL_MODE, Client, told

MARK = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "mark"}}


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("announcing")) as one:
        one.proxy()
        for tool, scope in (("files", "files.read"), ("mail", "mail.read")):
            one.upstream.on(tool, Guarded(scope, refuse(403, f'Bearer error="insufficient_scope", scope="{scope}"')))
        yield one


def ask(client: Client, tool: str = "files"):
    question = told(client.call(tool))
    assert question.reason == "consent_required", question
    return question


@pytest.fixture
def streams(scene):
    yield SessionStreams(scene.upstream)
    scene.upstream.on_method("GET")


def listening(streams: SessionStreams, client: Client, count: int = 1):
    stream = client.listen()
    wait_until(lambda: len(streams.wires[client.session]) >= count, "the stream to be open")
    return stream


def test_completion_is_announced_to_the_session_that_was_asked(scene, streams):
    asked = scene.client(LEGACY, URL_MODE)
    others = [Client(asked.visitor, LEGACY, URL_MODE), scene.client(LEGACY, URL_MODE)]
    with listening(streams, asked) as one, listening(streams, others[0]) as same_user, listening(streams, others[1]) as stranger:
        question = ask(asked)
        asked.visitor.consent_through(question.url)
        assert one.message() == {"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {"elicitationId": question.elicitation}}
        for client, stream in zip([asked] + others, [one, same_user, stranger]):
            streams.send(client.session, MARK)
            assert stream.message() == MARK


def test_completion_is_announced_on_one_stream_of_a_session_only(scene, streams):
    client = scene.client(LEGACY, URL_MODE)
    with listening(streams, client) as first, listening(streams, client, 2) as second:
        question = ask(client)
        client.visitor.consent_through(question.url)
        assert second.message()["params"] == {"elicitationId": question.elicitation}
        streams.send(client.session, MARK)
        assert first.message() == MARK and second.message() == MARK


def test_every_question_is_announced_under_its_own_name(scene, streams):
    client = scene.client(LEGACY, URL_MODE)
    with listening(streams, client) as stream:
        files, mail = ask(client), ask(client, "mail")
        for question in (mail, files):
            client.visitor.consent_through(question.url)
            assert stream.message()["params"] == {"elicitationId": question.elicitation}


@pytest.mark.parametrize("case", ["declined", "told in words", "asked as 2026"])
def test_nothing_is_announced_that_was_not_asked_or_not_given(scene, streams, case):
    client = scene.client(LEGACY, {} if case == "told in words" else URL_MODE)
    with listening(streams, client) as stream:
        asker = Client(client.visitor, MODERN, URL_MODE) if case == "asked as 2026" else client
        question = ask(asker)
        if case == "declined":
            client.visitor.decide(question.url, "decline")
        else:
            client.visitor.consent_through(question.url)
        streams.send(client.session, MARK)
        assert stream.message() == MARK
