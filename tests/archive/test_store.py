from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from archive.store import ObjectInfo, Store, open_store
from archive.store_files import ABANDONED_S, INCOMING, FileStore
from archive.store_s3 import S3Store
from config.errors import (
    ChecksumMismatch,
    NotFound,
    RequestRejected,
    SettingsInvalid,
    StoreUnavailable,
)
from config.settings import Settings, StoreSettings

HOSTILE_KEYS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", ".incoming/x", "a/.hidden",
    "a\\b", "a b", "a\nb", "a\n", "a\x00b", "医案", "é", "a/%2e%2e/b", "C:a", "~", "a?b", "x" * 513, "x" * 256,
]  # fmt: skip


def damage(store: Store, key: str) -> None:
    """Change one byte behind the store's back, leaving the checksum it keeps as it was."""
    data = bytearray(store.get_bytes(key))
    data[len(data) // 2] ^= 1
    if isinstance(store, FileStore):
        with (store._root / key).open("r+b") as file:
            file.write(data)
    elif isinstance(store, S3Store):
        info = store.stat(key)
        assert info is not None and info.sha256 is not None
        store._client.put_object(
            store._bucket, key, io.BytesIO(data), len(data), metadata={"sha256": info.sha256}
        )


class TestContract:
    """What holds for both kinds of store."""

    def test_bytes_come_back_with_their_size_and_checksum(self, store: Store) -> None:
        info = store.put_bytes("round/trip.bin", b"yian")
        assert info == ObjectInfo("round/trip.bin", 4, hashlib.sha256(b"yian").hexdigest())
        assert store.get_bytes("round/trip.bin") == b"yian"
        assert store.stat("round/trip.bin") == info

    def test_an_empty_object_is_an_object(self, store: Store, tmp_path: Path) -> None:
        store.put_bytes("empty", b"")
        assert store.get_bytes("empty") == b""
        assert store.stat("empty") == ObjectInfo("empty", 0, hashlib.sha256().hexdigest())
        assert store.get_file("empty", tmp_path / "empty").size == 0
        assert (tmp_path / "empty").read_bytes() == b""

    def test_a_large_file_goes_and_comes_whole(self, store: Store, tmp_path: Path) -> None:
        source, target = tmp_path / "large.mp4", tmp_path / "back.mp4"
        source.write_bytes(os.urandom(12 * 2**20 + 7))
        sent = store.put_file("large/clip.mp4", source)
        assert store.get_file("large/clip.mp4", target) == sent == store.stat("large/clip.mp4")
        assert target.read_bytes() == source.read_bytes()

    @pytest.mark.parametrize(
        ("start", "length"),
        [(0, None), (0, 1), (0, 10), (0, 99), (9, 1), (9, None), (9, 5), (10, None), (10, 3), (11, 1), (500, None),
         (3, 0), (0, 0), (2, 5)],
    )  # fmt: skip
    def test_a_range_gives_the_bytes_that_lie_in_it(
        self, store: Store, start: int, length: int | None
    ) -> None:
        data = b"0123456789"
        store.put_bytes("range", data)
        end = None if length is None else start + length
        assert b"".join(store.stream("range", start, length)) == data[start:end]

    @pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
    def test_a_range_before_the_first_byte_is_refused(
        self, store: Store, start: int, length: int | None
    ) -> None:
        store.put_bytes("range", b"0123456789")
        with pytest.raises(RequestRejected):
            list(store.stream("range", start, length))

    @pytest.mark.parametrize("length", [None, 0, 5])
    def test_what_is_absent_is_not_found(self, store: Store, tmp_path: Path, length: int | None) -> None:
        assert store.stat("absent/key") is None
        with pytest.raises(NotFound):
            store.get_bytes("absent/key")
        with pytest.raises(NotFound):
            list(store.stream("absent/key", 0, length))
        with pytest.raises(NotFound):
            store.get_file("absent/key", tmp_path / "target")
        assert list(tmp_path.glob("*target*")) == []

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_a_hostile_key_is_refused_everywhere(self, store: Store, tmp_path: Path, key: str) -> None:
        calls: list[Callable[[], object]] = [
            lambda: store.put_bytes(key, b"x"),
            lambda: store.put_file(key, Path(__file__)),
            lambda: store.get_bytes(key),
            lambda: store.get_file(key, tmp_path / "target"),
            lambda: store.stat(key),
            lambda: store.delete(key),
            lambda: store.delete_prefix(key),
            lambda: list(store.list(key or "/")),
        ]
        for call in calls:
            with pytest.raises(RequestRejected):
                call()

    def test_a_listing_is_in_order_and_stays_in_its_folder(self, store: Store) -> None:
        for key in ("list/C1/b", "list/C1/a/z", "list/C1/a-1", "list/C10/a", "list/C1.txt"):
            store.put_bytes(key, b"123")
        assert [info.key for info in store.list("list/C1")] == ["list/C1/a-1", "list/C1/a/z", "list/C1/b"]
        assert {info.size for info in store.list("list/C1")} == {3}
        assert list(store.list("list/C")) == []
        assert {"list/C10/a", "list/C1.txt"} < {info.key for info in store.list("")}

    def test_a_listing_goes_past_a_thousand_keys(self, store: Store) -> None:
        keys = sorted(f"many/{index:04d}" for index in range(1_003))
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda key: store.put_bytes(key, b""), keys))
        assert [info.key for info in store.list("many")] == keys
        assert store.delete_prefix("many") == len(keys)
        assert list(store.list("many")) == []

    def test_deleting_twice_is_deleting_once(self, store: Store) -> None:
        store.put_bytes("gone/a", b"1")
        store.put_bytes("gone/ab", b"2")
        store.delete("gone/a")
        store.delete("gone/a")
        assert store.stat("gone/a") is None
        assert store.get_bytes("gone/ab") == b"2"
        assert store.delete_prefix("gone") == 1
        assert store.delete_prefix("gone") == 0

    def test_deleting_a_folder_spares_its_neighbours(self, store: Store) -> None:
        for key in ("near/C1/a", "near/C1/b/c", "near/C10/a"):
            store.put_bytes(key, b"x")
        assert store.delete_prefix("near/C1") == 2
        assert [info.key for info in store.list("near")] == ["near/C10/a"]

    def test_readers_of_an_overwritten_object_see_the_old_or_the_new(self, store: Store) -> None:
        versions = [bytes([letter]) * 300_000 for letter in b"ab"]
        store.put_bytes("swap", versions[0])
        stop = threading.Event()

        def overwrite() -> None:
            while not stop.is_set():
                for version in versions:
                    store.put_bytes("swap", version)

        writer = threading.Thread(target=overwrite)
        writer.start()
        try:
            seen = [store.get_bytes("swap") for _ in range(40)]
        finally:
            stop.set()
            writer.join()
        assert all(data in versions for data in seen)

    def test_of_concurrent_writers_one_wins_whole(self, store: Store) -> None:
        versions = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]
        with ThreadPoolExecutor(len(versions)) as pool:
            list(pool.map(lambda data: store.put_bytes("race/one", data), versions * 3))
        assert store.get_bytes("race/one") in versions
        assert [info.key for info in store.list("race")] == ["race/one"]

    def test_bytes_changed_behind_the_stores_back_are_refused(self, store: Store, tmp_path: Path) -> None:
        store.put_bytes("rot/a", b"x" * 1000)
        damage(store, "rot/a")
        with pytest.raises(ChecksumMismatch) as caught:
            store.get_file("rot/a", tmp_path / "target")
        assert caught.value.data["name"] == "rot/a"
        assert list(tmp_path.glob("*target*")) == []
        with pytest.raises(ChecksumMismatch):
            store.get_bytes("rot/a")

    def test_a_checked_store_is_left_as_it_was(self, store: Store) -> None:
        before = list(store.list(""))
        store.check()
        assert list(store.list("")) == before


