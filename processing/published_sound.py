"""The published sound: every microphone mixed, without what identifies the patient."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processing.audio import Source, encode_wav, mix_wav, mixdown
from processing.media import Progress, no_progress, part_of
from processing.tone import MARGIN_S, Stretch, hide_in_wav
from processing.voice import disguise_spans


@dataclass(frozen=True)
class Disguise:
    """Seconds (from, to) in which the patient speaks, and the secret of the case that makes the other voice."""

    spans: tuple[tuple[float, float], ...]
    secret: bytes


def publish_sound(
    sources: Sequence[Source],
    out: Path,
    kbps: int,
    *,
    hidden: Sequence[Stretch] = (),
    disguise: Disguise | None = None,
    margin_s: float = MARGIN_S,
    duration_s: float | None = None,
    progress: Progress = no_progress,
) -> None:
    """``audio.mixdown`` with a tone over ``hidden`` and another voice where the patient speaks; as long and in step.

    Both are done between mixing and coding, so nothing of a span reaches the encoder; until then the mix lies beside
    ``out`` in a folder that is removed whatever happens. With nothing to change it is ``mixdown`` itself. Raises
    NoAudio, NotMedia, ChildFailed.
    """
    if not hidden and disguise is None:
        mixdown(sources, out, kbps, duration_s=duration_s, progress=progress)
        return
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".mix-") as folder:
        mix = Path(folder) / "mix.wav"
        mix_wav(sources, mix, duration_s=duration_s, progress=part_of(progress, 0.0, 0.3))
        if disguise is not None:
            other = Path(folder) / "disguised.wav"
            disguise_spans(mix, other, disguise.spans, disguise.secret, part_of(progress, 0.3, 0.7))
            other.replace(mix)
        safe = Path(folder) / "safe.wav"
        hide_in_wav(mix, safe, hidden, margin_s)
        mix.unlink()
        encode_wav(safe, out, kbps, duration_s=duration_s, progress=part_of(progress, 0.7, 1.0))
