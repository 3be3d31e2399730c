"""What `harness study` prints of a study."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli.study import print_study


def trial(number: int, value: float | None, state: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    params = {"max_lr": 0.00123456 * (number + 1), "batch_size": 4}
    return {"number": number, "arm": None, "params": params, "state": state, "value": value, "error": None} | more


DOCUMENT: dict[str, Any] = {
    **{"name": "learning-rate", "variant": "base", "preset": "tiny", "front": [], "confirm": None},
    "trials": [
        trial(0, 0.5, arm="the article's recipe"),
        trial(1, 0.75),
        trial(2, 0.25, "PRUNED"),
        trial(3, None, "FAIL", error="it broke"),
    ],
    "best": {"number": 1, "value": 0.75, "config": "studies/best.toml"},
}


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(**changes: Any) -> tuple[list[str], str]:
        print_study(DOCUMENT | changes)
        streams = capsys.readouterr()
        return streams.out.splitlines(), streams.err

    return call


def test_every_trial_has_a_row_and_the_best_its_file(printed: Any) -> None:
    (title, header, *rows, best), err = printed()
    assert title == "learning-rate of base, preset tiny"
    assert header.split() == ["trial", "arm", "settings", "state", "validation", "SSIM"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2", "3"]
    assert "the article's recipe" in rows[0]
    assert "max_lr=0.002469 batch_size=4" in rows[1]
    assert [row.split()[-2:] for row in rows] == [
        *(["complete", "0.5000"], ["complete", "0.7500"], ["pruned", "0.2500"], ["fail", "none"]),
    ]
    assert best == "best: trial 1, validation SSIM 0.7500; written to studies/best.toml"
    assert err == "trial 3: it broke\n"


def test_a_study_without_a_finished_trial_says_so(printed: Any) -> None:
    lines, _ = printed(best=None, trials=[])
    assert lines[-1] == "no trial has finished yet"


def test_a_front_and_a_confirmation_follow(printed: Any) -> None:
    rows = [{"name": "chosen", "values": {"7": 0.5, "8": None}, "mean": 0.5}]
    lines, _ = printed(front=[0, 2], confirm={"seeds": [7, 8], "rows": rows, "verdict": "helps, they say"})
    assert "Pareto front of SSIM and seconds: trials 0, 2" in lines
    assert ["test", "SSIM", "by", "seed", "7", "8", "mean"] in [line.split() for line in lines]
    assert ["chosen", "0.5000", "none", "0.5000"] in [line.split() for line in lines]
    assert lines[-1] == "helps, they say"
