"""A certificate authority of a test's own."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Makes certificates; `ca` is the file to trust."""

    def __init__(self, directory: Path, name: str = "test authority"):
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), None, ca=True)
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def _sign(self, name, public_key, names, ca=False, days=30, age=60):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=age)).not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
                   # What strict readers of RFC 5280 §4.2 want to see.
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
                   .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), True))
        if names:
            builder = (builder.add_extension(x509.SubjectAlternativeName(names), False)
                       .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False))
        return builder.sign(self.key, hashes.SHA256())

    def make(self, label: str, *hosts: str, days: int = 30, age: int = 60, kind: str = "ec", chain: bool = False) -> tuple[x509.Certificate, bytes, bytes]:
        """A certificate, and the PEM texts of it (with the authority's behind it if `chain`) and its key.

        Valid for `days`, and since `age` days."""
        key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)]), key.public_key(), names, days=days, age=age)
        text = certificate.public_bytes(Encoding.PEM) + (self.certificate.public_bytes(Encoding.PEM) if chain else b"")
        return certificate, text, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def issue(self, label: str, *hosts: str, **options) -> tuple[Path, Path]:
        """Files of a new certificate and its key. Replaced in one step each, as good tools do."""
        _, certificate, key = self.make(label, *hosts, **options)
        files = self.directory / f"{label}.crt", self.directory / f"{label}.key"
        replace(files[1], key)
        replace(files[0], certificate)
        return files

    def ocsp_response(self, certificate: x509.Certificate, status=ocsp.OCSPCertStatus.GOOD, hours: float = 24, signer: "Authority | None" = None) -> bytes:
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        revoked = now - datetime.timedelta(days=1) if status == ocsp.OCSPCertStatus.REVOKED else None
        signer = signer or self
        return (ocsp.OCSPResponseBuilder()
                .add_response(certificate, self.certificate, hashes.SHA1(), status, now - datetime.timedelta(days=2), now + datetime.timedelta(hours=hours), revoked, None)
                .responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate).sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER))


def replace(path: Path, content: bytes) -> None:
    """Puts a file in the place of another in one step."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.chmod(0o600)
    os.replace(new, path)
