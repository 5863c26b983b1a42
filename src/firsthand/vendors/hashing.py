"""E-mail addresses in the form advertisers match on: trimmed, in lower case, UTF-8, hashed in up to three ways.

Dots, plus tags and inner spaces stay: the address is matched as the visitor has it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from typing import Literal

HashForm = Literal["md5", "sha256", "sha256_md5"]

# Unicode's White_Space and the marks without width that come along when an address is pasted. Spelled out
# because languages trim differently, and a hash must not depend on which one made it.
BLANK = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200E)))
HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Shops that hash a missing address send these for every visitor, who would all become one person.
HASHES_OF_NOTHING = {md5(""), sha256(""), sha256(md5(""))}


def normalise(email: str) -> str:
    text = email.strip(BLANK).lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def hash_email(email: str, forms: Collection[HashForm], hashed_email: HashForm = "sha256") -> dict[str, str] | None:
    """Hashes by form, of an address or as far as they follow from a hash made elsewhere; None for anything else.

    `sha256_md5` is the SHA-256 of the MD5's 32 lower-case hex digits. 64 hex digits may be either kind of
    SHA-256, so `hashed_email` says which.
    """
    text = normalise(email)
    if "@" in text.strip("@"):
        digits = md5(text)
        hashes = {"md5": digits, "sha256": sha256(text), "sha256_md5": sha256(digits)}
    elif HASH.fullmatch(text) and text not in HASHES_OF_NOTHING:
        hashes = {"md5": text, "sha256_md5": sha256(text)} if len(text) == 32 else {hashed_email: text}
    else:
        return None
    return {form: value for form, value in hashes.items() if form in forms} or None
