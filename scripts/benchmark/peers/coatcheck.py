"""Coatcheck with a signed-in session: token looked up, fields checked, answers watched."""

from __future__ import annotations

from peers.base import Peer, Setting
from processes import Service
from proxy import Proxy
from support.provider import CLIENT_ID


class Coatcheck(Peer):
    name, title, signs_in = "coatcheck", "Coatcheck (session)", True
    start_page = "/auth/login?return_to=/"

    def __init__(self, setting: Setting):
        super().__init__(setting)
        store: dict = {"type": setting.store} | ({"path": None} if setting.store == "memory" else {})
        config = {
            "public_url": self.url,
            "workers": setting.workers,
            "oidc": {"issuer": setting.provider.issuer, "client_id": CLIENT_ID, "scope": "openid profile email offline_access"},
            "routes": [{"path": "/mcp", "upstream": f"http://127.0.0.1:{setting.upstream}/mcp", "scope": "mcp.use"}],
            "session": {"store": store},
            "log": {"level": "info" if setting.access_log else "warning"},
        }
        if setting.certificate:
            config["tls"] = {"certificate_file": str(setting.certificate.certificate), "private_key_file": str(setting.certificate.key), "min_version": "1.3"}
        # One user has all the streams here, and one address all the users.
        config["limits"] = {"sign_ins_per_address": 1_000_000}
        if setting.streams:
            config["limits"] |= dict.fromkeys(["connections", "upstream_connections", "connections_per_address", "streams_per_user"], setting.streams + 500)
        self.proxy = Proxy(self.directory, config, "any-secret", port=self.port, binary=setting.binary)

    def run(self) -> Service:
        return self.proxy.start().service
