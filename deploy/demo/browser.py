"""A scripted Chromium that does what a person does: in the provider's pages, and on the demo page."""

from __future__ import annotations

import contextlib
from typing import Iterator

from playwright.sync_api import Browser, Error, Page, sync_playwright

from processes import wait_until
from provider import USERS

CHROMIUM = "/usr/bin/chromium"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


_MISSING = """async () => {
  const { client_id, scope } = Object.fromEntries(new URL(location.href).searchParams);
  const answer = await (await fetch(`/api/auth/grant/${client_id}/${encodeURIComponent(scope)}`)).json();
  return answer.scope.some((one) => one.name !== "openid" && !one.granted);
}"""


def answer_provider(page: Page, user: str, consent: bool = True) -> None:
    """Does the next thing the provider's page in front asks for: sign in, allow, go on, or confirm the end."""
    person = USERS[user]
    with contextlib.suppress(Error):
        if page.locator("#password").is_visible():
            if page.locator("#username").is_visible():
                page.fill("#username", person.name, timeout=1000)
            page.fill("#password", person.password, timeout=1000)
            page.locator("#loginbut").click(timeout=1000)
        elif "prompt=end_session" in page.url:
            page.locator("button:has-text('Logout')").first.click(timeout=1000)
        else:
            missing = page.locator("input[id^=grant-]:not(:checked)")
            if missing.count() and consent:
                while missing.count():
                    missing.first.check(timeout=1000)
                # The page goes on before the provider has heard of it, and leaving it then would take the grant back.
                with page.expect_response(lambda answer: "/auth/grant/" in answer.url and answer.request.method == "PUT", timeout=5000):
                    page.locator("button:has-text('Grant access')").click(timeout=1000)
            elif page.locator("button:has-text('Continue')").is_visible() and not (consent and page.evaluate(_MISSING)):
                # "Continue" is there before the list of scopes is: only the provider knows whether there is nothing left to tick.
                page.locator("button:has-text('Continue')").click(timeout=1000)


class DemoPage:
    """The demo page in one browser profile."""

    def __init__(self, browser: Browser, url: str, provider_origin: str, user: str):
        self.context = browser.new_context(viewport={"width": 1200, "height": 900})
        self.context.set_default_timeout(15000)
        self.url, self.provider_origin, self.user = url, provider_origin, user
        self.problems: list[str] = []
        self.page = self.context.new_page()
        self._watch(self.page)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda line: self.problems.append(line.text) if "Content Security Policy" in line.text else None)

    def open(self) -> None:
        self.page.goto(f"{self.url}/")
        self.page.wait_for_selector("body[data-ready]")

    @property
    def ready(self) -> str:
        return self.page.get_attribute("body", "data-ready")

    def _leave_by(self, button: str) -> None:
        """Clicks a button that leads to the provider, does there what is asked, and waits for the page to be back."""
        self.page.evaluate("document.body.dataset.ready = 'leaving'")
        self.page.click(button)

        def back() -> bool:
            if self.page.url.startswith(self.provider_origin):
                # This provider leads back after signing out only if it was given a state; else its own page is the end of the way.
                if "prompt=end_session" in self.page.url and self.page.get_by_text("You are disconnected").is_visible():
                    return True
                answer_provider(self.page, self.user)
                return False
            with contextlib.suppress(Error):
                return self.page.get_attribute("body", "data-ready", timeout=200) in ("tools", "signed-out", "failed")
            return False

        wait_until(back, f"{self.user} to come back to the page", 20, every=0.05)

    def sign_in(self) -> None:
        self.open()
        self._leave_by("#sign-in")
        if self.ready != "tools":
            raise AssertionError(f"after signing in the page shows: {self.page.inner_text('main')}")

    @property
    def name(self) -> str:
        return self.page.inner_text("#who")

    @property
    def tools(self) -> list[str]:
        return self.page.locator(".tool h2").all_inner_texts()

    def call(self, tool: str, **arguments: object) -> str:
        """Calls a tool by its form and returns what the page shows."""
        form = self.page.locator(f"#tool-{tool}")
        for name, value in arguments.items():
            field = form.locator(f"[name={name}]")
            field.select_option(str(value)) if field.evaluate("field => field.tagName") == "SELECT" else field.fill(str(value))
        self.page.evaluate("tool => document.querySelector(`#tool-${tool} .result`)?.remove()", tool)
        form.locator("button").click()
        return self.result(tool)

    def result(self, tool: str) -> str:
        return self.page.locator(f"#tool-{tool} .result").inner_text()

    def open_consent(self) -> Page:
        """The consent page in the new tab that the dialog's link opens."""
        with self.context.expect_page() as opened:
            self.page.click("#consent-continue")
        self._watch(opened.value)
        opened.value.wait_for_selector("h1")
        return opened.value

    def agree_in(self, tab: Page, end: str = "/auth/?done=consent") -> None:
        """From the consent page through the provider to `end`."""
        tab.click("button[value=continue]")

        def back() -> bool:
            if tab.url.startswith(self.provider_origin):
                answer_provider(tab, self.user)
            return tab.url == self.url + end

        wait_until(back, f"{self.user} to come back from the provider", 20, every=0.05)

    def give_consent(self) -> None:
        """Agrees in a new tab, and waits until this one shows the answer of the call."""
        tab = self.open_consent()
        self.agree_in(tab)
        self.wait_for_answer()
        tab.close()

    def wait_for_answer(self) -> None:
        """Until the page has noticed what became of the question, and of the call."""
        self.page.wait_for_function("() => !document.querySelector('#consent').open && !document.querySelector('.tool button[disabled]')")

    def sign_out(self) -> None:
        self._leave_by("#sign-out")

    def secrets_in_page(self) -> dict:
        """What script in the page can read: it must hold no token and no ticket. The provider's own cookies are left out: they are there
        because the demo's servers share one host name, and cookies do not know ports."""
        found = self.page.evaluate("() => ({cookies: document.cookie, local: {...localStorage}, session: {...sessionStorage}})")
        found["cookies"] = "; ".join(pair for pair in found["cookies"].split("; ") if pair and not pair.startswith("DEMO_PROVIDER_"))
        return found

    def close(self) -> None:
        self.context.close()
