"""A real OpenID provider for the demo and the end-to-end tests: Glewlwyd from Debian, started fresh and provisioned over its REST API.

It has its own sign-in page, asks for consent scope by scope, signs JWT access tokens whose audience is the RFC 8707 resource, rotates refresh
tokens after each use, revokes, and ends sessions.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

from processes import Service, free_port, listens

SCHEMA = Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
WEB_PAGES = Path("/usr/share/glewlwyd/webapp")
WEB_CONFIG = Path("/etc/glewlwyd/config-2.7.json/config.json")

CLIENT_ID = "coatcheck"
CLIENT_SECRET = "demo-secret-of-coatcheck"
BASIC_SCOPE = "mcp.use"
FILES_SCOPE = "files.read"
MAIL_SCOPE = "mail.send"

MIME_TYPES = {
    ".html": "text/html", ".css": "text/css", ".js": "application/javascript", ".json": "application/json", ".map": "application/octet-stream",
    ".png": "image/png", ".jpg": "image/jpeg", ".ico": "image/x-icon", ".ttf": "font/ttf", ".woff": "font/woff", ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class User:
    name: str
    full_name: str
    password: str


USERS = {
    "harvey": User("harvey", "Harvey Specter", "harvey-demo-1"),
    "kim": User("kim", "Kim Wexler", "kim-demo-1"),
}


@dataclass
class Provider:
    """`resources` are the audiences that may be asked for; the scopes of the MCP server belong to each of them."""

    state: Path
    resources: list[str]
    redirect_uris: list[str] = field(default_factory=list)
    post_logout_redirect_uris: list[str] = field(default_factory=list)
    access_token_seconds: int = 1800
    one_use_refresh_tokens: bool = True
    port: int = field(default_factory=free_port)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return f"{self.origin}/api/oidc"

    # Start and stop

    def start(self) -> "Provider":
        self.state.mkdir(parents=True, exist_ok=True)
        self._make_database()
        self._copy_web_pages()
        self._make_key()
        config = self.state / "glewlwyd.conf"
        config.write_text(self._configuration())
        self.service = Service("provider", ["glewlwyd", f"--config-file={config}"], self.state / "glewlwyd.out")
        self.service.start(lambda: listens(self.port))
        self.admin = httpx2.Client(base_url=f"{self.origin}/api", timeout=10)
        self._provision()
        return self

    def stop(self) -> None:
        self.service.stop()

    def _make_database(self) -> None:
        path = self.state / "glewlwyd.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as database:
            database.executescript(gzip.decompress(SCHEMA.read_bytes()).decode())
            # The plugin reads a list of post-logout URIs, the client module has to be told that the property is one.
            database.execute("UPDATE g_client_module_instance SET gcmi_parameters = json_set(gcmi_parameters,"
                             " '$.data-format.post_logout_redirect_uris', json('{\"multiple\":true,\"read\":true,\"write\":true}'))")

    def _copy_web_pages(self) -> None:
        # Debian's web pages have a config.json that links to a folder; a copy gets the file the link means.
        pages = self.state / "pages"
        if pages.exists():
            return
        shutil.copytree(WEB_PAGES, pages, ignore=shutil.ignore_patterns("config.json"))
        shutil.copy(WEB_CONFIG, pages / "config.json")
        # As shipped, the consent page hides its list once any scope was granted, so that a further one is easily overlooked.
        script = pages / "login.js"
        script.write_text(script.read_text().replace("forceShowGrant:!1,selectAccount", "forceShowGrant:!0,selectAccount"))

    def _make_key(self) -> None:
        private, public = self.state / "sign.pem", self.state / "sign.pub.pem"
        if not public.exists():
            subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
            subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
        self.private_key, self.public_key = private.read_text(), public.read_text()

    def _configuration(self) -> str:
        types = ",\n".join(f'  {{ extension = "{e}"; mime_type = "{t}"; }}' for e, t in MIME_TYPES.items())
        modules = "/usr/lib/glewlwyd"
        return f"""\
