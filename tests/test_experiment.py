"""An experiment is a typed value: what goes in is checked, what comes out is the same again, and its key is its identity."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.errors import RequestError
from harness.experiment import (
    BUDGETS,
    SLOTS,
    VIEWS,
    Architecture,
    Data,
    Experiment,
    Loss,
    Training,
    canonical_json,
    component_name,
    settings,
)
from harness.presets import PRESETS, preset
from harness.runs.request import resolve
from harness.store import Cell
from harness.variant import Variants

TINY = preset("tiny")
DATA = {"train": "moving-mnist:x", "evaluation": "moving-mnist:x"}

OTHER: dict[str, Any] = {
    "data.frames": "clip.npy",
    "data.evaluation": "test.npy",
    "data.layout": "TNHW",
    "data.canvas": 20,
    "data.digit_size": 14,
    "data.digits": 3,
    "data.speed": 0.25,
    "data.input_frames": 4,
    "data.horizon": 5,
    "data.flip_horizontal": 0.25,
    "data.flip_vertical": 0.75,
    "data.epoch_sequences": 128,
    "data.validation_sequences": 5,
    "data.test_sequences": 9,
    "data.test_seed": 1,
    "architecture.widths": (8, 8),
    "architecture.kernels": (3, 5),
    "architecture.forecaster_kernel": 5,
    "architecture.patch": 4,
    "architecture.forget_bias": -0.5,
    "architecture.gain": 2.5,
    "loss.mse": 0.5,
    "loss.ssim": 0.5,
    "loss.l1": 0.125,
    "loss.ssim_from": 0.25,
    "loss.ssim_ramp": 0.5,
    "training.seed": 7,
    "training.batch_size": 2,
    "training.steps": 8,
    "training.epochs": 1.5,
    "training.seconds": 2.5,
    "training.max_lr": 2e-3,
    "training.pct_start": 0.5,
    "training.weight_decay": 1e-3,
    "training.clip_norm": 0.0,
    "training.precision": "bfloat16",
    "training.validate_every": 2,
    "training.patience": 3,
    "training.max_skipped": 4,
    "inference.views": ("identity", "hflip"),
}
"""For every setting that text can give, a value that preset tiny does not have."""


@dataclass(frozen=True)
class Inner:
    """A component inside a component."""

    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A component with every kind of field."""

    slot: ClassVar[str] = "architecture.skip"
    revision: ClassVar[int] = 2
    kernel: int = 3
    sizes: tuple[tuple[int, ...], ...] = ((1, 2), (3,))
    inner: Inner = Inner()
    more: tuple[Inner, ...] = (Inner(2.0),)
    note: str | None = None

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError("even")

    def build(self, in_channels: int, out_channels: int) -> None:
        """Not built here."""


COMPONENTS = (Toy, Inner)


def as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_the_examples_of_this_file_cover_every_setting() -> None:
    assert set(OTHER) | set(SLOTS) == set(settings())


@pytest.mark.parametrize("path", OTHER)
def test_text_toml_and_json_give_the_same_value(path: str) -> None:
    value = OTHER[path]
    section, name = path.split(".")
    plain = list(value) if isinstance(value, tuple) else value
    from_toml = tomllib.loads(f"[{section}]\n{name} = {json.dumps(plain)}")[section][name]
    given = [
        as_text(value),
        f" {as_text(value)} " if not isinstance(value, str) else value,
        from_toml,
        json.loads(json.dumps(plain)),
    ]
    found = [getattr(getattr(TINY.replace({path: one}), section), name) for one in given]
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
        ("training.max_lr", "abc", "a number"),
        ("training.max_lr", True, "a number"),
        ("training.max_lr", [0.1], "a number"),
        ("training.max_lr", 0, "above 0"),
        ("training.max_lr", "nan", "finite"),
        ("training.max_lr", "inf", "finite"),
        ("training.max_lr", 101, "at most 100"),
        ("training.steps", 0, "at least 1"),
        ("training.steps", "2.5", "a whole number"),
        ("training.steps", "1e400", "a whole number"),
        ("training.steps", "²", "a whole number"),
        ("training.steps", 10**30, "at most 1e+09"),
        ("training.epochs", "1e300", "at most 1e+06"),
        ("training.batch_size", 0, "at least 1"),
        ("training.batch_size", -3, "at least 1"),
        ("training.seed", -1, "at least 0"),
        ("training.seed", 2**31, "at most"),
        ("training.precision", "fp8", "auto, bfloat16, float16, float32"),
        ("training.precision", 16, "text"),
        ("data.horizon", 0, "at least 1"),
        ("data.input_frames", 0, "at least 1"),
        ("data.digit_size", 5, "must divide 28"),
        ("data.canvas", "64x64", "a whole number"),
        ("data.canvas", {}, "a whole number"),
        ("data.frames", "", ".npy"),
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
        ("architecture.skip", "residual", "--variant"),
        ("architecture.skip", 3, "frozen dataclass"),
        ("architecture.bottleneck", Toy(), "architecture.bottleneck"),
        ("training.curriculum", {"start": 2}, "frozen dataclass"),
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
        ("training.max_lrr", "did you mean 'training.max_lr'?"),
        ("max_lr", "did you mean 'training.max_lr'?"),
        ("trainign.steps", "did you mean 'training.steps'?"),
        ("ssim", "did you mean 'loss.ssim'?"),
        ("nothing.at_all", "known sections: data, architecture, loss, training, inference"),
        ("training", "known sections"),
        ("", "known sections"),
        ("training.", "known: training.seed"),
        ("training.max_lr.x", "known sections"),
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
    with pytest.raises(RequestError, match="all 0"):
        Loss(mse=0, ssim=0)
    with pytest.raises(RequestError, match="nothing is trained"):
        Loss(mse=0, ssim=1, ssim_from=0.5)


