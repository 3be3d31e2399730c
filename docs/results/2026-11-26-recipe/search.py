"""Recipes for preset `cpu`, each with the time of about 1,500 steps of batch 8: validation figures only, seed 0, bfloat16.

python docs/results/2026-11-26-recipe/search.py STORE > search.csv      # what STORE has is not trained again
"""

import sys

import harness

COMMON = {
    "training.optimizer": "muon",
    "training.precision": "bfloat16",
    "training.batch_size": 8,
    "training.validate_every": 250,
}
FINE = {"architecture.patch": 2, "architecture.kernels": (3, 3, 3)}
RECIPES: dict[str, dict[str, object]] = {
    "Muon 0.02, batch 8": {"training.steps": 1500},
    "batch 16": {"training.steps": 960, "training.batch_size": 16},
    "average of weights (ema)": {"training.steps": 1500, "training.average": "ema"},
    "patch 2, widths 16 32 64": {"training.steps": 860, "architecture.widths": (16, 32, 64), **FINE},
    "batch 16, twice the time": {"training.steps": 2000, "training.batch_size": 16},
}

print("recipe,parameters,steps,validation_ssim,validation_mse,validation_mae")
for name, settings in RECIPES.items():
    result = harness.run("base", preset="cpu", seed=0, settings=COMMON | settings, store=sys.argv[1], progress=False)
    last = result.validations().iloc[-1]
    figures = f"{last['ssim']:.4f},{last['mse']:.2f},{last['mae']:.2f}"
    print(f'"{name}",{result.parameters},{result.steps},{figures}', flush=True)
