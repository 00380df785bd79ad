"""The training loop and what it needs: optimiser, schedules, checkpoints, health.

Knows no objective and no modality. A new schedule or health metric belongs here.
"""
