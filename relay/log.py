"""Structured logs: one JSON object a line on stderr, or short lines for a person at a terminal. Secrets never get here."""

import logging
import sys

import structlog


def configure(*, is_json: bool, level: int = logging.INFO) -> None:
    """Set up logging for a process; called once, by a ``cli``."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
