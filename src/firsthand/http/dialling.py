"""From a host's name to a connection that stands, or the cause why there is none. Nothing was sent then."""

import asyncio
import socket
import ssl
import threading
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from firsthand.http.connection import Connection
from firsthand.http.request import Origin
from firsthand.ledger.records import Failure

NEXT_AFTER = 0.25
"""Seconds that an address has before the next one is tried beside it: RFC 8305, 5."""

Address = tuple[socket.AddressFamily, Any]
"""Family, and what a socket of it connects to."""

_reading = threading.Lock()


async def dial(origin: Origin, seconds: float) -> Connection | Failure:
    """A connection that stands within so many seconds: encrypted, and with whom it should be, where that is wanted."""
    loop, place, connected = asyncio.get_running_loop(), origin.authority, None
    try:
        async with asyncio.timeout(seconds):
            tls = await asyncio.to_thread(_tls) if origin.secure else None
            connected = await connect_first(await _addresses(origin))
            name = origin.host if tls else None
            _, connection = await loop.create_connection(Connection, sock=connected, ssl=tls, server_hostname=name)
            return connection
    except TimeoutError:
        return Failure("timeout_connect", False, f"no connection to {place} within {seconds:g} seconds")
    except socket.gaierror as error:
        return Failure("dns", False, f"the name {origin.host} cannot be resolved: {error.strerror}")
    except ssl.SSLCertVerificationError as error:
        return Failure("tls", False, f"the certificate of {place} is not accepted: {error.verify_message}")
    except OSError as error:
        if connected is not None and origin.secure:
            return Failure("tls", False, f"no encryption with {place}: {_reason(error)}")
        return Failure("connect", False, f"no connection to {place}: {_reason(error)}")


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or str(error) or "closed by the other side").lower().replace("_", " ")


async def _addresses(origin: Origin) -> list[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return in_turn([(socket.AddressFamily(family), address) for family, _, _, _, address in found])


def in_turn(addresses: list[Address]) -> list[Address]:
    """The families by turns, in the machine's order of preference: where IPv6 leads nowhere, IPv4 comes next."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


async def connect_first(addresses: list[Address]) -> socket.socket:
    """The first of them that answers. Raises OSError where none does."""
    left = addresses[::-1]
    trying: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("it has no address")
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_connect(*left.pop())))
            wait = NEXT_AFTER if left else None
            done, _ = await asyncio.wait(trying, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                trying.discard(task)
                if (failed := task.exception()) is None:
                    return task.result()
                error = failed
        raise error
    finally:
        for task in trying:
            task.add_done_callback(_hang_up)
            task.cancel()


async def _connect(family: socket.AddressFamily, address: Any) -> socket.socket:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _hang_up(late: asyncio.Task[socket.socket]) -> None:
    if not late.cancelled() and late.exception() is None:
        late.result().close()


def _tls() -> ssl.SSLContext:
    """Trusts whom the machine trusts, or whom SSL_CERT_FILE and SSL_CERT_DIR name. Reading the store takes long enough
    to be done once, and not in the loop's thread."""
    with _reading:
        return _trusting(ssl.get_default_verify_paths())


@lru_cache(1)
def _trusting(_paths: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
