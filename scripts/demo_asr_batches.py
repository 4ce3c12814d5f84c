"""Training examples: microphone windows as the pipeline will cut them, and what the model should write for them.

A window holds no turn (silence, noise), one turn, or several; another voice may leak into it at a level that must
not be written down; its microphone, room and level vary.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from torch import Tensor

from scripts.demo_asr_speech import RATE_HZ, Clip
from scripts.demo_asr_text import CHARACTERS, PUNCTUATION, TIMESTAMP_STEP_S, build_tokenizer

HOP = 160
FRAME_S = 0.02
WINDOW_FRAMES = 1500
BANDS = 80
# Shorter windows are regions of whole turns; a 30 s window ends where it ends.
_CUT_FROM_S = 20.0

_tokenizer = build_tokenizer()
VOCABULARY_SIZE: int = _tokenizer.get_vocab_size()


def token(text: str) -> int:
    """The id of a token which must exist."""
    found: int | None = _tokenizer.token_to_id(text)
    if found is None:
        raise KeyError(text)
    return found


END, START, CHINESE, TRANSCRIBE, NO_SPEECH, NO_TIMESTAMPS, FIRST_STAMP = (
    token(f"<|{name}|>")
    for name in ("endoftext", "startoftranscript", "zh", "transcribe", "nospeech", "notimestamps", "0.00")
)
CHARACTER_IDS = {c: _tokenizer.encode(c, add_special_tokens=False).ids[0] for c in CHARACTERS}
FRAME_CLASSES = {c: i + 1 for i, c in enumerate(c for c in CHARACTERS if c not in PUNCTUATION)}

_MEL_FILTERS = torch.tensor(FeatureExtractor().mel_filters, dtype=torch.float32)
_HANN = torch.hann_window(400)


@dataclass(frozen=True)
class Placed:
    """A clip at its place in a window; `cut` if the window ends inside it."""

    clip: Clip
    start_s: float
    cut: bool

    def character_times_s(self) -> list[tuple[float, float]]:
        return [(self.start_s + a, self.start_s + b) for a, b in self.clip.times_s]


@dataclass(frozen=True)
class Example:
    """A window of sound and the turns to be written down."""

    signal: NDArray[np.float32]
    turns: list[Placed]

    @property
    def duration_s(self) -> float:
        return len(self.signal) / RATE_HZ


@dataclass(frozen=True)
class Batch:
    """Tensors of one step. `shift` is where the window lies among the encoder's 1500 positions."""

    features: Tensor
    shift: Tensor
    inputs: Tensor
    labels: Tensor
    attend_s: Tensor
    frame_classes: Tensor


