"""A call that comes again before its user has consented is held open, and goes through once when the consent is there."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from processes import wait_until
from support.scene import Scene, metric
from support.server import Answer
from support.upstream import JSON, Guarded, as_event, before, event, good, message, refuse, rpc_error, tool_error
from support.visitor import ACCEPTED, LEGACY, MODERN, URL_MODE, Client, told

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')
NOT_RUN = rpc_error(-32001, "not yet", {"error": "NEEDS_GRANT", "scope": "files.read"})
PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
CLIENTS = {"2025 with links": (LEGACY, URL_MODE), "2025 without": (LEGACY, {}), "2026 with links": (MODERN, URL_MODE), "2026 without": (MODERN, {})}


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("holding")) as one:
        # A form of the upstream's own that says that nothing was carried out.
        rules = [{"code": ["/error/data/error"], "values": ["NEEDS_GRANT"], "scopes": "/error/data/scope", "unexecuted": True}]
        one.proxy({"routes": [one.route("/mcp", consent_rules=rules)], "streams": {"keep_alive": "1s"}})
        one.short = one.proxy({"consent": {"hold": "1s"}, "workers": 1})
        yield one


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS.keys())
def client(scene, request):
    era, capabilities = request.param
    return scene.client(era, capabilities)


@pytest.fixture
def plain(scene):
    return scene.client()


def ask(client: Client, tool: str = "files", **options):
    """The first call, and what its client adds to the second."""
    question = told(client.call(tool, **options))
    assert question.reason == "consent_required", question
    return question, ({"requestState": question.state, "inputResponses": ACCEPTED} if question.state else None)


def guard(scene, *refusal, tool: str = "files", **more) -> Guarded:
    judge = Guarded("files.read", *(refusal or (NEEDS_FILES,)), **more)
    scene.upstream.on(tool, judge)
    return judge


def text_of(message: dict) -> str:
    assert message["result"]["isError"] is False, message
    return message["result"]["content"][0]["text"]


# Going through

def test_a_held_call_goes_through_when_the_consent_is_given_elsewhere(scene, client):
    judge = guard(scene)
    calls = len(scene.upstream.calls("files"))
    question, input = ask(client)
    with client.open("files", input=input, id="second") as held:
        assert held.head.header("cache-control").startswith("no-store") and held.head.header("x-accel-buffering") == "no"
        assert judge.ran == []
        assert client.visitor.consent_through(question.url).status == 303
        answer = held.last()
    assert answer["id"] == "second" and text_of(answer) == "done"
    assert len(judge.ran) == 1, "carried out exactly once"
    assert len(scene.upstream.calls("files")) - calls == 3, "refused, refused, carried out"
    assert message(judge.ran[0])["id"] == "second" and b"requestState" not in judge.ran[0].body
    assert metric(scene.proxies[0], "coatcheck_calls_replayed_total") >= 1


def test_held_clients_hear_that_their_calls_are_alive(scene):
    """Whether the stream is ours from the beginning or was the upstream's."""
    guard(scene)
    guard(scene, as_event(NOT_RUN), tool="stream")
    clients = {tool: scene.client() for tool in ("files", "stream")}
    questions = {tool: ask(client, tool)[0] for tool, client in clients.items()}
    with clients["files"].open("files") as ours, clients["stream"].open("stream") as theirs:
        assert next(ours.parts).startswith(":") and next(theirs.parts).startswith(":")
        for tool, stream in (("files", ours), ("stream", theirs)):
            clients[tool].visitor.consent_through(questions[tool].url)
            assert text_of(stream.last()) == "done"


SSE_REFUSALS = {
    "a status": NEEDS_FILES, "JSON": NOT_RUN, "an event": as_event(NOT_RUN), "an event behind others": before(NOT_RUN, PROGRESS, PROGRESS),
}
ANSWERS = {"JSON": good, "an event": as_event(good), "an event behind others": before(good, PROGRESS)}


