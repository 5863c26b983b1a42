"""E-mail addresses and phone numbers in texts: what is taken out of what leaves, and masked in what is shown.

An address is found as it is, percent-encoded (once or several times over), as `%u0040` or HTML entity, in base64 and in
hexadecimal digits; a number where it is written as one: in the international form, with its area code set apart, or
under a name that says so. Digits alone are an order, a product or a price.
"""

# Of our own: phonenumbers' matcher takes milliseconds a text, wants a region, and passes over numbers nobody has (yet).

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from html import unescape
from unicodedata import decimal
from urllib.parse import unquote

Replace = Callable[[str, str], str]
"""What stands in place of a find, given as it is written and as it is meant."""

_PCT = r"%(?:25)*"
_SIGN = (
    rf"@|\uff20|\ufe6b|{_PCT}(?:40|u0*40|EF{_PCT}BC{_PCT}A0)|\\(?:u00|x)40"
    rf"|(?:&|{_PCT}26)(?:(?:#|{_PCT}23)(?:0*64|x0*40)|commat)(?:;|{_PCT}3B)"
)
SIGN = re.compile(_SIGN, re.I)
SIGN_LIKE = re.compile(
    r"[@\uff20\ufe6b%&\\]"
    r"(?:(?<=[@\uff20\ufe6b])|(?<=%)(?:25)*(?:40|u0|EF|26)|(?<=&)(?:#|%|commat)|(?<=\\)(?:u00|x)40)",
    re.I,
)
"""How each of them begins. That is one of few characters, so that texts without any are told at once."""
AT = re.compile(rf"[^@](?:{_SIGN})[^@]", re.I)
EMAIL = re.compile(rf"[^\s@/?#&=:;,<>\"()](?:{_SIGN})[^\s@]{{1,255}}(?:\.|{_PCT}2E)[^\s@]", re.I)
USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
_MARK = r"2[02368CF]|29|3[ABCDEF]"
# A delimiter, or what stands between two. Any of it may be percent-encoded, once or several times over.
PIECE = re.compile(
    rf"(?:{_SIGN}|[^\s%/?#&=:;,<>\"()]|%(?!(?:25)*(?:{_MARK}))(?:25)*)+|{_PCT}(?:{_MARK})",
    re.I,
)
BASE64 = re.compile(r"[A-Za-z0-9_+/\-]{10,}")
BASE64_IN_URL = re.compile(rf"(?:[A-Za-z0-9_+/\-]++|{_PCT}2[BF])++", re.I)
_MARK_OF_BASE64 = re.compile(rf"{_PCT}2[BF]", re.I)
_DIGIT64, _DOT64 = r"[A-Za-z0-9_+/\-]", "[AEIMQUYcgkosw048]u"
BASE64_ADDRESS = re.compile(
    rf"[A-P](?:(?<=Q.){_DOT64}"
    rf"|(?:(?<=Q.){_DIGIT64}{{2}}|(?<=[EUk0][A-D]){_DIGIT64}|(?<=[BFJNRVZdhlptx159]A))"
    rf"(?:[L-OQ-WY-eg-z0-9_+/\-][C-PS-fi-vy-z0-9_+/\-]{_DIGIT64}{{2}}){{0,85}}?"
    rf"(?:L[g-v]|{_DIGIT64}[CSiy][4-7]|{_DIGIT64}{{2}}{_DOT64}))"
)
"""What an `@` becomes, by where it stands among three bytes, with a dot after as many bytes as a domain has: bytes that
may be in one, by the six bits that each of these characters is. Few texts that are no address have it."""
BASE64_SIGNS = re.compile(r"(?=(Q[A-P])|([EUk0][A-D])|([BFJNRVZdhlptx159]A))")
HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-f]{2}){7,}(?![0-9A-Za-z])", re.I)
DECODED = re.compile(rb"[\w.+\-\x80-\xff]+@(?:[A-Za-z0-9\-\x80-\xff]+\.)+[A-Za-z\x80-\xff]{2,}")
WHOLE = re.compile(r"[\w.+\-]+@(?:[\w\-]+\.)+[^\W\d_]{2,}")


SUSPECT = re.compile(
    r"[@%&\\0-9A-P](?:(?<=[@%\\])|(?<=&)[#cC]|(?<=4)0|(?<=[0-9])[0-9 .()/+%\-ABCDEFabcdef]{5}"
    r"|(?<=Q[A-P])|(?<=[EUk0][A-D])|(?<=[BFJNRVZdhlptx159]A))"
)
"""What an ASCII text has where there may be an address or a number in it: a sign or how one begins, what an `@` is in
base64 or in hexadecimal digits, or as many digits as a number has. Most texts have none of it, and are told at once."""


