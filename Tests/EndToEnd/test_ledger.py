"""The consents a user gave: shown to them alone, taken back one by one, told to the operator without a name."""

from __future__ import annotations

import html
import json
import re

import pytest

from processes import wait_until
from support import http
from support.server import Answer
from support.upstream import JSON, refuse, result
from support.visitor import Visitor, consent_required, give_consent

PERSONAL = ["harvey", "Harvey", "Specter", "kim", "Kim", "Wexler", "example.test", "subject-of", "CANARY"]


def lacking(provider, *scopes: str):
    """Refuses until the token has all of `scopes`."""
    def judge(request):
        missing = [scope for scope in scopes if scope not in provider.scopes_of(request.header("authorization"))]
        if missing:
            return refuse(403, f'Bearer error="insufficient_scope", scope="{" ".join(missing)}"')(request)
        return Answer(200, [JSON], result(request, "done"))
    return judge


@pytest.fixture
def one(proxy, upstream, provider):
    upstream.on("files", lacking(provider, "files.read"))
    upstream.on("send", lacking(provider, "mail.send"))
    return proxy({"routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use", "name": "Filing <b>&</b> Mail"}]})


@pytest.fixture
def people(one, provider):
    return lambda user="harvey": Visitor(one, provider, user).sign_in()


def consent(visitor: Visitor, tool: str) -> None:
    give_consent(visitor, visitor.call(tool))
    assert visitor.call(tool).status == 200


def entries(visitor: Visitor) -> list[tuple[str, str]]:
    """The consents on the account page, as text and the key of the form that takes each back."""
    page = visitor.navigate("/auth/")
    assert page.status == 200, page
    found = re.findall(r'<dt>([^<]+)</dt><dd>((?:(?!</dd>).)*?)<form method="post" action="/auth/revoke">.*?name="consent" value="([^"]+)"', page.text, re.S)
    return [(f"{when} {words}", key) for when, words, key in found]


def key_of(visitor: Visitor, tool: str) -> str:
    return next(key for words, key in entries(visitor) if f"<code>{tool}</code>" in words)


def take_back(visitor: Visitor, key: str, headers: dict | None = None, kind: str = "form"):
    return visitor.request("POST", "/auth/revoke", {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {}), f"consent={key}".encode(), kind)


def audit(one, message: str, count: int = 1) -> list[dict]:
    """Lines of the log with this message, once there are `count`."""
    def found():
        return [json.loads(line) for line in one.output().splitlines() if line.startswith("{") and message in line]
    wait_until(lambda: len(found()) >= count, f"{count} lines that say {message}", 5)
    return found()


def counted(one) -> dict[str, int]:
    text = http.request(one.admin_url, "GET", "/metrics").text
    return {name: int(value) for name, value in re.findall(r"^coatcheck_consents_(\w+)_total (\d+)$", text, re.M)}


# The page

def test_the_account_page_tells_what_was_agreed_to_for_whom_by_which_tool_and_when(people):
    harvey = people()
    assert entries(harvey) == [] and "When you allowed more" not in harvey.navigate("/auth/").text
    consent(harvey, "files")
    consent(harvey, "send")
    (newer, _), (older, _) = entries(harvey)
    assert "<code>send</code>" in newer and "<code>mail.send</code>" in newer
    assert "<code>files</code>" in older and "<code>files.read</code>" in older
    for words in (newer, older):
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC ", words)
        assert "Filing &lt;b&gt;&amp;&lt;/b&gt; Mail" in words, "names are text, never markup"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=1>', "naïve & co", "'q'"])
def test_the_name_of_a_tool_is_text_on_the_page(people, provider, upstream, name):
    upstream.on(name, lacking(provider, "files.read"))
    harvey = people()
    headers = {"Mcp-Name": None} if not name.isascii() else {}
    era = {"era": "2025-11-25"}
    give_consent(harvey, harvey.call(name, headers=headers, **era))
    page = harvey.navigate("/auth/").text
    assert "<script" not in page and "<img" not in page
    assert name in html.unescape(re.sub(r"<[^>]+>", "", page))


def test_the_same_consent_given_again_is_one_entry(people, provider):
    harvey = people()
    consent(harvey, "files")
    provider.withdraw("harvey")
    again = people()
    give_consent(again, again.call("files"))
    assert len(entries(again)) == 1


def test_the_page_is_for_whoever_is_signed_in(one, people, provider):
    harvey, kim = people("harvey"), people("kim")
    consent(harvey, "files")
    assert entries(kim) == [] and "files.read" not in kim.navigate("/auth/").text
    assert "files.read" not in Visitor(one, provider).navigate("/auth/").text
    # The same user in another browser sees them.
    assert len(entries(people("harvey"))) == 1


