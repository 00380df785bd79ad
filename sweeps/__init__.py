"""The engine: study to plan, plan to Ray Tune, results to MLflow."""
