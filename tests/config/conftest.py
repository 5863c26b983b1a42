"""A vendor small enough to read at a glance, and a way to see the faults of a text."""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import pytest

from firsthand.config import ConfigError, Duration, Fault, Secret, parse
from firsthand.vendors.base import AnyVendor, Built, Vendor


class PostcardSettings(msgspec.Struct, frozen=True):
    account: Annotated[str, msgspec.Meta(pattern="^[0-9]+$", description="Your account number.")]
    api_key: Secret = ""
    paper: Literal["plain", "glossy"] = "plain"
    max_age_online: float | None = None
    pause: Duration = 0.0
    stamps: int = 1


POSTCARD: AnyVendor = Vendor(
    key="postcard",
    name="Postcard",
    category="Post",
    documentation="none",
    version="1",
    settings=PostcardSettings,
    events={"Order Completed": "thanks", "Product Viewed": None},
    build=lambda setup, inputs: Built([]),
    judge=lambda setup, request, answer: None,
    # Like a vendor that gives each customer an address of his own: only the emulator has one for `returns`.
    endpoints=lambda settings, emulator: (
        {"cards": "https://postcard.example/cards"}
        if emulator is None
        else {"cards": f"{emulator}/postcard/cards", "returns": f"{emulator}/postcard/returns"}
    ),
)

VENDORS = {"postcard": POSTCARD}

Faults = Callable[..., dict[str, Fault]]


@pytest.fixture
def vendors() -> dict[str, AnyVendor]:
    return VENDORS


@pytest.fixture
def faults() -> Faults:
    """The faults of a text, by path."""

    def read(text: str, **env: str) -> dict[str, Fault]:
        with pytest.raises(ConfigError) as caught:
            parse(text, env, VENDORS)
        found = {fault.path: fault for fault in caught.value.faults}
        assert len(found) == len(caught.value.faults), "two faults for one path"
        return found

    return read
