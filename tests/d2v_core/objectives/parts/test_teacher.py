import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from d2v_core.build import build_encoder
from d2v_core.objectives.parts.teacher import EmaTeacher
from tests.d2v_core.small import fill_with_noise, small_trial


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("index", torch.tensor([7, 1_000_003, 38_809]))
        self.register_buffer("mean", torch.zeros(2))


def follow(values, taus):
    """The teacher after each student value, by hand in float64."""
    teacher = np.zeros(3)
    for value, tau in zip(values, taus, strict=True):
        teacher = tau * teacher + (1 - tau) * np.asarray(value)
    return teacher


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.floats(-5, 5, width=32)] * 3), st.floats(0, 1, width=32)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_teacher_is_the_moving_average_of_a_changing_student(steps):
    student = Student()
    teacher = EmaTeacher(student)
    for value, tau in steps:
        student.weight.data = torch.tensor(value)
        teacher.update(student, tau)
    expected = follow(*zip(*steps, strict=True))
    np.testing.assert_allclose(teacher.network.weight, expected, atol=2e-5)


def test_tau_zero_copies_the_student_exactly():
    student = Student()
    teacher = EmaTeacher(student)
    student.weight.data = torch.tensor([1 / 3, 1e-30, 3e7])
    teacher.update(student, 0.0)
    assert torch.equal(teacher.network.weight, student.weight)


def test_tau_one_freezes_the_teacher_exactly():
    student = Student()
    student.weight.data = torch.tensor([1 / 3, 1e-30, 3e7])
    teacher = EmaTeacher(student)
    before = teacher.network.weight.clone()
    student.weight.data = torch.tensor([5.0, 6.0, 7.0])
    for _ in range(3):
        teacher.update(student, 1.0)
    assert torch.equal(teacher.network.weight, before)


@pytest.mark.parametrize("tau", [0.0, 0.9, 0.9996, 0.9999])
def test_buffers_are_copied_never_averaged(tau):
    student = Student()
    teacher = EmaTeacher(student)
    before = student.index.clone()
    for _ in range(20):
        teacher.update(student, tau)
    assert torch.equal(teacher.network.index, before)
    student.mean = student.mean + 4.0  # as some networks do
    student.index += 1
    teacher.update(student, tau)
    assert torch.equal(teacher.network.mean, torch.full((2,), 4.0))
    assert torch.equal(teacher.network.index, before + 1)


def test_the_teacher_still_follows_after_the_student_moved_elsewhere():
    student = Student()
    teacher = EmaTeacher(student)
    teacher.update(student, 0.5)
    student.to(torch.float64).to(torch.float32)  # rebinds .data, as .to(device) does
    with torch.no_grad():
        student.weight += 4.0
    teacher.update(student, 0.5)
    assert teacher.network.weight.tolist() == [2.0] * 3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), st.booleans())
def test_shared_parts_equal_the_student_and_the_others_follow_the_average(taus, share):
    student = nn.ModuleDict({"local": nn.Linear(2, 3), "context": nn.Linear(3, 2)})
    fill_with_noise(student, seed=1)
    teacher = EmaTeacher(student)
    shared = {"local.weight", "local.bias"} if share else set()
    expected = {n: p.detach().double().numpy() for n, p in student.named_parameters()}
    for seed, tau in enumerate(taus, start=2):
        fill_with_noise(student, seed=seed)
        teacher.update(student, tau, shared)
        for name, parameter in student.named_parameters():
            new = parameter.detach().double().numpy()
            expected[name] = tau * expected[name] + (1 - tau) * new
    theirs = dict(student.named_parameters())
    for name, own in teacher.network.named_parameters():
        if name in shared:
            assert torch.equal(own, theirs[name])
        else:
            np.testing.assert_allclose(own, expected[name], atol=2e-6)


def test_everything_may_be_shared_and_the_choice_may_change():
    student = Student()
    teacher = EmaTeacher(student)
    for value, shared, expected in (
        (4.0, {"weight"}, 4.0),
        (8.0, set(), 6.0),
        (2.0, {"weight"}, 2.0),
    ):
        nn.init.constant_(student.weight, value)
        teacher.update(student, 0.5, shared)
        assert teacher.network.weight.tolist() == [expected] * 3


def test_sharing_what_does_not_exist_is_our_mistake():
    student = Student()
    with pytest.raises(AssertionError, match="unknown: {'wait'}"):
        EmaTeacher(student).update(student, 0.5, {"wait"})


def test_the_teacher_starts_as_a_copy_without_gradients_in_evaluation_mode():
    student = build_encoder(small_trial({"vision": {"dropout": 0.5}})).train()
    teacher = EmaTeacher(student).network
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    assert student.training
    trained = [p.requires_grad for p in student.parameters()]
    assert all(trained)
    for own, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        assert torch.equal(own, theirs)
        assert own.data_ptr() != theirs.data_ptr()


def test_the_mask_token_of_a_copy_belongs_to_the_copy():
    student = build_encoder(small_trial()).eval()
    fill_with_noise(student)
    teacher = EmaTeacher(student).network
    images, mask = torch.randn(2, 1, 8, 8), torch.ones(2, 16, dtype=torch.bool)
    before = teacher(images, mask)
    moved = torch.randn(16)  # the same for every channel would vanish in the norms
    with torch.no_grad():
        student.mask_token += moved
    assert torch.equal(teacher(images, mask), before)
    assert not torch.allclose(student(images, mask), before)
    with torch.no_grad():
        teacher.mask_token += moved
    assert torch.equal(teacher(images, mask), student(images, mask))


def test_a_mask_given_to_the_student_is_not_seen_by_its_teacher():
    student = build_encoder(small_trial()).eval()
    teacher = copy.deepcopy(student)
    images, mask = torch.randn(2, 1, 8, 8), torch.ones(2, 16, dtype=torch.bool)
    unmasked = teacher(images)
    student(images, mask)
    assert torch.equal(teacher(images), unmasked)
