"""What --json prints has a published schema, and real outputs satisfy it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import typer.main
from commands import Command

from harness.cli.app import app
from harness.cli.schema import SCHEMAS

BY_NAME = {one.name: one.document for one in SCHEMAS}
TABLE = "model,seed,ssim,psnr\n" + "".join(f"{arm},{seed},0.5{seed},2{seed}\n" for arm in "ab" for seed in range(3))


def commands(found: Any, name: str = "") -> dict[str, Any]:
    """Every command by its words."""
    inner = getattr(found, "commands", None)
    if inner is None:
        return {name: found}
    return {words: one for key, sub in inner.items() for words, one in commands(sub, f"{name}-{key}".lstrip("-")).items()}


def test_every_command_that_prints_json_has_a_schema_and_the_other_way_round() -> None:
    printing = {
        words for words, one in commands(typer.main.get_command(app)).items() if any("--json" in p.opts for p in one.params)
    }
    described = {name for name in BY_NAME if name in printing}
    kinds = {name for name in BY_NAME if name.startswith("list-")}
    assert described | {"list"} == printing
    assert set(BY_NAME) - described - kinds == {"run-dry-run", "bench-quality"}


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(BY_NAME[name])
    assert BY_NAME[name]["description"].endswith(".")


@pytest.mark.slow
def test_real_documents_satisfy_their_schemas(
    harness: Command, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STORE", str(store))
    Path("results.csv").write_text(TABLE)
    np.save("theirs.npy", np.zeros((8, 3, 1, 16, 16), np.float32))
    run_id = sorted(store.glob("runs/*/result.json"))[0].parent.name
    tiny = ("--preset", "tiny", "--json")
    asked: dict[str, list[tuple[object, ...]]] = {
        "run": [("run", *tiny), ("run", "--variant", "tta", *tiny)],
        "run-dry-run": [("run", "--dry-run", *tiny)],
        "data-export": [("data", "export", "--out", "test.npy", *tiny)],
        "ablate": [
            ("ablate", "--plan", "base,tta", "--seeds", 2, "--workers", 1, *tiny),
            ("ablate", "--plan", "base,tta", "--seeds", 2, "--workers", 1, "--dry-run", *tiny),
            ("ablate", "--plan", "base,tta", "--seeds", "auto", "--max-seeds", 4, "--workers", 1, *tiny),
        ],
        "list-variants": [("list", "variants", "--json")],
        "list-components": [("list", "components", "--json")],
        "list-studies": [("list", "studies", "--json")],
        "list-reports": [("list", "reports", "--json")],
        "list-presets": [("list", "presets", "--json")],
        "list-settings": [("list", "settings", "--json")],
        "list-runs": [("list", "runs", "--json")],
        "show": [("show", run_id, "--json")],
        "compare": [("compare", store, store, "--json")],
        "judge": [("judge", "results.csv", "--reference", "a", "--metric", "ssim", "--metric", "psnr", "--json")],
        "score": [("score", "theirs.npy", *tiny)],
        "export": [("export", run_id, "--to", "safetensors", "--out", "n.safetensors", "--json")],
        "forecast": [("forecast", run_id, "--input", "test.npy", "--out", "f.npy", "--json")],
        "data-verify": [("data", "verify", "--json")],
        "doctor": [("doctor", "--json")],
        "study": [("study", "loss-weights", "--trials", 2, "--workers", 1, *tiny)],
        "bench": [("bench", "--rounds", 1, "--contenders", "fast,reference-float32", *tiny)],
        "bench-quality": [("bench", "--quality", "--seconds", 0.3, "--seeds", 1, *tiny)],
        "frame": [("frame", "--json")],
        "store-merge": [("store", "merge", tmp_path / "merged", store, "--json")],
        "store-export": [("store", "export", "--plan", "FIRST", "--out", "plan.zip", "--json")],
        "store-import": [("store", "import", "plan.zip", "--store", tmp_path / "other", "--json")],
        "store-pack": [("store", "pack", "--json")],
        "store-unpack": [("store", "unpack", "--json")],
        "reproduce": [("reproduce", "plan.zip", "--where", "seed=0 and variant=base", "--json")],
        "watch": [("watch", "--json")],
        "schema": [("schema", "--json")],
    }
    assert asked.keys() == BY_NAME.keys()
    for name, calls in asked.items():
        for words in calls:
            plans = sorted(path.stem for path in store.glob("plans/*.json"))
            answer = harness(*(plans[0] if word == "FIRST" else word for word in words))
            assert answer.out, f"{words}: {answer.err}"
            jsonschema.validate(answer.document, BY_NAME[name], jsonschema.Draft202012Validator)


def test_a_schema_refuses_another_commands_document() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"runs": []}, BY_NAME["run"])


def test_schema_prints_one_and_lists_all(harness: Command) -> None:
    assert harness("schema", "compare").document == BY_NAME["compare"]
    listed = harness("schema").out
    assert all(f"\n{one.name} " in f"\n{listed}" for one in SCHEMAS)
    answer = harness("schema", "comparee")
    assert answer.code == 2
    assert "did you mean 'compare'?" in answer.error


def test_the_published_files_are_those_of_the_program() -> None:
    published = Path(__file__).parents[2] / "docs" / "schemas"
    for name, schema in BY_NAME.items():
        assert json.loads((published / f"{name}.json").read_text()) == schema
