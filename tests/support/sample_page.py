"""A page like a real ablation report: what the renderers' tests render and a browser looks at."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Plot
from PIL import Image

from reports.page import Answer, Control, Effect, Figure, Page, Picture, Section, Table, Value

METHODS = (
    # method, parameters, training time, SSIM, gain, verdict, article
    ("base", 1_234_567, 1.0, (0.8412, 0.8371, 0.8453), None, "baseline", "0.84"),
    ("residual", 1_240_001, 1.04, (0.8498, 0.8466, 0.8530), (0.0086, 0.0041, 0.0131), "better", "+0.01"),
    ("attention", 1_310_222, 1.31, (0.8467, 0.8420, 0.8514), (0.0055, -0.0004, 0.0114), "no clear difference", "+0.02"),
    ("curriculum", 1_234_567, 0.93, (0.8390, 0.8338, 0.8442), (-0.0022, -0.0074, 0.0030), "no clear difference", "+0.01"),
    ("tta", 1_234_567, 1.0, (0.8440, 0.8401, 0.8479), (0.0028, 0.0019, 0.0037), "better", "not reported"),
    ("residual + attention", 1_315_656, 1.36, (0.8521, 0.8480, 0.8562), (0.0109, 0.0057, 0.0161), "better", "+0.03"),
    ("all four", 1_315_656, 1.29, (0.8377, 0.8290, 0.8464), (-0.0035, -0.0125, 0.0055), "no clear difference", "+0.05"),
)


def signed(value: float) -> str:
    """With a sign; the minus is the typographic one."""
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def ablation_table() -> Table:
    rows = []
    for method, parameters, time, ssim, gain, verdict, article in METHODS:
        rows.append(
            (
                Value(method),
                Value(f"{parameters / 1e6:.2f} M", parameters),
                Value(f"{time:.2f}", time),
                Value(f"{ssim[0]:.4f} [{ssim[1]:.4f}, {ssim[2]:.4f}]", ssim[0]),
                Value(f"{signed(gain[0])} [{signed(gain[1])}, {signed(gain[2])}]", gain[0]) if gain else Value("—"),
                Value(verdict),
                Value(article),
            )
        )
    return Table(
        id="ablation",
        title="Each idea added to the base, and all together",
        columns=(
            "method",
            "parameters",
            "training time (× base)",
            "SSIM [95 % interval]",
            "gain over base [95 % interval]",
            "verdict",
            "article",
        ),
        rows=tuple(rows),
        numeric=(False, True, True, True, True, False, False),
        note="Five seeds a method, the same budget of steps. Intervals are Student's t over seeds; gains are paired by seed "
        "and corrected after Holm.",
    )


def forest_plot() -> Figure:
    names = [row[0] for row in METHODS if row[4]]
    gains = np.array([row[4] for row in METHODS if row[4]])
    with matplotlib.rc_context({"svg.hashsalt": "sample"}):
        plot = Plot(figsize=(7.2, 3.2), layout="constrained")
        axes = plot.subplots()
        where = np.arange(len(names))[::-1]
        axes.errorbar(
            gains[:, 0], where, xerr=np.stack([gains[:, 0] - gains[:, 1], gains[:, 2] - gains[:, 0]]), fmt="o", capsize=3
        )
        axes.axvline(0, color="0.5", linewidth=1)
        axes.set_yticks(where, names)
        axes.set_xlabel("gain in SSIM over base")
        svg, png = io.StringIO(), io.BytesIO()
        plot.savefig(svg, format="svg", metadata={"Date": None})
        plot.savefig(png, format="png", dpi=150)
    return Figure(
        id="gains",
        title="Gain of each idea over the base.",
        caption="Points are means over five seeds, bars their 95 % intervals. One that crosses zero says nothing either way.",
        alt="Forest plot: residual, tta and residual + attention lie to the right of zero; the others' intervals cross it.",
        svg=svg.getvalue(),
        png=png.getvalue(),
    )


def frames(count: int, side: int = 64) -> list[np.ndarray]:
    ys, xs = np.mgrid[:side, :side]
    return [(255 * np.exp(-((xs - 12 - 2 * t) ** 2 + (ys - 40 + 1.5 * t) ** 2) / 60)).astype(np.uint8) for t in range(count)]


def strip() -> Picture:
    content = io.BytesIO()
    row = np.concatenate([np.pad(frame, 1, constant_values=128) for frame in frames(20)], axis=1)
    Image.fromarray(np.concatenate([row, row])).save(content, format="PNG")
    return Picture(
        id="strip",
        title="Test sequence 0.",
        caption="Above the truth, below the prediction by residual + attention.",
        alt="Two rows of twenty frames with a bright spot that moves to the upper right; the rows look alike.",
        mime="image/png",
        content=content.getvalue(),
    )


def animation() -> Picture:
    content = io.BytesIO()
    first, *rest = (Image.fromarray(frame).resize((256, 256)) for frame in frames(12))
    first.save(content, format="GIF", save_all=True, append_images=rest, duration=150, loop=0)
    return Picture(
        id="animation",
        title="The same prediction in motion.",
        caption="Twelve frames, repeated.",
        alt="A bright spot moves to the upper right.",
        mime="image/gif",
        content=content.getvalue(),
    )


def answer() -> Answer:
    """The first screen of six arms against base."""
    words = {"better": "helps", "no clear difference": "undecided"}
    effects = [Effect("base", text="0.8412 [0.8371, 0.8453]", sure="5 seeds")]
    for name, _, time, _, gain, verdict, _ in METHODS[1:]:
        text = f"{gain[0]:+.4f} [{gain[1]:+.4f}, {gain[2]:+.4f}]"
        cost = f"{time:.2f}x [{time * 0.9:.2f}x, {time * 1.1:.2f}x] training time, +7% parameters, 1.10x inference"
        effects.append(Effect(name, words[verdict], *gain, text=text, cost=cost, sure="p 0.011, 5 seeds"))
    return Answer(
        headline="residual, tta and both help; 3 of 6 arms are undecided.",
        setting="Test SSIM, preset cpu, 400 steps; 6 comparisons, paired by seed, Holm-adjusted at 5%, margin 0.005.",
        gain="gain in test SSIM over base",
        margin=0.005,
        effects=tuple(effects),
        controls=(
            Control(True, "A/A (base against itself): no alarm in 1 plan"),
            Control(None, "no blank frame was measured"),
            Control(False, "1 run missing"),
        ),
        remaining=("Seeds in all that would decide the rest, about: attention 7, curriculum 14, all four 19.",),
    )


def sample_page() -> Page:
    """Seven methods, the first screen, a forest plot, a strip and an animation."""
    studies = Table(
        id="costs",
        title="What a training costs",
        columns=("method", "wall time (s)", "peak memory (MiB)"),
        rows=tuple(
            (Value(row[0]), Value(f"{81.3 * row[2]:.1f}", 81.3 * row[2]), Value(f"{310 + 11 * i}", 310 + 11 * i))
            for i, row in enumerate(METHODS)
        ),
        numeric=(False, True, True),
    )
    return Page(
        title="Ablation: four ideas for predicting moving digits",
        answer=answer(),
        summary=(
            "Residual connections raise SSIM by 0.0086 (95 % interval 0.0041 to 0.0131) at 4 % more training time.",
            "Of the article's other three claims, one could be confirmed and two could not be told from noise with five seeds.",
        ),
        warnings=(
            "curriculum has 4 of 5 seeds: run cur-7f3a was interrupted. Go on with `harness ablate --plan add-one --seeds 5`.",
            "The budget is a tenth of the article's; small gains may need more steps to show.",
        ),
        facts={
            "Hardware": "2 CPU cores, no accelerator",
            "Preset": "cpu (32×32 canvas, 10 frames in, 10 out)",
            "Seeds": "0, 1, 2, 3, 4",
            "Budget": "400 steps of 16 sequences a method",
            "Test digest": "sha256:9f2c5b8a7e3d1f60b4c8e2a9d7f5031c6b8e4a2d9c7f1e3b5a8d6c4f2e0b9a7d",
            "Versions": "harness 0.1.0, PyTorch 2.13.0, Python 3.11.7",
        },
        sections=(
            Section(
                id="ablation",
                title="Does each idea help on its own?",
                paragraphs=(
                    "Each row adds one idea to the same base. Everything else is equal: data, steps, batch size, optimiser and "
                    "seeds. A verdict is given only where the corrected interval of the paired difference excludes zero.",
                ),
                tables=(ablation_table(),),
                figures=(forest_plot(),),
            ),
            Section(id="costs", title="What does it cost?", tables=(studies,)),
            Section(id="examples", title="What do predictions look like?", pictures=(strip(), animation())),
            Section(
                id="again",
                title="How to repeat this",
                paragraphs=("On two cores this takes about forty minutes.",),
                commands=("harness ablate --plan add-one --seeds 5 --preset cpu", "harness report --out artifacts/report"),
            ),
        ),
    )
