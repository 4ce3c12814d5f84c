from __future__ import annotations

import json

import pytest
import structlog

from config.log import PRIVATE, configure_logging


def test_what_is_private_by_name_never_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger().info("login", user="u1", **{name: "S3CRET" for name in PRIVATE})
    line = capsys.readouterr().err
    assert "S3CRET" not in line
    told = json.loads(line)
    assert told["user"] == "u1" and told["timestamp"].endswith("Z")
