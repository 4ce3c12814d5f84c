"""Train the small pipeline of tests/data/pyannote-small from nothing: seven minutes on two cores.

    .venv-pyannote/bin/python -m pip install av                                       # reads FLAC
    .venv-pyannote/bin/python -m tests.processing.pyannote_models tests/data/pyannote-small

A published pipeline is large and under a licence that everybody has to accept for themselves. This one has the same parts
in the same files, so that pyannote's own code loads and runs it: who of two is talking (PyanNet), whose voice it is
(XVectorMFCC) and how far voices differ (PLDA). It hears nothing but the three synthetic voices of
tests/data/asr_heldback, played slower and faster; the voices of the demo, which the tests separate, are new to it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from itertools import permutations
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.signal
import torch
from pyannote.audio.core.model import Model
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import XVectorMFCC
from pyannote.audio.models.segmentation import PyanNet
from pyannote.audio.utils.powerset import Powerset
from torch import nn

from tests.processing.media_files import Samples, read_sound

SPEECH = Path(__file__).parents[1] / "data" / "asr_heldback"
RATE_HZ = 16_000
CHUNK_S = 5.0
TEMPOS = (0.76, 0.83, 0.91, 1.0, 1.1, 1.2, 1.32)  # pitch and formants move along: as many voices
WIDTHS = (32, 32, 32, 32, 64)  # channels in use of XVectorMFCC's 512, 512, 512, 512, 1500
DIMENSION, LDA_DIMENSION = 32, 16
SEGMENTATION_STEPS, EMBEDDING_STEPS = 700, 500
CONFIG = """\
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    segmentation: $model/segmentation
    segmentation_batch_size: 16
    embedding: $model/embedding
    embedding_batch_size: 16
    embedding_exclude_overlap: true
    segmentation_step: 0.2
    plda: $model/plda
    clustering: VBxClustering
params:
  clustering:
    threshold: 1.0
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""

Voices = list[list[Samples]]


def read_voices() -> Voices:
    """Each voice's clips, loudness 1, without the silence at their ends."""
    clips = json.loads((SPEECH / "index.json").read_text())["clips"]
    voices: Voices = []
    for name in sorted({clip["voice"] for clip in clips}):
        spoken = [read_sound(SPEECH / clip["file"]) for clip in clips if clip["voice"] == name]
        for tempo in TEMPOS:
            voices.append(
                [_trimmed(scipy.signal.resample(clip, round(len(clip) / tempo))) for clip in spoken]
            )
    return voices


def _trimmed(clip: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(clip) > 0.03 * np.abs(clip).max())
    kept = clip[loud[0] : loud[-1] + 1]
    return (kept / np.sqrt(np.mean(kept**2))).astype(np.float32)


class Scenes:
    """Draws what the models learn from."""

    def __init__(self, voices: Voices, seed: int) -> None:
        self.voices = voices
        self.draw = np.random.default_rng(seed)

    def conversation(self) -> tuple[Samples, np.ndarray]:
        """A chunk of two people taking turns, and who talks: float32 (samples,) and bool (2, samples)."""
        length = round(CHUNK_S * RATE_HZ)
        lead = round(3 * RATE_HZ)
        sound = np.zeros(length + 2 * lead, np.float32)
        talks = np.zeros((2, len(sound)), bool)
        pair = self._pair()
        levels = 10 ** (self.draw.uniform(-4, 4, 2) / 20)
        speaker, at = self.draw.integers(2), int(self.draw.integers(lead))
        while at < lead + length:
            clip = self._clip(pair[speaker])[: len(sound) - at]
            sound[at : at + len(clip)] += clip * levels[speaker]
            talks[speaker, at : at + len(clip)] = True
            gap_s = -self.draw.uniform(0.2, 0.9) if self.draw.random() < 0.2 else self.draw.exponential(0.5)
            at = max(0, at + len(clip) + round(gap_s * RATE_HZ))
            speaker = 1 - speaker if self.draw.random() < 0.8 else speaker
        middle = slice(lead, lead + length)
        return self._recorded(sound[middle]), talks[:, middle]

    def utterance(self, voice: int) -> Samples:
        """Two seconds of one voice; float32 (samples,)."""
        clip = np.concatenate([self._clip(voice), self._clip(voice)])
        start = int(self.draw.integers(max(1, len(clip) - 2 * RATE_HZ)))
        return self._recorded(np.resize(clip[start : start + 2 * RATE_HZ], 2 * RATE_HZ))

    def _clip(self, voice: int) -> Samples:
        return self.voices[voice][self.draw.integers(len(self.voices[voice]))]

    def _pair(self) -> tuple[int, int]:
        """Two voices that differ in person or by a quarter in pitch."""
        while True:
            one, other = self.draw.integers(len(self.voices), size=2)
            (person, tempo), (person2, tempo2) = divmod(one, len(TEMPOS)), divmod(other, len(TEMPOS))
            if person != person2 or abs(np.log(TEMPOS[tempo] / TEMPOS[tempo2])) > np.log(1.25):
                return int(one), int(other)

    def _recorded(self, sound: Samples) -> Samples:
        noise = 10 ** (self.draw.uniform(-45, -20) / 20) * self.draw.standard_normal(len(sound))
        return ((sound + noise) * 0.05 * 10 ** (self.draw.uniform(-12, 6) / 20)).astype(np.float32)


