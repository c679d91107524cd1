"""Consent end to end: the official SDK's server asks for it in many dialects, the official SDKs' clients are told, and the call goes through."""

from __future__ import annotations

import asyncio
import json
import queue
import re
import subprocess
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

from processes import wait_until
from provider import FILES_SCOPE
from proxy import ROOT
from support import http
from support.visitor import Visitor

SDK1 = ROOT / ".build" / "venv-mcp1" / "bin" / "python"
MODERN = "2026-07-28"
URL_ELICITATION_REQUIRED = -32042


# Clients

@dataclass
class Heard:
    """What a call ended with: `{"result": …}` or `{"error": …}` as on the wire."""

    message: dict

    @property
    def done(self) -> bool:
        return "result" in self.message and not self.message["result"].get("isError")

    @property
    def text(self) -> str:
        return "\n".join(part.get("text", "") for part in self.message.get("result", {}).get("content", []))

    @property
    def reason(self) -> str | None:
        """What programs go by."""
        if "error" in self.message:
            return (self.message["error"].get("data") or {}).get("reason")
        return ((self.message["result"].get("_meta") or {}).get("coatcheck/consent") or {}).get("reason")

    @property
    def link(self) -> str | None:
        """The first link to open."""
        found = re.search(r'http://127\.0\.0\.1:\d+/(?:auth/continue|allow)\?i=[\w-]+', json.dumps(self.message))
        return found and found.group()


class Sdk2:
    """A session of the 2.x client on the background loop. `asked` are the links its user was asked to open."""

    def __init__(self, background, url: str, cookie: str, mode: str, elicits: bool):
        self.loop, self.url, self.cookie, self.mode, self.elicits = background.loop, url, cookie, mode, elicits
        self.asked: queue.Queue[str] = queue.Queue()
        # What the user does before the client goes on, and says to being asked.
        self.on_asked = lambda link: None
        self.action = "accept"
        self.over = asyncio.Event()
        ready: Future = Future()
        self.life = asyncio.run_coroutine_threadsafe(self._live(ready), self.loop)
        self.life.add_done_callback(lambda life: ready.done() or ready.set_exception(life.exception() or RuntimeError("the session ended")))
        self.client: Client = ready.result(15)

    async def _live(self, ready: Future) -> None:
        async with httpx2.AsyncClient(headers={"Cookie": self.cookie}, timeout=40) as web:
            async with Client(streamable_http_client(self.url, http_client=web), mode=self.mode,
                              elicitation_callback=self._elicit if self.elicits else None) as client:
                ready.set_result(client)
                await self.over.wait()

    async def _elicit(self, context, params) -> ElicitResult:
        self.asked.put(params.url)
        await asyncio.to_thread(self.on_asked, params.url)
        return ElicitResult(action=self.action)

    async def _heard(self, call) -> Heard:
        try:
            result = await call
        except MCPError as error:
            return Heard({"error": error.error.model_dump(mode="json", by_alias=True)})
        return Heard({"result": result.model_dump(mode="json", by_alias=True)})

    def start(self, tool: str, **arguments) -> Future:
        return asyncio.run_coroutine_threadsafe(self._heard(self.client.call_tool(tool, arguments)), self.loop)

    def read(self, uri: str) -> Future:
        return asyncio.run_coroutine_threadsafe(self._heard(self.client.read_resource(uri)), self.loop)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.life.result(10)


class Sdk1:
    """A session of the 1.x client, in the one process that runs it."""

    def __init__(self, process: subprocess.Popen, pool: ThreadPoolExecutor, url: str, cookie: str, elicits: bool):
        self.process, self.pool = process, pool
        opened = self._order({"open": url, "cookie": cookie, "elicits": elicits})
        assert opened == {"open": True}, opened

    def _order(self, order: dict) -> dict:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, tool: str, **arguments) -> Future:
        return self.pool.submit(lambda: Heard(self._order({"tool": tool, "arguments": arguments})))

    def close(self) -> None:
        closed = self._order({"close": True})
        assert closed == {"closed": True}, closed


@dataclass(frozen=True)
class Kind:
    """A kind of client: how it is told, and whether it calls again by itself."""

    sdk: int
    mode: str
    elicits: bool

    def __str__(self) -> str:
        return f"{'2.3.0 ' + self.mode if self.sdk == 2 else '1.30.0'}{' with a handler' if self.elicits else ''}"

    @property
    def calls_again(self) -> bool:
        return self.mode == MODERN and self.elicits


KINDS = [Kind(2, "legacy", False), Kind(2, "legacy", True), Kind(2, MODERN, False), Kind(2, MODERN, True), Kind(1, "legacy", False), Kind(1, "legacy", True)]
PLAIN, CALLS_AGAIN = Kind(2, MODERN, False), Kind(2, MODERN, True)

