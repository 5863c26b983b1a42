"""Our own log lines: to standard error, one event a line. Never personal data, never a secret, never a body."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

from firsthand.personal import mask_text


def _masked(logger: Any, method: str, line: EventDict) -> EventDict:
    """What an error of somebody else's says may name a person."""
    return {name: mask_text(value) if isinstance(value, str) else value for name, value in line.items()}


def set_up() -> None:
    """For people at a terminal, JSON for machines elsewhere."""
    people = sys.stderr.isatty()
    # Plain: a traceback with the values in it would show events.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = console if people else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _masked,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Standard error as it is when a line is written, not as it was here.
        logger_factory=lambda *args: structlog.PrintLogger(sys.stderr),
    )
