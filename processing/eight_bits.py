"""A network in whole numbers of eight bits, in which processors with VNNI instructions do twice the work.

What goes into a convolution is rounded to one of 256 steps over the range that was measured for it on pictures
(``eight_bits.json``), and its weights to one of 255 over the range of each output channel; OpenVINO computes such a
convolution in whole numbers (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino as ov

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest value of what goes into each convolution, by its name in the model."""

RANGES = Path(__file__).with_name("eight_bits.json")
# When ranges are measured the first convolutions are left out, and so stay as they are: faces in the dark are told by less than a step of them. With all in eight bits
# a third of the faint faces of a stage were lost, with these four as they were none.
KEPT_EXACT = 4
# A few values beyond this share of all are cut off, so that the steps of the others are fine.
WITHIN_PERCENT = 99.995
# The axes over which a weight's range is taken: all but those of its output channels.
_WEIGHT_AXES = {
    "Convolution": [1, 2, 3],
    "GroupConvolution": [2, 3, 4],
    "ConvolutionBackpropData": [0, 2, 3],
}


def ranges_of(model_sha256: str) -> Ranges | None:
    """What was measured for a model; None for one that nobody measured."""
    found: dict[str, Ranges] = json.loads(RANGES.read_text("utf-8"))
    return found.get(model_sha256)


def measure_ranges(
    model: ov.Model, pictures: Iterable[NDArray[np.float32]]
) -> dict[str, tuple[float, float]]:
    """The ranges in ``pictures``, each (1, 3, H, W); ``model`` is changed by it."""
    import openvino as ov

    taken = {
        each.get_friendly_name(): each.input_value(0).get_any_name()
        for each in _convolutions(model)[KEPT_EXACT:]
    }
    model.add_outputs(list(dict.fromkeys(taken.values())))
    request = (
        ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    )
    ranges = dict.fromkeys(taken, (0.0, 0.0))
    for picture in pictures:
        request.infer([picture])
        for name, tensor in taken.items():
            ends = np.percentile(request.get_tensor(tensor).data, (100 - WITHIN_PERCENT, WITHIN_PERCENT))
            low, high = ranges[name]
            ranges[name] = (min(low, float(ends[0])), max(high, float(ends[1])))
    return ranges


def in_eight_bits(model: ov.Model, ranges: Ranges) -> None:
    """Round what goes into the convolutions that have a range, and their weights, to eight bits each.

    Raises ValueError when the model lacks one of them.
    """
    from openvino import opset13

    def fixed(value: float) -> Any:
        return opset13.constant(np.full((1, 1, 1, 1), value, np.float32))

    named = {node.get_friendly_name(): node for node in _convolutions(model)}
    if missing := ranges.keys() - named.keys():
        raise ValueError(f"convolutions that the model does not have: {sorted(missing)}")
    for name, (low, high) in ranges.items():
        node = named[name]
        # What never falls below zero has all its steps above; else zero has to be a step.
        furthest = max(-low, high)
        ends = (fixed(0.0), fixed(high)) if low >= 0 else (fixed(-furthest * 128 / 127), fixed(furthest))
        node.input(0).replace_source_output(
            opset13.fake_quantize(node.input_value(0), *ends, *ends, 256).output(0)
        )
        weights = node.input_value(1)
        largest = opset13.reduce_max(opset13.abs(weights), _WEIGHT_AXES[node.get_type_name()], keep_dims=True)
        span = (opset13.negative(largest), largest)
        node.input(1).replace_source_output(opset13.fake_quantize(weights, *span, *span, 255).output(0))
    model.validate_nodes_and_infer_types()


def _convolutions(model: ov.Model) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() in _WEIGHT_AXES]
