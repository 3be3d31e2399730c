"""Keys: what can change a result changes a key, and what is new and neutral changes none."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from trees import DATA, OTHER, TINY, Inner, Toy

from harness.component import Component, setting, slot_field
from harness.errors import RequestError
from harness.experiment import Experiment
from harness.store import Cell
from harness.variant import Variants


def cell(experiment: Experiment, identity: dict[str, str] = DATA, preset_name: str = "tiny") -> Cell:
    return Cell("base", preset_name, experiment, identity)


TEST_ONLY = {"data.test_sequences"}
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
