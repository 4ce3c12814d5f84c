"""Stretches of text that identify somebody, and the words that stand in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "name",
    "id_number",
    "phone",
    "birth_date",
    "address",
    "record_number",
    "insurance_number",
    "wechat",
    "plate",
]

# They stand in published texts, which are Chinese whatever language the screen is in.
PLACEHOLDERS: Mapping[Kind, str] = {
    "name": "[姓名]",
    "id_number": "[身份证号]",
    "phone": "[电话]",
    "birth_date": "[出生日期]",
    "address": "[住址]",
    "record_number": "[病历号]",
    "insurance_number": "[医保号]",
    "wechat": "[微信号]",
    "plate": "[车牌]",
}


@dataclass(frozen=True)
class TextSpan:
    """Characters ``start`` to ``end`` (excluded) of a text; ``why`` names the rule and never what was said.

    ``confidence`` is a rank from 0 to 1, not a probability: 1.0 a check sum or an exact name, 0.5 a doubt.
    """

    kind: Kind
    start: int
    end: int
    confidence: float
    why: str


def merged(spans: Iterable[TextSpan]) -> list[TextSpan]:
    """The spans in order, those that overlap as one of the surest kind: together they hide all that each hid."""
    out: list[TextSpan] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if out and span.start < out[-1].end:
            surest = max(out[-1], span, key=lambda each: (each.confidence, each.end - each.start))
            out[-1] = replace(surest, start=out[-1].start, end=max(out[-1].end, span.end))
        else:
            out.append(span)
    return out
