"""The catalogue of messages: what a user mistypes, and the whole line that answers. A change of words shows here first."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from commands import Command

RUN = {
    "--varient attention": "No such option: --varient (Possible options: --variant); see `harness run --help`",
    "--preset tinny": "unknown preset 'tinny'; did you mean 'tiny'? known: cpu, evening, paper, tiny",
    "--seed 0 --set training.seed=4": "the seed is given twice, as 0 and by --set training.seed=4; give it once",
    "--set training.steps=10 --set training.steps=20": "--set 'training.steps' is given twice ('10' and '20'); give it once",
    "--set training.steps": "--set 'training.steps'; write path=value, such as training.steps=800",
    "--set training.steps=ten": "training.steps is 'ten'; it must be a whole number",
    "--set training.optimizer=adam": (
        "unknown component 'adam'; did you mean 'adamw'? for training.optimizer: adamw, lion, muon, sgd"
    ),
    "--set training.optimizer.lr=-1": "training.optimizer.lr is -1.0; it must be above 0",
    "--set architecture.bottleneck=attention(heds=2)": (
        "architecture.bottleneck.heds: 'attention' has no setting 'heds'; did you mean 'heads'? known: blocks, expansion, heads"
    ),
    "--set 'architecture.bottleneck=attention(heads=2'": (
        "'attention(heads=2' at character 18: expected ',' or ')', found the end; write name(field=value, ...), such as "
        "attention(heads=8)"
    ),
    "--set loss.mse=": "loss.mse is ''; give its weight, such as loss.mse=0.1, or none",
    "--variant residual+simvp": "'residual' and 'simvp' both change 'architecture'; run them one at a time, or leave one out",
    "--config none.toml": "cannot read config none.toml: No such file or directory",
    "--device gpu": "unknown device 'gpu'; choose auto, cpu, cuda or cuda:N",
    "--digits nowhere": (
        "the digits folder nowhere does not exist; give one with train-images-idx3-ubyte and t10k-images-idx3-ubyte (.gz or not), "
        "or run `harness data fetch`"
    ),
    "--set data=frames": "data.path is empty; name a file or folder: --set data.path=FILE",
}
OTHERS = {
    "runn": "No such command 'runn'. Did you mean 'run'?; see `harness --help`",
    "ablate --plan addone": (
        "unknown plan 'addone'; choose add-one, leave-one-out, factorial, networks, a-a, or name compositions: "
        "base,attention,residual+attention"
    ),
    "ablate --seeds none": "--seeds 'none'; give a number of seeds (5) or a list of them (0,3,7)",
    "ablate --seeds 0": "--seeds 0; give 1 to 10000 seeds",
    "list run": (
        "unknown list 'run'; did you mean 'runs'? choices: components, presets, reports, runs, settings, studies, variants"
    ),
    "list variants --where seed=1": "--where and --columns choose among runs; leave them out of `list variants`",
    "list runs --where seed": (
        "--where 'seed' at character 5: expected =, !=, <, <=, >, >= or ~ after seed, found the end; write conditions such as "
        '"variant=attention and seed<3"'
    ),
    "list runs --where seed<three": "--where seed<'three': < compares numbers; use = or != for texts",
    "show ffff": "no run with the id 'ffff' in store; there: none; `harness list runs` shows all",
    "frame --format xml": "unknown format 'xml'; choices: csv, parquet",
    "frame": (
        "there is no store store; name one with --store or HARNESS_STORE (from Python: open_store(path)), or begin one with "
        "`harness ablate`"
    ),
    "report --site site": "the store store has no plan; harness ablate makes one, harness report a page without",
    "report --site site --pdf": "--site writes pages of its own; leave out --out and --pdf",
    "store export": "no plan in store; name one with --plan. There: none",
    "store export --plan ffff": "no plan whose key begins with 'ffff' in store; name one with --plan. There: none",
    "store import none.zip": "there is no bundle none.zip",
    "store merge here nowhere": "there is no store nowhere to merge",
    "reproduce none.zip": "there is no bundle none.zip",
    "study loss-wieghts --preset tiny": (
        "unknown study 'loss-wieghts'; did you mean 'loss-weights'? installed: learning-rate, loss-weights"
    ),
    "study loss-weights --preset tiny --trials 0": "--trials 0; at least 1 trial is needed",
    "study loss-weights --preset tiny --sampler tpee": (
        "unknown sampler 'tpee'; did you mean 'tpe'? choices: cmaes, gp, random, tpe"
    ),
    "study loss-weights --preset tiny --with l2": "study 'loss-weights' has no option 'l2'; its options: l1",
    "study": "Missing argument 'name'; see `harness study --help`",
    "compare before": "Missing argument 'b'; see `harness compare --help`",
    "compare before after": "before is no folder; name a store, or the folder of a report",
    "judge none.csv": "none.csv is no file; name a table of results: CSV, Parquet or JSON lines",
    "judge results.csv --metric speed": "--metric: unknown column 'speed'; did you mean 'seed'? results.csv has: model, seed, ssim",
    "judge results.csv --reference c": "unknown arm 'c'; column 'model' has: a, b",
    "score --preset tiny": "name files of predictions, or one --predictor; `harness data export` writes what to predict",
    "score none.npy --preset tiny --name theirs": (
        "the frames file none.npy does not exist; give a .npy, .npz, HDF5 (.h5), Zarr or NetCDF (.nc) file, a video, or a folder "
        "of images, videos or such files, or moving-mnist"
    ),
    "bench --preset tiny --contenders fst": (
        "unknown contender 'fst'; did you mean 'fast'? known: article-bf16, article-float32, fast, fast-bf16, fast-float32, "
        "onnx, reference-float32"
    ),
    "bench --preset tiny --rounds 0": "--rounds 0; give at least 1",
    "data export --preset tiny --out there/": "--out there: choose a file that ends in .npy",
    "watch": "no plan in store; there: none. `harness ablate` begins one",
    "report": (
        "the store store has no finished run to report on; make some with `harness ablate --seeds 3`, or name another store with "
        "--store or HARNESS_STORE"
    ),
    "predict ffff": "no run with the id 'ffff' in store; there: none; `harness list runs` shows all",
    "forecast ffff": "name a run and its input: harness forecast RUN --input FILE; several runs: --ensemble RUN,RUN",
    "schema jugde": (
        "unknown schema 'jugde'; did you mean 'judge'? schemas: ablate, bench, bench-quality, compare, data-export, data-verify, "
        "doctor, export, forecast, frame, judge, list-components, list-presets, list-reports, list-runs, list-settings, "
        "list-studies, list-variants, reproduce, run, run-dry-run, schema, score, show, store-export, store-import, store-merge, "
        "store-pack, store-unpack, study, watch"
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a table of results alone; the store is `store`, which does not exist."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STORE", "store")
    (tmp_path / "results.csv").write_text("model,seed,ssim\na,0,0.5\na,1,0.6\nb,0,0.7\nb,1,0.8\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"), [*((f"run --preset tiny {one}", text) for one, text in RUN.items()), *OTHERS.items()]
)
def test_a_mistake_is_answered_by_these_words(words: str, said: str, here: Path, harness: Command) -> None:
    answer = harness(*shlex.split(words.replace("--preset tiny --preset", "--preset")))
    assert answer.code == 2
    assert answer.out == ""
    assert answer.error.removeprefix("error: ").removesuffix("; see `harness --help`") == said.removesuffix(
        "; see `harness --help`"
    )
    assert not (here / "store/runs").exists()


def test_a_settings_file_with_a_byte_order_mark_is_read(here: Path, harness: Command) -> None:
    """Some editors put one; what is in the file counts."""
    (here / "bom.toml").write_bytes(b"\xef\xbb\xbf[training]\nseed = 3\n")
    document = harness("run", "--preset", "tiny", "--config", "bom.toml", "--dry-run", "--json").document
    assert document["seed"] == 3


def test_a_store_without_runs_says_how_to_make_some(here: Path, harness: Command) -> None:
    assert harness("list", "runs").out == (
        "no runs in store; `harness run` or `harness ablate` makes some, --store or HARNESS_STORE names another store\n"
    )
    (here / "store").mkdir()
    assert harness("frame", "--format", "csv").error == "error: no finished run in store; `harness ablate` makes some"


def test_a_folder_of_digits_is_answered_file_by_file(here: Path, harness: Command) -> None:
    answer = harness("data", "verify", "--digits", "nowhere")
    assert answer.code == 1
    assert [line.split(":")[0].split()[-1] for line in answer.out.splitlines()] == [
        "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
    ]  # fmt: skip
    assert "harness data fetch" in answer.out
