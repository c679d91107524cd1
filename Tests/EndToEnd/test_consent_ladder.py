"""Consent is asked for in the way that suits the caller: from a redirect down to a plain status, whatever form the upstream refused in."""

from __future__ import annotations

import json
import re

import pytest

from support.scene import Scene
from support.server import Answer
from support.upstream import JSON, Guarded, as_event, good, refuse, rpc_error, tool_error
from support.visitor import (
    CONSENT_INPUT, CONSENT_META, INITIALIZE, LEGACY, MODERN, URL_MODE, Client, local_path, told,
)

APP = "https://app.example"
NEEDS_FILES = refuse(403, 'Bearer error="insufficient_scope", scope="files.read"')


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    with Scene(binary, background, tmp_path_factory.mktemp("ladder")) as one:
        settings = {"routes": [one.route("/mcp"), one.route("/app", mcp=False)], "csrf": {"allowed_origins": [APP]}}
        one.by_status = {status: one.proxy(settings | {"consent": {"hold": "0s"} | ({} if status == 403 else {"script_status": status})})
                         for status in (403, 401, 200)}
        one.upstream.on("files", NEEDS_FILES)
        yield one


@pytest.fixture(scope="module")
def harvey(scene):
    return scene.visitor(user="harvey")


@pytest.fixture(scope="module")
def clients(harvey):
    return {
        "2025 with links": Client(harvey, LEGACY, URL_MODE),
        "2025 with forms": Client(harvey, LEGACY, {"elicitation": {}}),
        "2025 without": Client(harvey, LEGACY),
        "2026 with links": Client(harvey, MODERN, URL_MODE),
        "2026 with forms": Client(harvey, MODERN, {"elicitation": {"form": {}}}),
        "2026 without": Client(harvey, MODERN),
    }


FORMS = {
    "2025 with links": "urlElicitation", "2025 with forms": "toolResult", "2025 without": "toolResult",
    "2026 with links": "inputRequired", "2026 with forms": "toolResult", "2026 without": "toolResult",
}


def of_this_origin(visitor, link: str) -> str:
    """A link as it must be: of this origin, an id and nothing else."""
    path = local_path(visitor, link)
    assert re.fullmatch(r"/auth/continue\?i=[A-Za-z0-9_-]{22,64}", path), path
    return link


# Each rung, to the letter

def test_a_page_that_navigates_is_sent_to_the_provider(scene, harvey):
    scene.upstream.on_method("GET", NEEDS_FILES)
    answer = harvey.navigate("/app/report")
    assert answer.status == 303 and answer.location.startswith(scene.provider.origin + "/authorize?"), answer
    assert "files.read" in answer.location and "no-store" in answer.header("cache-control")


@pytest.mark.parametrize("status", [403, 401])
def test_a_page_script_gets_a_structured_answer_with_the_configured_status(scene, status):
    visitor = scene.visitor(scene.by_status[status])
    answer = visitor.call("files", id=41)
    assert answer.status == status and answer.location is None
    assert answer.header("content-type") == "application/json" and "no-store" in answer.header("cache-control")
    body = answer.json()
    data = body["error"]["data"]
    assert body == {"jsonrpc": "2.0", "id": 41, "error": {
        "code": 1002, "message": "The server `/mcp` needs your consent for `files`: `files.read`.", "data": {
            "reason": "consent_required", "scopes": ["files.read"], "interaction_url": of_this_origin(visitor, data["interaction_url"]),
            "kind": "consent", "tool": "files", "kept": True, "request_id": answer.header("x-request-id")}}}
    # A 401 has to name a scheme (RFC 9110 §11.6.1); none of the upstream's.
    assert len(answer.all("www-authenticate")) == (status == 401), answer


def test_a_page_script_may_get_what_an_mcp_client_gets(scene):
    visitor = scene.visitor(scene.by_status[200])
    for capabilities, form in ((URL_MODE, "inputRequired"), ({}, "toolResult")):
        answer = visitor.call("files", capabilities=capabilities)
        assert answer.status == 200 and told(answer).form == form, answer


def test_a_page_script_gets_200_where_no_mcp_is_spoken_as_well(scene):
    scene.upstream.on_method("GET", NEEDS_FILES)
    answer = scene.visitor(scene.by_status[200]).request("GET", "/app/data")
    assert answer.status == 200 and told(answer).reason == "consent_required" and answer.json()["id"] is None


