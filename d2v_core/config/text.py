"""The text trial: encoder, masks, data and evaluation.

Defaults are the published Base model (arXiv 2202.03555v3 section 4.3; fairseq
``examples/data2vec/config/text/pretraining/base.yaml``).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from d2v_core.config.base import Section, UnlabelledData, execution_field
from d2v_core.config.bounds import (
    MAX_BATCH,
    MAX_DEPTH,
    MAX_FACTOR,
    MAX_ITEMS,
    MAX_VOCABULARY,
    MAX_WIDTH,
)
from d2v_core.config.choices import (
    BlockNorm,
    OnError,
    TextPooling,
    TextRows,
    TokenKind,
)
from d2v_core.config.data2vec2 import InverseBlockMask, check_blocks
from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.config.memory import MemoryData
from d2v_core.config.objective import HeadInit
from d2v_core.config.own_data import OwnTexts
from d2v_core.config.own_masks import OwnTokenMask
from d2v_core.config.random_mask import RandomMask
from d2v_core.config.training import EvaluationConfig
from d2v_core.config.trial import TrialConfig
from d2v_core.errors import Problem, shown

NUM_BYTE_TOKENS = 5 + 256
"""Special tokens and bytes."""
EMBEDDED_TASKS = ("pydoc/topic", "pydoc/same_passage")
"""Tasks that need no files."""
NUM_ENDS = 2
"""Special tokens of a row, which are never hidden."""
EMBEDDED_WORDS = "pydoc/words"
"""Running text that needs no files."""


class TextEncoderConfig(Section):
    """RoBERTa's architecture over a byte-level BPE, or over bytes."""

    tokenizer: TokenKind = "bpe"
    """``bpe``: a byte-level BPE trained on the training text, as RoBERTa's; ``bytes``:
    every byte of the UTF-8 text is a token, and nothing is trained. A row of so many
    tokens then holds a third to a quarter of the text."""
    vocab_size: int = Field(50_265, ge=NUM_BYTE_TOKENS, le=MAX_VOCABULARY)
    """Tokens of the byte-level BPE and rows of the embedding: 5 special ones, 256 bytes
    and as many merges as the training text gives. 50,265 is RoBERTa's. Must be 261 with
    ``tokenizer: bytes``, which has no others."""
    max_tokens: int = Field(512, ge=8, le=MAX_WIDTH)
    """Longest row, ``<s>`` and ``</s>`` included."""
    width: int = Field(768, ge=4, le=MAX_WIDTH)
    """Embedding dimension; must be divisible by ``num_heads``."""
    depth: int = Field(12, ge=1, le=MAX_DEPTH)
    """Number of blocks."""
    num_heads: int = Field(12, ge=1, le=MAX_WIDTH)
    """Attention heads per block."""
    mlp_ratio: float = Field(4.0, gt=0.0, le=MAX_FACTOR)
    """Hidden width of the feed-forward part over ``width``."""
    norm: BlockNorm = "post"
    """Norms after each residual addition, as published (``normalize_before: false``),
    or before each branch."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout of the embedding and after each branch."""
    attention_dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout of the attention weights."""
    activation_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout inside the feed-forward part."""
    drop_path: float = Field(0.0, ge=0.0, lt=1.0)
    """Stochastic depth of the last block, rising linearly from 0."""
    layerdrop: float = Field(0.0, ge=0.0, lt=1.0)
    """Chance that a block is skipped in an update."""


