"""Host: one, well formed, and the target's (RFC 9112 §3.2, RFC 9110 §7.2). The upstream is always told its own name."""

from .case import Case, passes, refused, request


def host(lines: bytes) -> bytes:
    return request(host=lines)


def named(value: bytes) -> bytes:
    return host(b"Host: " + value + b"\r\n")


CASES = [
    passes("another name in Host stays here", named(b"other.example")),
    passes("a name with a port", named(b"other.example:8080")),
    passes("a name in capitals", named(b"OTHER.Example")),
    passes("a name with a dot at its end", named(b"other.example.")),
    passes("a name with an underscore", named(b"some_host")),
    passes("an IPv4 address", named(b"192.0.2.1")),
    passes("an IPv6 address", named(b"[2001:db8::1]")),
    passes("an IPv6 address with a port", named(b"[::1]:8080")),
    passes("white space around Host", host(b"Host: \t 127.0.0.1 \t\r\n")),
    passes("Host as the last field", b"GET /api/x HTTP/1.1\r\nCookie: @COOKIE@\r\nHost: @HOST@\r\n\r\n"),
    passes("HOST in capitals", host(b"HOST: @HOST@\r\n")),
    refused("no Host", host(b"")),
    refused("an empty Host", named(b"")),
    refused("a Host of white space", named(b"  \t ")),
    refused("two Hosts", host(b"Host: @HOST@\r\nHost: other.example\r\n")),
    refused("the same Host twice", host(b"Host: @HOST@\r\nHost: @HOST@\r\n")),
    refused("two Hosts in different letters", host(b"Host: @HOST@\r\nhOST: other.example\r\n")),
    refused("two Hosts with other fields between them", request(fields=b"X-A: 1\r\nHost: other.example\r\n")),
    refused("a list of Hosts", named(b"@HOST@, other.example")),
    refused("two names with a space between them", named(b"@HOST@ other.example")),
    refused("a Host with a path", named(b"@HOST@/api")),
    refused("a Host with a query", named(b"@HOST@?x")),
    refused("a Host with a fragment", named(b"@HOST@#x")),
    refused("a Host that is a URL", named(b"http://@HOST@")),
    refused("a user in Host", named(b"user@@HOST@")),
    refused("a user and a password in Host", named(b"user:word@@HOST@")),
    refused("an at sign at the end of Host", named(b"127.0.0.1@")),
    refused("a port of letters", named(b"127.0.0.1:http")),
    refused("a port beyond all ports", named(b"127.0.0.1:65536")),
    refused("a port of zero", named(b"127.0.0.1:0")),
    refused("a port with a sign", named(b"127.0.0.1:+80")),
    refused("two ports", named(b"127.0.0.1:80:80")),
    refused("no port behind its colon", named(b"127.0.0.1:")),
    refused("a port alone", named(b":80")),
    refused("a port with an at sign and another host", named(b"127.0.0.1:80@other.example")),
    refused("an IPv6 address without brackets", named(b"2001:db8::1")),
    refused("an IPv6 address without its end", named(b"[2001:db8::1")),
    refused("an IPv6 address with something behind it", named(b"[::1]x")),
    refused("an IPv6 address with a zone", named(b"[fe80::1%25eth0]")),
    refused("a bracket alone", named(b"[")),
    refused("an escape in Host", named(b"127%2e0.0.1")),
    refused("a backslash in Host", named(b"127.0.0.1\\other")),
    refused("a byte beyond ASCII in Host", named(b"b\xc3\xbccher.example")),
    refused("a NUL in Host", named(b"127.0.0.1\x00.example")),
    refused("a tab in Host", named(b"127.0.0.1\tother")),
    refused("an angle bracket in Host", named(b"<script>")),
    refused("a quote in Host", named(b'"127.0.0.1"')),
    refused("a semicolon in Host", named(b"127.0.0.1;other")),
    refused("a Host of 300 letters", named(b"a" * 300)),
    refused("space before the colon of Host", host(b"Host : @HOST@\r\n")),
    refused("a folded Host", host(b"Host:\r\n @HOST@\r\n")),
    refused("two Hosts of HTTP/1.0", b"GET /api/x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    refused("a broken Host of HTTP/1.0", b"GET /api/x HTTP/1.0\r\nHost: a b\r\n\r\n"),
    refused("a Host that differs from the target's by its port", request(b"GET http://127.0.0.1/api/x HTTP/1.1")),
    Case("a name for another virtual host behind a whole URL", request(b"GET http://@HOST@/api/x HTTP/1.1", host=b"Host: other.example\r\n"), (400,)),
]
