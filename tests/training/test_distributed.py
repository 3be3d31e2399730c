"""Several processes that train one cell: what torchrun starts must be one process's training, with one writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.errors import RequestError
from harness.training.distributed import SINGLE_PROCESS, Distributed, from_environment, local_device

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "harness")
ONE = (sys.executable, "-m", "harness")


def start(program: tuple[str, ...], store: Path, *words: str) -> subprocess.Popen[str]:
    # torchrun's own log handler warns at its end on some versions; what is under test is the harness below it.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*program, "run", "--preset", "tiny", "--store", str(store), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run(program: tuple[str, ...], store: Path, *words: str) -> tuple[int, str, str]:
    process = start(program, store, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def state(store: Path) -> dict[str, Tensor]:
    (path,) = store.glob("trainings/*/last.safetensors")
    return load_file(path)


def files(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def test_two_processes_have_the_gradients_of_one_on_the_whole_batch(tmp_path: Path) -> None:
    # One step and no clipping: the optimiser's first moment is then a multiple of the gradient. Five sequences do not halve.
    words = ("--set", "training.steps=1", "--set", "training.clip_norm=0", "--set", "training.batch_size=5")
    words += ("--variant", "residual+attention")
    assert run(ONE, tmp_path / "one", *words)[0] == 0
    code, out, err = run(TORCHRUN, tmp_path / "two", *words)
    assert code == 0, err
    assert out.count("(finished)") == 1  # rank 0 alone speaks
    alone, together = state(tmp_path / "one"), state(tmp_path / "two")
    assert alone.keys() == together.keys()
    moments = [name for name in alone if name.startswith("optimizer.exp_avg.")]
    assert len(moments) > 20
    for name in moments:
        largest = alone[name].abs().max().item()
        assert largest > 0 or "attention" in name or "bottleneck" in name  # a gate at zero stops some gradients at first
        torch.testing.assert_close(together[name], alone[name], rtol=1e-4, atol=1e-5 * max(largest, 1e-6))
    assert files(tmp_path / "two") == files(tmp_path / "one")
    again = run(TORCHRUN, tmp_path / "two", *words)
    assert again[0] == 0
    assert "(from the store)" in again[1]


def test_processes_that_are_told_to_stop_save_and_one_alone_goes_on(tmp_path: Path) -> None:
    words = ("--set", "training.steps=500", "--set", "training.validate_every=25")
    process = start(TORCHRUN, tmp_path, *words)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("trainings/*/last.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert "the state is saved" in err
    assert not list(tmp_path.glob("trainings/*/training.json"))
    code, _, err = run(ONE, tmp_path, *words)
    assert code == 0, err
    assert "resuming the training" in err


@pytest.mark.parametrize(("batch", "count"), [(8, 1), (8, 2), (5, 2), (7, 3), (3, 3)])
def test_shares_cover_the_batch_once_and_evenly(batch: int, count: int) -> None:
    taken = [list(range(batch))[Distributed(rank, count).shard(batch)] for rank in range(count)]
    assert [place for part in taken for place in part] == list(range(batch))
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def test_more_processes_than_sequences_are_refused() -> None:
    with pytest.raises(RequestError, match=r"training\.batch_size is 4, but 8 processes"):
        Distributed(0, 8).shard(4)


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with from_environment("cpu") as distributed:
        assert distributed is SINGLE_PROCESS
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(RequestError, match="WORLD_SIZE=many"), from_environment("cpu"):
        pass


LEAVING = """
import os, sys
from harness.training.distributed import from_environment

def threads_of_gloo():
    return sum("gloo" in open(f"/proc/self/task/{one}/comm").read() for one in os.listdir("/proc/self/task"))

with from_environment("cpu"):
    import torch
    torch.optim.AdamW(torch.nn.Linear(1, 1).parameters())
    during = threads_of_gloo()
sys.stdout.write(f"[{during > 0} {threads_of_gloo()}]")
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux lists them")
def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    # One that drops a tensor while the interpreter ends would abort the process.
    (tmp_path / "leaving.py").write_text(LEAVING)
    command = [*TORCHRUN[:-2], str(tmp_path / "leaving.py")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.count("[True 0]") == 2, answer.stdout + answer.stderr


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.training.distributed.cuda_visible", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [local_device(asked) for asked in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda:3", "cuda:3", "cuda:1", "cpu"]
    monkeypatch.setattr("harness.training.distributed.cuda_visible", lambda: False)
    assert local_device("auto") == "auto"
