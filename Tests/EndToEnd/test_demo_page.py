"""The demo page in a real browser, at the real provider's own pages."""

from __future__ import annotations

import re

import pytest

from browser import DemoPage
from provider import FILES_SCOPE


@pytest.fixture
def page(chromium, stack):
    opened = []

    def make(user: str) -> DemoPage:
        one = DemoPage(chromium, stack.proxy.url, stack.provider.origin, user)
        opened.append(one)
        return one

    yield make
    problems = [problem for one in opened for problem in one.problems]
    for one in opened:
        one.close()
    assert not problems, problems


def test_sign_in_call_consent_retry_and_sign_out(page, stack):
    stack.provider.withdraw("harvey")
    harvey = page("harvey")
    harvey.open()
    assert harvey.ready == "signed-out"
    harvey.sign_in()
    assert harvey.name == "Harvey Specter"
    assert '"user": "harvey"' in harvey.call("whoami")
    assert "harvey waited" in harvey.call("slow_stream", seconds=0.6, interval=0.2)
    assert FILES_SCOPE in harvey.call("read_files")
    harvey.give_consent()
    assert "merger-agreement.pdf" in harvey.result("read_files")
    harvey.sign_out()
    harvey.open()
    assert harvey.ready == "signed-out"


@pytest.mark.parametrize("dialect", ["entra", "json_rpc", "tool_result"])
def test_consent_asked_for_in_another_dialect_comes_back_with_the_result(page, stack, dialect):
    stack.provider.withdraw("kim")
    kim = page("kim")
    kim.sign_in()
    assert FILES_SCOPE in kim.call("read_files", dialect=dialect)
    kim.give_consent()
    assert "sandpiper-plans.pdf" in kim.result("read_files")


def test_the_pages_script_can_read_no_ticket_and_no_token(page):
    harvey = page("harvey")
    harvey.sign_in()
    harvey.call("whoami")
    secrets = harvey.secrets_in_page()
    assert secrets == {"cookies": "", "local": {}, "session": {}}
    cookies = harvey.context.cookies(harvey.url)
    mine = [cookie for cookie in cookies if not cookie["name"].startswith("DEMO_PROVIDER_")]
    assert mine and all(cookie["httpOnly"] and cookie["sameSite"] in ("Lax", "Strict") for cookie in mine)


def test_the_account_page_works_without_script_and_signs_out(chromium, page, stack):
    harvey = page("harvey")
    harvey.sign_in()
    harvey.page.goto(f"{stack.proxy.url}/auth/")
    text = harvey.page.inner_text("body")
    assert "Harvey Specter" in text and "mcp.use" in text
    assert harvey.page.locator("html[lang]").count() == 1 and harvey.page.locator("h1").count() == 1 and harvey.page.title()
    harvey.page.locator("form[action*='logout'] button, form[action*='logout'] input[type=submit]").first.click()
    harvey.page.wait_for_url(lambda url: "/auth/" not in url or url.startswith(stack.provider.origin))
    harvey.open()
    assert harvey.ready == "signed-out"


def test_a_page_of_another_origin_can_neither_call_nor_read(chromium, page, stack):
    from page_server import PageServer
    from processes import free_port
    evil = PageServer(free_port(), "http://127.0.0.1:1").start()
    harvey = page("harvey")
    harvey.sign_in()
    other = harvey.context.new_page()
    try:
        # Same site (loopback, ports do not count), other origin: the cookie would be sent along.
        other.route("**/*", lambda route: route.continue_())
        other.goto(f"http://127.0.0.1:{evil.port}/icon.svg")
        outcome = other.evaluate("""async (url) => {
            const tries = [
                fetch(url, {method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: '{}'}),
                fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body: '{}'}),
                fetch(url.replace('/mcp', '/auth/session'), {credentials: 'include'}),
            ];
            return (await Promise.allSettled(tries)).map((one) => one.status === 'fulfilled' ? one.value.type : 'refused');
        }""", f"{stack.proxy.url}/mcp")
    finally:
        evil.stop()
    assert outcome[0] == "refused" and outcome[1] in ("opaque", "refused") and outcome[2] == "refused", outcome
    assert '"user": "harvey"' in harvey.call("whoami")
    assert not re.search(r'"method":"tools/call"[^\n]*text/plain', stack.proxy.output())
