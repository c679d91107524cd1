"""`requestState` of the modern protocol: ours is worth something only as it was given out, the upstream's own survives our rounds."""

from __future__ import annotations

import json
import time

import pytest

from processes import wait_until
from support.scene import Scene
from support.server import Answer
from support.upstream import JSON, Guarded, as_event, message, message_id, refuse, rpc_error
from support.visitor import ACCEPTED, CONSENT_INPUT, URL_MODE, Client, error_of, local_path, told

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')
BOTH_MODES = {"elicitation": {"url": {}, "form": {}}}


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("state")) as one:
        one.proxy({"consent": {"hold": "0s"}, "routes": [one.route("/mcp"), one.route("/other")]})
        short = one.proxy({"consent": {"hold": "0s", "link_lifetime": "10s"}})
        # Asked at the very beginning, so that it is too old when the last test looks at it.
        one.old_client = one.client(capabilities=URL_MODE, proxy=short)
        one.upstream.on("old", NEEDS_FILES)
        one.old = told(one.old_client.call("old"))
        one.old_since = time.monotonic()
        yield one


@pytest.fixture
def client(scene):
    return scene.client(capabilities=BOTH_MODES)


def retry(state: str | None, responses: dict | None = ACCEPTED) -> dict:
    """What a client adds to a call that it repeats."""
    return {name: value for name, value in (("requestState", state), ("inputResponses", responses)) if value is not None}


def input_seen(request) -> dict:
    params = message(request)["params"]
    return {name: params[name] for name in ("requestState", "inputResponses") if name in params}


def refused_state(answer) -> str:
    error = error_of(answer, 400)
    assert error["code"] == -32602 and error["data"]["reason"] == "invalid_request_state", error
    return error["message"]


# Ours

def test_a_retry_after_consent_reaches_the_upstream_without_anything_of_ours(scene, client):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("files", judge)
    question = told(client.call("files", {"path": "/a", "deep": {"b": [1, 2.50, "é"]}}, id=1))
    client.visitor.consent_through(question.url)
    answer = client.call("files", {"path": "/a", "deep": {"b": [1, 2.50, "é"]}}, retry(question.state), id=2)
    assert answer.json()["id"] == 2 and answer.json()["result"]["content"][0]["text"] == "done"
    first, second = scene.upstream.calls("files")[-2:]
    assert [second] == judge.ran
    one, two = message(first), message(second)
    assert one["params"] == two["params"] and (one["id"], two["id"]) == (1, 2)
    assert b"coatcheck" not in second.body.lower() and question.state.encode() not in second.body
    assert second.header("content-length") == str(len(second.body))


def test_a_retry_before_consent_is_asked_anew_with_another_state(scene, client):
    scene.upstream.on("files", NEEDS_FILES)
    states, urls = [], []
    question = told(client.call("files"))
    for _ in range(4):
        states.append(question.state)
        urls.append(question.url)
        question = told(client.call("files", input=retry(question.state)))
        assert question.form == "inputRequired"
        assert input_seen(scene.upstream.last) == {}
    assert len(set(states)) == len(set(urls)) == 4


@pytest.mark.parametrize("responses", [None, {}, ACCEPTED, {CONSENT_INPUT: "x"}])
def test_what_the_client_says_about_our_request_proves_nothing_and_stays_here(scene, client, responses):
    scene.upstream.on("files", NEEDS_FILES)
    question = told(client.call("files"))
    assert told(client.call("files", input=retry(question.state, responses))).form == "inputRequired"
    assert input_seen(scene.upstream.last) == {}


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_user_who_declines_in_the_client_is_taken_at_their_word(scene, client, action):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("files", judge)
    question = told(client.call("files"))
    before = len(scene.upstream.requests)
    answer = told(client.call("files", input=retry(question.state, {CONSENT_INPUT: {"action": action}})))
    assert answer.reason == "consent_declined" and answer.url is None
    assert len(scene.upstream.requests) == before
    assert told(client.call("files")).form == "inputRequired", "the next call asks anew"


def flipped(text: str, position: int) -> str:
    return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1:]


