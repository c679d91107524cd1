"""Logs, metrics and health: what an operator sees, and that it holds no secret."""

from __future__ import annotations

import json
import re

import pytest

from processes import answers, wait_until
from support import http
from support.server import Answer
from support.upstream import JSON, refuse
from support.visitor import Visitor


def lines(one) -> list[dict]:
    return [json.loads(line) for line in one.output().splitlines() if line.startswith("{")]


def values(line: dict) -> list[str]:
    """Every value of a log line, however it nests them."""
    found = []
    for value in line.values():
        found += values(value) if isinstance(value, dict) else [str(value)]
    return found


def access_line(one, *words: str) -> dict:
    def find():
        return next((line for line in lines(one) if all(any(word == value for value in values(line)) for word in words)), None)
    return wait_until(find, f"a log line with {words}", 5)


def test_every_call_leaves_one_access_line_with_method_tool_status_and_times(gateway, harvey, upstream):
    upstream.on("send_mail", Answer(200, [JSON], b'{"jsonrpc":"2.0","id":1,"result":{}}'))
    harvey.call("send_mail")
    line = access_line(gateway, "POST", "/mcp", "tools/call", "send_mail", "200")
    names = " ".join(re.findall(r'"(\w+)":', json.dumps(line)))
    assert "duration" in names or "ms" in names or "time" in names, names
    assert len([l for l in lines(gateway) if "send_mail" in values(l)]) == 1


def test_the_request_id_is_in_the_log_and_on_the_error_page(gateway, visitor, provider):
    provider.callback_changes = {"code": None, "error": "server_error"}
    harvey = visitor()
    page = harvey.come_back(provider.approve(harvey.start_sign_in(), "harvey"))
    ids = {value for line in lines(gateway) for value in values(line) if len(value) >= 8 and value in page.text and not value.startswith(("/", "http"))}
    assert ids, "no id of the log is on the page"


def test_neither_query_of_the_callback_nor_any_cookie_is_logged(gateway, visitor, provider):
    harvey = visitor().sign_in()
    harvey.who()
    output = gateway.output()
    assert "code=" not in output and "state=" not in output and "CANARY" not in output
    assert not [value for value in harvey.cookies.values() if value in output]
    assert provider.authorizations[-1]["state"] not in output


def test_text_logs_hold_one_line_a_request_and_no_secret(proxy, provider):
    one = proxy({"log": {"format": "text"}})
    Visitor(one, provider).sign_in().call("send_mail")
    wait_until(lambda: "send_mail" in one.output(), "the access line")
    assert len([line for line in one.output().splitlines() if "send_mail" in line]) == 1
    assert not one.output().lstrip().startswith("{")


def test_control_characters_of_a_client_cannot_forge_a_log_line(gateway, harvey):
    harvey.call("evil\nname", headers={"Mcp-Name": "=?base64?ZXZpbApuYW1l?="})
    harvey.request("GET", "/pages/x", {"User-Agent": 'x" "level":"error'})
    for line in gateway.output().splitlines():
        if line.startswith("{"):
            json.loads(line)
        assert line != "name"


def test_health_and_metrics_need_no_session_and_leak_none(gateway, harvey, provider):
    harvey.who()
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = http.request(gateway.admin_url, "GET", path)
        assert answer.status == 200, (path, answer)
        assert "CANARY" not in answer.text and not [v for v in harvey.cookies.values() if v in answer.text]
        assert "harvey" not in answer.text.lower() and "subject-of" not in answer.text


def test_the_admin_address_does_not_serve_routes_and_the_public_one_no_metrics(gateway, harvey):
    assert http.request(gateway.admin_url, "GET", "/auth/session").status == 404
    assert http.request(gateway.admin_url, "POST", "/mcp", harvey.headers("client", {"Content-Type": "application/json"}), b"{}").status in (404, 405)
    for path in ("/metrics", "/healthz", "/readyz"):
        assert harvey.request("GET", path, kind="raw").status in (401, 404)


def metrics(one) -> dict[str, float]:
    found = {}
    for line in http.request(one.admin_url, "GET", "/metrics").text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert re.fullmatch(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?', name), line
            found[name] = float(value)
    return found


def test_metrics_are_in_prometheus_form_and_count(gateway, harvey, provider, upstream):
    before = metrics(gateway)
    for _ in range(10):
        harvey.call()
    after = metrics(gateway)
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] - before.get(name, 0) >= 10}
    assert grown, "no counter counted ten calls"
    assert not any("whoami" in name or "session-" in name for name in after), "labels come from configuration, not from requests"


def test_a_request_without_a_session_and_a_consent_refusal_leave_a_trace(gateway, visitor, harvey, upstream):
    visitor().call("early")
    upstream.on("files", refuse(403, 'Bearer error="insufficient_scope", scope="files.read"'))
    harvey.call("files")
    access_line(gateway, "401", "early")
    access_line(gateway, "files")


def test_readiness_is_told_apart_from_life(proxy, provider):
    one = proxy()
    assert answers(f"{one.admin_url}/healthz")
    assert wait_until(lambda: answers(f"{one.admin_url}/readyz"), "readiness")
