"""`harness score`: test predictions that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, RequestOptions, StoreOptions, expand_options
from harness.cli.run import print_result
from harness.options import option
from harness.system.console import emit


@expand_options
def score(
    *,
    predictions: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of predictions, (sequences, horizon, channels, height, width); several are several seeds."
        ),
    ] = None,
    name: str = option("theirs", "What tables call them."),
    predictor: str | None = option(None, "Instead of files: module:function, a TorchScript file (.pt) or an ONNX file."),
    seed: int = option(0, "The seed of the first file; the others have the next ones.", at_least=0),
    asked: RequestOptions,
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """Test predictions of another program on the test sequences, which `harness data export` writes; train nothing."""
    from harness.runs.score import score_all
    from harness.system.devices import choose_device

    request = asked.request(choose_device(where.device), where.digits)
    found = score_all(predictions or (), predictor or None, name, seed, request, plugins.variants(), stored.open())
    if as_json:
        emit({"runs": [outcome.record() for outcome in found]})
        return
    for outcome in found:
        print_result(outcome.result | {"path": str(outcome.path)})
