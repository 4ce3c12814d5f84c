"""Random transcripts: speakers taking turns and talking into each other, at any pace, with everything a text may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.transcript import SPEAKERS, Line, Transcript, Turn, Word

ROLES = (*sorted(SPEAKERS), "speaker-2")
_TEXTS = (
    *"气血两虚脉细弱头晕，。！？；、吗呢",
    *("没有", "力气", "八珍汤", "好的。", "，", "[姓名]", "[身份证号]", "（左）", "《伤寒论》", "……"),
    *("3", "12", "3.5", "12:30", "120/80", "38.5℃", "98%", "15克", "一百二十", "三天", "50 mg"),
    *(" hello", " CT", " don't", " a", "<b>", "&amp;", " --> ", "\n", " ", "x" * 45, "7" * 40),
    *("", "\0", "e\u0301", "\u2028", "😀", "{\\an8}", "—", "“", "”"),
)
# Text, length in s, probability, pause after it in s.
_WORDS = st.tuples(
    st.sampled_from(_TEXTS),
    st.sampled_from([0.2, 0.0, 0.02, 0.1, 0.35, 1.0]),
    st.sampled_from([0.9, 0.6, 0.05]),
    st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.1, 0.5, 3.0]),
)
# Role, pause before it in s (less than nothing: it begins while another speaks), words.
_SPEECHES = st.tuples(
    st.sampled_from(ROLES),
    st.sampled_from([0.5, 0.1, 0.0, 2.0, -0.2, -1.0]),
    st.lists(_WORDS, min_size=1, max_size=25),
)


def over_transcripts(test: Callable[[Transcript], None]) -> Callable[[], None]:
    """Runs a test on many of them, without haste: the machine may be busy."""
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    return patient(given(transcripts())(test))


def transcripts() -> st.SearchStrategy[Transcript]:
    """One speaker's lines never overlap; those of two may."""
    return st.builds(
        _transcript,
        st.lists(_SPEECHES, max_size=6),
        st.sampled_from([0.5, 0.0, 3599.5]),
        st.sampled_from([None, 0.0, 0.3, 60.0]),
    )


def _transcript(speeches: list[Any], start_s: float, silence_s: float | None) -> Transcript:
    lines: list[Line] = []
    free_s: dict[str, float] = {}
    at_s = start_s
    for role, pause_s, said in speeches:
        words = []
        at_s = begin_s = round(max(at_s + pause_s, free_s.get(role, 0.0), 0.0), 3)
        for text, length_s, probability, after_s in said:
            words.append(Word(text, round(at_s, 3), round(at_s + length_s, 3), probability))
            at_s += length_s + after_s
        lines.append(Line.heard(Turn(role, begin_s, words[-1].end_s), words))
        at_s = free_s[role] = words[-1].end_s
    end_s = max(free_s.values(), default=0.0)
    duration_s = 0.0 if silence_s is None else round(end_s + silence_s, 3)
    return Transcript("zh", "demo", tuple(lines), duration_s=duration_s)
