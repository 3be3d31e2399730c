"""The library: the command line's words as functions, objects for results, exceptions for errors."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

import harness
from harness.errors import HarnessError, RequestError
from harness.training.terms import LossTerm


@dataclass(frozen=True, kw_only=True)
class Undeclared(LossTerm):
    """Mean absolute error of the last frame."""

    name: ClassVar[str] = "last"

    def compute(self, prediction_BTCHW, target_BTCHW):  # type: ignore[no-untyped-def]
        return (prediction_BTCHW - target_BTCHW)[:, -1].abs().mean()


@dataclass(frozen=True, kw_only=True)
class Declared(Undeclared):
    """The same, with a revision."""

    name: ClassVar[str] = "last"
    revision: ClassVar[int] = 2


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes of this file are those of a notebook."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules[__name__])
    for kind in (Undeclared, Declared):
        monkeypatch.setattr(kind, "__module__", "__main__")


def test_the_words_are_plain_functions_and_no_module_has_their_name(store: Path, tmp_path: Path) -> None:
    for name in ("run", "ablate", "study", "report", "compare", "open_store", "score", "export", "judge"):
        assert inspect.isfunction(getattr(harness, name))
        assert importlib.util.find_spec(f"harness.{name}") is None
    page = harness.report(store, tmp_path / "report")
    assert page.name == "index.html"
    assert page.is_file()
    assert not harness.compare(store, tmp_path / "report").regressed


def test_a_plan_gives_its_runs_and_what_it_left_out(store: Path, quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"training.steps": 2, "training.validate_every": 2}
    found = harness.ablate(
        ["attention(heads=1)", "attention"], seeds=[0, 1], preset="tiny", settings=settings, store=store, progress=False
    )
    assert {(one.variant, one.seed) for one in found} == {
        (name, seed) for name in ("base", "attention", "attention(heads=1)") for seed in (0, 1)
    }
    assert list(found.left_out) == ["attention+attention(heads=1)"]
    assert len(found.verdicts()) == 2
    assert capsys.readouterr().err == ""


def test_a_sweep_is_a_mapping(store: Path, quick: None) -> None:
    sweep = {"training.optimizer.lr": [1e-3, 3e-3]}
    found = harness.ablate(sweep=sweep, seeds=1, preset="tiny", settings={"training.steps": 2}, store=store, progress=False)
    names = ["base", "base(training.optimizer.lr=0.001)", "base(training.optimizer.lr=0.003)"]
    assert [one.variant for one in found] == names
    assert found[2].experiment.training.optimizer.lr == 3e-3


def test_a_study_is_an_object_like_the_others(tmp_path: Path, quick: None) -> None:
    from matplotlib.figure import Figure

    settings = {"training.steps": 2, "training.validate_every": 2}
    found = harness.study(
        "learning-rate", trials=2, sampler="random", preset="tiny", settings=settings, store=tmp_path, progress=False
    )
    assert (found.name, found.variant) == ("learning-rate", "base")
    frame = found.frame()
    assert list(frame.columns[:3]) == ["number", "state", "arm"]
    assert list(frame["number"]) == [0, 1]
    best = found.best
    assert best is not None
    assert best["value"] == frame["value"].max()
    assert frame.loc[best["number"], "max_lr"] == best["params"]["max_lr"]
    again = harness.run(preset="tiny", settings=settings | best["settings"], store=tmp_path, progress=False)
    assert again.record["training"]["validation_ssim"] == best["value"]
    axes = found.plot("max_lr", axes=Figure().subplots())
    assert list(axes.lines[0].get_ydata()) == list(frame["value"])
    assert found.plot(axes=Figure().subplots()).get_xlabel() == "trial"
    assert "max_lr" in found._repr_html_()
    assert f"best is trial {best['number']}" in repr(found)
    with pytest.raises(RequestError, match="no parameter 'lr'; it has max_lr"):
        found.plot("lr")
    with pytest.raises(RequestError, match="unexpected keyword"):
        harness.study("learning-rate", trails=3, store=tmp_path)
    with pytest.raises(RequestError, match="for each variant"):
        harness.study("learning-rate", each=True, store=tmp_path)


def test_predictions_made_elsewhere_are_scored(store: Path, tmp_path: Path) -> None:
    about = harness.export(tmp_path / "test.npy", preset="tiny")
    frames = np.load(tmp_path / "test.npy")
    assert list(frames.shape) == about["shape"]
    last = np.repeat(frames[:, 2:3], 3, axis=1)
    for seed in range(2):
        np.save(tmp_path / f"{seed}.npy", last * (1 - 0.1 * seed))
    files = [tmp_path / "0.npy", tmp_path / "1.npy"]
    found = harness.score(files, "theirs", preset="tiny", store=store)
    assert [(one.variant, one.seed, one.scored) for one in found] == [("theirs", 0, True), ("theirs", 1, True)]
    assert found[0].metrics == found[0].record["baselines"]["repeat_last"]
    assert list(harness.open_store(store).verdicts()["variant"]) == ["theirs", "tta"]

    def repeat(inputs, horizon):  # type: ignore[no-untyped-def]
        return inputs[:, -1:].repeat(1, horizon, 1, 1, 1)

    (called,) = harness.score(repeat, "function", preset="tiny", store=store)
    assert called.metrics == found[0].metrics
    with pytest.raises(RequestError, match="or one predictor"):
        harness.score([*files, "module:function"], preset="tiny", store=store)
    with pytest.raises(RequestError, match="name files"):
        harness.score([], preset="tiny", store=store)


def test_errors_are_exceptions(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="unknown variant 'atention'"):
        harness.run("atention", preset="tiny", store=tmp_path)
    with pytest.raises(RequestError, match="there is no store"):
        harness.open_store(tmp_path / "nowhere")
    with pytest.raises(HarnessError, match="no finished run"):
        harness.report(tmp_path)


def test_a_class_of_a_session_must_declare_its_revision(session: None, tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"'last' is defined in this session.*`revision: ClassVar\[int\] = 1` to the class Und"
    ):
        harness.run(preset="tiny", settings={"loss.last": Undeclared()}, store=tmp_path)


def test_a_class_of_a_session_is_trained_and_reopened_when_it_is_passed_again(
    session: None, tmp_path: Path, quick: None
) -> None:
    settings = {"loss.last": Declared(weight=0.5), "training.steps": 2}
    result = harness.run(preset="tiny", settings=settings, store=tmp_path, progress=False)
    assert harness.run(preset="tiny", settings=settings, store=tmp_path, progress=False).cached
    other = harness.run(
        preset="tiny", settings=settings | {"loss.last": Declared(weight=1.0)}, store=tmp_path, progress=False
    )
    assert other.run_id != result.run_id
    with pytest.raises(RequestError, match="needs the component 'last'"):
        _ = harness.open_store(tmp_path)[result.run_id].experiment
    again = harness.open_store(tmp_path, components=[Declared])[result.run_id]
    assert again.experiment.get("loss.last") == Declared(weight=0.5)
    assert sum(one.numel() for one in again.model().parameters()) == result.parameters


def test_a_variant_of_a_session_stands_where_a_name_does(session: None, tmp_path: Path, quick: None) -> None:
    mine = harness.Variant(name="mine", summary="s", source="here", changes={"loss.last": Declared(weight=0.1)})
    found = harness.ablate(
        [mine, "mine(weight=0.2)"], seeds=1, preset="tiny", settings={"training.steps": 2}, store=tmp_path, progress=False
    )
    assert [one.variant for one in found] == ["base", "mine", "mine(weight=0.2)"]
    with pytest.raises(RequestError, match="cannot travel to other processes"):
        harness.ablate([mine], seeds=1, preset="tiny", store=tmp_path, workers=2, progress=False)


def test_the_page_of_the_library_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    page = (Path(__file__).parents[1] / "docs" / "library.md").read_text()
    session = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", session)
    blocks = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "library.md", "exec"), vars(session))
    found = vars(session)["found"]
    assert list(found.verdicts()["variant"]) == ["attention", "attention(heads=1)+residual"]
    assert list(found.left_out) == ["attention+attention(heads=1)+residual"]
