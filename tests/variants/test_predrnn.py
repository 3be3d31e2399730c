from __future__ import annotations

from fed_back import FedBackContract

from variants.predrnn.module import PredRNN, translate


class TestPredRNN(FedBackContract):
    make = PredRNN
    translate = staticmethod(translate)
    name = "predrnn"
    parameters = 23_838_720
    published = "23.8M"