def test_the_ssim_weight_is_off_then_rises_then_stands() -> None:
    loss = Loss(mse=0.7, ssim=0.3, ssim_from=0.25, ssim_ramp=0.5)
    assert loss.at(0.0).ssim == loss.at(0.25).ssim == 0
    assert loss.at(0.5).ssim == pytest.approx(0.15)
    assert loss.at(0.75) == loss.at(1.0) == loss
    assert {loss.at(progress).mse for progress in (0.0, 0.3, 1.0)} == {0.7}
    assert dataclasses.replace(loss, ssim_ramp=0.0).at(0.1).ssim == 0


def test_replacing_leaves_the_original_as_it_was() -> None:
    before = TINY.to_dict()
    TINY.replace({"training.max_lr": 1.0, "inference.views": "hflip"})
    assert TINY.to_dict() == before


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    text = json.dumps(preset(name).to_dict())
    assert Experiment.from_dict(json.loads(text)) == preset(name)


@pytest.mark.parametrize("text", ["base", "residual", "attention+curriculum+residual+tta"])
def test_an_experiment_with_components_survives_json(text: str) -> None:
    variants = Variants(third_party=False)
    made = variants.compose(text).apply(TINY)
    assert Experiment.from_dict(json.loads(json.dumps(made.to_dict())), variants.components) == made


def test_components_inside_components_survive_json() -> None:
    made = TINY.replace({"architecture.skip": Toy(kernel=5, note="x", more=(Inner(3.0), Inner(4.0)))})
    record = json.loads(json.dumps(made.to_dict()))
    assert record["architecture"]["skip"]["revision"] == 2
    assert Experiment.from_dict(record, COMPONENTS) == made


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": "os.system"}, "needs the component 'os.system', which no installed variant provides"),
        ({"type": None}, "needs the component None"),
        ({"type": ["x"]}, "needs the component"),
        ({"revision": 1}, "was made by revision 1"),
        ({"revision": None}, "revision"),
        ({"unknown": 1}, "does not fit"),
        ({"kernel": 4}, "does not fit"),
        ({"kernel": "x"}, "does not fit"),
        ({"inner": {"type": "os.system"}}, "os.system"),
    ],
)
def test_a_component_that_is_not_the_installed_one_is_refused(change: dict[str, object], expected: str) -> None:
    record = TINY.replace({"architecture.skip": Toy()}).to_dict()
    record["architecture"]["skip"] |= change
    with pytest.raises(RequestError) as refused:
        Experiment.from_dict(record, COMPONENTS)
    assert expected in str(refused.value)
    assert "architecture.skip" in str(refused.value)


def test_a_record_cannot_name_code_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    record = TINY.to_dict()
    for place in ("skip", "bottleneck"):
        record["architecture"][place] = {"type": "planted_module.Planted"}
    with pytest.raises(RequestError, match=r"planted_module\.Planted"):
        Experiment.from_dict(record, Variants(third_party=False).components)
    assert "planted_module" not in sys.modules


def test_a_slot_refuses_what_is_not_a_frozen_component_made_for_it() -> None:
    @dataclass
    class Thawed:
        slot: ClassVar[str] = "architecture.skip"

        def build(self) -> None: ...

    @dataclass(frozen=True)
    class Homeless:
        def build(self) -> None: ...

    for value in (Thawed(), Homeless(), Toy, object(), 1.5, ["x"]):
        with pytest.raises(RequestError, match=r"architecture\.skip is .*; a slot takes a frozen dataclass with `build`"):
            Architecture(skip=value)
    with pytest.raises(RequestError, match=r"training\.curriculum is .* with `horizon`"):
        Training(steps=1, curriculum=Toy())


@pytest.mark.parametrize("record", [None, [], "x", {}, {"data": None}, {"data": []}, {"data": {}, "loss": 3}])
def test_a_record_that_is_no_experiment_is_refused(record: Any) -> None:
    with pytest.raises(RequestError):
        Experiment.from_dict(record)


# --- keys


def cell(experiment: Experiment, identity: dict[str, str] = DATA, preset_name: str = "tiny") -> Cell:
    return Cell("base", preset_name, experiment, identity)


TEST_ONLY = {"data.test_sequences", "inference.views"}
"""What only the evaluation depends on."""
PATHS = {"data.frames", "data.evaluation"}
"""Paths of files: the digest of the content stands for them."""


