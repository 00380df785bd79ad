"""What a trial's training costs, counted without data, memory or a GPU.

One update runs on PyTorch's ``meta`` device: tensors with shapes and no values, through
the very code that trains. Matrix products are counted as they come by, forward and
backward, two operations per multiplication and addition (element-wise work is left out,
as usual); so is what autograd keeps for the backward pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from d2v_core.build import build_objective
from d2v_core.config import parse_trial
from d2v_core.config.own import reference_in
from d2v_core.config.trial import TrialConfig
from d2v_core.modalities import modality_of
from d2v_core.trial import num_updates

META = torch.device("meta")
NUM_SAMPLES = 8
"""Samples of the update that is run; a batch costs in proportion to its samples."""
WEIGHT_BYTES = 4 * (1 + 1 + 2)
"""float32: the weight, its gradient and AdamW's two moments."""
BFLOAT16_SHARE = 0.6
"""Bytes of a block's activations under autocast over those in float32: the inputs of
norms stay float32, those of matrix products, attention and GELU are halved."""
NO_EFFECT = {
    *("seed", "loss", "optimizer", "health", "augmentation", "data", "evaluation"),
    "execution",
}
"""Sections that add no matrix product and keep nothing for the backward pass."""


@dataclass(frozen=True)
class TrialCost:
    """Cost of training alone; evaluation comes on top.

    Attributes:
        num_parameters: Parameters of the encoder.
        num_updates: Updates of the trial; 0 when it is untrained.
        batch_size: Samples per update.
        forward_flops: Operations of the encoder on one sample, nothing masked.
        update_flops: Operations of one update of the whole batch: student forward and
            backward, teacher forward.
        memory_bytes: Weights, gradients, moments, teacher, and the activations the
            backward pass needs, of the whole batch. What comes and goes within an
            operation, and the allocator's slack, come on top.
    """

    num_parameters: int
    num_updates: int
    batch_size: int
    forward_flops: float
    update_flops: float
    memory_bytes: float

    @property
    def flops(self) -> float:
        """Operations of the whole training."""
        return self.update_flops * self.num_updates


@dataclass(frozen=True)
class Counted:
    """Cost of one update of :data:`NUM_SAMPLES` samples, in float32."""

    num_parameters: int
    forward_flops: int
    update_flops: int
    state_bytes: int
    activation_bytes: int


def estimate_cost(trial: TrialConfig) -> TrialCost | None:
    """What a trial costs; None when its modality makes up no example.

    Arms that differ in what adds no matrix product (loss, tau, K ...) are counted once.

    Raises:
        ConfigError: The networks cannot be built.
    """
    relevant = trial.model_dump(mode="json", exclude=NO_EFFECT)
    relevant["training"] = {}
    relevant["teacher"].pop("tau")
    for norm in ("layer_norm", "final_norm"):
        if reference_in(relevant["target"][norm]):  # may not run without memory
            relevant["target"][norm] = "none"
    if reference_in(relevant["target"]["feature"]):
        relevant["target"]["feature"] = "block"
    if trial.target.combine == "average":  # else there is a head for each layer
        relevant["target"]["top_k"] = 1  # the teacher runs to the last block for any K
    counted = _count(json.dumps(relevant))
    if counted is None:
        return None
    batch_size = trial.training.batch_size
    activations = counted.activation_bytes * batch_size / NUM_SAMPLES
    if trial.training.precision == "bfloat16":
        activations *= BFLOAT16_SHARE
    return TrialCost(
        num_parameters=counted.num_parameters,
        num_updates=num_updates(trial),
        batch_size=batch_size,
        forward_flops=counted.forward_flops / NUM_SAMPLES,
        update_flops=counted.update_flops * batch_size / NUM_SAMPLES,
        memory_bytes=counted.state_bytes + activations,
    )


