"""The record of a study."""

from __future__ import annotations

from study_cells import AtOnce, Lab

from harness.store import Folder


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


def test_the_studies_store_record_is_whole_and_says_what_it_was(lab: Lab) -> None:
    search = lab.search(trials=3, words=("harness", "study", "stub"))
    search.run(AtOnce())
    saved = search.save()
    record = Folder(lab.root / "studies").read(f"{search.id}.json")
    assert record == saved
    assert record["command"] == "harness study stub"
    assert record["space"] == {"x": {"kind": "float", "low": 0.0, "high": 1.0, "log": False}}
