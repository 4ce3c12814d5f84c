"""Structured logs: one JSON line per event, in UTC, with secrets and personal data kept out by name."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Whatever carries one of these names never reaches a log, however it got into an event.
PRIVATE = frozenset(
    {"password", "token", "secret", "secret_key", "access_key", "authorization", "cookie", "signature",
     "patient", "patient_name", "signer", "template"}
)  # fmt: skip


def _hide_private(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in PRIVATE.intersection(event):
        event[name] = "[hidden]"
    return event


def configure_logging(level: str = "INFO") -> None:
    """Send every log event to standard error as JSON; call once per process."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide_private,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
