"""The smoke test of a cell: what cannot work fails before anything is written, in one line that names the component.

Every component is tried at the experiment's real shapes, on the host in float32, with one sequence or two. That costs four passes
through the network. No random state is changed, and nothing that is trained later depends on it.
"""

from __future__ import annotations

from harness.data.source import Source
from harness.experiment import Experiment
from harness.runs.blame import preserved_randomness
from harness.runs.smoke_test.checks import Setup
from harness.runs.smoke_test.components import ask_functions, compute_losses, draw_a_batch, look, measure, predict_untrained
from harness.runs.smoke_test.network import build, predict
from harness.runs.smoke_test.training import train_and_resume


def smoke_test(experiment: Experiment, source: Source) -> None:
    """Tries every component of the experiment once.

    Raises RequestError naming the component, its slot, what it gave and what is wanted: for a wrong shape or type, values that
    are not finite, a draw from global randomness, state that a checkpoint does not have, a network that cannot be built on the
    meta device, and frames that do not suit the architecture, a view or a metric.
    """
    with preserved_randomness():
        setup = Setup(experiment, source)
        frames = draw_a_batch(setup)
        measure(setup, frames)
        if experiment.inference.predictor is not None:
            predict_untrained(setup, frames)
            return
        look(setup, frames)
        ask_functions(setup)
        model = build(setup)
        predict(setup, model)
        compute_losses(setup, frames)
        train_and_resume(setup, model, frames)
