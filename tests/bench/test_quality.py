"""Two recipes after equal time, on the same seeds."""

from __future__ import annotations

from commands import Command

from harness.bench import quality
from harness.presets import preset


def test_quality_pairs_both_recipes_on_the_same_seeds(harness: Command) -> None:
    words = ("bench", "--quality", "--preset", "tiny", "--seconds", "0.05", "--seeds", "2")
    found = harness(*words, "--json").document
    assert [(row["recipe"], row["seed"]) for row in found["rows"]] == [
        (recipe, seed) for seed in (0, 1) for recipe in ("default", "article")
    ]
    for row in found["rows"]:
        assert row["steps"] >= 1
        assert row["seconds"] >= 0.05
    pairs = zip(found["rows"][::2], found["rows"][1::2], strict=True)
    assert found["gain"]["by_seed"] == [ours["test"]["ssim"] - theirs["test"]["ssim"] for ours, theirs in pairs]
    assert "default minus article" in harness(*words).out
    assert harness("bench", "--quality", "--seeds", "0").code == 2


def test_the_articles_recipe_of_preset_cpu_is_that_of_preset_paper() -> None:
    article, paper = preset("cpu").replace(quality.ARTICLE), preset("paper")
    assert article.loss == paper.loss
    for name in ("optimizer", "schedule", "clip_norm"):
        assert getattr(article.training, name) == getattr(paper.training, name), name
    assert (article.architecture.cell.forget_bias, article.architecture.gain) == (0.0, 1.0)
