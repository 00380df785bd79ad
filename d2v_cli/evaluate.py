"""``d2v evaluate``: evaluates kept encoders as a study asks; trains nothing."""

from __future__ import annotations

import typer

from d2v_cli import options as o
from d2v_cli.run import Places, run_and_show


def evaluate(
    context: typer.Context,
    study: o.Studies,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    seeds: o.Seeds = None,
    arm: o.Arms = None,
    set_: o.Set = None,
    data_root: o.DataRoot = None,
    recipe: o.Recipe = None,
    gpu_share: o.GpuShare = None,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    address: o.Address = None,
    bars: o.Bars = False,
) -> None:
    """Evaluate the encoders that are kept, then print the table and write the report.

    Trials whose encoder is missing are named and left out; d2v run trains them.
    """
    run_and_show(
        context,
        study,
        o.make_request(
            context,
            scale,
            modality,
            seeds,
            [*(set_ or ()), *o.gpu_assignment(gpu_share)],
            data_root,
            recipe,
        ),
        Places(data_root, tracking_uri, storage, address),
        trains=False,
        arms=arm,
        bars=bars,
    )
