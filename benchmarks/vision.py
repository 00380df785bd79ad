"""Vision's contenders: a plain timm ViT, ours, Hugging Face's Data2VecVision."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.contenders import (
    FLOOR,
    Step,
    drawn_masks,
    floor_step,
    our_step,
    step_by_hand,
    where_installed,
)
from d2v_core.build import build_encoder, build_objective
from d2v_core.config import VisionTrial, parse_trial

SIZES: dict[str, dict[str, Any]] = {
    "toy": {"image_size": 8, "patch_size": 2, "width": 16, "depth": 2, "num_heads": 2},
    "tiny": {
        "image_size": 32,
        "patch_size": 4,
        "width": 192,
        "depth": 12,
        "num_heads": 3,
    },
    "vit-b": {
        "image_size": 224,
        "patch_size": 16,
        "width": 768,
        "depth": 12,
        "num_heads": 12,
    },
}
BATCH_SIZES = {"toy": 4, "tiny": 64, "vit-b": 4}


def batch(size: str) -> Tensor:
    """Noise."""
    side = SIZES[size]["image_size"]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH_SIZES[size], 3, side, side, generator=generator)


def contenders(trial: VisionTrial, images: Tensor) -> dict[str, Step]:
    """All steps by name, the floor first; Hugging Face's where it is installed."""
    return {
        FLOOR: plain_step(trial, images),
        "d2v": our_step(trial, build_objective(trial, num_classes=2), images),
        **where_installed(lambda: hugging_face_step(trial, images)),
    }


def build_trial(size: str, layer_norm: str) -> VisionTrial:
    """The released recipe (blocks averaged, block masks) at one of the sizes."""
    vision = {"timm_model": "vit_tiny_patch16_224", "channels": 3, **SIZES[size]}
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    trial = parse_trial(
        {
            "modality": "vision",
            "vision": vision,
            "mask": {"kind": "block", "ratio": 0.6, "min_patches": patches // 12},
            "target": {"top_k": min(6, vision["depth"]), "layer_norm": layer_norm},
            "training": {"batch_size": BATCH_SIZES[size]},
        }
    )
    assert isinstance(trial, VisionTrial)
    return trial


def plain_step(trial: VisionTrial, images: Tensor) -> Step:
    """The same timm model forward and backward, a no-grad forward, fused AdamW."""
    student: Any = build_encoder(trial).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()

    def forward() -> Tensor:
        with torch.no_grad():
            teacher.vit.forward_features(images)
        tokens: Tensor = student.vit.forward_features(images)
        return tokens

    return floor_step(student.vit, forward)


def hugging_face_step(trial: VisionTrial, images: Tensor) -> Step:
    """data2vec as one writes it around Hugging Face's model, with the same masks.

    Raises:
        ImportError: transformers is not installed.
    """
    from transformers import Data2VecVisionModel

    student = Data2VecVisionModel(hugging_face_config(trial)).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    head = nn.Linear(student.config.hidden_size, student.config.hidden_size)
    objective = build_objective(trial, num_classes=2)
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

    def loss_at(step: int) -> Tensor:
        mask = drawn_masks(objective, images, step).mask
        with torch.no_grad():
            wanted = targets()[mask]
        tokens = student(images, bool_masked_pos=mask).last_hidden_state[:, 1:]
        return F.smooth_l1_loss(head(tokens[mask]), wanted, beta=2.0)

    return step_by_hand(student, teacher, head, loss_at)


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