def has_email(text: str) -> bool:
    """Whether there is an address in it, with a domain that has a dot."""
    if has_sign(text) and EMAIL.search(text) is not None:
        return True
    return len(text) >= _SHORTEST and bool(_encoded(text))


def has_phone(text: str) -> bool:
    return len(text) >= _FEWEST and bool(_numbers(text))


def has_personal(text: str) -> bool:
    return not _is_plain(text) and (has_email(text) or has_phone(text))


def scrub(text: str) -> str:
    """The text without the addresses and numbers in it, nor the user and password of a URL."""
    if _is_plain(text):
        return text
    if "@" in text:
        text = USER_INFO.sub("", text)
    return replace_phones(replace_emails(text, _nothing), _nothing)


def _is_plain(text: str) -> bool:
    return len(text) <= _SHORT and text.isascii() and SUSPECT.search(text) is None


_SHORT = 100
"""Characters of a text that is looked through for them all at once: most that are longer have one by chance."""


def mask_text(text: str) -> str:
    """`user@example.com` → `u***@example.com`, also where it is encoded; a number's last two digits are left."""
    if "@" in text:
        text = USER_INFO.sub("***@", text)
    return replace_phones(replace_emails(text, _masked_email), _masked_phone)


def hint(text: str) -> str:
    """As much of a value as whoever sent it needs to know it again."""
    return f"{text[:1]}***" if text else ""


def replace_emails(text: str, by: Replace) -> str:
    """Also where there is but an `@` between two characters; what it stands in is replaced from mark to mark."""
    if has_sign(text):
        text = PIECE.sub(lambda piece: by(piece[0], plain(piece[0])) if AT.search(piece[0]) else piece[0], text)
    if len(text) >= _SHORTEST:
        for start, end, address in reversed(_encoded(text)):
            text = text[:start] + by(text[start:end], address) + text[end:]
    return text


def replace_phones(text: str, by: Replace) -> str:
    if len(text) >= _FEWEST:
        for start, end in reversed(_numbers(text)):
            text = text[:start] + by(text[start:end], _digits(text[start:end])) + text[end:]
    return text


def plain(piece: str) -> str:
    """A text with every layer of encoding taken off."""
    for _ in range(5):
        before = piece
        if "%" in piece:
            piece = unquote(_U_CODE.sub(lambda code: chr(int(code[1], 16)), piece))
        if "\\" in piece:
            piece = _ESCAPE.sub("@", piece)
        if "&" in piece:
            piece = unescape(piece)
        if piece == before:
            break
    return piece.replace("\uff20", "@").replace("\ufe6b", "@")


_U_CODE = re.compile(r"%u([0-9a-f]{4})", re.I)
_ESCAPE = re.compile(r"\\(?:u00|x)40")


def has_sign(text: str) -> bool:
    """Every form of an `@` has one of these in it."""
    if "@" in text:
        return True
    if text.isascii() and "%" not in text and "&" not in text and "\\" not in text:
        return False
    return SIGN_LIKE.search(text) is not None


def _encoded(text: str) -> list[tuple[int, int, str]]:
    """Addresses in base64 and in hexadecimal digits: where, and what."""
    found: list[tuple[int, int, str]] = []
    if not text.islower() and BASE64_ADDRESS.search(_MARK_OF_BASE64.sub("/", text) if "%2" in text else text):
        for token in (BASE64_IN_URL if "%" in text else BASE64).finditer(text):
            if (part := _from_base64(token[0])) is not None:
                start, end = token.start() + part[0], token.start() + part[1]
                found.append((start, end + _padding(text, end), part[2]))
    if "40" in text and ("2e" in text or "2E" in text):
        for token in HEX.finditer(text):
            if (address := _address(binascii.unhexlify(token[0]))) is not None:
                found.append((token.start(), token.end(), address))
    return found


def _padding(text: str, at: int) -> int:
    found = _PADDING.match(text, at)
    return 0 if found is None else len(found[0])


_PADDING = re.compile(rf"(?:=|{_PCT}3D){{0,2}}", re.I)


