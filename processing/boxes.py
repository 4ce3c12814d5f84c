"""What the outermost structure of a media file claims: how long it is, and whether its bytes are all there.

Demuxers hide both: they trust their index and stop quietly where the bytes end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC_AT_0 = (b"RF64", b"fLaC", b"OggS", b"ID3")
_SEGMENT_ID = 0x18538067
_MOVIE_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")


@dataclass(frozen=True)
class Claim:
    """``known``: the file begins like media. ``cut``: its structure runs past its end. ``duration_s``: 0 unknown."""

    known: bool
    cut: bool = False
    duration_s: float = 0.0


def read_claim(path: Path) -> Claim:
    """The outer structure of ``path``: ISO 14496-12 boxes, Matroska (RFC 9559) and RIFF are understood."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in _MOVIE_BOXES:
            return _movie_claim(file, size)
        if head.startswith(b"\x1aE\xdf\xa3"):
            return Claim(known=True, cut=_matroska_end(file) > size)
        if head.startswith(b"RIFF"):
            return _riff_claim(file, size)
        return Claim(known=head.startswith(_MAGIC_AT_0))


def _movie_claim(file: BinaryIO, size: int) -> Claim:
    cut, duration_s, has_index = False, 0.0, False
    for name, start, length in _boxes(file, size):
        cut = cut or start + length > size
        if name == b"moov":
            has_index = True
            duration_s = _movie_duration_s(file, start)
    return Claim(known=True, cut=cut or not has_index, duration_s=duration_s)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    start = 0
    while start + 8 <= size:
        file.seek(start)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        elif length == 0:
            length = size - start
        if length < 8:
            return
        yield name, start, length
        start += length


def _movie_duration_s(file: BinaryIO, moov: int) -> float:
    """Duration in mvhd, the first box inside moov; 0 when it says "unknown"."""
    file.seek(moov + 8)
    head = file.read(40)
    if len(head) < 40 or head[4:8] != b"mvhd":
        return 0.0
    scale, duration = struct.unpack_from(">IQ", head, 28) if head[8] else struct.unpack_from(">II", head, 20)
    unknown = duration in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return 0.0 if unknown or not scale else float(duration / scale)


def _riff_claim(file: BinaryIO, size: int) -> Claim:
    """A WAVE file's first chunk tells the byte rate; sizes of 0 and -1 mean "still being written"."""
    file.seek(4)
    head = file.read(28)
    if len(head) < 28:
        return Claim(known=True, cut=True)
    length = int.from_bytes(head[:4], "little")
    bytes_per_s = int.from_bytes(head[24:28], "little") if head[4:12] == b"WAVEfmt " else 0
    claimed_s = length / bytes_per_s if bytes_per_s else 0.0
    if length in (0, 0xFFFFFFFF):
        return Claim(known=True)
    return Claim(known=True, cut=length + 8 > size, duration_s=claimed_s)


def _matroska_end(file: BinaryIO) -> int:
    """Offset at which the Segment says it ends; 0 when it does not say (a live recording)."""
    file.seek(4)
    header = _vint(file)
    file.seek((header or 0) + file.tell())
    if int.from_bytes(file.read(4), "big") != _SEGMENT_ID:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """An EBML variable-length size; None when all its bits are set, which means "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(bytes([first[0] & (0xFF >> width)]) + rest, "big")
    return None if value == (1 << (7 * width)) - 1 else value
