"""Our own log lines: to standard error, one event a line. Never personal data, never a secret, never a body."""

import logging
import sys

import structlog


def set_up() -> None:
    """For people at a terminal, JSON for machines elsewhere."""
    people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if people else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Standard error as it is when a line is written, not as it was here.
        logger_factory=lambda *args: structlog.PrintLogger(sys.stderr),
    )
