"""The program as an operator meets it: its commands, its complaints, how it starts and ends."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from processes import free_port, listens, wait_until
from proxy import ROOT, merged
from support import http
from support.provider import CLIENT_ID, CLIENT_SECRET
from support.server import Answer
from support.upstream import EVENTS, JSON, event, result
from support.visitor import Visitor, tool_call

CONFIGURATION = 78


def run(binary: Path, *arguments: object, directory: Path | None = None, seconds: float = 15) -> subprocess.CompletedProcess:
    return subprocess.run([str(binary), *map(str, arguments)], capture_output=True, text=True, timeout=seconds, cwd=directory,
                          env={key: value for key, value in os.environ.items() if key != "STATE_DIRECTORY"})


@pytest.fixture
def smallest(tmp_path) -> dict:
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    port = free_port()
    return {
        "listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}",
        "oidc": {"issuer": "http://127.0.0.1:9", "client_id": CLIENT_ID, "client_secret_file": str(secret)},
        "routes": [{"path": "/mcp", "upstream": "http://127.0.0.1:9/mcp", "scope": "mcp.use"}],
    }


@pytest.fixture
def check(binary, tmp_path):
    """`coatcheck check` on a configuration."""
    def check(config: dict | str, *options: str) -> subprocess.CompletedProcess:
        file = tmp_path / "proxy.json"
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        return run(binary, "check", file, *options, directory=tmp_path)
    return check


def test_version_and_help(binary):
    version = run(binary, "--version")
    assert version.returncode == 0 and re.search(r"\d+\.\d+", version.stdout)
    help_text = run(binary, "--help")
    assert help_text.returncode == 0
    for command in ("run", "check", "schema", "key"):
        assert command in help_text.stdout


def test_an_unknown_command_is_an_error(binary):
    assert run(binary, "dance").returncode not in (0, 1)


def test_key_prints_a_new_key_each_time(binary):
    first, second = (run(binary, "key").stdout.strip() for _ in range(2))
    assert first != second and len(first) >= 43


def test_the_schema_is_json_and_knows_every_fixed_name(binary):
    schema = json.loads(run(binary, "schema").stdout)
    text = json.dumps(schema)
    for name in ("listen", "public_url", "trusted_proxies", "certificate_file", "private_key_file", "min_version", "issuer", "client_id", "client_secret_file",
                 "token_endpoint_auth_method", "scope", "extra_authorization_params", "path", "upstream", "resource", "authorization", "session", "ca_file",
                 "idle_timeout", "absolute_timeout", "encryption_key_files", "store", "refresh_before_expiry", "refresh_timeout", "allowed_origins", "connect",
                 "request_headers", "response_headers", "drain", "request_body", "header_bytes", "connections", "keep_alive", "level", "format"):
        assert f'"{name}"' in text, name


def test_the_example_is_complete_and_passes_check_and_schema(binary):
    example = ROOT / "proxy.example.json"
    assert run(binary, "check", example, directory=ROOT).returncode == 0, run(binary, "check", example, directory=ROOT).stderr
    import jsonschema
    schema = json.loads(run(binary, "schema").stdout)
    jsonschema.validate(json.loads(example.read_text()), schema)


def test_the_smallest_useful_file_passes(check, smallest):
    done = check(smallest)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_error_is_reported_at_once_with_its_path(check, smallest):
    done = check(merged(smallest, {"routs": [], "session": {"idle_timeout": "soon"}, "limits": {"request_body": "4 apples"}, "log": {"format": "xml"},
                                   "routes": [smallest["routes"][0], {"path": "tools", "upstream": "ftp://x"}]}))
    text = done.stdout + done.stderr
    assert done.returncode == CONFIGURATION, text
    for path in ("routs", "session.idle_timeout", "limits.request_body", "log.format", "routes[1].path", "routes[1].upstream"):
        assert path in text, f"{path} is not named in:\n{text}"
    assert re.search(r"routs.*routes", text), "the nearest known name is offered"
    assert "json" in text and "text" in text, "what is allowed is said"


BAD = {
    "a public URL without TLS off loopback": {"public_url": "http://mcp.example.com"},
    "every origin allowed": {"csrf": {"allowed_origins": ["*"]}},
    "no client credential": {"oidc": {"client_secret_file": None}},
    "an empty list of routes": {"routes": []},
    "the same route twice": {"routes": [{"path": "/mcp", "upstream": "http://127.0.0.1:9/a", "scope": "x"}, {"path": "/mcp", "upstream": "http://127.0.0.1:9/b", "scope": "x"}]},
    "a public address without TLS": {"listen": "0.0.0.0:8080", "public_url": "https://mcp.example.com"},
    "an issuer without TLS off loopback": {"oidc": {"issuer": "http://login.example.com"}},
    "no issuer": {"oidc": {"issuer": None}},
    "a missing secret file": {"oidc": {"client_secret_file": "/nonexistent/secret"}},
    "a missing key file": {"session": {"encryption_key_files": ["/nonexistent/key"]}},
    "an upstream with a user name": {"routes": [{"path": "/mcp", "upstream": "http://me@127.0.0.1:9/mcp", "scope": "x"}]},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_it_refuses_to_start_with(binary, smallest, tmp_path, changes):
    file = tmp_path / "proxy.json"
    file.write_text(json.dumps(merged(smallest, changes)))
    done = run(binary, "run", file, directory=tmp_path)
    assert done.returncode == CONFIGURATION, done.stdout + done.stderr
    assert (done.stderr + done.stdout).strip()
    assert CLIENT_SECRET not in done.stderr + done.stdout


def test_a_key_that_is_no_key_is_refused(binary, smallest, tmp_path):
    for content in ("", "short", "A" * 200):
        key = tmp_path / "weak.key"
        key.write_text(content)
        key.chmod(0o600)
        file = tmp_path / "proxy.json"
        file.write_text(json.dumps(merged(smallest, {"session": {"encryption_key_files": [str(key)]}})))
        done = run(binary, "run", file, directory=tmp_path)
        assert done.returncode == CONFIGURATION, (content, done.stderr)
        assert "weak.key" in done.stdout + done.stderr


def test_broken_json_is_reported_with_its_line(check):
    done = check('{\n  "listen": "127.0.0.1:1",\n  "oops"\n}')
    assert done.returncode == CONFIGURATION
    assert re.search(r"\b[34]\b", done.stdout + done.stderr)


def test_a_missing_file_is_one_clear_line(binary, tmp_path):
    done = run(binary, "run", tmp_path / "nothing.json")
    assert done.returncode == CONFIGURATION
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1 and "nothing.json" in done.stdout + done.stderr


def test_a_taken_address_is_one_clear_line_and_not_a_configuration_error(binary, smallest, tmp_path):
    import socket
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = tmp_path / "proxy.json"
        file.write_text(json.dumps(merged(smallest, {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"})))
        done = run(binary, "run", file, directory=tmp_path)
        assert done.returncode == 1, done.stdout + done.stderr
        assert str(port) in done.stdout + done.stderr


def test_check_online_talks_to_provider_and_upstream(check, smallest, provider, upstream):
    good = merged(smallest, {"oidc": {"issuer": provider.issuer}, "routes": [{"path": "/mcp", "upstream": upstream.url, "scope": "mcp.use"}]})
    done = check(good, "--online")
    assert done.returncode == 0, done.stdout + done.stderr
    assert provider.count["/.well-known/openid-configuration"] >= 1
    provider.metadata_changes = {"issuer": "https://other.example"}
    done = check(good, "--online")
    assert done.returncode != 0 and "issuer" in (done.stdout + done.stderr).lower()
    provider.metadata_changes = {}
    done = check(merged(good, {"routes": smallest["routes"]}), "--online")
    assert done.returncode != 0 and "upstream" in (done.stdout + done.stderr).lower()
    assert CLIENT_SECRET not in done.stdout + done.stderr


# Start

def test_without_a_key_file_one_is_made_beside_the_store_and_kept(proxy, provider):
    one = proxy()
    key = [file for file in one.directory.iterdir() if file.suffix == ".key" or "key" in file.name]
    assert len(key) == 1, list(one.directory.iterdir())
    assert stat.S_IMODE(key[0].stat().st_mode) == 0o600
    wait_until(lambda: key[0].name in one.output(), "the log to say that a key was made")
    content = key[0].read_bytes()
    visitor = Visitor(one, provider).sign_in()
    one.stop()
    one.start()
    assert key[0].read_bytes() == content
    assert visitor.signed_in


def test_without_a_store_the_file_is_in_the_state_directory(proxy):
    one = proxy({"session": {"store": None}})
    assert [file for file in one.directory.iterdir() if file.suffix in (".db", ".sqlite", ".sqlite3")], list(one.directory.iterdir())


def test_it_is_ready_quickly(proxy):
    start = time.monotonic()
    proxy()
    assert time.monotonic() - start < 3


# End

def stop_and_time(one, number: int = signal.SIGTERM, seconds: float = 10) -> tuple[int, float]:
    one.ended = True
    start = time.monotonic()
    one.service.signal(number)
    return one.service.wait(seconds), time.monotonic() - start


def test_an_idle_proxy_ends_at_once_with_zero(gateway):
    code, seconds = stop_and_time(gateway)
    assert code == 0 and seconds < 2


def test_ctrl_c_ends_it_too(gateway):
    assert stop_and_time(gateway, signal.SIGINT)[0] == 0


def test_what_is_in_flight_is_finished_before_it_ends(gateway, harvey, upstream):
    upstream.on("slow", lambda request: Answer(200, [JSON], result(request, "finished"), delay=1))
    answers = []
    caller = threading.Thread(target=lambda: answers.append(harvey.call("slow")))
    with harvey.connect() as idle:
        assert idle.request("GET", "/auth/session", harvey.headers("script", {})).status == 200
        caller.start()
        wait_until(lambda: upstream.calls("slow"), "the call to reach the upstream")
        code, seconds = stop_and_time(gateway)
        caller.join()
        assert answers[0].status == 200 and "finished" in answers[0].text
        assert code == 0 and seconds < 4
        assert idle.ended_by_peer(), "idle connections are closed"
    assert not listens(gateway.port)


def test_streams_end_cleanly_when_it_ends(proxy, provider, upstream):
    one = proxy({"timeouts": {"drain": "1s"}})
    visitor = Visitor(one, provider).sign_in()
    upstream.on("stream", Answer(200, [EVENTS], pieces=[(0, event("hello"))] + [(0.3, event("more"))] * 100))
    headers, body = tool_call("stream")
    with visitor.connect() as connection:
        connection.send_request("POST", "/mcp", visitor.headers("script", headers), body)
        events = connection.events(connection.read_head())
        next(events)
        one.ended = True
        one.service.signal(signal.SIGTERM)
        received = list(events)
    assert one.service.wait(5) == 0
    assert all(text == "data: more" or text.startswith(":") for _, text in received)


def test_waiting_ends_with_the_drain_time(proxy, provider, upstream):
    one = proxy({"timeouts": {"drain": "1s"}})
    visitor = Visitor(one, provider).sign_in()
    upstream.on("endless", Answer(200, delay=20))
    caller = threading.Thread(target=lambda: _quietly(lambda: visitor.call("endless")))
    caller.start()
    wait_until(lambda: upstream.calls("endless"), "the call to reach the upstream")
    code, seconds = stop_and_time(one)
    caller.join()
    assert code == 0 and 0.8 < seconds < 4


def test_a_second_signal_ends_it_at_once(gateway, harvey, upstream):
    upstream.on("endless", Answer(200, delay=20))
    caller = threading.Thread(target=lambda: _quietly(lambda: harvey.call("endless")))
    caller.start()
    wait_until(lambda: upstream.calls("endless"), "the call to reach the upstream")
    gateway.ended = True
    gateway.service.signal(signal.SIGTERM)
    time.sleep(0.3)
    assert gateway.service.running
    start = time.monotonic()
    gateway.service.signal(signal.SIGTERM)
    gateway.service.wait(5)
    caller.join()
    assert time.monotonic() - start < 1


def _quietly(work) -> None:
    try:
        work()
    except Exception:
        pass
