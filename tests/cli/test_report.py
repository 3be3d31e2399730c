"""`harness report`: its page, its words, and options that do not fit together."""

from pathlib import Path

from commands import Command

from harness.store import Store


def test_a_report_prints_its_page_and_the_verdicts(harness: Command, store: Path) -> None:
    answer = harness("report", "--store", store)
    page, *lines = answer.out.splitlines()
    assert Path(page).is_file()
    (found,) = (run for run in Store(store).runs() if run.read("result.json")["variant"] == "base")
    rows = {line.split()[0]: line for line in lines if line}
    assert f"{found.read('result.json')['metrics']['ssim']:.4f}" in rows["base"]
    assert "4.00x inference" in rows["tta"]
