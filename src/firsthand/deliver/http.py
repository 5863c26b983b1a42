"""One HTTP exchange: a request out, an answer or the cause of its absence back.

The only module that knows the HTTP client. Redirects are not followed here and the environment's proxies are not
used: where a request goes is decided by `firsthand.deliver.redirects`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, PyreqwestError, RequestError

from firsthand.ledger.records import Cause, Failure
from firsthand.vendors.base import Answer

ANSWER_BYTES = 64 << 10
"""How much of an answer is read. No vendor's answer is larger; what is larger is no vendor's answer."""


class Transport(Protocol):
    """What a lane sends through."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure: ...

    async def close(self) -> None: ...


class HttpTransport:
    """The real one. `timeout` is seconds for a whole exchange; a connection must stand within half of it."""

    def __init__(self, *, timeout: float, connections: int) -> None:
        self._client: Client = (
            ClientBuilder()
            .follow_redirects(False)
            .no_proxy()
            .timeout(timedelta(seconds=timeout))
            .connect_timeout(timedelta(seconds=timeout / 2))
            .max_connections(connections)
            .user_agent("firsthand")
            .build()
        )

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure:
        try:
            request = self._client.request(method, url).headers(headers)
            if body is not None:
                request = request.body_bytes(body)
            async with request.build_streamed() as response:
                found = dict(response.headers.items())
                length = int(found.get("content-length", "-1"))
                parts, size = [], 0
                while size != length and size < ANSWER_BYTES:
                    part = await response.body_reader.read(ANSWER_BYTES - size)
                    if part is None:
                        break
                    parts.append(bytes(part))
                    size += len(parts[-1])
                return Answer(response.status, found, b"".join(parts))
        except RequestError as error:
            return explain(error)
        except (PyreqwestError, ValueError) as error:
            return Failure("other", False, f"the request could not be made ({type(error).__name__})")

    async def close(self) -> None:
        await self._client.close()


def explain(error: RequestError) -> Failure:
    """The cause of a failed exchange, and whether the vendor may have seen the request.

    Only a failure while connecting ("client error (Connect)" among the causes) is known to have sent nothing. The
    client calls other failures connect errors too, such as a connection cut before the answer.
    """
    causes = [str(cause["message"]) for cause in error.details.get("causes") or []]
    text = "; ".join(causes[1:]) or error.message
    if "client error (Connect)" in causes:
        return Failure(_connect_cause(causes), False, text)
    if "timed out" in text:
        return Failure("timeout", True, text)
    if "closed before" in text or "end of file" in text or "reset" in text:
        return Failure("cut", True, text)
    if isinstance(error, DecodeError):
        return Failure("protocol", True, text)
    return Failure("other", True, text)


def _connect_cause(causes: list[str]) -> Cause:
    text = " ".join(causes).lower()
    if "dns" in text:
        return "dns"
    if "timed out" in text:
        return "timeout_connect"
    if "tls" in text or "certificate" in text:
        return "tls"
    return "connect"