@pytest.mark.parametrize("count", [10, 100_000], ids=["short", "long"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("refusal", SSE_REFUSALS.values(), ids=SSE_REFUSALS.keys())
def test_a_call_is_held_and_goes_through_in_every_form_of_answer(scene, plain, refusal, answer, count):
    judge = guard(scene, refusal, answer=answer)
    arguments = {"text": "x" * count}
    question, _ = ask(plain, arguments=arguments)
    with plain.open("files", arguments, id=8) as held:
        # What the upstream sent ahead of its refusal was passed on before; it comes again with the answer.
        plain.visitor.consent_through(question.url)
        messages = list(held.messages())
    assert text_of(messages[-1]) == "done" and messages[-1]["id"] == 8
    assert [one for one in messages[:-1] if one != PROGRESS] == []
    assert [message(request)["params"]["arguments"] for request in judge.ran] == [arguments]


def test_an_unanswered_call_of_another_tool_is_not_held(scene, plain):
    guard(scene)
    guard(scene, tool="other")
    ask(plain)
    assert told(plain.call("other")).reason == "consent_required"


@pytest.mark.parametrize("accept", ["application/json", "*/*"])
def test_a_client_that_reads_no_stream_is_told_at_once(scene, plain, accept):
    guard(scene)
    question, _ = ask(plain)
    again = told(plain.call("files", headers={"Accept": accept}))
    assert again.reason == "consent_required" and again.url != question.url


def test_what_needs_no_consent_is_never_held(scene, plain):
    guard(scene)
    ask(plain)
    assert plain.call("free").status == 200
    assert plain.rpc("tools/list").status == 200


@pytest.mark.parametrize("count", [10, 100_000], ids=["short", "long"])
def test_a_stream_that_ran_before_the_question_was_asked_is_never_sent_again_in_part(scene, plain, count):
    """Two calls at once: the second is refused when the first was asked about already."""
    arguments = {"text": "x" * count}
    judge = guard(scene)
    first, may_end = threading.Event(), threading.Event()

    async def refuse_late(request, wire):
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + event(PROGRESS))
        first.set()
        while not may_end.is_set():
            await asyncio.sleep(0.01)
        await wire.write(event(NOT_RUN(request).body.decode()))
    scene.upstream.on("files", refuse_late)
    with plain.open("files", arguments) as late:
        assert late.message() == PROGRESS
        scene.upstream.on("files", judge)
        question, _ = ask(plain, arguments=arguments)
        held = metric(scene.proxies[0], "coatcheck_calls_held_total")
        may_end.set()
        wait_until(lambda: metric(scene.proxies[0], "coatcheck_calls_held_total") > held, "the call to be held")
        plain.visitor.consent_through(question.url)
        last = late.last()
    if judge.ran:
        assert text_of(last) == "done" and message(judge.ran[0])["params"]["arguments"] == arguments
    else:
        assert told(last).reason == "consent_given"


# Waiting long enough

def test_a_held_call_ends_with_a_fresh_link(scene):
    guard(scene)
    client = scene.client(capabilities=URL_MODE, proxy=scene.short)
    question, input = ask(client)
    urls = {question.url}
    for _ in range(2):
        start = time.monotonic()
        with client.open("files", input=input) as held:
            question = told(held.last())
        assert 0.8 < time.monotonic() - start < 4 and question.form == "inputRequired"
        urls.add(question.url)
        input = {"requestState": question.state, "inputResponses": ACCEPTED}
    assert len(urls) == 3
    client.visitor.consent_through(question.url)
    assert text_of(client.call("files", input=input).json()) == "done"


def test_one_user_cannot_hold_any_number_of_calls(scene):
    guard(scene)
    client = scene.client(proxy=scene.short)
    ask(client)
    streams = [client.open("files") for _ in range(8)]
    assert told(client.call("files")).reason == "consent_required", "the ninth is told at once"
    other = scene.client(proxy=scene.short)
    ask(other)
    with other.open("files") as held:
        assert told(held.last()).reason == "consent_required"
    for stream in streams:
        assert told(stream.last()).reason == "consent_required"
        stream.connection.close()


# The user says no

@pytest.mark.parametrize("place", ["our page", "the provider"])
def test_a_held_call_hears_that_its_user_declined(scene, client, place):
    judge = guard(scene)
    question, input = ask(client)
    with client.open("files", input=input) as held:
        if place == "our page":
            assert client.visitor.decide(question.url, "decline").status == 403
        else:
            scene.provider.denied = {"files.read"}
            try:
                client.visitor.consent_through(question.url)
            finally:
                scene.provider.denied = set()
        answer = told(held.last())
    assert answer.form == "toolResult" and answer.reason == "consent_declined" and "declined" in answer.text
    assert answer.url is None and judge.ran == []
    # The next call asks anew, at once.
    fresh = told(client.call("files"))
    assert fresh.reason == "consent_required" and fresh.url != question.url


# Nobody else

def test_the_consent_of_one_user_wakes_no_call_of_another(scene):
    judge = guard(scene)
    harvey, kim = scene.client(), scene.client()
    ours, theirs = ask(harvey)[0], ask(kim)[0]
    with harvey.open("files") as one, kim.open("files") as other:
        harvey.visitor.consent_through(ours.url)
        assert text_of(one.last()) == "done"
        # Had it been woken, the first message would be another one.
        kim.visitor.decide(theirs.url, "decline")
        assert told(other.last()).reason == "consent_declined"
    assert [scene.upstream.user_of(request) for request in judge.ran] == [harvey.visitor.user]


def test_a_link_opened_by_somebody_else_wakes_nothing(scene, plain):
    judge = guard(scene)
    question, _ = ask(plain)
    stranger = scene.visitor()
    with plain.open("files") as held:
        assert stranger.decide(question.url, "decline").status == 403
        assert stranger.decide(question.url).status == 403
        plain.visitor.consent_through(question.url)
        assert text_of(held.last()) == "done"
    assert len(judge.ran) == 1


def test_two_held_calls_of_a_user_both_go_through_once_each(scene, plain):
    judge = guard(scene)
    question, _ = ask(plain)
    with plain.open("files", {"path": "/a"}, id=1) as one, plain.open("files", {"path": "/b"}, id=2) as other:
        plain.visitor.consent_through(question.url)
        assert (one.last()["id"], other.last()["id"]) == (1, 2)
    assert sorted(message(request)["params"]["arguments"]["path"] for request in judge.ran) == ["/a", "/b"]


# Callers that leave, and users

@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("by_reset", [False, True], ids=["close", "reset"])
def test_a_client_that_leaves_is_forgotten(scene, era, by_reset):
    judge = guard(scene)
    client = scene.client(era)
    question, _ = ask(client)
    held = client.open("files", {"path": "/left"})
    gone = metric(scene.proxies[0], "coatcheck_clients_gone_total")
    held.connection.reset() if by_reset else held.connection.close()
    wait_until(lambda: metric(scene.proxies[0], "coatcheck_clients_gone_total") > gone, "the proxy to notice")
    replayed = metric(scene.proxies[0], "coatcheck_calls_replayed_total")
    client.visitor.consent_through(question.url)
    assert text_of(client.call("files", {"path": "/new"}).json()) == "done"
    assert [message(request)["params"]["arguments"]["path"] for request in judge.ran] == ["/new"]
    assert metric(scene.proxies[0], "coatcheck_calls_replayed_total") == replayed


def test_sign_out_ends_a_held_call(scene, plain):
    judge = guard(scene)
    ask(plain)
    with plain.open("files") as held:
        start = time.monotonic()
        assert plain.visitor.sign_out().status == 303
        answer = held.last()
    assert time.monotonic() - start < 5, "it waited for its time to be over"
    assert answer["error"]["data"]["reason"] == "login_required" and judge.ran == []


def test_signing_out_of_one_session_leaves_the_held_calls_of_others(scene, plain):
    guard(scene)
    question, _ = ask(plain)
    other = scene.client()
    with plain.open("files") as held:
        other.visitor.sign_out()
        plain.visitor.consent_through(question.url)
        assert text_of(held.last()) == "done"


def test_a_held_call_does_not_keep_the_proxy_from_stopping(scene):
    guard(scene)
    one = scene.proxy()
    client = scene.client(proxy=one)
    ask(client)
    with client.open("files") as held:
        start = time.monotonic()
        stopper = threading.Thread(target=one.stop)
        stopper.start()
        answer = held.last()
        stopper.join()
    assert answer["error"]["data"]["reason"] == "stopping" and time.monotonic() - start < 5


# What may have run

@pytest.mark.parametrize("wrap", [lambda inner: inner, as_event, lambda inner: before(inner, PROGRESS)], ids=["JSON", "event", "later event"])
def test_what_may_have_run_is_not_run_again(scene, client, wrap):
    judge = guard(scene, wrap(tool_error({"error": "consent_required", "scope": "files.read"})))
    question, input = ask(client)
    calls = len(scene.upstream.calls("files"))
    with client.open("files", input=input) as held:
        client.visitor.consent_through(question.url)
        *others, last = held.messages()
    answer = told(last)
    assert all(one == PROGRESS for one in others)
    assert len(scene.upstream.calls("files")) == calls + 1 and judge.ran == []
    if input:
        # The protocol's own way to have a call repeated.
        assert last["result"] == {"resultType": "input_required", "requestState": answer.state}
        again = {"requestState": answer.state}
    else:
        assert answer.form == "toolResult" and answer.reason == "consent_given" and "Repeat the call" in answer.text
        again = None
    assert text_of(client.call("files", input=again).json()) == "done"
    assert len(judge.ran) == 1 and b"requestState" not in judge.ran[0].body


def test_an_upstream_that_wants_still_more_is_asked_about_in_the_held_stream(scene, plain):
    guard(scene)
    question, _ = ask(plain)

    def more(request):
        scopes = scene.provider.scopes_of(request.header("authorization"))
        if "files.read" not in scopes:
            return NEEDS_FILES(request)
        return good(request) if "files.write" in scopes else refuse(403, 'Bearer error="insufficient_scope", scope="files.write"')(request)
    scene.upstream.on("files", more)
    with plain.open("files") as held:
        plain.visitor.consent_through(question.url)
        second = told(held.last())
    assert second.data["scopes"] == ["files.write"]
    plain.visitor.consent_through(second.url)
    assert text_of(plain.call("files").json()) == "done"


NO_MESSAGES = {
    "text": Answer(200, [("Content-Type", "text/plain")], b"what?"), "500 without a body": Answer(500, [JSON], b""), "204": Answer(204),
    "another JSON": Answer(500, [JSON], b'{"error":"oops"}'), "half a message": Answer(200, [JSON], b'{"jsonrpc":"2.0","id":5,"resu'),
}


@pytest.mark.parametrize("answer", NO_MESSAGES.values(), ids=NO_MESSAGES.keys())
def test_an_answer_that_is_no_message_ends_the_stream_with_an_error(scene, plain, answer):
    guard(scene, answer=lambda request: answer)
    question, _ = ask(plain)
    with plain.open("files", id=5) as held:
        plain.visitor.consent_through(question.url)
        last = held.last()
    assert last["id"] == 5 and last["error"]["data"]["reason"] == "upstream_broken", last
