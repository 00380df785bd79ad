"""Any timm Vision Transformer as data2vec encoder, unchanged, through forward hooks.

The model's own ``forward_features`` runs; a hook on ``patch_embed`` puts the mask token
in, and hooks on the blocks read the activations the targets are made of. Works for the
families ``vision_transformer``, ``deit`` and ``beit`` (whatever has ``patch_embed``,
``blocks`` and pre-residual ``drop_path1``/``drop_path2`` in each block).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import timm
import torch
from jaxtyping import Bool, Float, Int
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models import is_model_in_modules
from torch import Tensor, nn

from d2v_core.config.choices import Positions
from d2v_core.encoders.attention_window import attention_window
from d2v_core.encoders.encoder import Encoder, Feature, Restriction
from d2v_core.encoders.masked_last_block import is_known, last_block_at
from d2v_core.encoders.rows import MaskedRows, masked_rows

FAMILIES = ("vision_transformer", "deit", "beit")


class VisionEncoder(Encoder):
    """A timm ViT with a mask token.

    Args:
        vit: A timm model with its final norm and without a classifier, as
            :func:`create_vit` makes it.
    """

    parts = {"feature_encoder": ("vit.patch_embed.",), "positions": ("vit.pos_embed",)}
    """The class token is no position, and tables of relative positions belong to the
    attention."""
    vit: Any
    """Untyped, as timm is."""

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit
        self.dim = self.vit.embed_dim
        self.depth = len(self.vit.blocks)
        self.grid: tuple[int, int] = self.vit.patch_embed.grid_size
        self.num_prefix_tokens: int = self.vit.num_prefix_tokens
        self.has_class_token = getattr(self.vit, "cls_token", None) is not None
        self.mask_token = nn.Parameter(torch.zeros(self.dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.fixed = frozenset(
            name for name, p in self.named_parameters() if not p.requires_grad
        )
        self._mask: Tensor | None = None
        self.vit.patch_embed.register_forward_hook(self._put_mask_token)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Patch tokens after the final norm.

        Args:
            images: Normalised images.
            mask: True where the patch embedding is replaced by the mask token.
        """
        return self.all_tokens(images, mask)[:, self.num_prefix_tokens :]

    def all_tokens(
        self,
        images: Float[Tensor, "batch channels height width"],
        mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch all_tokens dim"]:
        """Prefix tokens (class token) and patch tokens after the final norm."""
        self._mask = mask
        try:
            tokens: Tensor = self.vit.forward_features(images)
        finally:
            self._mask = None
        return tokens

    def top_layers(
        self,
        images: Float[Tensor, "batch channels height width"],
        *,
        feature: Feature,
        top_k: int,
    ) -> list[Float[Tensor, "batch tokens dim"]]:
        """Activations of the top ``top_k`` blocks for the unmasked images.

        Args:
            images: Normalised images.
            feature: ``ffn`` and ``attention`` are the branch outputs as added to the
                residual stream (after layer scale), as ``data2vec_vision`` takes
                ``fc``. Blocks are pre-norm, so ``ffn_residual`` is ``block``.
            top_k: Number of blocks, counted from the last.
        """
        layers = self._capture(images, feature=feature, top_k=top_k)
        return [tokens[:, self.num_prefix_tokens :] for tokens in layers]

    def local_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "rows dim"]:
        """The patch embedding of every patch of the batch, without positions."""
        patches: Tensor = self.vit.patch_embed(images)
        return patches.reshape(-1, patches.shape[-1])

    def restriction(self, share: float | None) -> Restriction:
        """Limits attention to the patches nearest on the grid."""
        return attention_window(self.grid, self.num_prefix_tokens, share)

    def masked_tokens(
        self,
        images: Float[Tensor, "batch channels height width"],
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
    ) -> Float[Tensor, "masked dim"]:
        """The masked positions of ``forward(images, mask)``, for less work."""
        if not is_known(self.vit):
            return super().masked_tokens(images, mask, positions)
        rows = self._rows(mask, images)
        with last_block_at(self.vit, rows):
            return rows.pool(self.all_tokens(images, mask.to(images.device)))

    def masked_top_layers(
        self,
        images: Float[Tensor, "batch channels height width"],
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
        *,
        feature: Feature,
        top_k: int,
    ) -> list[Float[Tensor, "masked dim"]]:
        """The masked positions of ``top_layers(images)``, for less work."""
        if not is_known(self.vit):
            return super().masked_top_layers(
                images, mask, positions, feature=feature, top_k=top_k
            )
        rows = self._rows(mask, images)
        with last_block_at(self.vit, rows):
            *earlier, last = self._capture(images, feature=feature, top_k=top_k)
        return [rows.pool(rows.pick(layer)) for layer in earlier] + [rows.pool(last)]

    def _rows(self, mask: Tensor, images: Tensor) -> MaskedRows:
        return masked_rows(
            mask, num_prefix_tokens=self.num_prefix_tokens, device=images.device
        )

    def _capture(
        self, images: Tensor, *, feature: Feature, top_k: int
    ) -> list[Float[Tensor, "batch captured dim"]]:
        """Features of all tokens; what follows the last of them does not run."""
        captured: list[Tensor] = []

        def receive(tokens: Tensor) -> None:
            captured.append(tokens)
            if len(captured) == top_k:
                raise _AllCapturedError

        blocks = self.vit.blocks[self.depth - top_k :]
        with capture(blocks, feature, receive), suppress(_AllCapturedError):
            self.all_tokens(images)
        return captured

    def _put_mask_token(
        self, module: nn.Module, inputs: Any, patches: Tensor
    ) -> Tensor | None:
        if self._mask is None:
            return None
        token = self.mask_token.to(patches.dtype)
        mask = self._mask.view(*patches.shape[:-1], 1)  # patches may be a grid
        return torch.where(mask, token, patches)


