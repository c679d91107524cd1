"""Where asking the user does not help nobody is asked: loops end, refusals that no consent changes say so, and links of others stay here."""

from __future__ import annotations

import json

import pytest

from support.http import Response
from support.scene import Scene
from support.server import Answer
from support.upstream import JSON, Guarded, as_event, refuse, result, rpc_error, tool_error
from support.visitor import LEGACY, MODERN, URL_MODE, Client, told

NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read files.list"')
LINK = "https://connect.example/start?user=7&x=%3C1%3E"
FOUNDRY = rpc_error(-32006, LINK)
# One of an operator's own servers.
OWN_FORM = {"error": "consent_required", "requiredScopes": ["files.read", "mail.read"], "consentUrl": "https://connect.example/c?s=1"}
RULE = {"code": ["/result/structuredContent/error", "/error"], "values": ["consent_required"], "scopes": "/requiredScopes", "link": "/consentUrl",
        "unexecuted": True}


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("limits")) as one:
        one.proxy({"consent": {"hold": "0s", "max_rounds": 2}, "routes": [
            one.route("/mcp"),
            one.route("/app", mcp=False),
            one.route("/link", downstream_consent="upstream_link", consent_link_hosts=["connect.example"], name="Files"),
            one.route("/deny", downstream_consent="deny"),
            one.route("/rule", consent_rules=[RULE]),
            one.route("/rule-link", consent_rules=[RULE | {"target": "downstream"}], downstream_consent="upstream_link", consent_link_hosts=["connect.example"]),
            one.route("/rule-both", consent_rules=[RULE | {"target": "downstream"}]),
            one.route("/rule-deny", consent_rules=[RULE | {"target": "downstream"}], downstream_consent="deny"),
        ]})
        one.holding = one.proxy({"routes": [
            one.route("/link", downstream_consent="upstream_link", consent_link_hosts=["connect.example"]), one.route("/rule", consent_rules=[RULE])]})
        yield one


@pytest.fixture
def page(scene):
    return scene.visitor()


def text_of(answer: Response | dict) -> str:
    message = answer if isinstance(answer, dict) else answer.json()
    assert message["result"]["isError"] is False, message
    return message["result"]["content"][0]["text"]


def nobody_is_asked(scene, visitor, answer, asked: int) -> None:
    assert "/auth/continue" not in answer.text and answer.location is None, answer
    assert len(scene.provider.authorizations) == asked


# Loops

@pytest.mark.parametrize("kind", ["script", "2025 with links", "2026 with links", "2026 without"])
def test_a_server_that_is_never_satisfied_ends_in_an_error_that_names_what_it_wants(scene, page, kind):
    scene.upstream.on("files", NEEDS_FILES)
    scene.upstream.on("other", NEEDS_FILES)
    client = None if kind == "script" else Client(page, LEGACY if "2025" in kind else MODERN, {} if "without" in kind else URL_MODE)
    call = page.call if client is None else client.call
    for _ in range(2):
        question = told(call("files"))
        assert question.reason == "consent_required"
        page.consent_through(question.url)
    asked = len(scene.provider.authorizations)
    answer = call("files")
    end = told(answer)
    assert answer.status == (403 if client is None else 200) and end.form == ("error" if client is None else "toolResult")
    assert end.reason == "consent_failed" and end.data["scopes"] == ["files.read", "files.list"]
    assert "`files.read`, `files.list`" in end.text
    nobody_is_asked(scene, page, answer, asked)
    # Neither another tool nor another user is touched by it.
    assert told(call("other")).reason == "consent_required"
    assert told(scene.visitor().call("files")).reason == "consent_required"


def test_refusals_alone_use_no_rounds_up(scene, page):
    scene.upstream.on("files", NEEDS_FILES)
    for _ in range(5):
        question = told(page.call("files"))
        assert question.reason == "consent_required"
    page.consent_through(question.url)
    assert told(page.call("files")).reason == "consent_required"


def test_a_second_round_makes_the_provider_ask_again(scene, page):
    scene.upstream.on("files", NEEDS_FILES)
    prompts = []
    for _ in range(2):
        page.consent_through(told(page.call("files")).url)
        prompts.append(scene.provider.authorizations[-1].get("prompt"))
    assert prompts == [None, "consent"]


def test_other_scopes_of_the_same_tool_begin_anew(scene, page):
    scene.upstream.on("files", NEEDS_FILES)
    for _ in range(2):
        page.consent_through(told(page.call("files")).url)
    assert told(page.call("files")).reason == "consent_failed"
    scene.upstream.on("files", refuse(403, 'Bearer error="insufficient_scope", scope="files.write"'))
    assert told(page.call("files")).reason == "consent_required"


# What no consent changes

