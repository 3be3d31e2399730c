from __future__ import annotations

from fed_back import FedBackContract

from variants.predrnn_v2.module import PredRNNV2, translate


class TestPredRNNV2(FedBackContract):
    make = PredRNNV2
    translate = staticmethod(translate)
    name = "predrnn_v2"
    parameters = 23_855_104
    published = "23.9M"
    reverse = True
    extra = {"decoupling": 0.1}  # noqa: RUF012
