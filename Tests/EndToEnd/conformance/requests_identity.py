"""What a client says of itself: credentials, identities, addresses, other methods and paths. None of it reaches the upstream."""

from .case import Case, Received, answered, passes, post, request


def spoofed(name: bytes, value: bytes = b"root", title: str | None = None) -> Case:
    """A field that must not pass."""
    return passes(title or f"{name.decode()} from a client", request(fields=name + b": " + value + b"\r\n"), Received(fields={name.lower(): None}))


def replaced(name: bytes, value: bytes, ours: bytes) -> Case:
    """A field of which only ours may pass."""
    return passes(f"{name.decode()} from a client", request(fields=name + b": " + value + b"\r\n"), Received(fields={name.lower(): ours}))


CASES = [
    # Credentials
    passes("a token of the client's own", request(fields=b"Authorization: Bearer stolen\r\n")),
    passes("two tokens of the client's own", request(fields=b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")),
    passes("a password of the client's own", request(fields=b"Authorization: Basic eDp5\r\n")),
    passes("a token in small letters", request(fields=b"authorization: Bearer stolen\r\n")),
    passes("an empty token", request(fields=b"Authorization:\r\n")),
    passes("Authorization on a route without tokens", request(b"GET /public/x HTTP/1.1", b"Authorization: Bearer stolen\r\n"),
           Received(target=b"/public/x", user=None)),
    answered("a token and no session", request(fields=b"Authorization: Bearer stolen\r\n", cookie=b""), 401),
    spoofed(b"DPoP", b"x.y.z"),
    spoofed(b"Client-Cert", b":eA==:"),
    spoofed(b"Client-Cert-Chain", b":eA==:"),
    spoofed(b"X-Access-Token"), spoofed(b"X-Id-Token"), spoofed(b"X-Forwarded-Access-Token"),
    # Cookies
    passes("other cookies stay here", request(cookie=b"Cookie: a=b; @COOKIE@; c=d\r\n"), Received(fields={b"cookie": None})),
    passes("a cookie that may pass", request(cookie=b"Cookie: a=b; @COOKIE@; theme=dark\r\n"), Received(fields={b"cookie": b"theme=dark"})),
    passes("cookies in two fields", request(cookie=b"Cookie: theme=dark\r\nCookie: @COOKIE@\r\n"), Received(fields={b"cookie": b"theme=dark"})),
    passes("a cookie that may pass, twice", request(cookie=b"Cookie: theme=a; @COOKIE@; theme=b\r\n"), Received(fields={b"cookie": b"theme=a; theme=b"})),
    passes("a cookie with a line in quotes", request(cookie=b'Cookie: theme="a, b"; @COOKIE@\r\n'), Received(fields={b"cookie": b'theme="a, b"'})),
    passes("semicolons without cookies", request(cookie=b"Cookie: ;; ; @COOKIE@;;\r\n"), Received(fields={b"cookie": None})),
    passes("the ticket twice", request(cookie=b"Cookie: @COOKIE@; @COOKIE@\r\n"), Received(fields={b"cookie": None})),
    answered("a ticket in another case", request(cookie=b"COOKIE: x=@COOKIE@\r\n"), 401),
    answered("no ticket", request(cookie=b"Cookie: a=b\r\n"), 401),
    answered("no cookie", request(cookie=b""), 401),
    answered("a ticket in a field that only looks like Cookie", request(cookie=b"Cookie2: @COOKIE@\r\n"), 401),
    answered("a ticket in Cookie with an underscore", request(cookie=b"X_Cookie: @COOKIE@\r\n"), 401),
    # Identities
    spoofed(b"Remote-User"), spoofed(b"Remote-Groups"), spoofed(b"Remote-Email"), spoofed(b"X-Remote-User"), spoofed(b"X-User"), spoofed(b"X-Email"),
    spoofed(b"X-Forwarded-User"), spoofed(b"X-Forwarded-Email"), spoofed(b"X-Forwarded-Groups"), spoofed(b"X-Forwarded-Client-Cert"),
    spoofed(b"X-Auth-Request-User"), spoofed(b"X-Auth-Request-Email"), spoofed(b"X-MS-CLIENT-PRINCIPAL"), spoofed(b"X-MS-CLIENT-PRINCIPAL-ID"),
    spoofed(b"X-MS-TOKEN-AAD-ACCESS-TOKEN"), spoofed(b"X-Goog-IAP-JWT-Assertion"), spoofed(b"Cf-Access-Jwt-Assertion"), spoofed(b"X-WebAuth-User"),
    spoofed(b"REMOTE-USER", title="Remote-User in capitals"),
    # The same names as gateway interfaces spell them: CGI makes every character but letters and digits an underscore.
    spoofed(b"Remote_User"), spoofed(b"X_Forwarded_For", b"192.0.2.1"), spoofed(b"X_Forwarded-User"), spoofed(b"X_Auth_Request_User"), spoofed(b"X_User"),
    spoofed(b"X.Remote.User"), spoofed(b"X-MS_CLIENT-PRINCIPAL"), spoofed(b"X_HTTP_Method_Override", b"DELETE"), spoofed(b"X_Original_URL", b"/admin"),
    spoofed(b"Mcp_Session_Id", b"1"), spoofed(b"Content_Type", b"text/html"), spoofed(b"X_Real_IP", b"192.0.2.1"),
    passes("an underscore in a name nobody knows", request(fields=b"X_Some_Thing: 1\r\n"), Received(fields={b"x_some_thing": b"1"})),
    # Addresses
    replaced(b"X-Forwarded-For", b"192.0.2.1", b"127.0.0.1"),
    replaced(b"X-Forwarded-Proto", b"https", b"http"),
    passes("X-Forwarded-For from a client, twice", request(fields=b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n"), Received(fields={b"x-forwarded-for": b"127.0.0.1"})),
    passes("X-Forwarded-Host from a client", request(fields=b"X-Forwarded-Host: other.example\r\n")),
    passes("Forwarded from a client", request(fields=b"Forwarded: for=192.0.2.1;host=other\r\n")),
    replaced(b"Via", b"1.1 other", b"1.1 coatcheck"),
    spoofed(b"X-Forwarded-Port", b"443"), spoofed(b"X-Forwarded-Prefix", b"/admin"), spoofed(b"X-Forwarded-Server", b"other"), spoofed(b"X-Forwarded-Scheme", b"https"),
    spoofed(b"X-Forwarded-Uri", b"/admin"), spoofed(b"X-Real-IP", b"192.0.2.1"), spoofed(b"True-Client-IP", b"192.0.2.1"), spoofed(b"X-Client-IP", b"192.0.2.1"),
    spoofed(b"CF-Connecting-IP", b"192.0.2.1"), spoofed(b"X-Cluster-Client-IP", b"192.0.2.1"), spoofed(b"Client-IP", b"192.0.2.1"),
    spoofed(b"X-Original-Forwarded-For", b"192.0.2.1"), spoofed(b"Fastly-Client-IP", b"192.0.2.1"),
    passes("X-Request-ID from a client", request(fields=b"X-Request-ID: mine\r\n")),
    # Other methods and paths than the request line's, and what makes a server ask elsewhere
    spoofed(b"X-HTTP-Method-Override", b"DELETE"), spoofed(b"X-HTTP-Method", b"DELETE"), spoofed(b"X-Method-Override", b"DELETE"),
    spoofed(b"X-Original-URL", b"/admin"), spoofed(b"X-Rewrite-URL", b"/admin"), spoofed(b"X-Original-Host", b"other"), spoofed(b"X-Host", b"other"),
    spoofed(b"Proxy", b"http://192.0.2.1/", "Proxy from a client, which CGI programs take for a setting"),
    # Where a browser says it comes from
    Case("Origin of another site", request(fields=b"Origin: http://other.example\r\n"), (403,), kept=True),
    Case("two Origins", request(fields=b"Origin: http://@HOST@\r\nOrigin: http://other.example\r\n"), (403,), kept=True),
    Case("an Origin of nowhere", request(fields=b"Origin: null\r\n"), (403,), kept=True),
    passes("Origin of its own site stays here", request(fields=b"Origin: http://@HOST@\r\nSec-Fetch-Site: same-origin\r\n"), Received(fields={b"origin": None, b"sec-fetch-site": None})),
    passes("Referer stays here", request(fields=b"Referer: http://@HOST@/secret\r\n"), Received(fields={b"referer": None})),
    Case("a request that another site made", request(fields=b"Sec-Fetch-Site: cross-site\r\n"), (403,), kept=True),
    Case("two Sec-Fetch-Site", request(fields=b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n"), (403,), kept=True),
    passes("a body with the token beside it", post(b"Authorization: Bearer stolen\r\nContent-Length: 5\r\n", b"hello"), Received(b"POST", body=b"hello")),
]
