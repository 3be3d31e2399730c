"""Changes: what the command line, TOML files and variants say is brought to the tree, or refused with what exists."""

from __future__ import annotations

import dataclasses
import json
import tomllib

import pytest
from trees import OTHER, SETTINGS, TINY, Toy

from harness.changes import RENAMED
from harness.errors import RequestError
from harness.experiment import BUDGETS
from harness.notation import flatten
from variants.attention import SpatialAttention


def as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_the_examples_of_this_file_cover_every_setting() -> None:
    assert set(OTHER) == set(SETTINGS)


@pytest.mark.parametrize("path", OTHER)
def test_text_toml_and_json_give_the_same_value(path: str) -> None:
    value = OTHER[path]
    section, _, name = path.rpartition(".")
    plain = list(value) if isinstance(value, tuple) else value
    from_toml = flatten(tomllib.loads(f"[{section}]\n{name} = {json.dumps(plain)}"))[path]
    given = [
        as_text(value),
        f" {as_text(value)} " if not isinstance(value, str) else value,
        from_toml,
        json.loads(json.dumps(plain)),
    ]
    found = [TINY.replace({path: one}).get(path) for one in given]
    assert found == [value] * len(given)
    assert {type(one) for one in found} == {type(value)}


def test_a_large_whole_number_keeps_its_last_digit_however_it_is_given() -> None:
    for value in ("123456789", 123456789, 123456789.0, "1.23456789e8"):
        assert TINY.replace({"training.steps": value}).training.steps == 123456789


def test_lists_are_read_with_and_without_brackets() -> None:
    for text in ("4,8", "[4, 8]", "(4, 8)", "4, 8,"):
        assert TINY.replace({"architecture.widths": text}).architecture.widths == (4, 8)


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("training.optimizer.lr", "abc", "a number"),
        ("training.optimizer.lr", True, "a number"),
        ("training.optimizer.lr", [0.1], "a number"),
        ("training.optimizer.lr", 0, "above 0"),
        ("training.optimizer.lr", "nan", "finite"),
        ("training.optimizer.lr", "inf", "finite"),
        ("training.optimizer.lr", 101, "at most 100"),
        ("training.steps", 0, "at least 1"),
        ("training.steps", "2.5", "a whole number"),
        ("training.steps", "1e400", "a whole number"),
        ("training.steps", "²", "a whole number"),
        ("training.steps", 10**30, "at most 1,000,000,000"),
        ("training.epochs", "1e300", "at most 1,000,000"),
        ("training.batch_size", 0, "at least 1"),
        ("training.batch_size", -3, "at least 1"),
        ("training.seed", -1, "at least 0"),
        ("training.seed", 2**31, "at most 2,147,483,647"),
        ("training.precision", "fp8", "auto, bfloat16, float16, float32"),
        ("training.precision", 16, "text"),
        ("data.horizon", 0, "at least 1"),
        ("data.input_frames", 0, "at least 1"),
        ("data.digit_size", 5, "must divide 28"),
        ("data.canvas", "64x64", "a whole number"),
        ("data.canvas", {}, "a whole number"),
        ("data.layout", "THW", "auto"),
        ("data.speed", 1.5, "at most 1"),
        ("architecture.widths", 32, "a list, such as 32,64"),
        ("architecture.widths", [[4, 8]], "a whole number"),
        ("architecture.widths", "4,x", "a whole number"),
        ("architecture.widths", "4,0", "at least 1"),
        ("architecture.widths", (), "kernels"),
        ("architecture.widths", "4,8,16", "one kernel a width"),
        ("architecture.kernels", "3,4", "odd"),
        ("architecture.forecaster_kernel", 2, "odd"),
        ("architecture.skip", "residuel", "did you mean 'residual'? for architecture.skip: residual"),
        ("architecture.skip", 3, "name(field=value)"),
        ("architecture.skip", "residual(kernels=3)", "did you mean 'kernel'?"),
        ("architecture.skip", "residual(kernel=2)", "odd"),
        ("architecture.skip", "residual(kernel=attention(heads=8))", "takes a value, not a component"),
        ("architecture.bottleneck", Toy(), "architecture.bottleneck"),
        ("architecture.bottleneck.heads", 8, "choose a component for it first"),
        ("architecture.cell", "none", "choose one, such as convlstm"),
        ("training.curriculum", {"start": 2}, "has a name"),
        ("training.optimizer", "none", "choose one"),
        ("training.optimizer", "adamw(lr=0)", "above 0"),
        ("training.seed.more", 1, "plain setting"),
        ("data.canvas.x", 1, "plain setting"),
        ("loss.ssim", "strong", "loss.ssim=0.1"),
        ("loss.ssim", -1, "at least 0"),
        ("loss.mae.start", 0.5, "add it first"),
        ("loss.focal", 0.5, "for loss: bce, gradient-difference, mae, mse, ssim, temporal-difference"),
        ("inference.views", "identity,identity", "once"),
        ("inference.views", "", "at least one"),
        ("inference.views", "hflop", "hflip"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_with_the_path_and_what_is_allowed(
    path: str, value: object, allowed: str
) -> None:
    with pytest.raises(RequestError) as refused:
        TINY.replace({path: value})
    message = str(refused.value)
    assert path in message or path.split(".")[0] in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("training.stepss", "did you mean 'training.steps'?"),
        ("max_lr", "did you mean 'training.optimizer.lr'?"),
        ("heads", "did you mean 'architecture.bottleneck.heads'?"),
        ("trainign.steps", "did you mean 'training.steps'?"),
        ("nothing.at_all", "known: data, architecture, loss, training, inference, metrics"),
        ("", "known: data"),
        ("training.", "known: seed, data_order, batch_size"),
    ],
)
def test_an_unknown_path_is_refused_with_the_closest_one_and_where_to_look(path: str, hint: str) -> None:
    with pytest.raises(RequestError, match="unknown setting") as refused:
        TINY.replace({path: 1})
    assert hint in str(refused.value)
    assert "harness list settings" in str(refused.value)


