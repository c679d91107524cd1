"""nginx as a bare reverse proxy: no user, one fixed token for all. The yardstick."""

from __future__ import annotations

from peers.base import Peer
from processes import Service
from upstreams import NGINX_COMMON, start_nginx

_PROXY = NGINX_COMMON + """\
  upstream above {{ server 127.0.0.1:{above}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} {ssl} reuseport backlog=4096; {tls}
    client_max_body_size 8m; proxy_max_temp_file_size 0; proxy_request_buffering off; {streams}
    location / {{
      proxy_pass http://above; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Cookie "";
      proxy_set_header Authorization "Bearer static-token-of-about-the-same-length-as-a-real-one-0123456789"; proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


class Nginx(Peer):
    name, title = "nginx", "nginx (bare)"

    def run(self) -> Service:
        own, crt = self.setting, self.setting.certificate
        tls = f"ssl_certificate {crt.certificate}; ssl_certificate_key {crt.key}; ssl_protocols TLSv1.3; ssl_session_cache shared:s:8m;" if crt else ""
        streams = "proxy_buffering off; proxy_read_timeout 3600s;" if own.streams else ""
        return start_nginx("nginx", self.directory, _PROXY, self.port, workers=own.workers, connections=max(8192, 2 * own.streams + 500), above=own.upstream,
                           ssl="ssl" if crt else "", tls=tls, streams=streams)
