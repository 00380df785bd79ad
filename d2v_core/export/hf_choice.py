"""Which class of Hugging Face transformers an encoder is exported for.

That of the method that trained it, if transformers has one; else data2vec's, which is
also taken where the method's own class has no place for what the encoder has.
transformers has no data2vec 2.0: its encoders here are data2vec's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2v_core.config.base import ObjectiveSection
from d2v_core.config.baselines import (
    ContrastiveObjective,
    TokensObjective,
    TransformerDecoder,
)
from d2v_core.encoders.encoder import Encoder
from d2v_core.export.hf_audio import DATA2VEC_AUDIO
from d2v_core.export.hf_class import HfClass, cannot_express
from d2v_core.export.hf_text import DATA2VEC_TEXT, ROBERTA
from d2v_core.export.hf_vision import DATA2VEC_VISION
from d2v_core.export.hf_vit_mae import VIT_MAE
from d2v_core.export.hf_wav2vec2 import WAV2VEC2

OF_DATA2VEC = {
    "vision": DATA2VEC_VISION,
    "speech": DATA2VEC_AUDIO,
    "text": DATA2VEC_TEXT,
}
OF_METHODS: dict[tuple[str, type], HfClass] = {
    ("vision", TransformerDecoder): VIT_MAE,
    ("text", TokensObjective): ROBERTA,
    ("speech", ContrastiveObjective): WAV2VEC2,
}
"""By modality and a section of the objective. MAE is known by its decoder: the encoder
of SimMIM, the other form of ``pixels``, reads mask tokens, which ViTMAE has none of."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        class_name: The class of transformers that opens it.
        remarks: What its user must know, a line each.
    """

    class_name: str
    remarks: tuple[str, ...]


def classes_for(modality: str, objective: ObjectiveSection) -> tuple[HfClass, ...]:
    """The classes that are tried, the best one first."""
    sections = (objective, getattr(objective, "decoder", None))
    keys = [(modality, type(section)) for section in sections]
    own = [OF_METHODS[key] for key in keys if key in OF_METHODS]
    return (*own, OF_DATA2VEC[modality])


def export_for_objective(
    encoder: Encoder,
    folder: Path,
    *,
    modality: str,
    objective: ObjectiveSection,
    preprocessing: Mapping[str, Any],
) -> Exported:
    """Write a folder for the first class that computes what the encoder does.

    Args:
        encoder: Encoder of the modality.
        folder: Made if needed; files of an earlier export are replaced.
        modality: Its name.
        objective: What the encoder was trained with.
        preprocessing: As the modality's exporters take it.

    Raises:
        ValueError: None does; every reason at once, and nothing is written.
    """
    against: dict[str, list[str]] = {}
    for each in classes_for(modality, objective):
        if reasons := each.against(encoder):
            against[each.name] = reasons
            continue
        each.write(encoder, folder, **preprocessing)
        remarks = [f"not as {name}: {'; '.join(r)}" for name, r in against.items()]
        return Exported(each.name, (*remarks, *each.remarks))
    raise ValueError(cannot_express(against))
