"""The mistakes: where, what stands there exactly once, what instead, which tests.

``where`` is a file, or a folder in which the text is looked for: then a moved file
changes nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One mistake in the code.

    Attributes:
        name: What the mistake is, in words.
        where: File or folder below the root of the repository.
        old: What stands there, exactly once.
        new: What stands there with the mistake.
        tests: Files, or tests in them, of which one should fail.
    """

    name: str
    where: str
    old: str
    new: str
    tests: tuple[str, ...]


PARTS = "tests/d2v_core/objectives/parts"
TRAINING = "tests/d2v_core/training"
STATISTICS = "tests/reports/statistics"
END_TO_END = "tests/sweeps/test_end_to_end.py"
FAULTS = "tests/sweeps/driver/test_faults.py"

CORE = (
    Mutation(
        "the teacher keeps 1 - tau",
        "d2v_core/objectives",
        "average(tau)(*self._averaged, None)",
        "average(1.0 - tau)(*self._averaged, None)",
        (f"{PARTS}/test_teacher.py",),
    ),
    Mutation(
        "buffers of the teacher stay behind",
        "d2v_core/objectives",
        "getattr(network, name).copy_(getattr(followed, name))",
        "getattr(network, name).add_(0)",
        (f"{PARTS}/test_teacher.py",),
    ),
    Mutation(
        "the teacher reads the student's tokens",
        "d2v_core/objectives/data2vec.py",
        "of_teacher = inputs if draw.teacher is None else draw.teacher",
        "of_teacher = of_student",
        (
            "tests/d2v_core/objectives/test_data2vec.py",
            "tests/d2v_core/test_text_trial.py",
        ),
    ),
    Mutation(
        "dropout is on in the teacher",
        "d2v_core/objectives",
        "copy.deepcopy(student).requires_grad_(False).eval()",
        "copy.deepcopy(student).requires_grad_(False)",
        (f"{PARTS}/test_teacher.py", "tests/d2v_core/objectives/test_data2vec.py"),
    ),
    Mutation(
        "one layer too many is averaged (speech, text)",
        "d2v_core/encoders",
        "first = len(self.blocks) - wanted.top_k",
        "first = len(self.blocks) - wanted.top_k - 1",
        ("tests/d2v_core/encoders/test_transformer.py",),
    ),
    Mutation(
        "the average divides by one too many",
        "d2v_core/objectives",
        "normed(summed / len(layers), final_norm)",
        "normed(summed / (len(layers) + 1), final_norm)",
        (f"{PARTS}/test_targets.py",),
    ),
    Mutation(
        "instance norm over channels",
        "d2v_core/objectives",
        "_standardise(features, axes=(1,), real=real)",
        "_standardise(features, axes=(2,), real=real)",
        (f"{PARTS}/test_targets.py",),
    ),
    Mutation(
        "padding takes part in the norm of a target",
        "d2v_core/objectives",
        "values.expand_as(features).masked_fill(~kept, 0).sum(axes, keepdim=True)",
        "values.expand_as(features).sum(axes, keepdim=True)",
        (f"{PARTS}/test_targets.py",),
    ),
    Mutation(
        "beta of smooth L1 is ignored",
        "d2v_core/objectives",
        "F.smooth_l1_loss(prediction.float(), target, beta=beta)",
        "F.smooth_l1_loss(prediction.float(), target)",
        (f"{PARTS}/test_losses.py",),
    ),
    Mutation(
        "the mask ratio is ignored",
        "d2v_core/masks",
        "max(1, round(ratio * patches))",
        "max(1, round(0.6 * patches))",
        ("tests/d2v_core/masks/test_patches.py",),
    ),
    Mutation(
        "spans are one position too short",
        "d2v_core/masks",
        "starts[:, None] + np.arange(width)",
        "starts[:, None] + np.arange(max(width - 1, 1))",
        ("tests/d2v_core/masks/test_spans.py",),
    ),
    Mutation(
        "the loss also counts tokens that are not masked",
        "d2v_core/masks",
        "TokenMask(mask, selected, random)",
        "TokenMask(selected, selected, random)",
        ("tests/d2v_core/masks/test_tokens.py",),
    ),
    Mutation(
        "the warm-up is one update late",
        "d2v_core/training",
        "return peak * step / warmup_steps",
        "return peak * (step - 1) / warmup_steps",
        (f"{TRAINING}/test_schedules.py",),
    ),
    Mutation(
        "tau is one update late",
        "d2v_core/training",
        "(1.0 - step / anneal_steps)",
        "(1.0 - (step - 1) / anneal_steps)",
        (f"{TRAINING}/test_schedules.py",),
    ),
    Mutation(
        "weight decay on biases and norms",
        "d2v_core/training",
        "parameter.ndim >= 2 and not",
        "parameter.ndim >= 1 and not",
        (f"{TRAINING}/test_optimizer.py",),
    ),
    Mutation(
        "a continued training forgets the optimiser",
        "d2v_core/training",
        'state.optimizer.load_state_dict(content["optimizer"])',
        'assert content["optimizer"]',
        (f"{TRAINING}/test_checkpoint.py",),
    ),
    Mutation(
        "every seed draws the same",
        "d2v_core/randomness.py",
        'f"{seed}/{stream}/{counter}"',
        'f"{stream}/{counter}"',
        ("tests/d2v_core/test_randomness.py",),
    ),
    Mutation(
        "every update draws the same",
        "d2v_core/randomness.py",
        'f"{seed}/{stream}/{counter}"',
        'f"{seed}/{stream}"',
        ("tests/d2v_core/test_randomness.py",),
    ),
    Mutation(
        "the probe selects on the test split",
        "d2v_core/evaluation/protocol.py",
        "train,\n            draws,\n            valid,",
        "train,\n            draws,\n            test,",
        ("tests/d2v_core/evaluation/test_protocol.py",),
    ),
    Mutation(
        "word errors are averaged over utterances",
        "d2v_core/evaluation",
        "return 100.0 * edits / max(1, sum(map(len, said)))",
        "return 100.0 * sum(edit_distance(a, b) / max(1, len(a)) "
        "for a, b in zip(said, heard)) / max(1, len(said))",
        ("tests/d2v_core/evaluation/speech/test_word_errors.py",),
    ),
)

