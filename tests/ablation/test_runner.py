"""Running a plan: what is finished is skipped, what fails is recorded, and nothing takes the plan down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from plan_cells import Trusting

from harness.ablation.plan import Ablation
from harness.ablation.record import Row
from harness.ablation.runner import Runner
from harness.errors import RequestError
from harness.executors.protocol import Task
from harness.options import RunOptions
from harness.runs.job import Done, Job
from harness.runs.request import Request
from harness.store import Folder, Store

QUICK = {"training.steps": "2", "training.validate_every": "2", "data.test_sequences": "2", "data.validation_sequences": "2"}


def ablation(**changes: Any) -> Ablation:
    given: dict[str, Any] = {
        "plan": "base,attention,tta",
        "variants": (),
        "seeds": (0, 1),
        "request": Request(preset="tiny", settings=QUICK),
    }
    return Ablation(**(given | changes))


class Here:
    """An executor in this process: answers at once, by `answer` where one is given, else by running the cell."""

    def __init__(self, slots: int, answer: Callable[[Job], Done | None] = lambda job: None) -> None:
        self.slots, self.answer = slots, answer
        self.jobs: list[Job] = []
        self.waiting: dict[int, Job] = {}

    def submit(self, task: Task) -> int:
        assert isinstance(task, Job)
        assert len(self.waiting) < self.slots
        self.jobs.append(task)
        self.waiting[len(self.jobs)] = task
        return len(self.jobs)

    def stop(self, ticket: int) -> None:
        self.waiting[ticket] = Job(**(vars(self.waiting[ticket]) | {"variant": "stopped"}))

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        ticket = next(iter(self.waiting))
        job = self.waiting.pop(ticket)
        if job.variant == "stopped":
            return [(ticket, Done("", error="stopped", stopped=True))]
        return [(ticket, self.answer(job) or job.run())]

    def close(self) -> None:
        assert not self.waiting


def run(
    plan: Ablation, root: Path, answer: Callable[[Job], Done | None] = lambda job: None, runner: type[Runner] = Runner
) -> tuple[list[Row], Here]:
    executor = Here(plan.workers, answer)
    return runner(plan, Store(root), lambda text: None, lambda slots: executor).run(), executor


def plan_records(root: Path) -> list[dict[str, Any]]:
    return [Folder(root / "plans").read(path.name) for path in sorted((root / "plans").glob("*.json"))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a small plan run to its end."""
    root = tmp_path_factory.mktemp("plan")
    rows, _ = run(ablation(), root)
    assert [row.status for row in rows] == ["finished"] * 6
    return root


def test_a_finished_plan_is_answered_from_the_store(finished: Path) -> None:
    rows, executor = run(ablation(), finished)
    assert executor.jobs == []
    assert all(row.cached for row in rows)


def test_what_is_called_finished_is_in_the_store(finished: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(finished, tmp_path / "store"))
    recorded = {cell["run_id"]: cell["status"] for cell in plan_records(root)[0]["cells"]}
    assert set(recorded.values()) == {"finished"}
    for run_id in recorded:
        assert Store(root).find(run_id).read("result.json")["status"] == "finished"
    lost = next(iter(recorded))
    (root / "runs" / lost / "result.json").unlink()
    rows, executor = run(ablation(), root)
    assert len(executor.jobs) == 1, "what the store lacks is not finished, whatever the plan's record says"
    assert all(row.status == "finished" for row in rows)
    assert Store(root).find(lost).read("result.json")["status"] == "finished"


def test_a_result_that_is_deleted_while_the_plan_runs_is_not_called_finished(finished: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(finished, tmp_path / "store"))

    def deletes(job: Job) -> Done | None:
        shutil.rmtree(root / "runs", ignore_errors=True)
        return None

    rows, _ = run(ablation(plan="base,attention,residual", seeds=(0,)), root, deletes)
    assert {row.planned.label: row.status for row in rows} == {
        "base": "failed",
        "attention": "failed",
        "residual": "finished",
    }
    assert "no longer in the store" in str(rows[0].error)
    again, executor = run(ablation(plan="base,attention,residual", seeds=(0,)), root)
    assert [row.status for row in again] == ["finished"] * 3
    assert len(executor.jobs) == 2