ADMIN = {"error": "invalid_grant", "error_codes": [90094], "error_description": "AADSTS90094: an administrator has to grant it."}
BLOCKED = {"error": "interaction_required", "error_codes": [53000], "error_description": "AADSTS53000: the device is not compliant."}
FINAL = {
    "a bare 403": (Answer(403), "upstream_forbids", ""),
    "a bare 403 in words": (Answer(403, [("Content-Type", "text/plain")], b"no"), "upstream_forbids", "operator"),
    "a page with 403": (Answer(403, [("Content-Type", "text/html")], b"<h1>no</h1>"), "upstream_forbids", ""),
    "an administrator, told behind 403": (Answer(403, [JSON], b'{"error":"invalid_grant","error_codes":[90094],"error_description":"AADSTS90094: x"}'),
                                          "consent_blocked", "administrator"),
    "a policy, told behind 401": (Answer(401, [JSON], b'{"error":"interaction_required","error_codes":[53000],"error_description":"AADSTS53000: x"}'),
                                  "consent_blocked", "policy"),
}


@pytest.mark.parametrize("answer, reason, word", FINAL.values(), ids=FINAL.keys())
def test_a_refusal_that_no_consent_changes_is_told_as_one(scene, page, answer, reason, word):
    scene.upstream.on("files", lambda request: answer)
    asked = len(scene.provider.authorizations)
    for client, form in ((Client(page, LEGACY, URL_MODE), "toolResult"), (Client(page, MODERN, URL_MODE), "toolResult"), (Client(page, MODERN), "toolResult"), (None, "error")):
        got = (client or page).call("files")
        assert (got.status, told(got).form, told(got).reason) == (200 if client else 403, form, reason), got
        assert word in told(got).text
        nobody_is_asked(scene, page, got, asked)


def test_a_bare_403_of_another_method_is_an_error(scene, page):
    scene.upstream.on_method("resources/read", Answer(403))
    answer = Client(page, MODERN, URL_MODE).rpc("resources/read", {"uri": "a:b"})
    assert answer.status == 200 and answer.json()["error"]["code"] == 1008 and told(answer).reason == "upstream_forbids"


def test_a_bare_403_where_no_mcp_is_spoken_passes(scene, page):
    scene.upstream.on_method("GET", Answer(403, [("Content-Type", "text/html")], b"<h1>no</h1>"))
    answer = page.request("GET", "/app/x")
    assert (answer.status, answer.body) == (403, b"<h1>no</h1>")


PROVIDER_FAULTS = {
    "an administrator has to": (ADMIN, "consent_blocked", "administrator", (200, 403)),
    "a policy forbids it": (BLOCKED, "consent_blocked", "policy", (200, 403)),
    "the client is refused": ({"error": "invalid_client"}, "provider_misconfigured", "", (502, 502)),
}


@pytest.mark.parametrize("fault, reason, word, statuses", PROVIDER_FAULTS.values(), ids=PROVIDER_FAULTS.keys())
def test_a_provider_that_says_so_is_not_asked_again_with_the_user(scene, page, fault, reason, word, statuses):
    scene.upstream.on("files", refuse(401, 'Bearer error="invalid_token"'))
    provider = scene.provider
    client = Client(page, MODERN, URL_MODE)
    asked = len(provider.authorizations)
    provider.refresh_mode = fault["error"]
    provider.error = lambda name, status=400, **more: provider.json(fault, status)
    try:
        answers = [client.call("files"), page.call("files")]
    finally:
        provider.refresh_mode = "ok"
        del provider.error
    for answer, status in zip(answers, statuses):
        assert answer.status == status and told(answer).reason == reason and word in told(answer).text, answer
        nobody_is_asked(scene, page, answer, asked)
    assert page.signed_in, "the session goes on"


def test_an_invalid_client_of_the_upstreams_is_the_upstreams_business(scene, page):
    reply = rpc_error(-32001, "invalid_client", {"error": "invalid_client"})
    scene.upstream.on("files", reply)
    answer = Client(page).call("files")
    assert answer.body == reply(scene.upstream.last).body


# What the upstream itself lacks

def test_the_upstreams_own_link_is_shown_on_our_page(scene, page):
    judge = Guarded(None, FOUNDRY)
    scene.upstream.on("files", judge)
    client = Client(page, path="/link")
    question = told(client.call("files"))
    assert question.reason == "consent_required" and LINK not in question.text, "the way leads over our page"
    asked = len(scene.provider.authorizations)
    shown = page.open_link(question.url)
    assert shown.status == 200 and 'href="https://connect.example/start?user=7&amp;x=%3C1%3E"' in shown.text, shown.text
    assert "<strong>Files</strong>" in shown.text and "I have done it" in shown.text and 'value="continue"' not in shown.text
    assert 'rel="noopener noreferrer"' in shown.text
    judge.open = True
    assert page.decide(question.url, "done").status == 303
    assert text_of(client.call("files")) == "done"
    assert len(scene.provider.authorizations) == asked, "the provider has nothing to do with it"


def test_having_done_it_lets_a_held_call_through(scene):
    judge = Guarded(None, FOUNDRY)
    scene.upstream.on("files", judge)
    client = scene.client(path="/link", proxy=scene.holding)
    question = told(client.call("files"))
    with client.open("files") as held:
        judge.open = True
        client.visitor.decide(question.url, "done")
        assert text_of(held.last()) == "done"
    assert len(judge.ran) == 1


