"""`harness predict`: draw a prediction of a run."""

from __future__ import annotations

from pathlib import Path

from harness.cli.options import DeviceOptions, PluginOptions, RunIdArgument, StoreOptions, expand_options
from harness.options import option
from harness.system.console import say


@expand_options
def predict(
    *,
    run_id: RunIdArgument,
    out: Path = option(Path("sample.png"), "A .png strip or a .gif animation.", flag="--out -o"),
    index: int = option(0, "Which test sequence.", flag="--index -i"),
    data: Path | None = option(None, "Where the file of its training data is now."),
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
) -> None:
    """Draw a run's prediction of one test sequence: input, truth, prediction, difference."""
    from harness.runs.sample import draw_run
    from harness.system.devices import choose_device

    store, device = stored.open(), choose_device(where.device)
    ssim = draw_run(store, store.find(run_id), plugins.variants(), out, index, device, where.digits, data)
    say(f"{out}: test sequence {index}, SSIM {ssim:.3f}")
