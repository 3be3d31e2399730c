"""Every built-in variant, and four of them together, hold the contract that a third party's variant is held to."""

from __future__ import annotations

import subprocess
import sys

from harness.testing import VariantContract
from harness.variant import Variants


class TestBase(VariantContract):
    variant = "base"


class TestResidual(VariantContract):
    variant = "residual"


class TestAttention(VariantContract):
    variant = "attention"


class TestCurriculum(VariantContract):
    variant = "curriculum"


class TestTta(VariantContract):
    variant = "tta"


class TestMuon(VariantContract):
    variant = "muon"


class TestConvGRU(VariantContract):
    variant = "convgru"


class TestConvLSTMStack(VariantContract):
    variant = "convlstm-stack"


class TestPhyDNet(VariantContract):
    variant = "phydnet"


class TestPredRNN(VariantContract):
    variant = "predrnn"


class TestPredRNNV2(VariantContract):
    variant = "predrnn-v2"


class TestPredRNNPP(VariantContract):
    variant = "predrnn-pp"


class TestSimVP(VariantContract):
    variant = "simvp"


class TestSimVPIncepU(VariantContract):
    variant = "simvp-incepu"


class TestTAU(VariantContract):
    variant = "tau"


class TestAllTogether(VariantContract):
    variant = "tta+residual+curriculum+attention"


def test_every_built_in_variant_is_enrolled() -> None:
    enrolled = {kind.variant for kind in VariantContract.__subclasses__() if kind.__module__ == __name__}
    assert set(Variants(third_party=False).names) == {name for name in enrolled if "+" not in name}


def test_listing_the_built_in_variants_does_not_import_torch() -> None:
    code = "import sys; from harness.variant import Variants; list(Variants(third_party=False)); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
