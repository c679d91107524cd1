"""What stands behind every peer: nginx for small answers, the tool `upstream` for sized ones and for event streams."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from processes import Service, free_port, listens

import tools

NGINX_COMMON = """\
daemon off; master_process on; worker_processes {workers}; pid {dir}/{name}.pid; error_log {dir}/{name}.log warn; {user}
events {{ worker_connections {connections}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on; server_tokens off; default_type application/json;
  client_body_temp_path {dir}/{name}-1; proxy_temp_path {dir}/{name}-2; fastcgi_temp_path {dir}/{name}-3; uwsgi_temp_path {dir}/{name}-4; scgi_temp_path {dir}/{name}-5;
"""

_NGINX_UPSTREAM = NGINX_COMMON + """\
  server {{ listen 127.0.0.1:{port} reuseport backlog=4096; location / {{ return 200 '{answer}'; }} }}
}}
"""


def start_nginx(name: str, directory: Path, text: str, port: int, **values) -> Service:
    config = directory / f"{name}.conf"
    config.write_text(text.format(name=name, dir=directory, user="user root;" if os.geteuid() == 0 else "", port=port, **values))
    return Service(name, ["/usr/sbin/nginx", "-p", directory, "-c", config, "-e", directory / f"{name}.log"], directory / f"{name}.out").start(lambda: listens(port))


class Upstream:
    def __init__(self, service: Service, port: int, answer: str | None):
        self.service, self.port, self.answer = service, port, answer

    @classmethod
    def small(cls, directory: Path, answer: str) -> "Upstream":
        """nginx with one worker and an answer in its configuration."""
        port = free_port()
        return cls(start_nginx("upstream", directory, _NGINX_UPSTREAM, port, workers=1, connections=4096, answer=answer), port, answer)

    @classmethod
    def sized(cls, directory: Path, size: int, answer: str | None = None, tick: int = 0) -> "Upstream":
        """Answers POST with `size` bytes, GET with an event stream that has an event each `tick` milliseconds."""
        port = free_port()
        service = Service("upstream", [tools.tool("upstream"), port, size, tick], directory / f"upstream-{port}.out")
        return cls(service.start(lambda: listens(port)), port, answer)

    def stop(self) -> None:
        self.service.stop()


class Certificate:
    """A key on P-256 with a certificate for 127.0.0.1, as every peer serves it."""

    def __init__(self, directory: Path):
        self.certificate, self.key, self.both = directory / "server.crt", directory / "server.key", directory / "server.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        self.both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        for path in (self.key, self.both):
            path.chmod(0o600)
