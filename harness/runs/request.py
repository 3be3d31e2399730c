"""From the user's words (variant, preset, settings, files) to cells."""

from __future__ import annotations

import math
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.changes import RENAMED
from harness.data.source import Source, open_source
from harness.errors import RequestError
from harness.evaluation.conventions import check_scaling, metric_named
from harness.experiment import BUDGETS, Experiment
from harness.notation import differences, flatten, shown, unflatten
from harness.presets import preset
from harness.store import Cell, DamagedRecord, Store, validated
from harness.system.devices import resolve_precision
from harness.training.start import ExtensionStart, RunStart
from harness.variant import Variants

SEED = "training.seed"
_BUDGET = frozenset(f"training.{name}" for name in BUDGETS)
MAX_CONFIG_BYTES = 2**20


def parse_settings(texts: Iterable[str]) -> dict[str, object]:
    """Settings from 'path=value' texts, checked later against the declared types. A path given twice is refused."""
    found: dict[str, object] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not path:
            raise RequestError(f"--set {shown(text)}; write path=value, such as training.steps=800")
        if path in found:
            raise RequestError(f"--set {shown(path)} is given twice ({shown(found[path])} and {shown(value)}); give it once")
        found[path] = value.strip()
    return found


def read_config(path: Path) -> dict[str, object]:
    """Settings from a TOML file with the tables of an experiment ([training], [training.optimizer], ...). Raises RequestError."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a zero byte
        raise RequestError(f"cannot read config {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(text) > MAX_CONFIG_BYTES:
        raise RequestError(f"config {path} is larger than 1 MiB; it is not a config file")
    try:
        content = tomllib.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of thousands of digits, nested too deep
        raise RequestError(f"config {path} is not TOML: {str(error)[:200]}") from None
    return flatten(content)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for, apart from the variant. `settings` and `config` map config paths to values.

    `arm` are settings of one arm of a plan, such as its tuned learning rate: on top of all others, and told from them in records.
    `store` is where `training.start=run:ID` finds runs.
    """

    preset: str
    device: str = "cpu"
    digits: Path | None = None
    settings: Mapping[str, object] | None = None
    config: Mapping[str, object] | None = None
    arm: Mapping[str, object] | None = None
    store: Path | None = None

    def experiment(self, variants: Variants, text: str, seed: int | None = None) -> Experiment:
        """The resolved experiment: preset, then config file, then the variants' changes, then settings: the last one wins.

        A budget in epochs of data whose size only its files tell stays one. Raises RequestError when the settings have another
        seed than `seed`.
        """
        settings = self.settings or {}
        find = variants.components.find
        experiment = preset(self.preset).replace(self.config or {}, find)
        composition = variants.compose(text)
        for path in {RENAMED.get(one, one) for one in settings}:
            if any(path in one.dose for one in composition.variants):
                raise RequestError(f"{path} is set by {composition.name!r} and by --set; give one of them")
        experiment = composition.apply(experiment, self.preset, find).replace(settings, find)
        if self.arm:
            experiment = experiment.replace(self.arm, find)
        if seed is not None:
            if SEED in settings and experiment.training.seed != seed:
                raise RequestError(f"the seed is given twice, as {seed} and by --set {SEED}={settings[SEED]}; give it once")
            experiment = experiment.replace({SEED: seed}, find)
        select = metric_named(experiment.training.select, experiment.metrics)
        check_scaling((select, *experiment.metrics), experiment.data)
        return resolve(self._located(experiment), self.device)

    def _located(self, experiment: Experiment) -> Experiment:
        """The experiment with the checkpoint of the run that it starts from. Raises RequestError when the run has none."""
        start = experiment.training.start
        if not isinstance(start, RunStart | ExtensionStart) or not start.run or self.store is None:
            return experiment
        store = Store(self.store.absolute())
        run = store.find(start.run)
        try:
            training = store.training_of(run)
            summary = training.read_or_none("training.json")
            if summary is None:
                raise RequestError(f"training.start: run {run.run_id} has not finished its training; run it first")
            checkpoint = training.check(summary)
            if isinstance(start, RunStart):
                start = replace(start, run=run.run_id, path=checkpoint)
            else:
                start = replace(
                    start,
                    run=run.run_id,
                    parent=training.key,
                    step=int(summary["steps"]),
                    path=checkpoint.with_name("last.safetensors"),
                )
        except DamagedRecord as error:
            raise RequestError(f"training.start: {error}") from None
        return replace(experiment, training=replace(experiment.training, start=start))

    def _check_extension(self, experiment: Experiment, variants: Variants) -> None:
        start = experiment.training.start
        if not isinstance(start, ExtensionStart) or not start.run or self.store is None:
            return
        from harness.training.extension import check_extension

        store = Store(self.store.absolute())
        run = store.find(start.run)
        summary = store.training_of(run).read("training.json")
        with validated(run.path):
            parent = Experiment.from_dict(store.record_of(run)["experiment"], variants.components.find)
            spent = {"steps": summary["steps"], "seconds": summary["seconds"] + summary["warm_up_seconds"]}
        check_extension(experiment, parent, spent)

    def extended(self, run_id: str, text: str) -> Request:
        """The request for a training that continues that run to a budget, `text` such as 'steps=5000'. Raises RequestError."""
        name, _, value = text.partition("=")
        if name.strip() not in BUDGETS or not value.strip():
            raise RequestError(f"--extend {shown(text)}; name the whole budget: steps=5000, epochs=50 or seconds=600")
        if self.store is not None and not (Store(self.store).part("runs") / run_id / "result.json").exists():
            raise RequestError(
                f"--extend continues a finished run, and {self.store} has none with these settings ({run_id}); run the same "
                "command without --extend first"
            )
        return self.with_settings({f"training.{name.strip()}": value.strip(), "training.start": f"extension(run={run_id})"})

    def with_settings(self, settings: Mapping[str, object]) -> Request:
        """The request with these settings on top; a budget among them takes the place of every other."""
        gone = _BUDGET if _BUDGET & settings.keys() else frozenset()
        own = {path: value for path, value in (self.settings or {}).items() if path not in gone}
        return replace(self, settings=own | dict(settings))

    def cell(
        self, variants: Variants, text: str, seed: int | None = None, source: Source | None = None
    ) -> tuple[Cell, Source]:
        """The cell of a variant and a seed, with its data. A source opened before is used again when its data are the same."""
        composition = variants.compose(text)
        changes = set(composition.at(self.preset))
        experiment = self.experiment(variants, text, seed)
        if source is None or source.data != experiment.data:
            source = open_source(experiment.data, self.digits)
        experiment = resolve(experiment, self.device, source.epoch_sequences)
        self._check_extension(experiment, variants)
        cell = Cell(
            composition.name,
            self.preset,
            experiment,
            source.identity,
            tuple(sorted(changes | set(self.arm or ()) if changes else changes)),  # base stays what others are compared with
            variants.sources(text, experiment),
        )
        return cell, source

    def reseeded(self, cell: Cell, variants: Variants, seed: int) -> Cell:
        """What `cell` makes for another seed, from a cell that it made: the words are not read again."""
        if SEED in (self.settings or {}):
            return self.cell(variants, cell.variant, seed)[0]
        made = cell.with_seed(seed)
        self._check_extension(made.experiment, variants)
        return made


