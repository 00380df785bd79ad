"""Training steps on the same batch and sizes that :mod:`benchmarks.step` compares.

Each is a callable without arguments that does one whole update.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.build import build_encoder, build_learner
from d2v_core.config import VisionTrial
from d2v_core.learners import Data2Vec
from d2v_core.training import build_optimizer

Step = Callable[[], None]

MAX_GRAD_NORM = 3.0


def floor_step(trial: VisionTrial, images: Tensor) -> Step:
    """The same timm model forward and backward, a no-grad forward, fused AdamW."""
    student = build_encoder(trial).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    optimizer = torch.optim.AdamW(student.vit.parameters(), lr=1e-4, fused=True)
    # A gradient of ordinary size: that of a sum of normed tokens would vanish.
    weights = torch.randn_like(teacher.all_tokens(images))

    def step() -> None:
        with torch.no_grad():
            teacher.all_tokens(images)
        torch.autograd.backward((student.all_tokens(images) * weights).mean())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def our_step(trial: VisionTrial, images: Tensor, *, in_full: bool = False) -> Step:
    """The step of the training loop, without logging.

    Args:
        trial: What to train.
        images: The batch.
        in_full: Compute the last block at every position.
    """
    learner = build_learner(trial, num_classes=2)
    assert isinstance(learner, Data2Vec)
    if in_full:  # a hook on the attention is reason enough
        for network in (learner.student, learner.teacher.network):
            block: Any = network.vit.blocks[-1]
            block.attn.register_forward_hook(lambda *_: None)
    optimizer = build_optimizer(learner.module, trial.optimizer)
    parameters = list(learner.module.parameters())
    learner.module.train()
    labels, count = torch.zeros(len(images)), 0

    def step() -> None:
        nonlocal count
        count += 1
        torch.autograd.backward(learner.step(images, labels, count).loss)
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        learner.after_update(count)

    return step


def hugging_face_step(trial: VisionTrial, images: Tensor) -> Step:
    """data2vec as one writes it around Hugging Face's model, with the same masks.

    Raises:
        ImportError: transformers is not installed.
    """
    from transformers import Data2VecVisionModel

    student = Data2VecVisionModel(hugging_face_config(trial)).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    head = nn.Linear(student.config.hidden_size, student.config.hidden_size)
    parameters = [*student.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    learner = build_learner(trial, num_classes=2)
    assert isinstance(learner, Data2Vec)
    draw_mask, count = learner._draw_mask, 0
    options = trial.target

    def targets() -> Tensor:
        states = teacher(images, output_hidden_states=True).hidden_states
        layers = [state[:, 1:] for state in states[-options.top_k :]]
        if options.layer_norm == "instance":
            layers = [F.instance_norm(x.transpose(1, 2)).mT for x in layers]
        else:
            layers = [F.layer_norm(x, x.shape[-1:]) for x in layers]
        average = torch.stack(layers).mean(0)
        return F.layer_norm(average, average.shape[-1:])

    def step() -> None:
        nonlocal count
        count += 1
        mask = draw_mask(images, count).mask
        with torch.no_grad():
            wanted = targets()[mask]
        tokens = student(images, bool_masked_pos=mask).last_hidden_state[:, 1:]
        loss = F.smooth_l1_loss(head(tokens[mask]), wanted, beta=2.0)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            pairs = zip(teacher.parameters(), student.parameters(), strict=True)
            for own, new in pairs:
                own.mul_(0.9998).add_(new, alpha=0.0002)

    return step


def hugging_face_config(trial: VisionTrial) -> Any:
    """The plain ViT of ``trial``: absolute positions, no layer scale, no dropout."""
    from transformers import Data2VecVisionConfig

    vit: Any = build_encoder(trial).vit
    return Data2VecVisionConfig(
        hidden_size=vit.embed_dim,
        num_hidden_layers=len(vit.blocks),
        num_attention_heads=vit.blocks[0].attn.num_heads,
        intermediate_size=vit.blocks[0].mlp.fc1.out_features,
        image_size=trial.vision.image_size,
        patch_size=vit.patch_embed.patch_size[0],
        num_channels=trial.vision.channels,
        use_mask_token=True,
        use_absolute_position_embeddings=True,
        use_mean_pooling=False,
        layer_scale_init_value=0.0,
        layer_norm_eps=1e-6,
        drop_path_rate=0.0,
        attn_implementation="sdpa",
    )
