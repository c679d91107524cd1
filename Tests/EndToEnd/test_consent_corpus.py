"""Every demand of the corpus, in every place where it can stand, told to every kind of caller: acted upon, or passed byte for byte."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from support.http import Response
from support.scene import Scene
from support.server import Answer, Request
from support.upstream import EVENTS, JSON, event, message, message_id
from support.visitor import LEGACY, MODERN, URL_MODE, Client, Told, told

CORPUS = Path(__file__).resolve().parents[1] / "Corpus" / "consent"
MESSAGES = ("rpc_error", "tool_result", "result")
PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1, "message": "consent_required"}}
PROVIDER = "https://login.example"


@dataclass
class Fixture:
    name: str
    json: dict

    @property
    def kind(self) -> str:
        return self.json["kind"]

    @property
    def status(self) -> int:
        return self.json.get("status", 200)

    @property
    def expect(self) -> dict | None:
        return self.json["expect"]

    @property
    def path(self) -> str:
        """Its own route where it needs a configuration of its own."""
        return f"/{self.name}" if "rules" in self.json else "/mcp"

    @cached_property
    def places(self) -> list[str]:
        match self.kind:
            case "header":
                return ["header"]
            case "body":
                return ["JSON", "gzip"]
            case "event":
                return ["event", "later event", "zipped event"]
        return ["JSON", "gzip", "event", "later event", "zipped event"]

    def payload(self, request: Request, provider: str) -> bytes:
        """The message, with links to the provider leading to ours."""
        body = self.json.get("payload")
        if self.kind in MESSAGES:
            body = {"jsonrpc": "2.0", "id": message_id(request), "error" if self.kind == "rpc_error" else "result": body}
        text = "" if body is None else json.dumps(body)
        return (text.replace(PROVIDER, provider) if "provider_origins" in self.json else text).encode()

    def answer(self, request: Request, place: str, provider: str) -> Answer:
        if place == "header":
            return Answer(self.status, [JSON] + [("WWW-Authenticate", line) for line in self.json["headers"]], b'{"error":"refused"}')
        body = self.payload(request, provider)
        if place == "JSON":
            return Answer(self.status, [JSON], body)
        if place == "gzip":
            return Answer(self.status, [JSON, ("Content-Encoding", "gzip")], gzip.compress(body, mtime=0))
        kind = self.json.get("event", "message") if self.kind == "event" else "message"
        ahead = [event(PROGRESS), b": still there\n\n"] if place == "later event" else []
        pieces = ahead + [event(body.decode(), event=kind)]
        if place == "zipped event":
            return Answer(200, [EVENTS, ("Content-Encoding", "gzip")], gzip.compress(b"".join(pieces), mtime=0))
        return Answer(200, [EVENTS], pieces=[(0, piece) for piece in pieces])


FIXTURES = [Fixture(path.stem, content) for path in sorted(CORPUS.glob("*.json"))
            if (content := json.loads(path.read_text()))["kind"] != "token_endpoint"]
CASES = [(fixture, place) for fixture in FIXTURES for place in fixture.places]
STREAMS = ("event", "later event", "zipped event")
CALLERS = ("script", "2025 with links", "2026 with links", "2026 without")


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    codes = sorted({code for fixture in FIXTURES for code in fixture.json.get("consent_codes", [])})
    with Scene(binary, background, tmp_path_factory.mktemp("corpus")) as one:
        one.proxy({"consent": {"codes": codes}, "routes": [one.route("/mcp")] + [
            one.route(fixture.path, consent_rules=fixture.json["rules"]) for fixture in FIXTURES if "rules" in fixture.json]})
        one.answers = {}

        def answer(request: Request) -> Answer:
            name, place, _ = message(request)["params"]["name"].split("--")
            made = one.answers[name](request, place, one.provider.origin)
            one.sent = made
            return made
        one.upstream.on_method("tools/call", answer)
        one.answers = {fixture.name: fixture.answer for fixture in FIXTURES}
        yield one


@pytest.fixture(scope="module")
def harvey(scene):
    return scene.visitor(user="harvey")


@pytest.fixture(scope="module")
def sessions(harvey):
    """The sessions of 2025, one a route."""
    return {}


def call(harvey, sessions: dict, caller: str, fixture: Fixture, place: str) -> Response:
    # A call of its own for each case: one that comes again would be held.
    tool = f"{fixture.name}--{place}--{caller}"
    headers = {"Accept-Encoding": "gzip"}
    match caller:
        case "script":
            return harvey.call(tool, path=fixture.path, headers=headers)
        case "2025 with links":
            if fixture.path not in sessions:
                sessions[fixture.path] = Client(harvey, LEGACY, URL_MODE, fixture.path)
            return sessions[fixture.path].call(tool, headers=headers)
    return Client(harvey, MODERN, URL_MODE if "links" in caller else {}, fixture.path).call(tool, headers=headers)


def told_of(answer: Response) -> Told:
    """What the last event or the body says; events ahead of it must have passed."""
    if answer.header("content-type") == "text/event-stream":
        return told(json.loads([line[5:] for line in answer.text.splitlines() if line.startswith("data:")][-1]))
    return told(answer)


def outcome(fixture: Fixture, place: str, caller: str) -> str:
    """What has to become of it: pass, login, deny, ask, or link (the upstream's own, in the client's form)."""
    expect = fixture.expect
    if expect is None:
        # A token that is refused without saying more is refreshed; when the next one is refused too, only a sign-in is left.
        return "login" if fixture.status == 401 and fixture.kind in ("header", "body") else "pass"
    if expect["kind"] == "reauth":
        return "ask" if expect["scopes"] else "login"
    if expect["kind"] in ("admin_consent", "declined", "blocked", "transient", "config"):
        return "pass"
    if expect["code"] == "-32042":
        if caller == "2025 with links":
            return "pass"
        if caller == "2026 with links" and expect["links"]:
            return "link"
    if expect["code"] == "input_required" and caller == "2026 with links":
        return "pass"
    return "ask" if expect["repairable"] else "deny"


FORMS = {"script": "error", "2025 with links": "urlElicitation", "2026 with links": "inputRequired", "2026 without": "toolResult"}


def as_it_was_sent(answer: Response, sent: Answer) -> bool:
    """Whether an answer passed byte for byte; a stream that is looked into loses its coding."""
    body = b"".join(piece for _, piece in sent.pieces) if sent.pieces else sent.body
    if EVENTS in sent.fields and ("Content-Encoding", "gzip") in sent.fields:
        body = gzip.decompress(body)
    return (answer.status, answer.body) == (sent.status, body)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("fixture, place", CASES, ids=[f"{fixture.name} as {place}" for fixture, place in CASES])
def test_the_corpus_is_acted_upon_as_it_says(scene, harvey, sessions, fixture, place, caller):
    answer = call(harvey, sessions, caller, fixture, place)
    wanted = outcome(fixture, place, caller)
    if wanted == "pass":
        assert as_it_was_sent(answer, scene.sent), answer
        return
    question = told_of(answer)
    assert answer.header("content-encoding") is None
    assert answer.text.count('"notifications/progress"') == (place == "later event"), "what came ahead has passed"
    assert question.message["id"] == (None if fixture.kind == "event" else 1)
    if wanted == "login":
        assert answer.status == 401 and question.reason == "login_required", answer
        return
    assert answer.all("www-authenticate") == []
    assert answer.status == (403 if caller == "script" and place not in STREAMS else 200), answer
    if wanted == "link":
        assert question.form == "inputRequired" and question.url == fixture.expect["link"].replace(PROVIDER, scene.provider.origin), answer
    elif wanted == "deny":
        assert question.reason == "downstream_consent_required" and "/auth/continue" not in answer.text, answer
        assert question.form == ("error" if caller == "script" else "toolResult"), answer
    else:
        assert question.reason == "consent_required" and question.data["scopes"] == fixture.expect["scopes"], answer
        assert question.form == FORMS[caller] and question.url.startswith(f"{harvey.url}/auth/continue?i="), answer
        kept = caller == "script" and fixture.expect["unexecuted"]
        assert question.data.get("kept", False) is kept or place in STREAMS, answer


def test_the_corpus_is_all_there():
    assert len(FIXTURES) >= 90 and len(CASES) >= 200
    assert {fixture.kind for fixture in FIXTURES} == {"header", "body", "event", *MESSAGES}


@pytest.mark.parametrize("fixture", [fixture for fixture in FIXTURES if fixture.expect and fixture.expect["claims"]], ids=lambda fixture: fixture.name)
def test_demanded_claims_of_the_corpus_reach_the_provider_as_they_were_meant(scene, harvey, fixture):
    question = told(harvey.call(f"{fixture.name}--{fixture.places[0]}--claims", path=fixture.path))
    harvey.consent_through(question.url)
    asked = json.loads(scene.provider.authorizations[-1]["claims"])
    assert asked["access_token"].items() >= json.loads(fixture.expect["claims"])["access_token"].items()


@pytest.mark.parametrize("fixture", [fixture for fixture in FIXTURES if fixture.expect and fixture.expect["kind"] == "step_up"], ids=lambda fixture: fixture.name)
def test_demanded_contexts_of_the_corpus_reach_the_provider(scene, harvey, fixture):
    question = told(harvey.call(f"{fixture.name}--{fixture.places[0]}--context", path=fixture.path))
    harvey.open_link(question.url)
    answer = harvey.decide(question.url)
    assert answer.status == 303
    scene.provider.approve(answer.location, "harvey")
    asked, expect = scene.provider.authorizations[-1], fixture.expect
    assert asked.get("acr_values", "").split() == expect["acr_values"]
    assert asked.get("max_age") == (None if expect["max_age"] is None else str(expect["max_age"]))
