"""Speed, memory and errors of the speech engine, against bare faster-whisper on the same model and sound in one run.

    python -m scripts.bench_speech [--minutes 10] [--model FOLDER] [--rounds 3]

The sound is the demo's dialogue, repeated; its model is the demo's unless another is named. Prints one JSON line:
seconds of bare faster-whisper (with its own voice detection and word times) on one channel, of ours (voice detection,
speakers, recognition, marks, suggestions) on that channel and on two microphones, taken in turn, their ratios, seconds of
the processor (which a busy machine moves less), real-time factors, peak memory, and errors on one dialogue: characters (CER, as the model wants to be asked) and speakers (DER, no
collar, overlap counted). All three hear whole windows here, as every model but the demo's does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from config.settings import SpeechSettings
from processing.audio import SPEECH_RATE_HZ
from processing.der import diarization_error
from processing.transcript import Turn
from scripts.demo_asr_check import Heard, character_error_rate
from scripts.demo_audio import DemoAudio, render_tracks, write_wav

Measured = dict[str, float]


def bare(channels: dict[str, Path], settings: SpeechSettings) -> None:
    from processing.whisper import load_model

    (path,) = channels.values()
    segments, _info = load_model(settings).transcribe(
        str(path),
        language=settings.language,
        beam_size=settings.beam_size,
        temperature=0.0,
        condition_on_previous_text=False,
        word_timestamps=True,
        vad_filter=True,
    )
    for _segment in segments:
        pass


def ours(channels: dict[str, Path], settings: SpeechSettings) -> None:
    from processing.speakers import turns_of
    from processing.transcribe import transcribe

    transcribe(channels, turns_of(channels, settings).turns, settings)


def measured(
    work: Callable[[dict[str, Path], SpeechSettings], None],
    channels: dict[str, Path],
    settings: SpeechSettings,
) -> Measured:
    """Seconds, seconds of the processor and peak memory of ``work`` in a process that does nothing else; loading the model counts."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(_timed, work, channels, settings).result()


def _timed(
    work: Callable[[dict[str, Path], SpeechSettings], None],
    channels: dict[str, Path],
    settings: SpeechSettings,
) -> Measured:
    started, cpu_started = time.perf_counter(), time.process_time()
    work(channels, settings)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    return {"s": seconds, "cpu_s": cpu_s, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def errors(recording: DemoAudio, channels: dict[str, Path], settings: SpeechSettings) -> dict[str, float]:
    """CER and DER on one dialogue whose words and turns are known."""
    from processing.speakers import turns_of
    from processing.transcribe import transcribe

    found = turns_of(channels, settings).turns
    text = transcribe(channels, found, settings)
    by_role = [
        Heard(
            "".join(turn.text for turn in recording.turns if turn.role == role),
            "".join(line.text for line in text.lines if line.role == role),
        )
        for role in channels
    ]
    truth = [Turn(turn.role, turn.start_s, turn.end_s) for turn in recording.turns]
    return {
        "cer": round(character_error_rate(by_role), 4),
        "der": round(diarization_error(truth, list(found)).rate, 4),
    }


def whole_windows(model: str, folder: Path) -> SpeechSettings:
    """Settings that ask ``model`` as every model but the demo's is asked; no prompt, for bare faster-whisper has none."""
    settings = SpeechSettings(model=model, prompt_characters=0, hotwords=0)
    if model != "demo":
        return settings
    from processing.whisper import DEMO_MODEL

    copy = folder / "model"
    shutil.copytree(DEMO_MODEL, copy)
    (copy / "asking.json").unlink()
    return settings.model_copy(update={"model": str(copy)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    recording = render_tracks(rate_hz=SPEECH_RATE_HZ)
    length_s = len(recording.tracks["expert"]) / SPEECH_RATE_HZ
    repeats = max(1, round(asked.minutes * 60 / length_s))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = whole_windows(asked.model, folder)
        both = {
            role: write_wav(folder / f"{role}.wav", track, repeats)
            for role, track in recording.tracks.items()
        }
        mixed = sum(recording.tracks.values(), np.zeros(1, np.float32))
        one = {"expert": write_wav(folder / "one.wav", np.asarray(mixed, np.float32), repeats)}
        runs: dict[str, list[Measured]] = {"bare": [], "one": [], "two": []}
        for _ in range(asked.rounds):
            runs["bare"].append(measured(bare, one, settings))
            runs["one"].append(measured(ours, one, settings))
            runs["two"].append(measured(ours, both, settings))
        single = {
            role: write_wav(folder / f"1-{role}.wav", track, 1) for role, track in recording.tracks.items()
        }
        wrong = errors(recording, single, SpeechSettings(model=asked.model))
    print(json.dumps(_line(asked.model, repeats * length_s, runs) | wrong))


def _line(model: str, length_s: float, runs: dict[str, list[Measured]]) -> dict[str, Any]:
    seconds = {name: [run["s"] for run in each] for name, each in runs.items()}
    line: dict[str, Any] = {"bench": "speech", "model": model, "sound_s": round(length_s, 1)}
    for name, each in seconds.items():
        line[f"{name}_s"] = round(median(each), 2)
        line[f"{name}_cpu_s"] = round(median(run["cpu_s"] for run in runs[name]), 2)
        line[f"{name}_real_time_factor"] = round(median(each) / length_s, 4)
        line[f"{name}_peak_mb"] = round(max(run["mb"] for run in runs[name]))
    for over, under in (("one", "bare"), ("two", "one")):
        pairs = list(zip(runs[over], runs[under], strict=True))
        line[f"{over}_to_{under}"] = round(median(a["s"] / b["s"] for a, b in pairs), 3)
        line[f"{over}_to_{under}_cpu"] = round(median(a["cpu_s"] / b["cpu_s"] for a, b in pairs), 3)
    return line


if __name__ == "__main__":
    main()
