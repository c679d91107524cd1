"""What happens at the edges of consent: several calls, several browsers and several people at once, and a restart in between."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from processes import wait_until
from support.http import Response
from support.provider import TOKEN_TYPE
from support.scene import Scene, metric
from support.server import Answer
from support.upstream import JSON, Guarded, SessionStreams, event, good, message, refuse, rpc_error
from support.visitor import ACCEPTED, LEGACY, MODERN, URL_MODE, Client, Visitor, error_of, local_path, told
from test_ledger import audit, entries

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')
NOT_RUN = rpc_error(-32001, "not yet", {"error": "NEEDS_GRANT", "scope": "files.read"})
# A form of the upstream's own that says that nothing was carried out.
RULES = [{"code": ["/error/data/error"], "values": ["NEEDS_GRANT"], "scopes": "/error/data/scope", "unexecuted": True}]
PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
BASIC = ["openid", "profile", "offline_access", "mcp.use"]
LINK = "https://connect.example/start?user=7"


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("edges")) as one:
        one.proxy({"routes": [
            one.route("/mcp", consent_rules=RULES),
            one.route("/other"),
            one.route("/link", downstream_consent="upstream_link", consent_link_hosts=["connect.example"]),
        ]})
        one.short = one.proxy({"consent": {"hold": "2s"}})
        yield one


@pytest.fixture
def page(scene):
    """A page of somebody new."""
    return scene.visitor()


@pytest.fixture
def plain(scene):
    """An MCP client of somebody new."""
    return scene.client()


def guard(scene, refusal=NEEDS_FILES, tool: str = "files", **more) -> Guarded:
    judge = Guarded("files.read", refusal, **more)
    scene.upstream.on(tool, judge)
    return judge


def ask(caller: Visitor | Client, tool: str = "files", arguments: dict | None = None, **options):
    question = told(caller.call(tool, arguments, **options))
    assert question.reason == "consent_required", question
    return question


def fetch(page: Visitor, url: str) -> Response:
    """What a page's script does when the consent is there."""
    return page.request("POST", local_path(page, url), {"Content-Length": "0"})


def not_kept(answer: Response) -> None:
    assert error_of(answer, 410)["data"]["reason"] == "not_kept"


def state(page: Visitor, url: str, wait: int = 0) -> str:
    answer = page.request("GET", local_path(page, url) + (f"&wait={wait}" if wait else ""), timeout=30)
    assert answer.status == 200, answer
    return answer.json()["state"]


def text_of(answer: Response | dict) -> str:
    body = answer if isinstance(answer, dict) else answer.json()
    assert body["result"]["isError"] is False, body
    return body["result"]["content"][0]["text"]


def restart(one, changes: dict | None = None, by_kill: bool = False) -> None:
    if by_kill:
        one.kill()
    else:
        assert one.stop() == 0
    one.config |= changes or {}
    one.start()


# Several calls at once

def refusing_late(may_end: dict[int, threading.Event]):
    """Streams that say something at once, and refuse when a test lets them, each by its id."""
    async def serve(request, wire):
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + event(PROGRESS))
        while not may_end[message(request)["id"]].is_set():
            await asyncio.sleep(0.01)
        await wire.write(event(NOT_RUN(request).body.decode()))
    return serve


@pytest.mark.parametrize("is_asked_before", [False, True], ids=["asked meanwhile", "asked before"])
def test_of_two_long_calls_at_once_nothing_goes_upstream_in_part(scene, plain, is_asked_before):
    judge = guard(scene, NOT_RUN)
    arguments = {"text": "x" * 150_000}
    question = ask(plain) if is_asked_before else None
    may_end = {1: threading.Event(), 2: threading.Event()}
    scene.upstream.on("files", refusing_late(may_end))
    before = len(scene.upstream.calls("files"))
    with plain.open("files", arguments, id=1, late=True) as one, plain.open("files", arguments, id=2, late=True) as other:
        streams = [one, other]
        assert [stream.message() for stream in streams] == [PROGRESS, PROGRESS]
        held = metric(scene.proxies[0], "coatcheck_calls_held_total")
        may_end[1].set()
        if not is_asked_before:
            streams.remove(one)
            question = told(one.last())
            assert question.reason == "consent_required" and question.message["id"] == 1
        may_end[2].set()
        wait_until(lambda: metric(scene.proxies[0], "coatcheck_calls_held_total") == held + len(streams), "the calls to be held")
        scene.upstream.on("files", judge)
        plain.visitor.consent_through(question.url)
        ends = [stream.last() for stream in streams]
    if is_asked_before:
        assert [text_of(end) for end in ends] == ["done", "done"] and len(judge.ran) == 2
    else:
        # The body was let go when its stream began.
        assert [told(end).reason for end in ends] == ["consent_given"] and judge.ran == []
    assert [message(request)["params"]["arguments"] for request in scene.upstream.calls("files")[before:]] == [arguments] * (2 + len(judge.ran))
    assert not [request for request in scene.upstream.requests if request.method == "POST" and not request.body]
    assert text_of(plain.call("files", arguments)) == "done" and scene.proxies[0].service.running