def train_segmentation(scenes: Scenes) -> PyanNet:
    model = PyanNet(lstm={"hidden_size": 32, "num_layers": 2}, linear={"hidden_size": 32, "num_layers": 1})
    model.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=CHUNK_S,
        classes=["speaker#1", "speaker#2"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    model.setup()
    powerset = Powerset(2, 2)
    rate, reach = model.receptive_field.step, model.receptive_field.duration
    frames = model.num_frames(round(CHUNK_S * RATE_HZ))
    centers = np.round((np.arange(frames) * rate + reach / 2) * RATE_HZ).astype(int)

    def loss(_step: int) -> torch.Tensor:
        batch = [scenes.conversation() for _ in range(16)]
        scores = model(torch.from_numpy(np.stack([sound for sound, _ in batch])[:, None]))
        talks = torch.from_numpy(np.stack([talk[:, centers] for _, talk in batch])).float().transpose(1, 2)
        each = [
            nn.functional.nll_loss(
                scores.transpose(1, 2),
                powerset.to_powerset(talks[:, :, list(order)]).argmax(-1),
                reduction="none",
            ).mean(1)
            for order in permutations(range(2))
        ]
        return torch.stack(each).min(0).values.mean()

    _descend("segmentation", model.parameters(), loss, SEGMENTATION_STEPS, 4e-3)
    return model.eval()


def train_embedding(scenes: Scenes) -> XVectorMFCC:
    """XVectorMFCC in a thin dress, taught to tell the voices apart; widened afterwards with zeros."""
    model = XVectorMFCC(dimension=DIMENSION)
    model.specifications = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=CHUNK_S)
    full, full_out = model.tdnns, model.embedding
    model.tdnns = nn.ModuleList()
    inputs = full[0].in_channels
    for layer, width in zip(full[::3], WIDTHS, strict=True):
        convolution = nn.Conv1d(inputs, width, layer.kernel_size, dilation=layer.dilation)
        model.tdnns.extend([convolution, nn.LeakyReLU(), nn.BatchNorm1d(width)])
        inputs = width
    model.embedding = nn.Linear(2 * inputs, DIMENSION)
    prototypes = nn.Parameter(torch.randn(len(scenes.voices), DIMENSION))

    def loss(step: int) -> torch.Tensor:
        truth = torch.from_numpy(scenes.draw.integers(len(scenes.voices), size=32))
        sounds = torch.from_numpy(np.stack([scenes.utterance(int(voice)) for voice in truth])[:, None])
        unit = nn.functional.normalize
        likeness = unit(model(sounds)) @ unit(prototypes).T
        likeness = likeness - 0.2 * nn.functional.one_hot(truth, len(prototypes))
        return nn.functional.cross_entropy(12 * likeness, truth)

    _descend("embedding", [*model.parameters(), prototypes], loss, EMBEDDING_STEPS, 4e-3)
    thin, thin_out = model.tdnns, model.embedding
    model.tdnns, model.embedding = full, full_out
    with torch.no_grad():
        for one, other in zip(full, thin, strict=True):
            _widen(one, other)
        for part in (full_out.weight, full_out.bias):
            part.zero_()
        full_out.bias += thin_out.bias
        for wide, narrow in ((0, 0), (full[-1].num_features, WIDTHS[-1])):  # means, then deviations
            columns = thin_out.weight[:, narrow : narrow + WIDTHS[-1]]
            full_out.weight[:, wide : wide + WIDTHS[-1]] = columns
    return model.eval()


