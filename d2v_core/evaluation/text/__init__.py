"""How text encoders are scored: GLUE-style tasks, frozen or fine-tuned."""
