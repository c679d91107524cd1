"""A refused call of a page's script is kept: after the consent the page fetches its answer, once."""

from __future__ import annotations

import json
import threading
import time

import pytest

from processes import wait_until
from support.http import Response
from support.scene import Scene
from support.server import Answer
from support.upstream import JSON, Guarded, as_event, message, refuse, rpc_error, tool_error
from support.visitor import Visitor, error_of, local_path, told

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')
NOT_RUN = rpc_error(-32001, "not yet", {"error": "NEEDS_GRANT", "scope": "files.read"})
APP = "https://app.example"


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("kept")) as one:
        # A form of the upstream's own that says that nothing was carried out.
        rules = [{"code": ["/error/data/error"], "values": ["NEEDS_GRANT"], "scopes": "/error/data/scope", "unexecuted": True}]
        settings = {"routes": [one.route("/mcp", consent_rules=rules), one.route("/app", mcp=False)], "csrf": {"allowed_origins": [APP]}}
        one.proxy(settings)
        one.few = one.proxy(settings | {"consent": {"kept_calls": 2, "kept_call_size": "1KiB"}})
        one.none = one.proxy(settings | {"consent": {"kept_calls": 0}})
        yield one


@pytest.fixture
def page(scene):
    """A page of somebody new."""
    return scene.visitor()


def guard(scene, refusal=NEEDS_FILES, **more) -> Guarded:
    judge = Guarded("files.read", refusal, **more)
    scene.upstream.on("files", judge)
    return judge


def state(page: Visitor, url: str, wait: int | None = None) -> str:
    answer = page.request("GET", local_path(page, url) + (f"&wait={wait}" if wait else ""))
    assert answer.status == 200 and answer.header("content-type") == "application/json", answer
    assert "no-store" in answer.header("cache-control")
    return answer.json()["state"]


def fetch(page: Visitor, url: str, **headers) -> Response:
    """What a page's script does when the consent is there."""
    return page.request("POST", local_path(page, url), {"Content-Length": "0"} | headers)


def not_kept(answer: Response) -> None:
    assert error_of(answer, 410)["data"]["reason"] == "not_kept"


def ask(page: Visitor, arguments: dict | None = None, **options):
    question = told(page.call("files", arguments, **options))
    assert question.reason == "consent_required", question
    return question


# The way through

def test_the_answer_of_a_kept_call_can_be_fetched_once_after_the_consent(scene, page):
    judge = guard(scene)
    question = ask(page, {"path": "/a", "n": [1, 2.50]}, id="call-7")
    assert question.data["kept"] is True
    assert state(page, question.url) == "pending"
    early = fetch(page, question.url)
    assert early.status == 409 and early.header("retry-after") == "1" and judge.ran == []
    page.consent_through(question.url)
    assert state(page, question.url) == "granted"
    answer = fetch(page, question.url)
    assert answer.status == 200 and answer.header("content-type") == "application/json"
    assert answer.json()["id"] == "call-7" and answer.json()["result"]["content"][0]["text"] == "done"
    original, carried_out = scene.upstream.calls("files")[-2:]
    assert judge.ran == [carried_out] and carried_out.body == original.body
    assert [field for field in carried_out.fields if field[0].lower().startswith("mcp-")] == [
        field for field in original.fields if field[0].lower().startswith("mcp-")]
    for _ in range(2):
        not_kept(fetch(page, question.url))
    assert len(judge.ran) == 1


@pytest.mark.parametrize("wrap", [as_event, lambda inner: inner], ids=["stream", "JSON"])
def test_the_fetched_answer_is_the_upstreams_whatever_its_form(scene, page, wrap):
    expected = wrap(lambda request: Answer(200, [JSON], json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"x": "é" * 500}}).encode()))
    judge = guard(scene, answer=expected)
    question = ask(page)
    page.consent_through(question.url)
    answer = fetch(page, question.url)
    plain = expected(judge.ran[0])
    assert answer.body == (plain.body or b"".join(piece for _, piece in plain.pieces))


