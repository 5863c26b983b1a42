"""A vendor that costs next to nothing: answers every POST at once, so that the benchmark measures the gateway.

    python -m bench.standin PORT [CERTIFICATE KEY]

`GET /count` answers the number of requests since the last `GET /reset`; `GET /latencies` the milliseconds from the
`sent` number in each body to its arrival.
"""

import asyncio
import re
import ssl
import sys
import time
from typing import ClassVar

import uvloop

BODY = b'{"errors":[],"warnings":[]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
SENT = re.compile(rb"sent_(\d+)")


class Counts:
    requests = 0
    latencies: ClassVar[list[float]] = []


class Standin(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"post"):
            Counts.requests += 1
            if found := SENT.search(body):
                Counts.latencies.append(time.time() * 1000 - int(found[1]))
            self.transport.write(ANSWER)
            return
        text = str(Counts.requests)
        if b"/latencies" in head:
            text = ",".join(f"{latency:.1f}" for latency in Counts.latencies)
        elif b"/reset" in head:
            Counts.requests, Counts.latencies = 0, []
        self.transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


async def main(port: int, *certificate: str) -> None:
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Standin, "127.0.0.1", port, ssl=tls)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