def test_a_refusal_that_is_not_of_the_request_neither_ends_nor_repeats_it(scene, plain):
    guard(scene)
    question = ask(plain)
    counters = ("coatcheck_calls_held_total", "coatcheck_calls_replayed_total")
    before = [metric(scene.proxies[0], name) for name in counters]
    may_end = threading.Event()

    async def refuse_another(request, wire):
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await wire.write(event(NOT_RUN(request).body.decode().replace('"id": 8', '"id": 999')))
        while not may_end.is_set():
            await asyncio.sleep(0.01)
        await wire.write(event(good(request).body.decode()))
    scene.upstream.on("files", refuse_another)
    calls = len(scene.upstream.calls("files"))
    with plain.open("files", id=8) as stream:
        other = told(stream.message())
        assert other.message["id"] == 999 and other.reason == "consent_required"
        plain.visitor.consent_through(question.url)
        may_end.set()
        last = stream.last()
    assert last["id"] == 8 and text_of(last) == "done"
    assert len(scene.upstream.calls("files")) == calls + 1
    assert [metric(scene.proxies[0], name) for name in counters] == before


def test_a_no_ends_what_it_was_said_to_and_a_yes_all_that_wait_for_the_server(scene, plain):
    tools = ("first", "second", "third")
    judges = {tool: guard(scene, tool=tool) for tool in tools}
    questions = {tool: ask(plain, tool) for tool in tools}
    with plain.open("first") as first, plain.open("second") as second, plain.open("third") as third:
        assert plain.visitor.decide(questions["first"].url, "decline").status == 403
        assert told(first.last()).reason == "consent_declined"
        # Had they been told too, the only message of their streams would be another one.
        assert plain.visitor.consent_through(questions["second"].url).status == 303
        assert [text_of(second.last()), text_of(third.last())] == ["done", "done"]
    assert [len(judges[tool].ran) for tool in tools] == [0, 1, 1]


def test_one_consent_is_enough_for_all_refused_calls_of_a_page(scene, page):
    judge = guard(scene)
    questions = [ask(page, arguments={"n": n}) for n in range(2)]
    assert [question.data["kept"] for question in questions] == [True, True]
    page.consent_through(questions[0].url)
    assert [state(page, question.url) for question in questions] == ["granted", "granted"]
    assert [text_of(fetch(page, question.url)) for question in reversed(questions)] == ["done", "done"]
    for question in questions:
        not_kept(fetch(page, question.url))
    assert [message(request)["params"]["arguments"]["n"] for request in judge.ran] == [1, 0]


def test_of_two_pages_that_wait_for_one_decision_each_waits_for_its_own_time(scene, page):
    guard(scene)
    question = ask(page)
    heard: dict[int, str] = {}
    waiters = {seconds: threading.Thread(target=lambda seconds=seconds: heard.update({seconds: state(page, question.url, seconds)})) for seconds in (20, 1)}
    for waiter in waiters.values():
        waiter.start()
    waiters[1].join(10)
    assert heard == {1: "pending"}
    page.consent_through(question.url)
    start = time.monotonic()
    waiters[20].join(10)
    assert heard == {1: "pending", 20: "granted"} and time.monotonic() - start < 3


# A session that took another one's place

