"""Any timm Vision Transformer as data2vec encoder, its modules unchanged.

The model's own patch embedding, blocks and norms run one after the other, as its
``forward_features`` runs them; between them stand the mask token, the choice of tokens,
and hooks that read the activations targets are made of. Works for the families
``vision_transformer``, ``deit`` and ``beit`` (whatever has ``patch_embed``, ``blocks``
and pre-residual ``drop_path1``/``drop_path2`` in each block).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import timm
import torch
from jaxtyping import Bool, Float
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models import is_model_in_modules
from timm.models.beit import Beit
from torch import Tensor, nn

from d2v_core.config.choices import Positions
from d2v_core.encoders.attention_window import attention_window
from d2v_core.encoders.encoder import (
    Collect,
    Encoded,
    Feature,
    Restriction,
    Tokens,
)
from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.kept import Kept, kept_tokens, with_token

FAMILIES = ("vision_transformer", "deit", "beit")


class VisionEncoder(ImageEncoder):
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
        self.grid = self.vit.patch_embed.grid_size
        self.num_prefix_tokens = self.vit.num_prefix_tokens
        height, width = self.vit.patch_embed.patch_size
        self.patch_size = (height, width)
        self.piece_size = self.vit.patch_embed.proj.in_channels * height * width
        self.has_class_token = getattr(self.vit, "cls_token", None) is not None
        self.mask_token = nn.Parameter(torch.zeros(self.dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.fixed = frozenset(
            name for name, p in self.named_parameters() if not p.requires_grad
        )
        self.window: Tensor | None = None
        """Added to the attention scores of all tokens; see :meth:`restriction`."""

    def embed(self, inputs: Float[Tensor, "batch channels height width"]) -> Tokens:
        """The patch embedding of normalised images."""
        return Tokens(self.vit.patch_embed(inputs).flatten(1, -2))  # may be a grid

    def encode(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None = None,
        keep: Bool[Tensor, "batch tokens"] | Kept | None = None,
        collect: Collect | None = None,
    ) -> Encoded:
        """Run the blocks; :meth:`Encoder.encode` explains the arguments.

        Collected ``ffn`` and ``attention`` are the branch outputs as added to the
        residual stream (after layer scale), as ``data2vec_vision`` takes ``fc``. Blocks
        are pre-norm, so ``ffn_residual`` is ``block``.
        """
        kept = None if keep is None else kept_tokens(keep)
        x = self._placed(with_token(tokens.values, mask, self.mask_token))
        prefix = self.num_prefix_tokens
        all_kept = None if kept is None else kept.after(prefix)
        x = x if all_kept is None else all_kept.pick(x)
        x, layers = self._run(x, all_kept, collect or Collect(0, ()))
        return Encoded(
            tokens=x[:, prefix:],
            real=None if kept is None else kept.real,
            prefix=x[:, :prefix],
            layers={
                k: [y[:, prefix:] for y in outputs] for k, outputs in layers.items()
            },
        )

    def _placed(
        self, patches: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch all_tokens dim"]:
        """Prefix tokens and patches with what absolute positions the model has."""
        vit = self.vit
        names = ("cls_token", "dist_token", "reg_token")
        tokens = [getattr(vit, name, None) for name in names]
        prefix = [t.expand(len(patches), -1, -1) for t in tokens if t is not None]
        placed: Tensor
        if isinstance(vit, Beit):
            x = torch.cat((*prefix, patches), 1)
            placed = vit.pos_drop(x if vit.pos_embed is None else x + vit.pos_embed)
            return placed
        if vit.pos_embed is None:
            x = torch.cat((*prefix, patches), 1)
        elif vit.no_embed_class:
            x = vit.pos_drop(torch.cat((*prefix, patches + vit.pos_embed), 1))
        else:
            x = vit.pos_drop(torch.cat((*prefix, patches), 1) + vit.pos_embed)
        placed = vit.norm_pre(vit.patch_drop(x))
        return placed

    def _run(
        self, x: Float[Tensor, "batch all_tokens dim"], kept: Kept | None, want: Collect
    ) -> tuple[Tensor, dict[Feature, list[Tensor]]]:
        """All blocks and the final norm, and activations of all tokens."""
        layers: dict[Feature, list[Tensor]] = {kind: [] for kind in want.kinds}
        bias = self._bias(kept)
        given = {} if bias is None else {self.bias_argument: bias.to(x.dtype)}
        for i, block in enumerate(self.vit.blocks):
            with ExitStack() as hooks:
                if kept is not None:
                    hooks.enter_context(own_bias_of(block.attn, kept))
                if i >= self.depth - want.top_k:
                    for kind, outputs in layers.items():
                        hooks.enter_context(capture(block, kind, outputs.append))
                x = block(x, **given)
        return self.vit.norm(x), layers

    @property
    def bias_argument(self) -> str:
        """What a block calls that which is added to its attention scores."""
        return "shared_rel_pos_bias" if isinstance(self.vit, Beit) else "attn_mask"

    def _bias(self, kept: Kept | None) -> Tensor | None:
        """What all blocks add to their attention scores."""
        shared = getattr(self.vit, "rel_pos_bias", None)
        given = (self.window, None if shared is None else shared())
        parts = [part[(None,) * (4 - part.ndim)] for part in given if part is not None]
        bias = sum(parts[1:], parts[0]) if parts else None
        if kept is None:
            return bias
        bias = None if bias is None else kept.pick_pairs(bias)
        if kept.real is None:
            return bias
        hidden = torch.zeros_like(kept.real, dtype=self.mask_token.dtype)
        hidden = hidden.masked_fill(~kept.real, -torch.inf)[:, None, None, :]
        return hidden if bias is None else bias + hidden

    def local_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "rows dim"]:
        """The patch embedding of every patch of the batch, without positions."""
        patches: Tensor = self.vit.patch_embed(images)
        return patches.reshape(-1, patches.shape[-1])

    def restriction(self, share: float | None) -> Restriction:
        """Limits attention to the patches nearest on the grid."""
        return attention_window(self.grid, self.num_prefix_tokens, share)


@contextmanager
def capture(
    block: Any, kind: Feature, receive: Callable[[Tensor], None]
) -> Iterator[None]:
    """Hand an activation of a block to ``receive`` when the block runs."""
    if kind in ("block", "ffn_residual"):
        handle = block.register_forward_hook(lambda module, given, out: receive(out))
    else:
        branch = block.drop_path1 if kind == "attention" else block.drop_path2
        handle = branch.register_forward_pre_hook(lambda module, given: receive(*given))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def own_bias_of(attention: Any, kept: Kept) -> Iterator[None]:
    """Let an attention's table of relative positions speak of the kept tokens."""
    if getattr(attention, "relative_position_bias_table", None) is None:
        yield
        return
    whole = attention._get_rel_pos_bias
    attention._get_rel_pos_bias = lambda: kept.pick_pairs(whole())
    try:
        yield
    finally:
        del attention._get_rel_pos_bias


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