ABLATIONS = (
    Mutation(
        "a key ignores the data",
        "ablations/identity.py",
        '"data": trained_on, "settings": settings}',
        '"data": "", "settings": settings}',
        ("tests/ablations/test_identity.py",),
    ),
    Mutation(
        "a key ignores the masks",
        "ablations/identity.py",
        "for name, value in settings.items() if name not in unused}",
        "for name, value in settings.items() if name not in {*unused, 'mask'}}",
        ("tests/ablations/test_identity.py",),
    ),
    Mutation(
        "a key in YAML may stand twice",
        "ablations/yaml_source.py",
        "            if key in data:\n",
        "            if key in ():\n",
        ("tests/ablations/test_yaml_source.py",),
    ),
    Mutation(
        "--set takes settings that do not exist",
        "d2v_core/config/base.py",
        'extra="forbid"',
        'extra="ignore"',
        ("tests/ablations/test_layers.py", "tests/d2v_core/config/test_parsing.py"),
    ),
    Mutation(
        "a failed trial counts as done",
        "ablations/record.py",
        'DONE: tuple[Status, ...] = ("finished", "collapsed")',
        'DONE: tuple[Status, ...] = ("finished", "collapsed", "failed")',
        (f"{STATISTICS}/test_summary.py",),
    ),
    Mutation(
        "a number of the paper is mistyped",
        "ablations/studies/layer_averaging.yaml",
        "83.01",
        "83.10",
        (
            "tests/ablations/test_shipped.py"
            "::test_figure_2_is_matched_at_the_same_share_of_the_depth",
        ),
    ),
)

