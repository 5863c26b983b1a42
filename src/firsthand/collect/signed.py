"""Signed requests: a back end proves that it sent these bytes, and when.

    X-Timestamp: 1795342500000                     unix milliseconds
    X-Signature: sha256=<hex of HMAC-SHA256(signing_secret, timestamp + "." + body)>

The body is signed as it is sent, compressed or not. A request sent once more within the five minutes for which its
signature holds is a duplicate of itself: an event that brings no message id gets one made from the signature.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

from firsthand.collect.faults import Fault
from firsthand.collect.parse import Wire
from firsthand.config import Source

SKEW_MS = 300_000
_TIMESTAMP = re.compile(rb"[0-9]{1,15}")


def verify(source: Source, headers: Mapping[bytes, bytes], body: bytes, now_ms: int) -> bytes:
    """The signature of a request that its source has signed; a fault for any other."""
    if source.signing_secret is None:
        raise Fault(
            403, "signing_not_configured", f"source {source.key} has no signing_secret to verify a signature with"
        )
    said, timestamp = headers.get(b"x-signature"), headers.get(b"x-timestamp")
    if not said:
        raise Fault(401, "signature_missing", "sign the request: X-Signature: sha256=<hex of the HMAC-SHA256>")
    if not timestamp:
        raise Fault(401, "timestamp_missing", "say when the request was signed: X-Timestamp, unix milliseconds")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Fault(401, "timestamp_invalid", "X-Timestamp is unix milliseconds, such as 1795342500000")
    off_ms = abs(now_ms - int(timestamp))
    if off_ms > SKEW_MS:
        message = (
            f"X-Timestamp is {off_ms // 1000} s from our clock, {SKEW_MS // 1000} are accepted; it is in milliseconds"
        )
        raise Fault(401, "timestamp_skewed", message)
    digest = hmac.digest(source.signing_secret.encode(), timestamp + b"." + body, hashlib.sha256)
    if not hmac.compare_digest(b"sha256=" + digest.hex().encode(), said.lower()):
        raise Fault(
            401, "signature_invalid", "X-Signature is not that of X-Timestamp, a dot and the body as it was sent"
        )
    return digest


def unsigned(source: Source) -> Fault:
    message = f"source {source.key} takes signed requests only: add X-Signature and X-Timestamp"
    return Fault(401, "signature_required", message)


def name(wire: Wire, signature: bytes, index: int) -> None:
    """Give an event without a message id the one that it has whenever this request is sent."""
    if wire.message_id is None or wire.message_id == "":
        wire.message_id = "signed-" + hashlib.sha256(b"%b.%d" % (signature, index)).hexdigest()[:32]
