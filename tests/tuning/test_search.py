"""The engine of studies, with cells that take no training: what counts, what is kept, what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from study_cells import STUDY, AtOnce, Crash, Lab

from harness.errors import HarnessError, Interrupted, RequestError
from harness.experiment import Experiment
from harness.presets import preset
from harness.runs.request import read_config
from harness.store.store import Folder
from harness.study import Arm, Choice, Float, Int, Study
from harness.system.secrets import public_url, without_secrets
from harness.tuning import samplers as proposing
from harness.tuning.confirm import confirm, statistics
from harness.tuning.files import to_toml


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with closing(Lab(tmp_path / "store")) as made:
        yield made


def trials(record: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(trial["params"], trial["value"]) for trial in record["trials"] if trial["state"] == "COMPLETE"]


# --- what a study is ---


def test_the_arms_come_first_and_n_trials_are_n_trials(lab: Lab) -> None:
    search = lab.search(trials=6)
    search.run(AtOnce())
    record = search.record()
    assert [trial["arm"] for trial in record["trials"]] == ["low", "middle", None, None, None, None]
    assert record["counts"] == {"complete": 6, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert [(arm["name"], arm["value"], arm["reference"]) for arm in record["arms"]] == [
        ("low", pytest.approx(0.64), False),
        ("middle", pytest.approx(0.99), True),
    ]
    best = max(record["trials"], key=lambda trial: trial["value"])
    assert (record["best"]["number"], record["best"]["value"]) == (best["number"], best["value"])


def test_a_finished_study_is_not_run_again_and_a_larger_one_goes_on(lab: Lab) -> None:
    lab.search(trials=4).run(AtOnce())
    executor = AtOnce()
    lab.search(trials=4).run(executor)
    assert executor.tickets == 0
    lab.search(trials=7).run(executor)
    assert executor.tickets == 3
    assert lab.search(trials=7).record()["counts"]["complete"] == 7


def test_a_setting_that_is_in_the_store_is_not_trained_again(lab: Lab) -> None:
    study = dataclasses.replace(STUDY, space=lambda experiment, options: {"x": Choice((0.0, 0.5, 1.0))}, name="coarse")
    lab.search(study, trials=12).run(AtOnce())
    assert lab.trainings() == [1, 1, 1]


def test_workers_share_the_trials(lab: Lab) -> None:
    executor = AtOnce(slots=3)
    search = lab.search(trials=8)
    search.run(executor)
    assert executor.most == 3
    assert search.record()["counts"]["complete"] == 8


def test_the_search_finds_the_top_better_than_the_arms(lab: Lab) -> None:
    search = lab.search(trials=20, cells=lab.cells(value=lambda x, seed: 1 - (x - 0.83) ** 2))
    search.run(AtOnce())
    assert search.record()["best"]["params"]["x"] == pytest.approx(0.83, abs=0.06)


@pytest.mark.parametrize("sampler", ["gp", "random", "cmaes"])
def test_every_sampler_runs(lab: Lab, sampler: str) -> None:
    study = dataclasses.replace(
        STUDY,
        space=lambda experiment, options: {"x": Float(low=0.0, high=1.0), "y": Int(low=1, high=64, log=True)},
        arms=lambda experiment, options: (),
    )
    search = lab.search(study, trials=6, sampler=sampler)
    search.run(AtOnce())
    found = search.record()["trials"]
    assert len({trial["params"]["x"] for trial in found}) == 6
    assert all(isinstance(trial["params"]["y"], int) and 1 <= trial["params"]["y"] <= 64 for trial in found)


# --- going on after a crash ---


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_a_study_that_died_again_and_again_ends_as_one_that_did_not(lab: Lab, tmp_path: Path, sampler: str) -> None:
    space = {"x": Float(low=0.0, high=1.0)} | ({"y": Float(low=0.0, high=1.0)} if sampler == "cmaes" else {})
    arms = (Arm(name="low", params=dict.fromkeys(space, 0.0)),)
    study = dataclasses.replace(STUDY, space=lambda experiment, options: space, arms=lambda experiment, options: arms)
    with closing(Lab(tmp_path / "whole")) as other:
        whole = other.search(study, trials=9, sampler=sampler)
        whole.run(AtOnce())
    for _ in range(40):
        search = lab.search(study, trials=9, sampler=sampler)
        try:
            search.run(AtOnce(dies_after=1))
            break
        except Crash:
            continue
    else:
        pytest.fail("it never ended")
    assert trials(search.record()) == trials(whole.record())
    assert search.record()["counts"] == whole.record()["counts"]
    assert set(lab.trainings()) == {1}


def test_a_crash_in_the_middle_of_asking_loses_no_arm(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.tuning.search import Search

    def die(self: object, *args: object, **options: object) -> None:
        raise Crash

    search = lab.search(trials=4)
    monkeypatch.setattr(search.cells, "make", die)
    with pytest.raises(Crash):
        search.run(AtOnce())
    search = lab.search(trials=4)
    monkeypatch.setattr(Search, "_finish", die)
    with pytest.raises(Crash):
        search.run(AtOnce())
    monkeypatch.undo()
    search = lab.search(trials=4)
    search.run(AtOnce())
    record = search.record()
    assert sorted(trial["arm"] for trial in record["trials"] if trial["arm"]) == ["low", "middle"]
    assert record["counts"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}


def test_two_processes_share_a_study(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.tuning.leftovers.HEARTBEAT_SECONDS", 0.2)

    class Interleaved(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            if self.tickets == 2:
                self.tickets += 1
                other = lab.search(trials=5)
                with pytest.raises(Crash):  # it finds the first one's trial taken, and dies with one of its own
                    other.run(AtOnce(dies_after=1))
            return super().done(timeout)

    search = lab.search(trials=5)
    search.run(Interleaved())
    record = search.record()
    assert record["counts"] == {"complete": 5, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert sorted(trial["arm"] for trial in record["trials"] if trial["arm"]) == ["low", "middle"]


def test_told_to_stop_it_queues_what_was_under_way(lab: Lab) -> None:
    import os
    import signal

    class Told(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            if self.tickets == 3 and not self.stopped:
                os.kill(os.getpid(), signal.SIGTERM)
                return []
            return super().done(timeout)

    search = lab.search(trials=5)
    with pytest.raises(Interrupted, match=r"2 complete of 5 trials; run the same command again"):
        search.run(Told())
    record = search.record()
    assert record["counts"] == {"complete": 2, "pruned": 0, "failed": 0, "running": 0, "waiting": 1}
    waiting = record["trials"][-1]["params"]
    search = lab.search(trials=5)
    search.run(AtOnce())
    assert search.record()["trials"][2]["params"] == waiting
    assert search.record()["counts"]["complete"] == 5


def test_a_timeout_is_kept_and_said(lab: Lab) -> None:
    search = lab.search(trials=1000, timeout=1.0, cells=lab.cells(seconds=0.2))
    search.run(AtOnce())
    assert search.record()["counts"]["running"] == 0
    assert "the time is over" in lab.notes[-1]


@pytest.mark.parametrize("call", ["add_trial", "ask"])
def test_a_trial_whose_making_was_answered_by_nobody_is_made_again_and_counted_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    monkeypatch.setattr("harness.tuning.leftovers.HEARTBEAT_SECONDS", 0.0)
    search = lab.search(trials=5)
    make, calls = getattr(search.trials.study, call), itertools.count()

    def lost(*args: Any) -> Any:
        answer = make(*args)
        if next(calls) in (1, 3):
            raise StorageInternalError("gone") from sqlalchemy.exc.OperationalError("", {}, Exception("database is locked"))
        return answer

    monkeypatch.setattr(search.trials.study, call, lost)
    search.run(AtOnce())
    assert search.record()["counts"] == {"complete": 5, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert set(lab.trainings()) == {1}
    assert len(lab.trainings()) == 5


def test_a_crash_between_queueing_and_asking_leaves_a_whole_trial(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.tuning.trials import Trials

    with closing(Lab(tmp_path / "whole")) as other:
        whole = other.search(trials=5, study_name="one")
        whole.run(AtOnce())
    lab.search(trials=3, study_name="one").run(AtOnce())

    def die(*args: object) -> None:
        raise Crash

    with monkeypatch.context() as crashing:
        crashing.setattr(Trials, "ask", die)
        with pytest.raises(Crash):
            lab.search(trials=5, study_name="one").run(AtOnce())
    search = lab.search(trials=5, study_name="one")
    (waiting,) = [trial for trial in search.record()["trials"] if trial["state"] == "WAITING"]
    assert waiting["params"] == whole.record()["trials"][3]["params"]
    assert len(waiting["run_ids"]) == 1
    search.run(AtOnce())
    assert trials(search.record()) == trials(whole.record())


def test_a_trial_of_a_machine_that_died_before_its_first_heartbeat_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.tuning.leftovers.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("harness.tuning.search.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("harness.tuning.leftovers.GRACE_SECONDS", 1)
    url = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    with closing(Lab(tmp_path / "here", url)) as here, closing(Lab(tmp_path / "there", url)) as there:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("socket.gethostname", lambda: "elsewhere")
            with pytest.raises(Crash):
                there.search(trials=4).run(AtOnce(dies_after=3))
        search = here.search(trials=4)
        search.run(AtOnce())
        assert search.record()["counts"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}


# --- pruning ---


def test_a_hopeless_trial_is_pruned_and_counts_but_no_arm_is(lab: Lab) -> None:
    start = preset("tiny").replace({"training.steps": 40, "training.validate_every": 10}), {}

    class Slow(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            ready, self.tasks = self.tasks, {}
            if not hasattr(self, "seen"):
                self.seen: dict[int, int] = {}
            answers = []
            for ticket, task in ready.items():
                self.seen[ticket] = self.seen.get(ticket, 0) + 1
                if ticket not in self.stopped and self.seen[ticket] < 3:
                    self.tasks[ticket] = task
                else:
                    self.tasks |= {ticket: task}
                    answers += super().done(timeout)
            return answers

    cells = lab.cells(curve=lambda x: [0.1, x, x, x], value=lambda x, seed: x)
    search = lab.search(trials=12, cells=cells, start=start, sampler="random")
    monkey = pytest.MonkeyPatch()
    monkey.setattr("harness.tuning.search.WATCH_SECONDS", 0.001)
    search.run(Slow())
    monkey.undo()
    record = search.record()
    assert record["counts"]["pruned"] > 0
    assert record["counts"]["pruned"] + record["counts"]["complete"] == 12
    assert all(trial["state"] == "COMPLETE" for trial in record["trials"] if trial["arm"])
    finished = [trial["params"]["x"] for trial in record["trials"] if trial["state"] == "COMPLETE"]
    assert all(trial["params"]["x"] < max(finished) for trial in record["trials"] if trial["state"] == "PRUNED")


def test_seeds_are_averaged_and_a_surely_worse_setting_is_pruned_between_them(lab: Lab) -> None:
    search = lab.search(trials=6, seeds_per_trial=5, sampler="random")
    search.run(AtOnce())
    record = search.record()
    for trial in record["trials"]:
        assert len(trial["run_ids"]) == 5
        if trial["state"] == "COMPLETE":
            assert trial["value"] == pytest.approx(sum(trial["seed_values"]) / 5)
            assert len(trial["seed_values"]) == 5
        else:
            assert trial["value"] == pytest.approx(sum(trial["seed_values"]) / len(trial["seed_values"]))
    assert record["counts"]["pruned"] > 0
    assert all(trial["state"] == "COMPLETE" for trial in record["trials"] if trial["arm"])


def test_two_objectives_give_a_front(lab: Lab) -> None:
    search = lab.search(trials=10, objectives=("ssim", "seconds"), sampler="random")
    search.run(AtOnce())
    record = search.record()
    values = {trial["number"]: trial["values"] for trial in record["trials"]}
    for number, (ssim, seconds) in values.items():
        beaten = any(a >= ssim and b <= seconds and [a, b] != [ssim, seconds] for a, b in values.values())
        assert (number in record["front"]) is not beaten
    assert record["best"]["number"] in record["front"]
    assert record["directions"] == ["maximize", "minimize"]


# --- what goes wrong ---


def test_a_study_that_always_fails_stops_and_says_why(lab: Lab) -> None:
    search = lab.search(trials=50, cells=lab.cells(error=lambda x: "training diverged"), max_failures=4)
    with pytest.raises(HarnessError, match=r"4 trials in a row failed, the last one because: training diverged"):
        search.run(AtOnce())
    assert search.record()["counts"]["failed"] == 4
    assert {trial["error"] for trial in search.record()["trials"]} == {"training diverged", None} - {None}


def test_an_arm_that_failed_gets_another_chance(lab: Lab) -> None:
    with pytest.raises(HarnessError):
        lab.search(trials=4, cells=lab.cells(error=lambda x: "no memory"), max_failures=2).run(AtOnce())
    search = lab.search(trials=4)
    search.run(AtOnce())
    assert [arm["state"] for arm in search.record()["arms"]] == ["COMPLETE", "COMPLETE"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_an_objective_that_is_no_finite_number_fails_the_trial_alone(lab: Lab, value: float | None) -> None:
    cells = lab.cells(value=lambda x, seed: value if x == 0.0 else x)
    search = lab.search(trials=3, cells=cells)
    search.run(AtOnce())
    record = search.record()
    assert record["counts"]["complete"] == 3
    assert record["trials"][0]["state"] == "FAIL"
    assert "gave no finite number" in record["trials"][0]["error"]
    json.dumps(record, allow_nan=False)


def test_a_study_that_raises_is_named_and_nothing_is_lost(lab: Lab) -> None:
    calls = itertools.count()

    def moody(params: Any, experiment: Experiment) -> dict[str, object]:
        if params["x"] not in (0.0, 0.5) and next(calls) < 3:
            raise ZeroDivisionError("third party's fault")
        return {"stub.x": params["x"]}

    study = dataclasses.replace(STUDY, to_settings=moody)
    search = lab.search(study, trials=5, max_failures=2)
    with pytest.raises(
        HarnessError, match=r"study 'stub' raised in its to_settings: ZeroDivisionError: third party's fault"
    ):
        search.run(AtOnce())
    assert search.record()["counts"]["complete"] == 2
    search = lab.search(study, trials=5)
    search.run(AtOnce())
    assert search.record()["counts"]["complete"] == 5

    def broken(experiment: Experiment, options: object) -> Any:
        raise KeyError("gone")

    with pytest.raises(HarnessError, match="study 'stub' raised in its space: KeyError: 'gone'"):
        lab.search(dataclasses.replace(STUDY, space=broken))


def test_another_search_space_or_experiment_under_one_name_is_refused(lab: Lab) -> None:
    lab.search(trials=2, study_name="mine").run(AtOnce())
    wider = dataclasses.replace(STUDY, space=lambda experiment, options: {"x": Float(low=0.0, high=2.0)})
    with pytest.raises(RequestError, match=r"exists with another search space \(x: .*'high': 1.0.*'high': 2.0"):
        lab.search(wider, study_name="mine")
    other = preset("tiny").replace({"training.steps": 7}), {"train": "t", "evaluation": "e"}
    with pytest.raises(RequestError, match="exists with another experiment"):
        lab.search(study_name="mine", start=other)
    assert lab.search(start=other).id != lab.search().id
    assert lab.search(study_name="mine", trials=2).record()["counts"]["complete"] == 2


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"trials": 0}, "--trials 0; at least 1"),
        ({"seeds_per_trial": 0}, "--seeds-per-trial"),
        ({"timeout": 0.0}, "--timeout 0"),
        ({"timeout": float("nan")}, "--timeout nan"),
        ({"sampler": "tpo"}, "unknown sampler 'tpo'; did you mean 'tpe'"),
        ({"pruner": "medium"}, "unknown pruner 'medium'; did you mean 'median'"),
        ({"objectives": ("seconds",)}, "give ssim, or ssim,seconds"),
        ({"objectives": ("sim",)}, "unknown objective 'sim'; did you mean 'ssim'"),
        ({"sampler": "cmaes"}, "at least two numeric parameters; this study has 1"),
        ({"study_options": frozenset({"l2"})}, "has no option 'l2'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(lab: Lab, plan: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        lab.search(**plan)


def test_an_arm_outside_its_space_is_refused(lab: Lab) -> None:
    study = dataclasses.replace(STUDY, arms=lambda experiment, options: (Arm(name="far", params={"x": 2.0}),))
    with pytest.raises(RequestError, match=r"arm 'far' has x = 2\.0"):
        lab.search(study)


@pytest.mark.parametrize(
    "wrong", [{"low": 1.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True}, {"low": 0.0, "high": float("inf")}]
)
def test_a_range_that_cannot_be_searched_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Float(**wrong)
    with pytest.raises(RequestError):
        Study(name="Wrong Name", summary="", owns=(), space=STUDY.space, to_settings=STUDY.to_settings)


def test_the_studies_store_record_is_whole_and_says_what_it_was(lab: Lab) -> None:
    search = lab.search(trials=3, words=("harness", "study", "stub"))
    search.run(AtOnce())
    saved = search.save()
    record = Folder(lab.root / "studies").read(f"{search.id}.json")
    assert record == saved
    assert record["command"] == "harness study stub"
    assert record["space"] == {"x": {"kind": "float", "low": 0.0, "high": 1.0, "log": False}}


# --- confirming ---


def test_confirming_compares_on_seeds_that_the_search_did_not_use(lab: Lab) -> None:
    search = lab.search(trials=12, cells=lab.cells(value=lambda x, seed: 1 - (x - 0.9) ** 2 + 0.001 * (seed % 3) * x))
    search.run(AtOnce())
    search.written.confirmed = confirm(search, 4, AtOnce(slots=2), statistics())
    found = search.record()["confirm"]
    assert found["seeds"] == [1, 2, 3, 4]
    assert found["reference"] == "middle"
    assert [row["name"] for row in found["rows"]] == ["chosen", "low", "middle"]
    best = search.record()["best"]
    assert [(row["params"], row["settings"]) for row in found["rows"]] == [
        (best["params"], best["settings"]),
        ({"x": 0.0}, {"stub.x": 0.0}),
        ({"x": 0.5}, {"stub.x": 0.5}),
    ]
    assert {one["name"] for one in found["comparisons"]} == {"chosen", "low"}
    assert found["verdict"].endswith("helps")
    json.dumps(found, allow_nan=False)


# --- what it costs ---


def test_a_trial_takes_few_statements_however_many_there_were(lab: Lab) -> None:
    from sqlalchemy import event

    def statements(wanted: int) -> int:
        search, seen = lab.search(trials=wanted, study_name="many"), []
        assert search.storage.rdb is not None
        event.listen(search.storage.rdb.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
        search.run(AtOnce())
        return len(seen)

    statements(10)
    first, second = statements(30), statements(50)
    assert first / 20 < 52
    assert abs(second - first) < 20  # the later twenty cost what the earlier twenty did


# --- samplers, pruners, files, secrets ---


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "median"), ("tpe", "hyperband"), ("cmaes", "none")])
def test_what_is_thought_out_in_memory_is_what_the_storage_would_have_answered(sampler: str, pruner: str) -> None:
    import optuna

    space = proposing.distributions({"x": Float(low=0.0, high=1.0), "y": Float(low=1e-3, high=1.0, log=True)})
    study = optuna.create_study(direction="maximize", study_name="a", pruner=make_pruner(pruner, 9, 1, ("ssim",)))
    for number in range(9):
        study.sampler = proposing.make_sampler(sampler, "a study", number)
        again = proposing.make_sampler(sampler, "a study", number)
        params = proposing.propose(again, study, space, study.get_trials(deepcopy=False))
        trial = study.ask(space)
        assert dict(trial.params) == params
        if number != 7:  # one stays under way
            study.tell(trial, 1 - (params["x"] - 0.3) ** 2)


def test_what_a_sampler_proposes_depends_on_the_trials_alone() -> None:
    import optuna

    def propose(before: int) -> float:
        study = optuna.create_study(sampler=proposing.make_sampler("tpe", "a study", before))
        return float(study.ask().suggest_float("x", 0, 1))

    assert propose(3) == propose(3) != propose(4)


def test_toml_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    settings = {
        "loss.mse": 1e-05,
        "training.batch_size": 8,
        "data.frames": 'a "quoted"\n\\path\x7f é',
        "architecture.widths": [1, 2],
        "loss.l1": 1e22,
    }
    path = tmp_path / "best.toml"
    path.write_text(to_toml(settings, ["a comment\nmse = 3"]), "utf-8")
    assert read_config(path) == settings
    for bad in (float("nan"), None, {}):
        with pytest.raises(HarnessError):
            to_toml({"loss.mse": bad})
    with pytest.raises(HarnessError):
        to_toml({"loss.mse]\nx": 1})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:s3cr3t@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:a@b:c/d?e@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:s3cr3t@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@host/db?password=s3cr3t&sslmode=require", "postgresql://me@host/db?password=***&sslmode=require"),
        ("postgres//me:s3cr3t@host/db", "***"),
        ("me:s3cr3t@host", "me:***@host"),
        ("sqlite:////tmp/x.sqlite3", "sqlite:////tmp/x.sqlite3"),
        ("journal:x.log", "journal:x.log"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert public_url(url) == shown or (shown == "***" and "s3cr3t" not in public_url(url))
    told = without_secrets(f"could not connect to {url}: s3cr3t is wrong", url)
    assert shown in told or shown == "***"
    assert "s3cr3t" not in told or "s3cr3t" not in url
