"""Choices that several files name: each is written here once, and imported."""

from __future__ import annotations

from typing import Literal

Feature = Literal["ffn", "attention", "ffn_residual", "block"]
"""Activation of a block; ``TargetConfig.feature`` says what each is."""
Normalisation = Literal["none", "instance", "layer", "batch", "group"]
"""Norm of a target; ``TargetConfig`` says over what each is taken."""
Combination = Literal["average", "separate"]
"""What becomes of several layers of targets."""
Part = Literal["feature_encoder", "positions"]
"""A part of the encoder that comes before any attention, and that the teacher may take
from the student: what makes features of each position on its own (vision: patch
embedding; speech: convolutions, their norm and projection; text: token embedding), and
what tells positions apart."""
Initialisation = Literal["reference", "timm"]
"""Initial weights as the authors' code draws them, or as timm does."""
Protocol = Literal["linear", "knn", "fine_tuned"]
"""The way of scoring images that ``eval/accuracy`` repeats."""
Labelling = Literal["unlabelled", "labelled"]
"""Rows of the data: all of them without labels, or those with labels."""
FrameLabel = Literal["phone", "word"]
"""What is said in a frame of speech."""
Network = Literal["student", "teacher"]
"""Which of the two is evaluated or exported."""
LossTotal = Literal["inverse_sqrt_dim", "sum"]
"""Scales of the loss that depend on the width; ``LossScale`` says what each is."""

BlockNorm = Literal["post", "pre"]
"""Where a Transformer block normalises: after adding to the residual, or before."""
ConvolutionNorm = Literal["layer", "group"]
"""Norm of the wav2vec convolutions: in every layer, or group norm in the first."""
PositionNorm = Literal["layer", "none"]
"""Norm after each positional convolution of speech: data2vec's, wav2vec 2.0's."""
Positions = Literal["model", "sincos"]
"""Positions of patches: the timm model's own, or fixed sines and cosines."""
Pooling = Literal["mean", "class_token", "concatenate"]
"""What an image is classified by: patches, class token, or both side by side."""
TextPooling = Literal["mean", "first"]
"""What a text is classified by: the mean of its tokens, or ``<s>``."""

OnError = Literal["raise", "skip"]
"""What becomes of files that are missing, broken or not as their manifest says:
``raise`` names every one before training, ``skip`` leaves them out and counts them in
the notes of the result."""
TokenKind = Literal["bpe", "bytes"]
"""What a token of text is; ``TextEncoderConfig.tokenizer`` says more."""
TextRows = Literal["blocks", "lines"]
"""What a row of a batch of text is made of."""
