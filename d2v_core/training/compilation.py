"""``torch.compile`` where it is safe: whole blocks of a network without hooks.

Teachers are left as they are: hooks read their activations, and compiled code does not
look for hooks that came later.
"""

from __future__ import annotations

from d2v_core.encoders.encoder import Encoder


def compile_blocks(encoder: Encoder) -> int:
    """Compile all blocks in place; returns their number.

    Names of parameters do not change; copies of the encoder are not compiled. Random
    numbers are drawn as without compilation.
    """
    blocks = next(
        module
        for name, module in encoder.named_modules()
        if name.rpartition(".")[2] == "blocks"
    )
    compiled = list(blocks.children())
    for block in compiled:
        block.compile(options={"fallback_random": True})
    return len(compiled)
