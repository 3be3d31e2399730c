"""What names of columns mean to people."""

from __future__ import annotations

import pytest

from reports.judging import naming


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("test/ssim", True), ("metrics.val_acc", True), ("Top-1 Accuracy", True), ("mse", False), ("train loss", False),
        ("FID", False), ("wer", False), ("answer", None), ("score", None), ("loss/accuracy", None), ("mapper", None),
    ],
)  # fmt: skip
def test_a_direction_is_known_by_whole_words_that_do_not_contradict(name: str, higher: bool | None) -> None:
    assert naming.known_direction(name) is higher


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("train_seconds", True),
        ("Runtime", True),
        ("GPU memory", True),
        ("start_time", False),
        ("time_step", False),
        ("ssim", False),
    ],
)
def test_a_cost_is_told_from_a_time_of_day(name: str, cost: bool) -> None:
    assert naming.is_cost(name) is cost


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("params.model-name", "model_name"),
        ("tags.mlflow.runName", "runname"),
        (" Config/Seed ", "seed"),
        ("my.params.x", "my.params.x"),
    ],
)
def test_a_tool_s_prefix_and_spelling_do_not_count(name: str, bare: str) -> None:
    assert naming.bare(name) == bare


def test_columns_come_in_the_order_of_the_names_not_of_the_file() -> None:
    assert naming.by_name(["Name", "loss", "params.variant", "group"], naming.ARMS) == ["params.variant", "group", "Name"]


def test_test_comes_before_validation_and_training_last() -> None:
    names = ["train/ssim", "valid_ssim", "ssim", "test ssim"]
    assert sorted(names, key=naming.part_of_data) == ["test ssim", "ssim", "valid_ssim", "train/ssim"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("base-seed3", ("base", "3")), ("attention_s12", ("attention", "12")), ("tta seed=0", ("tta", "0")),
        ("base", None), ("resnet50", None), ("bases3", None),
    ],
)  # fmt: skip
def test_a_seed_at_the_end_of_a_name_needs_its_word(text: str, parts: tuple[str, str] | None) -> None:
    match = naming.NAMED_SEED.fullmatch(text)
    assert (match and match.groups()) == parts


def test_every_state_has_one_of_three_meanings() -> None:
    assert set(naming.STATES.values()) == {"finished", "failed", "running"}
    assert naming.STATES["crashed"] == "failed"
