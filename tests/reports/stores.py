"""Real SQLite tracking stores, written as ``sweeps`` writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

from ablations.mlflow_names import (
    DRAWS_TAG,
    KEY_TAG,
    MANIFEST_ARTIFACT,
    MODALITY_TAG,
    REASON_TAG,
    RECORD_ARTIFACT,
    REQUEST_TAG,
    ROLE_TAG,
    SCALE_TAG,
    SEED_TAG,
    STATUS_TAG,
    TRIES_TAG,
    study_tag,
)
from ablations.record import Manifest, ManifestArm, ManifestCell, Record

# Figure 2, vision (digitised, ±0.02), as in ablations/studies/layer_averaging.yaml.
FIGURE_2 = {
    **{1: 83.01, 2: 83.50, 3: 84.02, 4: 83.88, 5: 83.86, 6: 83.79},
    **{7: 83.74, 8: 83.70, 9: 83.64, 10: 83.74, 11: 83.65, 12: 83.66},
}
ACCURACY = "eval/linear_accuracy"


@dataclass
class Store:
    """A tracking store and the shortest way to fill it."""

    uri: str
    client: MlflowClient
    artifacts: str
    clock: int = 1_790_000_000_000
    experiments: dict[str, str] = field(default_factory=dict)

    def experiment(self, name: str) -> str:
        if name not in self.experiments:
            self.experiments[name] = self.client.create_experiment(
                name, artifact_location=f"{self.artifacts}/{name}"
            )
        return self.experiments[name]

    def study(self, manifest: Manifest, **tags: str) -> str:
        self.clock += 1_000
        name = manifest.study["name"]
        run = self.client.create_run(
            self.experiment(name),
            start_time=self.clock,
            tags={
                ROLE_TAG: "study",
                MODALITY_TAG: manifest.modality,
                SCALE_TAG: manifest.scale,
                REQUEST_TAG: "0123456789abcdef",
                **tags,
            },
        )
        text = manifest.model_dump_json()
        self.client.log_text(run.info.run_id, text, MANIFEST_ARTIFACT)
        return str(run.info.run_id)

    def trial(
        self,
        manifest: Manifest,
        arm: str,
        seed: int,
        value: float | None,
        *,
        status: str | None = "finished",
        reason: str = "",
        experiment: str | None = None,
        run_status: str = "FINISHED",
        environment: Mapping[str, str] | None = None,
        curves: Mapping[str, list[float]] | None = None,
        failed: Sequence[Mapping[str, Any]] = (),
        draws: Sequence[float] = (),
        metrics: Mapping[str, float] | None = None,
    ) -> str:
        """Log one trial; ``value`` None logs no metric, ``status`` None no record.

        Curves have a value every 10 updates; ``failed`` are tries without a result;
        ``draws`` are of the accuracy; ``metrics`` are further final ones.
        """
        self.clock += 1_000
        name = manifest.study["name"]
        cells = [*manifest.cells, *manifest.removed]
        key = next(c.key for c in cells if (c.arm, c.seed) == (arm, seed))
        tags = {
            ROLE_TAG: "trial",
            KEY_TAG: key,
            SEED_TAG: str(seed),
            study_tag(name): arm,
            "mlflow.source.git.commit": "c0ffee",
            "d2v.git.dirty": "false",
        }
        if status is not None:
            tags |= {STATUS_TAG: status, REASON_TAG: reason}
        if failed:
            tags[TRIES_TAG] = json.dumps([dict(one) for one in failed])
        if draws:
            tags[DRAWS_TAG] = json.dumps({ACCURACY: [round(x, 3) for x in draws]})
        run = self.client.create_run(
            self.experiment(experiment or name), start_time=self.clock, tags=tags
        )
        run_id = str(run.info.run_id)
        self.client.log_metric(run_id, "train/loss", 0.5, step=10)
        if value is not None:
            self.client.log_metric(run_id, ACCURACY, value)
            self.client.log_metric(run_id, "cost/training_seconds", 12.5)
        for metric, number in (metrics or {}).items():
            self.client.log_metric(run_id, metric, number)
        points = [
            Metric(metric, value, self.clock, 10 * place)
            for metric, values in (curves or {}).items()
            for place, value in enumerate(values, start=1)
        ]
        self.client.log_batch(run_id, metrics=points)
        if environment is not None:
            record = Record(
                key=key,
                status="finished",
                seed=seed,
                steps=10,
                num_parameters=1,
                metrics={},
                data_name="digits",
                data_digest="d",
                environment=dict(environment),
            )
            self.client.log_text(run_id, record.model_dump_json(), RECORD_ARTIFACT)
        if run_status != "RUNNING":
            self.client.set_terminated(run_id, run_status, end_time=self.clock + 500)
        return run_id


def make_store(folder: Path) -> Store:
    uri = f"sqlite:///{folder}/mlflow.db"
    artifacts = (folder / "artifacts").as_uri()
    return Store(uri, MlflowClient(tracking_uri=uri), artifacts)


def make_manifest(
    name: str = "layer_averaging",
    *,
    seeds: int = 2,
    ks: tuple[int, ...] = (1, 2, 3, 4),
    references: tuple[str, ...] = ("untrained", "supervised"),
    published: bool = True,
    **study: Any,
) -> Manifest:
    """The layer-averaging study at 4 layers; keywords change fields of the study."""
    paper = {
        "metric": "ImageNet-1K top-1 accuracy after fine-tuning (%)",
        "setup": "ViT-B, 12 layers, 300 epochs of pre-training",
        "source": "digitised",
        "tolerance": 0.02,
        "higher_is_better": True,
        "values": {str(k): value for k, value in FIGURE_2.items()},
    }
    at = {1: 1, 2: 6, 3: 9, 4: 12}
    arms = [
        ManifestArm(
            label=f"K={k}",
            settings={"target.top_k": k},
            is_reference=False,
            value=k,
            paper={
                "value": FIGURE_2[at[k]],
                "at": f"K={at[k]}",
                "source": "digitised",
                "tolerance": 0.02,
            }
            if published
            else None,
        )
        for k in ks
    ]
    arms += [
        ManifestArm(
            label=label,
            settings={"objective.kind": label},
            is_reference=True,
            value=None,
            paper=None,
        )
        for label in references
    ]
    return with_cells(
        arms,
        seeds,
        study={
            "name": name,
            "title": "Averaging the top K teacher layers",
            "paper": {"arxiv": "2202.03555v3", "where": "Figure 2"},
            "hypothesis": "Several layers beat the top layer alone.",
            "axis": {
                "setting": "target.top_k",
                "label": "K",
                "values": {"fraction_of_depth": ["1/12", "1/2", "1"]},
            },
            "baseline": "K=1",
            "published": {"vision": paper} if published else {},
            **study,
        },
    )


def make_named_manifest(name: str, labels: tuple[str, ...], **study: Any) -> Manifest:
    """A study of named arms without references, two seeds."""
    arms = [
        ManifestArm(
            label=label, settings={}, is_reference=False, value=None, paper=None
        )
        for label in labels
    ]
    return with_cells(
        arms,
        2,
        study={"name": name, "title": "Named arms", "paper": None, **study},
    )


def with_cells(
    arms: list[ManifestArm], seeds: int, *, study: dict[str, Any]
) -> Manifest:
    cells = [
        ManifestCell(
            arm=arm.label, seed=seed, key=f"{study['name']}-{arm.label}-{seed}"
        )
        for seed in range(seeds)
        for arm in arms
    ]
    return Manifest(
        study=study,
        modality="vision",
        scale="laptop",
        assignments=[],
        metric="linear_accuracy",
        depth=4,
        num_parameters=203_456,
        base={"target": {"top_k": 3}, "vision": {"depth": 4}},
        paper_diff=[("vision.depth", 4, 12), ("training.batch_size", 128, 2_048)],
        arms=arms,
        cells=cells,
        data_digest="0f1e2d3c4b5a6978",
        command=f"d2v run {study['name']} --scale laptop",
    )
