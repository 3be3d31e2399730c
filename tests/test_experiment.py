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

from harness.changes import RENAMED
from harness.component import Component, is_slot, setting, slot_field
from harness.errors import RequestError
from harness.experiment import BUDGETS, VIEWS, Experiment, canonical_json
from harness.presets import PRESETS, preset
from harness.registry import Components
from harness.runs.request import flatten_tables, resolve
from harness.store import Cell
from harness.tree import walk
from harness.variant import Variants
from variants.attention import SpatialAttention

TINY = preset("tiny")
DATA = {"train": "moving-mnist:x", "evaluation": "moving-mnist:x"}

OTHER: dict[str, Any] = {
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
    "architecture.cell.forget_bias": -0.5,
    "architecture.gain": 2.5,
    "loss.mse.weight": 0.5,
    "loss.mse.start": 0.125,
    "loss.mse.ramp": 0.25,
    "loss.ssim.weight": 0.5,
    "loss.ssim.start": 0.25,
    "loss.ssim.ramp": 0.5,
    "training.seed": 7,
    "training.batch_size": 2,
    "training.steps": 8,
    "training.epochs": 1.5,
    "training.seconds": 2.5,
    "training.optimizer.lr": 2e-3,
    "training.schedule.pct_start": 0.5,
    "training.optimizer.weight_decay": 1e-3,
    "training.clip_norm": 0.0,
    "training.precision": "bfloat16",
    "training.validate_every": 2,
    "training.patience": 3,
    "training.max_skipped": 4,
    "training.freeze": ("head.*",),
    "inference.views": ("identity", "hflip"),
}
"""For every setting that text can give, a value that preset tiny does not have."""


@dataclass(frozen=True, kw_only=True)
class Inner(Component):
    """A component inside a component."""

    slot: ClassVar[str] = "architecture.skip.inner"
    name: ClassVar[str] = "inner"
    strength: float = setting(1.0, "how strong")


@dataclass(frozen=True, kw_only=True)
class Toy(Component):
    """A component with every kind of field."""

    slot: ClassVar[str] = "architecture.skip"
    name: ClassVar[str] = "toy"
    revision: ClassVar[int] = 2
    kernel: int = setting(3, "odd", at_least=1)
    sizes: tuple[tuple[int, ...], ...] = setting(((1, 2), (3,)), "lists in a list")
    inner: Any = slot_field(Inner(), "slot: something inside")
    more: tuple[Any, ...] = slot_field((Inner(strength=2.0),), "slots: others", takes="architecture.skip.inner", many=True)
    note: str | None = setting(None, "a word", neutral=None)
    file: Path | None = setting(None, "a file whose content counts", neutral=None)
    lively: bool = setting(False, "a switch", neutral=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise ValueError("even")

    def build(self, in_channels: int, out_channels: int) -> None:
        """Not built here."""


def known(*kinds: type[Component]) -> Components:
    found = Components(third_party=False)
    found.add(kinds)
    return found


FIND = known(Toy, Inner).find
SETTINGS = [path for path, f, *_ in walk(TINY) if "doc" in f.metadata and not is_slot(f)]


def as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_the_examples_of_this_file_cover_every_setting() -> None:
    assert set(OTHER) == set(SETTINGS)


@pytest.mark.parametrize("path", OTHER)
def test_text_toml_and_json_give_the_same_value(path: str) -> None:
    value = OTHER[path]
    section, _, name = path.rpartition(".")
    plain = list(value) if isinstance(value, tuple) else value
    from_toml = flatten_tables(tomllib.loads(f"[{section}]\n{name} = {json.dumps(plain)}"))[path]
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
        ("trainign.steps", "did you mean 'training.steps' or"),
        ("nothing.at_all", "known: data, architecture, loss, training, inference, metrics"),
        ("", "known: data"),
        ("training.", "known: seed, batch_size"),
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


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    text = json.dumps(preset(name).to_dict())
    assert Experiment.from_dict(json.loads(text)) == preset(name)


@pytest.mark.parametrize("text", ["base", "residual", "attention+curriculum+residual+tta"])
def test_an_experiment_with_components_survives_json(text: str) -> None:
    variants = Variants(third_party=False)
    made = variants.compose(text).apply(TINY)
    assert Experiment.from_dict(json.loads(json.dumps(made.to_dict())), variants.components.find) == made


def test_components_inside_components_survive_json() -> None:
    made = TINY.replace({"architecture.skip": Toy(kernel=5, note="x", more=(Inner(strength=4.0),), lively=True)})
    record = json.loads(json.dumps(made.to_dict()))
    assert record["architecture"]["skip"]["revision"] == 2
    assert record["architecture"]["skip"]["more"] == {"inner": {"strength": 4.0}}
    assert Experiment.from_dict(record, FIND) == made
    for text in ("toy(inner=inner(strength=3), lively=yes)", 'toy(inner="inner(strength=3)", lively=true)'):
        assert TINY.replace({"architecture.skip": text}, FIND).get("architecture.skip.inner.strength") == 3.0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "os.system"}, "needs the component 'os.system'"),
        ({"name": None}, "has a name"),
        ({"name": ["x"]}, "has a name"),
        ({"revision": 1}, "was made by revision 1"),
        ({"revision": None}, "revision"),
        ({"unknown": 1}, "has no setting 'unknown'"),
        ({"kernel": 4}, "cannot be made: even"),
        ({"kernel": "x"}, "whole number"),
        ({"lively": 3}, "true or false"),
        ({"inner": {"name": "os.system"}}, "os.system"),
    ],
)
def test_a_component_that_is_not_the_installed_one_is_refused(change: dict[str, object], expected: str) -> None:
    record = TINY.replace({"architecture.skip": Toy()}).to_dict()
    record["architecture"]["skip"] |= change
    with pytest.raises(RequestError) as refused:
        Experiment.from_dict(record, FIND)
    assert expected in str(refused.value)
    assert "architecture.skip" in str(refused.value)


