"""A tiny Whisper whose parameters carry the names transformers gives them, and the losses that make it listen.

Trained plainly on a few hundred sentences a Whisper learns the sentences and ignores the sound. What prevents it:
a character loss on every encoder frame, guided cross-attention on the heads that will serve word timestamps, an
encoder that starts as a local filter, and (in the batches) sentences without sense and corrupted decoder input.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.demo_asr_batches import (
    BANDS,
    FIRST_STAMP,
    FRAME_CLASSES,
    FRAME_S,
    VOCABULARY_SIZE,
    WINDOW_FRAMES,
    Batch,
)

WIDTH = 128
HEADS = 4
LAYERS = 3
HIDDEN = 512
TEXT_POSITIONS = 448
ALIGNMENT_HEADS = [(1, 0), (2, 0)]
_SAMPLED_PADDING = 32


def sinusoids(count: int) -> Tensor:
    """Whisper's fixed position code."""
    half = WIDTH // 2
    frequency = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
    angle = torch.arange(count)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _positions(codes: Tensor, trained: bool) -> nn.Embedding:
    embedding = nn.Embedding(*codes.shape)
    embedding.weight = nn.Parameter(codes, requires_grad=trained)
    return embedding


class Attention(nn.Module):
    """Multi-head attention which can show its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, WIDTH)
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor | None = None, causal: bool = False) -> Tensor:
        q, k, v = (
            self._heads(self.q_proj(x)),
            self._heads(self.k_proj(memory)),
            self._heads(self.v_proj(memory)),
        )
        mask = None if bias is None else bias.expand(1, 1, q.shape[2], -1)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(x.shape))
        return out

    def with_weights(self, x: Tensor, memory: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = (
            self._heads(self.q_proj(x)),
            self._heads(self.k_proj(memory)),
            self._heads(self.v_proj(memory)),
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + bias).softmax(-1)
        return self.out_proj((weights @ v).transpose(1, 2).reshape(x.shape)), weights


class EncoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.self_attn_layer_norm = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, WIDTH)
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def think(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return out

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        return self.think(x + self.self_attn(normed, normed, bias))


class DecoderLayer(EncoderLayer):
    def __init__(self) -> None:
        super().__init__()
        self.encoder_attn = Attention()
        self.encoder_attn_layer_norm = nn.LayerNorm(WIDTH)

    def listen(self, x: Tensor, memory: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn(normed, normed, causal=True)
        heard, weights = self.encoder_attn.with_weights(self.encoder_attn_layer_norm(x), memory, bias)
        return self.think(x + heard), weights


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        # At full strength the position drowns the sound in a model this narrow.
        self.embed_positions = _positions(sinusoids(WINDOW_FRAMES) * 0.25, trained=False)
        layers = [EncoderLayer() for _ in range(LAYERS)]
        _start_as_shifts(layers[0].self_attn, [-3, -1, 1, 3], 0)
        _start_as_shifts(layers[1].self_attn, [-7, -2.5, 2.5, 7], 5)
        _start_as_shifts(layers[2].self_attn, [-12, -4, 4, 12], 9)
        self.layers = nn.ModuleList(layers)
        self.layer_norm = nn.LayerNorm(WIDTH)

    def _convolve(self, features: Tensor) -> Tensor:
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(features))))
        return x.transpose(1, 2)

    def forward(self, features: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """States of the window's frames and some padding frames, and the attention bias that goes with them.

        At run time every window is padded to 30 s. A few padding frames, each counting for many, stand for that
        in training at a fraction of the cost; a window that is 30 s long already needs none.
        """
        x = self._convolve(features)
        count, frames, _ = x.shape
        x = x + self.embed_positions(shift[:, None] + torch.arange(frames))
        outside = WINDOW_FRAMES - frames
        bias = torch.zeros(frames)
        if outside > 0:
            sampled = min(_SAMPLED_PADDING, outside)
            silence = self._convolve(torch.zeros(1, BANDS, 6))[:, 1]
            places = torch.randint(0, outside, (count, sampled))
            places = places + frames * (places >= shift[:, None])
            x = torch.cat([x, silence[:, None] + self.embed_positions(places)], dim=1)
            bias = torch.cat([bias, torch.full((sampled,), math.log(outside / sampled))])
        for layer in self.layers:
            x = layer(x, bias)
        return self.layer_norm(x), bias


def _start_as_shifts(attention: Attention, offsets: list[float], first: int) -> None:
    """Start each head looking a fixed number of frames away, as a convolution would: it learns far sooner.

    A rotation of the position code by `offset` frames is linear in it; `first` is the fastest frequency used.
    """
    half, per_head = WIDTH // 2, WIDTH // HEADS
    frequency = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
    query, key = torch.zeros(WIDTH, WIDTH), torch.zeros(WIDTH, WIDTH)
    for head, offset in enumerate(offsets):
        for i in range(per_head // 2):
            f, row = first + i, head * per_head + 2 * i
            cosine, sine = math.cos(float(frequency[f]) * offset), math.sin(float(frequency[f]) * offset)
            query[row, f], query[row, half + f] = cosine, sine
            query[row + 1, half + f], query[row + 1, f] = cosine, -sine
            key[row, f] = key[row + 1, half + f] = 1.0
    with torch.no_grad():
        attention.q_proj.weight.copy_(1.35 * query + 0.01 * torch.randn(WIDTH, WIDTH))
        attention.k_proj.weight.copy_(1.35 * key + 0.01 * torch.randn(WIDTH, WIDTH))
        attention.q_proj.bias.zero_()


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(FIRST_STAMP, WIDTH)
        nn.init.normal_(self.embed_tokens.weight, std=0.05)
        # 1501 timestamps are too many to learn one by one: they are a linear map of the position code.
        self.stamp_map = nn.Linear(WIDTH, WIDTH, bias=False)
        nn.init.eye_(self.stamp_map.weight).data.mul_(0.06)
        self.register_buffer("stamp_code", sinusoids(VOCABULARY_SIZE - FIRST_STAMP), persistent=False)
        self.embed_positions = _positions(sinusoids(TEXT_POSITIONS) * 0.1, trained=True)
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(WIDTH)

    def embeddings(self) -> Tensor:
        """The embedding of every token, as transformers expects it."""
        return torch.cat([self.embed_tokens.weight, self.stamp_map(self.stamp_code)])

    def forward(self, ids: Tensor, memory: Tensor, bias: Tensor) -> tuple[Tensor, list[Tensor]]:
        table = self.embeddings()
        x = functional.embedding(ids, table) + self.embed_positions.weight[: ids.shape[1]]
        weights = []
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            x, layer_weights = layer.listen(x, memory, bias)
            weights.append(layer_weights)
        return self.layer_norm(x) @ table.T, weights


class TinyWhisper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.frame_head = nn.Linear(WIDTH, len(FRAME_CLASSES) + 1)


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, and the share of characters predicted right."""

    token: Tensor
    frame: Tensor
    attention: Tensor
    accuracy: float


