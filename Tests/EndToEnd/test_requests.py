"""What passes to the upstream and back, what is refused at the door, and how callers without a session are told."""

from __future__ import annotations

import json
import time

import pytest

from support import http
from support.server import Answer
from support.upstream import JSON, result
from support.visitor import LEGACY, Visitor, error_of, login_required, rpc, tool_call


def names(request) -> list[str]:
    return [name.lower() for name, _ in request.fields]


# Callers without a session

@pytest.mark.parametrize("kind", ["script", "client"])
@pytest.mark.parametrize("era", ["2026-07-28", LEGACY])
def test_a_call_without_a_session_gets_a_401_with_its_id_and_a_way_to_sign_in(visitor, upstream, kind, era):
    answer = visitor().call(kind=kind, era=era, id="call-7")
    data = login_required(answer)
    assert answer.json()["id"] == "call-7"
    assert data["login_url"]
    assert answer.header("www-authenticate")
    assert "resource_metadata" not in answer.header("www-authenticate")
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["server/discover", "initialize", "tools/list", "notifications/initialized"])
def test_probing_without_a_session_never_looks_like_an_old_server(visitor, upstream, method):
    answer = visitor().rpc(method, kind="client", id=None if method.startswith("notifications") else 1)
    assert answer.status == 401, answer
    assert upstream.requests == []


def test_a_body_that_is_no_json_still_gets_an_answer_with_a_null_id(visitor, upstream):
    answer = visitor().request("POST", "/mcp", {"Content-Type": "application/json"}, b"{not json")
    assert answer.status in (400, 401), answer
    assert answer.json()["id"] is None
    assert upstream.requests == []


def test_a_get_without_a_session_on_an_mcp_route_is_a_401_for_scripts_and_streams(visitor, upstream):
    for accept in ("text/event-stream", "*/*", "application/json"):
        answer = visitor().request("GET", "/mcp", {"Accept": accept})
        assert answer.status == 401 and answer.location is None, answer
    assert upstream.requests == []


