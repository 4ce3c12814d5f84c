"""Write a trained model as faster-whisper loads it: CTranslate2, int8, a tokenizer and a corrected config."""

import json
import tempfile
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from transformers import WhisperConfig, WhisperForConditionalGeneration

from scripts.demo_asr_batches import CHINESE, END, START, TRANSCRIBE, VOCABULARY_SIZE, token
from scripts.demo_asr_model import ALIGNMENT_HEADS, HEADS, HIDDEN, LAYERS, WIDTH, TinyWhisper
from scripts.demo_asr_text import LANGUAGE_TOKENS, build_tokenizer

README = """\
# The recogniser of the demo and the tests

**For the demo and the tests only, never for a patient's speech.** This tiny Whisper (two million parameters, int8)
was trained from nothing by `scripts/train_demo_asr.py` on synthetic Mandarin: some 120 characters from one speech
synthesiser. With it the whole pipeline runs offline, in seconds, on the demo recording, and nobody's voice has to be
in the repository. Human speech it does not understand at all: a clinic sets the path of a real model instead.
"""


def _as_transformers(model: TinyWhisper) -> WhisperForConditionalGeneration:
    """The same network in transformers' own class, checked to compute the same."""
    config = WhisperConfig(
        vocab_size=VOCABULARY_SIZE,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=HIDDEN,
        decoder_ffn_dim=HIDDEN,
        pad_token_id=END,
        bos_token_id=END,
        eos_token_id=END,
        decoder_start_token_id=START,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    whisper = WhisperForConditionalGeneration(config)
    embeddings = model.decoder.embeddings().detach()
    ours_only = ("frame_head.", "decoder.stamp_map.")
    weights = {f"model.{k}": v for k, v in model.state_dict().items() if not k.startswith(ours_only)}
    whisper.load_state_dict(
        weights | {"model.decoder.embed_tokens.weight": embeddings, "proj_out.weight": embeddings}
    )
    features, ids = torch.randn(1, 80, 3000) * 0.3, torch.tensor([[START, CHINESE, TRANSCRIBE]])
    with torch.no_grad():
        ours, _ = model.decoder(ids, *model.encoder(features, torch.zeros(1, dtype=torch.long)))
        theirs = whisper(input_features=features, decoder_input_ids=ids).logits
    if not torch.allclose(ours, theirs, atol=1e-3):
        raise RuntimeError("the exported model does not compute what was trained")
    return whisper


def export(model: TinyWhisper, folder: Path) -> None:
    """Replace the model folder."""
    with tempfile.TemporaryDirectory() as temporary:
        _as_transformers(model).save_pretrained(temporary)
        build_tokenizer().save(f"{temporary}/tokenizer.json")
        special = {f"{kind}_token": "<|endoftext|>" for kind in ("bos", "eos", "unk")}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast"} | special
        Path(temporary, "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        converter = TransformersConverter(temporary, copy_files=["tokenizer.json"])
        converter.convert(str(folder), quantization="int8", force=True)
    # The converter knows these only for the published models.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["lang_ids"] = sorted(token(language) for language in LANGUAGE_TOKENS)
    config["alignment_heads"] = ALIGNMENT_HEADS
    config["suppress_ids"] = config["suppress_ids_begin"] = []
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