def resolve(experiment: Experiment, device: str, epoch_sequences: int | None = None) -> Experiment:
    """The experiment with what depends on device and data made explicit: precision, and a budget in steps for one in epochs.

    A budget in epochs stays one where neither `epoch_sequences` nor a setting of the data says how many sequences one has.
    """
    training = experiment.training
    epoch_sequences = epoch_sequences or experiment.get("data.epoch_sequences")
    precision = resolve_precision(training.precision, device)
    steps, epochs = training.steps, training.epochs
    if epochs is not None and epoch_sequences is not None:
        steps, epochs = math.ceil(epochs * epoch_sequences / training.batch_size), None
    return replace(experiment, training=replace(training, precision=precision, steps=steps, epochs=epochs))


def settings_text(
    preset_name: str, variant: str, changes: Iterable[str], settings: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """The settings (path, text) of --set that lead from a preset and a variant to an experiment.

    Args:
        changes: what the variant changes, which is left out where it is not installed.
        settings: the experiment's settings by path, see `harness.component.flatten`.

    Raises RequestError for a preset that is not installed.
    """
    start, installed = _start(preset_name, variant)
    changed = () if installed else tuple(changes)
    found = []
    for path, text in differences(unflatten(settings), start.to_dict()):
        if path != SEED and not any(path == one or path.startswith(f"{one}.") for one in changed):
            found.append((path, text))
    epochs, steps = start.training.epochs, dict(found).get("training.steps")
    sequences, batch = start.get("data.epoch_sequences"), settings.get("training.batch_size")
    if not isinstance(batch, int) or batch < 1:
        batch = start.training.batch_size
    if epochs is not None and sequences and steps == str(math.ceil(epochs * sequences / batch)):
        return [one for one in found if one[0] not in _BUDGET]  # the preset's own budget, resolved
    return [one for one in found if one[0] not in _BUDGET or one[1] != "none"]


@cache
def _start(name: str, variant: str) -> tuple[Experiment, bool]:
    """The preset with the variant's changes, and whether the variant is installed."""
    start = preset(name)
    try:
        return Variants().compose(variant).apply(start, name), True
    except RequestError:
        return start, False


def set_options(settings: Iterable[tuple[str, str]]) -> list[str]:
    """The --set options of settings."""
    return [f"--set {shlex.quote(f'{path}={text}')}" for path, text in settings]


def run_command(record: Mapping[str, Any]) -> str:
    """The command that continues a run or finds it in the store, from its experiment.json.

    Raises RequestError for a preset that is not installed; TypeError, AttributeError or KeyError for another program's record.
    """
    if "predictions" in record and "training" not in record["experiment"]:
        return score_command(record)
    words = ["harness", "run", "--variant", shlex.quote(record["variant"]), "--preset", record["preset"]]
    words += ["--seed", str(int(record["seed"]))]
    settings = settings_text(record["preset"], record["variant"], record["changes"], flatten(record["experiment"]))
    return " ".join([*words, *set_options(settings)])


def score_command(record: Mapping[str, Any]) -> str:
    """The command that scores predictions made elsewhere again, from the experiment.json of their run. Raises as `run_command`."""
    origin = str(record["predictions"]["origin"])
    given = (
        [f"--predictor {shlex.quote(origin)}"]
        if ":" in origin or not origin.endswith((".npy", ".npz"))
        else [shlex.quote(origin)]
    )
    words = ["harness", "score", *given, "--name", shlex.quote(record["variant"]), "--preset", record["preset"]]
    start = {"data": preset(record["preset"]).to_dict()["data"]}
    settings = differences({"data": record["experiment"]["data"]}, start)
    return " ".join([*words, "--seed", str(int(record["seed"])), *set_options(settings)])
