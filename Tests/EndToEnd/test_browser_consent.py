"""Consent in a real browser: the page behind a link, its ends, and the demo page that waits meanwhile."""

from __future__ import annotations

import time

import pytest

from browser import DemoPage, answer_provider
from processes import wait_until
from provider import FILES_SCOPE, MAIL_SCOPE
from support.upstream import refuse
from support.visitor import Visitor, consent_required, local_path


@pytest.fixture
def page(chromium, stack):
    opened = []

    def make(user: str, signed_in: bool = True) -> DemoPage:
        one = DemoPage(chromium, stack.proxy.url, stack.provider.origin, user)
        opened.append(one)
        if signed_in:
            one.sign_in()
        return one

    yield make
    problems = [problem for one in opened for problem in one.problems]
    for one in opened:
        one.close()
    assert not problems, problems


@pytest.fixture
def link(stack):
    """Makes links for a user, as an MCP client gets them."""
    return lambda user, tool="read_files": consent_required(Visitor(stack.proxy, stack.provider, user).sign_in().call(tool, kind="script"))["interaction_url"]


def heading(tab) -> str:
    assert tab.locator("html[lang]").count() == 1 and tab.locator("h1").count() == 1 and tab.title()
    return tab.inner_text("h1")


def test_the_page_says_who_asks_whom_for_what(page, stack, link):
    harvey = page("harvey")
    tab = harvey.page
    tab.goto(link("harvey"))
    text = tab.inner_text("body")
    assert "/mcp" in text and "read_files" in text and FILES_SCOPE in text and "Harvey Specter" in text
    assert tab.locator("button[value=continue]").inner_text().startswith("Continue to 127.0.0.1")
    # The keyboard reaches the choices in their order.
    reached = []
    for _ in range(6):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.value"))
    assert [value for value in reached if value][:2] == ["continue", "decline"]


def test_continue_leads_to_the_provider_and_back(page, stack, link):
    stack.provider.withdraw("harvey")
    harvey = page("harvey")
    harvey.page.goto(link("harvey"))
    harvey.agree_in(harvey.page)
    text = harvey.page.inner_text("body")
    assert "read_files" in text and FILES_SCOPE in text, "the account page names what was agreed to"


def test_the_page_asks_for_nothing_by_being_looked_at(page, stack, link):
    harvey = page("harvey")
    url = link("harvey")
    for _ in range(2):
        harvey.page.goto(url)
        assert harvey.page.locator("button[value=continue]").is_visible()
    harvey.page.reload()
    assert harvey.page.locator("button[value=continue]").is_visible()


def test_declining_ends_in_a_page_that_says_so_and_the_link_is_used(page, link):
    harvey = page("harvey")
    url = link("harvey")
    harvey.page.goto(url)
    harvey.page.click("button[value=decline]")
    assert heading(harvey.page) == "You did not agree"
    assert "Nothing has changed" in harvey.page.inner_text("body")
    harvey.page.goto(url)
    assert heading(harvey.page) == "You have declined already"
    assert harvey.page.locator("button[value=continue]").count() == 0


def test_a_used_link_says_that_it_was_used(page, stack, link):
    stack.provider.withdraw("harvey")
    harvey = page("harvey")
    url = link("harvey")
    harvey.page.goto(url)
    harvey.agree_in(harvey.page)
    harvey.page.goto(url)
    assert heading(harvey.page) == "You have agreed already"


def test_a_link_made_for_another_user_is_refused_and_stays_good(page, stack, link):
    stack.provider.withdraw("harvey")
    url = link("harvey")
    kim = page("kim")
    kim.page.goto(url)
    assert heading(kim.page) == "This link is not for you"
    body = kim.page.inner_text("body")
    assert "read_files" not in body and FILES_SCOPE not in body and "Harvey" not in body, "a stranger learns nothing"
    harvey = page("harvey")
    harvey.page.goto(url)
    harvey.agree_in(harvey.page)


