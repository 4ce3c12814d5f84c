"""Blanking what a compressed picture says beside its pixels: comments and application data of JPEG and JPEG 2000.

Pixels are neither decoded nor changed, so nothing can inflate here and a diagnosis sees what the device saw. The
bytes of a comment become zeros in place; what follows the end of a picture is cut off.
"""

from __future__ import annotations

JPEG_START = b"\xff\xd8"
JPEG_2000_START = b"\xff\x4f\xff\x51"
# ITU-T T.81, table B.1, and T.87 annex C (JPEG-LS uses the same frame of markers).
_END, _SCAN, _COMMENT, _APP_0, _APP_14, _APP_15 = 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_ADOBE_BYTES = 14
# ITU-T T.800, table A.2.
_J2K_TILE, _J2K_DATA, _J2K_END, _J2K_COMMENT = 0x90, 0x93, 0xD9, 0x64


def blank_jpeg(stream: bytes) -> bytes:
    """A JPEG (ITU-T T.81) or JPEG-LS (T.87) stream without comments and application data.

    The Adobe segment (APP14) stays: decoders need its colour transform. Raises ValueError for anything else.
    """
    if not stream.startswith(JPEG_START):
        raise ValueError("no JPEG stream")
    blanked = bytearray(stream)
    at = 2
    while True:
        marker, at = _marker(stream, at)
        if marker == _END:
            return bytes(blanked[:at])
        if marker in _BARE:
            continue
        length = _length(stream, at)
        if marker == _COMMENT or (_APP_0 <= marker <= _APP_15 and not _is_adobe(marker, stream, at, length)):
            blanked[at + 2 : at + length] = bytes(length - 2)
        at += length
        if marker == _SCAN:
            at = _end_of_scan(stream, at)


def blank_jpeg_2000(stream: bytes) -> bytes:
    """A JPEG 2000 codestream (ITU-T T.800) without comments, in its main header and in every tile-part.

    Raises ValueError for anything else.
    """
    if not stream.startswith(JPEG_2000_START):
        raise ValueError("no JPEG 2000 codestream")
    blanked = bytearray(stream)
    at, tile_at = 2, -1
    while True:
        begins = at
        marker, at = _marker(stream, at)
        if marker == _J2K_END:
            return bytes(blanked[:at])
        if marker == _J2K_DATA:
            at = _end_of_tile(stream, tile_at)
            continue
        length = _length(stream, at)
        if marker == _J2K_TILE:
            tile_at = begins
        elif marker == _J2K_COMMENT:
            blanked[at + 2 : at + length] = bytes(length - 2)
        at += length


def _marker(stream: bytes, at: int) -> tuple[int, int]:
    """The marker at ``at`` (fill bytes before it are skipped) and where what follows it begins."""
    if at >= len(stream) or stream[at] != 0xFF:
        raise ValueError("a marker is missing")
    while at < len(stream) and stream[at] == 0xFF:
        at += 1
    if at >= len(stream):
        raise ValueError("the picture ends too early")
    return stream[at], at + 1


def _length(stream: bytes, at: int) -> int:
    length = int.from_bytes(stream[at : at + 2], "big")
    if length < 2 or at + length > len(stream):
        raise ValueError("the picture ends too early")
    return length


def _is_adobe(marker: int, stream: bytes, at: int, length: int) -> bool:
    return marker == _APP_14 and length == _ADOBE_BYTES and stream[at + 2 : at + 7] == b"Adobe"


def _end_of_scan(stream: bytes, at: int) -> int:
    """Where the next marker after coded data stands. Stuffed bytes and restarts belong to the data."""
    while True:
        at = stream.find(b"\xff", at)
        if at < 0 or at + 1 >= len(stream):
            raise ValueError("the picture ends too early")
        following = stream[at + 1]
        # T.87: after 0xFF the next bit is 0, so a byte below 0x80 is data there as well.
        if following >= 0x80 and following not in _BARE and following != 0xFF:
            return at
        at += 1 if following == 0xFF else 2


def _end_of_tile(stream: bytes, tile_at: int) -> int:
    if tile_at < 0:
        raise ValueError("data outside a tile")
    length = int.from_bytes(stream[tile_at + 6 : tile_at + 10], "big")
    if length == 0:
        # T.800, A.4.2: the last tile-part reaches to the end of the codestream.
        return stream.rindex(b"\xff\xd9")
    if length < 14 or tile_at + length > len(stream):
        raise ValueError("the picture ends too early")
    return tile_at + length
