"""Strict readers of WebVTT and SRT, written from the formats' own definitions; they refuse what a player may forgive."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_TIMING = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})")
_SRT_TIMING = re.compile(_TIMING.pattern.replace(r"\.", ","))
_VOICE = re.compile(r"<v(?P<classes>(?:\.[^\s.&<>]+)*) (?P<name>[^\n>]+)>(?P<text>[^<>]*)</v>")
_REFERENCE = re.compile(r"&(?!(?:amp|lt|gt|lrm|rlm|nbsp|#\d+|#x[0-9a-fA-F]+);)")


@dataclass(frozen=True)
class Shown:
    """A cue as a reader sees it."""

    start_ms: int
    end_ms: int
    name: str
    rows: list[str]
    classes: list[str]


def read_webvtt(content: str) -> list[Shown]:
    """Every cue of a file whose cues all hold one voice span (W3C WebVTT, 4.1 to 4.2); AssertionError for others."""
    assert "\0" not in content
    assert "\r" not in content
    head, *blocks = content.removesuffix("\n").split("\n\n")
    assert head == "WEBVTT"
    cues = []
    for block in blocks:
        first, _, payload = block.partition("\n")
        timing = _TIMING.fullmatch(first)
        assert timing, first
        assert "-->" not in payload
        voice = _VOICE.fullmatch(payload)
        assert voice, payload
        assert not _REFERENCE.search(payload)
        name, text = html.unescape(voice["name"]), html.unescape(voice["text"])
        classes = voice["classes"].split(".")[1:]
        cues.append(Shown(*_ms(timing.groups()), name, _rows(text), classes))
    starts = [cue.start_ms for cue in cues]
    assert starts == sorted(starts)
    return cues


def read_srt(content: str) -> list[Shown]:
    """Every subtitle of a file whose subtitles all begin with a name and ``：``; AssertionError for others."""
    cues = []
    for number, block in enumerate(content.removesuffix("\n").split("\n\n") if content else [], 1):
        counter, timing, *rows = block.split("\n")
        assert counter == str(number)
        matched = _SRT_TIMING.fullmatch(timing)
        assert matched, timing
        name, colon, first = rows[0].partition("：")
        assert colon
        assert not re.search(r"[<>{}]", "".join(rows))
        cues.append(Shown(*_ms(matched.groups()), name, _rows("\n".join([first, *rows[1:]])), []))
    return cues


def _ms(fields: tuple[str, ...]) -> tuple[int, int]:
    hours, minutes, seconds, ms, *end = map(int, fields)
    start_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
    end_ms = ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]
    assert start_ms < end_ms
    return start_ms, end_ms


def _rows(text: str) -> list[str]:
    rows = text.split("\n")
    assert all(row.strip() for row in rows)
    return rows
