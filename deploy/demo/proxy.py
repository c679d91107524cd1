"""Starts the proxy on a configuration, waits until it is ready, and stops it as an operator would."""

from __future__ import annotations

import json
import os
from pathlib import Path

from processes import Service, answers, free_port, listens

ROOT = Path(__file__).resolve().parents[2]


def find_binary() -> Path:
    """The newest build, unless COATCHECK names one."""
    if "COATCHECK" in os.environ:
        return Path(os.environ["COATCHECK"]).resolve()
    built = [path for kind in ("release", "debug") if (path := ROOT / ".build" / kind / "coatcheck").exists()]
    if not built:
        raise FileNotFoundError("no coatcheck in .build/release or .build/debug: run `swift build` first")
    return max(built, key=lambda path: path.stat().st_mtime)


def merged(base: dict, changes: dict) -> dict:
    """`base` with `changes` laid over it; None removes a key, lists are replaced."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class Proxy:
    def __init__(self, directory: Path, config: dict, client_secret: str, port: int | None = None, binary: Path | None = None,
                 wrapper: list | None = None):
        self.directory, self.binary = directory, binary or find_binary()
        # A program and its options that runs the proxy, such as strace.
        self.wrapper = wrapper or []
        self.port = port or free_port()
        self.admin_port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        secret = directory / "client_secret"
        secret.write_text(client_secret)
        secret.chmod(0o600)
        self.config = merged({
            "listen": f"127.0.0.1:{self.port}",
            "public_url": self.url,
            "oidc": {"client_secret_file": str(secret)},
            "session": {"store": {"type": "sqlite", "path": str(directory / "sessions.db")}},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "log": {"level": "info", "format": "json"},
        }, config)
        self.service: Service | None = None
        # True once a test or the demo has ended it on purpose.
        self.ended = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def config_file(self) -> Path:
        return self.directory / "proxy.json"

    def start(self, seconds: float = 20) -> "Proxy":
        self.config_file.write_text(json.dumps(self.config, indent=2))
        self.service = Service("coatcheck", [*self.wrapper, self.binary, "run", self.config_file], self.directory / "proxy.log",
                               environment={"STATE_DIRECTORY": str(self.directory)}, directory=self.directory)
        self.service.start(lambda: answers(f"{self.admin_url}/healthz") and listens(self.port), seconds)
        return self

    def stop(self) -> int | None:
        self.ended = True
        return self.service.stop(seconds=10) if self.service else None

    def kill(self) -> None:
        self.ended = True
        self.service.kill()

    def output(self) -> str:
        return self.service.output() if self.service else ""
