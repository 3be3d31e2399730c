from __future__ import annotations

from fed_back import FedBackContract

from variants.convlstm_stack.module import ConvLSTMStack, translate


class TestConvLSTMStack(FedBackContract):
    make = ConvLSTMStack
    translate = staticmethod(translate)
    name = "convlstm_stack"
    parameters = 11_675_648
    dead = 3_407_872
    published = "15.0M"