class BertMask(Section):
    """BERT's masking, the main row of the paper's Table 4.

    Special tokens are never selected, and the loss is only where the student reads
    ``<mask>``, as in the released code.
    """

    kind: Literal["bert"] = "bert"
    probability: float = Field(0.15, gt=0.0, lt=1.0)
    """Share of the tokens selected."""
    mask_share: float = Field(0.8, gt=0.0, le=1.0)
    """Share of the selected tokens that becomes ``<mask>``."""
    random_share: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of them that becomes a random token; what is left stays as it is."""


class TextSpanMask(Section):
    """Spans of tokens, all of which become ``<mask>``.

    The row "+ wav2vec 2.0 masking" of the paper's Table 4, and the released yaml.
    """

    kind: Literal["span"] = "span"
    probability: float = Field(0.35, gt=0.0, lt=1.0)
    """Expected masked share if spans did not overlap; 0.35 masks 0.307."""
    span: int = Field(4, ge=1, le=MAX_WIDTH)
    """Tokens per span."""


AnyTextMask = BertMask | TextSpanMask | RandomMask | InverseBlockMask | OwnTokenMask
TextMask = Annotated[AnyTextMask, Field(discriminator="kind")]


class PydocData(Section):
    """The Python language reference inside CPython (``pydoc_data.topics``).

    Passages of 79 topics; topics with enough of them are the classes.
    """

    source: Literal["pydoc"] = "pydoc"


class LinesData(Section):
    """``train.txt``: UTF-8, a sentence per line, blank lines between documents."""

    source: Literal["lines"] = "lines"
    folder: str = ""
    """Folder below the data root that holds ``train.txt``; empty: the root itself."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``); tasks are looked for there
    too."""
    rows: TextRows = "blocks"
    """``blocks``: as many whole lines of a document as fit into ``max_tokens``, each
    ended by ``</s>`` (fairseq's ``complete_doc``); ``lines``: each on its own, cut at
    ``max_tokens``."""
    on_error: OnError = "raise"
    """Treatment of lines, of the corpus and of tasks, that cannot be read:
    ``raise`` names them all before training, ``skip`` leaves them out and says how
    many."""


class TextFolderData(UnlabelledData):
    """Any folder of ``.txt`` files in UTF-8, flat or nested; each is a document."""

    source: Literal["text_folder"] = "text_folder"
    folder: str = execution_field("")
    """The folder, whole or below the data root; empty: the root itself."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``); tasks are looked for there."""
    rows: TextRows = "blocks"
    """As of ``lines``; long lines, as of paragraphs, are cut in ``blocks``."""
    on_error: OnError = "raise"
    """Treatment of lines that cannot be read."""


CorpusData = LinesData | TextFolderData
TextData = Annotated[
    PydocData | LinesData | TextFolderData | OwnTexts | MemoryData,
    Field(discriminator="source"),
]


class TextEvaluation(EvaluationConfig):
    """GLUE-style: every task with a frozen probe or fine-tuned; the mean of the scores.

    Where a task has only ``train`` and ``dev`` (all of GLUE: its test labels are
    secret), some of ``train`` selects and ``dev`` is reported.
    """

    tasks: tuple[str, ...] = Field(EMBEDDED_TASKS, max_length=MAX_ITEMS, strict=False)
    """The labelled data; empty: RankMe is the only score. Folders below the data root
    in GLUE's layout (recognised by the last part: CoLA, SST-2, MRPC, STS-B, QQP, MNLI,
    QNLI, RTE) or with ``train.tsv`` and ``dev.tsv`` and/or ``test.tsv`` of columns
    ``sentence`` and ``label``; and, embedded, ``pydoc/topic`` and
    ``pydoc/same_passage``."""
    words: str | None = None
    """Running text whose words are probed: a folder below the data root with ``train``,
    ``valid`` (or ``dev``) and ``test`` as ``.conll`` (a word, a tab and its tag per
    line) or ``.txt``; or, embedded, ``pydoc/words``. null: no word probe."""
    method: Literal["probe", "fine_tune"] = "probe"
    """``probe``: logistic (STS-B: ridge) regression on frozen features;
    ``fine_tune``: the whole encoder with RoBERTa's head, as the paper does."""
    pooling: TextPooling = "mean"
    """Feature of the probe: the mean of a row's final tokens, or ``<s>``."""
    pairs: Literal["separate", "joint"] = "separate"
    """Pairs in the probe: two sentences u, v give [u, v, |u - v|, u v], or are read as
    one row ``<s> a </s></s> b </s>``, as fine-tuning always does."""
    fine_tuning: FineTuningConfig | None = None
    """Settings of ``fine_tune``, which requires them."""
    fine_tuning_epochs: float | None = Field(None, gt=0.0, le=MAX_FACTOR)
    """Passes over each task's training samples instead of ``fine_tuning.num_steps``
    (paper: 10); null: the same number of updates for all."""
    small_task_batch_size: int | None = Field(None, ge=1, le=MAX_BATCH)
    """Batch size of fine-tuning on tasks with fewer than 10,000 training samples
    (fairseq: 16 for CoLA, MRPC, RTE and STS-B, 32 otherwise); null: the same for
    all."""


class TextTrial(TrialConfig):
    """The configuration of a text trial."""

    reference_head: ClassVar[HeadInit] = "bert"
    """fairseq ``data2vec_text.py`` applies ``init_bert_params`` to the whole model."""

    modality: Literal["text"] = "text"
    """Discriminates the trial types."""
    text: TextEncoderConfig = TextEncoderConfig()
    """The encoder and its tokens."""
    mask: TextMask = BertMask()
    """Tokens the student does not see."""
    data: TextData = PydocData()
    """Source of the text."""
    evaluation: TextEvaluation = TextEvaluation()
    """The evaluation protocol."""

    @property
    def has_labels(self) -> bool:
        """Whether there are tasks."""
        return bool(self.evaluation.tasks)

    def problems(self) -> list[Problem]:
        """Broken rules that span sections."""
        return [
            *super().problems(),
            *_check_vocabulary(self.text),
            *_check_mask(self.mask),
            *check_blocks(self.mask, self.text.max_tokens - NUM_ENDS, 1),
            *_check_tasks(self),
            *_check_method(self.evaluation),
        ]


def _check_vocabulary(text: TextEncoderConfig) -> list[Problem]:
    if text.tokenizer == "bpe" or text.vocab_size == NUM_BYTE_TOKENS:
        return []
    message = f"must be {NUM_BYTE_TOKENS} with text.tokenizer bytes (5 special tokens"
    return [
        Problem("text.vocab_size", f"{message} and 256 bytes), got {text.vocab_size}")
    ]


def _check_mask(mask: AnyTextMask) -> list[Problem]:
    if not isinstance(mask, BertMask) or mask.mask_share + mask.random_share <= 1.0:
        return []
    message = f"must leave at most 1 together with mask_share ({mask.mask_share})"
    return [Problem("mask.random_share", f"{message}, got {mask.random_share}")]


def _check_tasks(trial: TextTrial) -> list[Problem]:
    tasks, problems = trial.evaluation.tasks, []
    names = [task_name(task) for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = "must be different tasks, stands twice"
        problems.append(
            Problem("evaluation.tasks", f"{message}: {shown(', '.join(twice))}")
        )
    files = [task for task in tasks if task not in EMBEDDED_TASKS]
    rootless = isinstance(trial.data, PydocData | MemoryData)
    where = f"with data.source {trial.data.source}, which has no data root"
    if files and rootless:
        message = f"must be among {', '.join(EMBEDDED_TASKS)} {where}"
        problems.append(
            Problem("evaluation.tasks", f"{message}, got {shown(', '.join(files))}")
        )
    words = trial.evaluation.words
    if rootless and words not in (None, EMBEDDED_WORDS):
        message = f"must be {EMBEDDED_WORDS} or null {where}"
        problems.append(Problem("evaluation.words", f"{message}, got {shown(words)}"))
    return problems


def _check_method(evaluation: TextEvaluation) -> list[Problem]:
    if evaluation.method == "probe" or evaluation.fine_tuning is not None:
        return []
    message = "is required with evaluation.method fine_tune and was not given"
    return [Problem("evaluation.fine_tuning", message)]


def task_name(task: str) -> str:
    """``text/glue/SST-2`` in names of metrics: ``sst_2``."""
    last = task if task in EMBEDDED_TASKS else task.rstrip("/").rpartition("/")[2]
    return "".join(c if c.isalnum() else "_" for c in last.lower())
