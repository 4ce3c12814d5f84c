"""Whether a picture that came as a signature can be a signature: looked at in a child process with limits.

``python -m archive.ink`` reads a PNG or JPEG from standard input and tells on standard output, as JSON, its size in
pixels and the box of what is dark in it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from io import BytesIO

from config.errors import ConsentFormRejected
from config.lifeline import ended_with_us

MOST_PIXELS = 60_000_000
LOOKED_AT_PX = 2000
MEMORY_BYTES = 1 << 30
TIME_LIMIT_S = 20.0
# Darker than this (of 255) counts as ink.
INK_LEVEL = 160
# A stroke that could be somebody's name reaches over this share of the paper's width or height. A dot does not.
LEAST_WIDTH, LEAST_HEIGHT = 0.06, 0.15
LEAST_INK_PX = 60


def require_ink(picture: bytes, *, drawn: bool) -> None:
    """Refuse what is no picture, and of what was drawn on a screen (``drawn``) also an empty one and a dot.

    Raises ConsentFormRejected.
    """
    told = _look(picture)
    if not drawn:
        return
    spread = told["box_width"] / told["width"], told["box_height"] / told["height"]
    if told["ink"] < LEAST_INK_PX or (spread[0] < LEAST_WIDTH and spread[1] < LEAST_HEIGHT):
        raise ConsentFormRejected(problem="the signature is empty or only a dot")


def _look(picture: bytes) -> dict[str, int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YIAN_")}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "archive.ink"],
            input=picture,
            capture_output=True,
            timeout=TIME_LIMIT_S,
            check=True,
            env=kept,
            preexec_fn=ended_with_us(),
        )
        told: dict[str, int] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise ConsentFormRejected(problem="the signature is a damaged picture or far too large") from error
    return told


def _measure(picture: bytes) -> dict[str, int]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2
    with Image.open(BytesIO(picture), formats=("PNG", "JPEG")) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        opened.thumbnail((LOOKED_AT_PX, LOOKED_AT_PX))
        shown = opened.convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        grey = Image.alpha_composite(paper, shown).convert("L")
    ink = grey.point([255 if level < INK_LEVEL else 0 for level in range(256)])
    left, top, right, bottom = ink.getbbox() or (0, 0, 0, 0)
    return {
        "width": grey.width,
        "height": grey.height,
        "ink": ink.histogram()[255],
        "box_width": right - left,
        "box_height": bottom - top,
    }


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(TIME_LIMIT_S), int(TIME_LIMIT_S)))
    sys.stdout.write(json.dumps(_measure(sys.stdin.buffer.read())))


if __name__ == "__main__":
    main()