@pytest.mark.parametrize("status", [403, 401, 200])
def test_a_script_of_another_allowed_origin_can_read_the_answer(scene, status):
    visitor = scene.visitor(scene.by_status[status])
    answer = visitor.call("files", headers={"Origin": APP, "Sec-Fetch-Site": "cross-site"})
    assert answer.status == status and told(answer).data["scopes"] == ["files.read"]
    assert answer.all("access-control-allow-origin") == [APP]
    assert answer.header("access-control-allow-credentials") == "true" and "Origin" in answer.header("vary")


@pytest.mark.parametrize("id", [7, 0, "seven", "7"])
def test_a_client_of_2025_that_shows_links_gets_the_error_made_for_it(clients, id):
    client = clients["2025 with links"]
    answer = client.call("files", id=id)
    body = answer.json()
    question = told(answer)
    assert answer.status == 200 and answer.header("content-type") == "application/json"
    assert type(body["id"]) is type(id)
    assert body == {"jsonrpc": "2.0", "id": id, "error": {"code": -32042, "message": question.text, "data": {
        "elicitations": [{"mode": "url", "elicitationId": question.elicitation, "url": of_this_origin(client.visitor, question.url),
                          "message": "The server `/mcp` needs your consent for `files`: `files.read`."}],
        "reason": "consent_required", "scopes": ["files.read"], "interaction_url": question.url, "kind": "consent", "tool": "files",
        "request_id": answer.header("x-request-id")}}}
    assert question.elicitation and question.elicitation not in question.url


@pytest.mark.parametrize("id", [7, "seven"])
def test_a_client_of_2026_that_shows_links_is_asked_for_input(clients, id):
    client = clients["2026 with links"]
    answer = client.call("files", id=id)
    body = answer.json()
    question = told(answer)
    assert answer.status == 200 and type(body["id"]) is type(id)
    assert body == {"jsonrpc": "2.0", "id": id, "result": {
        "resultType": "input_required", "requestState": question.state,
        "inputRequests": {CONSENT_INPUT: {"method": "elicitation/create", "params": {
            "mode": "url", "url": of_this_origin(client.visitor, question.url),
            "message": "The server `/mcp` needs your consent for `files`: `files.read`."}}},
        "_meta": {CONSENT_META: {"reason": "consent_required", "scopes": ["files.read"], "interaction_url": question.url,
                                 "kind": "consent", "tool": "files", "request_id": answer.header("x-request-id")}}}}
    assert "files" not in question.state and len(question.state) > 80


@pytest.mark.parametrize("kind", ["2025 with forms", "2025 without", "2026 with forms", "2026 without"])
def test_a_client_that_cannot_show_links_gets_a_result_that_can_be_read(clients, kind):
    client = clients[kind]
    answer = client.call("files", id="a")
    body = answer.json()
    question = told(answer)
    assert answer.status == 200
    result = {} if "2025" in kind else {"resultType": "complete"}
    text = f"The server `/mcp` needs your consent for `files`: `files.read`. Open this link, agree there, then try again: {question.url}"
    assert body == {"jsonrpc": "2.0", "id": "a", "result": result | {
        "content": [{"type": "text", "text": text}], "isError": True,
        "_meta": {CONSENT_META: {"reason": "consent_required", "scopes": ["files.read"],
                                 "interaction_url": of_this_origin(client.visitor, question.url), "kind": "consent", "tool": "files",
                                 "request_id": answer.header("x-request-id")}}}}


@pytest.mark.parametrize("version", ["2025-06-18", "2025-03-26"])
def test_the_error_of_2025_goes_to_no_older_session(clients, version):
    answer = clients["2025 with links"].call("files", headers={"MCP-Protocol-Version": version})
    assert told(answer).form == "toolResult", answer


NAMED = {"tools/call": {"name": "files"}, "prompts/get": {"name": "files"}, "resources/read": {"uri": "files"}}


@pytest.mark.parametrize("method", NAMED)
def test_a_modern_client_is_asked_for_input_where_the_protocol_allows_it(scene, clients, method):
    scene.upstream.on_method(method, NEEDS_FILES)
    answer = clients["2026 with links"].rpc(method, NAMED[method])
    assert told(answer).form == "inputRequired" and told(answer).data["tool"] == "files", answer
    plain = clients["2026 without"].rpc(method, NAMED[method])
    assert told(plain).form == ("toolResult" if method == "tools/call" else "error"), plain


