from __future__ import annotations

from fed_back import FedBackContract

from variants.predrnn_pp.module import PredRNNPP, translate


class TestPredRNNPP(FedBackContract):
    make = PredRNNPP
    translate = staticmethod(translate)
    name = "predrnn_pp"
    parameters = 35_307_520
    dead = 3_276_800
    published = "38.6M"
