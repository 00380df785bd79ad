"""Masks that every second patch, or square of patches, escapes."""

import numpy as np


def checkerboard(
    batch_size: int,
    grid: tuple[int, int],
    generator: np.random.Generator,
    size: int = 1,
) -> np.ndarray:
    """Hide the black fields of a chessboard in half of the images, the white in others.

    Args:
        batch_size: Images.
        grid: Rows and columns of patches.
        generator: The same in every worker and for every arm of a seed.
        size: Side of a field in patches.

    Returns:
        Bool of shape (batch, rows, columns), true at hidden patches.
    """
    rows, columns = np.indices(grid) // size
    black = (rows + columns) % 2 == 0
    is_black = generator.random(batch_size) < 0.5
    return black == is_black[:, None, None]
