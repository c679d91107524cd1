"""What is counted: one proxy with one data loop between a client and an upstream that do nothing but send fixed bytes, one request at a time."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from processes import free_port, wait_until
from proxy import Proxy, merged
from support import http
from support.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from support.server import Background
from support.visitor import BOTH_KINDS, LEGACY, Visitor

EVENT = b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"' + b"x" * 200 + b'"}}\n\n'
CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"' + b"x" * 9 + b'"}}}'
CALL_FIELDS = {"Content-Type": "application/json", "Accept": BOTH_KINDS, "MCP-Protocol-Version": LEGACY}


def result(size: int) -> bytes:
    """A JSON-RPC result of `size` bytes."""
    frame = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"%s"}],"isError":false}}'
    return frame % (b"x" * (size - len(frame) + 2))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _answer(fields: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body


ANSWERS = {
    "/small": _answer(b"Content-Type: application/json\r\nContent-Length: 300\r\n", result(300)),
    "/large": _answer(b"Content-Type: application/json\r\nContent-Length: 65536\r\n", result(65536)),
    "/chunked": _answer(b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", chunk(result(300)) + b"0\r\n\r\n"),
    "/events": _answer(b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n", b""),
}


class FixedUpstream:
    """Answers each path of `ANSWERS` with its bytes, in one write, after `pause`. A thread a connection."""

    def __init__(self, pause: Callable[[], None]) -> None:
        self.pause = pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stream: socket.socket | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        while True:
            while (end := got.find(b"\r\n\r\n")) < 0 or len(got) < (whole := end + 4 + _content_length(got[:end])):
                try:
                    piece = connection.recv(65536)
                except OSError:
                    return
                if not piece:
                    return
                got += piece
            path, got = got.split(b" ", 2)[1].decode(), got[whole:]
            self.pause()
            if path == "/events":
                self.stream = connection
            connection.sendall(ANSWERS[path])

    def push(self) -> None:
        """One event into the stream that was opened last."""
        self.stream.sendall(chunk(EVENT))

    def stop(self) -> None:
        self.listener.close()


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17:].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Client:
    """One keep-alive connection that sends the same bytes again and again."""

    def __init__(self, visitor: Visitor, method: str, target: str, fields: dict, body: bytes | None = None):
        self.connection = visitor.connect()
        self.method = method
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": self.connection.authority, **fields}.items())
        head += f"Content-Length: {len(body)}\r\n" if body else ""
        self.bytes = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")

    def ask(self) -> http.Response:
        self.connection.send(self.bytes)
        return self.connection.read_response(self.method)

    def close(self) -> None:
        self.connection.close()


@dataclass(frozen=True)
class Setting:
    """How the proxy runs."""

    changes: dict = field(default_factory=dict)
    tls: bool = False


SETTINGS = {
    "plain": Setting(),
    "access log": Setting({"log": {"level": "info"}}),
    "TLS": Setting(tls=True),
}


class Stage:
    """A proxy in one setting, run by `wrapper`, with a user who has signed in."""

    def __init__(self, directory: Path, setting: Setting, binary: Path, wrapper: list | None = None):
        # Had the answer a race with the proxy's going to sleep, then it would sometimes be found without a wait.
        self.upstream, self.provider = FixedUpstream(self.settle), FakeProvider(Background()).start()
        port = free_port()
        trust, tls = None, {}
        if setting.tls:
            certificate, key, trust = _certificate(directory)
            tls = {"public_url": f"https://127.0.0.1:{port}", "tls": {"certificate_file": str(certificate), "private_key_file": str(key)}}
        self.proxy = Proxy(directory, merged({
            "workers": 1,
            "oidc": {"issuer": self.provider.issuer, "client_id": CLIENT_ID},
            "routes": [{"path": path, "upstream": f"http://127.0.0.1:{self.upstream.port}{path}", "scope": "mcp.use"} for path in ANSWERS],
            "session": {"store": {"type": "memory", "path": None}},
            # No timer is to fire between two requests that are counted.
            "timeouts": {"upstream_idle": "10m", "idle": "10m"},
            "streams": {"keep_alive": "10m"},
            "log": {"level": "warning"},
        } | tls, setting.changes), CLIENT_SECRET, port=port, binary=binary, wrapper=wrapper)
        self.visitor = Visitor(self.proxy, self.provider, "harvey", **({"tls": trust} if trust else {}))
        self.visitor.url = tls.get("public_url", self.proxy.url)

    def __enter__(self) -> "Stage":
        # Tools that look at every step of a program make it slow to start.
        self.proxy.start(seconds=60)
        self.visitor.sign_in()
        return self

    def __exit__(self, *_) -> None:
        if self.pid != self.proxy.service.pid:
            os.kill(self.pid, signal.SIGTERM)
        self.proxy.stop()
        self.provider.stop()
        self.upstream.stop()

    @property
    def pid(self) -> int:
        """Of the proxy itself, which a wrapper may have as a child."""
        first = self.proxy.service.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return int(children[0]) if children else first

    def settle(self) -> None:
        """Returns when every thread of the proxy waits."""
        tasks = Path(f"/proc/{self.pid}/task")

        def asleep() -> bool:
            return all(task.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "S" for task in tasks.iterdir())

        wait_until(lambda: asleep() and asleep() and asleep(), "the proxy to rest", every=0.001)


def _certificate(directory: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """A certificate for loopback that signs itself."""
    import ipaddress
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False).sign(key, hashes.SHA256()))
    directory.mkdir(parents=True, exist_ok=True)
    files = directory / "front.crt", directory / "front.key"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].chmod(0o600)
    return *files, ssl.create_default_context(cafile=files[0])


# Scenarios. Each opens what it needs on a stage and gives a function that does one of what is counted.

Step = Callable[[], None]


def _call(path: str) -> Callable[[Stage], Step]:
    def opened(stage: Stage) -> Step:
        client = Client(stage.visitor, "POST", path, {**CALL_FIELDS, "Cookie": stage.visitor.cookie}, CALL)
        expected = ANSWERS[path].partition(b"\r\n\r\n")[2]
        first = client.ask()
        assert first.status == 200 and (first.body in expected), first

        def step() -> None:
            answer = client.ask()
            assert answer.status == 200 and answer.body == first.body, answer
        return step
    return opened


def _refused(stage: Stage) -> Step:
    client = Client(stage.visitor, "GET", "/small", {"Accept": BOTH_KINDS})

    def step() -> None:
        answer = client.ask()
        assert answer.status == 401, answer
    return step


def _event(stage: Stage) -> Step:
    client = Client(stage.visitor, "GET", "/events", {"Accept": "text/event-stream", "MCP-Protocol-Version": LEGACY, "Cookie": stage.visitor.cookie})
    client.connection.send(client.bytes)
    head = client.connection.read_head()
    assert head.status == 200, head
    events = client.connection.events(head)

    def step() -> None:
        stage.upstream.push()
        _, event = next(events)
        assert event.encode() == EVENT[:-2], event
    step()
    return step


@dataclass(frozen=True)
class Scenario:
    setting: str
    open: Callable[[Stage], Step]


SCENARIOS = {
    "small POST": Scenario("plain", _call("/small")),
    "small POST, TLS": Scenario("TLS", _call("/small")),
    "small POST, access log": Scenario("access log", _call("/small")),
    "GET without a session": Scenario("plain", _refused),
    "answer of 64 KiB": Scenario("plain", _call("/large")),
    "chunked answer": Scenario("plain", _call("/chunked")),
    "event of a stream": Scenario("plain", _event),
}
