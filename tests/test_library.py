"""The library: the command line's words as functions, objects for results, exceptions for errors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

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


def test_importing_the_library_imports_nothing_heavy() -> None:
    words = (
        "import sys, harness; harness.Component, harness.Variant, harness.run, harness.study; "
        "assert callable(harness.study) and callable(harness.report); "
        "print(sorted({'torch', 'pandas', 'numpy', 'matplotlib', 'typer', 'optuna'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_others_are_answered_with_them() -> None:
    assert {"run", "ablate", "study", "report", "compare", "open_store", "Experiment", "setting"} <= set(dir(harness))
    assert all(hasattr(harness, name) for name in dir(harness))
    with pytest.raises(AttributeError, match=r"it has .*ablate"):
        harness.ablat  # noqa: B018


def test_a_module_of_a_functions_name_is_that_function_too(store: Path, tmp_path: Path) -> None:
    import harness.report
    from harness.report import Report

    assert harness.report.Report is Report
    page = harness.report(store, tmp_path / "report")
    assert page.name == "index.html"
    assert page.is_file()
    assert not harness.compare(store, tmp_path / "report").regressed


def test_a_run_is_answered_from_the_store_and_is_a_tidy_frame(store: Path) -> None:
    result = harness.run("base", preset="tiny", seed=0, store=store, progress=False)
    assert result.cached
    assert (result.variant, result.preset, result.seed, result.steps) == ("base", "tiny", 0, 6)
    frame = result.frame()
    assert list(frame.columns) == [
        *("run_id", "variant", "preset", "seed", "metric", "value"),
        *("parameters", "seconds", "steps"),
    ]
    assert set(frame["metric"]) == set(result.metrics)
    assert frame.set_index("metric")["value"]["ssim"] == result.metrics["ssim"]
    assert result.verdicts().empty
    assert "ssim" in result._repr_html_()
    assert result.run_id in repr(result)


def test_a_store_is_opened_filtered_and_judged(store: Path) -> None:
    runs = harness.open_store(store)
    assert sorted(one.variant for one in runs) == ["base", "tta"]
    (base,) = runs.where(variant="base")
    assert runs[base.run_id[:10]] == base
    assert list(runs[:1]) == [runs[0]]
    verdicts = runs.verdicts()
    assert list(verdicts["variant"]) == ["tta"]
    assert list(verdicts["verdict"]) == ["not enough seeds"]
    with pytest.raises(RequestError, match="need a margin"):
        runs.verdicts("mse")
    assert len(runs.verdicts("mse", margin=0.1)) == 1
    with pytest.raises(RequestError, match="no metric"):
        runs.verdicts("ssimm")
    with pytest.raises(RequestError, match="no run of base"):
        runs.where(variant="tta").verdicts()
    with pytest.raises(RequestError, match="0 of 2 runs"):
        runs["zzz"]


def test_results_are_drawn_on_axes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    runs = harness.open_store(store)
    axes = Figure().subplots()
    assert runs.plot(axes=axes) is axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [one.variant for one in runs]
    single = Figure().subplots()
    assert runs[0].plot("mse", axes=single).get_ylabel() == "test mse"


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


def test_a_study_gives_its_document(tmp_path: Path, quick: None) -> None:
    settings = {"training.steps": 2, "training.validate_every": 2}
    found = harness.study(
        "learning-rate", trials=1, sampler="random", preset="tiny", settings=settings, store=tmp_path, progress=False
    )
    assert found["name"] == "learning-rate"
    assert found["best"] is not None
    with pytest.raises(RequestError, match="unexpected keyword"):
        harness.study("learning-rate", trails=3, store=tmp_path)


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