def test_having_done_it_without_doing_it_is_asked_about_again(scene, page):
    scene.upstream.on("files", FOUNDRY)
    client = Client(page, path="/link")
    first = told(client.call("files"))
    page.decide(first.url, "done")
    second = told(client.call("files"))
    assert second.reason == "consent_required" and second.url != first.url


@pytest.mark.parametrize("decision", ["continue", "decline", "", "anything"])
def test_nothing_else_on_that_page_counts_as_done(scene, page, decision):
    scene.upstream.on("files", FOUNDRY)
    question = told(Client(page, path="/link").call("files"))
    asked = len(scene.provider.authorizations)
    assert page.decide(question.url, decision).status in (400, 403)
    assert len(scene.provider.authorizations) == asked


def test_done_means_nothing_on_a_page_that_leads_to_the_provider(scene, page):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("files", judge)
    question = told(page.call("files"))
    page.decide(question.url, "done")
    assert told(page.call("files")).reason == "consent_required" and judge.ran == []


HOSTILE = ["https://evil.example/c", "https://connect.example.evil.example/", "https://connect.example@evil.example/", "http://connect.example/c",
           "javascript:alert(1)", "//connect.example/c", "https://sub.connect.example/", "data:text/html,x"]


@pytest.mark.parametrize("link", HOSTILE)
def test_a_link_to_anywhere_else_is_never_shown(scene, page, link):
    scene.upstream.on("files", rpc_error(-32001, "x", {"error": "consent_required", "consent_url": link}))
    for client in (Client(page, MODERN, URL_MODE, path="/link"), Client(page, path="/link")):
        answer = client.call("files")
        question = told(answer)
        assert link not in answer.text
        if question.reason == "consent_required":
            assert link not in page.open_link(question.url).text
        else:
            assert question.reason == "downstream_consent_required"


def test_links_to_an_unknown_host_end_in_a_denial(scene, page):
    scene.upstream.on("files", rpc_error(-32006, "https://evil.example/start"))
    answer = Client(page, path="/link").call("files")
    assert told(answer).form == "toolResult" and told(answer).reason == "downstream_consent_required" and "operator" in told(answer).text


@pytest.mark.parametrize("path", ["/deny", "/mcp"])
def test_without_a_way_to_help_the_user_is_told_so(scene, page, path):
    scene.upstream.on("files", FOUNDRY)
    asked = len(scene.provider.authorizations)
    for answer, status in ((Client(page, MODERN, URL_MODE, path=path).call("files"), 200), (page.call("files", path=path), 403)):
        assert answer.status == status and told(answer).reason == "downstream_consent_required"
        assert "connect.example" not in answer.text
        nobody_is_asked(scene, page, answer, asked)


# Forms of an operator's own

FORMS = {
    "structured": tool_error(OWN_FORM),
    "as text alone": lambda request: Answer(200, [JSON], result(request, json.dumps(OWN_FORM))),
    "structured, as an event": as_event(tool_error(OWN_FORM)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_form_of_the_operators_own_is_understood(scene, page, form):
    judge = Guarded("mail.read", form)
    scene.upstream.on("files", judge)
    client = Client(page, path="/rule")
    question = told(client.call("files"))
    assert question.reason == "consent_required" and question.data["scopes"] == ["files.read", "mail.read"]
    page.consent_through(question.url)
    assert {"files.read", "mail.read", "mcp.use"} <= set(scene.provider.authorizations[-1]["scope"].split())
    assert text_of(client.call("files")) == "done"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_form_that_is_said_to_be_unexecuted_is_held_and_sent_again(scene, form):
    judge = Guarded("mail.read", form)
    scene.upstream.on("files", judge)
    client = scene.client(path="/rule", proxy=scene.holding)
    question = told(client.call("files"))
    with client.open("files") as held:
        client.visitor.consent_through(question.url)
        assert text_of(held.last()) == "done"
    assert len(judge.ran) == 1


def test_the_link_of_a_form_of_the_operators_own_is_shown(scene, page):
    scene.upstream.on("files", tool_error(OWN_FORM))
    question = told(Client(page, path="/rule-link").call("files"))
    assert OWN_FORM["consentUrl"] in page.open_link(question.url).text


def test_scopes_of_the_upstreams_own_are_asked_for_along_with_ours_where_combined(scene, page):
    scene.upstream.on("files", tool_error(OWN_FORM))
    question = told(Client(page, path="/rule-both").call("files"))
    assert question.data["scopes"] == ["files.read", "mail.read"]
    page.consent_through(question.url)
    assert {"files.read", "mail.read", "mcp.use"} <= set(scene.provider.authorizations[-1]["scope"].split())
    assert told(Client(page, path="/rule-deny").call("files")).reason == "downstream_consent_required"


def test_the_same_form_without_a_rule_is_as_good_as_its_words(scene, page):
    # The code is a well-known one; a successful result is never looked into without a rule.
    form = FORMS["as text alone"]
    scene.upstream.on("files", form)
    assert Client(page).call("files").body == form(scene.upstream.last).body