@pytest.mark.parametrize("kind, method", [
    ("2026 with links", "tools/list"), ("2026 with links", "server/discover"), ("2026 with links", "resources/list"), ("2026 without", "tools/list"),
    ("2025 without", "tools/list"), ("2025 without", "prompts/list"), ("2025 with links", "initialize"), ("2025 without", "initialize"),
])
def test_other_methods_end_in_an_error_of_our_own(scene, clients, harvey, kind, method):
    scene.upstream.on_method(method, NEEDS_FILES)
    try:
        if method == "initialize":
            # Nothing is negotiated yet: what the client declares in this very message does not count.
            answer = harvey.rpc(method, INITIALIZE | {"capabilities": clients[kind].capabilities}, era=LEGACY, kind="client", id=9)
        else:
            answer = clients[kind].rpc(method, id=9)
    finally:
        scene.upstream.on_method(method)
    question = told(answer)
    assert answer.status == 200 and answer.json()["id"] == 9
    assert question.form == "error" and question.message["error"]["code"] == 1002
    assert question.reason == "consent_required" and question.data["scopes"] == ["files.read"]
    of_this_origin(harvey, question.url)


def test_other_methods_of_a_session_that_knows_links_get_the_error_made_for_them(scene, clients):
    scene.upstream.on_method("tools/list", NEEDS_FILES)
    try:
        assert told(clients["2025 with links"].rpc("tools/list")).form == "urlElicitation"
    finally:
        scene.upstream.on_method("tools/list")


def test_a_notification_has_no_answer_to_put_it_into(scene, clients):
    scene.upstream.on_method("notifications/progress", NEEDS_FILES)
    answer = clients["2025 with links"].rpc("notifications/progress", {"progressToken": 1, "progress": 1}, id=None)
    assert answer.status == 403 and answer.location is None, answer


# Every form of refusing × every caller

