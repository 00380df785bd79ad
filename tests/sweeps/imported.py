"""What every command that trains imports; read by the process of ``warm.py`` alone."""

import os
from importlib import import_module

from sweeps.ray.compat import NO_GPU_UNLESS_RESERVED, NO_IDLE_WORKERS, ON_LOOPBACK
from sweeps.ray.session import QUIET

# Ray reads its environment when it is imported (sweeps/ray/session.py).
local = {**NO_GPU_UNLESS_RESERVED, **NO_IDLE_WORKERS, **ON_LOOPBACK}
os.environ.update({**QUIET, **local})
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

for name in (
    *("mlflow.tracking", "scipy.stats", "sklearn.linear_model", "sklearn.datasets"),
    *("d2v_core.encoders.timm_vision", "torchaudio"),
    *("ray.tune", "ray.air.integrations.mlflow", "d2v_core.modalities.vision"),
    *("d2v_core.modalities.speech", "d2v_core.modalities.text", "d2v_cli.run"),
    *("sweeps.driver.run", "sweeps.ray.tune_callback", "reports.build"),
):
    import_module(name)