# Positions count from both ends: version, nonce, ciphertext, tag. The last character of base64url may carry bits that mean nothing.
TAMPERINGS = {f"byte {position}": (lambda state, position=position: flipped(state, position)) for position in (4, 5, 12, 24, 60, 120, -30, -12, -3)}
TAMPERINGS |= {
    "cut": lambda state: state[:-8], "nothing but the mark": lambda state: "cc1.", "no base64": lambda state: "cc1.%%%",
    "longer": lambda state: state + "AAAA", "another text": lambda state: "cc1." + "A" * (len(state) - 4), "doubled": lambda state: state + state[4:],
    "very long": lambda state: "cc1." + "A" * 200_000,
}


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_state_that_was_tampered_with_ends_here(scene, client, tamper):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("files", judge)
    question = told(client.call("files"))
    client.visitor.consent_through(question.url)
    before = len(scene.upstream.requests)
    refused_state(client.call("files", input=retry(tamper(question.state))))
    assert len(scene.upstream.requests) == before
    # The true one is still good.
    assert client.call("files", input=retry(question.state)).json()["result"]["isError"] is False


def test_a_state_is_of_no_use_to_anybody_else(scene, client):
    scene.upstream.on("files", NEEDS_FILES)
    state = told(client.call("files")).state
    stranger = scene.client(capabilities=BOTH_MODES)
    before = len(scene.upstream.requests)
    assert "another user" in refused_state(stranger.call("files", input=retry(state)))
    assert len(scene.upstream.requests) == before


def test_a_state_is_of_no_use_for_another_call(scene, client):
    scene.upstream.on("files", NEEDS_FILES)
    state = told(client.call("files", {"path": "/a"})).state
    before = len(scene.upstream.requests)
    others = [
        client.call("files", {"path": "/b"}, retry(state)),
        client.call("files", {}, retry(state)),
        client.call("files", {"path": "/a", "force": True}, retry(state)),
        client.call("delete", {"path": "/a"}, retry(state)),
        client.rpc("prompts/get", {"name": "files", "arguments": {"path": "/a"}} | retry(state)),
        client.call("files", {"path": "/a"}, retry(state), path="/other"),
    ]
    for answer in others:
        assert "another call" in refused_state(answer)
    assert len(scene.upstream.requests) == before


def test_a_state_survives_neither_sign_out_nor_a_new_session_of_somebody_else(scene, client):
    scene.upstream.on("files", NEEDS_FILES)
    state = told(client.call("files")).state
    client.visitor.sign_out()
    before = len(scene.upstream.requests)
    assert client.call("files", input=retry(state)).status == 401
    assert len(scene.upstream.requests) == before


# The upstream's own

FORM = {"form": {"method": "elicitation/create", "params": {"mode": "form", "message": "Which account?", "requestedSchema": {"type": "object"}}}}
RESPONSES = {"form": {"action": "accept", "content": {"account": "a-1", "amount": 1.50, "note": "é\n"}}}
STATES = {"plain": "upstream-state", "JSON": '{"round":1,"sig":"a/b+c=="}', "like ours": "cc2.AAAA", "empty": "", "wide": "é\u2028" * 10}


def asks_first(state: str | None, then):
    """Asks for input of its own, and goes on with `then` when input comes back."""
    def answer(request):
        params = message(request)["params"]
        if "requestState" in params or "inputResponses" in params:
            return then(request)
        result = {"resultType": "input_required", "inputRequests": FORM} | ({} if state is None else {"requestState": state})
        return Answer(200, [JSON], json.dumps({"jsonrpc": "2.0", "id": message_id(request), "result": result}).encode())
    return answer


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_the_upstreams_own_input_passes_untouched(scene, client, state):
    done = Guarded("mcp.use", NEEDS_FILES)
    scene.upstream.on("pay", asks_first(state, done))
    first = client.call("pay")
    assert first.json()["result"] == {"resultType": "input_required", "inputRequests": FORM, "requestState": state}
    fields, body = client.request("tools/call", {"name": "pay", "arguments": {}} | retry(state, RESPONSES), None, 2)
    with client.visitor.connect() as connection:
        assert connection.request("POST", "/mcp", fields, body).status == 200
    assert done.ran[0].body == body, "not a byte of it changed"


