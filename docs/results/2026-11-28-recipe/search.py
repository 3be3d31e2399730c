"""Recipes for preset `evening`, tried on half of preset `cpu`'s training: validation figures only, seed 0, bfloat16.

python docs/results/2026-11-28-recipe/search.py STORE > search.csv      # what STORE has is not trained again
"""

import sys

import harness

COMMON = {"training.precision": "bfloat16", "training.validate_every": 300, "training.steps": 900}
RECIPES: dict[str, dict[str, object]] = {
    "preset cpu, half its steps": {},
    "0.5 MSE + 0.5 SSIM": {"loss.ssim.weight": 0.5, "loss.mse.weight": 0.5},
    "batch 8, twice the steps": {"training.batch_size": 8, "training.steps": 1800},
    "SSIM from a tenth on": {"loss.ssim.start": 0.1, "loss.ssim.ramp": 0.2},
    "Muon 0.03": {"training.optimizer.lr": 0.03},
    "Muon's momentum 0.9": {"training.optimizer.momentum": 0.9},
    "forget bias 1": {"architecture.cell.forget_bias": 1.0},
}

print("recipe,steps,validation_ssim,validation_mse,validation_mae")
for name, settings in RECIPES.items():
    result = harness.run("base", preset="cpu", seed=0, settings=COMMON | settings, store=sys.argv[1], progress=False)
    last = result.validations().iloc[-1]
    print(f'"{name}",{result.steps},{last["ssim"]:.4f},{last["mse"]:.2f},{last["mae"]:.2f}', flush=True)