def test_a_kept_call_that_is_refused_again_becomes_a_new_question(scene, page):
    judge = guard(scene)
    judge.scope = "files.write"
    question = ask(page)
    page.consent_through(question.url)
    again = told(fetch(page, question.url))
    assert again.reason == "consent_required" and again.url != question.url and again.data["kept"] is True
    judge.scope = "files.read"
    page.consent_through(again.url)
    assert fetch(page, again.url).json()["result"]["content"][0]["text"] == "done"
    assert len(judge.ran) == 1


def test_calls_of_other_interfaces_are_kept_as_well(scene, page):
    judge = Guarded("files.read", NEEDS_FILES, lambda request: Answer(200, [JSON], b'{"deleted":true}'))
    scene.upstream.on_method("PUT", judge)
    answer = page.request("PUT", "/app/items/7?force=1", {"Content-Type": "application/json", "If-Match": '"v1"'}, b'{"a": 1}')
    question = told(answer)
    assert answer.status == 403 and question.data["kept"] is True
    page.consent_through(question.url)
    assert fetch(page, question.url).json() == {"deleted": True}
    request, = judge.ran
    assert (request.method, request.target, request.body) == ("PUT", "/mcp/items/7?force=1", b'{"a": 1}')
    assert request.header("if-match") == '"v1"' and request.header("content-type") == "application/json"


def test_a_script_of_another_allowed_origin_can_fetch(scene, page):
    guard(scene)
    cross = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    question = ask(page, headers=cross)
    page.consent_through(question.url)
    answer = fetch(page, question.url, **cross)
    assert answer.status == 200 and answer.all("access-control-allow-origin") == [APP]


# Waiting for the person

def test_a_page_can_wait_for_the_decision(scene, page):
    guard(scene)
    question = ask(page)
    heard: list[tuple[str, float]] = []
    waiter = threading.Thread(target=lambda: heard.append((state(page, question.url, 20), time.monotonic())))
    waiter.start()
    page.consent_through(question.url)
    done = time.monotonic()
    waiter.join(10)
    assert heard[0][0] == "granted" and heard[0][1] - done < 2


def test_waiting_has_an_end(scene, page):
    guard(scene)
    question = ask(page)
    start = time.monotonic()
    assert state(page, question.url, 1) == "pending"
    assert 0.9 < time.monotonic() - start < 5


def test_a_declined_call_is_known_as_declined(scene, page):
    judge = guard(scene)
    question = ask(page)
    page.decide(question.url, "decline")
    assert state(page, question.url) == "declined"
    answer = fetch(page, question.url)
    assert answer.status == 403 and told(answer).reason == "consent_declined"
    assert judge.ran == []


@pytest.mark.parametrize("handle", ["A" * 43, "x", "", "%00", "../../etc"])
def test_nothing_is_known_under_a_made_up_link(page, handle):
    answer = page.request("GET", f"/auth/continue?i={handle}")
    assert answer.status == 400 or answer.json() == {"state": "unknown"}, answer
    assert page.request("POST", f"/auth/continue?i={handle}").status == 410


# Nobody else

def test_somebody_else_learns_nothing_and_takes_nothing(scene, page):
    judge = guard(scene)
    question = ask(page)
    stranger = scene.visitor()
    assert state(stranger, question.url) == "unknown"
    assert fetch(stranger, question.url).status in (403, 410)
    page.consent_through(question.url)
    assert state(stranger, question.url) == "unknown"
    not_kept(fetch(stranger, question.url))
    assert judge.ran == []
    assert fetch(page, question.url).status == 200 and len(judge.ran) == 1


def test_without_a_session_there_is_nothing_to_fetch(scene, page):
    judge = guard(scene)
    question = ask(page)
    page.consent_through(question.url)
    nobody = Visitor(scene.proxies[0], scene.provider)
    assert nobody.request("GET", local_path(nobody, question.url)).status == 401
    assert error_of(fetch(nobody, question.url), 401)["data"]["reason"] == "login_required"
    assert judge.ran == []


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": None}])
def test_another_site_cannot_make_the_call_go_through(scene, page, headers):
    judge = guard(scene)
    question = ask(page)
    page.consent_through(question.url)
    assert fetch(page, question.url, **headers).status == 403
    assert judge.ran == []