def test_setting_one_budget_clears_the_others_and_two_at_once_are_refused() -> None:
    for name in BUDGETS:
        training = TINY.replace({f"training.{name}": 2}).training
        assert [one for one in BUDGETS if getattr(training, one) is not None] == [name]
    with pytest.raises(RequestError, match=r"training\.steps and training\.epochs are both set"):
        TINY.replace({"training.steps": 2, "training.epochs": 2})
    with pytest.raises(RequestError, match=r"no budget is set; set exactly one of training\.steps"):
        TINY.replace({"training.steps": "none"})


def test_values_that_only_fit_together_are_checked_together() -> None:
    changed = TINY.replace({"architecture.widths": "4", "architecture.kernels": "3"})
    assert changed.architecture.widths == (4,)
    with pytest.raises(RequestError, match=r"data\.canvas is 10; a digit of 14 pixels does not fit"):
        TINY.replace({"data.canvas": 10, "data.digit_size": 14})
    with pytest.raises(RequestError, match="no term with a weight"):
        TINY.replace({"loss.mse": 0, "loss.ssim": 0})
    with pytest.raises(RequestError, match="nothing is trained at first"):
        TINY.replace({"loss.mse": 0, "loss.ssim": 1, "loss.ssim.start": 0.5})


def test_the_weight_of_a_term_is_off_then_rises_then_stands() -> None:
    term = TINY.replace({"loss.ssim": 0.3, "loss.ssim.start": 0.25, "loss.ssim.ramp": 0.5}).get("loss.ssim")
    assert term.weight_at(0.0) == term.weight_at(0.25) == 0
    assert term.weight_at(0.5) == pytest.approx(0.15)
    assert term.weight_at(0.75) == term.weight_at(1.0) == 0.3
    assert dataclasses.replace(term, ramp=0.0).weight_at(0.1) == 0


