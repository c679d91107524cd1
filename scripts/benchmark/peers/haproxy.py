"""HAProxy as a bare reverse proxy."""

from __future__ import annotations

from peers.base import Peer
from processes import Service, listens

_CONFIG = """\
global
  maxconn {most}
  nbthread {workers}
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
  option http-keep-alive
  # Without it events wait for some 100 ms.
  option http-no-delay
  http-reuse aggressive
frontend front
  bind 127.0.0.1:{port} backlog 4096{tls}
  default_backend above
backend above
  http-request set-header Authorization "Bearer static-token-of-about-the-same-length-as-a-real-one-0123456789"
  http-request del-header Cookie
  server one 127.0.0.1:{above} pool-max-conn 512
"""


class HAProxy(Peer):
    name, title = "haproxy", "HAProxy (bare)"

    def run(self) -> Service:
        own = self.setting
        tls = f" ssl crt {own.certificate.both} ssl-min-ver TLSv1.3 alpn http/1.1" if own.certificate else ""
        config = self.file("haproxy.cfg", _CONFIG.format(most=max(2000, own.streams + 200), workers=own.workers, port=self.port, tls=tls, above=own.upstream))
        return Service(self.name, ["haproxy", "-db", "-f", config], self.directory / "log").start(lambda: listens(self.port))
