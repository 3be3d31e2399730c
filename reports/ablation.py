"""The report `ablation`: rebuilds tables, plots, pictures and the page from a store's records. It trains nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import __version__
from harness.ablation.plan import REFERENCE
from harness.errors import HarnessError, RequestError
from harness.evaluation.conventions import METRICS
from harness.report import Report
from harness.store import Store
from harness.system import files
from harness.variant import Variants
from reports import analysis, records, studies, tables
from reports.analysis import MATCHES, Analysis, Group, Method, shorten
from reports.compare import compare
from reports.page import Figure, Page, Section, Table
from reports.records import DATA_FILE, KIND, Records, Trouble
from reports.statistics import MARGIN, METHOD, MINIMUM_SEEDS, promise

MOST_TABLES = 12
"""Groups of other settings that get tables of their own; further ones are rows of one table."""
MOST_SENTENCES = 10
MOST_LISTED = 20
LONGEST_COMMAND = 2000
TITLE = "Ablation report"


def build(store: Store, variants: Variants, out: Path, *, margin: float = MARGIN) -> list[Path]:
    """Writes the report into the folder `out` and returns the paths of its files.

    Args:
        store: where the records are; only read.
        variants: the installed variants, for what their sources claim and how to cite them.
        out: the folder; made if it is missing.
        margin: the smallest difference of interest, in SSIM: verdicts of 'no difference' mean within this.

    Raises:
        RequestError: the store has no finished run, the margin is not positive, or `out` is a file.
        HarnessError: `out` cannot be written.
    """
    from reports.render import write

    if not (math.isfinite(margin) and margin > 0):
        raise RequestError(f"the margin must be a positive difference in SSIM, such as {MARGIN:g}; given: {margin}")
    if out.exists() and not out.is_dir():
        raise RequestError(f"cannot write the report to {out}: it is a file; remove it or choose another folder (--out)")
    _refuse_foreign(out / DATA_FILE)
    found = records.read_store(store)
    searched = () if found.runs else tuple(studies.sections(store))
    if not found.runs and not searched:
        raise RequestError(_nothing(store, found))
    page = make_page(store, found, variants, margin) if found.runs else Page(TITLE, ("No run was tested yet.",), searched)
    paths = write(page, out)
    return [*paths, _write_data(out / DATA_FILE, found, margin)]


def make_page(store: Store, found: Records, variants: Variants, margin: float = MARGIN) -> Page:
    """The page of all that the records say."""
    result = analysis.analyse(found, margin)
    main = result.groups[0]
    sections = [
        _ablation_section(result, variants),
        _costs_section(result),
        _statistics_section(result, found),
        _interactions_section(main),
        _losses_section(result),
        _rates_section(result),
        *studies.sections(store),
        _frames_section(store, main),
        _pictures_section(store, main, variants),
        *_other_sections(result, variants),
        _troubles_section(found),
        _method_section(result, found, variants),
    ]
    return Page(
        title=TITLE,
        summary=tuple(summary(main, result.matched)),
        sections=tuple(section for section in sections if section is not None),
        warnings=tuple(_warnings(result, found, variants)),
        facts=_facts(main),
    )


# --- in plain words


def summary(main: Group, matched: Sequence[Group] = ()) -> list[str]:
    """Which idea helps, by how much, at what cost, and how sure that is."""
    lines = [_reference_sentence(main)]
    rows = main.others
    if len(rows) > MOST_SENTENCES:
        single = [method for method in rows if "+" not in method.variant]
        largest = sorted((m for m in rows if "+" in m.variant), key=lambda m: -m.variant.count("+"))[:1]
        rows = [*single[: MOST_SENTENCES - len(largest)], *largest]
    lines += [sentence(main, method) for method in rows]
    if len(rows) < len(main.others):
        lines.append(f"{len(main.others) - len(rows)} further methods are in the table below.")
    for group in matched:
        parts = [
            f"{shorten(method.label, 60)} {_gain_words(group, method)}: {group.comparisons[method.label].verdict.words}"
            for method in group.others
            if method.label in group.comparisons
        ]
        if parts:
            lines.append(f"At {MATCHES[group.match]}: {'; '.join(parts[:MOST_SENTENCES])}.")
    return lines


def sentence(group: Group, method: Method) -> str:
    """One method in one sentence: 'attention: +0.0120 SSIM [+0.0040, +0.0200] over base, 1.20x time, 5 seeds: helps.'"""
    name = shorten(method.label, 80)
    comparison = group.comparisons.get(method.label)
    count = f"{len(method.seeds)} seed{'' if len(method.seeds) == 1 else 's'}"
    if comparison is None:
        estimate = method.estimate()
        return f"{name}: SSIM {tables.mean(estimate, 4).text}, {count}; there is no base to compare it with."
    ratio = group.time_ratio(method)
    costs = [] if ratio is None else [f"{ratio:.2f}x training time"]
    reference = group.reference.first.params if group.reference else math.nan
    more = method.first.params / reference - 1 if reference else math.nan
    if math.isfinite(more) and abs(more) >= 0.005:
        costs.append(f"{more:+.0%} parameters")
    seeds = f"{comparison.n} common seed{'' if comparison.n == 1 else 's'}" if comparison.unpaired else count
    return f"{name}: {_gain_words(group, method)} over base, {', '.join([*costs, seeds])}: {comparison.verdict.words}."


def _gain_words(group: Group, method: Method) -> str:
    comparison = group.comparisons[method.label]
    if comparison.mean is None or comparison.excluded:
        return "no SSIM difference"
    gain = tables.figure(comparison.mean, 4, sign=True).text
    interval = tables.interval(comparison.low, comparison.high, 4, sign=True).text
    return f"{gain} SSIM" + ("" if interval == tables.NONE else f" {interval}")


def _reference_sentence(group: Group) -> str:
    blank, repeat = (group.baseline(name).get("ssim", math.nan) for name in ("blank", "repeat_last"))
    baselines = f"a blank frame scores {_plain(blank)}, the last frame repeated {_plain(repeat)}"
    if group.reference is None:
        return f"There is no finished run of {REFERENCE} with these settings, so nothing can be compared; {baselines}."
    estimate = group.reference.estimate()
    interval = tables.spread(estimate, 4).text
    shown = "" if interval == tables.NONE else f" {interval}"
    count = len(group.reference.seeds)
    return (
        f"{shorten(group.reference.label, 80)} reaches SSIM {tables.mean(estimate, 4).text}{shown} over {count} "
        f"seed{'' if count == 1 else 's'} ({group.title}); {baselines}."
    )


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "no finite SSIM"


def _warnings(result: Analysis, found: Records, variants: Variants) -> list[str]:
    main = result.groups[0]
    lines = list(result.warnings)
    counts = {status: sum(one.status == status for one in found.troubles) for status in ("failed", "unfinished", "damaged")}
    missing = _missing(found)
    if missing:
        lines.append(f"{len(missing)} planned cells are missing; see 'What is missing'.")
    for status, count in counts.items():
        if count:
            named = [one for one in found.troubles if one.status == status]
            shown = "; ".join(f"{shorten(one.where, 60)}: {shorten(one.reason, 160)}" for one in named[:3])
            lines.append(
                f"{count} {status} record{'' if count == 1 else 's'} left out ({shown}{'; ...' if count > 3 else ''})."
            )
    if main.reference is None:
        lines.append(
            f"no finished run of {REFERENCE} has the settings of these runs, so no gain can be given: "
            f"`{analysis.plan_command(main, REFERENCE)}`"
        )
    for group in (*result.groups, *result.matched):
        if len(analysis.devices(group.runs)) > 1:
            names = "; ".join(shorten(one, 80) for one in analysis.devices(group.runs))
            lines.append(f"{_group_name(group, main)} mixes devices ({names}): its times are not comparable.")
    lines += _weak(main)
    summary_of_preset = analysis.known_preset(main.methods[0].first.preset)
    if "mean nothing" in summary_of_preset:
        lines.append(f"preset {main.methods[0].first.preset}: {summary_of_preset}.")
    if removed := [name for name in _parts(found.runs) if name not in variants.names]:
        names = ", ".join(shorten(name, 60) for name in removed[:MOST_LISTED])
        lines.append(
            f"plugins that are not installed made some of these runs ({names}); their claims and sources are not known here."
        )
    return list(dict.fromkeys(lines))


def _weak(main: Group) -> list[str]:
    """What keeps the main table from saying much: few seeds, methods below a blank frame, numbers that are not finite."""
    lines = []
    fewest = min(len(method.seeds) for method in main.methods)
    if fewest < MINIMUM_SEEDS:
        which = [shorten(method.label, 60) for method in main.methods if len(method.seeds) == fewest]
        lines.append(
            f"no verdict from fewer than {MINIMUM_SEEDS} seeds; {', '.join(which[:6])} "
            f"{'has' if len(which) == 1 else 'have'} {fewest}"
        )
    blank = main.baseline("blank").get("ssim", math.nan)
    below = []
    for method in main.methods:
        estimate = method.estimate()
        if estimate.excluded:
            seeds = _numbers(estimate.excluded)
            lines.append(
                f"{shorten(method.label, 60)}: the test SSIM of seed {seeds} is missing or not finite; it has no mean"
            )
        elif estimate.mean is not None and estimate.mean <= blank:
            below.append(f"{shorten(method.label, 60)} ({estimate.mean:.4f})")
    if below:
        shown = ", ".join(below[:MOST_SENTENCES]) + (
            f" and {len(below) - MOST_SENTENCES} more" * (len(below) > MOST_SENTENCES)
        )
        lines.append(f"no better than a blank frame ({blank:.4f}), so this metric shows nothing learnt: {shown}")
    if main.reference is not None:
        reference = set(main.reference.seeds)
        unshared: dict[str, list[str]] = {}
        for method in main.others:
            if odd := sorted(reference ^ set(method.seeds)):
                unshared.setdefault(_numbers(odd), []).append(shorten(method.label, 60))
        for seeds, names in unshared.items():
            lines.append(
                f"{', '.join(names[:MOST_SENTENCES])} and {shorten(main.reference.label, 60)} do not share seeds {seeds}: "
                "gains are over common seeds, means over all of a row's seeds"
            )
    return lines


def _facts(main: Group) -> dict[str, str]:
    first = main.methods[0].first
    packages = records.distinct(f"torch {run.facts['torch']}" for run in main.runs if "torch" in run.facts)
    preset = analysis.known_preset(first.preset)
    return {
        "Preset": f"{shorten(first.preset)}{f': {preset}' if preset else ' (not installed)'}",
        "Budget": f"{analysis.budget_words(main)}, batch {analysis.number(first.settings.get('training.batch_size'))}",
        "Precision": analysis.precision(first),
        "Loss": analysis.loss_words(first.settings),
        "Seeds": _numbers(main.seeds),
        "Runs": f"{len(main.runs)} in the first table",
        "Device": "; ".join(shorten(one) for one in analysis.devices(main.runs)),
        "Test set": f"{first.test_digest[:16]}, {analysis.number(first.settings.get('data.test_sequences'))} sequences",
        "Versions": "; ".join(packages) or "not recorded",
        "Margin": f"{main.margin:g} SSIM",
    }


def _numbers(values: Sequence[int]) -> str:
    shown = ", ".join(map(str, values[:MOST_LISTED]))
    return shown + (f" and {len(values) - MOST_LISTED} more" if len(values) > MOST_LISTED else "")


def _group_name(group: Group, main: Group) -> str:
    if group is main:
        return "the first table"
    if group.match != "steps":
        return f"the table of {MATCHES[group.match]}"
    return f"the table with {analysis.difference_title(main, group)}"


# --- sections


def _ablation_section(result: Analysis, variants: Variants) -> Section:
    main = result.groups[0]
    made = [tables.ablation(main, variants, "ablation", f"Ablation at {MATCHES[main.match]}: {main.title}")]
    for group, id_ in _matched_ids(result):
        made.append(
            tables.ablation(group, variants, f"ablation-{id_}", f"Ablation at {MATCHES[group.match]}: {group.title}")
        )
    made.append(tables.metrics(main, "metrics", "All metrics"))
    paragraphs = []
    if not result.matched and main.others:
        paragraphs.append(
            "Only equal steps were run. The same cost for everybody is the other fair comparison; these commands fill its tables."
        )
    from reports import plots

    figures = [
        plots.against_cost(main, result.matched, "seconds"),
        plots.against_cost(main, (), "params"),
        plots.forest(main, "differences", f"Differences from base at {MATCHES[main.match]}"),
        *(
            plots.forest(group, f"differences-{id_}", f"Differences from base at {MATCHES[group.match]}")
            for group, id_ in _matched_ids(result)
        ),
    ]
    commands = () if result.matched or not main.others else tuple(_match_commands(main))
    return Section("ablation", "Which idea helps", tuple(paragraphs), tuple(made), _drawn(figures), commands=commands)


def _matched_ids(result: Analysis) -> list[tuple[Group, str]]:
    found: list[tuple[Group, str]] = []
    for index, group in enumerate(result.matched):
        earlier = sum(one.match == group.match for one in result.matched[:index])
        found.append((group, group.match if not earlier else f"{group.match}-{earlier + 1}"))
    return found


def _match_commands(group: Group) -> list[str]:
    names = analysis.installable(method.variant for method in group.others)
    return [analysis.plan_command(group, ",".join(names), "--match", match) for match in ("seconds", "flops") if names]


def _drawn(figures: Sequence[Figure | None]) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure is not None)


def _costs_section(result: Analysis) -> Section:
    main = result.groups[0]
    made = [
        tables.costs(main, "costs", "What each method costs"),
        *(
            tables.costs(group, f"costs-{id_}", f"What each method costs at {MATCHES[group.match]}")
            for group, id_ in _matched_ids(result)
        ),
        tables.seeds(main, "seeds", "Every seed's values"),
        *(
            tables.seeds(group, f"seeds-{id_}", f"Every seed's values at {MATCHES[group.match]}")
            for group, id_ in _matched_ids(result)
        ),
    ]
    return Section("costs", "At what cost", tables=tuple(made))


def _statistics_section(result: Analysis, records_: Records) -> Section:
    main = result.groups[0]
    made: list[Table] = []
    for group, id_ in [(main, ""), *((group, f"-{id_}") for group, id_ in _matched_ids(result))]:
        if group.comparisons:
            made.append(tables.statistics(group, f"statistics{id_}", f"Comparisons with base at {MATCHES[group.match]}"))
            made.append(tables.pairs(group, f"pairs{id_}", f"Every seed's difference at {MATCHES[group.match]}"))
    paragraphs = [METHOD, *(promise(count) for count in sorted({one.n for one in main.comparisons.values()}))]
    paragraphs.append(
        f"The margin of the verdicts is {main.margin:g} SSIM; `harness report --margin X` sets another. "
        "Choose it before looking at the results."
    )
    arms = _copies(records_)
    if arms:
        table, found = tables.copies(arms, main.margin, "a-a", "A/A: base against a copy of itself")
        made.append(table)
        alarms = sum(one.verdict.kind in ("helps", "hurts") for one in found)
        paragraphs.append(
            f"A/A plans: {len(found)} ran, {alarms} raised a false alarm. What differs there is noise, whatever its size."
        )
    else:
        paragraphs.append("No A/A plan was run: `harness ablate --plan a-a --seeds 5` measures how large pure noise looks.")
    return Section("statistics", "How sure", tuple(paragraphs), tuple(made))


def _copies(found: Records) -> dict[str, tuple[dict[int, float], dict[int, float]]]:
    """A/A plans: name -> (seed -> SSIM of base, seed -> SSIM of the copy)."""
    by_id = {run.run_id: run for run in found.runs}
    arms = {}
    for plan in found.plans:
        if not any(cell.label != cell.variant for cell in plan.cells):
            continue
        sides: tuple[dict[int, float], dict[int, float]] = ({}, {})
        contexts: set[str] = set()
        for cell in plan.cells:
            run = by_id.get(cell.run_id or "")
            if run is not None:
                sides[cell.label != cell.variant][cell.seed] = run.metric("ssim")
                contexts.add(json.dumps(analysis.context_of(run), sort_keys=True))
        if all(sides) and len(contexts) == 1:
            arms[f"{plan.plan}, preset {shorten(plan.preset, 60)} ({plan.key[:8]})"] = sides
    return arms


def _interactions_section(main: Group) -> Section | None:
    found = analysis.factorial(main)
    if found is None:
        single = analysis.installable(method.variant for method in main.others if "+" not in method.variant)
        if len(single) < 2:
            return None
        words = (
            "No full factorial set of runs is there, so it cannot be said whether the ideas add up. This command fills it."
        )
        command = analysis.plan_command(main, "factorial", "--variants", ",".join(single))
        return Section("interactions", "Do the ideas add up", (words,), commands=(command,))
    from reports import plots

    names = ", ".join(shorten(factor, 60) for factor in found.factors)
    return Section(
        "interactions",
        "Do the ideas add up",
        (f"From the full factorial set of {names}: {2 ** len(found.factors)} compositions.",),
        (tables.effects(found, "effects", "Main effects and pairwise interactions"),),
        (plots.interactions(found),),
    )


_LOSS_SETTINGS = {
    "MSE": {"loss.mse": "1", "loss.ssim": "0", "loss.ssim_from": "0", "loss.ssim_ramp": "0"},
    "SSIM": {"loss.mse": "0", "loss.ssim": "1", "loss.ssim_from": "0", "loss.ssim_ramp": "0"},
    "MSE + SSIM": {"loss.mse": "0.7", "loss.ssim": "0.3"},
}


def _losses_section(result: Analysis) -> Section | None:
    group = result.losses
    if group is None or group.reference is None:
        return None
    there = {analysis.loss_kind(method.first.settings) for method in group.methods}
    missing = [kind for kind in _LOSS_SETTINGS if kind not in there]
    commands = tuple(analysis.command(group.reference, _LOSS_SETTINGS[kind]) for kind in missing)
    words = (
        "The article compares three losses by their SSIM; these are base's runs with the same settings and other weights."
    )
    paragraphs = [words]
    if missing:
        paragraphs.append(f"Missing: {', '.join(missing)}. The commands below run what is missing.")
    made = (tables.losses(group, "losses", "Losses"),)
    return Section("losses", "Which loss", tuple(paragraphs), made, commands=commands)


def _rates_section(result: Analysis) -> Section | None:
    group = result.rates
    if group is None or group.reference is None:
        return None
    if len(group.methods) > 1:
        return Section("rates", "Which learning rate", tables=(tables.rates(group, "rates", "Learning rates"),))
    rate = group.reference.first.settings.get("training.max_lr")
    if not isinstance(rate, int | float) or isinstance(rate, bool):
        return None
    commands = tuple(analysis.command(group.reference, {"training.max_lr": f"{rate * factor:g}"}) for factor in (1 / 3, 3))
    words = "Missing: base was run with one learning rate. Commands such as these run others, with the same seeds."
    return Section("rates", "Which learning rate", (words,), commands=commands)


def _frames_section(store: Store, main: Group) -> Section:
    from reports import plots

    curves = {
        method.label: {seed: records.read_validations(store, run) for seed, run in method.runs.items()}
        for method in plots.chosen(main)
    }
    figures = _drawn([plots.by_frame(main), plots.validation(main, curves)])
    notes = []
    if all(figure.id != "validation" for figure in figures):
        notes.append("No validation curves: the trainings' logs are not in the store, or hold no validation.")
    return Section("frames", "Over frames and over training", tuple(notes), figures=figures)


def _pictures_section(store: Store, main: Group, variants: Variants) -> Section:
    from reports import pictures

    drawn, notes = pictures.draw(store, main, variants)
    return Section("pictures", "What it looks like", tuple(notes), pictures=tuple(drawn))


def _other_sections(result: Analysis, variants: Variants) -> list[Section]:
    """Runs with other settings: tables of their own for those with several methods, one table for the rest."""
    main = result.groups[0]
    found = []
    for index, group in enumerate(result.groups[1 : 1 + MOST_TABLES], start=2):
        made = [tables.ablation(group, variants, f"ablation-{index}", f"Ablation: {group.title}")]
        if group.comparisons:
            made.append(tables.statistics(group, f"statistics-{index}", "Comparisons with base"))
        made.append(tables.seeds(group, f"seeds-{index}", "Every seed's values"))
        title = f"Other settings ({index - 1}): {analysis.difference_title(main, group)}"
        words = "Not comparable with the first table, for it differs in what the title names."
        found.append(Section(f"other-{index}", title, (words,), tuple(made)))
    rest = [*result.groups[1 + MOST_TABLES :], *result.rest]
    if rest:
        made_rest = tables.rest(rest, main, "rest", "Runs with settings of their own")
        found.append(Section("rest", "Further runs", tables=(made_rest,)))
    return found


def _missing(found: Records) -> list[Trouble]:
    """Cells of plans that the store has no finished run of."""
    there = {run.run_id for run in found.runs}
    missing: dict[tuple[str, int, str], Trouble] = {}
    for plan in found.plans:
        for cell in plan.cells:
            if cell.run_id not in there:
                reason = cell.error or f"not run yet in plan {plan.plan} ({MATCHES.get(plan.match, plan.match)})"
                where = cell.run_id or "not known yet"
                status = "missing" if cell.status == "finished" else cell.status
                missing.setdefault(
                    (cell.label, cell.seed, where),
                    Trouble(where=where, status=status, reason=reason, variant=cell.label, seed=cell.seed),
                )
    return list(missing.values())


def _troubles_section(found: Records) -> Section | None:
    missing = _missing(found)
    named = {one.where for one in missing}
    rows = [*missing, *(one for one in found.troubles if one.where not in named)]
    if not rows:
        return None
    there = {run.run_id for run in found.runs}
    commands = [
        plan.command for plan in found.plans if plan.command and any(cell.run_id not in there for cell in plan.cells)
    ]
    words = "None of these is in any table. Running a plan's command again runs what it lacks."
    table = tables.troubles(rows, "missing", "Failed, unfinished, damaged and missing cells")
    return Section(
        "missing", "What is missing", (words,), (table,), commands=tuple(records.distinct(map(_one_line, commands)))
    )


def _one_line(command: str) -> str:
    """A plan's command as it was typed, on one line."""
    line = " ".join(command.split())
    return line if len(line) <= LONGEST_COMMAND else f"# a plan's command of {len(line):,} characters is not shown"


