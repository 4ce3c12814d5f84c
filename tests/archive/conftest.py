"""A real S3 server for the tests of the archive, and the two kinds of store side by side."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from archive.store import Store
from archive.store_files import FileStore
from archive.store_s3 import S3Store
from config.settings import StoreSettings

START_RGW = Path(__file__).parents[2] / "scripts" / "start-rgw"
SMALLEST_PART_BYTES = 5 * 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """Settings of a radosgw started once for the session; its bucket exists."""
    problem = _why_no_radosgw()
    if problem and os.environ.get("CI") == "true":
        pytest.fail(f"the S3 tests must run here, but {problem}")
    if problem:
        pytest.skip(problem)
    folder = tmp_path_factory.mktemp("s3") / "rgw"
    command: list[str | Path] = [START_RGW, "start", folder, str(free_port()), str(free_port())]
    started = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    said = dict(line.split("=", 1) for line in started.stdout.splitlines())
    settings = StoreSettings(
        url=said["YIAN_STORE__URL"],
        access_key=said["YIAN_STORE__ACCESS_KEY"],
        secret_key=SecretStr(said["YIAN_STORE__SECRET_KEY"]),
        secure=False,
        timeout_s=10.0,
    )
    try:
        s3_store(settings).check()
        yield settings
    finally:
        subprocess.run([START_RGW, "stop", folder], check=True, timeout=60)


def s3_store(settings: StoreSettings) -> S3Store:
    endpoint, _, bucket = settings.url.removeprefix("s3://").partition("/")
    return S3Store(endpoint, bucket, settings, part_bytes=SMALLEST_PART_BYTES)


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store in turn; the S3 one is shared by the session, so tests use keys of their own."""
    if request.param == "s3":
        return s3_store(request.getfixturevalue("s3_settings"))
    return FileStore(tmp_path / "store")


def _why_no_radosgw() -> str | None:
    missing = [name for name in ("ceph-mon", "ceph-osd", "radosgw", "ceph") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (ceph-mon ceph-osd radosgw ceph-common)"
    return None if os.geteuid() == 0 else "Ceph's daemons need root"
