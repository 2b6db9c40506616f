"""What a training tells while it runs."""

import io

import pytest
from rich.console import Console
from training.conftest import Remembered

from genrestack_training import Run, Step
from genrestack_training.report import progress_bar
from genrestack_training.report.progress_bar import describe_step, terminal_progress, time_left


def test_every_fit_is_heard_in_its_order(tiny_run: Run, heard: Remembered) -> None:
    begun = [(s.part, s.fold) for s in heard.steps if s.epoch is None]
    folds = [(part, fold) for part in ("knn", "svc", "mlp") for fold in (1, 2)]
    whole = [("knn", 0), ("svc", 0), ("mlp", 0)]
    assert begun == [*whole, *folds, ("meta", 0), ("meta", 0)]
    assert {s.folds for s in heard.steps} == {2}


def test_every_epoch_is_heard(tiny_run: Run, heard: Remembered) -> None:
    epochs = [(s.fold, s.epoch) for s in heard.steps if s.epoch is not None]
    assert epochs == [(fold, epoch) for fold in (0, 1, 2) for epoch in (1, 2, 3)]
    assert {s.epochs for s in heard.steps if s.epoch is not None} == {3}
    assert {s.part for s in heard.steps if s.epoch is not None} == {"mlp"}


def test_the_share_done_rises_to_one(tiny_run: Run, heard: Remembered) -> None:
    fractions = [s.fraction for s in heard.steps]
    assert fractions == sorted(fractions)
    assert all(0.0 <= f <= 1.0 for f in fractions)
    assert fractions[-1] == 1.0
    assert [s.elapsed for s in heard.steps] == sorted(s.elapsed for s in heard.steps)


def test_time_left_is_known_once_each_part_has_been_timed(tiny_run: Run, heard: Remembered) -> None:
    assert heard.steps[0].remaining is None
    after = [s.remaining for s in heard.steps if s.fold > 0]
    assert all(seconds is not None and seconds >= 0 for seconds in after)
    assert heard.steps[-1].remaining == 0


def test_the_networks_keep_no_listener(tiny_run: Run) -> None:
    network = tiny_run.stack.named_estimators_["mlp"]
    assert not {"fit", "__sklearn_clone__", "_epoch_listener", "_execution"} & set(vars(network))
    assert network._fit_callbacks == []
    for _, estimator in tiny_run.stack.estimators:
        assert not {"fit", "__sklearn_clone__", "_epoch_listener"} & set(vars(estimator))


def step(part: str = "mlp", fold: int = 2, epoch: int | None = 30, fraction: float = 0.5) -> Step:
    return Step(part, fold, 5, epoch, None if epoch is None else 100, fraction, 61.0, 125.4)


def test_a_step_in_words() -> None:
    assert describe_step(step()) == "mlp, fold 2 of 5, epoch 30 of 100"
    assert describe_step(step("knn", 0, None)) == "knn, all training rows"
    assert describe_step(step("meta", 0, None)) == "meta-learner"
    assert describe_step(step("meta", 0, None, fraction=1.0)) == "fitted"
    assert time_left(125.4) == "about 2:05 left"
    assert time_left(None) == time_left(0.3) == ""


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    with terminal_progress(Console(file=text, width=80)) as progress:
        for epoch in range(1, 101):
            progress.update(step(epoch=epoch))
        monkeypatch.setattr(progress_bar, "LINE_EVERY", 0.0)
        progress.update(step(epoch=100))
        progress.update(step("meta", 0, None, fraction=1.0))
        progress.note("[a note] as it stands")
    assert text.getvalue().splitlines() == [
        " 50%  mlp, fold 2 of 5, epoch 1 of 100  (about 2:05 left)",
        " 50%  mlp, fold 2 of 5, epoch 100 of 100  (about 2:05 left)",
        "100%  fitted  (in 61 s)",
        "[a note] as it stands",
    ]


def test_in_a_terminal_a_bar_follows_the_work() -> None:
    text = io.StringIO()
    with terminal_progress(Console(file=text, width=120, force_terminal=True, color_system=None)) as progress:
        progress.update(step())
        progress.note("a note")
    assert "mlp, fold 2 of 5, epoch 30 of 100" in text.getvalue()
    assert "50%" in text.getvalue()
    assert "about 2:05 left" in text.getvalue()
    assert "a note" in text.getvalue()
