"""Encoding only some tokens is encoding all with attention to the others blocked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from d2v_core.build import build_encoder
from d2v_core.encoders.encoder import Collect, Encoder, Tokens
from d2v_core.encoders.kept import Kept, kept_tokens
from tests.d2v_core.encoders.test_attention_window import KINDS as VISION
from tests.d2v_core.encoders.test_attention_window import make
from tests.d2v_core.encoders.test_speech import KINDS as SPEECH
from tests.d2v_core.encoders.test_speech import LENGTHS, LONG, small_encoder
from tests.d2v_core.encoders.test_text import random_rows
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_speech import noise
from tests.d2v_core.small_text import small_text_trial

CLOSE = {"atol": 1e-5, "rtol": 1e-4}
COUNTS = pytest.mark.parametrize("equal", [True, False], ids=["equal", "uneven"])
WINDOW = pytest.mark.parametrize("share", [None, 0.4], ids=["everything", "window"])


def some(real: Tensor, *, equal: bool) -> Tensor:
    """True at some real tokens of each row, of one row at a single one."""
    generator = torch.Generator().manual_seed(3)
    drawn = torch.rand(real.shape, generator=generator).masked_fill(~real, 2.0)
    count = torch.full((len(real), 1), 3)
    if not equal:
        count = torch.tensor([[1], [4], *[[3]] * (len(real) - 2)])
    return (drawn.argsort(1).argsort(1) < count) & real


def check(encoder: Encoder, tokens: Tokens, keep: Tensor, blocked: Any) -> None:
    """Compare with ``blocked``: final tokens and the top blocks of all tokens."""
    collect = Collect(2, ("ffn", "block"))
    found = encoder.encode(tokens, keep=keep, collect=collect)
    final, layers = blocked(collect)
    counts = keep.sum(1)
    assert found.tokens.shape[:2] == (len(keep), int(counts.max()))
    assert (found.real is None) == bool((counts == counts[0]).all())
    real = torch.ones(found.tokens.shape[:2]).bool()
    real = real if found.real is None else found.real
    assert real.sum(1).tolist() == counts.tolist()
    torch.testing.assert_close(found.tokens[real], final[keep], **CLOSE)
    for kind, its in layers.items():
        assert len(found.layers[kind]) == 2
        for kept, whole in zip(found.layers[kind], its, strict=True):
            torch.testing.assert_close(kept[real], whole[keep], **CLOSE)
    everything = encoder.encode(tokens).tokens
    assert not torch.allclose(everything[keep], final[keep], **CLOSE)
    assert found.tokens.isfinite().all()


@WINDOW
@COUNTS
@pytest.mark.parametrize("name", VISION)
@torch.no_grad()
def test_images(name: str, equal: bool, share: float | None) -> None:
    encoder = make(name)
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    tokens, prefix = encoder.embed(images), encoder.num_prefix_tokens
    keep = some(torch.ones(3, 16).bool(), equal=equal)
    hidden = torch.zeros(3, 1, 1, 16 + prefix)
    hidden[..., prefix:] = torch.where(keep, 0.0, -torch.inf)[:, None, None]

    def blocked(collect: Collect) -> Any:
        """A window of its own for every image."""
        window = torch.zeros(()) if encoder.window is None else encoder.window
        before, encoder.window = encoder.window, window + hidden
        # A dropped patch far from all kept ones would attend to nothing at all.
        whole = encoder.window.clone()
        whole[(whole == -torch.inf).all(-1)] = 0.0
        encoder.window = whole
        encoded = encoder.encode(tokens, collect=collect)
        encoder.window = before
        return encoded.tokens, encoded.layers

    with encoder.restriction(share)(encoder):
        check(encoder, tokens, keep, blocked)


@WINDOW
@COUNTS
@pytest.mark.parametrize("name", SPEECH)
@torch.no_grad()
def test_waveforms(name: str, equal: bool, share: float | None) -> None:
    encoder = small_encoder(SPEECH[name])
    waves = noise([length * LONG.get(name, 1) for length in LENGTHS])
    tokens = encoder.embed(waves)
    assert tokens.real is not None
    keep = some(tokens.real, equal=equal)

    def blocked(collect: Collect) -> Any:
        """Positions as where what is dropped is silent."""
        silent = tokens.values.masked_fill(~keep[:, :, None], 0.0)
        placed = encoder.placed(replace(tokens, values=silent), None, None)
        return without(encoder.transformer, placed, tokens.real, keep, collect)

    with encoder.restriction(share)(encoder):
        check(encoder, tokens, keep, blocked)


@WINDOW
@COUNTS
@pytest.mark.parametrize("norm", ["post", "pre"])
@torch.no_grad()
def test_texts(norm: str, equal: bool, share: float | None) -> None:
    encoder: Any = build_encoder(small_text_trial({"text": {"norm": norm}}))
    fill_with_noise(encoder)
    tokens = encoder.eval().embed(random_rows())
    keep = some(tokens.real, equal=equal)

    def blocked(collect: Collect) -> Any:
        placed = encoder.placed(tokens, None, None)
        return without(encoder.transformer, placed, tokens.real, keep, collect)

    with encoder.restriction(share)(encoder):
        check(encoder, tokens, keep, blocked)


def without(
    transformer: Any, placed: Tensor, real: Tensor, keep: Tensor, collect: Collect
) -> Any:
    attend = transformer.attention_mask(placed, real) & keep[:, None, None, :]
    attend = attend | ~attend.any(-1, keepdim=True)  # else a dropped token sees nothing
    return transformer(placed, attend, collect)


@pytest.mark.parametrize("name", ["vit", "beit", "beit with a shared table"])
def test_what_is_dropped_and_what_fills_up_has_no_gradient(name: str) -> None:
    encoder = make(name)
    images = torch.randn(3, 3, 8, 8, requires_grad=True)
    keep = some(torch.ones(3, 16).bool(), equal=False)
    encoded = encoder.encode(encoder.embed(images), keep=keep)
    assert encoded.real is not None
    encoded.tokens[encoded.real].square().sum().backward()
    assert images.grad is not None
    pixels = images.grad.view(3, 3, 4, 2, 4, 2).abs().sum((1, 3, 5)).flatten(1)
    assert torch.equal(pixels > 0, keep)
    assert all(p.grad.isfinite().all() for p in encoder.vit.parameters())


@pytest.mark.parametrize("modality", ["image", "beit", "speech", "text"])
@torch.no_grad()
def test_several_choices_are_encoded_as_each_alone(modality: str) -> None:
    encoder: Any
    if modality in ("image", "beit"):
        encoder = make("vit" if modality == "image" else modality)
        inputs: Any = torch.randn(3, 3, 8, 8)
    elif modality == "speech":
        encoder, inputs = small_encoder(), noise(LENGTHS)
    else:
        encoder, inputs = build_encoder(small_text_trial()), random_rows()
        fill_with_noise(encoder)
        encoder.eval()
    tokens = encoder.embed(inputs)
    real = torch.ones(tokens.values.shape[:2]).bool()
    real = real if tokens.real is None else tokens.real
    choices = [some(real, equal=False), some(real, equal=True), some(real, equal=False)]
    choices[2] = choices[2].roll(1, 1) & real | choices[1]
    together = torch.stack(choices, dim=1)
    found = encoder.encode(tokens, keep=together.flatten(0, 1))
    mine = torch.ones(found.tokens.shape[:2]).bool()
    mine = mine if found.real is None else found.real
    for which, keep in enumerate(choices):
        alone = encoder.encode(tokens, keep=keep)
        own = torch.ones(alone.tokens.shape[:2]).bool()
        own = own if alone.real is None else alone.real
        torch.testing.assert_close(
            found.tokens[which::3][mine[which::3]], alone.tokens[own], **CLOSE
        )
        torch.testing.assert_close(found.prefix[which::3], alone.prefix, **CLOSE)


def test_everything_kept_is_everything() -> None:
    for name in ("vit", "beit", "beit with a shared table"):
        encoder = make(name)
        tokens = encoder.embed(torch.randn(3, 3, 8, 8))
        whole = encoder.encode(tokens)
        kept = encoder.encode(tokens, keep=torch.ones(3, 16).bool())
        assert kept.real is None
        torch.testing.assert_close(kept.tokens, whole.tokens, **CLOSE)
        torch.testing.assert_close(kept.prefix, whole.prefix, **CLOSE)


def test_rows_are_the_kept_positions_then_the_last_of_them_again() -> None:
    keep = torch.tensor([[0, 1, 0, 1, 1], [0, 0, 1, 0, 0]]).bool()
    kept = kept_tokens(keep)
    assert kept.index.tolist() == [[1, 3, 4], [2, 2, 2]]
    assert kept.real is not None
    assert kept.real.tolist() == [[True] * 3, [True, False, False]]
    assert kept.after(2).index.tolist() == [[0, 1, 3, 5, 6], [0, 1, 4, 4, 4]]
    assert kept_tokens(kept) is kept
    assert isinstance(kept.to(torch.device("cpu")), Kept)
    tokens = torch.arange(10.0).view(2, 5, 1)
    assert kept.pick(tokens).flatten().tolist() == [1, 3, 4, 7, 7, 7]
    pairs = torch.arange(25.0).view(1, 1, 5, 5)
    assert kept.pick_pairs(pairs)[0, 0].tolist() == [
        [6, 8, 9],
        [16, 18, 19],
        [21, 23, 24],
    ]


def test_a_row_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="every row, one has none"):
        kept_tokens(torch.tensor([[True, False], [False, False]]))
