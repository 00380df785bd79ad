"""``d2v schema``: what an editor needs to help with a study file."""

from __future__ import annotations

from d2v_cli import options as o


def schema() -> None:
    """Print the JSON Schema of a study file: completion and help in editors."""
    from ablations.study.json_schema import study_schema

    o.print_json(study_schema())
