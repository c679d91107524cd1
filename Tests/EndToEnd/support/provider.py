"""An OpenID provider double for what a real one will not do: broken ID tokens, slow and failing token endpoint, rotation with reuse detection.

All secrets it hands out start with CANARY, so that any output can be searched for them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Callable
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from .server import Answer, Background, Request, Server, Wire

CLIENT_ID = "coatcheck-test"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
CLIENT_SECRET = "CANARY-client-secret with:odd&chars/%"

NAMES = {"harvey": "Harvey Specter", "kim": "Kim Wexler"}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _word(authorization: str | None, index: int) -> str:
    words = (authorization or "").split("~")
    return base64.urlsafe_b64decode(words[index] + "==").decode() if len(words) == 5 else ""


@dataclass
class SigningKey:
    kid: str
    private: object
    algorithm: str = "RS256"
    published: bool = True

    @classmethod
    def rsa(cls, kid: str) -> "SigningKey":
        return cls(kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def ec(cls, kid: str) -> "SigningKey":
        return cls(kid, ec.generate_private_key(ec.SECP256R1()), "ES256")

    def jwk(self) -> dict:
        kind = RSAAlgorithm if self.algorithm.startswith(("RS", "PS")) else ECAlgorithm
        return {**json.loads(kind.to_jwk(self.private.public_key())), "kid": self.kid, "use": "sig", "alg": self.algorithm}


@dataclass
class Family:
    """All refresh tokens that come of one sign-in."""

    user: str
    scopes: list[str]
    current: str = ""
    used: set[str] = field(default_factory=set)
    revoked: bool = False
    # The provider's own session.
    sid: str | None = None


@dataclass
class Code:
    user: str
    query: dict[str, str]
    scopes: list[str]


_first_key = SigningKey.rsa("key-1")


class FakeProvider(Server):
    def __init__(self, background: Background):
        super().__init__(background)
        self.keys = [_first_key]
        self.access_token_seconds: float = 3600
        self.say_scope = True
        self.rotate = True
        self.supports_revocation = True
        self.metadata_changes: dict = {}
        self.claims_changes: dict = {}
        self.mutate: Callable[[dict, dict], str] | None = None
        self.callback_changes: dict[str, str | None] = {}
        self.denied: set[str] = set()
        self.check_client: Callable[[Request], bool] = self.basic_or_post
        # What the token endpoint says to refreshes: words used up one a call, then `refresh_mode` for good.
        self.refresh_modes: deque[str] = deque()
        self.refresh_mode = "ok"
        self.refresh_delay: float = 0
        # Whether ID tokens name the provider's own session: a new one for each sign-in.
        self.names_sessions = False
        # Whether a refresh that asks for `openid` brings an ID token.
        self.refresh_brings_id_token = False
        self.code_mode = "ok"
        # The same for token exchange (RFC 8693).
        self.exchange_modes: deque[str] = deque()
        self.exchange_mode = "ok"
        self.exchange_delay: float = 0
        self.exchange_seconds: float = 3600
        # Whether scopes that the user did not agree to in the browser are refused.
        self.exchange_wants_consent = False
        self.claims_challenge = json.dumps({"access_token": {"acrs": {"essential": True, "value": "c1"}}})
        # What was seen.
        self.count: Counter = Counter()
        self.authorizations: list[dict[str, str]] = []
        self.token_requests: list[dict[str, str]] = []
        self.token_headers: list[Request] = []
        self.exchanges: list[list[tuple[str, str]]] = []
        self.revoked: list[str] = []
        self.ended_sessions: list[dict[str, str]] = []
        self.families: list[Family] = []
        self.issued: list[str] = [CLIENT_SECRET, urlencode({"": CLIENT_SECRET})[1:]]
        self.refreshing = 0
        self.overlapping_refreshes = 0
        self._codes: dict[str, Code] = {}
        # Tokens that can be exchanged: whose they are, and until when.
        self._subjects: dict[str, tuple[str, float]] = {}
        self._agreed: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    @property
    def issuer(self) -> str:
        return self.origin

    # Requests

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        self.count[request.path] += 1
        match request.path:
            case "/.well-known/openid-configuration":
                return self.json(self.metadata())
            case "/jwks":
                if self.count_down("jwks_failures"):
                    return Answer(503)
                return self.json({"keys": [key.jwk() for key in self.keys if key.published]})
            case "/token":
                return await self.token(request, wire)
            case "/revoke":
                self.revoked.append(request.form.get("token", ""))
                for family in self.families:
                    family.revoked |= request.form.get("token") in family.used | {family.current}
                return Answer(200)
            case "/logout":
                self.ended_sessions.append(request.query)
                return Answer(302, [("Location", request.query.get("post_logout_redirect_uri", "/bye"))])
            case "/authorize":
                return Answer(200, [("Content-Type", "text/html")], b"<h1>sign in here</h1>")
        return Answer(404)

    def fail_jwks(self, times: int) -> None:
        self.jwks_failures = times

    jwks_failures = 0

    def count_down(self, name: str) -> bool:
        left = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left)

    @staticmethod
    def json(value: object, status: int = 200) -> Answer:
        return Answer(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], json.dumps(value).encode())

    def metadata(self) -> dict:
        value = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.origin}/authorize", "token_endpoint": f"{self.origin}/token",
            "jwks_uri": f"{self.origin}/jwks", "end_session_endpoint": f"{self.origin}/logout",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            "authorization_response_iss_parameter_supported": True,
        }
        if self.supports_revocation:
            value["revocation_endpoint"] = f"{self.origin}/revoke"
        value.update(self.metadata_changes)
        return {name: content for name, content in value.items() if content is not None}

    # The user's part, without pages

    def approve(self, authorization_url: str, user: str, scopes: list[str] | None = None) -> str:
        """The user signs in and allows `scopes` (or all that were asked for). Returns where the browser is sent back to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(authorization_url).query, keep_blank_values=True).items()}
        with self._lock:
            self.authorizations.append(query)
            answer: dict[str, str | None] = {"state": query.get("state", ""), "iss": self.issuer}
            asked = query.get("scope", "").split()
            refused = [scope for scope in asked if scope in self.denied]
            if refused:
                answer |= {"error": "access_denied", "error_description": "the user said no"}
            else:
                code = "CANARY-code-" + secrets.token_urlsafe(16)
                self.issued.append(code)
                self._codes[code] = Code(user, query, asked if scopes is None else scopes)
                answer["code"] = code
        answer |= self.callback_changes
        text = urlencode({name: value for name, value in answer.items() if value is not None})
        return f"{query['redirect_uri']}?{text}"

    # Token endpoint

    @staticmethod
    def basic_or_post(request: Request) -> bool:
        header = request.header("authorization") or ""
        if header.lower().startswith("basic "):
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            return (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET) and "client_secret" not in request.form
        return request.form.get("client_id") == CLIENT_ID and request.form.get("client_secret") == CLIENT_SECRET

    def error(self, name: str, status: int = 400, **more) -> Answer:
        return self.json({"error": name, "error_description": f"{name} by the double", **more}, status)

    async def token(self, request: Request, wire: Wire) -> Answer | None:
        form = request.form
        grant = form.get("grant_type", "?")
        self.count[grant] += 1
        self.token_requests.append(form)
        self.token_headers.append(request)
        if not self.check_client(request):
            return self.error("invalid_client", 401)
        if grant == "authorization_code":
            return self.json({}, 500) if self.code_mode == "500" else self.redeem(form)
        if grant == TOKEN_EXCHANGE:
            return await self.exchange(request)
        if grant != "refresh_token":
            return self.error("unsupported_grant_type")
        mode = self.refresh_modes.popleft() if self.refresh_modes else self.refresh_mode
        self.refreshing += 1
        self.overlapping_refreshes += self.refreshing > 1
        try:
            if mode == "lost":
                # The rotation happens, the answer never arrives.
                self.refresh(form)
                wire.abort()
                return None
            if self.refresh_delay:
                await asyncio.sleep(self.refresh_delay)
            match mode:
                case "ok":
                    return self.refresh(form)
                case "500":
                    return Answer(500, body=b"oops")
                case "503":
                    return Answer(503, [("Retry-After", "1")])
                case "drop":
                    wire.abort()
                    return None
                case "empty":
                    return Answer(400)
                case "invalid_client":
                    return self.error("invalid_client", 401)
                case "consent_required":
                    return self.error("invalid_grant", suberror="consent_required", error_codes=[65001], correlation_id="c-1")
                case "interaction_required":
                    return self.error("interaction_required", error_codes=[50076], claims=self.claims_challenge)
                case "temporarily_unavailable":
                    return self.error("temporarily_unavailable", 503)
            return self.error(mode)
        finally:
            self.refreshing -= 1

    def redeem(self, form: dict[str, str]) -> Answer:
        with self._lock:
            code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            return self.error("invalid_grant")
        verifier = form.get("code_verifier", "")
        if b64(hashlib.sha256(verifier.encode()).digest()) != code.query.get("code_challenge") or form.get("redirect_uri") != code.query["redirect_uri"]:
            return self.error("invalid_grant")
        self.issued.append(verifier)
        family = Family(code.user, code.scopes, sid=f"sid-{secrets.token_urlsafe(9)}" if self.names_sessions else None)
        self.families.append(family)
        self._agreed.setdefault(code.user, set()).update(code.scopes)
        answer = self.tokens(family, form, code.scopes)
        answer["id_token"] = self.id_token(code.user, code.query.get("nonce"), answer["access_token"], family.sid)
        self.issued.append(answer["id_token"])
        self._subjects[answer["id_token"]] = code.user, time.time() + 600
        return self.json(answer)

    def refresh(self, form: dict[str, str]) -> Answer:
        token = form.get("refresh_token", "")
        family = next((f for f in self.families if token == f.current or token in f.used), None)
        if family is None or family.revoked:
            return self.error("invalid_grant")
        if token in family.used:
            family.revoked = True
            self.count["reuse"] += 1
            return self.error("invalid_grant")
        asked = form.get("scope", "").split() or family.scopes
        answer = self.tokens(family, form, [scope for scope in asked if scope in family.scopes])
        if self.refresh_brings_id_token and "openid" in asked:
            answer["id_token"] = self.id_token(family.user, None, answer["access_token"], family.sid)
            self.issued.append(answer["id_token"])
            self._subjects[answer["id_token"]] = family.user, time.time() + 600
        return self.json(answer)

    def tokens(self, family: Family, form: dict[str, str], scopes: list[str]) -> dict:
        resource = form.get("resource", "")
        access = "~".join(["CANARY-at", family.user, b64(" ".join(scopes).encode()), b64(resource.encode()), secrets.token_urlsafe(12)])
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": int(self.access_token_seconds)}
        if self.say_scope:
            answer["scope"] = " ".join(scopes)
        if self.rotate or not family.current:
            if family.current:
                family.used.add(family.current)
            family.current = f"CANARY-rt~{family.user}~{secrets.token_urlsafe(12)}"
            answer["refresh_token"] = family.current
            self.issued.append(family.current)
        self.issued.append(access)
        self._subjects[access] = family.user, time.time() + self.access_token_seconds
        return answer

    async def exchange(self, request: Request) -> Answer:
        """Token exchange: the token of its answer names the user, the scopes, and audiences and resources."""
        form = request.form
        self.count["exchange"] += 1
        self.exchanges.append(request.pairs)
        mode = self.exchange_modes.popleft() if self.exchange_modes else self.exchange_mode
        if self.exchange_delay:
            await asyncio.sleep(self.exchange_delay)
        if mode == "503":
            return Answer(503, [("Retry-After", "7")])
        if mode in ("invalid_request", "invalid_grant", "invalid_target", "invalid_scope", "consent_required", "access_denied", "interaction_required", "invalid_client"):
            return self.error(mode, 401 if mode == "invalid_client" else 400)
        if mode == "claims":
            return self.error("interaction_required", claims=self.claims_challenge)
        user, until = self._subjects.get(form.get("subject_token", ""), ("", 0))
        if not user or until < time.time() or form.get("subject_token_type") not in (f"{TOKEN_TYPE}access_token", f"{TOKEN_TYPE}id_token"):
            return self.error("invalid_request")
        scopes = form.get("scope", "").split()
        if self.exchange_wants_consent and not set(scopes) <= self._agreed[user]:
            return self.error("consent_required")
        targets = [value for name, value in request.pairs if name in ("audience", "resource")]
        token = "~".join(["CANARY-xt", user, b64(" ".join(scopes).encode()), b64(" ".join(targets).encode()), secrets.token_urlsafe(12)])
        self.issued.append(token)
        answer = {"access_token": token, "issued_token_type": f"{TOKEN_TYPE}access_token", "token_type": "Bearer", "expires_in": int(self.exchange_seconds)}
        if self.say_scope:
            answer["scope"] = " ".join(scopes)
        match mode:
            case "N_A":
                answer["token_type"] = "N_A"
            case "no issued_token_type":
                del answer["issued_token_type"]
            case "an ID token":
                answer["issued_token_type"] = f"{TOKEN_TYPE}id_token"
            case "a refresh token":
                answer["issued_token_type"] = f"{TOKEN_TYPE}refresh_token"
            case "jwt":
                answer["issued_token_type"] = f"{TOKEN_TYPE}jwt"
        return self.json(answer)

    @staticmethod
    def scopes_of(authorization: str | None) -> list[str]:
        return _word(authorization, 2).split()

    @staticmethod
    def resource_of(authorization: str | None) -> str:
        return _word(authorization, 3)

    def id_token(self, user: str, nonce: str | None, access_token: str, sid: str | None = None) -> str:
        now = int(time.time())
        header = {"alg": self.keys[-1].algorithm, "kid": self.keys[-1].kid, "typ": "JWT"}
        claims = {
            "iss": self.issuer, "sub": f"subject-of-{user}", "aud": CLIENT_ID, "azp": CLIENT_ID, "exp": now + 600, "iat": now, "auth_time": now,
            "nonce": nonce, "sid": sid, "at_hash": b64(hashlib.sha256(access_token.encode()).digest()[:16]),
            "name": NAMES.get(user, user), "preferred_username": user, "email": f"{user}@example.test",
            **self.claims_changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.mutate(header, claims) if self.mutate else self.sign(header, claims)

    def logout_token(self, user: str | None = None, sid: str | None = None, header: dict | None = None, key: SigningKey | None = None, **changes) -> str:
        """A logout token (OpenID Connect Back-Channel Logout 1.0 §2.4); None removes a claim."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": user and f"subject-of-{user}", "sid": sid, "aud": CLIENT_ID, "iat": now, "exp": now + 120,
            "jti": secrets.token_urlsafe(12), "events": {LOGOUT_EVENT: {}}, **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        fields = {"alg": self.keys[-1].algorithm, "kid": self.keys[-1].kid, "typ": "logout+jwt"} | (header or {})
        token = self.sign({name: value for name, value in fields.items() if value is not None}, claims, key)
        self.issued.append(token)
        return token

    def sign(self, header: dict, claims: dict, key: SigningKey | None = None) -> str:
        key = key or self.keys[-1]
        return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=header)

    def add_key(self, key: SigningKey, keep_old: bool = True) -> None:
        self.keys = (self.keys if keep_old else []) + [key]

    def withdraw(self, user: str) -> None:
        """The user takes all consent back: no refresh token of theirs works any more."""
        for family in self.families:
            if family.user == user:
                family.revoked = True
