"""A provider double that behaves as Microsoft Entra ID does where it leaves the standards, and that notes every request Entra would not like.

It is no recording: shapes follow Microsoft's published documentation of the v2.0 endpoints. Users of three tenants sign in at `…/common/v2.0`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

from .provider import CLIENT_ID, NAMES, Code, FakeProvider, Family, SigningKey, b64
from .server import Answer, Background, Request, Wire

TENANTS = {
    "harvey": "11111111-aaaa-4aaa-8aaa-111111111111",
    "kim": "22222222-bbbb-4bbb-8bbb-222222222222",
    "saul": "33333333-cccc-4ccc-8ccc-333333333333",
}
OPENID = {"openid", "profile", "email", "offline_access"}
GRAPH = {"User.Read", "Mail.Read"}
ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"
OWN_SCOPE = f"api://{CLIENT_ID}/access"

_keys = {user: SigningKey.rsa(f"key-of-{user}s-tenant").private for user in TENANTS}


@dataclass
class TenantKey(SigningKey):
    """A key that is good for one tenant only, as the `issuer` member of Entra's key sets says."""

    issuer: str = ""

    def jwk(self) -> dict:
        return {**super().jwk(), "issuer": self.issuer}


@dataclass
class EntraFamily(Family):
    understands_challenges: bool = False


def resource_of(scope: str) -> str:
    return scope.rpartition("/")[0] if "/" in scope else "graph"


def api_scopes(text: str) -> list[str]:
    return [scope for scope in text.split() if scope not in OPENID]


