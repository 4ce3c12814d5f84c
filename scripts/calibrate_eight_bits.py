"""Measure on pictures what CenterFace's convolutions take in, for its way in eight bits (``processing/eight_bits.json``).

    python -m scripts.calibrate_eight_bits PICTURE…

Pictures of many faces, near and far, in many lights: 22 photographs with 1 to 16 faces were taken.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from archive.store import sha256_of
from processing.detectors import centerface_path
from processing.eight_bits import RANGES, measure_ranges
from processing.verify import ATTACK_PX

SIDES_PX = 32


def main() -> None:
    import openvino as ov

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    pictures = parser.parse_args().pictures
    model = ov.Core().read_model(centerface_path())
    model.reshape([1, 3, -1, -1])
    measured = measure_ranges(model, map(planes, pictures))
    rows = ",\n".join(f'    "{name}": [{low:.4g}, {high:.4g}]' for name, (low, high) in measured.items())
    RANGES.write_text(f'{{\n  "{sha256_of(centerface_path())}": {{\n{rows}\n  }}\n}}\n', "utf-8")


def planes(picture: Path) -> NDArray[np.float32]:
    """(1, 3, H, W) as the attack gives it to the network: RGB of 0 to 255, its longer side ATTACK_PX."""
    pixels = cv2.imread(str(picture))
    if pixels is None:
        raise SystemExit(f"读不出 · cannot be read: {picture}")
    scale = ATTACK_PX / max(pixels.shape[:2])
    high, wide = (max(SIDES_PX, round(side * scale / SIDES_PX) * SIDES_PX) for side in pixels.shape[:2])
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), (wide, high), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[None].transpose(0, 3, 1, 2), np.float32)


if __name__ == "__main__":
    main()
