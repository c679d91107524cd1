"""What an operator sees and does of sessions: over the admin listener, and with `coatcheck sessions`."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest

from processes import wait_until
from support import http
from support.scene import Scene, metric
from support.visitor import login_required

TOKEN = "operator-token-0123456789-abcdefghij-KLMNOP"
CONFIGURATION, USAGE, UNKNOWN, UNREACHABLE, REFUSED = 78, 64, 66, 69, 77


def token_file(directory, text: str = TOKEN, mode: int = 0o600, name: str = "admin.token"):
    file = directory / name
    file.write_text(text + "\n")
    file.chmod(mode)
    return file


@pytest.fixture(scope="module")
def scene(binary, background, tmp_path_factory):
    directory = tmp_path_factory.mktemp("operator")
    with Scene(binary, background, directory) as one:
        one.provider.names_sessions = True
        one.proxy({"admin": {"token_file": str(token_file(directory))}})
        yield one


def ask(one, method: str = "GET", target: str = "/sessions", token: str | None = TOKEN, **fields) -> http.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return http.request(one.admin_url, method, target, headers | fields)


def listed(one, query: str = "") -> list[dict]:
    answer = ask(one, target="/sessions" + query)
    assert answer.status == 200 and answer.header("content-type") == "application/json", answer
    return answer.json()["sessions"]


def run(scene, *arguments: str, config=None, typed: str | None = None) -> subprocess.CompletedProcess:
    one = scene.proxies[0]
    command = [str(scene.binary), "sessions", arguments[0], str(config or one.config_file), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, input=typed or "")


# The listener

def test_a_session_is_told_with_what_an_operator_needs_and_never_a_token(scene):
    one = scene.proxies[0]
    kim = scene.visitor()
    kim.who()
    session, = listed(one, f"?user={kim.user}")
    assert session["subject"] == f"subject-of-{kim.user}" and session["issuer"] == scene.provider.issuer
    assert session["username"] == kim.user and session["email"] == f"{kim.user}@example.test" and session["state"] == "active"
    assert session["created_at"] <= session["last_seen_at"] < session["idle_expires_at"] <= session["expires_at"]
    assert session["sid"].startswith("sid-") and session["generation"] >= 1 and session["has_refresh_token"] is True
    resource, = session["resources"]
    assert resource["routes"] == ["/mcp"] and "mcp.use" in resource["scopes"] and resource["token_expires_at"] > session["created_at"]
    assert len(session["id"]) == 64 and ask(one, target=f"/sessions/{session['id']}").json() == session
    text = ask(one).text
    assert "CANARY" not in text and not any(secret in text for secret in scene.provider.issued + list(kim.cookies.values()))


@pytest.mark.parametrize("query", ["?user={user}", "?user=subject-of-{user}", "?user={user}@example.test", "?user=subject-of-{user}&issuer={issuer}",
                                   "?user={user}&issuer={issuer}"])
def test_a_user_is_found_by_subject_name_and_address_exactly(scene, query):
    one = scene.proxies[0]
    kim = scene.visitor()
    scene.visitor(user=kim.user + "x")
    found = listed(one, query.format(user=kim.user, issuer=scene.provider.issuer))
    assert [session["username"] for session in found] == [kim.user]
    assert listed(one, f"?user={kim.user.upper()}") == [] and listed(one, f"?user={kim.user}&issuer=https://evil.example") == []


def test_long_lists_come_in_pages(scene):
    one = scene.proxies[0]
    users = {scene.visitor().user for _ in range(5)}
    seen, cursor, pages = set(), "", 0
    while cursor is not None:
        answer = ask(one, target=f"/sessions?limit=2{cursor and '&cursor=' + cursor}").json()
        seen |= {session["username"] for session in answer["sessions"]}
        cursor, pages = answer["next"], pages + 1
    assert users <= seen and pages >= 3


@pytest.mark.parametrize("target", ["/sessions?usr=kim", "/sessions?user=", "/sessions?user=a&user=b", "/sessions?limit=0", "/sessions?limit=501",
                                    "/sessions?limit=x", "/sessions/abc", "/sessions/" + "g" * 64, "/sessions/"])
def test_what_is_misspelt_is_refused(scene, target):
    assert ask(scene.proxies[0], target=target).status == 400


@pytest.mark.parametrize("target", ["/sessions", "/sessions?issuer=x", "/sessions?provider=x", "/sessions?all=1", "/sessions?all=false", "/sessions?all=true&user=kim",
                                    "/sessions?user=kim&everything=true", "/sessions?user="])
def test_nobody_is_ended_by_a_misspelt_demand(scene, target):
    kim = scene.visitor(user="kim")
    assert ask(scene.proxies[0], "DELETE", target).status == 400
    assert kim.who() == "kim"


def test_one_session_is_ended(scene):
    one = scene.proxies[0]
    first = scene.visitor()
    second = scene.visitor(user=first.user)
    newest = max(listed(one, f"?user={first.user}"), key=lambda session: session["created_at"])
    answer = ask(one, "DELETE", f"/sessions/{newest['id']}")
    assert answer.status == 200 and answer.json() == {"ended": 1}, answer
    assert sorted([first.signed_in, second.signed_in]) == [False, True]
    assert ask(one, "DELETE", f"/sessions/{newest['id']}").status == 404 == ask(one, target=f"/sessions/{newest['id']}").status


@pytest.mark.parametrize("query", ["user={user}", "user=subject-of-{user}&issuer={issuer}", "user={user}@example.test"])
def test_all_sessions_of_a_user_are_ended(scene, query):
    first, other = scene.visitor(), scene.visitor()
    second = scene.visitor(user=first.user)
    token = next(family for family in scene.provider.families if family.user == first.user).current
    answer = ask(scene.proxies[0], "DELETE", "/sessions?" + query.format(user=first.user, issuer=scene.provider.issuer))
    assert answer.json() == {"ended": 2}, answer
    login_required(first.call())
    login_required(second.call())
    assert other.who() == other.user
    wait_until(lambda: token in scene.provider.revoked, "revocation", 5)


@pytest.mark.parametrize("token", [None, "", TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "wrong"])
def test_without_the_token_nothing_is_told_and_nothing_ends(scene, token):
    one = scene.proxies[0]
    kim = scene.visitor()
    before = metric(one, "coatcheck_operators_refused_total")
    for method, target in [("GET", "/sessions"), ("DELETE", "/sessions?all=true"), ("GET", "/sessions/" + "0" * 64)]:
        answer = ask(one, method, target, token)
        assert answer.status == 401 and answer.header("www-authenticate").startswith("Bearer") and kim.user not in answer.text, answer
    assert kim.who() == kim.user
    assert metric(one, "coatcheck_operators_refused_total") == before + 3
    assert "without the token of admin.token_file" in one.output() and TOKEN not in one.output()
    # What needs no token goes on without.
    for path in ("/healthz", "/readyz", "/metrics"):
        assert http.request(one.admin_url, "GET", path).status == 200


def test_no_other_scheme_and_no_second_token_count(scene):
    one = scene.proxies[0]
    assert ask(one, token=None, Authorization=f"Basic {TOKEN}").status == 401
    fields = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
    assert http.request(one.admin_url, "GET", "/sessions", fields).status in (400, 401)
    assert ask(one, token=None, Authorization=f"bearer {TOKEN}").status == 200
    assert ask(one, "POST").status == 405


def test_without_a_token_file_sessions_are_not_for_anybody(scene):
    one = scene.proxy()
    for method in ("GET", "DELETE"):
        assert ask(one, method, "/sessions?all=true").status == 403
    assert http.request(one.url, "GET", "/sessions", {"Authorization": f"Bearer {TOKEN}"}).status == 404


@pytest.mark.parametrize("text, mode", [("short", 0o600), ("a" * 64, 0o600), ("abcabcabcabc" * 4, 0o600), ("two words that are long enough for it", 0o600),
                                        ("", 0o600), (TOKEN, 0o644), (TOKEN, 0o660)],
                         ids=["short", "one letter", "three letters", "several words", "empty", "for everybody", "for its group to write"])
def test_a_weak_or_open_token_file_keeps_the_proxy_from_starting(scene, tmp_path, text, mode):
    config = json.loads(scene.proxies[0].config_file.read_text())
    config["admin"]["token_file"] = str(token_file(tmp_path, text, mode))
    file = tmp_path / "proxy.json"
    file.write_text(json.dumps(config))
    answer = subprocess.run([str(scene.binary), "run", str(file)], capture_output=True, text=True, timeout=10)
    assert answer.returncode == CONFIGURATION and "admin.token_file" in answer.stderr, answer
    assert not text or text not in answer.stderr.replace(str(tmp_path), "")


# The command

def test_the_command_lists_a_readable_table(scene):
    kim = scene.visitor()
    answer = run(scene, "list", "--user", kim.user)
    assert answer.returncode == 0, answer
    head, row = answer.stdout.splitlines()
    assert head.split()[:2] == ["USER", "SUBJECT"] and head.split()[-1] == "ID"
    id, = [session["id"] for session in listed(scene.proxies[0], f"?user={kim.user}")]
    assert row.split()[0] == kim.user and row.split()[-1] == id and head.rindex("ID") == row.index(id)
    lines = run(scene, "list", "--json").stdout.splitlines()
    assert id in [json.loads(line)["id"] for line in lines]
    assert run(scene, "list", "--user", "nobody").stdout == "No sessions.\n"
    assert "There are more" in run(scene, "list", "--limit", "1").stdout


def test_the_command_shows_one_session(scene):
    kim = scene.visitor()
    kim.who()
    id, = [session["id"] for session in listed(scene.proxies[0], f"?user={kim.user}")]
    text = run(scene, "show", "--id", id).stdout
    for fact in (id, kim.user, "mcp.use", "/mcp", "idle expires at"):
        assert fact in text, text
    assert json.loads(run(scene, "show", "--id", id, "--json").stdout)["id"] == id
    answer = run(scene, "show", "--id", "0" * 64)
    assert answer.returncode == UNKNOWN and "no such session" in answer.stderr and not answer.stdout


def test_the_command_ends_sessions(scene):
    kim, other = scene.visitor(), scene.visitor()
    again = scene.visitor(user=kim.user)
    id = listed(scene.proxies[0], f"?user={other.user}")[0]["id"]
    assert run(scene, "revoke", "--user", kim.user).stdout == "2 sessions ended\n"
    assert run(scene, "revoke", "--id", id, "--json").stdout == '{"ended":1}\n'
    for visitor in (kim, again, other):
        login_required(visitor.call())
    assert run(scene, "revoke", "--user", kim.user).stdout == "0 sessions ended\n"


def test_the_command_does_not_end_everything_by_mistake(scene):
    kim = scene.visitor()
    for arguments in ([], ["--issuer", scene.provider.issuer], ["--all", "--user", kim.user], ["--id", "0" * 64, "--all"]):
        assert run(scene, "revoke", *arguments).returncode == USAGE, arguments
    assert run(scene, "revoke", "--all").returncode == USAGE
    for typed in ("no\n", "\n", "YES\n"):
        code, text = at_terminal(scene, typed)
        assert code == 1 and "nothing was ended" in text, text
    assert kim.who() == kim.user
    code, text = at_terminal(scene, "yes\n")
    assert code == 0 and "ended" in text, text
    login_required(kim.call())
    louis = scene.visitor()
    assert run(scene, "revoke", "--all", "--yes").stdout == "1 session ended\n"
    login_required(louis.call())


def at_terminal(scene, typed: str) -> tuple[int, str]:
    """Runs `revoke --all` with a person at its input."""
    person, terminal = pty.openpty()
    try:
        command = [str(scene.binary), "sessions", "revoke", str(scene.proxies[0].config_file), "--all"]
        process = subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.write(person, typed.encode())
        text, _ = process.communicate(timeout=20)
        return process.returncode, text
    finally:
        os.close(person)
        os.close(terminal)


def test_the_command_tells_clearly_why_it_cannot(scene, tmp_path):
    one = scene.proxies[0]
    config = json.loads(one.config_file.read_text())

    def told(name: str, admin: dict | None) -> subprocess.CompletedProcess:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({**{key: value for key, value in config.items() if key != "admin"}, **({"admin": admin} if admin else {})}))
        answer = run(scene, "list", config=file)
        assert not answer.stdout and "CANARY" not in answer.stderr and TOKEN not in answer.stderr
        return answer

    listen = config["admin"]["listen"]
    secret = config["admin"]["token_file"]
    answer = told("no-admin", None)
    assert answer.returncode == CONFIGURATION and "admin.listen" in answer.stderr
    answer = told("no-token", {"listen": listen})
    assert answer.returncode == CONFIGURATION and "admin.token_file" in answer.stderr
    answer = told("nobody-there", {"listen": "127.0.0.1:9", "token_file": secret})
    assert answer.returncode == UNREACHABLE and "127.0.0.1:9" in answer.stderr
    other = token_file(tmp_path, TOKEN[::-1], name="other.token")
    answer = told("another-token", {"listen": listen, "token_file": str(other)})
    assert answer.returncode == REFUSED and "token" in answer.stderr
    answer = told("weak", {"listen": listen, "token_file": str(token_file(tmp_path, "short", name="weak.token"))})
    assert answer.returncode == CONFIGURATION and "32" in answer.stderr
    assert run(scene, "list", config=tmp_path / "missing.json").returncode == CONFIGURATION
