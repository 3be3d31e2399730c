"""A study is one value: what is searched, what is always tried first, and what settings follow. Here: the clipping of gradients."""

from __future__ import annotations

from harness.studies import Arm, Float, Study

STUDY = Study(
    name="clipping",
    summary="the norm at which gradients are clipped",
    owns=("training.clip_norm",),  # what trials set; users and the tuned variant cannot
    space=lambda experiment, options: {"norm": Float(low=0.1, high=10.0, log=True)},
    to_settings=lambda params, experiment: {"training.clip_norm": params["norm"]},
    arms=lambda experiment, options: (Arm(name="as it is", params={"norm": experiment.training.clip_norm}, reference=True),),
)
