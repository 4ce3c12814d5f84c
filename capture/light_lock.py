"""Whether a camera's exposure and white balance are locked, as far as its driver tells.

A camera that exposes by itself shows the card equally bright in every light, and would pass any room. V4L2 drivers
tell (Linux, videodev2.h and v4l2-controls.h); for network cameras it is a matter of their own settings page.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from capture.rig import Camera

VIDIOC_G_CTRL = 0xC008561B  # _IOWR('V', 27, struct v4l2_control), two 32-bit words
# Control and the only value that means: by hand.
CONTROLS = {
    0x009A0901: 1,  # V4L2_CID_EXPOSURE_AUTO: V4L2_EXPOSURE_MANUAL
    0x0098090C: 0,  # V4L2_CID_AUTO_WHITE_BALANCE
    0x00980912: 0,  # V4L2_CID_AUTOGAIN
}
Control = Callable[[int, int, bytes], bytes]


def is_locked(camera: Camera, control: Control | None = None) -> bool | None:
    """False: something is automatic. True: nothing that the driver tells of is. None: it cannot be known."""
    if camera.input != "v4l2":
        return None
    ask = control or _ioctl()
    if ask is None:
        return None
    try:
        device = os.open(camera.source, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        told = [
            value == by_hand
            for each, by_hand in CONTROLS.items()
            if (value := _value(ask, device, each)) is not None
        ]
    finally:
        os.close(device)
    return all(told) if told else None


def _value(ask: Control, device: int, control: int) -> int | None:
    try:
        answer = ask(device, VIDIOC_G_CTRL, struct.pack("=Ii", control, 0))
    except OSError:
        return None  # the camera lacks this control: nothing automatic about it
    return int(struct.unpack("=Ii", answer)[1])


def _ioctl() -> Control | None:
    try:
        from fcntl import ioctl
    except ImportError:
        return None
    return ioctl
