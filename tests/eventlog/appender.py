"""Appends events to the log in a folder until it is killed, and prints the message id of each one acknowledged."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from firsthand.eventlog.base import Record, visitor_hash
from firsthand.eventlog.sqlite import SqliteLogWriter

BODY = b'{"type":"track","messageId":"%d","event":"Order Completed","properties":{"note":"%s"}}'


async def main(folder: Path) -> None:
    writer, ids = SqliteLogWriter(folder, max_age=None), count()

    async def client() -> None:
        for number in ids:
            body = BODY % (number, b"x" * 500)
            await writer.append([Record("shop", str(number), visitor_hash("shop", str(number % 9)), 0, body)])
            print(number, flush=True)

    await asyncio.gather(*(client() for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
