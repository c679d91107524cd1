"""What scanners find: testssl.sh and sslyze, with both kinds of certificate and both oldest versions."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

import proxy as proxy_module
from conftest import proxies, test_config
from processes import free_port
from support.authority import Authority, replace
from support.provider import FakeProvider
from support.upstream import EchoUpstream

KINDS = [(kind, version) for kind in ("ec", "rsa") for version in ("1.2", "1.3")]
TESTSSL = shutil.which("testssl") or "/usr/bin/testssl"
SSLYZE = proxy_module.ROOT / ".build" / "venv-sslyze" / "bin" / "python"

# With TLS 1.2: protocols, ciphers and their order, server defaults with the certificate, HTTP fields, known attacks. Attacks, ciphers and
# orders are of TLS 1.2 and before: with 1.3 alone they are not tried again. Neither is what only lists.
CHECKS = {
    "1.2": ["--protocols", "--std", "--server-preference", "--fs", "--server-defaults", "--headers", "--vulnerable"],
    "1.3": ["--protocols", "--server-defaults", "--headers"],
}

# Severe findings that are the test's doing, with the reason.
ACCEPTED = {
    "cert_revocation": "the test's authority publishes neither a revocation list nor an OCSP address",
    "cert_extlifeSpan": "the same of its lifetime",
    "sessionresumption_ticket": "a warning that it cannot be tried where TLS 1.2 is not spoken",
    "engine_problem": "about the scanner's own OpenSSL",
    "RC4": "about the scanner's own OpenSSL, which cannot try these",
}
# What must have been looked at, so that a scan that ended early is no success.
LOOKED_AT = {
    "1.2": ["TLS1_2", "TLS1_3", "PFS", "cipher_order", "cert_chain_of_trust", "OCSP_stapling", "HSTS_time", "heartbleed", "secure_renego",
            "secure_client_renego", "CRIME_TLS", "BREACH", "fallback_SCSV", "ROBOT", "LOGJAM", "LUCKY13"],
    "1.3": ["TLS1_2", "TLS1_3", "cert_chain_of_trust", "OCSP_stapling", "HSTS_time"],
}
LOW = {"OK", "INFO", "LOW", "DEBUG"}


@pytest.fixture(scope="module")
def scanned(binary, background, tmp_path_factory):
    """The findings of both scanners, by kind and version: all servers are scanned at the same time."""
    directory = tmp_path_factory.mktemp("scanned")
    provider, upstream = FakeProvider(background).start(), EchoUpstream(background).start()
    authority = Authority(directory / "authority")
    starting = proxies(binary, provider, lambda changes: test_config(provider, upstream, changes), directory)
    start = next(starting)
    ports = {}
    for kind, version in KINDS:
        certificate, text, key = authority.make("localhost", "localhost", "127.0.0.1", days=80, age=1, kind=kind, chain=True)
        files = [directory / f"{kind}-{version}.{suffix}" for suffix in ("crt", "key", "ocsp")]
        for file, content in zip(files, (text, key, authority.ocsp_response(certificate))):
            replace(file, content)
        port = ports[kind, version] = free_port()
        start({"public_url": f"https://localhost:{port}", "workers": 1, "log": {"level": "warning"},
               "tls": dict(zip(("certificate_file", "private_key_file", "ocsp_response_file"), map(str, files))) | {"min_version": version},
               "routes": [{"path": "/", "upstream": f"{upstream.origin}/pages", "authorization": "none", "session": "optional"}]}, port=port)
    running = {
        which: subprocess.Popen(
            [TESTSSL, "--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--connect-timeout", "10", "--openssl-timeout", "10",
             "--add-ca", authority.ca, "--jsonfile", directory / f"testssl-{port}.json", *CHECKS[which[1]], f"127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for which, port in ports.items()}
    try:
        scan = subprocess.run(
            [SSLYZE, proxy_module.ROOT / "Tests" / "EndToEnd" / "sslyze_scan.py", authority.ca,
             *(f"{port}={'modern' if version == '1.3' else 'intermediate'}" for (_, version), port in ports.items())],
            capture_output=True, text=True, timeout=100)
        assert scan.returncode == 0, scan.stderr[-2000:]
        by_port = json.loads(scan.stdout)
        found = {}
        for which, process in running.items():
            process.wait(250)
            found[which] = (json.loads((directory / f"testssl-{ports[which]}.json").read_text()), by_port[str(ports[which])])
        yield found
    finally:
        for process in running.values():
            process.kill()
            process.wait()
        next(starting, None)
        provider.stop()
        upstream.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind, version", KINDS)
def test_testssl_finds_nothing_above_low(scanned, kind, version):
    findings, _ = scanned[kind, version]
    ids = {finding["id"].split(" ")[0] for finding in findings}
    assert not [name for name in LOOKED_AT[version] if name not in ids], " ".join(sorted(ids))
    severe = {finding["id"]: (finding["severity"], finding["finding"]) for finding in findings
              if finding["severity"] not in LOW and finding["id"].split(" ")[0] not in ACCEPTED}
    assert not severe


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind, version", KINDS)
def test_sslyze_finds_what_mozilla_recommends(scanned, kind, version):
    """The modern profile from TLS 1.3 on, the intermediate one with TLS 1.2."""
    _, found = scanned[kind, version]
    issues = dict(found["issues"])
    # Judged by the browsers' lists of authorities; that the test's own is satisfied is asserted below.
    issues.pop("certificate_path_validation", None)
    if (kind, version) == ("rsa", "1.3"):
        # The modern profile knows ECDSA certificates only.
        assert issues.pop("certificate_types")
    assert not issues
    assert found["early_data"] is False
    assert found["trusted"] == [True]
    assert found["hsts"] == 31536000
    if version == "1.2":
        assert found["tickets"] == "FULLY_SUPPORTED"