SWEEPS = (
    Mutation(
        "a done trial is trained again",
        "sweeps/driver",
        "if known is not None and known.done:",
        "if known is not None and known.done and False:",
        (END_TO_END,),
    ),
    Mutation(
        "two processes may train a trial",
        "sweeps/tracking/locks.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key)",
        "fcntl.LOCK_EX | fcntl.LOCK_NB, 1, os.getpid()",
        ("tests/sweeps/tracking/test_locks.py",),
    ),
    Mutation(
        "a lock is not given back",
        "sweeps/tracking/locks.py",
        "fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))",
        "_place(key)",
        ("tests/sweeps/tracking/test_locks.py",),
    ),
    Mutation(
        "a trial is started again once too often",
        "sweeps/listener.py",
        "MAX_RESTARTS = 2",
        "MAX_RESTARTS = 3",
        (FAULTS,),
    ),
    Mutation(
        "a trial that goes on writes its curve twice",
        "sweeps/driver",
        "new = [entry for entry in progress if entry[0] > until]",
        "new = [entry for entry in progress if entry[0] > until or True]",
        (FAULTS,),
    ),
    Mutation(
        "a frozen worker is waited for twice as long",
        "sweeps/ray",
        "elif now - at > limit:",
        "elif now - at > 2 * limit:",
        ("tests/sweeps/ray/test_frozen_workers.py",),
    ),
    Mutation(
        "a write that fails is not made again",
        "sweeps/tracking/writer.py",
        "        while True:\n            try:\n                write.do(",
        "        for _ in range(1):\n            try:\n                write.do(",
        ("tests/sweeps/tracking/test_writer.py",),
    ),
    Mutation(
        "a status is written before its record",
        "sweeps/tracking/tracker.py",
        "        self._log_dataset(run_id, record)\n",
        "        self.client.set_tag(run_id, names.STATUS_TAG, record.status)\n"
        "        self._log_dataset(run_id, record)\n",
        ("tests/sweeps/tracking/test_tracker.py",),
    ),
    Mutation(
        "arm and seed are swapped in the tags",
        "sweeps/tracking/tracker.py",
        "            names.ARM_TAG: cell.arm.label,\n",
        "            names.ARM_TAG: str(cell.seed),\n",
        ("tests/sweeps/tracking/test_tracker.py::test_a_trials_tags_say_which_it_is",),
    ),
)

REPORTS = (
    Mutation(
        "differences are not paired by seed",
        "reports/statistics",
        "[values[seed] - others[seed] for seed in common]",
        "np.subtract(*(sorted(v[s] for s in common) for v in (values, others)))",
        (f"{STATISTICS}/test_inference.py", f"{STATISTICS}/test_summary.py"),
    ),
    Mutation(
        "p is not corrected",
        "reports/statistics",
        "min(1.0, (count - rank) * p_values[index])",
        "min(1.0, p_values[index])",
        (f"{STATISTICS}/test_inference.py",),
    ),
    Mutation(
        "intervals are those of a normal distribution",
        "reports/statistics",
        "special.stdtrit(freedom, 0.5 + confidence / 2)",
        "special.ndtri(0.5 + confidence / 2)",
        (f"{STATISTICS}/test_inference.py",),
    ),
    Mutation(
        "a claim is judged the wrong way round",
        "reports/claims",
        "self.result.sign * paired_differences(first.values, second.values)",
        "self.result.sign * paired_differences(second.values, first.values)",
        ("tests/reports/claims/test_verdicts.py",),
    ),
    Mutation(
        "a verdict takes the interval alone",
        "reports/claims",
        "return self.interval.low > border and self.p < self.alpha",
        "return self.interval.low > border",
        ("tests/reports/claims/test_verdicts.py",),
    ),
    Mutation(
        "collapsed trials leave the mean",
        "reports/statistics",
        "COUNTED = DONE",
        'COUNTED = ("finished",)',
        (f"{STATISTICS}/test_summary.py",),
    ),
    Mutation(
        "a page escapes nothing",
        "reports/page",
        "autoescape=True",
        "autoescape=False",
        ("tests/reports/test_report.py",),
    ),
)

MUTATIONS = (*CORE, *ABLATIONS, *SWEEPS, *REPORTS)