@pytest.mark.parametrize("refusal", [NEEDS_FILES, as_event(rpc_error(-32001, "no", {"error": "consent_required", "scope": "files.read"}))],
                         ids=["challenge", "event"])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_the_upstreams_own_input_is_given_back_after_our_rounds(scene, client, state, refusal):
    judge = Guarded("files.read", refusal)
    scene.upstream.on("pay", asks_first(state, judge))
    assert client.call("pay").json()["result"]["requestState"] == state
    question = told(client.call("pay", input=retry(state, RESPONSES)))
    assert question.form == "inputRequired" and question.state != state
    # Clients send only what belongs to the last round; the consent is not there yet.
    question = told(client.call("pay", input=retry(question.state)))
    assert input_seen(scene.upstream.last) == retry(state, RESPONSES)
    client.visitor.consent_through(question.url)
    answer = client.call("pay", input=retry(question.state))
    assert answer.json()["result"]["content"][0]["text"] == "done", answer
    assert [input_seen(request) for request in judge.ran] == [retry(state, RESPONSES)]


@pytest.mark.parametrize("own", [retry("upstream-state", None), retry(None, RESPONSES)], ids=["state alone", "responses alone"])
def test_half_an_input_is_given_back_as_half(scene, client, own):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("pay", asks_first("upstream-state", judge))
    question = told(client.call("pay", input=own))
    client.visitor.consent_through(question.url)
    client.call("pay", input=retry(question.state))
    assert [input_seen(request) for request in judge.ran] == [own]


def test_a_response_to_our_request_is_taken_out_of_an_input_of_the_upstreams(scene, client):
    judge = Guarded("mcp.use", NEEDS_FILES)
    scene.upstream.on("pay", asks_first("upstream-state", judge))
    assert client.call("pay", input=retry("upstream-state", RESPONSES | ACCEPTED)).status == 200
    assert input_seen(judge.ran[0]) == retry("upstream-state", RESPONSES)


def long_response(count: int) -> dict:
    return {"form": {"action": "accept", "content": {"x": "y" * count}}}


LONG = {
    "a state of 40 kB": retry("s" * 40_000, RESPONSES), "a state of 60 kB": retry("s" * 60_000, RESPONSES), "a state of 90 kB": retry("s" * 90_000, None),
    "a state of 150 kB": retry("s" * 150_000, None), "responses of 60 kB": retry("s", long_response(60_000)),
    "responses of 70 kB": retry("s", long_response(70_000)), "both of 60 kB": retry("s" * 60_000, long_response(60_000)),
}


@pytest.mark.parametrize("own", LONG.values(), ids=LONG.keys())
def test_an_input_too_long_to_keep_is_never_lost_silently(scene, client, own):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("pay", asks_first("s", judge))
    question = told(client.call("pay", input=own))
    client.visitor.consent_through(question.url)
    # Either it came into the state after all, or the client was told in words to repeat the very same call.
    again = retry(question.state) if question.form == "inputRequired" else own
    assert client.call("pay", input=again).json()["result"]["content"][0]["text"] == "done"
    assert [input_seen(request) for request in judge.ran] == [own]


def test_an_upstreams_form_after_our_round_still_reaches_the_client(scene, client):
    def judge(request):
        return asks_first("upstream-state", done)(request) if "files.read" in scene.provider.scopes_of(request.header("authorization")) else NEEDS_FILES(request)
    done = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("pay", judge)
    question = told(client.call("pay"))
    client.visitor.consent_through(question.url)
    asked = client.call("pay", input=retry(question.state)).json()["result"]
    assert asked == {"resultType": "input_required", "inputRequests": FORM, "requestState": "upstream-state"}
    assert client.call("pay", input=retry("upstream-state", RESPONSES)).json()["result"]["content"][0]["text"] == "done"


# Too old; the last test, so that little is left to wait for.

def test_a_state_and_its_link_end_together(scene):
    client = scene.old_client
    answers = []

    def is_too_old():
        answers.append(client.call("old", input=retry(scene.old.state)))
        return answers[-1].status == 400
    wait_until(is_too_old, "the state to become too old", 12, 0.2)
    assert time.monotonic() - scene.old_since > 9.5
    assert "too old" in refused_state(answers[-1])
    assert all(told(answer).form == "inputRequired" for answer in answers[:-1])
    page = client.visitor.navigate(local_path(client.visitor, scene.old.url))
    assert page.status == 410 and "too old" in page.text, page
    assert client.visitor.decide(scene.old.url).status == 410