def test_a_navigation_is_told_from_a_call_by_fetch_metadata_and_accept(visitor, upstream):
    navigating = [{"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None, "Sec-Fetch-User": None, "Accept": "text/html"}]
    calling = [{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-User": None},
               {"Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None, "Sec-Fetch-User": None, "Accept": "*/*"}]
    for headers in navigating:
        assert visitor().navigate("/pages/x", headers).status == 303, headers
    for headers in calling:
        assert visitor().navigate("/pages/x", headers).status == 401, headers
    assert upstream.requests == []


@pytest.mark.parametrize("cookie", ["", "x", "A" * 43, "A" * 4000, "é", '"quoted"', "a=b; c"])
def test_a_bad_ticket_is_no_session(visitor, sign_in, upstream, cookie):
    name = next(iter(sign_in().cookies))
    answer = visitor().call(headers={"Cookie": f"{name}={cookie}"})
    assert answer.status in (400, 401), answer
    assert upstream.requests == []


def test_a_session_id_of_the_mcp_server_authenticates_nobody(harvey, visitor, upstream):
    mcp_session = harvey.open_session()
    count = len(upstream.requests)
    login_required(visitor().call(era=LEGACY, headers={"Mcp-Session-Id": mcp_session}))
    assert len(upstream.requests) == count


def test_public_pages_need_no_session_and_get_no_identity(visitor, upstream, harvey):
    assert visitor().navigate("/public/style.css").status == 200
    assert harvey.navigate("/public/style.css").status == 200
    for request in upstream.requests:
        assert request.header("authorization") is None and request.header("cookie") is None


def test_a_route_without_a_token_still_needs_a_session(visitor, harvey, upstream):
    assert visitor().request("GET", "/pages/x").status == 401
    assert upstream.requests == []
    assert harvey.request("GET", "/pages/x").status == 200
    assert upstream.last.header("authorization") is None


# What passes upstream

def test_credentials_and_forwarding_fields_of_the_client_never_pass(harvey, upstream, gateway):
    planted = {
        "Authorization": "Bearer planted-by-client", "Proxy-Authorization": "Basic cGxhbnRlZA==", "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "planted.example",
        "X-Forwarded-Proto": "gopher", "X-Forwarded-User": "planted", "Forwarded": "for=6.6.6.6;host=planted.example", "X-Real-IP": "6.6.6.6",
        "Via": "1.1 planted", "Remote-User": "planted", "X-MS-Client-Principal": "planted",
        "Keep-Alive": "timeout=5", "Upgrade": "planted", "Proxy-Connection": "keep-alive", "X-Hop": "planted-hop", "Connection": "keep-alive, X-Hop",
        "TE": "planted",
    }
    answer = harvey.call(headers=planted)
    if answer.status == 400:
        # Refusing both credentials at once is as good; without the client's own one it has to pass.
        del planted["Authorization"]
        assert harvey.call(headers=planted).status == 200
    request = upstream.last
    everything = b"\n".join(request.lines).decode("latin-1").lower()
    passed = [name for name, value in request.fields if "planted" in value]
    assert not passed, passed
    assert "6.6.6.6" not in everything
    assert request.all("authorization")[0].startswith("Bearer CANARY-at~harvey~")
    assert request.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert not {"keep-alive", "upgrade", "proxy-connection", "te", "x-hop", "proxy-authorization"} & set(names(request))
    assert request.header("x-forwarded-host") == f"127.0.0.1:{gateway.port}"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert "coatcheck" in (request.header("via") or "").lower() or request.header("via")
    assert request.header("forwarded")


def test_cookies_never_pass_upstream(harvey, upstream):
    harvey.call(headers={"Cookie": harvey.cookie + "; other=1; more=2"})
    assert "cookie" not in names(upstream.last)


def test_other_fields_pass_unchanged_and_once(harvey, upstream):
    harvey.call(headers={"X-Custom": "Value  with  spaces", "Accept-Language": "de, en;q=0.5", "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                         "Mcp-Param-Tenant": "blue", "Origin": harvey.url})
    request = upstream.last
    for name, value in {"x-custom": "Value  with  spaces", "accept-language": "de, en;q=0.5", "mcp-param-tenant": "blue"}.items():
        assert request.all(name) == [value]
    assert request.header("origin") in (None, f"http://127.0.0.1:{upstream.port}")


def test_the_path_below_a_route_is_joined_to_the_upstreams_path(proxy, provider, upstream):
    one = proxy({"routes": [{"path": "/tools", "upstream": f"{upstream.origin}/base/mcp", "scope": "mcp.use"}]})
    visitor = Visitor(one, provider).sign_in()
    for asked, expected in {"/tools": "/base/mcp", "/tools/a/b?x=1&y=%20": "/base/mcp/a/b?x=1&y=%20", "/tools?q": "/base/mcp?q"}.items():
        visitor.call(path=asked)
        assert upstream.last.target == expected


def test_the_longest_route_wins_and_only_at_a_segments_end(proxy, provider, upstream, other_upstream):
    one = proxy({"routes": [{"path": "/a", "upstream": f"{upstream.origin}/first", "scope": "x"}, {"path": "/a/b", "upstream": f"{other_upstream.origin}/second", "scope": "y"}]})
    visitor = Visitor(one, provider).sign_in()
    visitor.call(path="/a/b/c")
    assert other_upstream.last.target == "/second/c"
    visitor.call(path="/a/bc")
    assert upstream.last.target == "/first/bc"
    assert visitor.call(path="/ab").status == 404
    assert visitor.navigate("/nowhere").status == 404


CONFUSING = [
    "/pages/../mcp", "/pages/..%2fmcp", "/pages/%2e%2e/mcp", "/pages/.%2e/mcp", "/pages%2f..%2fmcp", "/pages/..\\mcp", "/pages/%5c..%5cmcp", "//mcp", "/pages//mcp", "/%2fmcp",
    "/pages/%00", "/mcp%00", "/pages/%", "/pages/%zz", "/pages/./x", "/mcp/../pages/x", "/mcp/%2e%2e/%2e%2e/etc", "/pages/x;/../mcp", "/pages/%252e%252e/mcp",
    "/auth/../mcp", "/public/../pages/x", "/public/..%2fpages/x", "/public/%2e%2e%2fpages", "/public//../pages/x", "/public/..;/pages/x",
]


@pytest.mark.parametrize("path", CONFUSING)
def test_a_path_cannot_be_confused_into_another_route(shared_visitor, path):
    """Without a session nothing but the public route may be reached, and the upstream may not be handed a path that leaves it."""
    upstream = shared_visitor.upstream
    upstream.forget()
    answer = shared_visitor().request("GET", path)
    assert answer.status in (200, 400, 401, 404), answer
    for request in upstream.requests:
        assert request.path.startswith("/public/"), request.target
        decoded = request.target.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\")
        assert "/../" not in decoded and not decoded.endswith("/..") and "\\" not in decoded, request.target


def test_a_target_with_another_authority_is_refused(gateway, upstream):
    for head in (f"GET http://evil.example/public/x HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n",
                 f"GET http://evil.example/public/x HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n",
                 "GET @evil.example/public/x HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"):
        answer = http.exchange_raw(gateway.url, head.encode())
        assert answer.split(b" ")[1][:1] == b"4" or answer.split(b" ")[1] == b"501", (head, answer[:200])
    assert upstream.requests == []


# What passes back

def test_the_upstreams_cookies_and_challenges_do_not_reach_the_browser(harvey, upstream):
    upstream.on("cookie", lambda request: Answer(200, [JSON, ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("WWW-Authenticate", "Bearer"), ("X-Kept", "yes"),
                                                       ("Connection", "X-Hop"), ("X-Hop", "no")], result(request, "ok")))
    answer = harvey.call("cookie")
    assert answer.header("set-cookie") is None and answer.header("www-authenticate") is None and answer.header("x-hop") is None
    assert answer.header("x-kept") == "yes"


def test_answers_for_a_user_may_not_be_stored_and_vary_by_cookie(harvey, visitor):
    for answer in (harvey.call(), visitor().call()):
        assert "no-store" in answer.header("cache-control"), answer
        vary = ", ".join(answer.all("vary")).lower()
        assert "cookie" in vary and "origin" in vary, answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_upstream_is_neither_followed_nor_handed_to_a_call(harvey, upstream, other_upstream, status):
    upstream.on("moved", Answer(status, [("Location", f"{other_upstream.origin}/stolen")]))
    answer = harvey.call("moved")
    assert answer.status == 502 and answer.location is None, answer
    error_of(answer)
    assert other_upstream.requests == []


def test_a_redirect_of_the_upstream_to_itself_with_a_slash_does_not_lose_the_call(harvey, upstream):
    upstream.on("moved", Answer(307, [("Location", "/mcp/")]))
    assert harvey.call("moved").status in (200, 307, 308, 502)
    assert upstream.executed["moved"] <= 5


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 404, 405, 409, 418, 429, 500, 503])
def test_other_answers_pass_with_status_and_body(harvey, upstream, status):
    body = b"" if status in (204, 304) else b'{"status":%d}' % status
    upstream.on("status", Answer(status, [JSON, ("Retry-After", "7")], body))
    answer = harvey.call("status")
    assert (answer.status, answer.body, answer.header("retry-after")) == (status, body, "7")


def test_head_has_no_body(harvey, upstream):
    with harvey.connect() as connection:
        headers = harvey.headers("script", {})
        answer = connection.request("HEAD", "/pages/x", headers)
        assert answer.status == 200 and answer.header("content-length") == "5" and answer.body == b""
        assert connection.request("GET", "/pages/x", headers).body == b"hello"


# Requests across sites

CROSS_SITE = {
    "a foreign origin": ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
    "a foreign origin without fetch metadata": ({"Origin": "https://evil.example", "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None}, 403),
    "the null origin": ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
    "the null origin without fetch metadata": ({"Origin": "null", "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None}, 403),
    "another scheme": ({"Origin": "https://127.0.0.1", "Sec-Fetch-Site": "cross-site"}, 403),
    "another port": ({"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403),
    "a sibling site": ({"Origin": "http://sub.127.0.0.1", "Sec-Fetch-Site": "same-site"}, 403),
    "cross-site and no origin": ({"Origin": None, "Sec-Fetch-Site": "cross-site"}, 403),
    "same-site and no origin": ({"Origin": None, "Sec-Fetch-Site": "same-site"}, 403),
    "two origins": ({"Origin": "http://127.0.0.1, https://evil.example"}, 403),
    "the own origin": ({}, 200),
    "no browser at all": ({"Origin": None, "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None}, 200),
}


@pytest.mark.parametrize("headers, status", CROSS_SITE.values(), ids=CROSS_SITE.keys())
def test_a_call_by_cookie_is_judged_by_where_it_comes_from(harvey, upstream, headers, status):
    answer = harvey.call(headers=headers)
    assert answer.status == status, answer
    assert len(upstream.requests) == (status == 200)
    if status == 403:
        assert "bearer" not in (answer.header("www-authenticate") or "").lower()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None, "text/plain;application/json"])
def test_a_call_that_a_form_could_send_is_refused(harvey, upstream, content_type):
    answer = harvey.call(headers={"Content-Type": content_type})
    assert answer.status in (400, 403, 415), answer
    assert upstream.requests == []


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_call_in_json_passes_as(harvey, content_type):
    assert harvey.call(headers={"Content-Type": content_type}).status == 200


def test_a_get_from_another_site_reaches_nothing(harvey, upstream):
    for target in ("/mcp", "/mcp?method=tools/call&name=send", "/pages/x"):
        answer = harvey.request("GET", target, {"Origin": None, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"})
        assert answer.status in (403, 405), answer
    assert upstream.requests == []


# Other origins that are allowed

FRIEND = "https://app.example"


@pytest.fixture
def with_friend(proxy, provider):
    one = proxy({"csrf": {"allowed_origins": [FRIEND]}, "limits": {"request_body": "64KiB"}})
    return lambda: Visitor(one, provider)


def preflight(visitor: Visitor, origin: str, headers: str = "content-type,mcp-method,mcp-name,mcp-protocol-version,mcp-session-id,last-event-id,mcp-param-x"):
    return http.request(visitor.url, "OPTIONS", "/mcp", {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers,
                                                         "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})


def test_a_preflight_of_an_allowed_origin_works_without_a_cookie(with_friend, upstream):
    answer = preflight(with_friend(), FRIEND)
    assert answer.status in (200, 204), answer
    assert answer.header("access-control-allow-origin") == FRIEND
    assert answer.header("access-control-allow-credentials") == "true"
    allowed = {name.strip().lower() for name in answer.header("access-control-allow-headers").split(",")}
    assert {"content-type", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "last-event-id", "mcp-param-x"} <= allowed
    assert {"POST", "GET", "DELETE"} <= {method.strip() for method in answer.header("access-control-allow-methods").split(",")}
    assert "*" not in "".join(value for name, value in answer.fields if name.lower().startswith("access-control"))
    assert "origin" in ", ".join(answer.all("vary")).lower()
    assert upstream.requests == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example", "https://APP.example:8443"])
def test_a_preflight_of_another_origin_allows_nothing(with_friend, origin):
    answer = preflight(with_friend(), origin)
    assert answer.header("access-control-allow-origin") is None and answer.header("access-control-allow-credentials") is None


def test_an_allowed_origin_may_call_and_read_every_answer(with_friend, upstream):
    visitor = with_friend()
    cross = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
    answers = [visitor.call(headers=cross)]
    visitor.sign_in()
    upstream.on("gone", Answer(404))
    upstream.on("broken", Answer(raw=b"nonsense\r\n\r\n"))
    answers += [visitor.call(headers=cross), visitor.call("gone", headers=cross), visitor.call("broken", headers=cross),
                visitor.call("large", {"text": "x" * 100_000}, headers=cross)]
    assert [answer.status for answer in answers] == [401, 200, 404, 502, 413]
    for answer in answers:
        assert answer.header("access-control-allow-origin") == FRIEND, answer
        assert answer.header("access-control-allow-credentials") == "true"
        exposed = {name.strip().lower() for name in answer.header("access-control-expose-headers").split(",")}
        assert {"mcp-session-id", "mcp-protocol-version", "www-authenticate"} <= exposed


def test_no_cors_fields_without_an_allowed_origin(harvey):
    assert not [name for name, _ in harvey.call().fields if name.lower().startswith("access-control")]


# Well-known documents

@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server",
                                  "/.well-known/openid-configuration"])
def test_a_discovery_document_is_json_or_missing_and_never_a_page(visitor, path):
    answer = visitor().request("GET", path, {"Accept": "*/*"}, kind="raw")
    assert answer.status in (200, 404), answer
    if answer.status == 200:
        assert answer.header("content-type").startswith("application/json")
    assert "<html" not in answer.text.lower()


def test_urls_named_by_an_upstream_are_not_fetched(harvey, upstream, other_upstream):
    from support.upstream import refuse
    for name, url in {"a": f"{other_upstream.origin}/metadata", "b": "http://169.254.169.254/latest"}.items():
        upstream.on(name, refuse(401, f'Bearer error="invalid_token", resource_metadata="{url}"'))
        assert harvey.call(name).status in (401, 403)
    assert other_upstream.requests == []


# Limits

def test_a_body_over_the_limit_gets_a_413_in_json(with_friend, upstream):
    visitor = with_friend().sign_in()
    error_of(visitor.call("large", {"text": "x" * 100_000}), 413)
    assert upstream.calls("large") == []


def test_a_chunked_body_over_the_limit_is_cut_off(with_friend, upstream):
    visitor = with_friend().sign_in()
    with visitor.connect() as connection:
        headers = visitor.headers("script", tool_call("large")[0]) | {"Transfer-Encoding": "chunked"}
        connection.send_request("POST", "/mcp", headers)
        try:
            for _ in range(40):
                connection.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        except (ConnectionResetError, BrokenPipeError):
            return
        assert connection.read_head().status == 413
    assert upstream.requests == []


def test_a_slow_head_is_given_up_on(proxy, upstream):
    one = proxy({"timeouts": {"request_headers": "1s"}})
    with http.Connection(one.url) as connection:
        start = time.monotonic()
        connection.send(b"POST /mcp HTTP/1.1\r\nHost: x\r\n")
        got = b""
        try:
            for _ in range(25):
                time.sleep(0.1)
                connection.send(b"X")
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while piece := connection.socket.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
        assert time.monotonic() - start < 4
        assert got == b"" or b" 408 " in got.split(b"\r\n")[0], got


def test_a_head_over_the_limit_gets_a_431(gateway, upstream):
    answer = http.exchange_raw(gateway.url, b"GET /public/x HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n")
    assert answer == b"" or b" 431 " in answer.split(b"\r\n")[0], answer[:200]
    answer = http.exchange_raw(gateway.url, b"GET /public/" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer == b"" or answer.split(b" ")[1] in (b"414", b"431"), answer[:200]
    assert upstream.requests == []


def test_connections_over_the_cap_wait_or_are_turned_away_and_the_rest_works(proxy, provider):
    # The cap is shared out among the loops, and the kernel spreads connections unevenly: the first ones fit in any case.
    one = proxy({"limits": {"connections": 60}})
    idle = [http.Connection(one.url) for _ in range(10)]
    assert Visitor(one, provider).sign_in().who() == "harvey"
    idle += [http.Connection(one.url) for _ in range(90)]
    for connection in idle:
        connection.close()
    time.sleep(0.2)
    assert Visitor(one, provider).sign_in().who() == "harvey"