# Refused before MCP saw it, or by the SDK's own means; the last ones with a link of the server's own.
CHALLENGED = ["challenge", "sdk_middleware", "claims", "identity_web", "step_up"]
RAISED = ["rpc_error", "tool_result", "tool_raises", "tool_meta"]
LINKED = ["foundry", "elicitation"]


@pytest.fixture(scope="module")
def sdk1_process():
    process = subprocess.Popen([SDK1, Path(__file__).parent / "sdk1_client.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with ThreadPoolExecutor(1) as pool:
        yield process, pool
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def connect(consent_stack, background, request):
    """Opens sessions of a kind of client with a visitor's cookie."""
    opened = []

    def make(kind: Kind, visitor: Visitor, path: str = "/mcp"):
        url = f"{visitor.url}{path}"
        if kind.sdk == 2:
            one = Sdk2(background, url, visitor.cookie, kind.mode, kind.elicits)
        else:
            one = Sdk1(*request.getfixturevalue("sdk1_process"), url, visitor.cookie, kind.elicits)
        opened.append(one)
        return one

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def sign_in(consent_stack):
    return lambda user="harvey", at=None: Visitor(at or consent_stack.proxy, consent_stack.provider, user).sign_in()


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex


# The user's part, and what is seen of it

def agree(visitor: Visitor, link: str) -> None:
    """Does in a browser what a link is for."""
    if not link.startswith(visitor.url):
        return open_own_link(link)
    page = visitor.open_link(link)
    assert page.status == 200, page
    if 'value="done"' in page.text:
        own = re.search(r'href="(http://127\.0\.0\.1:\d+/allow\?i=\w+)"', page.text).group(1)
        open_own_link(own)
        assert visitor.decide(link, "done").status == 303
    else:
        back = visitor.consent_through(link)
        assert back.status == 303, back


def open_own_link(link: str) -> None:
    parts = urlsplit(link)
    answer = http.request(f"{parts.scheme}://{parts.netloc}", "GET", f"{parts.path}?{parts.query}")
    assert answer.status == 200, answer


def held(stack) -> int:
    text = http.request(stack.proxy.admin_url, "GET", "/metrics").text
    return int(float(re.search(r"^coatcheck_calls_held_total (\S+)", text, re.MULTILINE).group(1)))


class Holds:
    """Waits until the proxy holds one more call than at the start."""

    def __init__(self, stack):
        self.stack, self.before = stack, held(stack)

    def wait(self, count: int = 1) -> None:
        wait_until(lambda: held(self.stack) >= self.before + count, f"{count} calls to be held", 10)


def counts(session, tag: str) -> dict:
    heard = session.start("count", tag=tag).result(10)
    assert heard.done, heard
    return heard.message["result"]["structuredContent"]


def told(kind: Kind, heard: Heard) -> str:
    """The link, from an answer in the client's own form."""
    assert not heard.done, heard
    if kind.elicits:
        assert heard.message.get("error", {}).get("code") == URL_ELICITATION_REQUIRED, heard
        asked = heard.message["error"]["data"]["elicitations"]
        assert len(asked) == 1 and asked[0]["mode"] == "url" and asked[0]["url"] == heard.link and asked[0]["elicitationId"], heard
        return heard.link
    assert heard.message.get("result", {}).get("isError"), heard
    assert heard.reason == "consent_required" and heard.link in heard.text, "a person can read the link, a program finds it"
    return heard.link


# The matrix

@pytest.mark.parametrize("dialect", CHALLENGED + RAISED + LINKED)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_client_is_told_and_the_call_goes_through_once(consent_stack, connect, sign_in, tag, kind, dialect):
    harvey = sign_in()
    session = connect(kind, harvey, "/linked" if dialect in LINKED else "/mcp")
    holds = Holds(consent_stack)
    if kind.calls_again:
        if dialect == "elicitation":
            # The server's own link reaches the client as it is; only the server knows when it was used.
            session.on_asked = lambda link: agree(harvey, link)
            heard = session.start(dialect, tag=tag).result(20)
            assert session.asked.get_nowait().startswith(consent_stack.server_origin)
        else:
            call = session.start(dialect, tag=tag)
            link = session.asked.get(timeout=10)
            holds.wait()
            agree(harvey, link)
            heard = call.result(20)
        assert session.asked.empty(), "asked once"
    else:
        link = told(kind, session.start(dialect, tag=tag).result(10))
        if link.startswith(consent_stack.server_origin):
            assert kind.elicits and dialect == "elicitation", "links of the server's own reach those who asked for such"
            agree(harvey, link)
            heard = session.start(dialect, tag=tag).result(10)
        else:
            again = session.start(dialect, tag=tag)
            holds.wait()
            agree(harvey, link)
            heard = again.result(20)
            if not heard.done:
                # The tool itself refused: whether it may run anew is for the client to say.
                assert heard.reason == "consent_given" and dialect in RAISED + ["elicitation"], heard
                heard = session.start(dialect, tag=tag).result(10)
    assert heard.done and heard.text == "done for harvey", heard
    assert counts(session, tag)["runs"] == 1
    if dialect in CHALLENGED:
        assert counts(session, tag)["entries"] == 0, "what was refused by HTTP never reached the tool"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.sdk == 2], ids=str)