def _method_section(result: Analysis, found: Records, variants: Variants) -> Section:
    main = result.groups[0]
    runs = [run for group in (*result.groups, *result.matched) for run in group.runs]
    first = main.methods[0].first
    dirty = sorted({run.facts["git"] for run in runs if "uncommitted" in run.facts.get("git", "")})
    paragraphs = [
        f"Rebuilt from {len(found.runs)} finished runs by harness {__version__}; nothing was trained or tested for it. "
        f"{found.superseded} superseded records were left out.",
        f"Headline metric: {METRICS['ssim'].title}, {METRICS['ssim'].convention}. 'SSIM' alone names no number: on the same "
        "frames the conventions below differ by more than most ideas bring.",
        "Selection: each training keeps the weights with the best validation SSIM; tables report test sequences, which are drawn "
        "from digits that neither training nor validation sees, and are the same for every run of a table.",
    ]
    if dirty:
        paragraphs.append(f"Some runs were made from code with uncommitted changes ({'; '.join(dirty[:5])}).")
    provenance = [
        ("test set", [f"{run.test_digest}" for run in runs]),
        ("digits", [f"{run.digits.get('source')}: {run.digits.get('digest')}" for run in runs]),
        ("numerics revision", [run.numerics for run in runs]),
        ("metric conventions, version", [run.conventions.get("version", "?") for run in runs]),
        ("device", [run.device for run in runs]),
        ("code (git)", [run.facts.get("git", "not recorded") for run in runs]),
        *((name, [run.facts.get(name, "not recorded") for run in runs]) for name in _fact_names(runs)),
    ]
    rows = [
        [tables.text(name), tables.text("; ".join(shorten(one) for one in records.distinct(values)[:MOST_LISTED]))]
        for name, values in provenance
    ]
    made = [
        tables.conventions("conventions", "Metrics", first.conventions),
        tables.table("provenance", "Data, versions and devices", [("what", False), ("value", False)], rows),
        tables.sources(_parts(runs), variants, "sources", "Sources of the variants"),
    ]
    commands = [analysis.command(method) for method in main.methods]
    for plan in found.plans:
        if plan.match != "steps" and plan.command:
            commands.append(_one_line(plan.command))
    return Section("method", "How it was done", tuple(paragraphs), tuple(made), commands=tuple(records.distinct(commands)))


