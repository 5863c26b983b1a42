"""Every test here plays in a world of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.deliver.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world
