"""Photographs and scans, painted anew: nothing of the old file but its colours reaches the new one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from config.errors import AttachmentRejected

# 64 megapixels are 192 MB of RGB; a picture is held two or three times while it is painted.
MAX_PIXELS = 64_000_000
JPEG_QUALITY = 95
SRGB_MODE = "RGB"


def repaint(source: Path, target: Path, form: str) -> None:
    """Write the picture ``source`` (``form`` "jpeg" or "png") to ``target`` without EXIF, GPS, thumbnail, XMP or text.

    It is turned upright as its EXIF says, brought to sRGB as its colour profile says, and laid on white where it
    is transparent: what lies under transparency may not be meant to be seen. Raises AttachmentRejected. Call it in
    a process with limits.
    """
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(source, formats=[form.upper()]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise AttachmentRejected(why="too-large", detail=f"{image.width}x{image.height}")
            image.load()
            colours = _in_srgb(_flat(ImageOps.exif_transpose(image)), image.info.get("icc_profile"))
            bare = Image.frombytes(colours.mode, colours.size, colours.tobytes())
    except (AttachmentRejected, MemoryError):
        raise
    # The library raises whatever a damaged file leads it to.
    except Exception as error:
        raise AttachmentRejected(why="malformed", detail=type(error).__name__) from error
    if form == "jpeg":
        bare.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        bare.save(target, "PNG")


def _flat(image: Any) -> Any:
    """The picture as grey or RGB without transparency."""
    from PIL import Image

    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode.startswith("I"):
        # Sixteen bits of grey: Pillow would cut, not scale.
        return image.point(lambda value: value / 257).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _in_srgb(image: Any, profile: bytes | None) -> Any:
    """A tongue's colour is a finding: a picture from a wide-gamut camera must not be read as if it were sRGB."""
    from PIL import ImageCms

    if profile and image.mode in ("RGB", "CMYK"):
        try:
            held = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, held, ImageCms.createProfile("sRGB"), outputMode=SRGB_MODE
            )
            return converted if converted is not None else image
        except (ImageCms.PyCMSError, OSError):
            return image.convert(SRGB_MODE)
    return image.convert(SRGB_MODE) if image.mode == "CMYK" else image
