"""An upstream that writes down every request and says exactly the bytes it is told to say. One thread, raw sockets."""

from __future__ import annotations

import os
import select
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field

from .strict import Message, Requests, Violation

CLOSE, RESET, HALF_CLOSE = "close", "reset", "half-close"
"""Steps of an answer beside bytes: the ways a connection ends."""


@dataclass
class Seen:
    """A request that came, and whose token it carried."""

    message: Message
    connection: int

    @property
    def method(self) -> bytes:
        return self.message.first[0]

    @property
    def target(self) -> bytes:
        return self.message.first[1]

    @property
    def token(self) -> str | None:
        value = self.message.get(b"authorization")
        return None if value is None else value.decode().removeprefix("Bearer ")

    @property
    def user(self) -> str | None:
        """Whose token it is, by the provider double's own form of tokens."""
        return None if self.token is None else self.token.split("~")[1]


@dataclass
class Peer:
    socket: socket.socket
    number: int
    requests: Requests
    # A request was taken and its answer is not said yet.
    is_answering: bool = False
    seen: Seen | None = None
    answered: list[bytes] = field(default_factory=list)


class Recorder:
    """`script(target, steps)` says how a target is answered: bytes, and ways to end. Without a script it is a 200 that repeats the request line.

    `scripts` with `early` are said as soon as the head of the request is here.
    """

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.seen: list[Seen] = []
        self.violations: list[str] = []
        # Said on the next connection as soon as it is open.
        self.greeting = b""
        # Requests that were answered, as far as the answer goes.
        self.answered = 0
        self.peers: dict[int, Peer] = {}
        self._scripts: dict[bytes, tuple[list, bool]] = {}
        self._count = 0
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._waker, self._wake = socket.socketpair()
        self._stopped = False

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Recorder":
        self._selector.register(self.listener, selectors.EVENT_READ, None)
        self._selector.register(self._waker, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped = True
        self._wake.send(b"x")
        self._thread.join(5)
        for peer in list(self.peers.values()):
            peer.socket.close()
        self.listener.close()

    # For tests

    def script(self, target: bytes, steps: list, early: bool = False) -> None:
        with self._lock:
            self._scripts[target] = (list(steps), early)

    def take(self) -> tuple[list[Seen], list[str]]:
        """What came since the last time."""
        with self._lock:
            seen, self.seen = self.seen, []
            violations, self.violations = self.violations, []
            return seen, violations

    def peek(self) -> list[Seen]:
        """What came, without taking it."""
        with self._lock:
            return list(self.seen)

    def forget(self, target: bytes) -> None:
        with self._lock:
            self.seen = [one for one in self.seen if one.target != target]

    def say_to_idle(self, data: bytes) -> int:
        """Says something on every open connection, though nobody asked. How many there were."""
        with self._lock:
            for peer in self.peers.values():
                peer.socket.sendall(data)
            return len(self.peers)

    def drop_idle(self) -> None:
        """Closes all connections, so that the next request needs a new one."""
        with self._lock:
            for peer in list(self.peers.values()):
                self._close(peer)

    # The thread

    def _run(self) -> None:
        while not self._stopped:
            ready = self._selector.select(1)
            with self._lock:
                for key, _ in ready:
                    self._ready(key)

    def _ready(self, key) -> None:
        if key.fileobj is self.listener:
            client, _ = self.listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(5)
            self._count += 1
            peer = Peer(client, self._count, Requests(f"127.0.0.1:{self.port}".encode()))
            self.peers[peer.number] = peer
            self._selector.register(client, selectors.EVENT_READ, peer)
            if self.greeting:
                greeting, self.greeting = self.greeting, b""
                client.sendall(greeting)
        elif key.data and key.data.number in self.peers:
            self._read(key.data)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.socket.recv(1 << 18)
        except (ConnectionError, TimeoutError):
            data = b""
        if not data:
            return self._ended(peer)
        peer.requests.feed(data)
        try:
            self._progress(peer)
        except Violation as violation:
            self.violations.append(f"connection {peer.number}: {violation}")
            self._close(peer)

    def _progress(self, peer: Peer) -> None:
        while peer.number in self.peers:
            message = peer.requests.next()
            partial = message is None and peer.requests.message
            if message is None and not partial:
                return
            if peer.seen is None or peer.seen.message is not (message or partial):
                peer.seen = Seen(message or partial, peer.number)
                self.seen.append(peer.seen)
                steps, early = self._scripts.get(peer.seen.target, ([], False))
                if early:
                    self._drain(peer)
                    self._say(peer, steps)
                    if peer.number in self.peers and message is None:
                        return
            if message is None:
                return
            if peer.requests.buffer:
                raise Violation(f"bytes behind a request that has no answer yet: {bytes(peer.requests.buffer[:200])!r}")
            steps, early = self._scripts.get(peer.seen.target, ([], False))
            peer.seen = None
            if not early:
                self._drain(peer)
                self._say(peer, steps or [self._echo(message)])

    def _drain(self, speaker: Peer) -> None:
        """Reads whatever the other connections have, so that an answer is a barrier: all that was sent before it is known when it comes."""
        for key, _ in self._selector.select(0):
            if key.data and key.data is not speaker and key.data.number in self.peers:
                self._read(key.data)

    @staticmethod
    def _echo(message: Message) -> bytes:
        if message.first[0] == b"HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
        body = echo(*message.first)
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def _say(self, peer: Peer, steps: list) -> None:
        try:
            self._say_all(peer, steps)
        except (ConnectionError, TimeoutError):
            self._close(peer)
        self.answered += 1

    def _say_all(self, peer: Peer, steps: list) -> None:
        for number, step in enumerate(steps):
            if step == CLOSE:
                return self._close(peer)
            if step == RESET:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return self._close(peer)
            if step == HALF_CLOSE:
                peer.socket.shutdown(socket.SHUT_WR)
                continue
            # A moment for the proxy to read what was said before.
            if number and len(steps) > 16:
                os.sched_yield()
            elif number:
                select.select([peer.socket], [], [], 0.0005)
            peer.socket.sendall(step)

    def _ended(self, peer: Peer) -> None:
        if not peer.requests.at_rest and peer.requests.message is None:
            self.violations.append(f"connection {peer.number}: a head that breaks off: {bytes(peer.requests.buffer[:200])!r}")
        self._close(peer)

    def _close(self, peer: Peer) -> None:
        if self.peers.pop(peer.number, None):
            self._selector.unregister(peer.socket)
            peer.socket.close()


def echo(method: bytes, target: bytes) -> bytes:
    return b"got " + method + b" " + target
