"""Make ``processing/models/wordings.npz`` from the marked sentences in ``tests/data/identifiers``. Takes some minutes.

    python -m scripts.train_wordings                     all sentences, into the file
    python -m scripts.train_wordings --without round24   say what rules and model find in that round, which it has not seen

The same sentences give the same file. Held-back wordings of the tests are not among them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from processing.identifiers import find_by_rules
from processing.lexicon import load_lexicon
from processing.names import RegisteredName
from processing.spoken import fold
from processing.textspan import TextSpan, merged
from processing.wordings import KINDS, MODEL, TAGS, Features, Weights, decoded, features_of, find_by_wording
from scripts.identifier_grammar import generated, sentences_of
from scripts.identifier_sentences import Sentence, look_alikes, measure, with_identifiers

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "identifiers"
ORDINARY = FOLDER.parent / "ordinary_mandarin.txt"
KIND_OF = {
    "id": "id_number",
    "record": "record_number",
    "insurance": "insurance_number",
    "birth": "birth_date",
}
ROUNDS = 10
SEED = 1
OF_GRAMMAR, OF_WORDINGS = 800, 300
STEPS = 127


def sentences(without: Sequence[str] = ()) -> list[Sentence]:
    """Everything to learn from."""
    paths = [path for path in sorted(FOLDER.glob("*.txt")) if path.stem not in without]
    found: list[Sentence] = []
    for path in paths:
        found += generated(path, OF_GRAMMAR) if path.stem.startswith("grammar") else sentences_of(path)
    found += with_identifiers(OF_WORDINGS, held_back=False) + look_alikes(OF_WORDINGS, held_back=False)
    somebody = (RegisteredName("王秀英"), RegisteredName("单雄飞", "relative"))
    found += [Sentence(line, (), somebody) for line in ORDINARY.read_text("utf-8").splitlines()]
    return [each for each in found if each.text]


def tags_of(sentence: Sentence) -> list[int]:
    tags = [0] * len(sentence.text)
    for kind, start, end in sentence.spans:
        first = 1 + 2 * KINDS.index(KIND_OF.get(kind, kind))
        tags[start:end] = [first] + [first + 1] * (end - start - 1)
    return tags


def learned(examples: Sequence[tuple[Features, list[int]]]) -> Weights:
    """The average of the weights after each example (Collins 2002)."""
    keys = np.unique(np.concatenate([features.ravel() for features, _ in examples]))
    places = [np.searchsorted(keys, features) for features, _ in examples]
    values, sums = (np.zeros((len(keys), len(TAGS)), np.float32) for _ in range(2))
    follow, follow_sums = (np.zeros((len(TAGS), len(TAGS)), np.float32) for _ in range(2))
    chance, order, step = random.Random(SEED), list(range(len(examples))), 1.0
    for _ in range(ROUNDS):
        chance.shuffle(order)
        for index in track(order, description="…"):
            at, true = places[index], examples[index][1]
            found = decoded(values[at].sum(axis=1), follow)
            for place, (told, tag) in enumerate(zip(found, true, strict=True)):
                if told != tag:
                    for table, size in ((values, 1.0), (sums, step)):
                        np.add.at(table[:, tag], at[place], size)
                        np.add.at(table[:, told], at[place], -size)
                if place and (found[place - 1], told) != (true[place - 1], tag):
                    for table, size in ((follow, 1.0), (follow_sums, step)):
                        table[true[place - 1], tag] += size
                        table[found[place - 1], told] -= size
            step += 1
    return _small(Weights(keys, values - sums / step, follow - follow_sums / step))


def _small(weights: Weights) -> Weights:
    """In whole steps, without the features that then count for nothing."""
    scale = STEPS / float(np.abs(weights.values).max())
    steps = np.rint(weights.values * scale)
    kept = steps.any(axis=1)
    return Weights(weights.keys[kept], steps[kept].astype(np.int8), np.rint(weights.follow * scale))


def example(sentence: Sentence, terms: frozenset[str]) -> tuple[Features, list[int]]:
    return features_of(fold(sentence.text), sentence.names, terms), tags_of(sentence)


def told(weights: Weights, held_back: Sequence[Sentence], terms: frozenset[str]) -> dict[str, Any]:
    """Of the rules alone, and of both: the share of true spans covered whole, and of those found that meet a true one."""
    values = Weights(weights.keys, weights.values.astype(np.float32), weights.follow)

    def by_rules(text: str, names: Sequence[RegisteredName], terms: Collection[str]) -> list[TextSpan]:
        return find_by_rules(fold(text), names, terms)

    def by_both(text: str, names: Sequence[RegisteredName], terms: Collection[str]) -> list[TextSpan]:
        return merged([*by_rules(text, names, terms), *find_by_wording(fold(text), names, terms, values)])

    found: dict[str, Any] = {"spans": sum(len(each.spans) for each in held_back)}
    for name, find in (("rules", by_rules), ("both", by_both)):
        score = measure(held_back, terms, find)
        found[name] = {"recall": round(score.recall, 3), "precision": round(score.precision, 3)}
    return found


def digest(learned_from: Iterable[Sentence]) -> str:
    """SHA-256 of sentences and their marks."""
    told = [[each.text, each.spans, [name.text for name in each.names]] for each in learned_from]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def save(weights: Weights, path: Path, learned_from: str) -> None:
    arrays: dict[str, NDArray[np.generic]] = {
        "keys": weights.keys,
        "values": weights.values,
        "follow": weights.follow,
        "learned_from": np.array(learned_from),
    }
    np.savez_compressed(path, allow_pickle=False, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--without", nargs="+", default=[], help="names of rounds to hold back, to tell what it finds"
    )
    parser.add_argument("--out", type=Path, default=MODEL)
    asked = parser.parse_args()
    terms = frozenset(fold(term.text) for term in load_lexicon().terms)
    known = sentences(asked.without)
    weights = learned([example(each, terms) for each in track(known, description="…")])
    for name in asked.without:
        print(json.dumps({"round": name} | told(weights, [*sentences_of(FOLDER / f"{name}.txt")], terms)))
    if not asked.without:
        save(weights, asked.out, digest(known))
        print(json.dumps({"features": len(weights.keys), "bytes": asked.out.stat().st_size}))


if __name__ == "__main__":
    main()
