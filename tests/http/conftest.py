"""Each test here is played on both event loops: uvloop, which serves, and Python's own, which imports and checks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from tests.http.vendor import Vendor

from firsthand.http import HttpTransport


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.close()
    await asyncio.sleep(0)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(timeout=0.5, connections=4)
    yield transport
    await transport.close()
