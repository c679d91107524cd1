"""Certificates that are renewed while the proxy runs."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.request

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from processes import free_port, wait_until
from support.authority import Authority, replace
from support.upstream import SessionStreams
from support.visitor import LEGACY, Stream, Visitor

RELOADED, REFUSED = "certificates read again", "a certificate was not taken"


class Front:
    """A proxy with TLS in front whose certificate a test exchanges."""

    def __init__(self, proxy, provider, authority: Authority, tls: dict | None = None, files=None):
        self.provider, self.authority = provider, authority
        self.files = files or authority.issue("front", "127.0.0.1", "localhost")
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.proxy = proxy({"public_url": self.url, "tls": {"certificate_file": str(self.files[0]), "private_key_file": str(self.files[1])} | (tls or {})},
                           port=self.port)
        self.trust = ssl.create_default_context(cafile=authority.ca)

    def visitor(self) -> Visitor:
        made = Visitor(self.proxy, self.provider, tls=self.trust)
        made.url = self.url
        return made

    def shown(self, context: ssl.SSLContext | None = None, session=None, host: str = "127.0.0.1"):
        """Serial number of the certificate that a new connection sees; whether `session` was taken up; a session for the next."""
        with (context or self.trust).wrap_socket(socket.create_connection(("127.0.0.1", self.port), 5), server_hostname=host, session=session) as stream:
            stream.sendall(b"GET /auth/session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            stream.recv(4096)
            return x509.load_der_x509_certificate(stream.getpeercert(True)).serial_number, stream.session_reused, stream.session

    def renew(self) -> int:
        """Replaces certificate and key; returns the new serial number."""
        certificate, text, key = self.authority.make("front", "127.0.0.1", "localhost", chain=True)
        replace(self.files[1], key)
        replace(self.files[0], text)
        return certificate.serial_number

    def hang_up(self) -> None:
        told = self.proxy.output().count(RELOADED) + self.proxy.output().count(REFUSED)
        self.proxy.service.signal(signal.SIGHUP)
        wait_until(lambda: self.proxy.output().count(RELOADED) + self.proxy.output().count(REFUSED) > told, "the files to be read")

    def told(self, what: str) -> str:
        """The line of the log that says so."""
        return wait_until(lambda: next((line for line in self.proxy.output().splitlines() if what in line), None), f"the log to say: {what}")

    def metric(self, name: str) -> int:
        page = urllib.request.urlopen(f"{self.proxy.admin_url}/metrics", timeout=5).read().decode()
        return int(re.search(rf"^{name}(?:{{[^}}]*}})? (\d+)$", page, re.M)[1])


@pytest.fixture
def front(proxy, provider, authority):
    return lambda tls=None, files=None: Front(proxy, provider, authority, tls, files)


def test_a_hang_up_takes_up_the_new_pair_and_open_connections_and_streams_go_on(front, upstream):
    one = front({"reload_interval": "0s"})
    streams = SessionStreams(upstream)
    harvey = one.visitor().sign_in()
    session = harvey.open_session()
    before, _, _ = one.shown()
    headers = harvey.headers("client", {"Accept": "text/event-stream", "Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY})
    with harvey.connect() as connection, Stream(harvey, "GET", "/mcp", headers, None) as stream:
        assert connection.request("GET", "/auth/session", harvey.shape("client")).status == 200
        after = one.renew()
        assert one.shown()[0] == before != after
        one.hang_up()
        assert one.shown()[0] == after
        # Both were begun with the certificate before.
        assert connection.request("GET", "/auth/session", harvey.shape("client")).status == 200
        streams.send(session, {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "still here"}})
        assert stream.message()["params"] == {"data": "still here"}
        assert harvey.who() == "harvey"
    assert one.metric("coatcheck_certificate_reloads_total") == 1
    assert one.metric("coatcheck_certificate_reload_failures_total") == 0


def test_changed_files_are_noticed(front):
    one = front({"reload_interval": "50ms"})
    before = one.shown()[0]
    expiry = one.metric("coatcheck_certificate_not_after_seconds")
    after = one.renew()
    wait_until(lambda: one.shown()[0] == after, "the new certificate to be shown")
    assert before != after
    assert abs(one.metric("coatcheck_certificate_not_after_seconds") - expiry) < 600
    # What stays as it is is not read again.
    reloads = wait_until(lambda: one.metric("coatcheck_certificate_reloads_total"), "the reading to be counted")
    assert reloads in (1, 2)
    for _ in range(5):
        assert one.shown()[0] == after
    assert one.metric("coatcheck_certificate_reloads_total") == reloads


def test_a_directory_that_links_lead_through_is_noticed(front, authority, tmp_path):
    """As Kubernetes updates a mounted secret: the files are links through one link, which is replaced."""
    volume = tmp_path / "volume"

    def revision(name: str) -> int:
        certificate, text, key = authority.make("front", "127.0.0.1")
        (volume / name).mkdir(parents=True)
        (volume / name / "tls.crt").write_bytes(text)
        (volume / name / "tls.key").write_bytes(key)
        (volume / "..data_tmp").symlink_to(name)
        os.replace(volume / "..data_tmp", volume / "..data")
        return certificate.serial_number

    first = revision("..2026_01")
    files = volume / "tls.crt", volume / "tls.key"
    for file in files:
        file.symlink_to(f"..data/{file.name}")
    one = front({"reload_interval": "50ms"}, files)
    assert one.shown()[0] == first
    second = revision("..2026_02")
    wait_until(lambda: one.shown()[0] == second, "the new certificate to be shown")


def test_sessions_are_taken_up_across_a_renewal(front):
    one = front({"reload_interval": "0s"})
    _, reused, session = one.shown()
    assert not reused
    one.renew()
    one.hang_up()
    assert one.shown(session=session)[1]


def broken(one: Front, what: str) -> str:
    """Spoils the files; returns what the log must name."""
    certificate, key = one.files
    match what:
        case "key of another certificate":
            replace(key, one.authority.make("other", "127.0.0.1")[2])
        case "certificate of another key":
            replace(certificate, one.authority.make("other", "127.0.0.1")[1])
            return str(key)
        case "half a file":
            replace(certificate, certificate.read_bytes()[:200])
            return str(certificate)
        case "no file":
            key.unlink()
    return str(key)


@pytest.mark.parametrize("what", ["key of another certificate", "certificate of another key", "half a file", "no file"])
def test_a_pair_that_is_not_sound_changes_nothing_and_is_told(front, what):
    one = front({"reload_interval": "0s"})
    before = one.shown()[0]
    file = broken(one, what)
    one.hang_up()
    line = one.told(REFUSED)
    assert file in line and "detail" in line
    assert one.shown()[0] == before
    assert one.metric("coatcheck_certificate_reload_failures_total") == 1
    assert urllib.request.urlopen(f"{one.proxy.admin_url}/healthz", timeout=5).status == 200
    after = one.renew()
    one.hang_up()
    assert one.shown()[0] == after


def test_an_expired_certificate_is_served_and_told(front, authority):
    one = front({"reload_interval": "0s"})
    authority.issue("front", "127.0.0.1", days=-1)
    one.hang_up()
    assert str(one.files[0]) in one.told("a certificate is not valid now")
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    assert one.shown(blind)[0] > 0


def test_every_certificate_is_renewed_by_itself(front, authority):
    other = authority.issue("other", "localhost")
    pair = {"certificate_file": str(other[0]), "private_key_file": str(other[1])}
    # Names of the first do not matter: the others are looked at before it.
    one = front({"reload_interval": "0s", "certificates": [pair]})
    assert one.shown()[0] != one.shown(host="localhost")[0]
    one.files[1].unlink()
    renewed, text, key = authority.make("other", "localhost")
    replace(other[1], key)
    replace(other[0], text)
    first = one.shown()[0]
    one.hang_up()
    assert one.shown()[0] == first
    assert one.shown(host="localhost")[0] == renewed.serial_number


def test_a_hang_up_without_tls_does_no_harm(gateway, harvey):
    gateway.service.signal(signal.SIGHUP)
    wait_until(lambda: RELOADED in gateway.output(), "the signal to be heard")
    assert harvey.who() == "harvey"


# OCSP stapling

def status_of(one: Front) -> str:
    """What `openssl s_client` says of the OCSP response that is shown."""
    run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{one.port}", "-CAfile", str(one.authority.ca), "-status"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    return run.stdout


@pytest.fixture
def stapling(front, authority, tmp_path):
    """A front whose certificate is known, before it is started: `start(response)` starts it with that OCSP response."""
    certificate, text, key = authority.make("front", "127.0.0.1", chain=True)
    files = tmp_path / "front.crt", tmp_path / "front.key"
    replace(files[0], text)
    replace(files[1], key)
    response = tmp_path / "front.ocsp"

    def start(content: bytes | None) -> Front:
        if content is not None:
            replace(response, content)
        return front({"reload_interval": "0s", "ocsp_response_file": str(response)}, files)

    start.certificate, start.response = certificate, response
    return start


def test_a_good_response_is_shown_until_its_file_is_of_no_use_any_more(stapling, authority):
    one = stapling(authority.ocsp_response(stapling.certificate))
    assert "OCSP Response Status: successful" in status_of(one)
    assert "Cert Status: good" in status_of(one)
    replace(stapling.response, authority.ocsp_response(stapling.certificate, hours=-30))
    one.hang_up()
    assert "OCSP response: no response sent" in status_of(one)
    assert "is not current" in one.told("an OCSP response is not shown")
    replace(stapling.response, authority.ocsp_response(stapling.certificate))
    one.hang_up()
    assert "OCSP Response Status: successful" in status_of(one)


def test_a_response_made_by_openssl_is_shown(stapling, authority, tmp_path):
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    signer = tmp_path / "signer.key"
    signer.write_bytes(authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(stapling.certificate.public_bytes(Encoding.PEM))
    index = tmp_path / "index.txt"
    until = stapling.certificate.not_valid_after_utc.strftime("%y%m%d%H%M%SZ")
    index.write_text(f"V\t{until}\t\t{stapling.certificate.serial_number:X}\tunknown\t/CN=front\n")
    made = tmp_path / "made.der"
    subprocess.run(["openssl", "ocsp", "-index", index, "-CA", authority.ca, "-rsigner", authority.ca, "-rkey", signer, "-issuer", authority.ca,
                    "-cert", leaf, "-ndays", "1", "-respout", made, "-noverify"], check=True, capture_output=True, timeout=20)
    assert "Cert Status: good" in status_of(stapling(made.read_bytes()))


@pytest.mark.parametrize("content, reason", [
    ("absent", "No such file"), ("junk", "no OCSP response"), ("another certificate's", "another certificate"), ("revoked", "may be revoked"),
    ("a stranger's", "not signed by the certificate's authority")])
def test_a_response_of_no_use_is_not_shown_and_told(stapling, authority, tmp_path, content, reason):
    stranger = Authority(tmp_path / "stranger")
    one = stapling({
        "absent": None, "junk": b"nothing",
        "another certificate's": authority.ocsp_response(authority.make("other", "127.0.0.1")[0]),
        "revoked": authority.ocsp_response(stapling.certificate, ocsp.OCSPCertStatus.REVOKED),
        "a stranger's": authority.ocsp_response(stapling.certificate, signer=stranger),
    }[content])
    assert "OCSP response: no response sent" in status_of(one)
    line = one.told("an OCSP response is not shown")
    assert reason in line and str(stapling.response) in line
