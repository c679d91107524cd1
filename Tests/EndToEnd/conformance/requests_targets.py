"""Request targets: their four forms, and paths that two readers could take for different ones (RFC 9112 §3.2, RFC 3986)."""

from .case import REFUSAL, Received, answered, passes, refused, request


def get(target: bytes) -> bytes:
    return request(b"GET " + target + b" HTTP/1.1")


def at(target: bytes) -> Received:
    return Received(target=target)


def misread(name: str, target: bytes):
    """A path that is understood by its form but may be read in two ways: refused by what stands in it, before any route."""
    return answered(name, get(target), 400)


CASES = [
    # Origin form
    passes("the path of the route itself", get(b"/api"), at(b"/api")),
    passes("the path of the route with a slash", get(b"/api/"), at(b"/api/")),
    passes("a query", get(b"/api/x?a=1&b=%20"), at(b"/api/x?a=1&b=%20")),
    passes("an empty query", get(b"/api/x?"), at(b"/api/x?")),
    passes("a query behind the route's own path", get(b"/api?x"), at(b"/api?x")),
    passes("a second question mark", get(b"/api/x?a?b"), at(b"/api/x?a?b")),
    passes("dots and slashes in the query", get(b"/api/x?/../..//"), at(b"/api/x?/../..//")),
    passes("a URL in the query", get(b"/api/x?u=http://other/"), at(b"/api/x?u=http://other/")),
    passes("escapes of UTF-8", get(b"/api/%C3%A9"), at(b"/api/%C3%A9")),
    passes("an escape of a plain letter stays as it is", get(b"/api/%78"), at(b"/api/%78")),
    passes("a route's letter as an escape", get(b"/%61pi/x"), at(b"/api/x")),
    passes("characters that browsers do not escape", get(b"/api/[x]|^`{}"), at(b"/api/[x]|^`{}")),
    passes("sub-delimiters", get(b"/api/x!$&'()*+,=:@-._~"), at(b"/api/x!$&'()*+,=:@-._~")),
    passes("parameters in a path", get(b"/api/x;v=1"), at(b"/api/x;v=1")),
    passes("three dots are a name", get(b"/api/..."), at(b"/api/...")),
    passes("a colon and an at in the first segment", get(b"/api:x@y").replace(b"/api:x@y", b"/api/a:x@y"), at(b"/api/a:x@y")),
    answered("a path that only begins like a route", get(b"/apix"), 404),
    answered("a path with another case", get(b"/API/x"), 404),
    answered("a path of no route", get(b"/nowhere"), 404),
    answered("the root", get(b"/"), 404),
    # Ambiguous paths
    misread("two dots", b"/api/../mcp"),
    misread("two dots at the end", b"/api/.."),
    misread("one dot", b"/api/./x"),
    misread("one dot at the end", b"/api/."),
    misread("dots before the route", b"/public/../api/x"),
    misread("two escaped dots", b"/api/%2e%2e/x"),
    misread("one escaped dot of two", b"/api/.%2E/x"),
    misread("dots escaped twice", b"/api/%252e%252e/x"),
    misread("dots behind a semicolon", b"/api/..;/x"),
    misread("dots with parameters", b"/api/..;a=b/x"),
    misread("dots with an escaped semicolon", b"/api/..%3b/x"),
    misread("two slashes", b"/api//x"),
    misread("two slashes at the start", b"//api/x"),
    misread("a host behind two slashes", b"//other.example/api/x"),
    misread("a parameter for an empty segment", b"/api/;x/y"),
    misread("an escaped slash", b"/api/a%2fb"),
    misread("an escaped slash in capitals", b"/api%2Fx"),
    misread("a slash escaped twice", b"/api/a%252fb"),
    misread("an escaped backslash", b"/api/a%5cb"),
    misread("a backslash", b"/api/a\\b"),
    misread("dots behind a backslash", b"/api/..\\x"),
    misread("an escaped NUL", b"/api/x%00"),
    misread("an escaped line feed", b"/api/x%0aGET"),
    misread("escaped CRLF and a field", b"/api/x%0d%0aX-A:%201"),
    misread("an escaped delete", b"/api/x%7f"),
    misread("half an escape", b"/api/x%2"),
    misread("a percent sign alone", b"/api/x%"),
    misread("an escape of no digits", b"/api/x%zz"),
    misread("an overlong slash", b"/api/%c0%af"),
    misread("an overlong dot", b"/api/%c0%ae%c0%ae/x"),
    misread("an escaped surrogate", b"/api/%ed%a0%80"),
    misread("a lone continuation byte", b"/api/%80"),
    misread("an escape in the old form of scripts", b"/api/%u002e"),
    # Bytes that no target may have
    refused("a fragment", get(b"/api/x#y")),
    refused("a fragment behind a query", get(b"/api/x?a#y")),
    refused("a NUL in the path", get(b"/api/\x00x")),
    refused("a control character in the path", get(b"/api/\x01x")),
    refused("a delete in the path", get(b"/api/\x7fx")),
    refused("a NUL in the query", get(b"/api/x?\x00")),
    refused("a carriage return in the query", get(b"/api/x?a\rb")),
    refused("UTF-8 that is not escaped", get(b"/api/\xc3\xa9")),
    refused("a byte beyond ASCII in the query", get(b"/api/x?\xff")),
    refused("an angle bracket", get(b"/api/<x>")),
    refused("a quote in the query", get(b'/api/x?"')),
    refused("a path without its slash", get(b"api/x")),
    refused("a query alone", get(b"?x")),
    refused("a star for GET", get(b"*")),
    refused("a backslash first", get(b"\\api\\x")),
    # Absolute form
    passes("a whole URL", get(b"http://@HOST@/api/x"), at(b"/api/x")),
    passes("a whole URL with a query", get(b"http://@HOST@/api/x?y=1"), at(b"/api/x?y=1")),
    passes("a whole URL in capitals", get(b"HTTP://@HOST@/api/x"), at(b"/api/x")),
    passes("a whole URL of HTTPS", get(b"https://@HOST@/api/x"), at(b"/api/x")),
    passes("a whole URL in HTTP/1.0 without a Host", request(b"GET http://@HOST@/api/x HTTP/1.0", host=b""), at(b"/api/x"), kept=False),
    answered("a whole URL without a path", get(b"http://@HOST@"), 404),
    answered("a whole URL with nothing but a query", get(b"http://@HOST@?x"), 404),
    answered("a whole URL with dots", get(b"http://@HOST@/api/../mcp"), 400),
    refused("a whole URL of another host", get(b"http://other.example/api/x")),
    refused("a whole URL of another port", get(b"http://127.0.0.1:1/api/x")),
    refused("a whole URL without a Host", request(b"GET http://@HOST@/api/x HTTP/1.1", host=b"")),
    refused("a whole URL with a user", get(b"http://user@@HOST@/api/x")),
    refused("a whole URL with a user and a password", get(b"http://user:word@@HOST@/api/x")),
    refused("a whole URL with an empty user", get(b"http://@@HOST@/api/x")),
    refused("a whole URL without a host", get(b"http:///api/x")),
    refused("a whole URL with a broken port", get(b"http://127.0.0.1:99999/api/x")),
    refused("a whole URL with a port of letters", get(b"http://127.0.0.1:http/api/x")),
    refused("a whole URL with a fragment", get(b"http://@HOST@/api/x#y")),
    refused("a whole URL with one slash", get(b"http:/api/x")),
    refused("a whole URL without slashes", get(b"http:api/x")),
    refused("a whole URL with backslashes", get(b"http:\\\\@HOST@\\api\\x")),
    refused("a URL of another scheme", get(b"ftp://@HOST@/api/x")),
    refused("a URL of a file", get(b"file:///api/x")),
    refused("a URL of a script", get(b"javascript:alert(1)")),
    refused("a host escaped in a whole URL", get(b"http://127%2e0.0.1/api/x")),
    # Authority and asterisk form
    refused("an authority for GET", get(b"127.0.0.1:80")),
    refused("a host name for GET", get(b"localhost")),
    refused("an authority for CONNECT", request(b"CONNECT @HOST@ HTTP/1.1"), 501),
    answered("a star for OPTIONS", request(b"OPTIONS * HTTP/1.1"), 204),
    refused("a star and more for OPTIONS", request(b"OPTIONS *x HTTP/1.1")),
    refused("a star for POST", request(b"POST * HTTP/1.1", b"Content-Length: 0\r\n")),
    refused("a target of nothing but percent signs", get(b"%%%"), REFUSAL),
]
