"""Train the recogniser of the demo and the tests from nothing, and write processing/models/demo-asr.

    python -m scripts.train_demo_asr --work FOLDER                 # everything: half an hour on two idle cores
    python -m scripts.train_demo_asr --work FOLDER --export-only   # the newest checkpoint, also while training runs

The speech of the demo is synthetic, so that nobody's voice is in the repository; and a real Whisper is too large to
ship with it. Hence a tiny one that knows this synthesiser and these words. It is of no use for human speech.

Needs, beyond the product: torch 2.13 (CPU), transformers 4.57, and the espeak-ng library. None of them is in the
product's lock, because nothing but this script needs them. An interrupted run continues from its checkpoint.
"""

import argparse
import copy
import math
import pickle
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.demo_asr_batches import Batch, Scenes, corrupt, make_batch
from scripts.demo_asr_check import (
    MODEL_DIR,
    Heard,
    character_error_rate,
    hear_dialogue,
    hear_held_back,
    hear_pairs,
    load_model,
)
from scripts.demo_asr_corpus import Corpus, render_corpus
from scripts.demo_asr_export import export
from scripts.demo_asr_model import TinyWhisper, losses
from scripts.demo_audio import render_tracks

SEED = 20_260
# Enough for single turns; windows of several turns would still gain from twice as many.
STEPS = 1900
PEAK_LEARNING_RATE = 2e-3
WARM_UP_STEPS = 100
# Until then mostly sentences without sense and short windows: first to listen, then to follow a dialogue.
LISTEN_UNTIL = 0.5
_CHECKPOINT_EVERY = 100
_AVERAGE = 0.995


@dataclass(frozen=True)
class Diet:
    """How many windows of which length a step takes, and how often."""

    longest_s: float
    windows: int
    share: float


# Short windows teach most per second of computing; 30 s ones only have to show how turns follow each other.
EARLY = [Diet(4.0, 26, 0.5), Diet(8.0, 14, 0.38), Diet(16.0, 7, 0.12)]
LATE = [Diet(4.0, 26, 0.3), Diet(8.0, 14, 0.35), Diet(16.0, 7, 0.2), Diet(30.0, 4, 0.15)]


def batch_of_step(scenes: Scenes, step: int, progress: float) -> Batch:
    """The batch of a step depends on nothing but the step: so an interrupted run goes on exactly as it would have."""
    rng = random.Random(f"{SEED}/{step}")
    torch.manual_seed(SEED + step)
    diets = EARLY if progress < LISTEN_UNTIL else LATE
    diet = rng.choices(diets, weights=[diet.share for diet in diets])[0]
    salad_share = 0.7 if progress < LISTEN_UNTIL else 0.35
    batch = make_batch(scenes, rng, diet.windows, diet.longest_s, salad_share)
    batch.inputs[:] = corrupt(batch.inputs, 0.3 if progress < LISTEN_UNTIL else 0.12)
    return batch


def learning_rate(step: int, progress: float) -> float:
    """One warm-up and one long cosine: restarts only made the model worse."""
    return (
        PEAK_LEARNING_RATE
        * min(1.0, (step + 1) / WARM_UP_STEPS)
        * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))
    )


def train(corpus: Corpus, checkpoint: Path) -> None:
    """Train to the end, from the checkpoint if there is one."""
    torch.manual_seed(SEED)
    scenes = Scenes(corpus.dialogue, corpus.practice, corpus.salad)
    model = TinyWhisper()
    averaged = copy.deepcopy(model).requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    started_s = time.monotonic()
    for step in range(first, STEPS):
        progress = step / STEPS
        batch = batch_of_step(scenes, step, progress)
        part = losses(model, batch)
        optimizer.param_groups[0]["lr"] = learning_rate(step, progress)
        optimizer.zero_grad()
        frame_weight = 1.0 if progress < 0.6 else 0.5
        torch.autograd.backward(part.token + frame_weight * part.frame + 0.4 * part.attention)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        # The average over the last two hundred steps recognises better than any single step.
        keep = min(_AVERAGE, (step + 1) / (step + 10))
        for slow, fast in zip(averaged.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast.detach(), 1 - keep)
        done = step + 1
        if done % 20 == 0:
            left_min = (time.monotonic() - started_s) / (done - first) * (STEPS - done) / 60
            print(
                f"{done}/{STEPS} {left_min:.1f} min left | token {part.token.item():.3f} "
                f"frame {part.frame.item():.3f} attention {part.attention.item():.3f} accuracy {part.accuracy:.3f}",
                flush=True,
            )
        if done % _CHECKPOINT_EVERY == 0 or done == STEPS:
            state = {"model": model.state_dict(), "averaged": averaged.state_dict(), "step": done}
            torch.save(state | {"optimizer": optimizer.state_dict()}, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)


def export_and_measure(checkpoint: Path, folder: Path) -> None:
    """Write the averaged model, then recognise with it what the tests recognise, and show every mistake."""
    saved = torch.load(checkpoint)
    model = TinyWhisper()
    model.load_state_dict(saved["averaged"])
    export(model.eval(), folder)
    exported = load_model(folder)
    recording = render_tracks()
    results: dict[str, list[Heard]] = hear_held_back(exported) | hear_dialogue(exported, recording)
    results["two turns"] = hear_pairs(exported, recording)
    print(f"step {saved['step']}")
    for name, heard in results.items():
        print(f"{name}: character error rate {character_error_rate(heard):.2%}")
        for one in heard:
            if one.said != one.written:
                print(f"    {one.said} -> {one.written}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for training speech and checkpoints")
    parser.add_argument("--model", type=Path, default=MODEL_DIR, help="folder to write the model to")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.work / "checkpoint.pt"
    if not arguments.export_only:
        speech = arguments.work / "speech.pickle"
        if not speech.exists():
            speech.write_bytes(pickle.dumps(render_corpus(SEED)))
        train(pickle.loads(speech.read_bytes()), checkpoint)
    export_and_measure(checkpoint, arguments.model)


if __name__ == "__main__":
    main()
