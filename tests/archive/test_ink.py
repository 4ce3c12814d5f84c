"""What came as a signature is looked at in a process of its own: pictures of every kind, and what only looks like one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from archive.ink import require_ink
from config.errors import ConsentFormRejected

SIZE = (1500, 500)


def picture(
    draw: Callable[[ImageDraw.ImageDraw], object] | None = None, kind: str = "PNG", mode: str = "RGB"
) -> bytes:
    paper = Image.new(mode, SIZE, "white" if mode == "RGB" else (0, 0, 0, 0))
    if draw:
        draw(ImageDraw.Draw(paper))
    out = BytesIO()
    paper.save(out, kind)
    return out.getvalue()


def name(pen: ImageDraw.ImageDraw) -> None:
    pen.line([(300, 100), (380, 300), (420, 120), (500, 320)], fill="black", width=7)


def short(pen: ImageDraw.ImageDraw) -> None:
    pen.line([(700, 200), (800, 210)], fill="black", width=7)


def upright(pen: ImageDraw.ImageDraw) -> None:
    pen.line([(700, 200), (705, 290)], fill="black", width=7)


def dot(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse([(700, 200), (730, 230)], fill="black")


def pale(pen: ImageDraw.ImageDraw) -> None:
    pen.line([(300, 100), (900, 300)], fill=(240, 240, 240), width=7)


@pytest.mark.parametrize("draw", [name, short, upright])
def test_a_stroke_is_a_signature(draw: Callable[[ImageDraw.ImageDraw], object]) -> None:
    require_ink(picture(draw), drawn=True)
    require_ink(picture(draw, mode="RGBA"), drawn=True)


@pytest.mark.parametrize("draw", [None, dot, pale])
def test_an_empty_paper_and_a_dot_are_no_signature(
    draw: Callable[[ImageDraw.ImageDraw], object] | None,
) -> None:
    with pytest.raises(ConsentFormRejected, match="empty or only a dot"):
        require_ink(picture(draw), drawn=True)
    require_ink(picture(draw), drawn=False)


def test_a_photographed_form_may_be_a_jpeg() -> None:
    require_ink(picture(name, "JPEG"), drawn=False)


def bomb() -> bytes:
    """A small file that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        b"\xff\xd8\xff\xe0 no picture",
        picture(name)[:900],
        picture(name, "GIF"),
        bomb(),
    ],
    ids=["header only", "not a JPEG", "cut short", "another kind", "a bomb"],
)
def test_what_is_no_picture_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(ConsentFormRejected, match="damaged picture or far too large"):
        require_ink(content, drawn=False)