def test_a_resource_that_needs_consent_is_read_after_it(connect, sign_in, tag, kind):
    harvey = sign_in()
    session = connect(kind, harvey)
    if kind.calls_again:
        session.on_asked = lambda link: agree(harvey, link)
        heard = session.read(f"files://{tag}").result(20)
    else:
        first = session.read(f"files://{tag}").result(10)
        assert first.message["error"]["code"] == (URL_ELICITATION_REQUIRED if kind.elicits else 1002), first
        assert first.reason == "consent_required", first
        agree(harvey, first.link)
        heard = session.read(f"files://{tag}").result(10)
    assert heard.message["result"]["contents"][0]["text"] == "done for harvey", heard
    assert counts(session, tag)["runs"] == 1


def test_a_client_keeps_its_ticket_through_any_number_of_consents(connect, sign_in, tag):
    harvey = sign_in()
    session = connect(PLAIN, harvey)
    links = [session.start(tool, tag=tag).result(10).link for tool in ("challenge", "claims", "rpc_error")]
    for link in links:
        agree(harvey, link)
        assert session.start("challenge", tag=tag).result(10).done, "the client still has the ticket of the start"
    assert counts(session, tag)["runs"] == len(links)


# What the provider is asked for

@pytest.mark.parametrize("dialect, asked", [
    ("challenge", {}),
    ("claims", {"claims": "acrs"}),
    ("step_up_recent", {"max_age": "600"}),
])
def test_the_provider_is_asked_for_what_the_server_named(consent_stack, connect, sign_in, tag, dialect, asked):
    harvey = sign_in()
    link = connect(PLAIN, harvey).start(dialect, tag=tag).result(10).link
    assert harvey.open_link(link).status == 200
    sent = parse_qs(urlsplit(harvey.decide(link).location).query)
    assert {"openid", "mcp.use", FILES_SCOPE} <= set(sent["scope"][0].split())
    for name, part in asked.items():
        assert part in sent[name][0], sent
    assert set(sent) & {"claims", "max_age"} == set(asked)
    # Nobody waits for this question any more.
    assert harvey.come_back(f"{sent['redirect_uri'][0]}?error=access_denied&state={sent['state'][0]}&iss={consent_stack.provider.issuer}").status == 403


# Holding

def test_calls_repeated_while_the_user_decides_all_go_through_with_one_consent(consent_stack, connect, sign_in):
    harvey = sign_in()
    session = connect(PLAIN, harvey)
    link = session.start("challenge", tag="first").result(10).link
    holds = Holds(consent_stack)
    tags = [uuid.uuid4().hex for _ in range(3)]
    waiting = [session.start("challenge", tag=tag) for tag in tags]
    holds.wait(3)
    assert counts(session, tags[0]) == {"runs": 0, "entries": 0}, "other tools answer meanwhile"
    agree(harvey, link)
    assert [call.result(20).text for call in waiting] == ["done for harvey"] * 3
    assert [counts(session, tag)["runs"] for tag in tags] == [1, 1, 1]


def test_the_consent_may_be_given_in_another_browser_of_the_same_user(consent_stack, connect, sign_in, tag):
    session = connect(CALLS_AGAIN, sign_in())
    browser = sign_in()
    call = session.start("challenge", tag=tag)
    link = session.asked.get(timeout=10)
    agree(browser, link)
    heard = call.result(20)
    assert heard.done, heard
    assert session.asked.empty(), "asked once"
    assert counts(session, tag)["runs"] == 1
    assert browser.signed_in, "the browser's own session has lost nothing"
    other = connect(PLAIN, browser).start("challenge", tag=tag).result(10)
    assert other.reason == "consent_required", "and gained nothing"


def test_two_users_at_once_and_the_consent_of_one_changes_nothing_for_the_other(consent_stack, connect, sign_in):
    harvey, kim = sign_in("harvey"), sign_in("kim")
    sessions = {visitor.user: connect(CALLS_AGAIN, visitor) for visitor in (harvey, kim)}
    tags = {user: uuid.uuid4().hex for user in sessions}
    holds = Holds(consent_stack)
    calls = {user: session.start("challenge", tag=tags[user]) for user, session in sessions.items()}
    links = {user: session.asked.get(timeout=10) for user, session in sessions.items()}
    holds.wait(2)
    assert kim.open_link(links["harvey"]).status == 403
    agree(harvey, links["harvey"])
    assert calls["harvey"].result(20).text == "done for harvey"
    assert not calls["kim"].done() and counts(sessions["kim"], tags["kim"])["runs"] == 0
    plain = connect(PLAIN, kim)
    other = plain.start("rpc_error", tag=tags["kim"]).result(10)
    assert other.reason == "consent_required", "kim's token has gained nothing"
    agree(kim, links["kim"])
    assert calls["kim"].result(20).text == "done for kim"
    assert [counts(sessions[user], tags[user])["runs"] for user in tags] == [1, 1]


