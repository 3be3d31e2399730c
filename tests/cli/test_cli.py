"""The command line as a user meets it: one document or one clear line, the right exit code, and nothing lost."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from commands import Command
from PIL import Image

from harness.errors import Interrupted
from harness.presets import PRESETS
from harness.store import Folder, Store

ROOT = Path(__file__).resolve().parents[2]

NUMBER = {"type": "number"}
WHOLE = {"type": "integer", "minimum": 0}
WORD = {"type": "string", "minLength": 1}


def exactly(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


METRICS = exactly(**dict.fromkeys(("ssim", "ssim_article", "ssim_openstl", "mse", "mae", "psnr"), NUMBER))
CURVE = {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3}
CURVES = exactly(**dict.fromkeys(METRICS["required"], CURVE))
RESULT = exactly(
    run_id={"type": "string", "pattern": "^[0-9a-f]{16}$"},
    variant=WORD,
    preset=WORD,
    seed=WHOLE,
    status={"const": "finished"},
    cached={"type": "boolean"},
    resumed={"type": "boolean"},
    params={"type": "integer", "minimum": 1},
    flops_per_sequence={"type": "integer", "minimum": 1},
    metrics=METRICS,
    metrics_per_frame=CURVES,
    baselines=exactly(blank=METRICS, repeat_last=METRICS),
    training=exactly(
        steps={"type": "integer", "minimum": 1}, seconds=NUMBER, sequences_per_second=NUMBER, skipped_steps=WHOLE
    ),
    inference=exactly(frames_per_second={"type": "number", "exclusiveMinimum": 0}),
    memory={"type": "object", "minProperties": 1},
    device=WORD,
    digits=exactly(source={"const": "embedded"}, digest={"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    path=WORD,
)
"""What is documented for `run --json`: these keys and no others."""


def contents(root: Path) -> dict[str, str]:
    """Every file below a folder but the locks, with the digest of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "locks" not in path.relative_to(root).parts
    }


@pytest.fixture
def unharmed(store: Path) -> Iterator[Path]:
    """A store with two finished runs, all of whose files are still there, unchanged, after the test."""
    before = contents(store)
    yield store
    after = contents(store)
    assert {name: after.get(name) for name in before} == before


def refused(answer: Any, *said: str, code: int = 2) -> None:
    assert answer.code == code, answer
    assert answer.out == ""
    for words in said:
        assert words in answer.error


# --- run


def test_run_json_has_the_documented_keys_and_a_second_run_answers_from_the_store(
    harness: Command, tmp_path: Path, quick: None
) -> None:
    first = harness("run", "--preset", "tiny", "--seed", 3, "--store", tmp_path / "store", "--json")
    assert first.code == 0
    jsonschema.validate(first.document, RESULT)
    assert first.document["seed"] == 3
    assert (first.document["cached"], first.document["resumed"]) == (False, False)
    assert Path(first.document["path"]).is_dir()
    assert first.document["training"]["steps"] == 6
    assert "step 6" in first.err
    again = harness("run", "--preset", "tiny", "--seed", 3, "--store", tmp_path / "store", "--json")
    assert again.document == first.document | {"cached": True}
    assert again.err == ""


def test_a_finished_cell_is_answered_from_the_store(harness: Command, unharmed: Path) -> None:
    for words in ((), ("--variant", "base"), ("--set", "training.seed=0"), ("--set", "training.max_lr=0.003")):
        answer = harness("run", "--preset", "tiny", "--store", unharmed, "--json", *words)
        jsonschema.validate(answer.document, RESULT)
        assert (answer.document["cached"], answer.document["variant"]) == (True, "base")
    text = harness("run", "--preset", "tiny", "--store", unharmed)
    assert [line.split()[0] for line in text.out.splitlines()[:4]] == ["test", "base", "repeat", "blank"]
    assert "(from the store)" in text.out


def test_the_answer_carries_the_name_that_was_asked_for(harness: Command, unharmed: Path) -> None:
    words = ("run", "--variant", "tta", "--set", "inference.views=identity", "--preset", "tiny", "--store", unharmed)
    document = harness(*words, "--json").document
    assert (document["cached"], document["variant"]) == (True, "tta")


def test_force_trains_again_and_the_old_run_is_kept_and_listed(harness: Command, store: Path, quick: None) -> None:
    before = harness("run", "--preset", "tiny", "--store", store, "--json").document
    kept = contents(Path(before["path"]))
    forced = harness("run", "--preset", "tiny", "--store", store, "--force", "--json").document
    assert (forced["cached"], forced["run_id"]) == (False, before["run_id"])
    assert forced["metrics"] == before["metrics"]
    assert contents(Path(before["path"] + "~1")) == kept
    rows = {row["run_id"]: row for row in harness("list", "runs", "--store", store, "--json").document["runs"]}
    assert rows[before["run_id"]]["status"] == "finished"
    assert rows[before["run_id"] + "~1"]["status"] == "superseded"
    for row in rows:
        assert harness("show", row, "--store", store, "--json").document["validation"]
        assert harness("predict", row, "--store", store, "--out", store / "x.png").code == 0


