"""Data: where images come from, how they are cached, split, augmented and batched."""
