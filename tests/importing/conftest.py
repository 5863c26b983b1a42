from collections.abc import Iterator

import pytest
from tests.importing.shop import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector
