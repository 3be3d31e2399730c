"""The confirmation of a study's best setting."""

from __future__ import annotations

import json

from study_cells import AtOnce, Lab

from harness.tuning.confirm import confirm, statistics


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
    assert found["verdict"].endswith("helps by more than 0.005")
    json.dumps(found, allow_nan=False)