def _fact_names(runs: Sequence[records.RunRecord]) -> list[str]:
    return records.distinct(name for run in runs for name in run.facts if name not in ("git", "device"))


def _parts(runs: Sequence[records.RunRecord]) -> list[str]:
    """The variants that the runs' names are composed of."""
    return sorted({part for run in runs for part in run.variant.split("+")})


# --- files


def _nothing(store: Store, found: Records) -> str:
    words = f"the store {store.root} has no finished run to report on"
    if found.troubles:
        shown = "; ".join(f"{shorten(one.where, 60)} {one.status}: {shorten(one.reason, 200)}" for one in found.troubles[:3])
        words += f" ({len(found.troubles)} others: {shown}{'; ...' if len(found.troubles) > 3 else ''})"
    return f"{words}; make some with `harness ablate --seeds 3`, or name another store with --store or HARNESS_STORE"


def _refuse_foreign(path: Path) -> None:
    """Raises HarnessError when a file of somebody else has the name of the report's data."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise HarnessError(f"cannot write {path}: it is not a file; move it away or choose another folder (--out)")
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror or error}; choose another folder (--out)") from error
    if KIND.encode() not in start:
        raise HarnessError(
            f"cannot write {path}: no report wrote the file that is there; move it away or choose another folder"
        )


def _write_data(path: Path, found: Records, margin: float) -> Path:
    """Writes what the report used, so that `harness compare` can read a report's folder like a store."""
    document: dict[str, Any] = found.document() | {"margin": margin}
    try:
        files.write(path, json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n")
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror or error}") from error
    return path


REPORT = Report(
    name="ablation",
    summary="tables, plots, pictures and statistics of all runs in a store, as HTML, Markdown, CSV and LaTeX",
    build=build,
    compare=compare,
)
