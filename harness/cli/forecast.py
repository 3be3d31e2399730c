"""`harness forecast`: what comes after the last frames of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, StoreOptions, expand_options
from harness.errors import RequestError
from harness.options import option
from harness.system.console import emit, note, say


@expand_options
def forecast(
    *,
    run_id: Annotated[str | None, typer.Argument(help="A run's id, or its first digits.")] = None,
    inputs: Path | None = option(None, "The last frames: a file or folder, as data.path.", flag="--input -i"),
    horizon: int | None = option(None, "Frames to predict. Default: as many as the run was trained for.", at_least=1),
    out: Path = option(Path("forecast.nc"), "A .nc, .zarr, .npy or .gif file.", flag="--out -o"),
    ensemble: str | None = option(None, "More runs, joined by commas: mean and spread over all of them."),
    layout: str | None = option(None, 'The input\'s axes, such as "T H W C". Default: as in training.'),
    variable: str = option("", "The array's name, in a file with several."),
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """Predict the frames after the last ones of a file, in its units, axes and coordinates. No truth is needed."""
    names = [one for one in (run_id, *(ensemble or "").split(",")) if one]
    if inputs is None or not names:
        raise RequestError("name a run and its input: harness forecast RUN --input FILE; several runs: --ensemble RUN,RUN")
    from harness.runs.forecast_files import check_out, write

    check_out(out, inputs)
    import torch

    from harness.runs.forecast import forecast as predict
    from harness.runs.forecast import load_trained
    from harness.system.devices import choose_device

    store, device, variants = stored.open(), torch.device(choose_device(where.device)), plugins.variants()
    runs = {run.run_id: run for run in map(store.find, names)}
    trained = [load_trained(store, run, variants, device) for run in runs.values()]
    frames = horizon or int(trained[0].experiment.data.horizon)
    try:
        found = predict(trained, inputs, frames, device, layout=layout, variable=variable)
    except RequestError as error:  # what reads files speaks of the settings of a training
        said = str(error).replace('--set "data.layout=', '--layout "').replace("--set data.variable=", "--variable ")
        raise RequestError(said) from None
    written = write(found, out)
    beyond = frames > found.trained_horizon
    if beyond:
        first = found.trained_horizon + 1
        what = f"frames {first} to {frames} extrapolate" if frames > first else f"frame {first} extrapolates"
        note(f"the runs were trained for {found.trained_horizon} frames: {what}")
    count, _, channels, height, width = found.mean_NTCHW.shape
    shown = found.shown_NTCHW.shape[1]
    if found.gaps:
        several = f" of {found.gaps} of {count} recordings" if count > 1 else ""
        note(f"{inputs}: a gap in time lies between the last {shown} frames{several}; in training no gap did")
    if count > 1 and out.suffix.lower() == ".gif":
        note(f"{out} shows the first of {count} recordings; a .nc, .zarr or .npy file has all")
    if as_json:
        emit(
            {
                "runs": list(runs),
                "files": [str(path) for path in written],
                "shape": list(found.mean_NTCHW.shape),
                "unit": found.values.unit,
                "trained_horizon": found.trained_horizon,
                "extrapolates": beyond,
            }
        )
        return
    unit = f" in {found.values.unit}" if found.values.unit else ""
    several = f" for each of {count} recordings" if count > 1 else ""
    size = f"{channels} channel{'s' * (channels > 1)}, {height}x{width}{unit}"
    say(f"{', '.join(map(str, written))}: {frames} frames{several}, {size}, after the last {shown} of {inputs}")
