import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.randomness import (
    derived_seed,
    global_torch_seed,
    numpy_generator,
    torch_generator,
)


@given(st.integers(0, 2**31), st.text(max_size=10), st.integers(0, 10**9))
def test_a_stream_seed_has_63_bits_and_depends_on_its_name_only(seed, name, counter):
    first = derived_seed(seed, name, counter)
    assert first == derived_seed(seed, name, counter)
    assert 0 <= first < 2**63


def test_the_derivation_is_frozen():
    digest = hashlib.sha256(b"3/mask/17").digest()
    expected = int.from_bytes(digest[:8], "little") // 2
    assert derived_seed(3, "mask", 17) == expected


def test_streams_counters_and_seeds_are_all_different():
    places = [(s, n, c) for s in (0, 1, 11) for n in ("a", "b") for c in (0, 1, 11)]
    assert len({derived_seed(*place) for place in places}) == len(places)


def test_generators_repeat_themselves():
    assert numpy_generator(1, "a").random() == numpy_generator(1, "a").random()
    one, two = torch_generator(1, "a", 2), torch_generator(1, "a", 2)
    assert torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=two))


def test_a_global_seed_is_undone_even_after_an_error():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    inside = []

    def draw_and_fail():
        with global_torch_seed(1, "a"):
            inside.append(torch.rand(2))
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()
    with global_torch_seed(1, "a"):
        assert torch.equal(torch.rand(2), inside[0])