@pytest.mark.parametrize("began", ["stream", "held call"])
def test_what_began_before_a_step_up_ends_with_the_sign_out_after_it(scene, began):
    streams = SessionStreams(scene.upstream)
    guard(scene)
    guard(scene, tool="elsewhere")
    client, bystander = scene.client(LEGACY, URL_MODE), scene.client(LEGACY, URL_MODE)
    elsewhere = Client(client.visitor, path="/other")
    with client.listen() as own, bystander.listen() as theirs:
        ask(elsewhere, "elsewhere")
        with elsewhere.open("elsewhere") as held:
            ticket = client.visitor.cookie
            client.visitor.consent_through(ask(client).url)
            assert client.visitor.cookie != ticket
            assert own.message()["method"] == "notifications/elicitation/complete", "the step-up itself ends nothing"
            assert client.visitor.sign_out().status == 303
            if began == "stream":
                assert list(own.messages()) == []
            else:
                assert held.last()["error"]["data"]["reason"] == "login_required"
        wait_until(lambda: streams.wires[bystander.session], "the other stream")
        streams.send(bystander.session, PROGRESS)
        assert theirs.message() == PROGRESS


# Another browser

@pytest.mark.parametrize("by_kill", [False, True], ids=["stop", "kill"])
def test_consent_in_another_browser_leaves_both_tickets_as_they_are_also_after_a_restart(scene, by_kill):
    judge = guard(scene)
    one = scene.proxy()
    client = scene.client(proxy=one)
    browser = scene.visitor(one, client.visitor.user)
    tickets = [client.visitor.cookie, browser.cookie]
    answer = browser.consent_through(ask(client).url)
    assert answer.status == 303 and not [line for line in answer.all("set-cookie") if line.startswith("coatcheck=")], answer
    assert text_of(client.call("files")) == "done"
    restart(one, by_kill=by_kill)
    assert text_of(client.call("files")) == "done" and browser.signed_in
    assert [client.visitor.cookie, browser.cookie] == tickets
    assert [scene.upstream.user_of(request) for request in judge.ran] == [client.visitor.user] * 2


# The provider's answer

def refused(scene, visitor: Visitor, url: str, error: str) -> Response:
    """A walk to the provider that ends with an error."""
    scene.provider.callback_changes = {"error": error, "code": None}
    try:
        return visitor.consent_through(url)
    finally:
        scene.provider.callback_changes = {}


def declines(one) -> int:
    return sum("consent declined" in line for line in one.output().splitlines())


def test_a_page_hears_of_a_walk_that_failed(scene, page):
    guard(scene)
    question = ask(page)
    assert state(page, question.url) == "pending"
    refused(scene, page, question.url, "server_error")
    assert state(page, question.url, wait=20) == "unknown"
    again = ask(page)
    page.consent_through(again.url)
    assert state(page, again.url) == "granted"


def test_scopes_that_a_provider_spells_in_its_own_way_are_no_refusal(scene):
    guard(scene)
    client = scene.client()
    question = ask(client)
    client.visitor.consent_through(question.url, BASIC + ["https://provider.example/auth/files.read"])
    assert state(client.visitor, question.url) == "granted"


@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error", "interaction_required"])
def test_a_provider_that_cannot_is_not_a_user_who_declined(scene, error):
    judge = guard(scene)
    one = scene.short
    client = scene.client(proxy=one)
    question = ask(client)
    counted, told_of = metric(one, "coatcheck_consents_declined_total"), declines(one)
    with client.open("files") as held:
        assert refused(scene, client.visitor, question.url, error).status == 403
        again = told(held.last())
    assert again.reason == "consent_required" and again.url != question.url
    audit(one, f"provider answered {error}")
    assert metric(one, "coatcheck_consents_declined_total") == counted and declines(one) == told_of
    client.visitor.consent_through(again.url)
    assert text_of(client.call("files")) == "done" and len(judge.ran) == 1


def test_a_user_who_declines_at_the_provider_is_counted_and_told_of(scene):
    judge = guard(scene)
    one = scene.short
    client = scene.client(proxy=one)
    question = ask(client)
    counted, told_of = metric(one, "coatcheck_consents_declined_total"), declines(one)
    with client.open("files") as held:
        refused(scene, client.visitor, question.url, "access_denied")
        assert told(held.last()).reason == "consent_declined"
    assert metric(one, "coatcheck_consents_declined_total") == counted + 1
    wait_until(lambda: declines(one) == told_of + 1, "the line in the log")
    assert judge.ran == []


