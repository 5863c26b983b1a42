"""`/firsthand.js`: the script for pages, read once and kept as it goes out: without indentation and comments, plain and
compressed."""

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path

from firsthand.collect.faults import Fault
from firsthand.collect.request import Answer, Headers

PATH = "/firsthand.js"
FILE = Path(__file__).parent / "assets" / "firsthand.js"
HEADERS = [
    (b"content-type", b"text/javascript; charset=utf-8"),
    (b"cache-control", b"public, max-age=3600"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),  # for `crossorigin` and `integrity`; it holds nobody's data
    (b"vary", b"Accept-Encoding"),
]


def served() -> bytes:
    """What pages get. A line of the file that begins with `//` is a comment, and no text in it goes over two lines."""
    return re.sub(rb"(?m)^\s+(//.*\n\s*)*", b"", FILE.read_bytes())


@cache
def _forms() -> dict[bytes, tuple[bytes, bytes]]:
    """Body and ETag by content encoding."""
    body = served()
    tag = hashlib.sha256(body).hexdigest()[:32].encode()
    return {b"": (body, b'"%b"' % tag), b"gzip": (gzip.compress(body, 9, mtime=0), b'"%b-gzip"' % tag)}


def answer(method: str, headers: Headers) -> Answer:
    if method not in ("GET", "HEAD"):
        raise Fault(405, "method_not_allowed", f"{PATH} takes GET", allow="GET, HEAD")
    encoding = b"gzip" if _takes_gzip(headers.get(b"accept-encoding", b"")) else b""
    body, tag = _forms()[encoding]
    said = [*HEADERS, (b"etag", tag)]
    known = {part.strip().removeprefix(b"W/") for part in headers.get(b"if-none-match", b"").split(b",")}
    if tag in known or b"*" in known:
        return 304, b"", said
    return 200, body, [*said, (b"content-encoding", encoding)] if encoding else said


def _takes_gzip(accepted: bytes) -> bool:
    for part in accepted.lower().split(b","):
        name, _, quality = part.partition(b";")
        if name.strip() in (b"gzip", b"*"):
            return quality.strip().rstrip(b"0.") not in (b"q=", b"q")
    return False