def test_a_declined_consent_leaves_no_entry(people, provider):
    harvey = people()
    provider.denied = {"files.read"}
    give_consent(harvey, harvey.call("files"))
    assert entries(harvey) == []


# Taking back

def test_a_consent_that_was_taken_back_is_asked_for_again_and_others_stay(people, provider, upstream):
    harvey = people()
    consent(harvey, "files")
    consent(harvey, "send")
    before = len(upstream.requests)
    answer = take_back(harvey, key_of(harvey, "files"))
    assert answer.status == 303 and answer.location.removeprefix(harvey.url) == "/auth/?done=revoked"
    assert "Taken back" in harvey.navigate(answer.location.removeprefix(harvey.url)).text
    assert [key for words, key in entries(harvey) if "files.read" in words] == [] and len(entries(harvey)) == 1
    # The other one still works, with a token that lacks what was taken back.
    assert harvey.call("send").status == 200
    assert consent_required(harvey.call("files"))["scopes"] == ["files.read"]
    for request in upstream.requests[before:]:
        scopes = provider.scopes_of(request.header("authorization"))
        assert "files.read" not in scopes and "mail.send" in scopes
    consent(harvey, "files")
    assert harvey.call("send").status == 200 and len(entries(harvey)) == 2


def test_what_the_route_itself_needs_is_not_lost_with_a_consent(people, provider, upstream):
    harvey = people()
    upstream.on("both", lacking(provider, "mcp.use", "files.read"))
    consent(harvey, "both")
    take_back(harvey, key_of(harvey, "both"))
    assert harvey.call("whoami").status == 200
    scopes = provider.scopes_of(upstream.last.header("authorization"))
    assert "mcp.use" in scopes and "files.read" not in scopes


def test_what_was_taken_back_does_not_return_with_a_later_refresh(people, provider, upstream):
    harvey = people()
    consent(harvey, "files")
    take_back(harvey, key_of(harvey, "files"))
    assert harvey.call("whoami").status == 200
    # The upstream refuses that token, so it is renewed once more.
    upstream.on("whoami", refuse(401, 'Bearer error="invalid_token"'), lambda request: Answer(200, [JSON], result(request, "x")))
    assert harvey.call("whoami").status == 200
    assert provider.count["refresh_token"] == 2 and len(upstream.calls("whoami")) == 3
    for request in upstream.calls("whoami"):
        assert "files.read" not in provider.scopes_of(request.header("authorization"))
    consent(harvey, "files")


