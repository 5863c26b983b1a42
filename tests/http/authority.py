"""An authority of one's own, and servers' certificates by it."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)
PEM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """`trust` is the file of whom to trust: SSL_CERT_FILE; `newest` has the key and certificate made last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An Authority")])
        root = self._builder(self._name, self._key, 1).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.trust = folder / "authority.pem"
        self.trust.write_bytes(root.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, name: x509.GeneralName, *, days: int = 1, itself: bool = False) -> ssl.SSLContext:
        """What a server of that name has: vouched for by itself alone, where that is wanted, and for so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([]) if itself else self._name
        builder = self._builder(x509.Name([]), key, days, issuer)
        made = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True).sign(
            key if itself else self._key, hashes.SHA256()
        )
        self.newest = path = self._folder / f"{made.serial_number}.pem"
        path.write_bytes(key.private_bytes(*PEM) + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, issuer: x509.Name | None = None
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer or name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + days * DAY)
        )