def test_a_terminal_gets_one_line_that_is_redrawn_and_anything_else_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.system.progress import LiveLine, PlainLines, Status, progress

    assert isinstance(progress("base seed 0"), PlainLines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    with progress("base seed 0") as shown:
        assert isinstance(shown, LiveLine)
        shown.update(Status(7, 0.5, 0.25, 0.125, 0.025, 60.0, 61.0))
        shown.note("a line \x1b[31mabove")
    drawn = capsys.readouterr().err
    assert "base seed 0" in drawn
    assert "step 7 ·  50% · loss 0.2500 · val SSIM 0.1250 (+0.100 on blank) · 60.0 seq/s · 1:01 left" in drawn
    assert "a line" in drawn
    assert "\x1b[31m" not in drawn
    assert "\x1b[2K" in drawn  # it leaves no line behind


def test_threads_hardly_spin_while_they_wait_unless_the_user_says_how(
    harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert harness("--help").code == 0
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("passive", "1000")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert harness("--help").code == 0
    assert (os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT")) == ("active", None)


def test_dry_run_resolves_and_counts_and_writes_nothing(harness: Command, tmp_path: Path) -> None:
    words = ("run", "--dry-run", "--variant", "residual+tta", "--preset", "tiny", "--set", "training.epochs=2")
    answer = harness(*words, "--store", tmp_path / "store", "--json")
    document = answer.document
    assert answer.code == 0
    assert (document["variant"], document["params"] > 0, document["flops_per_sequence"] > 0) == ("residual+tta", True, True)
    assert document["experiment"]["training"]["steps"] == 32
    assert document["experiment"]["training"]["precision"] == "float32"
    assert document["experiment"]["architecture"]["skip"]["name"] == "residual"
    text = harness(*words, "--store", tmp_path / "store")
    assert "parameters" in text.out
    assert "training.steps = 32" in text.out
    assert os.listdir(tmp_path) == []


def test_the_preset_follows_the_device_and_is_told(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.system.devices.cuda_visible", lambda: False)
    answer = harness("run", "--dry-run", "--store", tmp_path, "--json")
    assert answer.document["preset"] == "cpu"
    assert answer.err == "preset cpu (running without a GPU; choose another with --preset)\n"


def test_a_config_file_comes_before_settings_and_the_seed_option_after(harness: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[training]\nsteps = 9\nmax_lr = 0.5\nseed = 4\n[architecture]\nwidths = [8, 8]\n")
    words = ("run", "--dry-run", "--preset", "tiny", "--config", config, "--set", "training.max_lr=0.25", "--json")
    experiment = harness(*words, "--seed", 5).document["experiment"]
    assert experiment["training"] | {"steps": 9, "seed": 5} == experiment["training"]
    assert experiment["training"]["optimizer"]["lr"] == 0.25
    assert experiment["architecture"]["widths"] == [8, 8]


def test_a_value_that_was_not_finite_is_shown_as_none(harness: Command, store: Path) -> None:
    run = next(run for run in Store(store).runs() if run.read("result.json")["variant"] == "base")
    result = run.read("result.json")
    run.write("result.json", result | {"metrics": result["metrics"] | {"ssim": float("nan")}})
    assert "none" in harness("run", "--preset", "tiny", "--store", store).out
    assert harness("run", "--preset", "tiny", "--store", store, "--json").document["metrics"]["ssim"] is None
    assert harness("list", "--store", store).code == harness("show", run.run_id, "--store", store).code == 0


# --- a request that is wrong


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--variant atention", "unknown variant 'atention'; did you mean 'attention'? installed: "),
        ("--variant residual+", "name variants joined by '+'"),
        ("--preset tny", "unknown preset 'tny'; did you mean 'tiny'? known: cpu, evening, paper, tiny"),
        ("--set training.max_lrr=1", "did you mean 'training.optimizer.lr'?"),
        ("--set max_lr=1", "did you mean 'training.optimizer.lr'?"),
        ("--set training.optimizer.lrr=1", "'adamw' has no setting 'lrr'; did you mean 'lr'? known: lr, weight_decay"),
        ("--set training.max_lr", "write path=value, such as training.steps=800"),
        ("--set =3", "write path=value"),
        ("--set training.max_lr=fast", "training.optimizer.lr is 'fast'; it must be a number"),
        ("--set training.batch_size=0", "training.batch_size is 0; it must be at least 1"),
        ("--set data.horizon=0", "data.horizon is 0; it must be at least 1"),
        ("--set training.steps=1 --set training.steps=2", "given twice"),
        ("--set training.steps=1 --set training.epochs=2", "both set"),
        ("--set training.epochs=inf", "finite"),
        ("--set training.precision=float16", "float16 needs CUDA"),
        ("--seed 0 --set training.seed=4", "the seed is given twice, as 0 and by --set training.seed=4; give it once"),
        ("--set data.canvas=17", "17x17 pixels; this architecture needs multiples of 4"),
        ("--set data.canvas=8", "at least 11x11"),
        ("--set data.frames=nowhere.npy", "nowhere.npy does not exist"),
        ("--set data.frames=", "data.path is empty; name a file or folder"),
        ("--variant attention --set architecture.widths=4,6", "must be a multiple of 4"),
        ("--seed -1", "training.seed is -1; it must be at least 0"),
        ("--seed one", "'--seed'"),
        ("--config nowhere.toml", "cannot read config nowhere.toml: No such file"),
        ("--plugin nowhere.py", "plugin file nowhere.py does not exist"),
        ("--digits nowhere", "the digits folder nowhere does not exist"),
        ("--device gpu", "unknown device 'gpu'; choose auto, cpu, cuda or cuda:N"),
        ("--device cuda:", "unknown device 'cuda:'"),
        ("--device cpu:1", "unknown device 'cpu:1'"),
        ("--varient base", "No such option"),
        ("base", "unexpected extra argument"),
        ("--preset", "'--preset' requires an argument; see `harness"),
    ],
)
def test_a_wrong_request_gets_one_clear_line_and_exit_code_2(
    harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(unharmed.parent)
    preset = () if "--preset" in words else ("--preset", "tiny")
    before = contents(unharmed)
    refused(harness("run", "--json", "--store", unharmed, *preset, *words.split()), said)
    assert contents(unharmed) == before, "a request that was refused left something behind"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nosuch", "No such command 'nosuch'; see `harness --help`"),
        (
            "list everything",
            "unknown list 'everything'; choices: components, presets, reports, runs, settings, studies, variants",
        ),
        ("show ffff", "no run with the id 'ffff'"),
        ("show", "Missing argument"),
        ("predict ffff", "no run with the id 'ffff'"),
    ],
)
def test_other_commands_answer_mistakes_alike(harness: Command, unharmed: Path, words: str, said: str) -> None:
    store = ("--store", unharmed) if words != "nosuch" else ()
    refused(harness(*words.split(), *store), said)


def test_conflicting_variants_are_refused_by_name(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    for name in ("early", "late"):
        (tmp_path / f"{name}.py").write_text(
            "from harness.variant import Variant\n"
            f"V = Variant(name={name!r}, summary='s', source='t', changes={{'training.max_lr': 0.1}})\n"
        )
    words = ("run", "--preset", "tiny", "--plugin", tmp_path / "early.py", "--plugin", tmp_path / "late.py")
    answer = harness(*words, "--variant", "late+early", "--store", unharmed, "--json")
    refused(answer, "'early' and 'late' both change 'training.optimizer.lr'")


def test_cuda_without_cuda_is_refused(harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("cuda", "cuda:1"):
        answer = harness("run", "--preset", "tiny", "--device", device, "--store", unharmed, "--json")
        refused(answer, f"device '{device}' was asked for", "sees no CUDA device; use --device cpu")


def test_a_config_that_is_no_config_is_refused(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    for content, said in [
        (b"training = 3", "training is a section; set what is in it: seed, data_order, batch_size"),
        (b"steps = 800", "unknown setting 'steps'; did you mean 'training."),
        (b"[training\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"[training]\nsteps = 1979-05-27", "training.steps is"),
        (b"[train]\nsteps = 1", "unknown setting 'train.steps'; did you mean 'training.steps'?"),
        (b"[architecture.skip]\ntype = 'os.system'", "architecture.skip is empty, so architecture.skip.type does not exist"),
        (b"[architecture.skip]\nname = 'os.system'", "expected a component's name"),
        (b"#" * (2**20 + 1), "larger than 1 MiB"),
    ]:
        config.write_bytes(content)
        refused(harness("run", "--preset", "tiny", "--config", config, "--store", unharmed, "--json"), said)
    refused(harness("run", "--preset", "tiny", "--config", tmp_path, "--store", unharmed, "--json"), "Is a directory")


DEEP = "attention(heads=" * 20 + "4" + ")" * 20


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("architecture.bottleneck=attention(heads=", "expected a value, found the end"),
        ("architecture.bottleneck=attention(heads", "expected field=value, found the end"),
        ("architecture.bottleneck=attention(heads=4))", "expected the end, found ')'"),
        ("architecture.bottleneck=attention(heads='4)", "a quotation without an end"),
        ("architecture.bottleneck=attention(4)", "expected field=value"),
        ("architecture.bottleneck=(heads=4)", "expected a component's name"),
        ("architecture.bottleneck=attention,attention", "2 components; 1 at most"),
        ("architecture.bottleneck=attention(heads=1, heads=2)", "gives heads twice; give it once"),
        ("architecture.bottleneck=attention(heads=0)", "architecture.bottleneck.heads is 0; it must be at least 1"),
        ("architecture.bottleneck=attention(heds=1)", "'attention' has no setting 'heds'; did you mean 'heads'?"),
        (
            "architecture.bottleneck=attention(heads=attention(heads=4))",
            "a plain setting; it takes a value, not a component",
        ),
        ("architecture.bottleneck=attnetion", "unknown component 'attnetion'; did you mean 'attention'?"),
        ("architecture.bottleneck=adamw", "unknown component 'adamw'; for architecture.bottleneck: attention"),
        ("architecture.bottleneck.heads=4", "architecture.bottleneck is empty"),
        ("architecture.botleneck=attention", "did you mean 'bottleneck'?"),
        ("architecture.bottleneck.inner.deeper=1", "architecture.bottleneck is empty"),
        ("nowhere=attention", "unknown setting 'nowhere'"),
        ("training.optimizer=muon(others=adamw(lr=x))", "training.optimizer.others.lr is 'x'; it must be a number"),
        ("training.optimizer=none", "training.optimizer is empty; choose one"),
        ("training.steps=attention(heads=1)", "training.steps is 'attention(heads=1)'; it must be a whole number"),
        ("loss=mse,mse", "loss names mse twice; name it once"),
        ("loss.nothing=0.5", "unknown component 'nothing'"),
        (f"architecture.bottleneck={DEEP}", "nests components more than 16 deep"),
        (f"architecture.bottleneck={'x' * 10_000}", "a component of 10,000 characters; at most 4,096"),
        (f"training.steps={'9' * 10_000}", "training.steps is '9999"),
        (f"{'x' * 10_000}=1", "is no path of a setting"),
        ("architecture.bottle\nneck=attention", "is no path of a setting"),
        (f"training.steps={'x' * 10_000}", "it must be a whole number"),
        (f"architecture.bottleneck=attention({'x' * 4000}=1)", "expected field=value"),
        (f"architecture.bottleneck={'x' * 4000}", "expected a component's name"),
        ("architecture.bottleneck=__import__('os').mkdir('executed')", "expected"),
        ("architecture.bottleneck=attention(heads=__import__('os').mkdir('executed'))", "expected"),
        ("architecture=os.mkdir(executed)", "expected a component's name"),
        ("training.steps=__import__('os').mkdir('executed')", "it must be a whole number"),
        ("training.freeze=[__import__('os').mkdir('executed')]", "executed"),
    ],
    ids=lambda text: text[:60],
)
def test_bad_components_get_one_line_and_nothing_is_evaluated(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = harness("run", "--preset", "tiny", "--json", "--store", tmp_path / "store", "--set", setting)
    refused(answer, said)
    assert len(answer.err.splitlines()) == 1
    assert len(answer.err) < 1000
    assert not (tmp_path / "executed").exists()
    assert not list(tmp_path.rglob("*.json"))


def test_components_are_chosen_by_name_call_and_table(harness: Command, tmp_path: Path) -> None:
    def planned(*words: object) -> dict[str, Any]:
        answer = harness("run", "--dry-run", "--preset", "tiny", "--store", tmp_path, "--json", *words)
        assert answer.code == 0, answer.err
        return dict(answer.document["experiment"])

    config = tmp_path / "config.toml"
    called = planned("--set", "training.optimizer=lion(lr=0.25, beta1=0.5)")
    assert called["training"]["optimizer"] | {"name": "lion", "lr": 0.25, "beta1": 0.5} == called["training"]["optimizer"]
    words = [f"training.optimizer{end}" for end in ("=lion", ".lr=0.25", ".beta1=0.5")]
    assert planned(*(part for word in words for part in ("--set", word))) == called
    config.write_text('[training.optimizer]\nname = "lion"\nlr = 0.25\nbeta1 = 0.5\n')
    assert planned("--config", config) == called
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())  # as some editors save it
    assert planned("--config", config) == called
    config.write_text('[training]\noptimizer = "lion(lr=0.25, beta1=0.5)"\n')
    assert planned("--config", config) == called
    chosen = planned("--set", "architecture=convlstm-stack")
    assert chosen["architecture"]["name"] == "convlstm-stack"
    config.write_text('architecture = "convlstm-stack"\n')
    assert planned("--config", config) == chosen
    assert planned("--seed", 4, "--set", "training.seed=4") == planned("--seed", 4)


def test_a_plan_refuses_a_seed_beside_its_own(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--plan", "base", "--seeds", "2", "--preset", "tiny", "--dry-run", "--store", tmp_path)
    refused(harness(*words, "--set", "training.seed=4"), "the seed is given twice, as 0 and by --set training.seed=4")


def test_components_are_listed_one_row_a_field(harness: Command) -> None:
    rows = harness("list", "components", "--json", "--no-plugins").document["components"]
    (muon,) = (row for row in rows if row["name"] == "muon")
    assert (muon["slot"], muon["error"]) == ("training.optimizer", None)
    (steps,) = (one for one in muon["fields"] if one["name"] == "steps")
    assert steps == {"name": "steps", "default": 5, "range": "at least 1, at most 20", "meaning": "Newton-Schulz iterations"}
    header, *lines = harness("list", "components", "--no-plugins").out.splitlines()
    assert header.split() == ["slot", "name", "field", "default", "range", "meaning", "origin"]
    assert len(lines) == sum(max(1, len(row["fields"])) for row in rows)
    (line,) = (line for line in lines if line.split()[1:3] == ["muon", "steps"])
    assert line.startswith("training.optimizer")
    for words in (" 5 ", "at least 1, at most 20", "Newton-Schulz iterations", muon["origin"]):
        assert words in line


# --- digits and frames


def idx(images: np.ndarray[Any, Any], magic: bytes = b"\0\0\x08\x03") -> bytes:
    return magic + struct.pack(">3I", *images.shape) + images.tobytes()


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images[:24]))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[24:])))
    return folder


