"""Captions as players read them: WebVTT with voice tags, and SRT."""

from __future__ import annotations

from collections.abc import Mapping

from processing.cues import Cue, make_cues
from processing.transcript import SPEAKERS, UNSURE, Transcript, speaker_name

_REFERENCES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
# SRT has no way to escape what players take for a tag; the wide forms look the same among Chinese characters.
_WIDE_FORMS = str.maketrans({"<": "＜", ">": "＞", "{": "｛", "}": "｝"})


def to_webvtt(transcript: Transcript, names: Mapping[str, str] = SPEAKERS) -> str:
    """W3C WebVTT: one voice tag a cue, at most two rows of 18 columns.

    What the recogniser was unsure of begins with ``（？）``, for any player to show, and its voice tag has the class
    ``unsure``, for a page to style.
    """
    blocks = ["WEBVTT\n"]
    for cue in make_cues(transcript):
        voice = f"<v{'.unsure' if cue.unsure else ''} {_escape(_name(cue, names))}>"
        rows = (UNSURE if cue.unsure else "") + _escape("\n".join(cue.rows))
        blocks.append(f"{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{voice}{rows}</v>\n")
    return "\n".join(blocks)


def to_srt(transcript: Transcript, names: Mapping[str, str] = SPEAKERS) -> str:
    """SubRip, with the cues of the WebVTT; the speaker's name stands before the first row and beside its 18 columns.

    Lines end in LF, which every player reads, as do those of the other files of a package.
    """
    blocks = []
    for number, cue in enumerate(make_cues(transcript), 1):
        prefix = _name(cue, names) + (UNSURE if cue.unsure else "")
        rows = f"{prefix}：{chr(10).join(cue.rows)}".translate(_WIDE_FORMS)
        start, end = (_clock(time_s).replace(".", ",") for time_s in (cue.start_s, cue.end_s))
        blocks.append(f"{number}\n{start} --> {end}\n{rows}\n")
    return "\n".join(blocks)


def _name(cue: Cue, names: Mapping[str, str]) -> str:
    """In one row, and never empty: an empty voice tag names nobody."""
    name = speaker_name(cue.role, names).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return " ".join(name.split()) or SPEAKERS["unknown"]


def _clock(time_s: float) -> str:
    minutes, ms = divmod(round(time_s * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def _escape(text: str) -> str:
    for raw, escaped in _REFERENCES:
        text = text.replace(raw, escaped)
    return text
