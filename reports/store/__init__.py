"""From the tracking store to plans and tidy frames; links back into MLflow."""
