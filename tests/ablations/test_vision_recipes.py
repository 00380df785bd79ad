"""What vision's recipes say beyond being valid trials."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from ablations.layers import Layer, resolve, set_layer
from ablations.library import read_recipe
from d2v_core.config import leaves
from d2v_core.costs import estimate_cost
from sweeps.plan.costing import gpu_hours


def chosen(name: str, *more: Layer) -> dict[str, Any]:
    recipe = Layer.from_yaml(read_recipe(name))
    return dict(leaves(resolve("vision", [recipe, *more])))


def test_the_papers_fine_tuning_is_there_to_be_uncommented() -> None:
    lines = read_recipe("vision-paper").file.read_text().splitlines()
    (first,) = [i for i, line in enumerate(lines) if line.startswith("  # fine_tuning")]
    block = [lines[first].replace("  # ", "", 1).partition("#")[0]]
    for line in lines[first + 1 :]:
        if not line.startswith("  #   "):
            break
        block.append(line.replace("  # ", "", 1).partition("#")[0])
    settings = YAML(typ="safe", pure=True).load("\n".join(block))
    found = chosen("vision-paper", set_layer({"evaluation": settings}))
    prefix = "evaluation.fine_tuning."
    tuning = {k.removeprefix(prefix): v for k, v in found.items() if prefix in k}
    published = {
        "num_steps": 125_000,  # 100 epochs of 1,281,167 images in batches of 1024
        "batch_size": 1024,
        "learning_rates": (4e-3,),
        "warmup": 0.1,
        "final_scale": 2.5e-4,  # 1e-6 over the peak
        "layer_decay": 0.65,
        "weight_decay": 0.0,
        "label_smoothing": 0.1,
        "drop_path": 0.2,
        "head_init_scale": 0.001,
    }
    assert tuning.items() >= published.items()
    assert round(100 * 1_281_167 / 1024, -3) == published["num_steps"]
    assert found["evaluation.pooling"] == "mean"


def test_a_gpu_trial_is_what_its_header_says() -> None:
    source = read_recipe("vision-gpu")
    trial = resolve("vision", [Layer.from_yaml(source)])
    cost = estimate_cost(trial)
    assert cost is not None
    flops, seconds = f"{cost.flops:.2g}".replace("+", ""), 3600 * gpu_hours(cost, trial)
    header = source.file.read_text()
    assert f"counts {flops} operations per trial, {seconds:.0f} s at 40 %" in header
    assert cost.memory_bytes < 8 * 2**30