def test_terms_are_added_changed_and_removed_by_name() -> None:
    assert [(one.name, one.weight) for one in TINY.replace({"loss.mae": 0.1}).loss] == [
        ("mae", 0.1),
        ("mse", 0.7),
        ("ssim", 0.3),
    ]
    late = TINY.replace({"loss.ssim.start": 0.2})
    assert late.replace({"loss.ssim": 0.5}).get("loss.ssim.start") == 0.2, "a bare number sets the weight alone"
    for value in (0, "0", "none", None):
        assert [one.name for one in TINY.replace({"loss.ssim": value}).loss] == ["mse"]
    assert TINY.replace({"loss.ssim": 0, "loss.ssim.start": 0}) == TINY.replace({"loss.ssim": "none"})
    assert TINY.replace({"loss": "mse(weight=0.7),ssim(weight=0.3)"}) == TINY.replace({"loss.ssim.weight": 0.3}) == TINY


def test_a_slot_takes_a_name_a_call_a_component_or_a_table() -> None:
    expected = TINY.replace({"architecture.bottleneck": SpatialAttention(heads=8)})
    for changes in (
        {"architecture.bottleneck": "attention(heads=8)"},
        {"architecture.bottleneck": " attention( heads = 8 ) "},
        {"architecture.bottleneck": "attention", "architecture.bottleneck.heads": "8"},
        {"architecture.bottleneck.name": "attention", "architecture.bottleneck.heads": 8},
        {"architecture.bottleneck": {"name": "attention", "heads": 8}},
        {"architecture.bottleneck.heads": 8, "architecture.bottleneck": "attention"},
    ):
        assert TINY.replace(changes) == expected, changes
    assert expected.replace({"architecture.bottleneck": "none"}) == TINY


@pytest.mark.parametrize("old", RENAMED)
def test_paths_of_the_first_edition_still_mean_what_they_meant(old: str) -> None:
    assert TINY.replace({old: 0.25}) == TINY.replace({RENAMED[old]: 0.25})
    with pytest.raises(RequestError, match="give one of them"):
        TINY.replace({old: 0.25, RENAMED[old]: 0.5})


def test_what_another_component_does_not_have_is_no_setting_there() -> None:
    file = TINY.replace({"data.frames": "clip.npy"})
    assert file == TINY.replace({"data": "frames(path=clip.npy)"})
    assert (file.data.input_frames, file.data.horizon, file.data.test_sequences) == (3, 3, 8), "the task stays"
    assert TINY.replace({"data": "frames(path=clip.npy, horizon=2)"}).data.horizon == 2
    for path in ("data.canvas", "data.digits", "data.epoch_sequences"):
        with pytest.raises(RequestError, match=f"{path}: 'frames' has no setting"):
            file.replace({path: 20})
    assert file.replace({"data.frames": "moving-mnist"}).data.name == "moving-mnist"


def test_replacing_leaves_the_original_as_it_was() -> None:
    before = TINY.to_dict()
    TINY.replace({"training.optimizer.lr": 1.0, "inference.views": "hflip"})
    assert TINY.to_dict() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attention(heads=", "character 17: expected a value, found the end"),
        ("attention(heads=8", "expected ',' or ')'"),
        ("attention(heads=8))", "expected the end"),
        ("attention(heads)", "expected field=value"),
        ("attention(8)", "expected field=value"),
        ("attention(heads=8, heads=4)", "gives heads twice"),
        ("attention(heads=__import__('os').system('true'))", "expected field=value"),
        ("attention(heads='8)", "quotation without an end"),
        ("attention(heads=[8)", "expected ',' or ']'"),
        ("(heads=8)", "expected a component's name"),
        ("atten tion", "expected the end"),
        ("attention,residual", "names 2 components"),
        ("; rm -rf /", "expected a component's name"),
        ("a(" * 100, "expected field=value"),
        ("toy(inner=" * 20 + "x" + ")" * 20, "more than 16 deep"),
        ("x" * 10_000, "10,000 characters"),
    ],
)
def test_a_component_s_text_that_cannot_be_read_is_refused_in_one_line(text: str, expected: str) -> None:
    with pytest.raises(RequestError) as refused:
        TINY.replace({"architecture.bottleneck": text})
    assert expected in str(refused.value) or "unknown component" in str(refused.value)
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)
