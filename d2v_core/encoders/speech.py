"""The speech encoder: wav2vec 2.0's front end, convolutional positions, Transformer.

Paper section 4.2; fairseq ``data2vec_audio.py`` (student 319-404) with its
``TransformerEncoder``. Parity with Hugging Face's ``Data2VecAudioModel`` is tested; see
:mod:`d2v_core.encoders.conv_positions` for the one departure.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from d2v_core.config.choices import BlockNorm, PositionNorm
from d2v_core.encoders.conv_positions import ConvPositions, zero_padding
from d2v_core.encoders.encoder import Tokens
from d2v_core.encoders.front_end import FrontEnd
from d2v_core.encoders.inputs import Padded, real_positions
from d2v_core.encoders.kept import Kept, with_token
from d2v_core.encoders.sequence import SequenceEncoder
from d2v_core.encoders.transformer import Transformer

INITIAL_STD = 0.02
"""Standard deviation of the Transformer's matrices (fairseq ``init_bert_params``).
Convolutional positions and projection stay as PyTorch makes them, as in fairseq."""


class SpeechEncoder(SequenceEncoder):
    """Waveforms at 16 kHz to frames.

    Args:
        front_end: Makes frames of waveforms.
        dim: Channels.
        depth: Number of blocks.
        num_heads: Attention heads.
        ffn_dim: Hidden channels of the feed-forward parts.
        norm: ``post`` as published, or ``pre``: then the norm before the first block is
            the closing one instead (fairseq ``layer_norm_first``).
        position_layers: Convolutions that tell frames apart.
        position_kernel: Frames each of them sees.
        position_groups: Groups of their channels.
        position_norm: ``layer`` after each of them, as in data2vec, or ``none``.
        input_dropout: Dropout of the frames, before they are masked.
        dropout: Before the first block and after each branch.
        attention_dropout: Dropout of the attention weights.
        activation_dropout: Inside the feed-forward parts.
        drop_path: Rate of the last block, rising linearly from 0.
        layerdrop: Chance that a block is skipped in an update.
        eps: Epsilon of the norms of the Transformer.
    """

    parts = {"feature_encoder": ("front_end.",), "positions": ("positions.",)}

    def __init__(
        self,
        *,
        front_end: FrontEnd,
        dim: int,
        depth: int,
        num_heads: int,
        ffn_dim: int,
        norm: BlockNorm = "post",
        position_layers: int = 5,
        position_kernel: int = 19,
        position_groups: int = 16,
        position_norm: PositionNorm = "layer",
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        drop_path: float = 0.0,
        layerdrop: float = 0.0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(
            Transformer(
                dim=dim,
                depth=depth,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                norm=norm,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=activation_dropout,
                drop_path=drop_path,
                layerdrop=layerdrop,
                eps=eps,
            ),
            dim,
        )
        self.front_end = front_end
        self.piece_size = front_end.piece_size
        self.mask_token = nn.Parameter(torch.rand(dim))
        self.positions = ConvPositions(
            dim=dim,
            num_layers=position_layers,
            kernel=position_kernel,
            groups=position_groups,
            norm=position_norm,
        )
        self.norm = nn.LayerNorm(dim, eps) if norm == "post" else nn.Identity()
        self.input_dropout = nn.Dropout(input_dropout)
        self.dropout = nn.Dropout(dropout)
        self._initialise()

    def embed(self, inputs: Padded) -> Tokens:
        """Projected frames of waveforms.

        Raises:
            DataError: A waveform is too short for one frame.
        """
        frames = self.front_end(inputs.values, inputs.lengths)
        return Tokens(frames, self.real(inputs))

    def placed(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None,
        keep: Kept | None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Frames and their convolutional positions, normalised.

        What is left out is zero to the convolutions, as in data2vec 2.0 (fairseq
        ``modalities/base.py``, ``encoder_zero_mask``).
        """
        frames, real = self.input_dropout(tokens.values), tokens.real
        frames = with_token(frames, mask, self.mask_token)
        if keep is not None:
            copies = keep.copies(len(frames))  # each choice has positions of its own
            frames = frames.repeat_interleave(copies, dim=0)
            real = None if real is None else real.repeat_interleave(copies, dim=0)
            shown = torch.zeros_like(frames[:, :, 0], dtype=torch.bool)
            frames = zero_padding(frames, shown.scatter_(1, keep.index, True))
        frames = zero_padding(frames, real)
        placed = frames + self.positions(frames, real)
        embedded: Tensor = self.dropout(self.norm(placed))
        return embedded

    def frame_lengths(self, inputs: Padded) -> tuple[int, ...]:
        """Real frames of each waveform."""
        return self.front_end.frame_lengths(inputs.lengths)

    def real(self, inputs: Padded) -> Bool[Tensor, "batch tokens"] | None:
        """True at frames whose samples are all real; None when all frames are."""
        lengths = self.frame_lengths(inputs)
        return real_positions(lengths, max(lengths), inputs.device)

    @torch.no_grad()
    def pieces(self, inputs: Padded) -> Float[Tensor, "batch tokens numbers"]:
        """Frames that the front end computes and does not learn."""
        longest = max(inputs.lengths)
        return self.front_end.frames(inputs.values[:, :longest], inputs.lengths)

    @torch.no_grad()
    def local_features(self, inputs: Any) -> Float[Tensor, "rows channels"] | None:
        """Frames of the front end alone (convolutions: before norm and projection).

        A front end that collapsed is seen here and not in the targets (fairseq #5239).
        """
        longest = max(inputs.lengths)
        frames = self.front_end.local(inputs.values[:, :longest], inputs.lengths)
        real = self.real(inputs)
        return frames.flatten(0, 1) if real is None else frames[real]

    @torch.no_grad()
    def _initialise(self) -> None:
        for module in self.transformer.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INITIAL_STD)
                nn.init.zeros_(module.bias)