bind_address = "127.0.0.1"
port = {self.port}
external_url = "{self.origin}"
login_url = "login.html"
api_prefix = "api"
log_mode = "file"
log_level = "WARNING"
log_file = "{self.state}/glewlwyd.log"
cookie_secure = false
cookie_same_site = "lax"
session_key = "DEMO_PROVIDER_SESSION"
session_expiration = 86400
admin_scope = "g_admin"
profile_scope = "g_profile"
add_x_frame_option_header_deny = true
user_module_path = "{modules}/user"
client_module_path = "{modules}/client"
user_auth_scheme_module_path = "{modules}/scheme"
plugin_module_path = "{modules}/plugin"
use_secure_connection = false
secure_connection_key_file = ""
secure_connection_pem_file = ""
secure_connection_ca_file = ""
hash_algorithm = "SHA512"
static_files_path = "{self.state}/pages"
static_files_mime_types = (
{types}
)
database = {{ type = "sqlite3"; path = "{self.state}/glewlwyd.db"; }};
"""

    # Provisioning

    def _send(self, method: str, path: str, body: object) -> None:
        response = self.admin.request(method, path, json=body)
        if response.status_code // 100 != 2:
            raise RuntimeError(f"provider: {method} {path} answered {response.status_code} {response.text}")

    def _provision(self) -> None:
        self._send("POST", "/auth", {"username": "admin", "password": "password"})
        for name, title, explanation in (
            ("profile", "Profile", "See your name"),
            ("email", "E-mail", "See your e-mail address"),
            ("offline_access", "Stay signed in", "Keep access while you are away"),
            (BASIC_SCOPE, "MCP tools", "Call the basic tools as you"),
            (FILES_SCOPE, "Files", "Read your files"),
            (MAIL_SCOPE, "Mail", "Send mail in your name"),
        ):
            self._send("POST", "/scope", {"name": name, "display_name": title, "description": explanation,
                                          "password_required": True, "password_max_age": 0, "scheme": {}})
        scopes = ["openid", "profile", "email", "offline_access", BASIC_SCOPE, FILES_SCOPE, MAIL_SCOPE]
        for user in USERS.values():
            self._send("POST", "/user", {"username": user.name, "name": user.full_name, "password": user.password, "enabled": True,
                                         "email": f"{user.name}@example.test", "scope": scopes + ["g_profile"]})
        self._send("POST", "/mod/plugin", {"module": "oidc", "name": "oidc", "display_name": "OpenID Connect",
                                           "parameters": self._openid_parameters(scopes)})
        self._send("POST", "/client", self._client())

    def _openid_parameters(self, scopes: list[str]) -> dict:
        return {
            "iss": self.issuer, "jwt-type": "rsa", "jwt-key-size": "256", "key": self.private_key, "cert": self.public_key,
            "jwks-show": True, "jwks-x5c": [],
            "access-token-duration": self.access_token_seconds, "refresh-token-duration": 1209600, "code-duration": 60,
            "refresh-token-rolling": True, "refresh-token-one-use": "always" if self.one_use_refresh_tokens else "never",
            "allow-non-oidc": True, "auth-type-code-enabled": True, "auth-type-code-revoke-replayed": True, "auth-type-refresh-enabled": True,
            "auth-type-token-enabled": False, "auth-type-id-token-enabled": True, "auth-type-none-enabled": False,
            "auth-type-password-enabled": False, "auth-type-client-enabled": False, "auth-type-device-enabled": False,
            "scope": [], "allowed-scope": scopes, "claims": [],
            "additional-parameters": [
                {"user-parameter": "username", "token-parameter": "preferred_username", "token-changed": False},
                {"user-parameter": "name", "token-parameter": "name", "token-changed": False}],
            "name-claim": "mandatory", "name-claim-scope": [], "email-claim": "mandatory", "email-claim-scope": [],
            "scope-claim": "no", "scope-claim-scope": [], "address-claim": {"type": "no"}, "subject-type": "public",
            "pkce-allowed": True, "pkce-method-plain-allowed": False, "pkce-required": True, "pkce-scopes": [],
            "introspection-revocation-allowed": True, "introspection-revocation-auth-scope": [],
            "introspection-revocation-allow-target-client": True, "register-client-allowed": False,
            "request-parameter-allow": False, "request-uri-allow-https-non-secure": False, "request-maximum-exp": 3600, "secret-type": "",
            "session-management-allowed": True, "session-cookie-name": "DEMO_PROVIDER_SID", "session-cookie-expiration": 86400,
            "front-channel-logout-allowed": True, "back-channel-logout-allowed": True,
            "client-pubkey-parameter": "", "client-jwks-parameter": "jwks", "client-jwks_uri-parameter": "jwks_uri",
            "encrypt-out-token-allow": False, "client-cert-source": "no", "client-cert-use-endpoint-aliases": False,
            "client-cert-self-signed-allowed": False, "oauth-dpop-allowed": False, "oauth-rar-allowed": False, "oauth-ciba-allowed": False,
            "device-authorization-expiration": 600, "device-authorization-interval": 5,
            "resource-allowed": True, "resource-scope": {scope: self.resources for scope in (BASIC_SCOPE, FILES_SCOPE, MAIL_SCOPE)},
            "resource-client-property": "resource", "resource-scope-and-client-property": False, "resource-change-allowed": True,
            "oauth-par-allowed": True, "oauth-par-required": False, "oauth-par-duration": 90,
            "oauth-par-request_uri-prefix": "urn:ietf:params:oauth:request_uri:", "oauth-as-iss-id": True,
            "service-documentation": "", "op-policy-uri": "", "op-tos-uri": "",
        }

    def _client(self) -> dict:
        return {
            "client_id": CLIENT_ID, "name": "Coatcheck demo", "confidential": True, "enabled": True, "client_secret": CLIENT_SECRET,
            "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
            "authorization_type": ["code", "refresh_token", "delete_token"], "redirect_uri": self.redirect_uris,
            "post_logout_redirect_uris": self.post_logout_redirect_uris, "resource": self.resources,
        }

    def register(self, public_url: str) -> None:
        """Lets a proxy at `public_url` sign users in."""
        self.redirect_uris.append(f"{public_url}/auth/callback")
        self.post_logout_redirect_uris.append(f"{public_url}/")
        self._send("PUT", f"/client/{CLIENT_ID}", self._client())

    # What a person would do in the provider's pages

    def approve(self, authorization_url: str, user: str, scopes: list[str] | None = None) -> str:
        """Signs `user` in, grants `scopes` (all that were asked for if None) and returns the URL the browser is sent back to."""
        person = USERS[user]
        asked = parse_qs(urlsplit(authorization_url).query).get("scope", [""])[0].split()
        with httpx2.Client(timeout=10) as browser:
            answer = browser.get(authorization_url)
            landing = _location(answer, authorization_url)
            if not landing.startswith(self.origin):
                return landing
            browser.post(f"{self.origin}/api/auth", json={"username": person.name, "password": person.password}).raise_for_status()
            self.grant(browser, asked if scopes is None else scopes)
            callback = parse_qs(urlsplit(landing).query)["callback_url"][0]
            return _location(browser.get(callback + "&g_continue"), callback)

    def grant(self, browser: httpx2.Client, scopes: list[str]) -> None:
        browser.put(f"{self.origin}/api/auth/grant/{CLIENT_ID}", json={"scope": " ".join(scopes)}).raise_for_status()

    def withdraw(self, user: str) -> None:
        """Takes back every consent `user` gave and every refresh token that came of it, as the provider's profile page does."""
        person = USERS[user]
        with httpx2.Client(timeout=10) as browser:
            browser.post(f"{self.origin}/api/auth", json={"username": person.name, "password": person.password}).raise_for_status()
            self.grant(browser, [])
            tokens = browser.get(f"{self.origin}/api/oidc/token", params={"limit": 1000}).raise_for_status().json()
            for token in tokens:
                if token.get("enabled", True):
                    browser.delete(f"{self.origin}/api/oidc/token/{token['token_hash']}").raise_for_status()


def _location(answer: httpx2.Response, base: str) -> str:
    if "location" not in answer.headers:
        raise RuntimeError(f"provider answered {answer.status_code} instead of a redirect: {answer.text[:300]}")
    return urljoin(base, answer.headers["location"])
