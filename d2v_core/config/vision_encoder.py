"""The encoder of images: a timm Vision Transformer, or the user's own network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from d2v_core.config.base import Section
from d2v_core.config.bounds import MAX_DEPTH, MAX_FACTOR, MAX_SIDE, MAX_WIDTH
from d2v_core.config.choices import Initialisation, Positions
from d2v_core.config.own import OwnSettings, TakesOwn, reference_in
from d2v_core.errors import Problem, shown


class VisionEncoderConfig(Section):
    """A timm Vision Transformer by name, with size overrides (null: timm's own)."""

    timm_model: Annotated[str, TakesOwn("encoder", "settings")] = (
        "beit_base_patch16_224"
    )
    """Any timm model of the families VisionTransformer or Beit; or the user's own
    function that makes a network of these settings, of which it may pass over some."""
    settings: OwnSettings = {}
    """Keyword arguments of your own function; there must be none for a timm model."""
    image_size: int = Field(224, ge=2, le=MAX_SIDE)
    """Side of the square input in pixels; images are resized to it."""
    patch_size: int | None = Field(None, ge=1, le=MAX_SIDE)
    """Side of a patch in pixels; must divide ``image_size``."""
    channels: Literal[1, 3] = 3
    """Colour channels of the input: 1 grey, 3 RGB."""
    width: int | None = Field(None, ge=4, le=MAX_WIDTH)
    """Embedding dimension; must be divisible by ``num_heads``."""
    depth: int | None = Field(None, ge=1, le=MAX_DEPTH)
    """Number of blocks."""
    num_heads: int | None = Field(None, ge=1, le=MAX_WIDTH)
    """Attention heads per block."""
    mlp_ratio: float | None = Field(None, gt=0.0, le=MAX_FACTOR)
    """Hidden width of the feed-forward part over ``width``."""
    positions: Positions = "model"
    """``model``: what the timm model has (learned or relative); ``sincos``: fixed 2-D
    sine-cosine absolute positions (VisionTransformer family only)."""
    shared_relative_position: bool = False
    """A single relative-position table for all blocks (Beit family only), as the
    authors pre-train."""
    layer_scale: float | None = Field(None, gt=0.0, le=MAX_FACTOR)
    """Initial layer-scale; the authors use 1e-4 for ViT-B."""
    init: Initialisation = "reference"
    """Distribution of the initial weights. ``reference``: as the authors pre-train,
    normal 0.02 cut at one standard deviation (so 0.0108), patch embedding and tokens
    too, and two matrices of block l divided by sqrt(2 l)
    (:mod:`d2v_core.encoders.initialisation`). ``timm``: the model's own, 1.86 times as
    wide, with PyTorch's patch embedding. Every arm starts from the same weights for a
    seed, reference arms too; the regression head has its own choice, ``head.init``."""
    drop_path: float = Field(0.0, ge=0.0, lt=1.0)
    """Stochastic depth of the last block, rising linearly from 0."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout after the projections of attention and feed-forward part."""
    attention_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout of the attention weights."""


def check_encoder(vision: VisionEncoderConfig) -> list[Problem]:
    """Broken rules of the section."""
    return [*_check_settings(vision), *_check_patches(vision)]


def _check_settings(vision: VisionEncoderConfig) -> list[Problem]:
    if not vision.settings or reference_in(vision.timm_model):
        return []
    message = "is for an encoder of your own; must be empty for a timm model"
    return [Problem("vision.settings", f"{message}, got {shown(vision.settings)}")]


def _check_patches(vision: VisionEncoderConfig) -> list[Problem]:
    if vision.patch_size is None or vision.image_size % vision.patch_size == 0:
        return []
    message = f"must divide vision.image_size ({vision.image_size})"
    return [Problem("vision.patch_size", f"{message}, got {vision.patch_size}")]
