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


def through_provider(page: Page, provider_origin: str, user: str, consent: bool = True, seconds: float = 15) -> None:
    """Signs in and consents wherever the provider's pages ask for it, until the browser has left them."""
    person = USERS[user]

    def left() -> bool:
        with contextlib.suppress(Error):
            if not page.url.startswith(provider_origin):
                return True
            if page.locator("#password").is_visible():
                if page.locator("#username").is_visible():
                    page.fill("#username", person.name)
                page.fill("#password", person.password)
                page.locator("#loginbut").click(timeout=1000)
            elif page.locator("button:has-text('Grant access')").is_visible():
                boxes = [box for box in page.locator("input[id^=grant-]").all() if not box.is_checked()]
                if boxes and consent:
                    for box in boxes:
                        box.check(timeout=1000)
                    page.locator("button:has-text('Grant access')").click(timeout=1000)
                else:
                    page.locator("button:has-text('Continue')").click(timeout=1000)
            elif page.locator("#logoutbut, button:has-text('Logout')").first.is_visible():
                page.locator("#logoutbut, button:has-text('Logout')").first.click(timeout=1000)
        return False

    wait_until(left, f"{user} to get through the provider's pages (now {page.url[:120]})", seconds, every=0.1)


class DemoPage:
    """The demo page in one browser profile."""

    def __init__(self, browser: Browser, url: str, provider_origin: str, user: str):
        self.context = browser.new_context(viewport={"width": 1200, "height": 900})
        self.page = self.context.new_page()
        self.page.set_default_timeout(15000)
        self.url, self.provider_origin, self.user = url, provider_origin, user
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda line: self.problems.append(line.text) if "Content Security Policy" in line.text else None)

    def open(self) -> None:
        self.page.goto(f"{self.url}/")
        self.page.wait_for_selector("body[data-ready]")

    @property
    def ready(self) -> str:
        return self.page.get_attribute("body", "data-ready")

    def sign_in(self) -> None:
        self.open()
        self.page.click("#sign-in")
        through_provider(self.page, self.provider_origin, self.user)
        self.page.wait_for_selector("body[data-ready=tools]")

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
            form.locator(f"[name={name}]").fill(str(value))
        self.page.evaluate("tool => document.querySelector(`#tool-${tool} .result`)?.remove()", tool)
        form.locator("button").click()
        return self.result(tool)

    def result(self, tool: str) -> str:
        return self.page.locator(f"#tool-{tool} .result").inner_text()

    def give_consent(self) -> None:
        """From the dialog to the provider and back, until the page is there again."""
        self.page.click("#consent-continue")
        through_provider(self.page, self.provider_origin, self.user)
        self.page.wait_for_selector("body[data-ready=tools]")

    def sign_out(self) -> None:
        self.page.click("#sign-out")

        def out() -> bool:
            if self.page.url.startswith(self.provider_origin):
                through_provider(self.page, self.provider_origin, self.user)
            return self.page.url.startswith(self.url)

        wait_until(out, "the way back after signing out")

    def secrets_in_page(self) -> dict:
        """What script in the page can read: it must hold no token and no ticket."""
        return self.page.evaluate("() => ({cookies: document.cookie, local: {...localStorage}, session: {...sessionStorage}})")

    def close(self) -> None:
        self.context.close()
