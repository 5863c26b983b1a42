"""What commands share: where the data is, how they print for programs, and how they fail."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from firsthand.settings import Settings

FAILED = 1


def fail(message: str) -> NoReturn:
    print(f"firsthand: {message}", file=sys.stderr)
    raise SystemExit(FAILED)


def settings_with(data: Path | None) -> "Settings":
    import msgspec

    from firsthand.settings import Settings

    settings = Settings.from_env()
    return msgspec.structs.replace(settings, data=data) if data else settings


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