class TestFolder:
    """What only a folder can get wrong."""

    def test_links_are_never_followed(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_text("secret")
        store = FileStore(tmp_path / "store")
        (tmp_path / "store" / "folder").symlink_to(outside)
        (tmp_path / "store" / "file").symlink_to(outside / "secret")
        for key in ("folder/secret", "file"):
            assert store.stat(key) is None
            with pytest.raises(NotFound):
                store.get_bytes(key)
        assert list(store.list("")) == list(store.list("folder")) == []
        with pytest.raises(RequestRejected):
            store.put_bytes("folder/new", b"x")
        store.delete("folder/secret")
        store.delete_prefix("folder")
        store.put_bytes("file", b"mine")
        assert [path.name for path in outside.iterdir()] == ["secret"]
        assert (outside / "secret").read_text() == "secret"

    def test_a_key_in_the_way_of_another_is_refused(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path)
        store.put_bytes("a/b", b"1")
        for key in ("a", "a/b/c"):
            with pytest.raises(RequestRejected):
                store.put_bytes(key, b"2")
        assert store.stat("a") is None
        assert store.get_bytes("a/b") == b"1"

    def test_an_unplugged_folder_is_unavailable_until_it_is_back(self, tmp_path: Path) -> None:
        root, away = tmp_path / "store", tmp_path / "away"
        store = FileStore(root)
        store.put_bytes("kept", b"1")
        root.rename(away)
        root.mkdir()  # the empty mount point that stays behind
        for call in (
            lambda: store.put_bytes("new", b"2"),
            lambda: store.get_bytes("kept"),
            lambda: store.stat("kept"),
            lambda: list(store.list("")),
            store.check,
        ):
            with pytest.raises(StoreUnavailable):
                call()
        assert list(root.iterdir()) == []
        root.rmdir()
        away.rename(root)
        store.check()
        assert store.get_bytes("kept") == b"1"

    def test_what_a_dead_writer_left_is_swept_and_fresh_work_is_not(self, tmp_path: Path) -> None:
        FileStore(tmp_path)
        old, fresh = tmp_path / INCOMING / "old", tmp_path / INCOMING / "fresh"
        for path in (old, fresh):
            path.write_bytes(b"half")
        long_ago = time.time() - ABANDONED_S - 1
        os.utime(old, (long_ago, long_ago))
        FileStore(tmp_path)
        assert [path.name for path in (tmp_path / INCOMING).iterdir()] == ["fresh"]

    def test_writers_and_deleters_of_one_folder_do_not_trip_over_each_other(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path)

        def work(name: str) -> None:
            for _ in range(60):
                store.put_bytes(f"deep/er/{name}", b"x")
                store.delete(f"deep/er/{name}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, "abcd"))
        assert list(store.list("")) == []
        assert not (tmp_path / "deep").exists()

    def test_a_full_disk_is_named_and_leaves_the_old_object(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from archive.store_files import FileStore\n"
            "from config.errors import DiskFull\n"
            "root = Path(sys.argv[1]); store = FileStore(root); store.put_bytes('a', b'old')\n"
            "try: store.put_bytes('a', b'x' * 3_000_000)\n"
            "except DiskFull as full: print(type(full.data['free_mb']).__name__)\n"
            "assert store.get_bytes('a') == b'old' and not list((root / '.incoming').iterdir())\n"
            "store.put_bytes('b', b'fits'); print('usable')\n"
        )
        assert in_a_tiny_disk(tmp_path, code) == ["int", "usable"]

    def test_a_target_on_a_full_disk_is_named(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path / "store")
        store.put_bytes("big", b"x" * 3_000_000)
        code = (
            "import sys; from pathlib import Path; from archive.store_files import FileStore\n"
            "from config.errors import DiskFull\n"
            f"store = FileStore(Path({str(tmp_path / 'store')!r})); target = Path(sys.argv[1]) / 'target'\n"
            "try: store.get_file('big', target)\n"
            "except DiskFull: print('full')\n"
            "assert not list(target.parent.iterdir())\n"
        )
        assert in_a_tiny_disk(tmp_path, code) == ["full"]


def in_a_tiny_disk(tmp_path: Path, code: str) -> list[str]:
    """Run Python code with the path of a file system of 1 MiB as its argument."""
    mount = tmp_path / "tiny"
    mount.mkdir()
    script = 'mount -t tmpfs -o size=1m tiny "$1" && exec "$2" -c "$3" "$1"'
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*own_mounts, 'mount -t tmpfs tiny "$0"', mount], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this machine lets nobody mount a small file system")
    done = subprocess.run(
        [*own_mounts, script, "sh", mount, sys.executable, code],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


class Plug:
    """A TCP forwarder that can be pulled out, and can swallow everything without an answer."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.silent = False
        self.put_in()

    def put_in(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), reuse_port=True)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def pull(self) -> None:
        assert self._listener is not None
        # A listener that another thread waits on is only woken, and its port freed, by a shutdown.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            _hang_up(end)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._open.append(client)
            if not self.silent:
                server = socket.create_connection(self._target)
                self._open.append(server)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _hang_up(source)
    _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def plug(s3_settings: StoreSettings) -> Iterator[Plug]:
    url = urlsplit(s3_settings.url)
    assert url.hostname and url.port
    made = Plug(url.hostname, url.port)
    yield made
    made.pull()


def plugged(plug: Plug, settings: StoreSettings, timeout_s: float) -> S3Store:
    through = settings.model_copy(update={"timeout_s": timeout_s})
    return S3Store(f"127.0.0.1:{plug.port}", urlsplit(settings.url).path.strip("/"), through)


class TestServer:
    """What only a server can get wrong."""

    def test_an_unplugged_server_is_unavailable_until_it_is_back(
        self, plug: Plug, s3_settings: StoreSettings, tmp_path: Path
    ) -> None:
        store = plugged(plug, s3_settings, timeout_s=3.0)
        store.put_bytes("plug/kept", b"1")
        plug.pull()
        began = time.monotonic()
        for call in (
            lambda: store.put_bytes("plug/new", b"2"),
            lambda: store.put_file("plug/new", Path(__file__)),
            lambda: store.get_bytes("plug/kept"),
            lambda: store.get_file("plug/kept", tmp_path / "target"),
            lambda: store.stat("plug/kept"),
            lambda: list(store.list("plug")),
            lambda: store.delete("plug/kept"),
            store.check,
        ):
            with pytest.raises(StoreUnavailable):
                call()
        assert time.monotonic() - began < 3.0
        plug.put_in(plug.port)
        store.check()
        assert store.get_bytes("plug/kept") == b"1"
        assert store.stat("plug/new") is None

    def test_a_server_that_was_restarted_unseen_is_called_on_a_fresh_connection(
        self, plug: Plug, s3_settings: StoreSettings
    ) -> None:
        store = plugged(plug, s3_settings, timeout_s=3.0)
        store.put_bytes("plug/kept", b"1")
        plug.pull()
        plug.put_in(plug.port)
        assert store.get_bytes("plug/kept") == b"1"

    def test_a_server_that_says_nothing_is_given_up_within_the_time_out(
        self, plug: Plug, s3_settings: StoreSettings
    ) -> None:
        plug.silent = True
        store = plugged(plug, s3_settings, timeout_s=0.6)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.get_bytes("plug/kept")
        assert time.monotonic() - began < 1.5

    def test_a_connection_lost_in_mid_read_never_leaves_half_a_file(
        self, plug: Plug, s3_settings: StoreSettings, tmp_path: Path
    ) -> None:
        store = plugged(plug, s3_settings, timeout_s=3.0)
        store.put_bytes("plug/long", os.urandom(8 * 2**20))
        chunks = store.stream("plug/long")
        next(chunks)
        plug.pull()
        with pytest.raises(StoreUnavailable):
            list(chunks)
        plug.put_in(plug.port)
        assert store.get_file("plug/long", tmp_path / "target").size == 8 * 2**20

    def test_a_wrong_secret_and_a_missing_bucket_are_unavailable_and_tell_no_secret(
        self, s3_settings: StoreSettings
    ) -> None:
        endpoint = urlsplit(s3_settings.url).netloc
        wrong = s3_settings.model_copy(update={"access_key": "wrongaccess", "timeout_s": 3.0})
        for store in (S3Store(endpoint, "yian", wrong), S3Store(endpoint, "no-bucket", s3_settings)):
            with pytest.raises(StoreUnavailable) as caught:
                store.put_bytes("a", b"x")
            assert s3_settings.secret_key.get_secret_value() not in str(caught.value)

    def test_in_a_versioned_bucket_a_deletion_leaves_no_version(self, s3_settings: StoreSettings) -> None:
        from minio.commonconfig import ENABLED
        from minio.versioningconfig import VersioningConfig

        store = S3Store(urlsplit(s3_settings.url).netloc, "versioned", s3_settings)
        store.check()
        store._client.set_bucket_versioning("versioned", VersioningConfig(ENABLED))
        for data in (b"1", b"2"):
            store.put_bytes("vault/C1/identity", data)
            store.put_bytes("vault/C1/identity-2", data)
        store._client.remove_object("versioned", "vault/C1/identity")
        store.delete("vault/C1/identity")
        left = store._client.list_objects("versioned", recursive=True, include_version=True)
        assert {item.object_name for item in left} == {"vault/C1/identity-2"}
        assert store.delete_prefix("vault/C1") == 1
        assert not list(store._client.list_objects("versioned", recursive=True, include_version=True))


class TestOpenStore:
    def test_an_empty_url_means_a_folder_under_home(self, tmp_path: Path) -> None:
        store = open_store(Settings(home=tmp_path / "家 home"))
        store.put_bytes("a", b"1")
        assert (tmp_path / "家 home" / "store" / "a").read_bytes() == b"1"

    def test_an_s3_url_means_s3(self, s3_settings: StoreSettings) -> None:
        store = open_store(Settings(store=s3_settings))
        assert isinstance(store, S3Store)
        store.check()

    @pytest.mark.parametrize(
        "url",
        ["s3://host:1", "s3:///bucket", "s3://h/UPPER", "s3://h/a/b", "http://h/b", "file://far/x", "x"],
    )
    def test_any_other_url_is_a_wrong_setting(self, url: str) -> None:
        with pytest.raises(SettingsInvalid, match=re.escape("store.url")):
            open_store(Settings(store=StoreSettings(url=url)))
