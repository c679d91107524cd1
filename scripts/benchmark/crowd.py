"""Signs in many users at once: the users' browsers and a provider that agrees to everything, in one event loop that does no more than it must."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from support.provider import CLIENT_ID

AT_ONCE = 32
ACCESS_BYTES, REFRESH_BYTES = 1000, 500


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def _read(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    low = head.lower()
    at = low.find("\r\ncontent-length:")
    if at >= 0:
        return head, await reader.readexactly(int(low[at + 17:low.index("\r\n", at + 2)]))
    if "\r\ntransfer-encoding: chunked" in low:
        while await reader.readuntil(b"\r\n") != b"0\r\n":
            pass
        await reader.readuntil(b"\r\n")
    return head, b""


class Crowd:
    """`origin` and `port` of the provider are there after `start`."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.token_bytes = 0
        self._loop = asyncio.new_event_loop()

    def start(self) -> "Crowd":
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    issuer = origin

    def during(self, work):
        """Runs something that blocks while the provider answers."""
        return self._loop.run_until_complete(self._loop.run_in_executor(None, work))

    def stop(self) -> None:
        self._server.close()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.stop()

    # The provider

    def _metadata(self) -> dict:
        return {"issuer": self.issuer, "authorization_endpoint": f"{self.origin}/authorize", "token_endpoint": f"{self.origin}/token", "jwks_uri": f"{self.origin}/jwks",
                "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]}

    def _tokens(self, form: dict) -> dict:
        user, nonce = form["code"][0].split("~")
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": f"subject-{user}", "aud": CLIENT_ID, "exp": now + 3600, "iat": now, "nonce": nonce, "preferred_username": f"user{user}",
                  "name": f"User {user}", "email": f"user{user}@example.test"}
        signed = b64(b'{"alg":"ES256","kid":"k","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        mark = secrets.token_urlsafe(12)
        answer = {"access_token": f"at-{user}-{mark}-".ljust(ACCESS_BYTES, "a"), "refresh_token": f"rt-{user}-{mark}-".ljust(REFRESH_BYTES, "r"), "token_type": "Bearer",
                  "expires_in": 36000, "scope": "openid profile email offline_access mcp.use", "id_token": f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"}
        self.token_bytes = sum(len(answer[name]) for name in ("access_token", "refresh_token", "id_token"))
        return answer

    def _answer(self, head: str, body: bytes) -> dict:
        path = head.split(" ", 2)[1]
        if path == "/token":
            return self._tokens(parse_qs(body.decode()))
        if path == "/jwks":
            public = self.key.public_key().public_numbers()
            return {"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256", "x": b64(public.x.to_bytes(32, "big")), "y": b64(public.y.to_bytes(32, "big"))}]}
        return self._metadata()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                data = json.dumps(self._answer(*await _read(reader))).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    # The users

    async def _browser(self, port: int, start: str, users, cookies: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def get(target: str, cookie: str) -> tuple[int, str, dict[str, str]]:
            writer.write((f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
                          f"User-Agent: benchmark\r\n{f'Cookie: {cookie}' if cookie else 'DNT: 1'}\r\n\r\n").encode())
            head, _ = await _read(reader)
            location, jar = "", {}
            for line in head.split("\r\n")[1:]:
                name, _, value = line.partition(": ")
                if name.lower() == "location":
                    location = value
                elif name.lower() == "set-cookie":
                    key, _, content = value.split(";")[0].partition("=")
                    jar[key] = content
            return int(head[9:12]), location, jar

        for user in users:
            status, location, jar = await get(start, "")
            query = parse_qs(urlsplit(location).query)
            back = urlsplit(query["redirect_uri"][0]).path if status in (302, 303) else ""
            status, _, more = await get(f"{back}?code={user}~{query['nonce'][0]}&state={query['state'][0]}", "; ".join(f"{k}={v}" for k, v in jar.items()))
            if status not in (302, 303):
                raise RuntimeError(f"sign-in {user} was answered with {status}")
            jar = {k: v for k, v in (jar | more).items() if v and (k in more)}
            cookies.append("; ".join(f"{k}={v}" for k, v in jar.items()))
        writer.close()

    def sign_in(self, port: int, start: str, count: int, seconds: float) -> list[str]:
        """Cookies of `count` sessions, or of as many as there was time for."""
        cookies: list[str] = []
        end = time.monotonic() + seconds

        def users():
            for user in range(count):
                if time.monotonic() > end:
                    return
                yield user

        async def all_of_them() -> None:
            shared = users()
            await asyncio.gather(*(self._browser(port, start, shared, cookies) for _ in range(AT_ONCE)))

        self._loop.run_until_complete(all_of_them())
        return cookies
