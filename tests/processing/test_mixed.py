"""Voices in one mixed channel: pyannote.audio itself, with small models of our own."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from config.errors import ChildCrashed, ChildTimedOut, PyannoteMissing, PyannoteWeightsMissing
from config.settings import Settings, SpeechSettings
from processing import child, mixed
from processing.der import diarization_error
from processing.mixed import separate_or_unknown, turns_of_mix
from processing.transcript import Turn
from scripts.mixtures import RATE_HZ, Room, mix
from tests.conftest import REPOSITORY, need
from tests.processing.hub import Hub, hub_with
from tests.processing.media_files import read_sound

pytestmark = pytest.mark.lengthy
CLIPS = REPOSITORY / "scripts" / "demo_speech"
SMALL = REPOSITORY / "tests" / "data" / "pyannote-small"
PYTHON = REPOSITORY / ".venv-pyannote" / "bin" / "python"


@pytest.fixture(scope="session")
def pyannote() -> SpeechSettings:
    """The small pipeline; its models never heard the voices of the demo."""
    need(PYTHON.exists(), "pyannote.audio (scripts/install-pyannote)")
    return SpeechSettings(pyannote_pipeline=str(SMALL), pyannote_timeout_s=240, threads=1)


@pytest.fixture(scope="session")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Turn]]:
    """Both voices of the demo, taking turns and sometimes talking at once, in one channel with noise."""
    voices = {
        role: [read_sound(path) for path in sorted(CLIPS.glob(f"*_{role}.flac"))[:4]]
        for role in ("expert", "patient")
    }
    files, truth = mix(
        voices,
        Room(crosstalk_db=0.0, snr_db=25.0, overlap=0.05, seed=1),
        tmp_path_factory.mktemp("conversation"),
    )
    return files["expert"], truth


def write_wav(path: Path, sound: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as sink:
        sink.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        sink.writeframes((sound * 32767).astype(np.int16).tobytes())
    return path


def executable(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def best_error_rate(truth: list[Turn], found: list[Turn]) -> float:
    """Against whichever of the people each voice fits best: nobody told the models their names."""
    voices, people = sorted({t.role for t in found}), sorted({t.role for t in truth})
    people += [f"nobody-{index}" for index in range(len(voices))]
    return min(
        diarization_error(truth, [Turn(names[voices.index(t.role)], t.start_s, t.end_s) for t in found]).rate
        for names in permutations(people, len(voices))
    )


def test_two_voices_it_has_never_heard_are_told_apart_without_a_network(
    pyannote: SpeechSettings, conversation: tuple[Path, list[Turn]], tmp_path: Path
) -> None:
    wav, truth = conversation
    alone = ["unshare", "--map-root-user", "--net"]
    need(subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0, "unshare")
    python = executable(tmp_path / "python", f'exec {" ".join(alone)} {PYTHON} "$@"')
    heard: list[float] = []
    turns = turns_of_mix(wav, pyannote.model_copy(update={"pyannote_python": python}), heard.append)
    assert best_error_rate(truth, turns) < 0.15
    assert {turn.role for turn in turns} == {"speaker-1", "speaker-2"} and turns[0].role == "speaker-1"
    assert all(a.end_s <= b.start_s for a, b in pairwise(turns))
    assert heard == sorted(heard) and heard[-1] == 1.0 and len(heard) > 6


def test_a_hint_at_the_number_of_voices_is_followed(
    pyannote: SpeechSettings, conversation: tuple[Path, list[Turn]]
) -> None:
    turns = turns_of_mix(conversation[0], pyannote.model_copy(update={"speakers_max": 1}))
    assert {turn.role for turn in turns} == {"speaker-1"}


def test_silence_holds_nobody(pyannote: SpeechSettings, tmp_path: Path) -> None:
    assert turns_of_mix(write_wav(tmp_path / "silence.wav", np.zeros(8 * RATE_HZ)), pyannote) == []


def test_a_sound_of_a_moment_is_not_worth_asking(tmp_path: Path) -> None:
    nowhere = SpeechSettings(pyannote_python="/no/such/python")
    for samples in (0, 1, RATE_HZ // 4):
        assert turns_of_mix(write_wav(tmp_path / "short.wav", np.zeros(samples)), nowhere) == []


def test_where_pyannote_is_absent_the_turns_are_kept_and_the_case_says_why(
    conversation: tuple[Path, list[Turn]],
) -> None:
    nowhere = SpeechSettings(pyannote_python="/no/such/python")
    with pytest.raises(PyannoteMissing, match="no/such"):
        turns_of_mix(conversation[0], nowhere)
    turns, note = separate_or_unknown(conversation[0], nowhere)
    assert note == {"code": "speakers-unknown", "reason": "pyannote-missing"}
    assert turns and {turn.role for turn in turns} == {"unknown"}


def test_an_interpreter_without_pyannote_is_told_from_one_that_is_absent(
    conversation: tuple[Path, list[Turn]],
) -> None:
    bare = shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin") or ""
    need(bare, "a system Python")
    with pytest.raises(PyannoteMissing, match="No module named"):
        turns_of_mix(conversation[0], SpeechSettings(pyannote_python=bare))


@pytest.mark.parametrize(
    "script, message",
    [("kill -SEGV $$", "-11"), ("echo it broke >&2; exit 3", "exit 3: it broke"), ("exit 0", "exit 0")],
)
def test_a_child_that_dies_costs_no_transcript(
    conversation: tuple[Path, list[Turn]], tmp_path: Path, script: str, message: str
) -> None:
    broken = SpeechSettings(pyannote_python=executable(tmp_path / "python", script))
    with pytest.raises(ChildCrashed, match=message):
        turns_of_mix(conversation[0], broken)
    assert separate_or_unknown(conversation[0], broken)[1] == {
        "code": "speakers-unknown",
        "reason": "child-crashed",
    }


def test_a_child_that_never_ends_is_ended(conversation: tuple[Path, list[Turn]], tmp_path: Path) -> None:
    python = executable(tmp_path / "python", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    begun = time.monotonic()
    with pytest.raises(ChildTimedOut):
        turns_of_mix(conversation[0], SpeechSettings(pyannote_python=python, pyannote_timeout_s=1.0))
    assert time.monotonic() - begun < 20
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_whatever_the_listener_raises_ends_the_child_too(
    conversation: tuple[Path, list[Turn]], tmp_path: Path
) -> None:
    python = executable(
        tmp_path / "python", f"echo $$ > {tmp_path}/pid; echo '{{\"progress\": 0.1}}'; exec sleep 60"
    )

    def stop(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        turns_of_mix(conversation[0], SpeechSettings(pyannote_python=python), stop)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_pipeline_that_lacks_a_part_is_named(
    pyannote: SpeechSettings, conversation: tuple[Path, list[Turn]], tmp_path: Path
) -> None:
    shutil.copytree(SMALL, tmp_path / "torn")
    (tmp_path / "torn" / "plda" / "plda.npz").unlink()
    with pytest.raises(PyannoteWeightsMissing, match=r"torn.*plda\.npz"):
        turns_of_mix(
            conversation[0], pyannote.model_copy(update={"pyannote_pipeline": str(tmp_path / "torn")})
        )


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_with(SMALL) as told:
        yield told


def test_weights_come_from_a_mirror_once_and_from_this_machine_afterwards(
    pyannote: SpeechSettings, hub: Hub, tmp_path: Path
) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(6 * RATE_HZ))
    named = pyannote.model_copy(update={"pyannote_pipeline": "own/small", "hub_endpoint": hub.url})
    with pytest.raises(PyannoteWeightsMissing, match="own/small"):
        turns_of_mix(silence, named)
    entitled = named.model_copy(update={"hub_token": SecretStr("hf_mine")})
    assert turns_of_mix(silence, entitled) == []
    assert "Bearer hf_mine" in hub.tokens
    hub.asked.clear()
    assert turns_of_mix(silence, entitled) == [] and hub.asked == []


def test_without_a_token_or_a_mirror_the_hub_is_never_asked(
    pyannote: SpeechSettings, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    silence = write_wav(tmp_path / "silence.wav", np.zeros(6 * RATE_HZ))
    with pytest.raises(PyannoteWeightsMissing, match="own/small"):
        turns_of_mix(silence, pyannote.model_copy(update={"pyannote_pipeline": "own/small"}))
    assert hub.asked == []


def test_the_token_is_neither_an_argument_nor_in_the_environment(
    conversation: tuple[Path, list[Turn]], tmp_path: Path
) -> None:
    python = executable(
        tmp_path / "python",
        f'tr "\\0" "\\n" < /proc/$$/cmdline > {tmp_path}/seen; env >> {tmp_path}/seen; cat > {tmp_path}/job; exit 1',
    )
    settings = SpeechSettings(pyannote_python=python, hub_token=SecretStr("hf_mine"))
    with pytest.raises(ChildCrashed) as caught:
        turns_of_mix(conversation[0], settings)
    assert "hf_mine" in (tmp_path / "job").read_text()
    assert "hf_mine" not in (tmp_path / "seen").read_text() + str(caught.value) + repr(settings)


def test_a_steps_job_on_disk_holds_no_token_and_only_the_steps_that_fetch_are_given_it(
    tmp_path: Path,
) -> None:
    settings = Settings(speech=SpeechSettings(hub_token=SecretStr("hf_mine")))
    child.write_job(tmp_path, {}, {}, settings)
    assert "hub_token" not in (tmp_path / "job.json").read_text()
    assert child._environment("speakers", settings)["HF_TOKEN"] == "hf_mine"
    assert "hf_mine" not in child._environment("blur", settings).values()


def test_the_fewest_voices_may_not_be_more_than_the_most() -> None:
    with pytest.raises(ValidationError, match="speakers_min"):
        SpeechSettings(speakers_min=3, speakers_max=2)


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 400)), max_size=40))
def test_joining_keeps_the_order_the_ends_and_every_voice(steps: list[tuple[str, int]]) -> None:
    at_s, spoken = 0.0, []
    for speaker, length in steps:
        spoken.append((speaker, at_s, at_s + length / 100))
        at_s += length / 100 + 0.3
    joined = list(mixed._joined(spoken, 0.6))
    assert {who for who, _, _ in joined} == {who for who, _, _ in spoken}
    assert all(a[0] != b[0] and a[2] <= b[1] for a, b in pairwise(joined))
    if spoken:
        assert (joined[0][1], joined[-1][2]) == (spoken[0][1], spoken[-1][2])


def test_the_child_ends_with_its_parent(conversation: tuple[Path, list[Turn]], tmp_path: Path) -> None:
    python = executable(tmp_path / "python", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    code = (
        "import sys; from pathlib import Path; from config.settings import SpeechSettings;"
        "from processing.mixed import turns_of_mix;"
        f"turns_of_mix(Path(sys.argv[1]), SpeechSettings(pyannote_python={python!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(conversation[0])], cwd=REPOSITORY)
    pid = tmp_path / "pid"
    try:
        _wait(lambda: pid.exists() and pid.read_text().strip())
    finally:
        parent.kill()
        parent.wait()
    _wait(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())


def _wait(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    pause = threading.Event()
    while not ready():
        assert time.monotonic() < deadline
        pause.wait(0.02)
