"""E-mail addresses in the form advertisers match on: trimmed, in lower case, UTF-8, hashed in up to three ways.

Dots, plus tags and inner spaces stay: the address is matched as the visitor has it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from typing import Literal

from firsthand.personal import has_sign, plain
from firsthand.placeholders import WORDS, placeholder

HashForm = Literal["md5", "sha256", "sha256_md5"]

# Unicode's White_Space and the marks without width that come along when an address is pasted. Spelled out
# because languages trim differently, and a hash must not depend on which one made it.
BLANK = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200E)))
LONGEST = 400
"""Characters of a text that may be one address."""
HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Shops that hash a missing address, or what stands for one, send these for every visitor: all would become one person.
HASHES_OF_NOTHING = {
    hashed
    for word in ("", *WORDS)
    for text in {word, word.lower(), word.upper(), word.capitalize()}
    for hashed in (md5(text), sha256(text), sha256(md5(text)))
} | {"0" * 32, "0" * 64}
NO_ADDRESS = {"noemail", "no-email", "no_email", "nomail", "noreply", "no-reply", "no_reply", "donotreply"}
"""Before the `@` of what shops write where they know no address, besides what is no id either (`guest@`, `null@`)."""
PLAIN = re.compile(r"[\w+\-.]+@[\w\-.]+[\w\-]")
"""An address with nothing around it, as most come."""
# As mail programs copy one (`Ann <ann@example.com>`), as links have it, or in quotes.
WRAPPED = re.compile(
    r"""(?:[^<>@]*<\s*)?["'\u201c\u201e]?(?:mailto:)?([^\s<>",;:@]+@[^\s<>",;:@?]+?)\.?(?:\?\S*)?["'\u201c\u201d]?\s*>?""",
    re.I,
)


def bare(email: str) -> str:
    """An address without what stands around it; any other text without blanks at its ends."""
    text = email.strip(BLANK)
    if PLAIN.fullmatch(text):
        return text
    if len(text) > LONGEST or not has_sign(text):
        return text
    found = WRAPPED.fullmatch(text if "@" in text else plain(text))
    return found[1] if found else text


def normalise(email: str) -> str:
    """An address as it is compared and hashed."""
    text = bare(email).lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_address(text: str) -> bool:
    """Whether what `bare` or `normalise` returned is one visitor's address: not several, nor what shops write where
    they know none, as that would make all of these visitors one."""
    local, _, domain = text.rpartition("@")
    if not local or not domain or "@" in local.strip('"') or "*" in local:
        return False
    return local.lower() not in NO_ADDRESS and (placeholder(local) is None or local.isdigit())


def hash_email(email: str, forms: Collection[HashForm], hashed_email: HashForm = "sha256") -> dict[str, str] | None:
    """Hashes by form, of an address or as far as they follow from a hash made elsewhere; None for anything else.

    `sha256_md5` is the SHA-256 of the MD5's 32 lower-case hex digits. 64 hex digits may be either kind of
    SHA-256, so `hashed_email` says which.
    """
    text = normalise(email)
    if is_address(text):
        digits = md5(text)
        hashes = {"md5": digits, "sha256": sha256(text), "sha256_md5": sha256(digits)}
    elif HASH.fullmatch(text) and text not in HASHES_OF_NOTHING:
        hashes = {"md5": text, "sha256_md5": sha256(text)} if len(text) == 32 else {hashed_email: text}
    else:
        return None
    return {form: value for form, value in hashes.items() if form in forms} or None