def test_a_larger_plan_runs_only_what_is_missing(finished: Path) -> None:
    rows, executor = run(ablation(plan="base,attention,tta,residual", seeds=(0,)), finished)
    assert [job.variant for job in executor.jobs] == ["residual"]
    assert all(row.status == "finished" for row in rows)


def test_test_time_augmentation_trains_nothing_of_its_own(finished: Path) -> None:
    rows = Runner(ablation(), Store(finished), lambda text: None).prepare()
    keys = {row.planned.variant: row.cell.training_key for row in rows if row.cell and row.planned.seed == 0}
    assert keys["tta"] == keys["base"] != keys["attention"]


def test_the_record_of_a_plan_names_every_cell_and_its_run(finished: Path) -> None:
    record = next(record for record in plan_records(finished) if record["plan"] == "base,attention,tta")
    assert [(cell["label"], cell["seed"]) for cell in record["cells"]] == [
        (label, seed) for seed in (0, 1) for label in ("base", "attention", "tta")
    ]
    for cell in record["cells"]:
        assert cell["status"] == "finished"
        assert (finished / "runs" / cell["run_id"] / "result.json").exists()


def test_variants_of_one_seed_share_data_and_the_weights_that_they_have_in_common(finished: Path) -> None:
    import torch

    from harness.component import Shape
    from harness.data.source import open_source
    from harness.model.build import build_model
    from harness.variant import Variants

    request, variants = ablation().request, Variants()
    base, attention = (request.experiment(variants, name, 1) for name in ("base", "attention"))
    batches = [open_source(e.data).train_batch(e.training.seed, 0, 2, 3, "cpu") for e in (base, attention)]
    assert torch.equal(*batches)
    plain, other = (
        build_model(e.architecture, Shape(1, 16, 16, 3, 3), e.training.seed).state_dict() for e in (base, attention)
    )
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_a_cell_that_fails_is_tried_again_recorded_and_stops_nothing_else(tmp_path: Path) -> None:
    def fails(job: Job) -> Done | None:
        return Done("", error="it broke") if job.variant == "attention" and job.seed == 0 else Done("x")

    rows, _ = run(ablation(retries=2), tmp_path, fails, Trusting)
    failed = [row for row in rows if row.status == "failed"]
    assert [(row.planned.variant, row.planned.seed, row.attempts, row.error) for row in failed] == [
        ("attention", 0, 3, "it broke")
    ]
    assert sum(row.status == "finished" for row in rows) == 5
    assert failed[0].cell is not None
    record = Store(tmp_path).run(failed[0].cell).read("failure.json")
    assert Store(tmp_path).record_of(Store(tmp_path).run(failed[0].cell))["run_id"] == failed[0].cell.run_id
    assert (record["error"], record["attempts"]) == ("it broke", 3)
    assert [cell["status"] for cell in plan_records(tmp_path)[0]["cells"]].count("failed") == 1


def test_a_failed_cell_is_run_again_by_the_same_command(tmp_path: Path) -> None:
    run(ablation(retries=0), tmp_path, lambda job: Done("", error="it broke"))
    rows, _ = run(ablation(retries=0), tmp_path, lambda job: Done("x"), Trusting)
    assert all(row.status == "finished" for row in rows)


def test_how_often_states_are_saved_and_with_how_many_threads_is_every_cells(tmp_path: Path) -> None:
    _, executor = run(ablation(options=RunOptions(save_every=300.0), threads=3), tmp_path, lambda job: Done("x"))
    assert {(job.options.save_every, job.threads) for job in executor.jobs} == {(300.0, 3)}


