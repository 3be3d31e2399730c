"""Finished runs as objects: filtered, judged, drawn, as tidy frames."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.errors import RequestError


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
    curve = result.validations()
    assert list(curve["step"]) == [3, 6]
    assert curve["ssim"].max() == pytest.approx(result.record["training"]["validation_ssim"])


def test_a_store_is_opened_filtered_and_judged(store: Path) -> None:
    runs = harness.open_store(store)
    assert sorted(one.variant for one in runs) == ["base", "tta"]
    (base,) = runs.where(variant="base")
    assert runs[base.run_id[:10]] == base
    assert list(runs[:1]) == [runs[0]]
    verdicts = runs.verdicts()
    assert list(verdicts["variant"]) == ["tta"]
    assert list(verdicts["verdict"]) == ["undecided"]
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
