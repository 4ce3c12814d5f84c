"""Render the speech of the demo recording and of the recogniser's held-back test, once, as small FLAC files.

    python -m scripts.make_demo_speech

Needs the espeak-ng library; what it writes is committed, so that nobody else needs it.
"""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np

from scripts.demo_asr_corpus import DEMO_VOICES, render_held_back
from scripts.demo_asr_speech import RATE_HZ, Clip, render
from scripts.demo_asr_text import load_dialogue
from scripts.demo_audio import SPEECH_DIR

HELD_BACK_DIR = Path(__file__).parents[1] / "tests" / "data" / "asr_heldback"
_SEED = 5
# Every halving of the level saves one bit per sample, and 23 dB down nothing is lost that anybody could hear.
_STORED_LEVEL = 0.07


def write_flac(path: Path, clip: Clip) -> None:
    """Write a clip as 16 kHz mono FLAC."""
    samples = np.round(clip.samples * _STORED_LEVEL).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "flac", rate=RATE_HZ, layout="mono", options={"compression_level": "12"}
        )
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux([*stream.encode(frame), *stream.encode(None)])


def _described(clip: Clip, file: str) -> dict[str, Any]:
    return {"file": file, "text": clip.text, "duration_s": round(clip.duration_s, 3)}


def _write_index(path: Path, clips: list[dict[str, Any]]) -> None:
    """One clip a line: short, and a change shows in a diff."""
    lines = ",\n  ".join(json.dumps(clip, ensure_ascii=False) for clip in clips)
    path.write_text(f'{{\n "rate_hz": {RATE_HZ},\n "clips": [\n  {lines}\n ]\n}}\n', encoding="utf-8")


def make_dialogue(folder: Path) -> None:
    """One file for each turn of the dialogue, and `dialogue.json` with the time of every character."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, line in enumerate(load_dialogue(), start=1):
        clip = render(line.text, DEMO_VOICES[line.role])
        file = f"{number:02}_{line.role}.flac"
        write_flac(folder / file, clip)
        times = [[round(start_s, 3), round(end_s, 3)] for start_s, end_s in clip.times_s]
        clips.append({"role": line.role} | _described(clip, file) | {"character_times_s": times})
    _write_index(folder / "dialogue.json", clips)


def make_held_back(folder: Path) -> None:
    """The test set: voices and speeds which training never uses."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, clip in enumerate(render_held_back(_SEED), start=1):
        file = f"{number:02}_{clip.voice.variant}_{clip.voice.words_per_minute}.flac"
        write_flac(folder / file, clip)
        clips.append({"voice": clip.voice.variant} | _described(clip, file))
    _write_index(folder / "index.json", clips)


def main() -> None:
    make_dialogue(SPEECH_DIR)
    make_held_back(HELD_BACK_DIR)


if __name__ == "__main__":
    main()