def test_two_cells_that_share_a_training_never_run_at_once(tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []

    def watch(job: Job) -> Done:
        seen.append((job.variant, *(other.variant for other in executor.waiting.values() if other.seed == job.seed)))
        return Done("x")

    plan = ablation(workers=3)
    executor = Here(3, watch)
    Runner(plan, Store(tmp_path), lambda text: None, lambda slots: executor).run()
    assert seen
    assert not any({"base", "tta"} <= set(together) for together in seen)


def test_equal_operations_give_a_dearer_variant_fewer_steps_and_a_cheaper_one_more(tmp_path: Path) -> None:
    request = Request(preset="tiny", settings={"training.steps": "100"})
    plan = ablation(plan="base,attention,curriculum,tta", match="flops", request=request, seeds=(0,))
    rows = Runner(plan, Store(tmp_path), lambda text: None).prepare()
    steps = {row.planned.variant: row.cell.experiment.training.steps for row in rows if row.cell}
    assert steps["attention"] < steps["base"] == 100 < steps["curriculum"]  # type: ignore[operator]
    assert steps["tta"] == 100

    from harness.data.source import open_source
    from harness.evaluation.cost import training_flops

    for row in rows:
        assert row.cell is not None
        source = open_source(row.cell.experiment.data)
        flops = training_flops(row.cell.experiment, source.shape)
        base = training_flops(rows[0].cell.experiment, source.shape)  # type: ignore[union-attr]
        assert flops == pytest.approx(base, rel=0.02)


def test_equal_seconds_wait_for_base_and_then_take_its_time(tmp_path: Path) -> None:
    plan = ablation(plan="base,attention", match="seconds", seeds=(0,))
    runner = Runner(plan, Store(tmp_path), lambda text: None)
    assert [row.cell is None for row in runner.prepare()] == [False, True]
    rows, executor = run(plan, tmp_path)
    assert [job.variant for job in executor.jobs] == ["base", "attention"]
    assert rows[1].cell is not None
    summary = Store(tmp_path).training(rows[0].cell).read("training.json")  # type: ignore[arg-type]
    budget = rows[1].cell.experiment.training
    assert budget.steps is None
    assert budget.seconds == pytest.approx(summary["seconds"] + summary["warm_up_seconds"], abs=0.001)


def test_equal_seconds_without_a_base_say_why_cells_are_missing(tmp_path: Path) -> None:
    plan = ablation(plan="base,attention", match="seconds", seeds=(0,), retries=0)
    rows, _ = run(plan, tmp_path, lambda job: Done("", error="it broke"))
    assert [row.status for row in rows] == ["failed", "failed"]
    assert "base of this seed" in str(rows[1].error)


def test_when_the_time_is_up_cells_are_stopped_and_the_rest_waits(tmp_path: Path) -> None:
    def slow(job: Job) -> Done:
        time.sleep(0.05)
        return Done("x")

    rows, executor = run(ablation(max_hours=0.12 / 3600), tmp_path, slow, Trusting)
    statuses = [row.status for row in rows]
    assert statuses[0] == "finished"
    assert "stopped" in statuses
    assert len(executor.jobs) < 6


def test_conflicts_and_unknown_names_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for plan in ("base,nonsense", "attention,atention"):
        with pytest.raises(RequestError, match="unknown variant"):
            Runner(ablation(plan=plan), Store(tmp_path), lambda text: None)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change", [{"match": "dollars"}, {"workers": -1}, {"threads": -1}, {"retries": -1}, {"max_hours": 0.0}]
)
def test_options_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        ablation(**change)


def test_the_exit_code_says_that_cells_are_missing(
    tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "run", lambda self: self.prepare())
    answer = harness("ablate", "--preset", "tiny", "--plan", "base", "--seeds", 2, "--store", tmp_path)
    assert answer.code == 1
    assert "2 of 2 cells are missing" in answer.error


COMMAND = [
    sys.executable,
    "-c",
    "from harness.cli.app import main; main()",
    "ablate",
    "--preset",
    "tiny",
    "--json",
    "--retries",
    "0",
]
LONG = ["--plan", "base,residual", "--seeds", "2", "--set", "training.steps=60", "--set", "training.validate_every=30"]


