"""The learned finder of identifiers: what it adds to the rules, and what it may never do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from processing.identifiers import find_identifiers
from processing.names import RegisteredName
from processing.spoken import fold
from processing.wordings import TAGS, decoded, features_of, find_by_wording, load_weights, spans_of
from scripts.train_wordings import digest, sentences

NAMES = (RegisteredName("王秀英"), RegisteredName("单雄飞", "relative"))
SCORES = st.integers(1, 30).flatmap(
    lambda length: arrays(np.float32, (length, len(TAGS)), elements=st.floats(-99, 99, width=32))
)


def test_the_model_was_made_from_the_sentences_that_are_here() -> None:
    assert load_weights().learned_from == digest(sentences()), "run python -m scripts.train_wordings"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("就在枫溪里，南门进来头一栋", "address"),
        ("快递送到桃溪雅筑，别放驿站", "address"),
        ("上回建的档，KD-330871，骨科建的", "record_number"),
        ("您加他，zhao.lin.bj，中间是点儿", "wechat"),
    ],
)
def test_what_no_rule_knows_is_known_by_its_wording(text: str, kind: str) -> None:
    assert kind in {span.kind for span in find_by_wording(fold(text), NAMES)}
    assert kind in {span.kind for span in find_identifiers(text, NAMES)}


@pytest.mark.parametrize(
    "text",
    [
        "黄芪三十克，当归十二克，川芎十克",
        "血压一百三十八，八十六",
        "二零一九年四月做的支架，放了两个",
        "欧姆龙HEM7124量的",
        "坐特8路到东大桥倒28路",
    ],
)
def test_ordinary_talk_with_figures_in_it_is_left(text: str) -> None:
    assert find_by_wording(fold(text), NAMES) == []


@given(st.text("王秀英一三8，。\nA住号的①", max_size=60))
def test_spans_are_in_order_and_within_the_text(text: str) -> None:
    spans = find_by_wording(text, NAMES, frozenset(("三号",)))
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == sorted(edges) and all(0 <= edge <= len(text) for edge in edges)
    assert all(span.start < span.end and span.kind != "name" for span in spans)


@given(SCORES)
def test_nothing_goes_on_that_has_not_begun(scores: np.ndarray) -> None:
    tags = decoded(scores, np.zeros((len(TAGS), len(TAGS)), np.float32))
    for before, tag in zip([0, *tags], tags, strict=False):
        if TAGS[tag].startswith("I"):
            assert TAGS[before][2:] == TAGS[tag][2:]
    told = sum(end - start for _, start, end in spans_of(tags))
    assert told == sum(tag != 0 for tag in tags)


def test_another_name_in_the_same_place_has_the_same_features() -> None:
    one = features_of("请王秀英进来", NAMES, ())
    other = features_of("请赵桂兰进来", (RegisteredName("赵桂兰"), RegisteredName("单雄飞", "relative")), ())
    assert (one == other).all()
