"""`harness export`: a trained network as a file for other programs."""

from __future__ import annotations

from pathlib import Path

from harness.cli.options import JsonOption, PluginOptions, RunIdArgument, StoreOptions, expand_options
from harness.options import option
from harness.system.console import emit, say


@expand_options
def export(
    *,
    run_id: RunIdArgument,
    to: str = option("onnx", "onnx, torch-export or safetensors."),
    out: Path | None = option(None, "The file. Default: RUN.onnx, .pt2 or .safetensors here.", flag="--out -o"),
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """Write a run's network to a file, and a model card beside it: what it was trained on, its scores, its scaling."""
    import torch

    from harness.errors import unknown
    from harness.runs.export import FORMATS, card_of
    from harness.runs.export import export as write
    from harness.runs.forecast import load_trained

    if to not in FORMATS:
        raise unknown("format", to, FORMATS, label="choices")
    store = stored.open()
    run = store.find(run_id)
    trained = load_trained(store, run, plugins.variants(), torch.device("cpu"))
    path = out or Path(f"{run.run_id}{FORMATS[to]}")
    card = write(trained, run.read("result.json"), run.read("sequences.json"), to, path)
    if as_json:
        emit(card)
        return
    say(f"{path}: {tuple(card['input'])} -> {tuple(card['output'])}, within {card['largest_difference']:.1g} of the network")
    if card["seconds_a_sequence"]:
        say(" · ".join(f"{name} {1e3 * value:.1f} ms a sequence" for name, value in card["seconds_a_sequence"].items()))
    say(f"model card: {card_of(path)}")