def ablate(root: Path, *words: str, kill_when: Callable[[], bool] | None = None, by: int = signal.SIGKILL) -> Any:
    """Runs the command; when `kill_when` says so, kills the parent alone, as a scheduler or an out-of-memory killer would."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, *words, "--store", str(root)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    while kill_when is not None and process.poll() is None:
        if kill_when():
            process.send_signal(by)
            break
        time.sleep(0.02)
    out, _ = process.communicate(timeout=120)
    return (process.returncode, json.loads(out)) if process.returncode == 0 else (process.returncode, None)


def metrics(root: Path) -> dict[str, Any]:
    found = {}
    for path in sorted((root / "runs").iterdir()):
        result = Folder(path).read("result.json")
        found[path.name] = (result["metrics"], result["training"]["checkpoint_sha256"])
    return found


@pytest.mark.slow
def test_a_plan_killed_goes_on_with_the_same_command_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    code, _ = ablate(killed, *LONG, kill_when=lambda: any(killed.glob("trainings/*/last.safetensors")))
    assert code == -signal.SIGKILL
    trained = {path.parent.name: path.stat().st_mtime_ns for path in killed.glob("trainings/*/training.json")}
    code, document = ablate(killed, *LONG)
    assert code == 0
    assert [cell["status"] for cell in document["cells"]] == ["finished"] * 4
    for key, written in trained.items():  # what was finished before was not trained again
        assert (killed / "trainings" / key / "training.json").stat().st_mtime_ns == written
    assert ablate(undisturbed, *LONG)[0] == 0
    assert metrics(killed) == metrics(undisturbed)


CRASHING = '''
import os, signal
from dataclasses import dataclass
from typing import ClassVar
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True)
class Crash(Component):
    """Kills its own process, as the kernel does when memory runs out."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "crash"

    def horizon(self, progress, full):
        if progress > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return full

CRASH = Variant(name="crash", summary="dies", source="this test", changes={"training.curriculum": Crash()})
'''


@pytest.mark.slow
def test_a_child_that_is_killed_fails_its_cell_and_not_the_plan(tmp_path: Path) -> None:
    plugin = tmp_path / "crash.py"
    plugin.write_text(CRASHING)
    plan = ablation(plan="base,crash,residual", seeds=(0,), plugins=(plugin,), retries=0)
    rows = Runner(plan, Store(tmp_path / "store"), lambda text: None).run()
    assert [(row.planned.variant, row.status) for row in rows] == [
        ("base", "finished"),
        ("crash", "failed"),
        ("residual", "finished"),
    ]
    assert "SIGKILL" in str(rows[1].error)


@pytest.mark.slow
def test_a_plan_told_to_stop_saves_the_cell_under_way(tmp_path: Path) -> None:
    words = ["--plan", "base", "--seeds", "1", "--set", "training.steps=100000", "--set", "training.validate_every=50000"]
    code, _ = ablate(tmp_path, *words, kill_when=lambda: any(tmp_path.glob("trainings/*/metrics.jsonl")), by=signal.SIGTERM)
    assert code == 143
    assert list(tmp_path.glob("trainings/*/last.safetensors"))


def test_equal_parameters_refuses_arms_of_other_sizes_by_name(tmp_path: Path) -> None:
    notes: list[str] = []
    plan = ablation(plan="networks", variants=("convgru", "tau", "curriculum"), match="parameters")
    runner = Runner(plan, Store(tmp_path), notes.append)
    assert notes == ["left out: curriculum: does not replace the network or its cell"]
    with pytest.raises(
        RequestError, match=r"--equal parameters: convgru has 5,984 \(-23%\); base has 7,728, and at most 10%"
    ):
        runner.prepare()


def test_equal_parameters_gives_equal_steps_to_arms_of_about_the_same_size(tmp_path: Path) -> None:
    runner = Runner(ablation(plan="base,curriculum", match="parameters"), Store(tmp_path), lambda text: None)
    assert {row.cell.experiment.training.steps for row in runner.prepare() if row.cell} == {2}


def test_a_plans_record_says_what_it_left_out(tmp_path: Path) -> None:
    plan = ablation(plan="add-one", variants=("attention", "attention(heads=1)"), seeds=(0,))
    run(plan, tmp_path, lambda job: Done("x", error=None))
    (record,) = plan_records(tmp_path)
    assert list(record["left_out"]) == ["attention+attention(heads=1)"]
    assert record["variants"] == ["attention", "attention(heads=1)"]