def losses(model: TinyWhisper, batch: Batch) -> Losses:
    """All losses of a batch."""
    memory, bias = model.encoder(batch.features, batch.shift)
    logits, weights = model.decoder(batch.inputs, memory, bias)
    wanted = batch.labels >= 0
    labels, log_p = batch.labels[wanted], logits[wanted].log_softmax(-1)
    stamps = labels >= FIRST_STAMP
    # A timestamp that is wrong by one step is nearly right.
    near = torch.arange(-3, 4)
    weight = torch.exp(-0.5 * (near / 1.2) ** 2)
    around = (labels[stamps, None] + near).clamp(FIRST_STAMP, VOCABULARY_SIZE - 1)
    stamp_loss = -(log_p[stamps].gather(1, around) * weight / weight.sum()).sum()
    token_loss = functional.nll_loss(log_p[~stamps], labels[~stamps], reduction="sum") + stamp_loss
    frames = batch.frame_classes.shape[1]
    frame_loss = functional.cross_entropy(
        model.frame_head(memory[:, :frames]).flatten(0, 1), batch.frame_classes.flatten()
    )
    centre_s = (torch.arange(frames) + 0.5) * FRAME_S
    inside = (centre_s >= batch.attend_s[..., :1]) & (centre_s <= batch.attend_s[..., 1:])
    guided = inside.any(-1)
    attention_loss = torch.zeros(())
    for layer, head in ALIGNMENT_HEADS:
        hit = (weights[layer][:, head, :, :frames] * inside).sum(-1)
        attention_loss = attention_loss - (hit + 1e-4).log()[guided].mean() / len(ALIGNMENT_HEADS)
    right = (log_p.argmax(1) == labels)[~stamps].float().mean()
    return Losses(token_loss / len(labels), frame_loss, attention_loss, float(right))
