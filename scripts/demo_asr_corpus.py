"""Which voice says what: the training speech, and the settings which training must never hear.

The demo and the held-back test would prove nothing with sound the model was trained on. Training speaks at whole
tens of words per minute and at pitches divisible by five; the demo and the test at none of these; and the
throats of the test are in no training voice.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context

from scripts.demo_asr_speech import Clip, Voice, render
from scripts.demo_asr_text import PRACTICE, UNSEEN, load_dialogue, word_salad

DEMO_VOICES = {"expert": Voice("m3", 184, 47), "patient": Voice("f2", 176, 58)}
HELD_BACK_VARIANTS = ("m6", "m7", "f5")
HELD_BACK_SPEEDS = (154, 171, 188)
HELD_BACK_PITCHES = (43, 52, 61)

# Voices that whisper, croak or ignore the speed they are told are left out.
_TRAINING_VARIANTS = (
    *("", "m1", "m2", "m3", "m4", "m5", "f1", "f2", "f3", "f4", "Annie", "Andy", "linda", "adam", "edward"),
    *("Alex", "Mario", "max", "paul", "rob", "victor", "zac", "iven", "marcelo"),
)
_TRAINING_SPEEDS = range(130, 210, 10)
_TRAINING_PITCHES = range(30, 75, 5)
_SALAD_CLIPS = 7000


@dataclass(frozen=True)
class Corpus:
    """Training clips: for each turn of the dialogue its renders, then practice sentences, then word salad."""

    dialogue: list[list[Clip]]
    practice: list[Clip]
    salad: list[Clip]


def _any_voice(rng: random.Random, variants: Sequence[str]) -> Voice:
    size = 1.0 if rng.random() < 0.4 else rng.uniform(0.9, 1.12)
    return Voice(rng.choice(variants), rng.choice(_TRAINING_SPEEDS), rng.choice(_TRAINING_PITCHES), size)


def _render_job(job: tuple[str, Voice]) -> Clip:
    return render(*job)


def render_corpus(seed: int) -> Corpus:
    """All training speech, about six hours, in about two minutes. The dialogue is spoken most by its own two."""
    rng = random.Random(seed)
    demo_variants = [voice.variant for voice in DEMO_VOICES.values()]
    dialogue = [line.text for line in load_dialogue()]
    jobs = [
        (text, _any_voice(rng, [variant]))
        for text in dialogue
        for variant in (*_TRAINING_VARIANTS * 2, *demo_variants * 12)
    ]
    per_turn = len(jobs) // len(dialogue)
    jobs += [(text, _any_voice(rng, [variant])) for text in PRACTICE for variant in _TRAINING_VARIANTS]
    first_salad = len(jobs)
    jobs += [
        (word_salad(rng), _any_voice(rng, (*_TRAINING_VARIANTS, *demo_variants))) for _ in range(_SALAD_CLIPS)
    ]
    with get_context("spawn").Pool(2) as pool:
        clips = pool.map(_render_job, jobs, chunksize=64)
    of_dialogue = per_turn * len(dialogue)
    return Corpus(
        [clips[i : i + per_turn] for i in range(0, of_dialogue, per_turn)],
        clips[of_dialogue:first_salad],
        clips[first_salad:],
    )


def render_held_back(seed: int) -> list[Clip]:
    """The test clips: every voice with every speed and pitch; eight sentences were never a training text."""
    rng = random.Random(seed)
    practised = rng.sample([line.text for line in load_dialogue()] + PRACTICE, 27 - len(UNSEEN))
    texts = iter(rng.sample(practised + UNSEEN, 27))
    return [
        render(next(texts), Voice(variant, speed, pitch))
        for variant in HELD_BACK_VARIANTS
        for speed in HELD_BACK_SPEEDS
        for pitch in HELD_BACK_PITCHES
    ]