def test_a_link_that_is_not_known_ends_in_a_page(page):
    harvey = page("harvey")
    harvey.page.goto(f"{harvey.url}/auth/continue?i=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    assert heading(harvey.page) == "This link does not lead anywhere any more"


def test_a_link_opened_without_a_session_comes_back_to_its_page_after_signing_in(page, stack, link):
    stack.provider.withdraw("harvey")
    harvey = page("harvey", signed_in=False)
    url = link("harvey")
    harvey.page.goto(url)

    def there() -> bool:
        if harvey.page.url.startswith(stack.provider.origin):
            answer_provider(harvey.page, "harvey")
        return harvey.page.url.startswith(url)

    wait_until(there, "the sign-in to lead back to the link", 20, every=0.05)
    assert harvey.page.locator("button[value=continue]").is_visible()


# The page that waits

def test_the_demo_page_shows_the_refused_calls_answer_without_a_reload(page, stack):
    stack.provider.withdraw("harvey")
    harvey = page("harvey")
    harvey.page.evaluate("window.stillHere = true")
    assert FILES_SCOPE in harvey.call("read_files")
    assert "read_files" in harvey.page.inner_text("#consent-reason")
    calls = []
    harvey.page.on("request", lambda request: calls.append((request.method, request.url.removeprefix(harvey.url))))
    harvey.give_consent()
    assert "merger-agreement.pdf" in harvey.result("read_files")
    assert harvey.page.evaluate("window.stillHere"), "the page was not loaded anew"
    assert [method for method, path in calls if path.startswith("/auth/continue")].count("POST") == 1
    assert ("POST", "/mcp") not in calls, "the kept call is what was answered"


def test_the_demo_page_repeats_a_call_that_was_not_kept(page, stack):
    stack.provider.withdraw("kim")
    kim = page("kim")
    assert MAIL_SCOPE in kim.call("send_mail", to="harvey@example.test")
    calls = []
    kim.page.on("request", lambda request: calls.append((request.method, request.url.removeprefix(kim.url))))
    kim.give_consent()
    assert "sent to harvey@example.test in the name of kim" in kim.result("send_mail")
    assert calls.count(("POST", "/mcp")) == 1


def test_the_demo_page_tells_that_the_user_declined(page):
    harvey = page("harvey")
    assert MAIL_SCOPE in harvey.call("send_mail")
    tab = harvey.open_consent()
    tab.click("button[value=decline]")
    harvey.wait_for_answer()
    assert "You declined" in harvey.result("send_mail")


def test_one_consent_adds_to_the_other(page, stack):
    stack.provider.withdraw("harvey")
    harvey = page("harvey")
    for tool in ("read_files", "send_mail"):
        harvey.call(tool)
        harvey.give_consent()
    assert "merger-agreement.pdf" in harvey.call("read_files"), "what was granted stays granted"
    assert "in the name of harvey" in harvey.call("send_mail")


def test_another_users_page_does_not_notice(page, stack):
    for user in ("harvey", "kim"):
        stack.provider.withdraw(user)
    harvey, kim = page("harvey"), page("kim")
    for one in (harvey, kim):
        assert FILES_SCOPE in one.call("read_files")
    harvey.give_consent()
    assert "merger-agreement.pdf" in harvey.result("read_files")
    assert kim.page.locator("#consent[open]").count() == 1 and FILES_SCOPE in kim.result("read_files")
    kim.page.click("#consent-cancel")
    assert FILES_SCOPE in kim.call("read_files")


def test_a_page_that_waits_does_not_hold_up_a_stop(gateway, harvey, upstream):
    upstream.on("files", refuse(403, 'Bearer error="insufficient_scope", scope="mcp.use files.read"'))
    link = local_path(harvey, consent_required(harvey.call("files"))["interaction_url"])
    with harvey.connect() as waiting:
        waiting.send_request("GET", f"{link}&wait=20", harvey.headers("script", {"Accept": "application/json"}))
        # These pass the same loop behind it.
        for _ in range(3):
            assert harvey.signed_in
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 3
        assert waiting.read_response().json() == {"state": "pending"}