def test_a_kept_call_goes_with_the_session(scene, page):
    judge = guard(scene)
    question = ask(page)
    page.consent_through(question.url)
    page.sign_out()
    page.sign_in(scopes=["openid", "profile", "offline_access", "mcp.use"])
    assert state(page, question.url) == "unknown"
    not_kept(fetch(page, question.url))
    assert judge.ran == []


# What is not kept

@pytest.mark.parametrize("refusal", [NEEDS_FILES, NOT_RUN, as_event(NOT_RUN)], ids=["status", "JSON", "event"])
@pytest.mark.parametrize("count", [10, 100_000])
def test_a_call_is_kept_whole_or_not_at_all(scene, page, refusal, count):
    judge = guard(scene, refusal)
    question = ask(page, {"text": "x" * count})
    original = scene.upstream.calls("files")[-1]
    page.consent_through(question.url)
    answer = fetch(page, question.url)
    if question.data.get("kept"):
        assert answer.status == 200 and [request.body for request in judge.ran] == [original.body]
    else:
        assert refusal not in (NEEDS_FILES, NOT_RUN), "only a stream lets its request go"
        not_kept(answer)
        assert judge.ran == []


def test_a_call_that_may_have_run_is_not_kept(scene, page):
    judge = guard(scene, tool_error({"error": "consent_required", "scope": "files.read"}))
    question = ask(page)
    assert "kept" not in question.data
    page.consent_through(question.url)
    calls = len(scene.upstream.calls("files"))
    not_kept(fetch(page, question.url))
    assert judge.ran == [] and len(scene.upstream.calls("files")) == calls
    assert page.call("files").json()["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("count, kept", [(200, True), (2000, False)])
def test_a_body_over_the_bound_is_not_kept(scene, count, kept):
    guard(scene)
    page = scene.visitor(scene.few)
    question = ask(page, {"text": "x" * count})
    assert question.data.get("kept", False) is kept
    page.consent_through(question.url)
    answer = fetch(page, question.url)
    assert answer.status == (200 if kept else 410)


def test_of_many_refused_calls_the_newest_are_kept(scene):
    judge = guard(scene)
    page = scene.visitor(scene.few)
    questions = [ask(page, {"n": n}) for n in range(4)]
    page.consent_through(questions[-1].url)
    answers = [fetch(page, question.url) for question in questions]
    # One yes answers all that wait for the same server.
    assert [answer.status for answer in answers] == [410, 410, 200, 200]
    assert sorted(message(request)["params"]["arguments"]["n"] for request in judge.ran) == [2, 3]


def test_nothing_is_kept_where_the_operator_says_so(scene):
    judge = guard(scene)
    page = scene.visitor(scene.none)
    question = ask(page)
    assert "kept" not in question.data
    page.consent_through(question.url)
    not_kept(fetch(page, question.url))
    assert judge.ran == []


def test_calls_of_mcp_clients_are_not_kept(scene):
    guard(scene)
    client = scene.client()
    question = told(client.call("files"))
    assert "kept" not in question.data
    client.visitor.consent_through(question.url)
    not_kept(fetch(client.visitor, question.url))


# Racing

def test_two_fetches_at_once_make_one_call(scene, page):
    judge = guard(scene)
    question = ask(page)
    page.consent_through(question.url)
    answers: list[Response] = []
    threads = [threading.Thread(target=lambda: answers.append(fetch(page, question.url))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(answer.status for answer in answers) == [200] + [410] * 7
    assert len(judge.ran) == 1


def test_a_kept_call_survives_a_restart(scene, binary):
    judge = guard(scene)
    one = scene.proxy()
    page = scene.visitor(one)
    question = ask(page)
    page.consent_through(question.url)
    assert one.stop() == 0
    one.start()
    wait_until(lambda: page.signed_in, "the session to be there")
    answer = fetch(page, question.url)
    assert answer.json()["result"]["content"][0]["text"] == "done" and len(judge.ran) == 1
    not_kept(fetch(page, question.url))