def test_a_record_cannot_name_code_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for place, planted in (("skip", {"name": "planted_module.Planted"}), ("bottleneck", {"name": "planted_module:Planted"})):
        record = TINY.to_dict()
        record["architecture"][place] = planted
        with pytest.raises(RequestError, match=r"planted_module.Planted"):
            Experiment.from_dict(record, Variants(third_party=False).components.find)
    assert "planted_module" not in sys.modules


def test_a_slot_refuses_what_is_not_a_frozen_component_made_for_it() -> None:
    class Undecorated(Component):
        slot: ClassVar[str] = "architecture.skip"
        name: ClassVar[str] = "undecorated"

    @dataclass(frozen=True)
    class Stranger:
        slot: ClassVar[str] = "architecture.skip"

    for value in (Undecorated(), Stranger(), Toy, object(), 1.5, Inner()):
        with pytest.raises(RequestError, match=r"architecture\.skip is .*; a slot takes a frozen dataclass derived from"):
            dataclasses.replace(TINY.architecture, skip=value)
    with pytest.raises(RequestError, match=r"training\.curriculum is .* slot = 'training\.curriculum'"):
        dataclasses.replace(TINY.training, curriculum=Toy())


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


@pytest.mark.parametrize("record", [None, [], "x", {}, {"data": None}, {"data": []}, {"data": {}, "loss": 3}])
def test_a_record_that_is_no_experiment_is_refused(record: Any) -> None:
    with pytest.raises(RequestError):
        Experiment.from_dict(record)


# --- keys


def cell(experiment: Experiment, identity: dict[str, str] = DATA, preset_name: str = "tiny") -> Cell:
    return Cell("base", preset_name, experiment, identity)


TEST_ONLY = {"data.test_sequences", "inference.views"}
"""What only the evaluation depends on."""
PATHS = {"data.evaluation"}
"""Paths of files: the digest of the content stands for them."""


@pytest.mark.parametrize("path", sorted(set(OTHER) - PATHS))
def test_a_setting_that_can_change_a_result_changes_the_key(path: str) -> None:
    before, after = cell(TINY), cell(TINY.replace({path: OTHER[path]}))
    assert after.run_id != before.run_id
    assert (after.training_key == before.training_key) == (path in TEST_ONLY)


def test_where_a_file_lies_does_not_change_the_key_but_its_content_does() -> None:
    for before, moved in (
        (TINY, TINY.replace({"data.evaluation": "test.npy"})),
        (TINY.replace({"data.frames": "a.npy"}), TINY.replace({"data.frames": "there/b.npy"})),
    ):
        assert cell(moved).run_id == cell(before).run_id
        assert cell(before, DATA | {"train": "file:y"}).training_key != cell(before).training_key
        other_test = cell(before, DATA | {"evaluation": "file:y"})
        assert other_test.training_key == cell(before).training_key
        assert other_test.run_id != cell(before).run_id


def test_a_file_that_a_component_reads_is_in_the_key_by_its_content(tmp_path: Path) -> None:
    one, copy = tmp_path / "one.bin", tmp_path / "copy.bin"
    one.write_bytes(b"weights")
    copy.write_bytes(b"weights")
    keys = [cell(TINY.replace({"architecture.skip": Toy(file=path)})).training_key for path in (one, copy)]
    assert keys[0] == keys[1]
    one.write_bytes(b"others")
    assert cell(TINY.replace({"architecture.skip": Toy(file=one)})).training_key != keys[0]
    with pytest.raises(RequestError, match="cannot read"):
        _ = cell(TINY.replace({"architecture.skip": Toy(file=tmp_path / "gone")})).training_key


