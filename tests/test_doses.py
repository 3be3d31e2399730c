"""A variant's name may carry arguments, which are part of what it is."""

from __future__ import annotations

import pytest

from harness.errors import RequestError
from harness.notation import split_outside
from harness.presets import preset
from harness.runs.request import Request, run_command
from harness.training.terms import BinaryCrossEntropy, MeanAbsoluteError
from harness.variant import CompositionError, Variant, Variants

VARIANTS = Variants(third_party=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("attention(heads=4)", "attention"),
        ("attention(heads=8)", "attention(heads=8)"),
        ("attention( heads = 8.0 )", "attention(heads=8)"),
        ("residual + attention(heads=1, blocks=1)", "attention(blocks=1, heads=1)+residual"),
        ("attention(architecture.bottleneck.heads=8)", "attention(heads=8)"),
        ("base(training.optimizer.lr=1e-3)", "base(training.optimizer.lr=0.001)"),
        ("base(training.max_lr=0.0010)", "base(training.optimizer.lr=0.001)"),
        ("tta(views=[identity, hflip])", "tta(views=[identity,hflip])"),
        ("base(training.optimizer=muon(lr=2e-2))", "base(training.optimizer=muon(lr=0.02))"),
        ("base(loss=mse)", "base(loss=mse)"),
        ("base(architecture=convlstm-stack(layers=2))", "base(architecture=convlstm-stack(layers=2))"),
        ("base+attention(heads=8)", "attention(heads=8)"),
    ],
)
def test_a_name_has_one_spelling_which_names_the_same(text: str, name: str) -> None:
    composition = VARIANTS.compose(text)
    assert composition.name == name
    assert VARIANTS.compose(name) == composition


def test_an_argument_sets_the_field_of_the_component_at_every_preset() -> None:
    composition = VARIANTS.compose("simvp(hidden=8)")
    for name in ("tiny", "cpu", "paper"):
        plain = VARIANTS.compose("simvp").apply(preset(name), name)
        assert composition.apply(preset(name), name) == plain.replace({"architecture.hidden": 8})


def test_a_setting_by_its_path_is_set() -> None:
    experiment = VARIANTS.compose("attention+base(training.optimizer.lr=1e-3)").apply(preset("tiny"), "tiny")
    assert experiment.training.optimizer.lr == 1e-3
    assert experiment.get("architecture.bottleneck.heads") == 4
    assert VARIANTS.compose("base(loss=mse)").apply(preset("tiny"), "tiny") == preset("tiny").replace({"loss": "mse"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("attention(dim=3)", "unknown argument 'dim'; it takes: blocks, expansion, heads"),
        ("attention(head=3)", "did you mean 'heads'"),
        ("attention(heads=0)", "architecture.bottleneck.heads is 0; it must be at least 1"),
        ("attention(heads=many)", "must be a whole number"),
        ("attention(heads=8", "expected ',' or ')'"),
        ("attention(8)", "expected field=value"),
        ("base(training.batch_size=x)", "training.batch_size is 'x'"),
        ("base(training.nothing=1)", "unknown setting 'training.nothing'"),
        ("atention(heads=1)", "did you mean 'attention'"),
        ("attention(heads=1, architecture.bottleneck.heads=2)", "given twice"),
    ],
)
def test_an_argument_that_cannot_be_is_refused_with_what_exists(text: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        VARIANTS.compose(text)
    assert words in str(caught.value)


def test_a_field_that_two_components_have_needs_its_path() -> None:
    terms = {"loss.mae": MeanAbsoluteError(weight=0.1), "loss.bce": BinaryCrossEntropy(weight=0.2)}
    variants = Variants(third_party=False)
    variants.add(Variant(name="both", summary="s", source="t", changes=terms | {"training.optimizer": "sgd"}))
    with pytest.raises(RequestError, match=r"'weight' can be loss.mae.weight or loss.bce.weight; write one of these paths"):
        variants.compose("both(weight=0.5)")
    found = variants.compose("both(loss.mae.weight=0.5, lr=0.3)")
    assert found.name == "both(loss.mae.weight=0.5, lr=0.3)"
    experiment = found.apply(preset("tiny"), "tiny")
    assert [experiment.get(path) for path in ("loss.mae.weight", "loss.bce.weight", "training.optimizer.lr")] == [
        0.5,
        0.2,
        0.3,
    ]


def test_two_doses_of_one_variant_do_not_compose() -> None:
    with pytest.raises(CompositionError, match=r"'attention\(heads=1\)' and 'attention\(heads=2\)' both change"):
        VARIANTS.compose("attention(heads=1)+attention(heads=2)")


def test_a_dose_that_set_changes_as_well_is_refused() -> None:
    request = Request(preset="tiny", settings={"training.max_lr": "0.1"})
    with pytest.raises(
        RequestError, match=r"training.optimizer.lr is set by 'base\(training.optimizer.lr=0.001\)' and by --set"
    ):
        request.experiment(VARIANTS, "base(training.optimizer.lr=1e-3)")


def test_a_dose_is_part_of_the_cell_and_of_its_command() -> None:
    cell, source = Request(preset="tiny").cell(VARIANTS, "attention(heads=2)", 0)
    plain, _ = Request(preset="tiny").cell(VARIANTS, "attention", 0, source)
    same, _ = Request(preset="tiny").cell(VARIANTS, "attention(heads=4)", 0, source)
    assert cell.run_id != plain.run_id == same.run_id
    assert same.record() == plain.record()
    assert "architecture.bottleneck.heads" in cell.changes
    assert run_command(cell.record()) == "harness run --variant 'attention(heads=2)' --preset tiny --seed 0"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b(c=1,d=[2,3]),e", ["a", "b(c=1,d=[2,3])", "e"]),
        ("a(b='x,y')", ["a(b='x,y')"]),
        ("", [""]),
        ("a,,b", ["a", "", "b"]),
        ("a),b", ["a)", "b"]),
    ],
)
def test_texts_are_split_outside_parentheses(text: str, parts: list[str]) -> None:
    assert split_outside(text, ",") == parts
