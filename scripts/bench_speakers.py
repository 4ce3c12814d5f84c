"""Who speaks when, from one microphone per role: the error in every kind of room, on mixtures with known turns.

    python -m scripts.bench_speakers [--voice ROLE FILE…]… [--only WORD]

Voices are the demo's own clips, or clean recordings of one person each: ``--voice expert a.flac b.flac --voice patient
c.flac``. Prints one JSON line a condition, with the error (no collar, overlap scored), its three parts in percent of the
time people spoke, the share given to nobody ('unknown'), and seconds of computing for an hour of one channel; then a
last line with the mean and the worst.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from processing.audio import wav_seconds
from processing.der import diarization_error
from processing.diarize import turns_per_microphone
from scripts.demo_audio import read_mono
from scripts.mixtures import RATE_HZ, Fault, Noise, Room, Samples, mix

DEMO = Path(__file__).parent / "demo_speech"


def conditions(roles: Sequence[str]) -> Iterator[tuple[str, Room]]:
    """Every room by its name; a second role's channel is the one that is late, louder or broken."""
    first, second = roles[0], roles[1]
    middling = Room(crosstalk_db=-10.0, snr_db=20.0, overlap=0.15)
    for crosstalk_db, snr_db, overlap in product((-6, -10, -15, -20), (10, 20, 30), (0.0, 0.15, 0.3)):
        room = Room(crosstalk_db=crosstalk_db, snr_db=snr_db, overlap=overlap)
        yield f"cross-talk {crosstalk_db} dB, SNR {snr_db} dB, overlap {overlap:.0%}", room
    noises: tuple[Noise, ...] = ("room", "babble")
    for noise, snr_db, crosstalk_db in product(noises, (10, 20), (-6, -14)):
        room = Room(crosstalk_db=crosstalk_db, snr_db=snr_db, noise=noise, overlap=0.15)
        yield f"{noise} noise, cross-talk {crosstalk_db} dB, SNR {snr_db} dB", room
    for delay_s in (0.02, 0.0503):
        yield f"far voice {delay_s * 1000:.1f} ms late", replace(middling, far_late_s=delay_s)
        for role in (first, second):
            yield f"{role} channel {delay_s * 1000:.1f} ms late", replace(middling, late_s={role: delay_s})
    for role in (first, second):
        yield f"{role} channel 20 dB louder", replace(middling, gains_db={role: 20.0})
    for crosstalk_db in (-6, -10):
        room = replace(middling, crosstalk_db=crosstalk_db, rt60_s=0.3)
        yield f"RT60 0.3 s, cross-talk {crosstalk_db} dB", room
    yield "with a room microphone", replace(middling, room_microphone=True)
    faults: tuple[Fault, ...] = ("dead", "noise", "clipped")
    for fault, role, present in product(faults, (first, second), (False, True)):
        room = Room(faults={role: fault}, room_microphone=present)
        yield f"{role} channel {fault}, {'a' if present else 'no'} room microphone", room


def measure(name: str, room: Room, voices: Mapping[str, Sequence[Samples]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        files, truth = mix(voices, room, Path(folder))
        started = time.perf_counter()
        found = turns_per_microphone(files)
        spent_s = time.perf_counter() - started
        channel_hours = len(files) * wav_seconds(next(iter(files.values()))) / 3600
    error = diarization_error(truth, found)
    unknown_s = sum(turn.end_s - turn.start_s for turn in found if turn.role == "unknown")
    parts = {"missed": error.missed_s, "false_alarm": error.false_alarm_s, "confused": error.confused_s}
    return {
        "bench": "speakers",
        "condition": name,
        "der_percent": round(100 * error.rate, 2),
        **{f"{part}_percent": round(100 * part_s / error.said_s, 2) for part, part_s in parts.items()},
        "unknown_percent": round(100 * unknown_s / error.said_s, 2),
        "seconds_per_channel_hour": round(spent_s / channel_hours, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--voice", nargs="+", action="append", metavar=("ROLE", "FILE"), default=[])
    parser.add_argument("--only", default="", help="conditions whose name holds this")
    asked = parser.parse_args()
    files = {role: [Path(name) for name in names] for role, *names in asked.voice}
    files = files or {role: sorted(DEMO.glob(f"*_{role}.flac")) for role in ("expert", "patient")}
    if len(files) < 2:
        parser.error("two voices at least")
    voices = {role: [read_mono(path, RATE_HZ) for path in paths] for role, paths in files.items()}
    lines = []
    for name, room in conditions(list(voices)):
        if asked.only in name:
            lines.append(measure(name, room, voices))
            print(json.dumps(lines[-1]), flush=True)
    if lines:
        worst = max(lines, key=lambda line: line["der_percent"])
        total = {
            "conditions": len(lines),
            "mean_der_percent": round(mean(li["der_percent"] for li in lines), 2),
        }
        total["under_5_percent"] = sum(line["der_percent"] < 5 for line in lines)
        print(
            json.dumps(
                {
                    "bench": "speakers",
                    **total,
                    "worst": worst["condition"],
                    "worst_der_percent": worst["der_percent"],
                }
            )
        )


if __name__ == "__main__":
    main()