def test_a_new_call_of_somebody_who_never_opened_the_link_is_asked_at_once(connect, sign_in, tag):
    harvey = sign_in()
    first = connect(PLAIN, harvey).start("challenge", tag=tag).result(10)
    elsewhere = connect(PLAIN, sign_in()).start("challenge", tag=tag).result(10)
    assert elsewhere.reason == "consent_required" and elsewhere.link != first.link
    # A client with a handler brings a state along when it comes again: without, its user has no link at hand.
    session = connect(CALLS_AGAIN, harvey)
    session.on_asked = lambda link: agree(harvey, link)
    assert session.start("challenge", tag=tag).result(10).done


# No

def test_a_user_who_declines_ends_the_held_call_at_once(consent_stack, connect, sign_in, tag):
    harvey = sign_in()
    session = connect(CALLS_AGAIN, harvey)
    holds = Holds(consent_stack)
    call = session.start("challenge", tag=tag)
    link = session.asked.get(timeout=10)
    holds.wait()
    answer = harvey.decide(link, "decline")
    assert answer.status == 403 and "did not agree" in answer.text, answer
    heard = call.result(5)
    assert not heard.done and heard.reason == "consent_declined" and session.asked.empty(), heard
    assert counts(session, tag)["runs"] == 0
    # A later call asks anew.
    session.on_asked = lambda link: agree(harvey, link)
    assert session.start("challenge", tag=tag).result(20).done


def test_a_user_who_declines_in_the_client_is_not_kept_waiting(connect, sign_in, tag):
    session = connect(CALLS_AGAIN, sign_in())
    session.action = "decline"
    heard = session.start("challenge", tag=tag).result(5)
    assert not heard.done and heard.reason == "consent_declined", heard
    assert session.asked.qsize() == 1 and counts(session, tag)["runs"] == 0


def test_consent_given_as_another_user_begins_a_session_of_theirs_and_the_call_stays_refused(consent_stack, connect, sign_in, tag):
    harvey = sign_in("harvey")
    session = connect(PLAIN, harvey)
    link = session.start("challenge", tag=tag).result(10).link
    holds = Holds(consent_stack)
    waiting = session.start("challenge", tag=tag)
    holds.wait()
    assert harvey.open_link(link).status == 200
    back = harvey.come_back(consent_stack.provider.approve(harvey.decide(link).location, "kim"))
    assert back.status == 303, back
    assert not waiting.result(5).done, "nobody waits for a link that is used up"
    kim = connect(PLAIN, harvey)
    assert kim.start("count", tag=tag).result(10).message["result"]["structuredContent"]["runs"] == 0
    assert "Kim Wexler" in json.dumps(harvey.session()), "the browser is Kim's now"
    heard = session.start("challenge", tag=tag).result(10)
    assert not heard.done, heard
    assert counts(kim, tag)["runs"] == 0
    assert connect(PLAIN, sign_in("harvey")).start("challenge", tag=tag).result(10).reason == "consent_required", "harvey has agreed to nothing"


# Links of short life

@pytest.fixture(scope="module", autouse=True)
def old_link(consent_stack, background):
    """A visitor and a link that is made before all other tests, so that it is old when its test comes."""
    harvey = Visitor(consent_stack.brief, consent_stack.provider, "harvey").sign_in()
    session = Sdk2(background, f"{harvey.url}/mcp", harvey.cookie, MODERN, False)
    link = session.start("challenge", tag="old").result(10).link
    session.close()
    return harvey, link


def test_an_expired_link_leads_to_a_page_and_the_next_call_to_a_fresh_one(connect, old_link, tag):
    harvey, link = old_link
    wait_until(lambda: harvey.open_link(link).status == 410, "the link to expire", 15, every=0.2)
    for answer in (harvey.open_link(link), harvey.decide(link)):
        assert answer.status == 410 and "too old" in answer.text, answer
    session = connect(PLAIN, harvey)
    fresh = session.start("challenge", tag=tag).result(10)
    assert fresh.reason == "consent_required" and fresh.link != link, fresh
    agree(harvey, fresh.link)
    assert session.start("challenge", tag=tag).result(10).done
    assert counts(session, tag)["runs"] == 1
