"""`harness show`: one run of the store."""

from __future__ import annotations

from typing import Any

from harness.cli.options import JsonOption, RunIdArgument, StoreOptions, expand_options
from harness.cli.printing import figure
from harness.cli.run import describe_skipped, describe_steps, print_result, print_settings
from harness.system.console import emit, note, say


@expand_options
def show(*, run_id: RunIdArgument, stored: StoreOptions, as_json: JsonOption = False) -> None:
    """Show one run, finished or not: its result, experiment, environment and validation curve."""
    from harness.cli import listing
    from harness.store import validated

    store = stored.open()
    with validated(store.root / "runs" / run_id):
        record = listing.run(store, run_id, note)
        emit(record) if as_json else print_run(record)


def print_run(record: dict[str, Any]) -> None:
    """One run; of an unfinished one, its state and how to continue it."""
    if (result := record["result"]) is not None:
        print_result(result | {"cached": True, "resumed": False, "path": record["path"]})
        environment = record["environment"] or {}
        made = "tested" if "predictions" in result else "trained"
        say(
            f"{made} on {result['device']} · torch {environment.get('packages', {}).get('torch')} · "
            f"digits {result['digits']['source']} {result['digits']['digest'][:12]} · test {result['test_digest'][:12]}"
        )
    else:
        words = {"trained": "trained, not tested yet", "failed": "failed", "unfinished": "training has begun"}
        say(f"{record['variant']} · preset {record['preset']} · seed {record['seed']} · run {record['run_id']}")
        say(words[record["status"]] + (f": {record['error']}" if record["error"] else ""))
        if (training := record["training"]) is not None:
            say(
                f"{describe_steps(training)} · best validation SSIM {figure(training['validation_ssim'], 4)}"
                f" at step {training['best_step']}{describe_skipped(training)}"
            )
    start = ((record["experiment"] or {}).get("training") or {}).get("start") or {}
    if start.get("name") == "extension":
        say(f"continues run {start['run']} (training {start['parent']}) from step {start['step']}")
    for line in record["validation"]:
        say(
            f"  step {line['step']:>7} · {line['seconds']:7.0f} s · "
            f"validation SSIM {figure(line.get('ssim'), 4)} · MSE {figure(line.get('mse'), 2)}"
        )
    print_settings(record["experiment"] or {})
    if result is None:
        say(f"{'test it' if record['training'] else 'continue'} with: {record['command']}")
