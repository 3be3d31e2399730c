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


def test_options_of_a_page_and_of_a_site_are_not_mixed(harness: Command, store: Path, tmp_path: Path) -> None:
    answer = harness("report", "--store", store, "--site", tmp_path / "site", "--out", tmp_path / "page")
    assert (answer.code, answer.error) == (2, "error: --site writes pages of its own; leave out --out and --pdf")
    assert not (tmp_path / "site").exists()


def test_a_report_is_not_written_where_a_link_leads_unless_it_is_named(
    harness: Command, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (store / "report").symlink_to(tmp_path / "elsewhere")
    answer = harness("report", "--store", store)
    assert (answer.code, "is a link, which may lead out of the store" in answer.error) == (2, True)
    assert not list((tmp_path / "elsewhere").iterdir())
