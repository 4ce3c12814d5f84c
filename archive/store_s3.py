"""The object store on an S3 server (measured on Ceph RGW), through minio-py."""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error

from archive.store import (
    CHUNK_BYTES,
    ObjectInfo,
    Store,
    valid_key,
    valid_range,
    verified,
)
from config.errors import DiskFull, NotFound, StoreUnavailable
from config.settings import StoreSettings

SHA256_HEADER = "x-amz-meta-sha256"
# One part is held in memory at a time; with S3's limit of 10 000 parts this carries objects of 156 GiB.
PART_BYTES = 16 * 2**20
_ABSENT = frozenset({"NoSuchKey", "NoSuchObject"})
_FULL = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull"})


class S3Store(Store):
    """Objects in one bucket; ``check`` makes the bucket when the server has none of that name.

    Nothing is retried for long: a connection is tried three times within the time-out, a busy server is asked
    three times, and a server that has gone silent is given up after the time-out. The pipeline tries again.
    """

    def __init__(
        self, endpoint: str, bucket: str, settings: StoreSettings, part_bytes: int = PART_BYTES
    ) -> None:
        self._bucket = bucket
        self._place = f"s3://{endpoint}/{bucket}"
        self._part_bytes = part_bytes
        self._client = Minio(
            endpoint,
            access_key=settings.access_key or None,
            secret_key=settings.secret_key.get_secret_value() or None,
            secure=settings.secure,
            region=settings.region,
            http_client=_http(settings.timeout_s),
        )

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        with path.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            size = source.tell()
            source.seek(0)
            return self._put(ObjectInfo(valid_key(key), size, sha256), source)

    def put_bytes(self, key: str, data: bytes) -> ObjectInfo:
        info = ObjectInfo(valid_key(key), len(data), hashlib.sha256(data).hexdigest())
        return self._put(info, io.BytesIO(data))

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        valid_range(start, length)
        with self._translated(valid_key(key)):
            if length == 0:
                self._client.stat_object(self._bucket, key)
                return
            try:
                response = self._client.get_object(self._bucket, key, offset=start, length=length or 0)
            except S3Error as error:
                if error.code == "InvalidRange":
                    return
                raise
            try:
                chunks = response.stream(CHUNK_BYTES)
                whole = start == 0 and length is None
                yield from verified(chunks, key, response.headers.get(SHA256_HEADER) if whole else None)
            finally:
                response.close()
                response.release_conn()

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            with self._translated(valid_key(key)):
                found = self._client.stat_object(self._bucket, key)
        except NotFound:
            return None
        headers = found.metadata or {}
        return ObjectInfo(key, found.size or 0, headers.get(SHA256_HEADER))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = f"{valid_key(prefix)}/" if prefix else ""
        with self._translated(prefix):
            for found in self._client.list_objects(self._bucket, folder, recursive=True):
                yield ObjectInfo(found.object_name or "", found.size or 0)

    def delete(self, key: str) -> None:
        self._delete_versions(valid_key(key), only=key)

    def delete_prefix(self, prefix: str) -> int:
        return self._delete_versions(f"{valid_key(prefix)}/")

    def check(self) -> None:
        key = f"check-{secrets.token_hex(4)}"
        with self._translated(key):
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)
        self.put_bytes(key, b"yian")
        self.get_bytes(key)
        self.delete(key)

    def _put(self, info: ObjectInfo, source: BinaryIO) -> ObjectInfo:
        with self._translated(info.key):
            self._client.put_object(
                self._bucket,
                info.key,
                source,
                info.size,
                metadata={SHA256_HEADER: info.sha256 or ""},
                part_size=self._part_bytes,
                num_parallel_uploads=1,
            )
        return info

    def _delete_versions(self, start: str, only: str | None = None) -> int:
        """Remove every version of the objects whose key begins with ``start``, or of the one key ``only``.

        A plain delete in a versioned bucket only hides the bytes; a withdrawn consent means they must go.
        """
        with self._translated(start):
            found = self._client.list_objects(self._bucket, start, recursive=True, include_version=True)
            doomed = [
                DeleteObject(item.object_name or "", item.version_id)
                for item in found
                if only is None or item.object_name == only
            ]
            for failure in self._client.remove_objects(self._bucket, doomed):
                raise StoreUnavailable(store=self._place, detail=f"cannot delete: {failure.code}")
        return len({item.name for item in doomed})

    @contextlib.contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code in _ABSENT:
                raise NotFound(what="object", id=key) from error
            if error.code in _FULL:
                raise DiskFull(path=self._place, needed_mb=1, free_mb=0) from error
            raise StoreUnavailable(store=self._place, detail=error.code or "S3Error") from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            reason = getattr(error, "reason", None) or error
            raise StoreUnavailable(store=self._place, detail=type(reason).__name__) from error


def _http(timeout_s: float) -> urllib3.PoolManager:
    """Connections that fail in bounded time; certificates are checked against the system's."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=timeout_s / 3, read=timeout_s),
        retries=urllib3.Retry(
            connect=2,
            read=0,
            status=2,
            redirect=0,
            other=0,
            total=None,
            backoff_factor=0.05,
            status_forcelist=[500, 502, 503, 504],
            allowed_methods=None,
            raise_on_status=False,
        ),
        cert_reqs="CERT_REQUIRED",
    )
