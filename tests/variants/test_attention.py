"""Attention starts as the base, knows where a position is, and takes heads that fit."""

from __future__ import annotations

import pytest
import torch
from networks import TINY, disturbed, experiment, frames, noise
from torch import Tensor

from harness.errors import RequestError
from harness.model.build import build_model
from variants.attention.module import attend


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_attention_with_its_gates_closed_is_the_base_whatever_its_other_weights() -> None:
    base, attention = (build_model(experiment(name).architecture, TINY, seed=4) for name in ("base", "attention"))
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            if name.startswith("bottleneck."):
                parameter.zero_() if name.endswith("gates") else parameter.normal_()
        assert torch.equal(attention(frames(), 3), base(frames(), 3))
        next(p for name, p in attention.named_parameters() if name.endswith("gates")).fill_(0.5)
        assert not torch.equal(attention(frames(), 3), base(frames(), 3))


def test_attention_knows_where_a_position_is() -> None:
    model = disturbed(build_model(experiment("attention").architecture, TINY, seed=0))
    assert model.bottleneck is not None
    features, order = noise(1, 1, 8, 4, 4), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(3)[..., order].view_as(features)
    with torch.no_grad():
        before, after = model.bottleneck(features), model.bottleneck(shuffled)
    assert not torch.allclose(before.flatten(3)[..., order], after.flatten(3), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"heads": 3}, "3 heads on 8 channels"), ({"heads": 0}, "heads is 0"), ({"blocks": 0}, "blocks is 0")],
)
def test_attention_refuses_what_does_not_fit(settings: dict[str, int], words: str) -> None:
    component = type(experiment("attention").architecture.bottleneck)
    with pytest.raises(RequestError, match=words):
        component(**settings).build(8)


TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 4e-2}
"""Of the fast path against the float32 reference, as a share of its norm; bfloat16 has 8 bits, and errors add up over steps."""


@pytest.mark.parametrize("kind", list(TOLERANCE), ids=str)
def test_attentions_fused_product_equals_its_equation(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def equation(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return torch.softmax(query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5, dim=-1) @ value

    module = disturbed(build_model(experiment("attention").architecture, TINY, seed=1)).bottleneck
    assert module is not None
    results = []
    for plain in (False, True):
        module.zero_grad()
        features = noise(2, 3, 8, 4, 6).requires_grad_()
        with monkeypatch.context() as patch, torch.autocast("cpu", enabled=kind == torch.bfloat16 and not plain):
            if plain:
                patch.setattr("variants.attention.module.F.scaled_dot_product_attention", equation)
            answer = module(features)
        (answer.float() * noise(*answer.shape, seed=1)).sum().backward()
        results.append([answer, features.grad, *(parameter.grad for parameter in module.parameters())])
    for index, (ours, theirs) in enumerate(zip(*results, strict=True)):
        assert ours is not None
        assert theirs is not None
        assert relative_difference(ours.detach(), theirs.detach()) < 2 * TOLERANCE[kind], index


def test_attention_multiplies_in_float32_under_a_cpus_autocast() -> None:
    query, key, value = (noise(2, 4, 9, 8, seed=seed).bfloat16() for seed in range(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attend(query, key, value)
    scores = query.float() @ key.float().transpose(-2, -1) / 8**0.5
    assert relative_difference(found, torch.softmax(scores, dim=-1) @ value.float()) < 1e-5  # bfloat16's own are off by 3e-3


def relative_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / (expected.norm() + 1e-6))
