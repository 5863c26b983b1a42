"""An e-mail address as Criteo wants it: trimmed, in lower case, UTF-8, hashed in up to three forms.

Dots, plus tags and inner spaces stay: Criteo matches the address as the visitor has it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection

from firsthand.vendors.criteo_s2s.settings import HashForm

# Unicode's White_Space and the marks without width that come along when an address is pasted. Spelled out
# because languages trim differently, and a hash must not depend on which one made it.
BLANK = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200E)))
HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Shops that hash a missing address send these for every visitor, who would all become one person.
HASHES_OF_NOTHING = {_md5(""), _sha256(""), _sha256(_md5(""))}


def hash_email(email: str, forms: Collection[HashForm], hashed_email: HashForm = "sha256") -> dict[str, str] | None:
    """The `id.email` object for an address, or for a hash made elsewhere; None for anything else.

    `sha256_md5` is the SHA-256 of the MD5's 32 lower-case hex digits. 64 hex digits may be either kind of
    SHA-256, so `hashed_email` says which.
    """
    text = email.strip(BLANK).lower()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if HASH.fullmatch(text):
        if text in HASHES_OF_NOTHING:
            return None
        hashes = {"md5": text, "sha256_md5": _sha256(text)} if len(text) == 32 else {hashed_email: text}
    elif "@" in text.strip("@"):
        md5 = _md5(text)
        hashes = {"md5": md5, "sha256": _sha256(text), "sha256_md5": _sha256(md5)}
    else:
        return None
    return {form: value for form, value in hashes.items() if form in forms} or None
