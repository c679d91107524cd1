"""One proxy with one loop, a recording upstream behind it, and two users: what both tables are run on."""

from __future__ import annotations

import os
import random
import socket
import time

from proxy import Proxy
from support.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from support.visitor import Visitor

from .recorder import Recorder, echo
from .strict import Answers, Message, Violation

SEED = os.environ.get("CONFORMANCE_SEED") or f"{random.SystemRandom().randrange(1 << 32):08x}"
"""Where messages are split. Said with every failure; `CONFORMANCE_SEED` sets it."""

PATIENCE = 4.0
"""Seconds after which something that should have come counts as missing."""


def config(provider: FakeProvider, recorder: Recorder) -> dict:
    return {
        # One loop has one pool an upstream: what one user's request leaves there, the next one meets.
        "workers": 1,
        "oidc": {"issuer": provider.issuer, "client_id": CLIENT_ID, "scope": "openid profile offline_access"},
        "routes": [
            {"path": "/mcp", "upstream": f"{recorder.origin}/mcp", "scope": "mcp.use"},
            {"path": "/api", "upstream": f"{recorder.origin}/api", "scope": "mcp.use", "mcp": False, "pass_cookies": ["theme"]},
            {"path": "/public", "upstream": f"{recorder.origin}/public", "authorization": "none", "session": "optional"},
        ],
        "limits": {"buffered_body": "64KiB", "request_body": "1MiB"},
    }


class Stage:
    def __init__(self, directory, binary, background):
        self.provider = FakeProvider(background).start()
        self.recorder = Recorder().start()
        self.proxy = Proxy(directory, config(self.provider, self.recorder), CLIENT_SECRET, binary=binary).start()
        self.harvey = Visitor(self.proxy, self.provider, "harvey").sign_in()
        self.kim = Visitor(self.proxy, self.provider, "kim").sign_in()
        self.count = 0
        self._kim: Client | None = None
        # The token of each route is fetched once; after that no request waits for the provider.
        for user in ("harvey", "kim"):
            self.plain(user, b"/api/first")
            self.plain(user, b"/mcp/first")

    def reset(self) -> None:
        """After a failure: forgets what came, and begins with new connections."""
        self.recorder.take()
        if self._kim is not None:
            self._kim.close()
            self._kim = None

    def stop(self) -> None:
        if self._kim:
            self._kim.close()
        code = self.proxy.stop()
        self.recorder.stop()
        self.provider.stop()
        assert code == 0 and "CANARY" not in self.proxy.output(), self.proxy.output()[-3000:]

    def cookie(self, user: str = "harvey") -> bytes:
        return getattr(self, user).cookie.encode()

    def fill(self, data: bytes) -> bytes:
        """Puts the proxy's name and Harvey's cookie where a table says so."""
        return data.replace(b"@HOST@", b"127.0.0.1:%d" % self.proxy.port).replace(b"@COOKIE@", self.cookie())

    def connect(self) -> "Client":
        return Client(self.proxy.port)

    def plain(self, user: str, target: bytes) -> tuple[int, list]:
        """A plain request of a user must get its own answer with its own token. The number of the upstream connection it used, and what else came
        since the last time: the proxy has one loop, so all that it sent before is there when the answer to this one is.
        """
        if self._kim is None:
            self._kim = self.connect()
        client = self._kim
        client.send(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nCookie: %s\r\n\r\n" % (target, self.proxy.port, self.cookie(user)))
        answer = client.answer()
        assert answer.first[0] == b"200" and answer.body == echo(b"GET", target), f"{user} got {answer.first} {answer.body[:300]!r} for {target!r}"
        seen, violations = self.recorder.take()
        assert not violations, violations
        one, = [request for request in seen if request.target == target]
        self.check_token(one, user if not target.startswith(b"/public") else None)
        return one.connection, [request for request in seen if request is not one]

    def after(self, path: bytes) -> tuple[int, list]:
        """Another user's plain request on the same route, so on the same upstream connections."""
        self.count += 1
        route = next((route for route in (b"/mcp", b"/public") if path.startswith(route)), b"/api")
        return self.plain("kim", route + b"/next/%d" % self.count)

    def check_token(self, seen, user: str | None) -> None:
        assert seen.user == user, f"{seen.method!r} {seen.target!r} came with the token of {seen.user}, not of {user}"
        assert seen.token is None or seen.token in self.provider.issued


class Client:
    """A client connection that reads answers strictly."""

    def __init__(self, port: int, to_head: list[bool] = ()):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = Answers(list(to_head))
        self.interim: list[int] = []
        # How the connection ended, when it has.
        self.end: str | None = None

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """False when the peer no longer takes anything: its answer is to be read all the same."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def half_close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _more(self) -> bool:
        if self.end:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            self.end = "reset"
            return False
        if not data:
            self.end = "closed"
            return False
        self.answers.feed(data)
        return True

    def answer(self) -> Message | None:
        """The next final answer; what there is of it when the connection ends first. None when nothing more comes."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = self.answers.next()
            if message is not None:
                if message.first[0][:1] != b"1":
                    return message
                self.interim.append(int(message.first[0]))
            elif not self._more():
                message = self.answers.message
                self.answers.message = None
                if message is not None and self.answers.state == "close" and self.end == "closed":
                    message.whole = True
                self.answers.state = "head"
                return message
        raise TimeoutError("no answer")

    def ends(self) -> bool:
        """Whether the peer closes, without another byte."""
        while self._more():
            if self.answers.buffer:
                raise Violation(f"bytes after the last answer: {bytes(self.answers.buffer[:200])!r}")
        if self.answers.buffer:
            raise Violation(f"bytes after the last answer: {bytes(self.answers.buffer[:200])!r}")
        return True


def pieces(data: bytes, name: str, turn: int) -> list[bytes]:
    """`data` in up to five pieces, cut where the seed says."""
    chance = random.Random(f"{SEED}/{name}/{turn}")
    cuts = sorted({chance.randrange(1, len(data)) for _ in range(chance.randrange(1, 5))}) if len(data) > 1 else []
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]