def test_of_two_servers_only_the_ones_token_is_dropped(proxy, provider, upstream, other_upstream):
    one = proxy({"routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}, {"path": "/other", "upstream": other_upstream.url, "scope": "other.use"}]})
    upstream.on("files", lacking(provider, "files.read"))
    other_upstream.on("files", lacking(provider, "files.read"))
    harvey = Visitor(one, provider).sign_in()
    for path in ("/mcp", "/other"):
        give_consent(harvey, harvey.call("files", path=path))
        assert harvey.call("files", path=path).status == 200
    key = next(key for words, key in entries(harvey) if "of /mcp:" in words)
    take_back(harvey, key)
    assert consent_required(harvey.call("files"))["scopes"] == ["files.read"]
    assert harvey.call("files", path="/other").status == 200


def test_it_is_taken_back_in_all_browsers_of_the_user_and_in_none_of_others(people):
    office, home, kim = people("harvey"), people("harvey"), people("kim")
    for visitor in (office, home, kim):
        consent(visitor, "files")
    take_back(office, key_of(office, "files"))
    assert entries(home) == []
    consent_required(home.call("files"))
    consent_required(office.call("files"))
    assert kim.call("files").status == 200 and len(entries(kim)) == 1


def test_nobody_takes_back_what_another_gave(one, people, provider):
    harvey, kim = people("harvey"), people("kim")
    consent(harvey, "files")
    key = key_of(harvey, "files")
    assert take_back(kim, key).status == 303
    stranger = Visitor(one, provider)
    assert stranger.request("POST", "/auth/revoke", body=f"consent={key}".encode(), kind="form").location.startswith("/auth/login")
    assert len(entries(harvey)) == 1 and harvey.call("files").status == 200
    assert counted(one)["revoked"] == 0


def test_the_same_key_of_two_users_is_two_entries(people):
    harvey, kim = people("harvey"), people("kim")
    consent(harvey, "files")
    consent(kim, "files")
    take_back(kim, key_of(kim, "files"))
    assert entries(kim) == [] and len(entries(harvey)) == 1
    assert harvey.call("files").status == 200


FOREIGN = {
    "another origin": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "another origin, fetch metadata missing": {"Origin": "https://evil.example", "Sec-Fetch-Site": None},
    "a hidden origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "another site without origin": {"Origin": None, "Sec-Fetch-Site": "cross-site"},
    "a sibling site": {"Origin": None, "Sec-Fetch-Site": "same-site"},
    "the address bar": {"Origin": None, "Sec-Fetch-Site": "none"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
def test_pages_of_other_origins_take_nothing_back(people, headers):
    harvey = people()
    consent(harvey, "files")
    assert take_back(harvey, key_of(harvey, "files"), headers).status == 403
    assert len(entries(harvey)) == 1 and harvey.call("files").status == 200


def test_an_allowed_origin_may_call_and_still_not_take_back(proxy, provider, upstream):
    one = proxy({"csrf": {"allowed_origins": ["https://app.example.com"]}})
    upstream.on("files", lacking(provider, "files.read"))
    harvey = Visitor(one, provider).sign_in()
    consent(harvey, "files")
    assert take_back(harvey, key_of(harvey, "files"), {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"}).status == 403
    assert len(entries(harvey)) == 1


@pytest.mark.parametrize("key", ["unknown", "", "../../x", "A" * 5000, "%00", "'; drop table notes; --"])
def test_a_key_that_names_nothing_changes_nothing(one, people, key):
    harvey = people()
    consent(harvey, "files")
    assert take_back(harvey, key).status in (303, 400, 413)
    assert len(entries(harvey)) == 1 and counted(one)["revoked"] == 0


def test_other_methods_and_forms_are_refused(people):
    harvey = people()
    assert harvey.navigate("/auth/revoke").status == 405
    assert harvey.request("POST", "/auth/revoke", body=b"", kind="form").status == 400


def test_taking_back_twice_is_one_event(one, people):
    harvey = people()
    consent(harvey, "files")
    key = key_of(harvey, "files")
    assert [take_back(harvey, key).status for _ in range(3)] == [303] * 3
    assert counted(one)["revoked"] == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_given_and_taken_back_consents_survive_a_restart(one, people, end):
    harvey = people()
    consent(harvey, "files")
    consent(harvey, "send")
    before = entries(harvey)
    take_back(harvey, key_of(harvey, "files"))
    one.kill() if end == "kill" else one.stop()
    one.start()
    assert entries(harvey) == [entry for entry in before if "files.read" not in entry[0]]
    assert harvey.call("send").status == 200
    assert consent_required(harvey.call("files"))["scopes"] == ["files.read"]


def test_a_consent_that_was_taken_back_does_not_come_with_the_next_sign_in(people, provider, upstream):
    harvey = people()
    consent(harvey, "files")
    take_back(harvey, key_of(harvey, "files"))
    harvey.sign_out()
    harvey.sign_in()
    assert "files.read" not in provider.authorizations[-1]["scope"].split()
    consent_required(harvey.call("files"))


def test_the_stored_entries_name_nobody(one, people):
    harvey = people()
    consent(harvey, "files")
    one.stop()
    content = b"".join(file.read_bytes() for file in sorted(one.directory.glob("sessions.db*")))
    for word in (b"files.read", b"subject-of-harvey", b"Harvey Specter", b"Filing"):
        assert word not in content, word


# For the operator

def test_each_event_is_one_line_with_a_fingerprint_and_no_person(one, people, provider):
    harvey, kim = people("harvey"), people("kim")
    consent(harvey, "files")
    consent(kim, "files")
    take_back(harvey, key_of(harvey, "files"))
    provider.denied = {"mail.send"}
    give_consent(harvey, harvey.call("send"))
    granted = audit(one, "consent granted", 2)
    [declined], [revoked] = audit(one, "consent declined"), audit(one, "consent revoked")
    assert len(granted) == 2
    lines = [*granted, declined, revoked]

    def user_of(line: dict) -> str:
        return re.search(r'"user": "([0-9a-f]+)"', json.dumps(line))[1]

    assert all(len(user_of(line)) == 12 for line in lines)
    assert user_of(granted[0]) == user_of(revoked) == user_of(declined) != user_of(granted[1])
    assert all("files.read" in json.dumps(line) for line in [*granted, revoked]) and "mail.send" in json.dumps(declined)
    assert all(re.search(r'"request_id": "[0-9a-f]{16}"', json.dumps(line)) for line in lines)
    for line in lines:
        assert not [word for word in PERSONAL if word in json.dumps(line)], line


def test_events_are_counted(one, people, provider):
    assert counted(one) == {"granted": 0, "declined": 0, "revoked": 0}
    harvey, kim = people("harvey"), people("kim")
    consent(harvey, "files")
    consent(harvey, "send")
    consent(kim, "files")
    take_back(harvey, key_of(harvey, "files"))
    link = consent_required(kim.call("send"))["interaction_url"]
    assert kim.decide(link, "decline").status == 403
    provider.denied = {"mail.send"}
    give_consent(kim, kim.call("send"))
    assert counted(one) == {"granted": 3, "declined": 2, "revoked": 1}