@pytest.mark.parametrize("path", sorted(set(OTHER) - PATHS))
def test_a_setting_that_can_change_a_result_changes_the_key(path: str) -> None:
    before, after = cell(TINY), cell(TINY.replace({path: OTHER[path]}))
    assert after.run_id != before.run_id
    assert (after.training_key == before.training_key) == (path in TEST_ONLY)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_where_a_file_lies_does_not_change_the_key_but_its_content_does(path: str) -> None:
    before = cell(TINY)
    assert cell(TINY.replace({path: OTHER[path]})).run_id == before.run_id
    assert cell(TINY, DATA | {"train": "file:y"}).training_key != before.training_key
    other_test = cell(TINY, DATA | {"evaluation": "file:y"})
    assert other_test.training_key == before.training_key
    assert other_test.run_id != before.run_id


def test_names_do_not_change_the_key() -> None:
    assert dataclasses.replace(cell(TINY), variant="copy", preset="mine", changes=("a",)).run_id == cell(TINY).run_id


def test_the_order_of_variants_does_not_change_the_key() -> None:
    variants = Variants(third_party=False)
    keys = {
        cell(variants.compose(text).apply(TINY)).run_id
        for text in ("residual+tta+attention", "tta+attention+residual", "attention+residual+tta+base")
    }
    assert len(keys) == 1


def test_every_built_in_variant_has_a_run_of_its_own() -> None:
    variants = Variants(third_party=False)
    assert len({cell(variants.compose(name).apply(TINY)).run_id for name in variants.names}) == len(variants.names)


def test_test_time_augmentation_shares_the_training_of_its_base() -> None:
    variants = Variants(third_party=False)
    for without in ("base", "residual", "attention+curriculum"):
        plain, augmented = (cell(variants.compose(text).apply(TINY)) for text in (without, f"{without}+tta"))
        assert plain.training_key == augmented.training_key
        assert plain.run_id != augmented.run_id


def test_a_component_s_fields_and_revision_change_the_key() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Newer(Toy):
        revision: ClassVar[int] = 3

    Newer.__module__, Newer.__qualname__ = Toy.__module__, Toy.__qualname__
    assert component_name(Newer) == component_name(Toy)
    made = [TINY, *(TINY.replace({"architecture.skip": one}) for one in (Toy(), Toy(kernel=5), Newer()))]
    assert len({cell(one).training_key for one in made}) == 4


def test_spelling_does_not_change_the_key() -> None:
    spellings = ({"training.max_lr": "1e-3"}, {"training.max_lr": 0.001}, {"training.max_lr": "0.0010"})
    assert len({cell(TINY.replace(one)).run_id for one in spellings}) == 1
    assert cell(TINY.replace({"loss.mse": "1"})).run_id == cell(TINY.replace({"loss.mse": 1.0})).run_id


def test_a_key_is_the_same_in_another_process() -> None:
    code = (
        "import sys\nfrom harness.presets import preset\nfrom harness.store import Cell\n"
        f"print(Cell('base', 'tiny', preset('tiny'), {DATA!r}).run_id)\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == cell(TINY).run_id


def test_resolving_makes_the_budget_and_the_precision_explicit() -> None:
    given = TINY.replace({"training.epochs": 1.5, "training.precision": "auto"})
    resolved = resolve(given, "cpu")
    assert (resolved.training.steps, resolved.training.epochs, resolved.training.precision) == (24, None, "float32")
    assert resolve(resolved, "cpu") == resolved
    timed = resolve(TINY.replace({"training.seconds": 3}), "cpu").training
    assert (timed.steps, timed.seconds) == (None, 3.0)
    with pytest.raises(RequestError, match="float16 needs CUDA"):
        resolve(TINY.replace({"training.precision": "float16"}), "cpu")


def test_every_setting_is_documented() -> None:
    assert all(doc for _, doc in settings().values())
    assert settings()["data.canvas"][0] == Data().canvas


# --- whatever is thrown at it

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(VIEWS)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*settings(), "x", "training.x"]), JSON, min_size=1, max_size=3))
def test_replacing_with_anything_ends_in_an_experiment_or_a_clear_refusal(changes: dict[str, object]) -> None:
    try:
        made = resolve(TINY.replace(changes), "cpu")
    except RequestError:
        return
    assert Experiment.from_dict(json.loads(canonical_json(made.to_dict()))) == made
    assert made.training.epochs is None


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.sampled_from([f.name for f in dataclasses.fields(Experiment)]), st.sampled_from(sorted(settings())), JSON)
def test_reading_any_record_ends_in_an_experiment_or_a_clear_refusal(section: str, path: str, value: object) -> None:
    record: dict[str, Any] = TINY.to_dict()
    record[section] = {**record[section], path.split(".")[1]: value}
    try:
        made = Experiment.from_dict(record, COMPONENTS)
    except RequestError:
        return
    assert Experiment.from_dict(made.to_dict(), COMPONENTS) == made


@hypothesis_settings(max_examples=100, deadline=None)
@given(JSON)
def test_reading_anything_at_all_ends_in_a_clear_refusal(record: Any) -> None:
    with pytest.raises(RequestError):
        Experiment.from_dict(record)