def test_digits_of_a_folder_are_used_and_named(harness: Command, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("run", "--dry-run", "--preset", "tiny", "--json")
    document = harness(*words, "--digits", digits).document
    assert document["digits"]["source"] == "idx"
    monkeypatch.setenv("HARNESS_DIGITS", str(digits))
    assert harness(*words).document == document
    monkeypatch.delenv("HARNESS_DIGITS")
    assert harness(*words).document["run_id"] != document["run_id"]


SOME = np.zeros((24, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no train-images-idx3-ubyte"),
        (b"", "is not an IDX file of images: it starts with nothing"),
        (idx(SOME)[:9], "is truncated"),
        (idx(SOME)[:-1], "is truncated"),
        (idx(SOME) + b"x", "holds more than"),
        (idx(SOME, b"\0\0\x08\x01"), "is not an IDX file of images"),
        (idx(SOME[:, :27]), "holds items of 27x28 pixels; digits are 28x28"),
        (gzip.compress(idx(SOME))[:-9], "train-images-idx3-ubyte is truncated or damaged"),
        (idx(SOME)[:4] + struct.pack(">3I", 2**32 - 1, 28, 28), "announces"),
    ],
    ids=["missing", "empty", "header cut", "cut", "too long", "magic", "shape", "gzip cut", "absurd count"],
)
def test_a_digits_folder_that_is_not_whole_is_refused(
    harness: Command, unharmed: Path, digits: Path, content: bytes | None, said: str
) -> None:
    path = digits / "train-images-idx3-ubyte"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refused(harness("run", "--preset", "tiny", "--digits", digits, "--store", unharmed, "--json"), str(digits), said)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda frames: frames * 2, "[0, 1]"),
        (lambda frames: frames - 0.5, "[0, 1]"),
        (lambda frames: np.where(frames > 0.9, np.nan, frames), "[0, 1]"),
        (lambda frames: np.where(frames > 0.9, np.inf, frames), "[0, 1]"),
        (lambda frames: frames[..., :15, :15], "15x15 pixels; this architecture needs multiples of 4"),
        (lambda frames: frames[..., :8, :8], "11x11"),
        (lambda frames: frames[:, :4], "name the axes: --set"),
        (lambda frames: frames[:2], "at least 3"),
        (lambda frames: frames[0], "give longer recordings"),
    ],
    ids=["above 1", "below 0", "nan", "inf", "odd size", "too small", "too short", "too few", "one short recording"],
)
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_frames_that_cannot_be_used_are_refused(
    harness: Command,
    unharmed: Path,
    tmp_path: Path,
    make: Callable[[Any], Any],
    said: str,
    ending: str,
) -> None:
    path = tmp_path / f"frames.{ending}"
    frames = make(np.random.default_rng(0).random((12, 6, 16, 16), np.float32))
    np.save(path, frames) if ending == "npy" else np.savez(path, frames=frames)
    before = contents(unharmed)
    answer = harness("run", "--preset", "tiny", "--set", f"data.frames={path}", "--store", unharmed, "--json")
    refused(answer, said)
    assert contents(unharmed) == before


