"""What a device reaches: the fastest repetition counts, by the clock that other programs disturb least."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from harness.bench import peak

CPU = torch.device("cpu")


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_one_thread_on_the_cpu_is_timed_by_the_processor_and_all_else_by_the_wall(threads: None) -> None:
    torch.set_num_threads(1)
    assert peak.clock_of(CPU) == "processor"
    assert peak.clock_of(torch.device("cuda")) == "wall"
    torch.set_num_threads(2)
    assert peak.clock_of(CPU) == "wall"


class Machine:
    """A clock that calls move on: the first call takes ten times as long, every third one twice, the others `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.now, self.calls, self.seconds = 0.0, 0, seconds

    def call(self) -> None:
        self.calls += 1
        self.now += self.seconds * (10 if self.calls == 1 else 1)

    def busy(self) -> None:
        self.call()
        self.now += self.seconds if self.calls > 40 and self.calls % 100 < 50 else 0.0


@pytest.mark.parametrize("seconds", [1e-4, 0.004, 0.5])
def test_a_call_takes_what_its_fastest_repetition_took(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(seconds)
    monkeypatch.setattr(peak, "CLOCKS", dict.fromkeys(("wall", "processor"), lambda: machine.now))
    assert peak._fastest(machine.busy, CPU, 2.0) == pytest.approx(seconds, rel=0.01 if seconds > 1e-3 else 1.0)
    assert machine.now >= 2.0
    machine = Machine(seconds)
    peak._fastest(machine.call, CPU, 0.0)
    assert machine.calls >= 3 + 3, "two to warm up, one to see how long it takes, and at least three that count"


def test_a_peak_is_that_of_the_fastest_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {"slow": 4.0, "fast": 0.5}
    monkeypatch.setattr(
        peak,
        "_kernels",
        lambda device, precision: [(name, 8.0, lambda name=name: name) for name in speeds],  # type: ignore[misc]  # the default binds the loop's value
    )
    monkeypatch.setattr(
        peak, "_fastest", lambda call, device, seconds: speeds.get(call(), 2.0) if call.__defaults__ else 2.0
    )
    found = peak.measure_peaks(CPU, ["float32"])
    assert found["kernels"] == {"float32": {"slow": 2.0, "fast": 16.0}}
    assert found["flops_per_second"] == {"float32": 16.0}
    assert found["bytes_per_second"] == 2 * 2**28 / 2.0, "a copy reads and writes every byte"
