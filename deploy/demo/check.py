"""The demo without a person: two browsers walk through all of it. Each step prints one line; the first wrong one raises."""

from __future__ import annotations

from browser import DemoPage, chromium
from provider import FILES_SCOPE, MAIL_SCOPE, USERS
from stack import Stack


class StepFailed(AssertionError):
    pass


def expect(condition: object, what: str, seen: object = "") -> None:
    if not condition:
        raise StepFailed(f"{what}; seen: {seen!r}")


def walk(stack: Stack, tell=print) -> None:
    with chromium() as browser:
        pages = {user: DemoPage(browser, stack.proxy.url, stack.provider.origin, user) for user in USERS}
        for user, page in pages.items():
            page.open()
            expect(page.ready == "signed-out", "the page offers to sign in", page.ready)
            page.sign_in()
            expect(page.name == USERS[user].full_name, "the page names the user", page.name)
            tell(f"{user} signs in at the provider and comes back to the page")
        harvey, kim = pages["harvey"], pages["kim"]

        expect({"whoami", "add", "read_files", "send_mail"} <= set(harvey.tools), "the page lists the server's tools", harvey.tools)
        for user, page in pages.items():
            seen = page.call("whoami")
            expect(f'"user": "{user}"' in seen, f"the server sees {user}", seen)
        tell("each one's calls reach the server under the own name, both signed in at once")

        seen = harvey.call("add", a=40, b=2)
        expect("42" in seen, "a tool with arguments answers", seen)
        seen = harvey.call("slow_stream", seconds=1, interval=0.25)
        expect("harvey waited" in seen, "a streamed answer arrives", seen)
        tell("answers arrive, plain and streamed")

        seen = harvey.call("read_files")
        expect(FILES_SCOPE in seen, "the refused call names the missing scope", seen)
        harvey.give_consent()
        seen = harvey.result("read_files")
        expect("merger-agreement.pdf" in seen, "after consent the page shows the call's answer", seen)
        seen = harvey.call("send_mail")
        expect(MAIL_SCOPE in seen, "another tool needs another scope", seen)
        tab = harvey.open_consent()
        tab.click("button[value=decline]")
        harvey.wait_for_answer()
        seen = harvey.result("send_mail")
        expect("You declined" in seen, "the page notices that the user declined", seen)
        tab.close()
        seen = kim.call("read_files")
        expect(FILES_SCOPE in seen, "the other user's call still needs consent", seen)
        kim.page.click("#consent-cancel")
        tell("a tool that needs consent asks in a new tab and then shows its result, for that user alone")

        for page in pages.values():
            secrets = page.secrets_in_page()
            expect(secrets["cookies"] == "" and not secrets["local"], "script in the page can read no ticket and no token", secrets)
            expect(not page.problems, "the page works without errors", page.problems)
        tell("script in the page can read no ticket and no token")

        harvey.sign_out()
        harvey.open()
        expect(harvey.ready == "signed-out", "signing out ends the session", harvey.ready)
        seen = kim.call("whoami")
        expect('"user": "kim"' in seen, "the other user stays signed in", seen)
        tell("signing out ends that session and no other")
