"""Child processes that never outlive their parent, free ports, and waiting by condition."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_handed_out: set[int] = set()


def free_port() -> int:
    """A loopback port nobody listens on, never the same twice in one run."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str, status: int = 200) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == status
    except urllib.error.HTTPError as error:
        return error.code == status
    except OSError:
        return False


def wait_until(condition: Callable[[], object], what: str, seconds: float = 15, every: float = 0.02):
    """Polls `condition` until it is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every)


class Service:
    """One child process in a process group of its own, with its output in a file."""

    def __init__(self, name: str, argv: list[str], log: Path, environment: dict[str, str] | None = None,
                 directory: Path | None = None):
        self.name, self.argv, self.log = name, [str(word) for word in argv], log
        self.environment, self.directory = environment or {}, directory
        self.process: subprocess.Popen | None = None

    def start(self, ready: Callable[[], object], seconds: float = 20) -> "Service":
        parent = os.getpid()

        def in_child():
            os.setsid()
            # SIGTERM from the kernel when the parent dies, even by SIGKILL.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=in_child,
                cwd=self.directory, env={**os.environ, **self.environment})

        def up() -> bool:
            code = self.process.poll()
            if code is not None:
                raise RuntimeError(f"{self.name} ended with {code} at start:\n{self.tail()}")
            return bool(ready())

        try:
            wait_until(up, f"{self.name} to be ready", seconds)
        except TimeoutError as error:
            self.kill()
            raise RuntimeError(f"{error}:\n{self.tail()}") from None
        except BaseException:
            self.kill()
            raise
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def signal(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def wait(self, seconds: float) -> int:
        return self.process.wait(seconds)

    def stop(self, seconds: float = 5) -> int | None:
        """SIGTERM to the process, then SIGKILL to whatever is left of its group. Returns the exit code."""
        if self.process is None:
            return None
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        return self.process.returncode

    def kill(self) -> None:
        if self.process is None:
            return
        self._signal_group(signal.SIGKILL)
        self.process.wait()