def grown(kind: type[Component], *fields: tuple[str, Any, Any]) -> type[Any]:
    """The class as a later version would have it: with more fields."""
    made = dataclasses.make_dataclass(kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True)
    made.__doc__ = kind.__doc__
    return made


@pytest.mark.parametrize(
    "extra",
    [
        ("dropout", float, setting(0.0, "a new setting", neutral=0.0)),
        ("more", Any, slot_field(None, "a new slot", neutral=None)),
        ("several", tuple[Any, ...], slot_field((), "a new slot of several", many=True, neutral=None)),
    ],
    ids=["setting", "slot", "slot-of-several"],
)
def test_what_is_new_and_neutral_leaves_every_key_as_it_was(extra: tuple[str, Any, Any]) -> None:
    before = cell(TINY)
    for path in ("architecture", "training.optimizer", "training.schedule", "data"):
        old = TINY.get(path)
        kind = grown(type(old), extra)
        values = {f.name: getattr(old, f.name) for f in dataclasses.fields(old)}
        after = cell(TINY.replace({path: kind(**values)}))
        assert (after.training_key, after.run_id) == (before.training_key, before.run_id), path
    eager = grown(type(TINY.architecture), ("dropout", float, setting(0.0, "a new setting", neutral=0.0)))
    values = {f.name: getattr(TINY.architecture, f.name) for f in dataclasses.fields(TINY.architecture)}
    assert cell(TINY.replace({"architecture": eager(**values, dropout=0.1)})).training_key != before.training_key


def test_a_new_metric_leaves_every_key_as_it_was() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Extra(Component):
        """A metric of somebody's."""

        slot: ClassVar[str] = "metrics"
        name: ClassVar[str] = "extra"

    after = cell(dataclasses.replace(TINY, metrics=(Extra(),)))
    assert (after.training_key, after.run_id) == (cell(TINY).training_key, cell(TINY).run_id)


def test_the_keys_of_preset_tiny_stay_as_they_are() -> None:
    """What stored runs are found by. A change here makes every stored run an orphan: raise a revision instead."""
    made = cell(TINY)
    assert (made.training_key, made.run_id) == ("f6ce94358031cb18", "164572f63826fba3")


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


def test_a_component_s_fields_and_revision_change_exactly_the_keys_that_have_it() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Newer(Toy):
        """As Toy, later."""

        revision: ClassVar[int] = 3

    made = [TINY, *(TINY.replace({"architecture.skip": one}) for one in (Toy(), Toy(kernel=5), Newer()))]
    assert len({cell(one).training_key for one in made}) == 4
    inner = TINY.replace({"architecture.skip": Toy(inner=Inner(strength=2.0))})
    assert cell(inner).training_key != cell(made[1]).training_key
    assert cell(made[1].replace({"inference.views": "hflip"})).training_key == cell(made[1]).training_key


def test_spelling_does_not_change_the_key() -> None:
    spellings = ({"training.max_lr": "1e-3"}, {"training.optimizer.lr": 0.001}, {"training.optimizer": "adamw(lr=0.0010)"})
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


def test_every_setting_of_every_component_is_documented() -> None:
    for kind in Components(third_party=False).classes():
        assert kind.__doc__
        assert all(f.metadata.get("doc") for f in dataclasses.fields(kind)), kind
    assert all(f.metadata.get("doc") for path, f, *_ in walk(TINY) if path.count(".")), "a setting has no documentation"


# --- whatever is thrown at it

SLOTS = [path for path, f, *_ in walk(TINY) if is_slot(f)]

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(VIEWS)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*SETTINGS, *SLOTS, "x", "training.x"]), JSON, min_size=1, max_size=3))
def test_replacing_with_anything_ends_in_an_experiment_or_a_clear_refusal(changes: dict[str, object]) -> None:
    try:
        made = resolve(TINY.replace(changes), "cpu")
    except RequestError:
        return
    assert Experiment.from_dict(json.loads(canonical_json(made.to_dict()))) == made
    assert made.training.epochs is None


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.sampled_from([f.name for f in dataclasses.fields(Experiment)]), st.sampled_from(sorted(SETTINGS)), JSON)
def test_reading_any_record_ends_in_an_experiment_or_a_clear_refusal(section: str, path: str, value: object) -> None:
    record: dict[str, Any] = TINY.to_dict()
    record[section] = {**record[section], path.split(".")[1]: value}
    try:
        made = Experiment.from_dict(record, FIND)
    except RequestError:
        return
    assert Experiment.from_dict(made.to_dict(), FIND) == made


@hypothesis_settings(max_examples=100, deadline=None)
@given(JSON)
def test_reading_anything_at_all_ends_in_a_clear_refusal(record: Any) -> None:
    with pytest.raises(RequestError):
        Experiment.from_dict(record)