def _from_base64(word: str) -> tuple[int, int, str] | None:
    """Where in a word there is an address, and which. A slash is first taken for one of a path, as it is in none of
    ASCII, then for one of base64."""
    ends = [at for at, mark in enumerate(word) if mark == "/"] + [len(word)]
    parts = [*zip([0, *(end + 1 for end in ends)], ends, strict=False)]
    parts += [(start, len(word)) for start, end in parts[:_MOST_PARTS] if end < len(word)]
    for start, end in parts:
        if end - start >= _SHORTEST and (address := _decoded(word[start:end])) is not None:
            return start, end, address
    return None


_MOST_PARTS = 8
_SHORTEST = 10
"""Characters of base64 that an address has at least."""


def _decoded(part: str) -> str | None:
    """It may begin with something else: where the groups of four characters begin, the sign says."""
    standard = (plain(part) if "%" in part else part).replace("-", "+").replace("_", "/")
    for skipped in {(sign.start() + 1 - (sign.lastindex or 0)) % 4 for sign in BASE64_SIGNS.finditer(standard)}:
        rest = standard[skipped:]
        address = _address(b64decode(rest[: len(rest) - (len(rest) % 4 == 1)] + "=="))
        if address is not None:
            return address
    return None


def _address(data: bytes) -> str | None:
    """The address in some bytes. Behind it may be others that are no text: more of a path, read as base64 too."""
    found = DECODED.search(data) if b"@" in data else None
    try:
        return None if found is None else found[0].decode()
    except UnicodeDecodeError as error:
        text = bytes(error.object[: error.start]).decode()
        return text if WHOLE.fullmatch(text) else None


def _nothing(written: str, meant: str) -> str:
    return ""


def _masked_email(written: str, meant: str) -> str:
    signs = [*SIGN.finditer(written)]
    if not signs:
        return "***"
    sign = signs[-1]
    local, domain = written[: sign.start()], written[sign.end() :]
    if not _DOMAIN.search(domain):
        return written
    return ("" if local[:1] in ("", "%", "&", "\\") else local[0]) + "***" + sign[0] + domain


_DOMAIN = re.compile(rf"[^.](?:\.|{_PCT}2E)[^.]", re.I)


def _masked_phone(written: str, meant: str) -> str:
    return "***" + meant[-2:]


# Numbers

_START = r"(?:(?<!\w)|(?<=%[0-9a-f][0-9a-f]))"
_APART = rf"(?:[ \u00a0\u2009\u202f.\-\u2010-\u2015+]|{_PCT}(?:2[0BDE]|C2{_PCT}A0))"
_OPEN, _CLOSE, _SLASH = (rf"(?:{mark}|{_PCT}{code})" for mark, code in ((r"\(", 28), (r"\)", 29), ("/", "2F")))
_ANY = rf"(?:{_APART}|{_OPEN}|{_CLOSE}|{_SLASH}){{0,3}}"
_COUNTRY = (
    r"(?:7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|(?:2[1-689]|3[578]|42|5[09]|6[789]|8[0578]|9[679])\d)"
)
_END, _ALONE = r"(?!\w)", r"(?!\w|[.:\-]\w)"
_NAMES = "telephone|telefon|tel|phone|mobile|mobil|msisdn|handy|cell|fax|whatsapp|sms|callto"
_NAME = rf"(?:(?<![a-z])(?:{_NAMES})|(?-i:Phone|Mobile|Tel(?![a-z])))(?:[_\-]?(?:number|num|nummer|no|nr))?\]?"
RUN = re.compile(r"\d[\d \u00a0\u2009\u202f.()/+%\-\u2010-\u2015ABCDEFabcdef]{5,}")
"""Digits with what may stand between those of a number. No number is shorter."""
RUN_ASCII = re.compile("[0-9][0-9 .()/+%\\-ABCDEFabcdef]{5,}")
"""The same for a text in ASCII, which most are: found in half the time."""
HINTS = (
    re.compile(r"[+(\uff0b%](?:(?<!%)|(?:25)*2[8B])[\d(% ]", re.I),
    re.compile(r"0(?:(?<![\w.\-]0)|(?<=%[0-9a-f][0-9a-f]0))\d", re.I),
    re.compile(r"[2-9]\d\d\D{1,9}[2-9]\d\d\D{1,9}\d{4}"),
)
"""Where there is none of these, digits are no number."""
NUMBER = re.compile(
    rf"{_START}(?:(?P<international>(?:[+\uff0b]|{_PCT}2B)(?:{_APART}|{_OPEN}){{0,2}}"
    rf"(?:1(?:{_ANY}\d){{10}}|[2-9](?:{_ANY}\d){{7,14}})){_END}"
    rf"|(?P<bracketed>{_OPEN}(?:0\d{{1,5}}|[2-9]\d\d){_CLOSE}{_APART}{{0,3}}"
    rf"\d{{2,}}(?:(?:{_APART}|{_SLASH}){{1,3}}\d{{2,}}){{0,4}}){_END}"
    rf"|(?<![.\-])(?:(?P<dialled>00{_APART}?(?:1(?:{_ANY}\d){{10}}|{_COUNTRY}(?:{_ANY}\d){{6,11}}))"
    rf"|(?P<american>(?:1{_APART})?[2-9]\d\d(?P<a>{_APART})[2-9]\d\d(?P=a)\d{{4}})"
    rf"|(?P<pairs>0[1-9](?P<b>{_APART})\d\d(?:(?P=b)\d\d){{3}})"
    rf"|(?P<national>0[1-9]\d{{0,4}}(?:(?!\.){_APART}|{_SLASH}){{1,3}}"
    rf"\d{{3,}}(?:{_APART}{{1,2}}\d{{2,}}){{0,4}})){_ALONE})",
    re.I,
)
NAMED = re.compile(
    rf"(?:{_NAME}[\"']?(?:[:=.]{{1,2}}|{_PCT}3[AD])(?:\s|[\"']|{_PCT}2[02])*)(?:[+(]|{_PCT}2[8B]){{0,2}}$", re.I
)
DIGITS = re.compile(rf"\d(?:{_ANY}\d){{5,14}}{_END}", re.I)
OF_A_THING = re.compile(
    rf"(?:id|order|invoice|sku|gtin|ean|isbn|item|article|prod|/p)[\w\-]*(?:[=/:]|{_PCT}3[AD]|{_PCT}2F)$", re.I
)
"""What stands before the number of an order or a product."""
_BEFORE_NAMED = "=:. \"'+(D8B0A2dba"
"""What NAMED can end with."""
_NAME_HINT = re.compile("tel|pho|mob|msi|han|cel|fax|wha|sms|cal", re.I)
_FEWEST = 6
"""Characters of a number."""
_EIGHT = re.compile(r"(?:\d\D*){8}")
_YEAR = re.compile(r"0\d\D+(?:19|20)\d\d(?!\d)")


