"""A state with a clock that stands still, and a vendor small enough to read at a glance."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from firsthand.config import Config, parse
from firsthand.state.store import State
from firsthand.vendors.base import AnyVendor, Vendor


class PostcardSettings(msgspec.Struct, frozen=True):
    account: str
    paper: str = "plain"


def postcard(**changes: object) -> AnyVendor:
    declaration = {
        "key": "postcard",
        "name": "Postcard",
        "category": "Post",
        "documentation": "none",
        "version": "1",
        "settings": PostcardSettings,
        "events": {"Order Completed": "thanks"},
        "build": lambda setup, inputs: [],
        "judge": lambda setup, request, answer: None,
        "endpoints": lambda settings, emulator: {"cards": "https://postcard.example/cards"},
    }
    return Vendor(**(declaration | changes))  # type: ignore[arg-type]


VENDORS = {"postcard": postcard(), "telegram": postcard(key="telegram", name="Telegram")}

FILE = """
sources:
  - {key: web-shop, write_key: key-one}
  - {key: app, write_key: key-two}
integrations:
  - {key: cards, vendor: postcard, settings: {account: "1"}}
  - {key: notes, vendor: telegram, settings: {account: "2"}, enabled: false}
"""


@pytest.fixture
def config() -> Callable[..., Config]:
    """The configuration above, with words replaced: `config(account="other")`."""

    def make(*replacements: tuple[str, str]) -> Config:
        text = FILE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        return parse(text, {}, VENDORS)

    return make


@pytest.fixture
def open_state(tmp_path: Path) -> Callable[..., State]:
    """Opens the state in one folder, at 2026-11-22 12:00 UTC; again and with other vendors where a test likes."""

    def make(migrate: bool = True, **vendors: AnyVendor) -> State:
        return State.open(tmp_path / "data", migrate, VENDORS | vendors, now=lambda: 1_795_348_800.0)

    return make


@pytest.fixture
def state(open_state: Callable[..., State]) -> State:
    return open_state()
