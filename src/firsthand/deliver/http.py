"""One HTTP exchange: a request out, an answer or the cause of its absence back.

The only module that knows the HTTP client, libcurl. It works within the event loop's own thread: where a client has
threads of its own, each answer waits for the interpreter's lock, and an event costs half as much again.

Redirects are not followed here and the environment's proxies are not used: where a request goes is decided by
`firsthand.deliver.redirects`.
"""

import ssl
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Protocol

import pycurl

from firsthand.ledger.records import Cause, Failure
from firsthand.personal import mask_text
from firsthand.vendors.base import Answer

ANSWER_BYTES = 64 << 10
"""How much of an answer is read. No vendor's answer is larger; what is larger is no vendor's answer."""

AGAIN = (pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_FAIL_REWIND)
"""libcurl wanted to send a request a second time, and was kept from it: see `_Handle._begin`."""
CAUSES: dict[int, Cause] = {
    pycurl.E_URL_MALFORMAT: "other",
    pycurl.E_COULDNT_RESOLVE_HOST: "dns",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CACERT_BADFILE: "tls",
    pycurl.E_UNSUPPORTED_PROTOCOL: "protocol",  # an answer that is no HTTP
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "protocol",
    pycurl.E_HTTP2: "protocol",
    pycurl.E_GOT_NOTHING: "cut",
    pycurl.E_PARTIAL_FILE: "cut",
    pycurl.E_SEND_ERROR: "cut",
    pycurl.E_RECV_ERROR: "cut",
    **dict.fromkeys(AGAIN, "cut"),
}


class Transport(Protocol):
    """What a lane sends through."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure: ...

    async def close(self) -> None: ...


class _Handle:
    """One of libcurl's handles, used for one exchange after the other."""

    def __init__(self, timeout: float, agent: str) -> None:
        self.easy = easy = pycurl.Curl()
        paths = ssl.get_default_verify_paths()  # the machine's, as Python finds them
        options: dict[int, Any] = {
            pycurl.NOSIGNAL: 1,
            pycurl.PROXY: "",
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.TIMEOUT_MS: max(1, round(timeout * 1000)),
            pycurl.CONNECTTIMEOUT_MS: max(1, round(timeout * 500)),
            pycurl.USERAGENT: agent,
            pycurl.READFUNCTION: self._give,
            pycurl.HEADERFUNCTION: self._take_header,
            pycurl.WRITEFUNCTION: self._take,
            pycurl.PREREQFUNCTION: self._begin,
        }
        options |= {pycurl.CAINFO: paths.cafile} if paths.cafile else {}
        options |= {pycurl.CAPATH: paths.capath} if paths.capath else {}
        for option, value in options.items():
            easy.setopt(option, value)

    def prepare(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Raises ValueError or pycurl.error for what is no request."""
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a header of two lines")
        easy = self.easy
        easy.setopt(pycurl.URL, url)
        easy.setopt(pycurl.HTTPHEADER, [*lines, "Expect:"])
        if body is None:
            easy.setopt(pycurl.HTTPGET, 1)
        else:
            easy.setopt(pycurl.POST, 1)
            easy.setopt(pycurl.POSTFIELDSIZE, len(body))
        easy.setopt(pycurl.CUSTOMREQUEST, method)
        self._give_from = BytesIO(body or b"")
        self._begun = False
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def _begin(self, *_connection: object) -> Any:
        """libcurl would send a request a second time, unasked, when a connection it used before turns out to be
        closed: a vendor that did read it would count it twice, and nobody would know."""
        if self._begun:
            return pycurl.PREREQFUNC_ABORT
        self._begun = True
        return pycurl.PREREQFUNC_OK

    def _give(self, size: int) -> bytes:
        return self._give_from.read(size)

    def _take_header(self, line: bytes) -> None:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            self._headers[name.lower()] = value.strip()
        elif name.startswith("HTTP/"):  # what went before was no final answer
            self._headers = {}

    def _take(self, part: bytes) -> int | None:
        self._parts.append(part)
        self._size += len(part)
        return None if self._size < ANSWER_BYTES else -1

    def result(self, code: int, message: str) -> Answer | Failure:
        if code == pycurl.E_OK or (code == pycurl.E_WRITE_ERROR and self._size >= ANSWER_BYTES):
            body = b"".join(self._parts)[:ANSWER_BYTES]
            return Answer(self.easy.getinfo(pycurl.RESPONSE_CODE), self._headers, body)
        sent = self.easy.getinfo(pycurl.REQUEST_SIZE) > 0
        cause = CAUSES.get(code, "other")
        if cause == "timeout" and not sent:
            cause = "timeout_connect"
        if code in AGAIN:
            message = "the connection was closed before an answer came"
        return Failure(cause, sent, mask_text(message))


class HttpTransport:
    """The real one. `timeout` is seconds for a whole exchange; a connection must stand within half of it."""

    def __init__(self, *, timeout: float, connections: int, agent: str = "firsthand") -> None:
        self._timeout = timeout
        self._agent = agent
        self._idle: list[_Handle] = []
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure:
        handle = self._idle.pop() if self._idle else _Handle(self._timeout, self._agent)
        try:
            handle.prepare(method, url, headers, body)
        except (ValueError, pycurl.error) as error:
            self._idle.append(handle)
            return Failure("other", False, f"the request could not be made ({type(error).__name__})")
        try:
            await self._multi.perform(handle.easy)
        except pycurl.error as error:
            result = handle.result(*error.args)
        else:
            result = handle.result(pycurl.E_OK, "")
        self._idle.append(handle)  # not one that was cut off: it is still being taken from libcurl's hands
        return result

    async def close(self) -> None:
        await self._multi.aclose()
        for handle in self._idle:
            handle.easy.close()
        self._idle.clear()
