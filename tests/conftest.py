"""What all tests share: vendors to send to, and the logs of a test's processes where it fails."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from tests.gateway import Emulator

hypothesis.settings.register_profile("firsthand", deadline=None)  # machines differ: no test depends on speed
hypothesis.settings.load_profile("firsthand")
# Under nohup or in a shell's background these are ignored, and whatever a test starts would ignore them too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and isinstance(directory, Path):
        for log in sorted(directory.glob("*.log")):
            report.sections.append((f"the end of {log}", log.read_text(errors="replace")[-4000:]))


@pytest.fixture(scope="session")
def _vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Emulator]]:
    """Started once for all tests: that takes longer than most of them."""
    directory = tmp_path_factory.mktemp("vendors")
    with Emulator(directory, "vendor") as vendor, Emulator(directory, "other") as other:
        yield vendor, other


@pytest.fixture
def vendor(_vendors: tuple[Emulator, Emulator]) -> Emulator:
    """The vendors' emulators, which have received nothing yet and have no faults."""
    _vendors[0].forget()
    return _vendors[0]


@pytest.fixture
def other(_vendors: tuple[Emulator, Emulator]) -> Emulator:
    """The same once more, for a second integration."""
    _vendors[1].forget()
    return _vendors[1]