def test_only_what_the_provider_granted_is_entered_and_told_of(scene, page):
    guard(scene, refuse(403, 'Bearer error="insufficient_scope", scope="files.read files.write"'))
    question = ask(page)
    assert question.data["scopes"] == ["files.read", "files.write"]
    lines = len(audit(scene.proxies[0], "consent granted", 0))
    page.consent_through(question.url, BASIC + ["files.read"])
    (words, _), = entries(page)
    assert "<code>files.read</code>" in words
    assert "files.write" not in page.navigate("/auth/").text
    line, = audit(scene.proxies[0], "consent granted", lines + 1)[lines:]
    assert line["scopes"] == "files.read"
    # Whoever unticks everything has declined, wherever that was.
    other = scene.visitor()
    declined = len(audit(scene.proxies[0], "consent declined", 0))
    question = ask(other)
    page_then = other.consent_through(question.url, BASIC)
    assert page_then.status == 403 and "You did not agree" in page_then.text, page_then
    assert entries(other) == [] and state(other, question.url) == "declined"
    line, = audit(scene.proxies[0], "consent declined", declined + 1)[declined:]
    assert line["scopes"] == "files.read files.write"
    assert len(audit(scene.proxies[0], "consent granted", 0)) == lines + 1


# What nobody may fetch any more

@pytest.mark.parametrize("place", ["our page", "the provider"])
def test_a_declined_call_is_gone_also_after_a_restart(scene, place):
    judge = guard(scene)
    one = scene.proxy()
    page = scene.visitor(one)
    question = ask(page, arguments={"n": 1})
    assert question.data["kept"] is True
    if place == "our page":
        assert page.decide(question.url, "decline").status == 403
    else:
        refused(scene, page, question.url, "access_denied")
    # The token is good for it now, so that nothing but the no is in the way.
    page.consent_through(ask(page, arguments={"n": 2}).url)
    assert told(fetch(page, question.url)).reason == "consent_declined"
    restart(one)
    wait_until(lambda: page.signed_in, "the session to be there")
    not_kept(fetch(page, question.url))
    assert judge.ran == []


def come_back_as_another(scene, page: Visitor, url: str) -> None:
    """Agrees on the page behind a link, and signs in as somebody else at the provider."""
    stranger = f"{page.user}-stranger"
    assert page.come_back(scene.provider.approve(page.decide(url).location, stranger)).status == 303
    assert page.session()["sub"] == f"subject-of-{stranger}"


def test_another_person_who_comes_back_drops_the_kept_calls_of_the_first(scene, page):
    judge = guard(scene)
    second = scene.visitor(user=page.user)
    kept = [ask(page, arguments={"n": n}) for n in range(2)]
    assert all(question.data["kept"] for question in kept)
    come_back_as_another(scene, page, kept[0].url)
    for question in kept:
        not_kept(fetch(second, question.url))
        not_kept(fetch(page, question.url))
    # Nor is there anything left when the token is good for it.
    later = ask(second)
    second.consent_through(later.url)
    for question in kept:
        not_kept(fetch(second, question.url))
    assert judge.ran == []
    assert text_of(fetch(second, later.url)) == "done" and len(judge.ran) == 1


def test_another_person_who_comes_back_ends_the_streams_of_the_session_before(scene, page):
    streams = SessionStreams(scene.upstream)
    guard(scene)
    guard(scene, tool="elsewhere")
    second = scene.visitor(user=page.user)
    client, steady = Client(page, LEGACY, URL_MODE), Client(second, LEGACY, URL_MODE)
    elsewhere = Client(page, path="/other")
    ask(elsewhere, "elsewhere")
    with client.listen() as own, steady.listen() as others, elsewhere.open("elsewhere") as held:
        wait_until(lambda: streams.wires[client.session] and streams.wires[steady.session], "the streams")
        come_back_as_another(scene, page, ask(client).url)
        assert held.last()["error"]["data"]["reason"] == "login_required"
        assert list(own.messages()) == []
        # Another session of the first one's was nobody's to end.
        streams.send(steady.session, PROGRESS)
        assert others.message() == PROGRESS


# Another configuration after a restart

def test_a_kept_call_whose_path_leads_elsewhere_now_goes_nowhere(scene):
    one = scene.proxy({"routes": [scene.route("/mcp"), scene.route("/app", mcp=False)]})
    page = scene.visitor(one)
    scene.upstream.on_method("PUT", Guarded("files.read", NEEDS_FILES, lambda request: Answer(200, [JSON], b'{"put":true}')))
    guard(scene)
    moved = [told(page.request("PUT", "/app/items/7", {"Content-Type": "application/json"}, b"{}")), ask(page, path="/mcp/deep")]
    same = ask(page)
    assert all(question.data["kept"] for question in [*moved, same])
    page.consent_through(same.url)
    page.consent_through(moved[0].url)
    routes = [scene.route("/mcp/deep", upstream=f"{scene.upstream.origin}/secret"), scene.route("/app/items", mcp=False)]
    restart(one, {"routes": one.config["routes"] + routes})
    wait_until(lambda: page.signed_in, "the session to be there")
    count = len(scene.upstream.requests)
    for question in moved:
        not_kept(fetch(page, question.url))
    assert len(scene.upstream.requests) == count
    assert text_of(fetch(page, same.url)) == "done"


def test_links_and_states_mean_the_same_server_when_routes_have_changed_places(scene):
    files = scene.route("/files", name="The Files", scope="files.use")
    mail = scene.route("/mail", name="The Mail", scope="mail.use")
    one = scene.proxy({"routes": [files, mail]})
    judge = Guarded("mail.send", refuse(403, 'Bearer error="insufficient_scope", scope="mail.send"'))
    scene.upstream.on("send", judge)
    client = scene.client(MODERN, URL_MODE, path="/mail", proxy=one)
    question = ask(client, "send")
    restart(one, {"routes": [mail, scene.route("/new", name="The News", scope="news.use"), files]})
    shown = client.visitor.open_link(question.url).text
    assert "The Mail" in shown and "The Files" not in shown and "The News" not in shown
    assert client.visitor.consent_through(question.url).status == 303
    answer = client.call("send", input={"requestState": question.state, "inputResponses": ACCEPTED})
    assert text_of(answer) == "done"
    assert {"mail.use", "mail.send"} <= set(scene.provider.scopes_of(judge.ran[0].header("authorization")))
    (words, _), = entries(client.visitor)
    assert "The Mail" in words


def test_a_link_to_a_server_that_is_gone_leads_nowhere(scene):
    guard(scene)
    one = scene.proxy({"routes": [scene.route("/mcp"), scene.route("/old", name="The Old")]})
    page = scene.visitor(one)
    question = ask(page, path="/old")
    restart(one, {"routes": [scene.route("/mcp")]})
    wait_until(lambda: page.signed_in, "the session to be there")
    assert page.open_link(question.url).status == 410
    assert page.decide(question.url).status == 410


# Servers that want what cannot be given, and tokens that are not access tokens

@pytest.mark.parametrize("is_script", [True, False], ids=["script", "client"])
def test_a_servers_own_link_that_changes_nothing_is_shown_no_more_than_so_often(scene, page, is_script):
    scene.upstream.on("linked", rpc_error(-32006, LINK))
    call = (lambda: page.call("linked", path="/link")) if is_script else (lambda client=Client(page, path="/link"): client.call("linked"))
    for _ in range(2):
        question = told(call())
        assert question.reason == "consent_required" and LINK in page.open_link(question.url).text
        assert page.decide(question.url, "done").status == 303
    end = call()
    assert told(end).reason == "consent_failed" and "/auth/continue" not in end.text and LINK not in end.text
    # Nobody else is touched by it.
    assert told(scene.visitor().call("linked", path="/link")).reason == "consent_required"


def test_an_id_token_that_is_refused_is_renewed_as_one_beside_other_routes(scene):
    provider = scene.provider
    exchange = {"form": "token_exchange", "subject_token": "id_token", "audience": ["files-api"]}
    one = scene.proxy({"routes": [scene.route("/mcp"), scene.route("/files", scope="files.use", exchange=exchange)]})
    page = scene.visitor(one)
    provider.refresh_brings_id_token = True
    provider.exchange_modes.append("invalid_request")
    try:
        assert page.call(path="/files").status == 200
    finally:
        provider.refresh_brings_id_token = False
    refused, accepted = [dict(pairs) for pairs in provider.exchanges[-2:]]
    assert refused["subject_token_type"] == accepted["subject_token_type"] == f"{TOKEN_TYPE}id_token"
    assert refused["subject_token"] != accepted["subject_token"]
    renewal = [form for form in provider.token_requests if form["grant_type"] == "refresh_token"][-1]
    assert "openid" in renewal["scope"].split()