def _numbers(text: str) -> list[tuple[int, int]]:
    """Where there are numbers. Only what is written around a run of digits is looked at: texts are long, and full of
    other digits."""
    numbers: list[tuple[int, int]] = []
    if not text.isascii():
        text = "".join([str(decimal(mark)) if mark.isdecimal() else mark for mark in text])
    for run in (RUN_ASCII if text.isascii() else RUN).finditer(text):
        start, end = run.span()
        if start and _is_named(text, start) and (named := DIGITS.match(text, start)):
            numbers.append(named.span())
            continue
        since = max(0, start - 8)
        if _hinted(text, since, end) and _EIGHT.match(run[0]):
            for found in NUMBER.finditer(text, since, end + 2):
                if _is_number(str(found.lastgroup), found[0], text[max(0, found.start() - 24) : found.start()]):
                    numbers.append(found.span())
    return numbers


def _hinted(text: str, start: int, end: int) -> bool:
    first, second, third = HINTS
    return bool(first.search(text, start, end) or second.search(text, start, end) or third.search(text, start, end))


def _is_named(text: str, at: int) -> bool:
    """Whether what stands before says that a number follows."""
    if text[at - 1] in _BEFORE_NAMED:
        before = text[max(0, at - 32) : at]
        if _NAME_HINT.search(before):
            return NAMED.search(before) is not None
    return text.endswith("wa.me/", 0, at)


def _is_number(kind: str, written: str, before: str) -> bool:
    digits = _digits(written)
    if kind == "bracketed":
        return 8 <= len(digits) <= 13
    if kind == "national":
        if not 9 <= len(digits) <= 12 or _YEAR.match(plain(written)):
            return False
        return not OF_A_THING.search(before) and not (before.endswith("/") and "/" in written)
    if kind == "dialled":
        return not OF_A_THING.search(before) and not (written.isdigit() and _is_gtin(digits))
    return True


def _digits(written: str) -> str:
    return "".join(mark for mark in plain(written) if mark.isdecimal())


def _is_gtin(digits: str) -> bool:
    """The number of an article, filled up with zeros in front. None in use begins with 2 to 5 after two of them."""
    if digits[2] in "2345" or not 12 <= len(digits) <= 14:
        return False
    return sum(int(digit) * (3 if n % 2 else 1) for n, digit in enumerate(reversed(digits))) % 10 == 0
