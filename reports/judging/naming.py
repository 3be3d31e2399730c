"""What the names of columns and cells mean to people: arms, seeds, metrics with their direction, costs, states of runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ARMS = (
    "arm", "variant", "method", "model", "model_name", "algorithm", "algo", "approach", "condition", "treatment", "ablation",
    "architecture", "network", "configuration", "config", "setting", "experiment", "group", "runname", "run_name", "name",
)  # fmt: skip
SEEDS = ("seed", "random_seed", "rng_seed", "manual_seed", "random_state", "replicate", "repeat", "rep", "trial", "fold")
REFERENCES = ("base", "baseline", "reference", "control", "default", "vanilla", "plain")
_HIGHER = _set(
    "ssim psnr acc accuracy f1 auc auroc auprc csi pod hss map iou miou dice r2 bleu rouge recall precision reward return"
)
_LOWER = _set("mse mae rmse mape loss err error lpips fvd fid nll perplexity ppl crps far bce wer cer regret")
_COSTS = _set("seconds time runtime duration minutes hours params parameters flops gflops macs memory latency energy kwh")
_NO_COSTS = _set("start end created timestamp at date step steps")
STEPS = ("step", "_step", "epoch", "iteration", "global_step")
_PREFIX = re.compile(r"^(?:params|config|metrics|summary|tags(?:\.mlflow)?)[./]")
STATES = {
    "finished": "finished", "success": "finished", "completed": "finished", "complete": "finished", "failed": "failed",
    "crashed": "failed", "killed": "failed", "error": "failed", "diverged": "failed", "running": "running",
    "scheduled": "running", "pending": "running", "queued": "running", "preempting": "running", "preempted": "failed",
}  # fmt: skip
BLANK = frozenset(("", "-", "nan", "none", "null", "na", "n/a", "<na>"))
NAMED_SEED = re.compile(r"(.+?)(?:[ _./-]+(?:seed|s)|[ _./-]*seed)[ _=:#-]*(\d+)", re.IGNORECASE)


def bare(name: str) -> str:
    """A column's name without its tool's prefix, in one spelling."""
    return re.sub(r"[ -]+", "_", _PREFIX.sub("", name.strip().lower()))


def by_name(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns that have one of the names, in the order of the names."""
    found = [(names.index(bare(one)), one) for one in columns if bare(one) in names]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _tokens(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def known_direction(name: str) -> bool | None:
    """Whether more of a metric is better, by its name; None where the name does not say."""
    tokens = _tokens(name)
    higher, lower = bool(tokens & _HIGHER), bool(tokens & _LOWER)
    return higher if higher != lower else None


def part_of_data(name: str) -> int:
    """Test before what names no part, then validation, then training."""
    tokens = _tokens(name)
    return (
        0
        if "test" in tokens
        else 3
        if tokens & {"train", "training"}
        else 2
        if tokens & {"val", "valid", "validation"}
        else 1
    )


def is_cost(name: str) -> bool:
    """Whether a column's name is that of a cost."""
    return bool(_tokens(name) & _COSTS) and not _tokens(name) & _NO_COSTS
