"""Diarization error of the per-microphone speakers, for every kind of room, on mixtures with known turns.

    python -m scripts.bench_speakers [--voices FOLDER…] [--all] [--only WORD]

Voices are the demo's own clips, or FOLDERs whose files are named after the speaker up to the first '-', '_s'
or '_'. Prints one JSON line per condition (error, its three parts, seconds of computing per hour and channel)
and a last line with the worst.
"""
