"""HTTP out: one request, and its answer or the cause of its absence.

It stands straight on the event loop's protocols, with httptools as parser. A request goes out once, or not at all:
nothing is sent again unasked. Redirects are not followed here and the environment's proxies are not used: where a
request goes is decided by `firsthand.deliver.redirects`.
"""

from firsthand.http.connection import ANSWER_BYTES
from firsthand.http.transport import HttpTransport, Transport

__all__ = ["ANSWER_BYTES", "HttpTransport", "Transport"]
