"""The same installation, people and web as in ``tests/api``."""

from __future__ import annotations

from tests.api.conftest import core, installed, media, people, web

__all__ = ["core", "installed", "media", "people", "web"]