@lru_cache(maxsize=256)
def _count(settings: str) -> Counted | None:
    trial = parse_trial(json.loads(settings))
    example = modality_of(trial).example(trial, NUM_SAMPLES)
    if example is None:
        return None
    with META:
        objective = build_objective(trial, num_classes=2)
    objective.module.train()
    for part in objective.module.modules():
        if hasattr(part, "layerdrop"):  # counted as if no block were ever skipped
            setattr(part, "layerdrop", 0.0)  # noqa: B010
    student, trained = objective.network("student"), [*objective.module.parameters()]
    beside = sum(tensor.nbytes for tensor in objective.extra_state().values())
    draw, inputs = objective.draw(example, 1).to(META), example.to(META)

    def forward() -> Tensor:
        tokens: Tensor = student(inputs)
        return tokens.sum()

    def update() -> Tensor:
        if not trial.objective.trains or trial.objective.reads == "labelled":
            return forward()  # an example has no labels, and classifiers are small
        return objective.loss(inputs, inputs, draw, 1).loss

    with torch.no_grad(), flop_counter() as forward_counter:
        forward()
    with flop_counter() as counter, KeptForBackward(trained) as kept:
        torch.autograd.backward(update())
    return Counted(
        num_parameters=_size(student.parameters()),
        forward_flops=forward_counter.get_total_flops(),
        update_flops=counter.get_total_flops(),
        state_bytes=WEIGHT_BYTES * _size(trained) + beside,
        activation_bytes=kept.num_bytes,
    )


def flop_counter() -> FlopCounterMode:
    """PyTorch's counter, with the gradients of grouped convolutions put right.

    Its own formula takes the weight gradient of a convolution with n groups for n times
    as much work (torch 2.11, ``conv_backward_flop``).
    """
    convolution: Any = torch.ops.aten.convolution_backward
    mapping = {convolution: _convolution_gradients}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _convolution_gradients(
    grad_shape: Sequence[int],
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    *rest: Any,
    out_shape: Any,
) -> int:
    """Each wanted one costs what the forward pass did: every weight at every place."""
    assert not any(value is True for value in rest[:-1]), "a transposed convolution"
    positions = grad_shape[0] * math.prod(grad_shape[2:])
    wanted_input, wanted_weight, _ = rest[-1]
    num_wanted = int(wanted_input) + int(wanted_weight)
    return 2 * positions * math.prod(weight_shape) * num_wanted


def _size(parameters: Any) -> int:
    return sum(parameter.numel() for parameter in parameters)


class KeptForBackward:
    """Counts the bytes that autograd keeps while the context is open.

    Memory that several tensors share counts once, weights not at all. Attention is
    taken to keep queries, keys and values only, as fused kernels do: on the ``meta``
    device PyTorch writes it out, with its matrix of weights.

    Args:
        weights: Tensors that are there anyway.
    """

    def __init__(self, weights: list[nn.Parameter]) -> None:
        self._weights = {_place(weight) for weight in weights}
        self._kept: dict[int, torch.UntypedStorage] = {}  # alive, so places differ
        self._saving: Any = saved_tensors_hooks(self.keep, lambda tensor: tensor)
        self._attention: Any = _Attention(self)
        self.inside_attention = False

    @property
    def num_bytes(self) -> int:
        """Bytes so far."""
        return sum(storage.nbytes() for storage in self._kept.values())

    def keep(self, tensor: Tensor) -> Tensor:
        """Count a tensor's memory, unless attention would not keep it."""
        if not self.inside_attention and _place(tensor) not in self._weights:
            self._kept[_place(tensor)] = tensor.untyped_storage()
        return tensor

    def __enter__(self) -> KeptForBackward:
        self._saving.__enter__()
        self._attention.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._attention.__exit__(*error)
        self._saving.__exit__(*error)


class _Attention(TorchFunctionMode):
    """Tells where attention begins and ends."""

    def __init__(self, kept: KeptForBackward) -> None:
        super().__init__()
        self._kept = kept

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function is not F.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        if torch.is_grad_enabled():
            for tensor in args[:3]:
                self._kept.keep(tensor)
        self._kept.inside_attention = True
        try:
            return function(*args, **(kwargs or {}))
        finally:
            self._kept.inside_attention = False


def _place(tensor: Tensor) -> int:
    reference: Any = StorageWeakRef  # has no types
    return int(reference(tensor.untyped_storage()).cdata)