def test_views_that_turn_frames_that_are_not_square_are_refused_before_training(
    harness: Command, unharmed: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((12, 6, 16, 20), np.uint8))
    words = ("run", "--preset", "tiny", "--set", f"data.frames={tmp_path / 'wide.npy'}", "--set", "inference.views=rot90")
    answer = harness(*words, "--store", unharmed, "--json")
    refused(answer, "swaps height and width")
    assert "step" not in answer.err


# --- a store that is not well


def test_a_store_that_is_a_file_is_refused_by_every_command(harness: Command, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    for words in (("run", "--preset", "tiny"), ("list", "runs"), ("show", "a"), ("predict", "a"), ("doctor",)):
        answer = harness(*words, "--store", file)
        refused(answer, f"the store {file} is a file, not a folder; choose another with --store or HARNESS_STORE")
    assert file.read_text() == "precious"


def test_a_store_that_is_not_there_is_empty(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "typo"))
    assert harness("list", "runs").out == f"no runs in {tmp_path / 'typo'}\n"
    assert harness("list", "runs", "--json").document == {"runs": []}
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "os.write"])
def test_a_full_disk_is_one_line_and_nothing_stored_is_lost(
    harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch, call: str, quick: None
) -> None:
    def full(*args: object, **options: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = ("run", "--preset", "tiny", "--seed", 9, "--store", unharmed, "--json")
    with monkeypatch.context() as patched:
        patched.setattr(call, full)
        refused(harness(*words), "cannot write", "No space left on device", "HARNESS_STORE", code=1)
    if call == "os.fsync":
        assert harness(*words).code == 0


def test_a_store_that_cannot_be_written_still_answers_what_it_has(
    harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(unharmed / "locks")
    (unharmed / "locks").write_text("in the way")
    assert harness("run", "--preset", "tiny", "--store", unharmed, "--json").document["cached"] is True
    answer = harness("run", "--preset", "tiny", "--seed", 9, "--store", unharmed, "--json")
    refused(answer, f"cannot write to the store {unharmed}", "--store or HARNESS_STORE", code=1)
    (unharmed / "locks").unlink()


@pytest.mark.parametrize("content", [b"", b'{"metrics": {"ssim": 0.99}}', b"\x80\x04.", None])
def test_a_damaged_result_is_named_by_who_reads_and_made_again_by_who_runs(
    harness: Command, store: Path, content: bytes | None, quick: None
) -> None:
    base = harness("run", "--preset", "tiny", "--store", store, "--json").document
    path = Path(base["path"], "result.json")
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    damaged, spoilt = path.read_bytes(), contents(store)
    refused(harness("show", base["run_id"], "--store", store, "--json"), str(path), code=1)
    listed = harness("list", "--store", store)
    assert listed.code == 0
    assert {row.split()[0] for row in listed.out.splitlines()[1:]} == set(os.listdir(store / "runs"))
    assert f"{base['run_id']}: {path} is" in listed.err
    doctor = harness("doctor", "--store", store, "--json")
    assert doctor.code == 1
    assert [check["name"] for check in doctor.document["checks"] if not check["ok"]] == ["records"]
    assert contents(store) == spoilt, "who only reads changes nothing"

    again = harness("run", "--preset", "tiny", "--store", store, "--json")
    assert (again.code, again.document["cached"]) == (0, False)
    assert again.document["metrics"] == base["metrics"]
    assert str(path) in again.err
    (aside,) = (store / "quarantine").glob("*/*/result.json")
    assert aside.read_bytes() == damaged
    assert harness("run", "--preset", "tiny", "--store", store, "--json").document["cached"]
    assert harness("doctor", "--store", store).code == 0


def test_force_gets_past_a_damaged_record_and_keeps_it(harness: Command, store: Path, quick: None) -> None:
    base = harness("run", "--preset", "tiny", "--store", store, "--json").document
    path = Path(base["path"], "result.json")
    path.write_bytes(b"precious?")
    (training,) = Store(store).trainings()
    forced = harness("run", "--preset", "tiny", "--store", store, "--force", "--json").document
    assert forced["metrics"] == base["metrics"]
    assert Path(base["path"] + "~1", "result.json").read_bytes() == b"precious?"
    assert training.path.with_name(training.path.name + "~1").is_dir()


def test_a_damaged_checkpoint_is_never_evaluated_and_trained_again(harness: Command, store: Path, quick: None) -> None:
    base = harness("run", "--preset", "tiny", "--store", store, "--json").document
    Path(base["path"], "result.json").unlink()
    (training,) = Store(store).trainings()
    checkpoint = training.check(training.read("training.json"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    answer = harness("run", "--preset", "tiny", "--store", store, "--json")
    assert str(checkpoint) in answer.err
    assert (answer.document["cached"], answer.document["metrics"]) == (False, base["metrics"])
    (aside,) = (store / "quarantine").glob(f"*/*/{checkpoint.name}")
    assert aside.stat().st_size == 100


# --- reading a store


def test_show_gives_result_experiment_environment_and_curve(harness: Command, unharmed: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--store", unharmed, "--json").document["run_id"]
    document = harness("show", run_id[:6], "--store", unharmed, "--json").document
    assert set(document) >= {"run_id", "path", "result", "experiment", "environment", "validation"}
    assert [line["step"] for line in document["validation"]] == [3, 6]
    assert document["experiment"]["data"]["canvas"] == 16
    text = harness("show", run_id, "--store", unharmed).out
    assert "validation SSIM" in text
    assert "data.canvas = 16" in text


def test_a_run_that_was_only_trained_is_shown_and_predicts_and_its_command_tests_it(
    harness: Command, store: Path, tmp_path: Path
) -> None:
    tested = harness("run", "--preset", "tiny", "--store", store, "--json").document
    path = store / "runs" / tested["run_id"]
    for name in ("result.json", "sequences.json", "environment.json"):
        (path / name).unlink()
    document = harness("show", tested["run_id"], "--store", store, "--json").document
    assert (document["status"], document["result"]) == ("trained", None)
    listed = harness("list", "--store", store, "--json").document["runs"]
    assert {row["run_id"]: row["status"] for row in listed}[tested["run_id"]] == "trained"
    assert {name: document["training"][name] for name in tested["training"]} == tested["training"]
    assert [line["step"] for line in document["validation"]] == [3, 6]
    text = harness("show", tested["run_id"], "--store", store).out
    assert "trained, not tested yet" in text
    assert f"best validation SSIM {document['training']['validation_ssim']:.4f}" in text
    assert harness("predict", tested["run_id"], "--out", tmp_path / "x.png", "--store", store).code == 0
    assert text.splitlines()[-1] == f"test it with: {document['command']}"
    again = harness(*document["command"].split()[1:], "--store", store, "--json").document
    assert (again["run_id"], again["metrics"]) == (tested["run_id"], tested["metrics"])


def test_a_list_cuts_what_is_too_long_for_a_table(harness: Command, store: Path) -> None:
    run = next(iter(Store(store).runs()))
    run.write("experiment.json", run.read("experiment.json") | {"variant": "x" * 10_000})
    assert max(map(len, harness("list", "--store", store).out.splitlines())) < 300
    assert "x" * 10_000 in harness("list", "--store", store, "--json").out


def test_show_of_a_failed_cell_says_why_it_failed(harness: Command, store: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--store", store, "--json").document["run_id"]
    (store / "runs" / run_id / "result.json").unlink()
    Folder(store / "runs" / run_id).write("failure.json", {"variant": "base", "seed": 0, "error": "it broke", "attempts": 2})
    answer = harness("show", run_id, "--store", store)
    assert answer.code == 0
    assert "failed: it broke" in answer.out
    listed = harness("list", "--store", store, "--json").document["runs"]
    assert {(row["status"], row.get("reason")) for row in listed} == {("failed", "it broke"), ("finished", None)}


def test_show_does_without_the_checkpoint(harness: Command, store: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--store", store, "--json").document["run_id"]
    shutil.rmtree(store / "trainings")
    answer = harness("show", run_id, "--store", store, "--json")
    assert (answer.code, answer.document["validation"]) == (0, [])
    assert "no validation curve" in answer.err


def test_every_list_is_pure_json_on_request_and_a_table_otherwise(harness: Command, unharmed: Path) -> None:
    for what, names in {
        "variants": {"base", "residual", "attention", "curriculum", "tta"},
        "presets": set(PRESETS),
        "settings": {"training.optimizer.lr", "data.canvas"},
        "components": {"attention", "adamw", "moving-mnist"},
        "runs": {run.run_id for run in Store(unharmed).runs()},
        "studies": set(),
        "reports": set(),
    }.items():
        answer = harness("list", what, "--store", unharmed, "--json")
        rows = answer.document[what]
        assert names <= {row.get("name") or row.get("path") or row.get("run_id") for row in rows}
        text = harness("list", what, "--store", unharmed).out
        assert all(name in text for name in names)


def test_a_broken_plugin_file_is_listed_and_stops_nothing(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    (tmp_path / "a_plugin.py").write_text("print('hello')\nraise OSError('not today')")
    words = ("--plugin", tmp_path / "a_plugin.py", "--no-plugins")
    listed = harness("list", "variants", *words, "--json")
    errors = {row["name"]: row["error"] for row in listed.document["variants"]}
    assert errors.pop("a_plugin") == "OSError: not today"
    assert set(errors.values()) == {None}
    text = harness("list", "variants", *words)
    assert "the plain ConvLSTM encoder-forecaster" in text.out
    assert "a_plugin: OSError: not today" in text.err
    assert harness("run", "--preset", "tiny", "--store", unharmed, *words, "--json").document["cached"] is True
    refused(harness("run", "--variant", "mine", "--preset", "tiny", *words, "--json"), "OSError: not today")


def test_predict_draws_a_strip_and_an_animation(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    run_id = harness("run", "--preset", "tiny", "--variant", "tta", "--store", unharmed, "--json").document["run_id"]
    for name, frames in (("strip.png", 1), ("new/film.GIF", 6)):
        answer = harness("predict", run_id, "--out", tmp_path / name, "--index", 7, "--store", unharmed)
        assert answer.code == 0
        assert answer.out.startswith(f"{tmp_path / name}: test sequence 7, SSIM ")
        with Image.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) == frames
            assert picture.width > 100


def test_predict_answers_mistakes(harness: Command, unharmed: Path, tmp_path: Path, digits: Path) -> None:
    run_id = next(iter(Store(unharmed).runs())).run_id
    words = ("predict", run_id, "--store", unharmed)
    refused(harness(*words, "--out", tmp_path / "x.mp4"), "ends in .png (a strip) or .gif")
    refused(harness(*words, "--out", tmp_path / "x.png", "--index", 8), "sequences 0 to 7")
    refused(harness(*words, "--out", tmp_path / "x.png", "--index", -1), "sequences 0 to 7")
    refused(harness(*words, "--out", tmp_path / "x.png", "--digits", digits), "was made with other data")
    refused(harness(*words, "--out", Path("/dev/null/x.png")), "cannot write /dev/null/x.png", code=1)
    assert not (tmp_path / "x.png").exists()


def test_doctor_finds_nothing_wrong_with_a_sound_store(harness: Command, unharmed: Path) -> None:
    answer = harness("doctor", "--store", unharmed, "--json")
    assert (answer.code, answer.document["ok"]) == (0, True)
    assert [check["name"] for check in answer.document["checks"]] == [
        "python", "torch", "digits", "variants", "store", "records",
    ]  # fmt: skip
    text = harness("doctor", "--store", unharmed)
    assert all(line.startswith("ok ") for line in text.out.splitlines())


def test_doctor_names_digits_that_are_missing(harness: Command, tmp_path: Path) -> None:
    answer = harness("doctor", "--store", tmp_path, "--digits", tmp_path / "none")
    assert answer.code == 1
    assert f"FAIL  digits: the digits folder {tmp_path / 'none'} does not exist" in answer.out


def test_data_verify_tells_what_is_wrong_file_by_file(harness: Command, digits: Path) -> None:
    answer = harness("data", "verify", "--digits", digits, "--json")
    assert (answer.code, answer.document["ok"]) == (1, False)
    assert len(answer.document["files"]) == 4
    assert harness("data", "verify", "--digits", digits).out.count("\n") == 4


# --- ending


@pytest.mark.parametrize(
    ("error", "said"), [(Interrupted("saved at step 3"), "saved at step 3"), (KeyboardInterrupt(), "again"), (None, "again")]
)
def test_an_interrupted_run_ends_with_130_or_143_and_says_how_to_continue(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None, said: str
) -> None:
    def interrupt(*args: object) -> None:
        if error is not None:
            raise error
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("harness.runs.cell.run_cell", interrupt)
    answer = harness("run", "--preset", "tiny", "--store", tmp_path, "--json")
    assert (answer.code, answer.out) == (143 if error is None else 130, "")
    assert answer.err.startswith("stopped: ")
    assert said in answer.err


def test_memory_that_runs_out_is_one_line(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*args: object, **options: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr("harness.training.loop.fit", too_much)
    answer = harness("run", "--preset", "tiny", "--store", tmp_path, "--json")
    refused(answer, "out of memory on cpu while training 'base' with training.batch_size=4; use --auto-batch", code=1)


def test_memory_that_runs_out_in_testing_is_one_line_and_nothing_is_trained_twice(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    words = ("run", "--preset", "tiny", "--store", tmp_path, "--json")

    def too_much(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as full:
        full.setattr("harness.evaluation.baselines.evaluate", too_much)
        said = "out of memory on cpu while testing 'base' with training.batch_size=4; use --auto-batch"
        refused(harness(*words), said, "lower training.batch_size", code=1)
    (training,) = tmp_path.glob("trainings/*/training.json")
    before = training.stat().st_mtime_ns
    answer = harness(*words)
    assert answer.code == 0, answer.err
    assert training.stat().st_mtime_ns == before
    assert not (tmp_path / "quarantine").exists()


def test_saying_half_a_command_prints_its_help(harness: Command) -> None:
    answer = harness("data")  # `harness` alone says what to do next: test_start.py
    assert answer.code == 2
    assert "fetch" in answer.err + answer.out
    assert "Traceback" not in answer.err
    assert harness("--help").code == harness("run", "-h").code == 0


def test_help_lists_and_cached_answers_do_not_import_torch(tiny_store: Path) -> None:
    code = """
import sys
from harness.cli.app import main
lists = [["list", what] for what in ("variants", "components", "runs", "settings")]
for words in (["--help"], *lists, ["run", "--preset", "tiny", "--json"]):
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
    heavy = sorted({"torch", "pandas", "scipy", "matplotlib", "optuna", "sklearn"} & set(sys.modules))
    assert not heavy, (words, heavy)
"""
    environment = os.environ | {"HARNESS_STORE": str(tiny_store)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("\n{\n") :])["cached"]


def test_the_house_keeps_one_direction() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_a_stopped_training_is_listed_as_unfinished_and_show_says_how_to_continue(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **options: object) -> None:
        raise Interrupted("stopped at step 3 (50%); the state is saved: run the same command again to continue")

    monkeypatch.setattr("harness.training.loop.fit", stop)
    assert harness("run", "--preset", "tiny", "--store", tmp_path).code == 130
    (row,) = harness("list", "runs", "--store", tmp_path, "--json").document["runs"]
    assert (row["variant"], row["seed"], row["status"]) == ("base", 0, "unfinished")
    shown = harness("show", row["run_id"], "--store", tmp_path)
    assert shown.code == 0
    assert "training has begun" in shown.out
    assert shown.out.endswith("continue with: harness run --variant base --preset tiny --seed 0\n")
    refused(harness("predict", row["run_id"], "--store", tmp_path), "has not finished its training", code=1)
    (training,) = Store(tmp_path).trainings()
    (training.path / "experiment.json").write_bytes(b"{")
    assert [row["status"] for row in harness("list", "--store", tmp_path, "--json").document["runs"]] == ["damaged"]


def test_doctor_names_broken_plugins_and_a_disk_that_is_nearly_full(
    harness: Command, tmp_path: Path, fake_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_distribution("acme", "1/0", {"harness.variants": {"mine": "acme:MINE"}})
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 2**20))  # type: ignore[attr-defined]
    answer = harness("doctor", "--store", tmp_path, "--json")
    assert answer.code == 1
    wrong = {check["name"]: check["finding"] for check in answer.document["checks"] if not check["ok"]}
    assert set(wrong) == {"variants", "store"}
    assert "mine of acme 1.0: ZeroDivisionError" in wrong["variants"]
    assert "has 1 MiB free" in wrong["store"]


def test_a_pipe_that_closes_or_a_terminal_that_fails_is_no_traceback(tiny_store: Path) -> None:
    command = [sys.executable, "-m", "harness.cli.app", "list", "settings"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert "error: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    piped = subprocess.run(
        ["sh", "-c", '"$0" -m harness.cli.app list settings | head -1', sys.executable], capture_output=True, text=True
    )
    assert piped.stdout.startswith("path")
    assert "Traceback" not in piped.stderr


@pytest.mark.parametrize("name", ["--equal", "--match"])
def test_equal_and_its_former_name_are_one_option(harness: Command, tmp_path: Path, name: str) -> None:
    words = ("ablate", "--plan", "networks", "--variants", "convgru", name, "seconds", "--seeds", 1, "--preset", "tiny")
    found = harness(*words, "--dry-run", "--json", "--store", tmp_path)
    assert found.code == 0
    document = json.loads(found.out)
    assert (document["match"], [cell["label"] for cell in document["cells"]]) == ("seconds", ["base", "convgru"])


def test_doses_and_sweeps_are_arms_of_a_plan(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--seeds", 1, "--preset", "tiny", "--dry-run", "--json", "--store", tmp_path)
    doses = json.loads(harness(*words, "--variants", "attention(heads=1, blocks=1),attention(heads=2)").out)
    assert [cell["label"] for cell in doses["cells"]] == ["base", "attention(blocks=1, heads=1)", "attention(heads=2)"]
    assert len(doses["left_out"]) == 1
    sweep = json.loads(harness(*words, "--sweep", "training.optimizer.lr=1e-3,1e-2").out)
    names = ["base", "base(training.optimizer.lr=0.001)", "base(training.optimizer.lr=0.01)"]
    assert [cell["label"] for cell in sweep["cells"]] == names
    assert harness(*words, "--sweep", "training.optimizer.lr").code == 2