CLAIMS = json.dumps({"access_token": {"acrs": {"essential": True, "value": "c1"}}})
REFUSALS = {
    "a challenge for scopes": NEEDS_FILES,
    "a challenge for claims": refuse(401, "Bearer error=\"insufficient_claims\", claims=\"" + CLAIMS.replace('"', '\\"') + '", scope="files.read"'),
    "a tool result": tool_error({"error": "consent_required", "scope": "files.read"}),
    "an event": as_event(tool_error({"error": "consent_required", "scope": "files.read"})),
    "a JSON-RPC error": rpc_error(-32001, "no", {"error": "consent_required", "scope": "files.read"}),
    "a JSON-RPC error in an event": as_event(rpc_error(-32001, "no", {"error": "consent_required", "scope": "files.read"})),
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_the_caller_decides_about_the_form_of_the_question_not_the_upstream(scene, clients, refusal, kind):
    scene.upstream.on("other", refusal)
    answer = clients[kind].call("other", id="x")
    question = told(answer)
    assert answer.status == 200 and question.message["id"] == "x"
    assert (question.form, question.reason, question.data["scopes"]) == (FORMS[kind], "consent_required", ["files.read"])
    of_this_origin(clients[kind].visitor, question.url)


ELICITATION = {"mode": "url", "elicitationId": "e-1", "url": "https://github.example/authorize?client_id=x", "message": "Connect your account"}
OWN_ELICITATION = rpc_error(-32042, "Authorization needed", {"elicitations": [ELICITATION]})


@pytest.mark.parametrize("wrap", [lambda inner: inner, as_event], ids=["JSON", "event"])
def test_an_elicitation_of_the_upstreams_own_goes_to_those_who_understand_it(scene, clients, harvey, wrap):
    scene.upstream.on("github", wrap(OWN_ELICITATION))
    untouched = clients["2025 with links"].call("github")
    expected = wrap(OWN_ELICITATION)(scene.upstream.last)
    assert untouched.body == (expected.body or b"".join(piece for _, piece in expected.pieces))
    bridged = told(clients["2026 with links"].call("github"))
    assert bridged.form == "inputRequired" and bridged.url == ELICITATION["url"] and bridged.state
    for kind in ("2025 with forms", "2025 without", "2026 with forms", "2026 without"):
        answer = clients[kind].call("github")
        assert told(answer).form == "toolResult" and told(answer).reason == "downstream_consent_required", answer
        assert "-32042" not in answer.text and "github.example" not in answer.text
    script = harvey.call("github")
    assert "-32042" not in script.text and told(script).reason == "downstream_consent_required"


def test_a_modern_client_goes_through_the_upstreams_own_elicitation(scene, clients):
    judge = Guarded(None, OWN_ELICITATION)
    scene.upstream.on("github", judge)
    client = clients["2026 with links"]
    question = told(client.call("github"))
    judge.open = True
    answer = client.call("github", input={"requestState": question.state, "inputResponses": {CONSENT_INPUT: {"action": "accept"}}})
    assert answer.json()["result"]["content"][0]["text"] == "done", answer
    assert b"requestState" not in judge.ran[0].body and b"inputResponses" not in judge.ran[0].body


def test_several_links_of_the_upstream_are_all_asked_for(scene, clients):
    second = ELICITATION | {"elicitationId": "e-2", "url": "https://mail.example/connect"}
    scene.upstream.on("github", rpc_error(-32042, "Authorization needed", {"elicitations": [ELICITATION, second]}))
    requests = clients["2026 with links"].call("github").json()["result"]["inputRequests"]
    assert [request["params"]["url"] for request in requests.values()] == [ELICITATION["url"], second["url"]]
    assert all(request["method"] == "elicitation/create" and request["params"]["mode"] == "url" for request in requests.values())


# Where no other token is to be had

CLAIMED = refuse(401, "Bearer error=\"insufficient_claims\", claims=\"" + CLAIMS.replace('"', '\\"') + '"')


def test_scopes_named_with_a_refused_token_are_asked_for_however_often_it_is_sent(scene):
    scene.upstream.on("read", Guarded("files.read", refuse(401, 'Bearer error="invalid_token", scope="mcp.use files.read"')))
    client = scene.client(MODERN)
    for _ in range(3):
        question = told(client.call("read"))
        assert question.reason == "consent_required" and question.data["scopes"] == ["mcp.use", "files.read"]
    client.visitor.consent_through(question.url)
    assert client.call("read").json()["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("case", ["none was given", "it is dead"])
def test_claims_that_no_refresh_can_bring_are_asked_of_the_user(scene, case):
    provider = scene.provider
    scene.upstream.on("read", judge := Guarded(None, CLAIMED))
    plain = type(provider).tokens
    if case == "none was given":
        provider.tokens = lambda *args: {name: value for name, value in plain(provider, *args).items() if name != "refresh_token"}
    else:
        provider.refresh_mode = "invalid_grant"
    try:
        client = scene.client(MODERN)
        question = told(client.call("read"))
        assert question.reason == "consent_required", question
        client.visitor.consent_through(question.url)
        assert json.loads(provider.authorizations[-1]["claims"])["access_token"]["acrs"]["value"] == "c1"
    finally:
        provider.refresh_mode = "ok"
        provider.__dict__.pop("tokens", None)
    judge.open = True
    assert client.call("read").json()["result"]["content"][0]["text"] == "done"


# The link

@pytest.mark.parametrize("kind", FORMS)
def test_every_round_has_a_link_of_its_own(clients, kind):
    questions = [told(clients[kind].call("files")) for _ in range(4)]
    assert len({question.url for question in questions}) == 4
    for question in questions:
        link = of_this_origin(clients[kind].visitor, question.url)
        assert not re.search("harvey|files|subject|CANARY", link)
    if FORMS[kind] == "urlElicitation":
        assert len({question.elicitation for question in questions}) == 4


@pytest.mark.parametrize("kind", FORMS)
def test_whichever_form_the_link_came_in_the_call_goes_through_after_it(scene, kind):
    judge = Guarded("files.read", NEEDS_FILES)
    scene.upstream.on("read", judge)
    era, capabilities = (LEGACY if "2025" in kind else MODERN), {"with links": URL_MODE, "with forms": {"elicitation": {}}, "without": {}}[kind[5:]]
    client = scene.client(era, capabilities)
    question = told(client.call("read"))
    assert client.visitor.consent_through(question.url).status == 303
    input = {"requestState": question.state, "inputResponses": {CONSENT_INPUT: {"action": "accept"}}} if question.state else None
    assert client.call("read", input=input).json()["result"]["content"][0]["text"] == "done"
    assert len(judge.ran) == 1


def test_names_from_outside_cannot_become_links_or_markup(scene, clients):
    evil = "x`](https://evil.example)"
    scene.upstream.on(evil, lambda request: Answer(403, [JSON, ("WWW-Authenticate", 'Bearer error="insufficient_scope", scope="[a](b:c)"')], b"{}"))
    text = told(clients["2026 without"].call(evil, headers={"Mcp-Name": evil})).text
    assert "](" not in text and text.count("`") % 2 == 0, text
    scene.upstream.on(evil, good)