class _AllCapturedError(Exception):
    """Ends a forward pass whose remaining work nobody needs."""


@contextmanager
def capture(
    blocks: Iterable[Any],
    feature: Feature,
    receive: Callable[[Tensor], None],
) -> Iterator[None]:
    """Hand a feature of each block to ``receive`` while the block runs."""

    def keep_output(module: nn.Module, inputs: Any, output: Tensor) -> None:
        receive(output)

    def keep_input(module: nn.Module, inputs: tuple[Tensor]) -> None:
        receive(inputs[0])

    handles = []
    for block in blocks:
        if feature in ("block", "ffn_residual"):
            handles.append(block.register_forward_hook(keep_output))
        else:
            branch = block.drop_path1 if feature == "attention" else block.drop_path2
            handles.append(branch.register_forward_pre_hook(keep_input))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def create_vit(
    *,
    timm_model: str,
    image_size: int,
    channels: int,
    patch_size: int | None = None,
    width: int | None = None,
    depth: int | None = None,
    num_heads: int | None = None,
    mlp_ratio: float | None = None,
    positions: Positions = "model",
    shared_relative_position: bool = False,
    layer_scale: float | None = None,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
) -> nn.Module:
    """Create a timm ViT by name, keeping timm's value wherever None is given.

    Raises:
        ValueError: The name is unknown or of another family, its blocks are parallel,
            or an option does not exist in the model's family.
    """
    _check_family(timm_model)
    sizes = {
        "patch_size": patch_size,
        "embed_dim": width,
        "depth": depth,
        "num_heads": num_heads,
        "mlp_ratio": mlp_ratio,
        "init_values": layer_scale,
    }
    options: dict[str, Any] = {k: v for k, v in sizes.items() if v is not None}
    if is_model_in_modules(timm_model, ("beit",)):
        options["global_pool"] = "token"  # keeps the final norm, as in pre-training
        if shared_relative_position:
            options |= {"use_shared_rel_pos_bias": True, "use_rel_pos_bias": False}
    else:
        options |= {"fc_norm": False, "final_norm": True}
        if shared_relative_position:
            raise ValueError(
                "vision.shared_relative_position needs a timm model of the family "
                f"beit, got {timm_model!r}"
            )
    vit: Any = timm.create_model(
        timm_model,
        img_size=image_size,
        in_chans=channels,
        num_classes=0,
        drop_path_rate=drop_path,
        proj_drop_rate=dropout,
        attn_drop_rate=attention_dropout,
        **options,
    )
    if not hasattr(vit.blocks[0], "drop_path2"):
        raise ValueError(
            "vision.timm_model must have blocks that add attention and feed-forward "
            f"part one after the other, got {timm_model!r}"
        )
    if positions == "sincos":
        _fix_sincos_positions(vit)
    created: nn.Module = vit
    return created


def _check_family(timm_model: str) -> None:
    names = timm.list_models(module=list(FAMILIES), include_tags=False)
    if timm_model in names:
        return
    close = difflib.get_close_matches(timm_model, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        "vision.timm_model must be a timm model of the families "
        f"{', '.join(FAMILIES)}, got {timm_model!r}{hint}"
    )


def _fix_sincos_positions(vit: Any) -> None:
    """Replace learned absolute positions by fixed 2-D sine-cosine ones."""
    positions = getattr(vit, "pos_embed", None)
    if positions is None or vit.embed_dim % 4:
        raise ValueError(
            "vision.positions: sincos needs a timm model with absolute positions and "
            f"a width divisible by 4, got width {vit.embed_dim} and "
            f"{'no' if positions is None else 'absolute'} positions"
        )
    table = build_sincos2d_pos_embed(
        list(vit.patch_embed.grid_size), dim=vit.embed_dim, interleave_sin_cos=False
    )
    with torch.no_grad():
        positions.zero_()
        positions[0, -len(table) :] = table.to(positions)
    positions.requires_grad_(False)