class EntraDouble(FakeProvider):
    def __init__(self, background: Background):
        super().__init__(background)
        self.tenant = "common"
        # Requests that real Entra refuses or that do not get what they ask for. A well-behaved client causes none.
        self.complaints: list[str] = []
        self.consents: dict[str, set[str]] = defaultdict(set)
        # What an application is known to stand for when `.default` is agreed to.
        self.registrations: dict[str, set[str]] = {}
        # Resources that want a policy satisfied, and who did so.
        self.policies: dict[str, str] = {}
        self.proved: dict[str, set[str]] = defaultdict(set)
        # Users whose sessions were revoked: claims challenges are met only after they came by again.
        self.revoked_users: set[str] = set()
        self.login_hints = True
        self.exchange_seconds: float = 3600
        self.exchange_delay: float = 0
        # What the token endpoint says to a grant instead of the truth: used up one a call; `always` for good.
        self.next_answers: dict[str, deque[Answer]] = defaultdict(deque)
        self.always: dict[str, Answer] = {}

    def start(self, port: int = 0) -> "EntraDouble":
        super().start(port)
        self.keys = [TenantKey(f"key-of-{user}s-tenant", key, issuer=self.issuer_of(user)) for user, key in _keys.items()]
        return self

    @property
    def issuer(self) -> str:
        return f"{self.origin}/{self.tenant}/v2.0"

    def issuer_of(self, user: str) -> str:
        return f"{self.origin}/{TENANTS[user]}/v2.0"

    def key_of(self, user: str) -> SigningKey:
        return next(key for key in self.keys if key.kid == f"key-of-{user}s-tenant")

    def metadata(self) -> dict:
        base = f"{self.origin}/{self.tenant}"
        value = {
            "issuer": f"{self.origin}/{{tenantid}}/v2.0", "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token", "jwks_uri": f"{base}/discovery/v2.0/keys",
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout", "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"], "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "request_uri_parameter_supported": False,
        } | self.metadata_changes
        return {name: content for name, content in value.items() if content is not None}

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        _, _, rest = request.path[1:].partition("/")
        self.count[rest] += 1
        match rest:
            case "v2.0/.well-known/openid-configuration":
                return self.json(self.metadata())
            case "discovery/v2.0/keys":
                return self.json({"keys": [key.jwk() for key in self.keys if key.published]})
            case "oauth2/v2.0/token":
                return await self.token(request, wire)
            case "oauth2/v2.0/logout":
                self.ended_sessions.append(request.query)
                return Answer(302, [("Location", request.query.get("post_logout_redirect_uri", "/bye"))])
        return Answer(404)

    # Refusals

    def refuse(self, code: int, error: str = "invalid_grant", status: int = 400, fields: dict | None = None, **more) -> Answer:
        """An error answer as the token endpoint sends it; `more` are further members, such as `suberror` and `claims`."""
        answer = self.json({
            "error": error, "error_description": f"AADSTS{code}: told by the double. Trace ID: 0a0a Correlation ID: 1b1b Timestamp: 2026-01-02 10:00:00Z",
            "error_codes": [code], "timestamp": "2026-01-02 10:00:00Z", "trace_id": "0a0a", "correlation_id": "1b1b", **more}, status)
        answer.fields += list((fields or {}).items())
        return answer

    def object(self, code: int, error: str, words: str) -> Answer:
        self.complaints.append(f"AADSTS{code} {words}")
        return self.refuse(code, error)

    def bad_scopes(self, scopes: list[str]) -> str | None:
        unqualified = [scope for scope in scopes if "/" not in scope and scope not in GRAPH]
        if unqualified:
            return f"the scopes {unqualified} do not exist on Microsoft Graph"
        whole = {resource_of(scope) for scope in scopes if scope.endswith("/.default")}
        if whole and any(not scope.endswith("/.default") for scope in scopes):
            return ".default beside other scopes"
        return None

    # The user's part

    def approve(self, authorization_url: str, user: str, scopes: list[str] | None = None) -> str:
        query = {name: values[0] for name, values in parse_qs(urlsplit(authorization_url).query, keep_blank_values=True).items()}
        self.authorizations.append(query)
        # Entra does not name itself in the answer (RFC 9207).
        answer: dict[str, str | None] = {"state": query.get("state", "")}
        asked = query.get("scope", "").split()
        fault = self.bad_scopes(api_scopes(query.get("scope", "")))
        if "resource" in query:
            self.complaints.append("AADSTS901002 resource at the authorization endpoint")
            answer |= {"error": "invalid_request", "error_description": "AADSTS901002: The 'resource' request parameter is not supported."}
        elif fault:
            self.complaints.append(f"AADSTS650053 {fault}")
            answer |= {"error": "invalid_client", "error_description": f"AADSTS650053: {fault}"}
        elif any(scope in self.denied for scope in asked):
            answer |= {"error": "access_denied", "error_subcode": "cancel", "error_description": "AADSTS65004: User declined to consent to access the app."}
        else:
            granted = asked if scopes is None else scopes
            self.consents[user] |= set(granted)
            for scope in granted:
                if scope.endswith("/.default"):
                    self.consents[user] |= self.registrations.get(resource_of(scope), set())
            demand = json.loads(query.get("claims", "{}")).get("access_token", {})
            for spelling in ("values", "Values"):
                self.proved[user] |= set(demand.get("polids", {}).get(spelling, []))
            if "nbf" in demand:
                self.revoked_users.discard(user)
            code = "CANARY-code-" + secrets.token_urlsafe(16)
            self.issued.append(code)
            self._codes[code] = Code(user, query, granted)
            answer["code"] = code
        answer |= self.callback_changes
        return f"{query['redirect_uri']}?" + urlencode({name: value for name, value in answer.items() if value is not None})

    # Token endpoint

    async def token(self, request: Request, wire: Wire) -> Answer | None:
        form = request.form
        grant = form.get("grant_type", "?")
        name = "on_behalf_of" if grant == ON_BEHALF_OF else grant
        self.count[name] += 1
        self.token_requests.append(form)
        self.token_headers.append(request)
        if name == "on_behalf_of" and self.exchange_delay:
            await asyncio.sleep(self.exchange_delay)
        if self.next_answers[name]:
            return self.next_answers[name].popleft()
        if name in self.always:
            return self.always[name]
        if request.header("origin"):
            return self.object(9002326, "invalid_request", "a client secret beside an Origin field")
        if not self.check_client(request):
            return self.refuse(7000215, "invalid_client", 401)
        if "resource" in form:
            return self.object(901002, "invalid_request", "resource at the token endpoint")
        scopes = api_scopes(form.get("scope", ""))
        if fault := self.bad_scopes(scopes):
            return self.object(70011, "invalid_scope", fault)
        if len({resource_of(scope) for scope in scopes}) > 1:
            # It answers all the same, for the first one.
            self.complaints.append(f"AADSTS28000 more than one resource: {scopes}")
            scopes = [scope for scope in scopes if resource_of(scope) == resource_of(scopes[0])]
        match name:
            case "authorization_code":
                return self.redeem_for(form, scopes)
            case "refresh_token":
                return self.refresh_for(form, scopes)
            case "on_behalf_of":
                return self.on_behalf_of(form, scopes)
        return self.refuse(70003, "unsupported_grant_type")

    def redeem_for(self, form: dict[str, str], scopes: list[str]) -> Answer:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            return self.refuse(54005)
        verifier = form.get("code_verifier", "")
        if b64(hashlib.sha256(verifier.encode()).digest()) != code.query.get("code_challenge") or form.get("redirect_uri") != code.query["redirect_uri"]:
            return self.refuse(501481)
        self.issued.append(verifier)
        capabilities = json.loads(code.query.get("claims", "{}")).get("access_token", {}).get("xms_cc", {}).get("values", [])
        family = EntraFamily(code.user, code.scopes, understands_challenges="cp1" in capabilities)
        self.families.append(family)
        first = api_scopes(" ".join(code.scopes))
        scopes = scopes or [scope for scope in first if resource_of(scope) == resource_of(first[0])]
        answer = self.answer(family, scopes, None)
        answer["id_token"] = self.id_token(code.user, code.query.get("nonce"), answer["access_token"])
        self.issued.append(answer["id_token"])
        return self.json(answer)

    def refresh_for(self, form: dict[str, str], scopes: list[str]) -> Answer:
        token = form.get("refresh_token", "")
        # Old refresh tokens go on working.
        family = next((f for f in self.families if token == f.current or token in f.used), None)
        if family is None or family.revoked:
            return self.refuse(700082)
        scopes = scopes or api_scopes(" ".join(family.scopes))
        if refusal := self.refusal(family, scopes, form):
            return refusal
        answer = self.answer(family, scopes, form.get("claims"))
        if self.refresh_brings_id_token and "openid" in form.get("scope", "").split():
            answer["id_token"] = self.id_token(family.user, None, answer["access_token"])
            self.issued.append(answer["id_token"])
        return self.json(answer)

    def refusal(self, family: EntraFamily, scopes: list[str], form: dict[str, str]) -> Answer | None:
        """What is in the way of a token: consent, a policy, a revoked session."""
        missing = [scope for scope in scopes if not scope.endswith("/.default") and scope not in self.consents[family.user]]
        if missing:
            return self.refuse(65001, suberror="consent_required")
        policy = self.policies.get(resource_of(scopes[0])) if scopes else None
        if policy and policy not in self.proved[family.user]:
            claims = {"claims": json.dumps({"access_token": {"polids": {"essential": True, "Values": [policy]}}})} if family.understands_challenges else {}
            return self.refuse(50076, "interaction_required", suberror="basic_action", **claims)
        if "claims" in form and family.user in self.revoked_users:
            demand = json.loads(form["claims"])
            demand["access_token"].pop("xms_cc", None)
            return self.refuse(50173, "interaction_required", claims=json.dumps(demand))
        return None

    def answer(self, family: EntraFamily, scopes: list[str], claims: str | None) -> dict:
        if family.current:
            family.used.add(family.current)
        family.current = f"CANARY-rt~{family.user}~{secrets.token_urlsafe(12)}"
        access = self.access_token(family, scopes, claims, self.access_token_seconds)
        self.issued += [family.current, access]
        return {"token_type": "Bearer", "scope": self.named(family, scopes), "expires_in": int(self.access_token_seconds),
                "ext_expires_in": int(self.access_token_seconds), "access_token": access, "refresh_token": family.current}

    def named(self, family: EntraFamily, scopes: list[str]) -> str:
        """All that was ever agreed to for the resource, as Entra says it."""
        resource = resource_of(scopes[0]) if scopes else "graph"
        agreed = {scope for scope in self.consents[family.user] - OPENID if resource_of(scope) == resource and not scope.endswith("/.default")}
        return " ".join(sorted(agreed | {scope for scope in scopes if not scope.endswith("/.default")}))

    def access_token(self, family: EntraFamily, scopes: list[str], claims: str | None, seconds: float, **more) -> str:
        now = time.time()
        resource = resource_of(scopes[0]) if scopes else "graph"
        demand = json.loads(claims or "{}").get("access_token", {})
        values = {
            "aud": CLIENT_ID if resource == f"api://{CLIENT_ID}" else resource, "iss": self.issuer_of(family.user), "iat": int(now), "nbf": int(now),
            "exp": now + seconds, "tid": TENANTS[family.user], "oid": f"object-of-{family.user}", "sub": f"pairwise-{family.user}-{resource}",
            "scp": " ".join(scope.rpartition("/")[2] for scope in self.named(family, scopes).split()), "azp": CLIENT_ID, "ver": "2.0",
            "uti": secrets.token_urlsafe(12), "met": sorted(set(demand) - {"xms_cc"}), **more}
        if family.understands_challenges:
            values["xms_cc"] = ["cp1"]
        key = self.key_of(family.user)
        return self.sign({"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}, values, key)

    def id_token(self, user: str, nonce: str | None, access_token: str, sid: str | None = None) -> str:
        now = int(time.time())
        key = self.key_of(user)
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
        claims = {
            "iss": self.issuer_of(user), "sub": f"pairwise-{user}", "aud": CLIENT_ID, "exp": now + 600, "iat": now, "nbf": now, "nonce": nonce, "sid": sid,
            "tid": TENANTS[user], "oid": f"object-of-{user}", "name": NAMES.get(user, user), "preferred_username": f"{user}@example.test", "ver": "2.0",
            "login_hint": f"O.hint-of-{user}" if self.login_hints else None, **self.claims_changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.mutate(header, claims) if self.mutate else self.sign(header, claims, key)

    # On behalf of

    def on_behalf_of(self, form: dict[str, str], scopes: list[str]) -> Answer:
        known = {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "assertion", "scope", "requested_token_use", "claims"}
        if unknown := set(form) - known:
            return self.object(9002313, "invalid_request", f"on behalf of with {sorted(unknown)}")
        if form.get("requested_token_use") != "on_behalf_of":
            return self.object(9002313, "invalid_request", "requested_token_use")
        if not scopes:
            return self.object(70011, "invalid_scope", "on behalf of for nothing")
        try:
            kid = jwt.get_unverified_header(form.get("assertion", ""))["kid"]
            key = next(key for key in self.keys if key.kid == kid)
            assertion = jwt.decode(form["assertion"], key.private.public_key(), algorithms=[key.algorithm], options={"verify_aud": False, "verify_exp": False})
        except (jwt.PyJWTError, StopIteration, KeyError):
            return self.object(50013, "invalid_grant", "an assertion of somebody else's")
        if "nonce" in assertion or "scp" not in assertion:
            return self.object(240002, "invalid_request", "an ID token as assertion")
        if assertion["aud"] != CLIENT_ID:
            return self.object(500131, "invalid_grant", f"an assertion for {assertion['aud']}")
        if assertion["exp"] < time.time():
            return self.refuse(500133)
        user = assertion["oid"].removeprefix("object-of-")
        family = EntraFamily(user, scopes, understands_challenges="xms_cc" in assertion)
        if refusal := self.refusal(family, scopes, form):
            return refusal
        access = self.access_token(family, scopes, form.get("claims"), self.exchange_seconds, behalf=True, until=assertion["exp"])
        self.issued.append(access)
        return self.json({"token_type": "Bearer", "scope": self.named(family, scopes), "expires_in": int(self.exchange_seconds),
                          "ext_expires_in": int(self.exchange_seconds), "access_token": access})

    # What an API sees

    @staticmethod
    def claims_of(request: Request) -> dict:
        """The claims of the token that a request to an upstream carries."""
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        assert scheme == "Bearer" and token.count(".") == 2, request.fields
        return jwt.decode(token, options={"verify_signature": False})

    @classmethod
    def user_of(cls, request: Request) -> str:
        return cls.claims_of(request)["oid"].removeprefix("object-of-")