def _widen(full: nn.Module, thin: nn.Module) -> None:
    """The channels of ``thin`` come first; all others stay at zero, whatever comes in."""
    neutral = {"running_var": 1.0}
    for name, value in full.state_dict().items():
        value.fill_(neutral.get(name, 0.0))
        small = thin.state_dict()[name]
        value[tuple(slice(size) for size in small.shape)] = small


def fit_plda(model: XVectorMFCC, scenes: Scenes) -> dict[str, dict[str, np.ndarray]]:
    """Centring, LDA and two-covariance PLDA in the form that pyannote.audio.utils.vbx reads."""
    per_voice = 40
    with torch.inference_mode():
        found = np.stack(
            [
                model(torch.from_numpy(np.stack([scenes.utterance(v) for _ in range(per_voice)])[:, None]))
                for v in range(len(scenes.voices))
            ]
        ).astype(np.float64)
    mean1 = found.mean((0, 1))
    spread = _unit(found - mean1) * np.sqrt(DIMENSION)
    lda = scipy.linalg.eigh(*_covariances(spread))[1][:, ::-1][:, :LDA_DIMENSION]
    mean2 = (spread @ lda).mean((0, 1))
    reduced = _unit(spread @ lda - mean2) * np.sqrt(LDA_DIMENSION)
    psi, basis = scipy.linalg.eigh(*_covariances(reduced))
    plda = {"mu": reduced.mean((0, 1)), "tr": basis.T[::-1], "psi": np.maximum(psi[::-1], 1e-3)}
    return {"xvec_transform": {"mean1": mean1, "mean2": mean2, "lda": lda}, "plda": plda}


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _covariances(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between and within voices, of (voices, utterances, dimension)."""
    centers = found.mean(1)
    inside = (found - centers[:, None]).reshape(-1, found.shape[-1])
    return np.cov(centers.T), np.cov(inside.T) + 1e-6 * np.eye(found.shape[-1])


def _descend(name: str, parameters, loss, steps: int, peak_rate: float) -> None:
    optimiser = torch.optim.Adam(parameters, lr=peak_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_rate, total_steps=steps)
    for step in range(steps):
        value = loss(step)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"{name} {step:4d} loss {value.item():.3f}", flush=True)


def save_model(model: Model, folder: Path) -> None:
    """A checkpoint as pyannote.audio keeps them; deflated, for most of it is zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": {name: value for name, value in model.hparams.items() if name != "task"},
        "pytorch-lightning_version": "2.6.0",
    }
    model.on_save_checkpoint(checkpoint)
    stored = folder / "stored.bin"
    torch.save(checkpoint, stored)
    with (
        zipfile.ZipFile(stored) as source,
        zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as sink,
    ):
        for name in source.namelist():
            sink.writestr(zipfile.ZipInfo(name), source.read(name), zipfile.ZIP_DEFLATED)
    stored.unlink()


def main() -> None:
    folder = Path(sys.argv[1])
    torch.manual_seed(1)
    voices = read_voices()
    save_model(train_segmentation(Scenes(voices, 1)), folder / "segmentation")
    embedding = train_embedding(Scenes(voices, 2))
    save_model(embedding, folder / "embedding")
    (folder / "plda").mkdir(exist_ok=True)
    for name, arrays in fit_plda(embedding, Scenes(voices, 3)).items():
        np.savez(folder / "plda" / f"{name}.npz", **arrays)
    (folder / "config.yaml").write_text(CONFIG)


if __name__ == "__main__":
    main()
