"""Where a training starts: weights of files, names of another program, frozen parameters, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from commands import Command
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from trainings import CPU, INSTALLED, Notes, PowerCut, assert_same_training, cell_of, cut_at, train

from harness.data.source import Source
from harness.errors import RequestError
from harness.model.build import build_model
from harness.runs.request import Request
from harness.training.checkpoint import load_model
from harness.training.start import FileStart, start_from


def network(source: Source, variant: str = "base", seed: int = 0) -> nn.Module:
    return build_model(cell_of(variant=variant, source=source)[0].experiment.architecture, source.shape, seed)


def started(source: Source, seed: int = 1, variant: str = "base", **settings: object) -> tuple[nn.Module, list[str]]:
    """The network of another seed after its start, and what the user was told."""
    cell, _ = cell_of({f"training.{name}": value for name, value in settings.items()}, variant, source)
    model, notes = network(source, variant, seed), []
    start_from(cell.experiment, model, notes.append)
    return model, notes


def assert_equal_weights(model: nn.Module, expected: dict[str, Tensor]) -> None:
    own = model.state_dict()
    assert own.keys() == expected.keys()
    assert [name for name in own if not torch.equal(own[name], expected[name])] == []


# --- files


WAYS = ["safetensors", "pt", "wrapped", "prefixed", "checkpoint"]


@pytest.mark.parametrize("way", WAYS)
def test_weights_of_a_file(way: str, source: Source, tmp_path: Path) -> None:
    weights = network(source).state_dict()
    path = tmp_path / ("weights.safetensors" if way in ("safetensors", "checkpoint") else "weights.pth")
    if way == "safetensors":
        save_file(weights, path)
    elif way == "pt":
        torch.save(weights, path)
    elif way == "wrapped":
        torch.save({"state_dict": weights, "epoch": 3}, path)
    elif way == "prefixed":
        torch.save({"model": {f"model.{name}": tensor for name, tensor in weights.items()}}, path)
    else:  # a training's last checkpoint has the optimizer's state too
        others = {f"optimizer.exp_avg.{name}": tensor.clone() for name, tensor in weights.items()}
        save_file({f"model.{name}": tensor for name, tensor in weights.items()} | others, path)
    model, notes = started(source, start=f"file:{path}")
    assert_equal_weights(model, weights)
    assert len(notes) == 1
    assert notes[0].startswith(f"{len(weights)} of {len(weights)} weights come from {path}")
    assert ("; not in the network: optimizer.exp_avg." in notes[0]) == (way == "checkpoint")


def test_what_did_not_match_is_listed_and_keeps_its_initial_weights(source: Source, tmp_path: Path) -> None:
    weights = network(source).state_dict()
    initial = network(source, seed=1).state_dict()
    given = dict(weights)
    del given["head.bias"]
    given["encoder.0.bias"] = torch.zeros(3)
    given["decoder.weight"] = torch.zeros(2)
    save_file(given, path := tmp_path / "weights.safetensors")
    model, (note,) = started(source, start=f"file:{path}")
    assert note == (
        f"{len(weights) - 2} of {len(weights)} weights come from {path}; not in the file: head.bias; "
        "of another shape: encoder.0.bias; not in the network: decoder.weight"
    )
    assert_equal_weights(model, weights | {name: initial[name] for name in ("head.bias", "encoder.0.bias")})


def test_a_long_list_is_cut_short(source: Source, tmp_path: Path) -> None:
    save_file({"head.weight": network(source).state_dict()["head.weight"]}, path := tmp_path / "weights.safetensors")
    _, (note,) = started(source, start=f"file:{path}")
    missing = len(network(source).state_dict()) - 1
    assert note.endswith(f" and {missing - 5} more")


def test_a_file_of_another_network_is_refused(source: Source, tmp_path: Path) -> None:
    save_file({"linear.weight": torch.zeros(2)}, path := tmp_path / "weights.safetensors")
    with pytest.raises(RequestError, match=r"no weight of .*weights\.safetensors fits.*linear\.weight.*encoder\.0\.bias"):
        started(source, start=f"file:{path}")


def test_without_a_path_the_way_to_give_one_is_told(source: Source) -> None:
    with pytest.raises(RequestError, match=r"--set training\.start=file:FILE"):
        started(source, start="file")


def test_a_run_is_of_the_files_content_and_not_of_its_name(source: Source, tmp_path: Path) -> None:
    first, copy, other = (tmp_path / f"{name}.safetensors" for name in ("first", "copy", "other"))
    for seed, path in ((0, first), (0, copy), (1, other)):
        save_file(network(source, seed=seed).state_dict(), path)
    keys = [cell_of({"training.start": f"file:{path}"}, source=source)[0].run_id for path in (first, copy, other)]
    assert keys[0] == keys[1] != keys[2]
    assert cell_of(source=source)[0].run_id not in keys


def test_a_training_starts_there_and_resumes_bit_for_bit(source: Source, tmp_path: Path) -> None:
    save_file(network(source, seed=5).state_dict(), path := tmp_path / "weights.safetensors")
    cell, _ = cell_of({"training.start": f"file:{path}", "training.freeze": "encoder.*"}, source=source)
    notes = Notes()
    summary, undisturbed = train(cell, source, tmp_path / "undisturbed", progress=notes)
    assert [note for note in notes.notes if str(path) in note]
    with pytest.raises(PowerCut):
        train(cell, cut_at(4, source), tmp_path / "cut", save_every=0)
    found, resumed = train(cell, source, tmp_path / "cut")
    assert_same_training(resumed, undisturbed)
    assert found["checkpoint_sha256"] == summary["checkpoint_sha256"]
    trained = load_model(cell.experiment, source.shape, undisturbed.path / summary["checkpoint"], CPU).state_dict()
    for name, weight in load_file(path).items():
        assert torch.equal(trained[name], weight) == name.startswith("encoder."), name


# --- runs of the store


def test_a_run_of_the_store_gives_its_tested_weights(harness: Command, store: Path, quick: None) -> None:
    words = ("run", "-p", "tiny", "--store", store, "--json")
    base = harness(*words).document
    asked = (*words, "-v", "attention", "--set", f"training.start=run:{base['run_id'][:6]}")
    answer = harness(*asked)
    (said,) = (line for line in answer.err.splitlines() if "weights come from" in line)
    assert "not in the file: bottleneck." in said
    record = json.loads((Path(answer.document["path"]) / "experiment.json").read_text())
    start = record["experiment"]["training"]["start"]
    (checkpoint,) = (store / "trainings" / record_key(store, base["run_id"])).glob("best-*.safetensors")
    assert (start["run"], start["path"]) == (base["run_id"], str(checkpoint))
    assert harness(*asked).document["cached"]

    # The weights are its identity, whatever they are called; other weights are another run.
    named = harness(*words, "-v", "attention", "--set", f"training.start=run(path='{checkpoint}')", "--dry-run").document
    assert named["run_id"] == answer.document["run_id"]
    other = harness(*words, "--seed", 1).document
    planned = harness(*words, "-v", "attention", "--set", f"training.start=run:{other['run_id']}", "--dry-run").document
    assert planned["run_id"] != answer.document["run_id"]
    assert harness("show", answer.document["run_id"], "--store", store).code == 0


def test_an_arm_of_a_plan_starts_from_a_run(store: Path, quick: None) -> None:
    import harness as library

    base = library.open_store(store).where(variant="base")[0]
    arm = f"base(training.start=run:{base.run_id})"
    found = library.ablate([arm], seeds=1, preset="tiny", store=store, progress=False)
    assert [one.variant for one in found] == ["base", arm]
    assert found[0].run_id == base.run_id != found[1].run_id


def record_key(store: Path, run_id: str) -> str:
    found: str = json.loads((store / "runs" / run_id / "experiment.json").read_text())["training_key"]
    return found


def test_a_run_that_has_no_weights_is_refused(harness: Command, store: Path) -> None:
    words = ("run", "-p", "tiny", "--store", store, "--set")
    assert "no run with the id 'zzz'" in harness(*words, "training.start=run:zzz").error
    assert "training.start=run:ID" in harness(*words, "training.start=run").error
    base = json.loads(next((store / "runs").glob("*/result.json")).read_text())
    for path in (store / "trainings" / base["training_key"]).glob("best-*"):
        path.unlink()
    answer = harness(*words, f"training.start=run:{base['run_id']}")
    assert (answer.code, "best-" in answer.error) == (2, True)


def test_killed_and_run_again_it_ends_as_if_nothing_had_been(source: Source, tmp_path: Path, store: Path) -> None:
    run_id = next(path.name for path in (store / "runs").iterdir())
    request = Request(preset="tiny", settings={"training.start": f"run:{run_id}", "training.steps": 9}, store=store)
    cell, _ = request.cell(INSTALLED, "base", 3, source)
    _, undisturbed = train(cell, source, tmp_path / "undisturbed")
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "cut", save_every=0)
    _, resumed = train(cell, source, tmp_path / "cut")
    assert_same_training(resumed, undisturbed)


# --- names of another program


PARTS = {"conv_x.0": "input", "conv_h.0": "state", "conv_m.0": "memory", "conv_o.0": "output", "conv_last": "merge"}


def test_openstls_names_are_translated_by_the_network(source: Source, tmp_path: Path) -> None:
    weights = network(source, "predrnn").state_dict()
    theirs = {"conv_last.weight": weights["head.weight"]}
    for layer in range(2):
        for their, our in PARTS.items():
            theirs[f"cell_list.{layer}.{their}.weight"] = weights[f"cells.{layer}.{our}.weight"]
    assert len(theirs) == len(weights)
    torch.save(
        {"state_dict": {f"model.{name}": tensor for name, tensor in theirs.items()}}, path := tmp_path / "openstl.pth"
    )
    model, (note,) = started(source, variant="predrnn", start=f"openstl:{path}")
    assert_equal_weights(model, weights)
    assert note == f"{len(weights)} of {len(weights)} weights come from {path}"


def test_a_network_that_openstl_does_not_have_is_refused(source: Source, tmp_path: Path) -> None:
    save_file(network(source).state_dict(), path := tmp_path / "weights.safetensors")
    with pytest.raises(RequestError, match=r"encoder-forecaster does not know OpenSTL's names.*training\.start=file:FILE"):
        started(source, start=f"openstl:{path}")


# --- what is frozen


def test_patterns_choose_what_is_frozen(source: Source) -> None:
    model, notes = started(source, freeze="encoder.*,*.bias")
    assert notes == []
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != (name.startswith("encoder.") or name.endswith(".bias")), name


@pytest.mark.parametrize(
    ("freeze", "words"),
    [
        ("decoder.*", r"training\.freeze 'decoder\.\*' matches no parameter; there are down\.0\.bias"),
        ("*", "nothing to train"),
    ],
)
def test_patterns_that_make_no_sense_are_refused(freeze: str, words: str, source: Source) -> None:
    with pytest.raises(RequestError, match=words):
        started(source, freeze=freeze)


def test_a_start_of_nothing_changes_nothing(source: Source) -> None:
    model, notes = started(source)
    assert_equal_weights(model, network(source, seed=1).state_dict())
    assert notes == []
    assert FileStart().path is None
