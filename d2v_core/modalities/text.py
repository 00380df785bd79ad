"""Text: BPE or bytes through a RoBERTa encoder, tokens masked, GLUE-style tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from d2v_core.config.data2vec2 import InverseBlockMask
from d2v_core.config.own_data import OwnTexts
from d2v_core.config.own_masks import OwnTokenMask
from d2v_core.config.random_mask import RandomMask
from d2v_core.config.text import TextSpanMask, TextTrial
from d2v_core.data.batch import Batches
from d2v_core.data.text.dataset import TextBatches, TextDataset, load_text, text_digest
from d2v_core.data.text.own_texts import load_own_texts, own_texts, own_texts_digest
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.encoders.inputs import Inputs
from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import BOS, EOS, SPECIAL_TOKENS, pad_rows
from d2v_core.errors import ConfigError, Problem
from d2v_core.evaluation.labels import check_num_labels, label_demand
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.own import own_metrics
from d2v_core.evaluation.text.evaluate import evaluate_texts
from d2v_core.masks.inverse_block import InverseBlockTokens
from d2v_core.masks.masked import MaskSampler
from d2v_core.masks.own import own_token_masks
from d2v_core.masks.random_rows import RandomTokens
from d2v_core.masks.tokens import (
    BertMasks,
    SpanMasks,
    TokenMasks,
    token_mask_sampler,
)
from d2v_core.modalities.modality import Modality, block_rule
from d2v_core.training.parallel import ALONE, Workers


class Text(Modality[TextTrial, TextEncoder, TextDataset]):
    """Rows of tokens."""

    def data_digest(self, trial: TextTrial) -> str:
        """Digest of the corpus and of what is evaluated on."""
        asked = trial.evaluation
        own = _own_digest(trial)
        return text_digest(trial.data, asked.tasks, own, asked.words)

    def training_digest(self, trial: TextTrial) -> str:
        """Digest of the corpus: tasks are read by the evaluation alone."""
        return text_digest(trial.data, (), _own_digest(trial))

    def load_data(self, trial: TextTrial) -> TextDataset:
        """The corpus, tokenised, and the tasks.

        Raises:
            ConfigError: More labels are wanted than a task has.
        """
        tokens: dict[str, Any] = {
            "kind": trial.text.tokenizer,
            "vocab_size": trial.text.vocab_size,
            "max_tokens": trial.text.max_tokens,
        }
        own = None
        if isinstance(trial.data, OwnTexts):
            own = load_own_texts(trial, trial.data, **tokens)
        asked = trial.evaluation
        dataset = load_text(
            trial.data, asked.tasks, words=asked.words, own=own, **tokens
        )
        sizes = {task.name: len(task.train) for task in dataset.tasks}
        check_num_labels(trial.evaluation, sizes)
        return dataset

    def same_data(self, trial: TextTrial) -> str:
        """The corpus as tokens, and what is read to evaluate."""
        text, evaluation = trial.text, trial.evaluation
        asked = f"{evaluation.tasks} {evaluation.words} {label_demand(evaluation)}"
        tokens = f"{text.tokenizer} {text.vocab_size} {text.max_tokens}"
        return f"{super().same_data(trial)} {tokens} {asked}"

    def build_encoder(self, trial: TextTrial) -> TextEncoder:
        """RoBERTa's architecture."""
        text = trial.text
        return TextEncoder(
            vocab_size=text.vocab_size,
            max_tokens=text.max_tokens,
            dim=text.width,
            depth=text.depth,
            num_heads=text.num_heads,
            ffn_dim=round(text.width * text.mlp_ratio),
            norm=text.norm,
            dropout=text.dropout,
            attention_dropout=text.attention_dropout,
            activation_dropout=text.activation_dropout,
            drop_path=text.drop_path,
            layerdrop=text.layerdrop,
        )

    def masks(
        self, trial: TextTrial, encoder: TextEncoder, workers: Workers = ALONE
    ) -> MaskSampler:
        """BERT's masks, spans, single tokens, or blocks of them that are kept."""
        return token_mask_sampler(build_token_masks(trial), workers)

    def batches(
        self, trial: TextTrial, dataset: TextDataset, workers: Workers = ALONE
    ) -> Batches:
        """Rows padded to the longest; a supervised arm reads labelled ones only."""
        return TextBatches(
            dataset=dataset,
            batch_size=trial.training.batch_size,
            seed=trial.seed,
            labelled=trial.objective.reads == "labelled",
            workers=workers,
        )

    def example(self, trial: TextTrial, num_samples: int) -> Inputs:
        """Rows as long as they may be."""
        row = np.full(trial.text.max_tokens, len(SPECIAL_TOKENS))
        row[0], row[-1] = BOS, EOS
        return pad_rows([row] * num_samples)

    def evaluate(
        self, trial: TextTrial, encoder: TextEncoder, dataset: TextDataset
    ) -> Evaluation:
        """GLUE-style tasks."""
        return evaluate_texts(
            encoder,
            dataset,
            trial.evaluation,
            seed=trial.seed,
            own_metrics=own_metrics(trial, trial.evaluation.metrics),
        )

    def inputs_of(
        self, trial: TextTrial, samples: Any, preprocessing: Mapping[str, Any]
    ) -> Inputs:
        """Strings as token ids, cut to the longest that is read, and padded."""
        texts = list(samples)
        if strange := [text for text in texts if not isinstance(text, str)]:
            given = type(strange[0]).__name__
            raise ConfigError([Problem("samples", f"must be strings, got {given}")])
        tokenizer = TextTokenizer(preprocessing["tokenizer"])
        return pad_rows(tokenizer.rows(texts, trial.text.max_tokens))

    def preprocessing(
        self, trial: TextTrial, dataset: TextDataset
    ) -> Mapping[str, Any]:
        """The tokenizer."""
        return {"tokenizer": dataset.tokenizer.json}


def _own_digest(trial: TextTrial) -> str:
    """Digest of the user's own texts; empty: the corpus is none of these."""
    if not isinstance(trial.data, OwnTexts):
        return ""
    return own_texts_digest(own_texts(trial, trial.data))


def build_token_masks(trial: TextTrial) -> TokenMasks:
    """Masks of the configured kind."""
    mask = trial.mask
    if isinstance(mask, TextSpanMask):
        return SpanMasks(probability=mask.probability, span=mask.span)
    if isinstance(mask, InverseBlockMask):
        return InverseBlockTokens(block_rule(mask))
    if isinstance(mask, RandomMask):
        return RandomTokens(mask.ratio)
    if isinstance(mask, OwnTokenMask):
        return own_token_masks(trial, mask)
    return BertMasks(
        probability=mask.probability,
        mask_share=mask.mask_share,
        random_share=mask.random_share,
        vocab_size=trial.text.vocab_size,
    )


MODALITY = Text()
