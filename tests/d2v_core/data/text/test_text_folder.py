import pytest

from d2v_core.config import parse_trial
from d2v_core.config.text import LinesData, TextFolderData
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.text.dataset import text_digest
from d2v_core.data.text.line_files import lines_digest, load_lines
from d2v_core.errors import DataError
from d2v_core.evaluation.rank import NO_TASKS
from d2v_core.modalities import modality_of
from d2v_core.trial import run_trial
from tests.d2v_core.small_text import SMALL_TEXT


def essays(root):
    (root / "more").mkdir(parents=True, exist_ok=True)
    (root / "a.txt").write_text("the cat sat on the mat\n" * 20)
    (root / "more" / "b.TXT").write_text("a dog ran off with the hat\n" * 20)
    (root / "notes.md").write_text("no text of ours")
    return root


def load(data):
    return load_lines(data, FileErrors(), vocab_size=300, max_tokens=16)


def test_every_text_file_below_a_folder_is_a_document(tmp_path):
    folder = load(TextFolderData(folder=str(essays(tmp_path / "own"))))
    assert folder.num_lines == 40
    assert folder.left_out == {"with unknown suffix .md": 1}
    assert any("only 40 lines of text" in note for note in folder.notes)
    assert folder.name == "2 text files in own"
    joined = tmp_path / "joined"
    joined.mkdir()
    parts = [(tmp_path / "own" / name).read_text() for name in ("a.txt", "more/b.TXT")]
    (joined / "train.txt").write_text("\n".join(parts))
    lines = load(LinesData(folder=str(joined)))
    assert folder.rows.ids.tolist() == lines.rows.ids.tolist()
    assert folder.rows.starts.tolist() == lines.rows.starts.tolist()


def test_a_long_paragraph_is_cut_into_rows(tmp_path):
    (tmp_path / "one.txt").write_text("the cat sat on the mat " * 200)
    corpus = load(TextFolderData(folder=str(tmp_path)))
    assert len(corpus.rows) > 10


def test_a_changed_file_changes_the_digest(tmp_path):
    data = TextFolderData(folder=str(essays(tmp_path)))
    before = lines_digest(data)
    (tmp_path / "a.txt").write_text("another text\n")
    assert lines_digest(data) != before


def test_a_folder_without_text_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    data = TextFolderData(folder=str(tmp_path))
    with pytest.raises(
        DataError, match=r"at least one file \*.txt, holds none; 1 with"
    ):
        lines_digest(data)
    (tmp_path / "a.txt").write_text("\n\n")
    with pytest.raises(DataError, match="must hold lines of text, holds none"):
        load(data)


def test_tasks_in_files_need_a_root_and_the_error_says_how_to_do_without(tmp_path):
    data = TextFolderData(folder=str(essays(tmp_path)))
    with pytest.raises(DataError, match=r"--set evaluation.tasks=\[\] for RankMe"):
        text_digest(data, ("text/glue/CoLA",))


def test_a_trial_without_tasks_gives_rankme_and_says_why(tmp_path):
    data = {"source": "text_folder", "folder": str(essays(tmp_path))}
    evaluation = {**SMALL_TEXT.get("evaluation", {}), "tasks": []}
    trial = parse_trial({**SMALL_TEXT, "data": data, "evaluation": evaluation})
    assert not trial.has_labels
    modality = modality_of(trial)
    assert modality.data_digest(trial) == modality.training_digest(trial)
    finished = list(run_trial(trial))[-1]
    scores = [name for name in finished.metrics if name.startswith("eval/")]
    assert scores == ["eval/rankme"]
    assert NO_TASKS in finished.notes
