"""Schedules of one's own: a tau in steps, and a learning rate in steps."""


def stepped_tau(
    step: int, num_steps: int, taus: tuple[float, ...] = (0.9, 0.99)
) -> float:
    """Keep each tau for an equal part of the run.

    Args:
        step: Update, from 1.
        num_steps: Updates of the run.
        taus: From 0 to 1, one for each part.
    """
    return taus[(step - 1) * len(taus) // num_steps]


def stepped_decay(progress: float) -> float:
    """Halve what is left of the learning rate four times.

    Args:
        progress: Share of the updates after the warm-up that are done, from 0 to 1.

    Returns:
        Share of the way from the final rate to the peak: 1 is the peak.
    """
    return 0.5 ** int(5 * min(progress, 0.99))
