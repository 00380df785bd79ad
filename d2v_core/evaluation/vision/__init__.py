"""How image encoders are scored: linear probe, k-NN, fine-tuning."""
