"""Which network is best for the seconds that base takes? Each gets as much training time as base at the same seed.

    python examples/networks_at_equal_seconds.py --preset cpu --seeds 5

On the command line: harness ablate --plan networks --variants convgru,simvp --equal seconds --preset cpu --seeds 5
"""

import argparse

import harness

parser = argparse.ArgumentParser()
parser.add_argument("--preset", default="tiny")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--networks", nargs="+", default=["convgru", "simvp"], help="Variants that replace the network.")
asked = parser.parse_args()

found = harness.ablate(asked.networks, plan="networks", equal="seconds", preset=asked.preset, seeds=asked.seeds)
table = found.frame().query("metric == 'ssim'").groupby("variant")[["value", "seconds", "steps", "parameters"]].mean()
print(table.round(4).to_string())
print(found.verdicts()[["variant", "difference", "low", "high", "verdict"]].to_string(index=False))
