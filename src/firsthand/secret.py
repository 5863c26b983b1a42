"""The secret behind what browsers are given to keep: it signs addresses to come back to, encrypts cookies, makes ids.

There is one for all processes that serve the same pages, and a key derived from it for each purpose, so that what
was made for one purpose counts for nothing under another. Whoever changes the secret makes all of it void; nothing
that the gateway itself stores depends on it.
"""

import base64
import binascii
import contextlib
import hmac
import os
import re
import secrets
import tempfile
import uuid
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firsthand.config.faults import ConfigError, Fault
from firsthand.private import make_private_folder
from firsthand.settings import Settings

FILE = "secret.key"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16


def load(settings: Settings) -> "Secret":
    """The secret of the settings, else that of the data folder, where the first start makes it.

    Raises `ConfigError` where the file holds no secret, and OSError where it can be neither read nor made.
    """
    if settings.secret_key is not None:
        return Secret(settings.secret_key.encode())
    path = settings.data / FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        text = _make(path)
    if not re.fullmatch(rb"[0-9a-f]{64}\n?", text):
        remedy = "restore it, or delete it: then a new one is made, and browsers get new cookies"
        raise ConfigError(str(path), [Fault(FILE, "this is not the secret that was made here", remedy)])
    return Secret(bytes.fromhex(text.decode()))


def _make(path: Path) -> bytes:
    """Writes a new secret beside `path` and then gives it that name, unless another process was quicker: so the file
    is there whole or not at all, and all processes have the same."""
    make_private_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=path.parent)  # for its owner's eyes only, 0600
    try:
        with open(handle, "wb") as file:
            file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path.read_bytes()


class Secret:
    """Signs and encrypts by purpose, such as "sync". What it makes holds letters, digits, `-` and `_` alone.

    `verify` and `decrypt` take whatever a stranger sends and never raise; only the exact text that was made counts.
    """

    __slots__ = ("_ciphers", "_ids", "_keys", "_root")

    def __init__(self, root: bytes) -> None:
        self._root = root
        # All ids hang on this one key, so that to keep visitors' ids is to keep this, whatever becomes of the root.
        self._ids = self._derive("make", "ids")
        self._keys: dict[str, bytes] = {}
        self._ciphers: dict[str, AESGCM] = {}

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

    def sign(self, purpose: str, data: bytes) -> str:
        """The data, readable by anyone, with its HMAC-SHA256 in front."""
        key = self._keys.get(purpose)
        if key is None:
            key = self._keys[purpose] = self._derive("sign", purpose)
        return _text(hmac.digest(key, data, "sha256") + data)

    def verify(self, purpose: str, token: str) -> bytes | None:
        """The data of a token that `sign` made for this purpose; None for any other."""
        data = _bytes(token)[KEY_BYTES:]
        expected = self.sign(purpose, data)
        return data if hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")) else None

    def make_id(self, purpose: str, about: str) -> uuid.UUID:
        """The UUID v4 of somebody for a purpose, always the same one. Only who has the secret can make it, or tell that
        the ids for two purposes are the same somebody's."""
        key = hmac.digest(self._ids, purpose.encode(), "sha256")
        return uuid.UUID(bytes=hmac.digest(key, about.encode("utf-8", "surrogatepass"), "sha256")[:16], version=4)

    def encrypt(self, purpose: str, data: bytes) -> str:
        """The data as only this secret can read it (AES-256-GCM), another text each time.

        The nonces are random, so one purpose should not make more than four thousand million texts with one secret.
        """
        nonce = os.urandom(NONCE_BYTES)
        return _text(nonce + self._cipher(purpose).encrypt(nonce, data, None))

    def decrypt(self, purpose: str, token: str) -> bytes | None:
        """The data of a text that `encrypt` made for this purpose; None for any other."""
        sealed = _bytes(token)
        if len(sealed) < NONCE_BYTES + TAG_BYTES or _text(sealed) != token:
            return None
        try:
            return self._cipher(purpose).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except InvalidTag:
            return None

    def _cipher(self, purpose: str) -> AESGCM:
        cipher = self._ciphers.get(purpose)
        if cipher is None:
            cipher = self._ciphers[purpose] = AESGCM(self._derive("encrypt", purpose))
        return cipher

    def _derive(self, use: str, purpose: str) -> bytes:
        """HKDF's second half (RFC 5869, one block); its first is there for secrets that are not evenly random."""
        pseudo_random = hmac.digest(b"firsthand", self._root, "sha256")
        return hmac.digest(pseudo_random, f"{use}:{purpose}\x01".encode(), "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """What base64 text stands for; nothing where it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