class Scenes:
    """Makes random windows from the training clips."""

    def __init__(
        self, dialogue: Sequence[Sequence[Clip]], practice: Sequence[Clip], salad: Sequence[Clip]
    ) -> None:
        self._dialogue, self._practice, self._salad = dialogue, practice, salad
        self._everything = [clip for clips in dialogue for clip in clips] + list(practice)

    def _choose(self, rng: random.Random, count: int, salad_share: float) -> list[Clip]:
        if rng.random() < salad_share:
            return rng.choices(self._salad, k=count)
        if rng.random() < 0.5:
            first = rng.randrange(len(self._dialogue))
            return [rng.choice(self._dialogue[(first + i) % len(self._dialogue)]) for i in range(count)]
        return rng.choices(self._practice, k=count)

    def make(self, rng: random.Random, longest_s: float, salad_share: float) -> Example:
        """A window of about `longest_s` or less."""
        noise = np.random.default_rng(rng.getrandbits(32))
        if rng.random() < 0.05:
            signal = np.zeros(int(rng.uniform(0.3, longest_s) * RATE_HZ), np.float32)
            return Example(_add_noise(signal, rng, noise), [])
        limit = int(longest_s * RATE_HZ)
        count = 1 if longest_s < 10 and rng.random() < 0.6 else rng.randint(1, max(1, round(longest_s / 2.2)))
        start = int(rng.uniform(0.0, 0.5 if rng.random() < 0.9 else longest_s / 4) * RATE_HZ)
        signal = np.zeros(start, np.float32)
        turns: list[Placed] = []
        for clip in self._choose(rng, count, salad_share):
            end = start + len(clip.samples)
            may_cut = longest_s > _CUT_FROM_S and start + 0.3 * RATE_HZ < limit
            if turns and end > limit and not may_cut:
                break
            spoken = _in_room(clip.signal, rng, noise) * 10 ** (rng.uniform(-6, 0) / 20)
            signal = np.concatenate([signal, np.zeros(start - len(signal), np.float32), spoken])
            turns.append(Placed(clip, start / RATE_HZ, end > limit and may_cut))
            if turns[-1].cut:
                signal = signal[:limit]
                break
            start = end + int(rng.uniform(0.05, 1.0 if rng.random() < 0.85 else 2.5) * RATE_HZ)
        else:
            signal = np.concatenate([signal, np.zeros(int(rng.uniform(0.0, 0.5) * RATE_HZ), np.float32)])
        if rng.random() < 0.5:
            self._leak(signal, rng)
        return Example(_add_noise(signal, rng, noise), turns)

    def _leak(self, signal: NDArray[np.float32], rng: random.Random) -> None:
        """Add the other speaker as this microphone hears him: before, over and after the turns, and not meant."""
        for _ in range(rng.randint(1, 1 + len(signal) // (4 * RATE_HZ))):
            other = rng.choice(self._everything).signal * 10 ** (rng.uniform(-26, -12) / 20)
            # Mostly at the edges: a region is cut with a margin, in which the neighbouring turn ends or begins.
            at = rng.choice(
                (rng.uniform(-len(other), 0), rng.uniform(0, len(signal)), len(signal) - len(other) / 3)
            )
            begin, end = max(0, int(at)), min(len(signal), int(at) + len(other))
            if end > begin:
                signal[begin:end] += other[begin - int(at) : end - int(at)]


def _in_room(
    signal: NDArray[np.float32], rng: random.Random, noise: np.random.Generator
) -> NDArray[np.float32]:
    """Sometimes with a little reverberation."""
    if rng.random() < 0.7:
        return signal
    length = int(rng.uniform(0.05, 0.25) * RATE_HZ)
    tail = noise.standard_normal(length).astype(np.float32) * np.exp(
        -np.linspace(0, 6.9, length, dtype=np.float32)
    )
    tail *= rng.uniform(0.1, 0.4) / np.sqrt((tail**2).sum())
    size = 1 << (len(signal) + length).bit_length()
    wet = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(tail, size), size)[: len(signal)]
    return signal + wet.astype(np.float32)


def _add_noise(
    signal: NDArray[np.float32], rng: random.Random, noise: np.random.Generator
) -> NDArray[np.float32]:
    hiss = noise.standard_normal(len(signal), dtype=np.float32)
    if rng.random() < 0.4:
        hiss = np.convolve(hiss, np.full(8, 0.35, np.float32), "same")
    return signal + hiss * np.float32(10 ** (-rng.uniform(25, 80) / 20))


def _features(examples: Sequence[Example], rng: random.Random) -> Tensor:
    """Log-mel features as faster-whisper computes them, with level, tilt and bandwidth of a random microphone.

    What follows the sound is exactly 0.0, because faster-whisper pads after normalising.
    """
    longest = max(len(example.signal) for example in examples)
    longest = min(-(-longest // (2 * HOP)) * 2 * HOP, 2 * WINDOW_FRAMES * HOP)
    signals = torch.zeros(len(examples), longest)
    for row, example in zip(signals, examples, strict=True):
        row[: len(example.signal)] = torch.from_numpy(example.signal[:longest])
    spectrum = torch.stft(signals, 400, HOP, window=_HANN, center=True, return_complex=True)[..., :-1]
    mel = (_MEL_FILTERS @ (spectrum.real**2 + spectrum.imag**2)).clamp_min(1e-10).log10()
    result = torch.zeros_like(mel)
    band = torch.linspace(-0.5, 0.5, BANDS)[:, None]
    for i, example in enumerate(examples):
        one = mel[i, :, : len(example.signal) // HOP] + rng.uniform(-2.0, 0.3) + band * rng.uniform(-0.8, 0.8)
        if rng.random() < 0.3:
            one[BANDS - rng.randint(1, 8) :] -= rng.uniform(0.5, 4.0)
        one = one.clamp_min(-10.0)
        result[i, :, : one.shape[1]] = (one.clamp_min(one.max() - 8.0) + 4.0) / 4.0
    return result


def _stamp(time_s: float) -> int:
    return FIRST_STAMP + min(max(round(time_s / TIMESTAMP_STEP_S), 0), 1500)


@dataclass
class _Target:
    """A token sequence under construction, with the span of sound each token should be read from."""

    ids: list[int]
    spans_s: list[tuple[float, float]]

    def add(self, token_id: int, from_s: float, to_s: float) -> None:
        self.ids.append(token_id)
        self.spans_s.append((max(0.0, from_s), to_s))


def _target(example: Example, with_stamps: bool, shift_s: float) -> _Target:
    target = _Target([], [])
    for turn in example.turns:
        times_s = turn.character_times_s()
        if with_stamps:
            target.add(_stamp(times_s[0][0] + shift_s), times_s[0][0] - 0.1, times_s[0][0] + 0.12)
        if turn.cut and with_stamps:
            break  # Whisper leaves an unfinished segment to the next window, which starts at this timestamp
        for character, (start_s, end_s) in zip(turn.clip.text, times_s, strict=True):
            if end_s < example.duration_s - 0.05 or not turn.cut:
                target.add(CHARACTER_IDS[character], start_s - 0.04, max(end_s, start_s + 0.06) + 0.04)
        if with_stamps:
            target.add(_stamp(times_s[-1][1] + shift_s), times_s[-1][1] - 0.12, times_s[-1][1] + 0.1)
    if with_stamps and not example.turns:
        target.add(FIRST_STAMP, 0.0, 0.3)  # faster-whisper forces a timestamp first, even in silence
    end_s = example.duration_s if not example.turns else min(target.spans_s[-1][1], example.duration_s)
    target.add(END, end_s - 0.1, end_s + 0.2)
    return target


def make_batch(scenes: Scenes, rng: random.Random, count: int, longest_s: float, salad_share: float) -> Batch:
    """A batch of windows of similar length."""
    # Of twice as many the shorter or the longer half: a batch costs as much as its longest window.
    drawn = [scenes.make(rng, longest_s * rng.uniform(0.6, 1.0), salad_share) for _ in range(2 * count)]
    first = rng.choice((0, count))
    examples = sorted(drawn, key=lambda example: example.duration_s)[first : first + count]
    features = _features(examples, rng)
    frames = features.shape[2] // 2
    shift = torch.zeros(count, dtype=torch.long)
    frame_classes = torch.zeros(count, frames, dtype=torch.long)
    prompts, targets = [], []
    for i, example in enumerate(examples):
        # Half of the windows lie somewhere else in the 30 s: what a sound is must not depend on when it is heard.
        shift[i] = rng.randint(0, WINDOW_FRAMES - frames) if rng.random() < 0.5 else 0
        with_stamps = rng.random() < 0.85
        prompts.append([START, CHINESE, TRANSCRIBE] + ([] if with_stamps else [NO_TIMESTAMPS]))
        targets.append(_target(example, with_stamps, int(shift[i]) * FRAME_S))
        for turn in example.turns:
            for character, (start_s, end_s) in zip(turn.clip.text, turn.character_times_s(), strict=True):
                if character in FRAME_CLASSES:
                    place = slice(round(start_s / FRAME_S), round(end_s / FRAME_S))
                    frame_classes[i, place] = FRAME_CLASSES[character]
    longest = max(len(prompt) + len(target.ids) for prompt, target in zip(prompts, targets, strict=True)) - 1
    inputs = torch.full((count, longest), END)
    labels = torch.full((count, longest), -100)
    attend_s = torch.full((count, longest, 2), -1.0)
    for i, (prompt, target, example) in enumerate(zip(prompts, targets, examples, strict=True)):
        ids = torch.tensor(prompt + target.ids)
        inputs[i, : len(ids) - 1] = ids[:-1]
        labels[i, 0] = CHINESE if example.turns else NO_SPEECH
        labels[i, len(prompt) - 1 : len(ids) - 1] = ids[len(prompt) :]
        attend_s[i, len(prompt) - 1 : len(ids) - 1] = torch.tensor(target.spans_s)
    return Batch(features, shift, inputs, labels, attend_s, frame_classes)


def corrupt(inputs: Tensor, share: float) -> Tensor:
    """Replace a share of the characters already written, so that the model cannot recite what usually follows."""
    characters = torch.tensor(list(CHARACTER_IDS.values()))
    wrong = characters[torch.randint(0, len(characters), inputs.shape)]
    return torch.where((inputs < END) & (torch.rand(inputs.shape) < share), wrong, inputs)
