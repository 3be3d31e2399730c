"""The page of a whole store, section by section."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evaluation.conventions import HEADLINE, METRICS
from harness.store import Store
from harness.variant import Variants
from harness.version import __version__
from reports.analysis import auto, settings
from reports.analysis import copies as aa
from reports.analysis.commands import command, installable, one_line, plan_command
from reports.analysis.comparisons import Comparison
from reports.analysis.contrasts import factorial
from reports.analysis.doses import doses
from reports.analysis.groups import MATCHES, Group, Method, difference_title
from reports.analysis.overview import Analysis, analyse
from reports.analysis.promises import METHOD, promise
from reports.analysis.reading import read_validations
from reports.analysis.records import Records, Trouble
from reports.analysis.secondary import above_blank, blank_words, flip_words, flips, metrics_of, secondary, title_of
from reports.analysis.sequences import spread_words, spreads
from reports.analysis.words import distinct, names_in, shorten
from reports.page import Answer, Figure, Page, Section
from reports.pages import comparisons, methods, provenance, studies
from reports.pages.answer import answer, false_verdicts
from reports.pages.copies import answer_of_copies
from reports.pages.paper import data, paper
from reports.pages.plan import plan_words
from reports.pages.summary import facts, summary, warnings

MOST_TABLES = 12
"""Groups of other settings that get tables of their own; further ones are rows of one table."""
TITLE = "Ablation report"


def make_page(store: Store, found: Records, variants: Variants, margin: float | None = None) -> Page:
    """The page of all that the records say."""
    result = analyse(found, margin)
    main = result.groups[0]
    missing = _missing(found)
    sections = [
        _cost_figures(result),
        _frames(store, main),
        _seed_figures(result),
        _pictures(store, main, variants),
        _doses(result),
        _interactions(main),
        _losses(result),
        _rates(result),
        *studies.sections(store),
        _tables(result, found, variants),
        *_others(result, variants),
        _statistics(store, result, aa.judged(aa.copies(found, main.metric), main)),
        _troubles(found, missing),
        _method(result, found, variants),
        _provenance(result, variants),
    ]
    return Page(
        title=TITLE,
        summary=tuple(summary(main, result.matched)),
        sections=tuple(section for section in sections if section is not None),
        warnings=tuple(warnings(result, found, missing, variants)),
        facts=facts(main),
        data=data({"steps" if not end else end.removeprefix("-"): group for group, end, _ in _by_match(result)}),
        paper=paper(main, variants),
        answer=first_screen(found, result),
        terms={info.title: f"convention-{info.name}" for info in metrics_of(main)},
    )


def first_screen(found: Records, result: Analysis) -> Answer:
    """The answer of the first table that compares, with its controls and with what is missing. Where only plans of equal cost ran,
    that is the table of the first of them.
    """
    main = next((group for group in (result.groups[0], *result.matched) if group.comparisons), result.groups[0])
    ran = aa.judged(aa.copies(found, main.metric), main)
    if not main.comparisons and any(one.mean is not None for one in ran):
        return answer_of_copies(main, found, _missing(found), ran)
    return answer(main, found, _missing(found), ran)


def _ideas(main: Group) -> list[Method]:
    """The arms that can be run in other plans: no controls, and nothing without a network."""
    checks = {check.name for check in main.controls}
    return [method for method in main.others if method.label not in checks and not method.first.untrained]


def _drawn(*figures: Figure | None) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure is not None)


def _by_match(result: Analysis) -> list[tuple[Group, str, str]]:
    """The first table's group and those of equal cost, each with the end of its ids and its match in words."""
    groups = [(result.groups[0], ""), *((group, f"-{id_}") for group, id_ in result.matched_by_id)]
    return [(group, end, group.equal) for group, end in groups]


def _cost_figures(result: Analysis) -> Section | None:
    from reports.figures.costs import against_cost

    main = result.groups[0]
    figures = _drawn(against_cost(main, result.matched, "seconds"), against_cost(main, (), "params"))
    paragraphs = [text for text in summary(main, result.matched) if text.startswith("At equal ")]
    commands: list[str] = []
    ideas = [method.variant for method in _ideas(main)]
    if not result.matched and ideas:
        paragraphs.append(
            f"Only {main.equal} were run. The same cost for everybody is the other fair comparison; these commands fill its tables."
        )
        names = ",".join(installable(ideas))
        commands = [
            plan_command(main, names, "--equal", match)
            for match in ("seconds", "flops")
            if names and match not in main.equal
        ]
    ratios = [
        methods.cost_ratios(one, f"ratios{end}", f"What arms cost against base at {at}")
        for one, end, at in _by_match(result)
    ]
    tables = tuple(one for one in ratios if one.rows)
    if not figures and not paragraphs and not tables:
        return None
    return Section("costs", "Gain against cost", tuple(paragraphs), tables, figures, commands=tuple(commands))


def _seed_figures(result: Analysis) -> Section | None:
    from reports.figures.effects import forest

    figures = _drawn(
        *(
            forest(
                one.comparisons.values(),
                one.reference.label if one.reference else "",
                f"differences{end}",
                at,
                title_of(one),
            )
            for one, end, at in _by_match(result)
        )
    )
    return Section("seeds", "Every seed", figures=figures) if figures else None


def _tables(result: Analysis, found: Records, variants: Variants) -> Section:
    """All figures as numbers."""
    groups = _by_match(result)
    made = [methods.ablation(one, variants, f"ablation{end}", f"Ablation at {at}: {one.title}") for one, end, at in groups]
    main = groups[0][0]
    if others := secondary(main):
        made.append(comparisons.by_metric(main, others, "by-metric", "Verdicts by every metric", title_of(main)))
    made.append(methods.metrics(main, "metrics", "All metrics"))
    made.append(methods.validation(main, "chosen", "Validation and test"))
    for make, id_, title in (
        (methods.costs, "costs", "What each method costs"),
        (methods.seeds, "seeds", "Every seed's values"),
    ):
        made += [make(one, f"{id_}{end}", f"{title} at {at}" if end else title) for one, end, at in groups]
    for group, end, at in groups:
        metric = title_of(group)
        if (family := comparisons.contrasts(group, f"contrasts{end}", f"The plan's contrasts at {at}", metric)) is not None:
            made.append(family)
        if group.comparisons:
            base = group.reference.label if group.reference else "base"
            made.append(
                comparisons.statistics(group.comparisons, base, f"statistics{end}", f"Comparisons with base at {at}", metric)
            )
            made.append(comparisons.pairs(group, f"pairs{end}", f"Every seed's difference at {at}", metric))
        if group.decided is not None:
            made.append(comparisons.decisions(group.decided, f"looks{end}", f"As many seeds as needed, at {at}", metric))
    if left_out := {arm: reason for plan in found.plans for arm, reason in plan.left_out.items()}:
        made.append(provenance.left_out(left_out, "left-out", "Arms that plans left out"))
    for number, plan in enumerate((plan for plan in found.plans if plan.tuned), start=1):
        made.append(
            provenance.tuned(plan.tuned, f"tuned-{number}", f"Learning rates tuned at {MATCHES.get(plan.match, '')}")
        )
    # Predictions made elsewhere have no costs.
    return Section("tables", "Tables", tables=tuple(one for one in made if one.rows))


def _statistics(store: Store, result: Analysis, copies: Sequence[Comparison]) -> Section:
    main = result.groups[0]
    rules = {group.decided.rule: None for group, _, _ in _by_match(result) if group.decided is not None}
    judged = {one.arm for one in main.decided.decisions} if main.decided is not None else set()
    fixed = sorted({one.n for name, one in main.comparisons.items() if name not in judged})
    size = len(main.contrasts or main.comparisons)
    promised = [promise(n, size, main.test) for n in sorted({fixed[0], fixed[-1]} if fixed else ())]
    paragraphs = [*plan_words(main), *map(auto.method, rules), METHOD, *promised]
    others = secondary(main)
    more = (
        flip_words(flips(main, others), others, main.decided is not None),
        blank_words(above_blank(main)),
        spread_words(spreads(store, main)),
    )
    paragraphs += [one for one in more if one]
    paragraphs.append(
        f"The margin of the verdicts is {main.margin:g} {main.metric}. `harness ablate --margin X` sets it before the first run; "
        "`harness report --margin X` afterwards, which is exploratory."
    )
    if not copies:
        paragraphs.append("No A/A plan was run: `harness ablate --plan a-a --seeds 5` measures how large pure noise looks.")
        return Section("statistics", "How sure", tuple(paragraphs))
    table = comparisons.copies(copies, "a-a", "A/A: base against a copy of itself", title_of(main))
    paragraphs.append(
        f"A/A plans: {len(copies)} ran, {false_verdicts(copies)} raised a false alarm. "
        "What differs there is noise, whatever its size."
    )
    return Section("statistics", "How sure", tuple(paragraphs), (table,))


def _interactions(main: Group) -> Section | None:
    title = "Do the ideas add up"
    found = factorial(main)
    if found is None:
        single = installable(method.variant for method in _ideas(main) if "+" not in method.variant)
        if len(single) < 2:
            return None
        words = (
            "No full factorial set of runs is there, so it cannot be said whether the ideas add up. This command fills it."
        )
        return Section(
            "interactions", title, (words,), commands=(plan_command(main, "factorial", "--variants", ",".join(single)),)
        )
    from reports.figures.effects import interactions

    names = ", ".join(shorten(factor, 60) for factor in found.factors)
    words = f"From the full factorial set of {names}: {2 ** len(found.factors)} compositions."
    table = comparisons.effects(found, "effects", "Main effects and pairwise interactions", title_of(main))
    return Section("interactions", title, (words,), (table,), (interactions(found, title_of(main)),))


def _doses(result: Analysis) -> Section | None:
    """One variant with several values of one field or setting: a curve for each field in each table."""
    from reports.figures.doses import response

    figures = [
        response(group, path, curves, f"dose-{number}{end}")
        for group, end, _ in _by_match(result)
        for number, (path, curves) in enumerate(doses(group).items(), start=1)
    ]
    if not figures:
        return None
    words = "Arms of one variant that differ in one number. A curve says nothing beyond the values that were run."
    return Section("doses", "How much of it", (words,), figures=tuple(figures))


def _losses(result: Analysis) -> Section | None:
    group = result.losses
    if group is None or group.reference is None:
        return None
    there = {settings.loss_kind(method.first.settings) for method in group.methods}
    missing = {kind: given for kind, given in settings.ARTICLE_LOSSES.items() if kind not in there}
    paragraphs = [
        "The article compares three losses by their SSIM; these are base's runs with the same settings and other weights."
    ]
    if missing:
        paragraphs.append(f"Missing: {', '.join(missing)}. The commands below run what is missing.")
    tables = (methods.losses(group, "losses", "Losses"),)
    commands = tuple(command(group.reference, given) for given in missing.values())
    return Section("losses", "Which loss", tuple(paragraphs), tables, commands=commands)


def _rates(result: Analysis) -> Section | None:
    group = result.rates
    if group is None or group.reference is None:
        return None
    if group.others:
        return Section("rates", "Which learning rate", tables=(methods.rates(group, "rates", "Learning rates"),))
    rate = group.reference.first.settings.get(settings.RATE)
    if not isinstance(rate, int | float) or isinstance(rate, bool):
        return None
    commands = tuple(command(group.reference, {settings.RATE: f"{rate * factor:g}"}) for factor in (1 / 3, 3))
    words = "Missing: base was run with one learning rate. Commands such as these run others, with the same seeds."
    return Section("rates", "Which learning rate", (words,), commands=commands)


def _frames(store: Store, main: Group) -> Section:
    from reports.figures.canvas import chosen
    from reports.figures.curves import by_frame, validation

    drawn = None
    for metric in dict.fromkeys((main.metric, HEADLINE)):  # validations lack what only a test measures
        curves = {
            method.label: {seed: read_validations(store, run, metric) for seed, run in method.runs.items()}
            for method in chosen(main)
        }
        drawn = drawn or validation(main, curves, metric)
    more = (one.name for one in main.more_metrics)
    by_frames = [by_frame(main, name) for name in dict.fromkeys((main.metric, HEADLINE, "mse", *more))]
    notes = () if drawn else ("No validation curves: the trainings' logs are not in the store, or hold no validation.",)
    return Section("frames", "Over frames and over training", notes, figures=_drawn(*by_frames, drawn))


def _pictures(store: Store, main: Group, variants: Variants) -> Section:
    from reports.figures import sequences

    drawn, notes = sequences.draw(store, main, variants)
    return Section("pictures", "What it looks like", tuple(notes), pictures=tuple(drawn))


def _others(result: Analysis, variants: Variants) -> list[Section]:
    """Runs with other settings: tables of their own for those with several methods, one table for the rest."""
    main = result.groups[0]
    found = []
    for index, group in enumerate(result.groups[1 : 1 + MOST_TABLES], start=2):
        made = [methods.ablation(group, variants, f"ablation-{index}", f"Ablation: {group.title}")]
        if group.comparisons:
            base = group.reference.label if group.reference else "base"
            metric = title_of(group)
            made.append(
                comparisons.statistics(group.comparisons, base, f"statistics-{index}", "Comparisons with base", metric)
            )
        made.append(methods.seeds(group, f"seeds-{index}", "Every seed's values"))
        title = f"Other settings ({index - 1}): {difference_title(main, group)}"
        words = "Not comparable with the first table, for it differs in what the title names."
        found.append(Section(f"other-{index}", title, (words,), tuple(made)))
    if rest := [*result.groups[1 + MOST_TABLES :], *result.rest]:
        table = methods.rest(rest, main, "rest", "Runs with settings of their own")
        found.append(Section("rest", "Further runs", tables=(table,)))
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
                trouble = Trouble(where=where, status=status, reason=reason, variant=cell.label, seed=cell.seed)
                missing.setdefault((cell.label, cell.seed, where), trouble)
    return list(missing.values())


def _troubles(found: Records, missing: Sequence[Trouble]) -> Section | None:
    named = {one.where for one in missing}
    rows = [*missing, *(one for one in found.troubles if one.where not in named)]
    if not rows:
        return None
    there = {run.run_id for run in found.runs}
    plans = [plan for plan in found.plans if plan.command and any(cell.run_id not in there for cell in plan.cells)]
    words = "None of these is in any table. Running a plan's command again runs what it lacks."
    table = provenance.troubles(rows, "missing", "Failed, unfinished, damaged and missing cells")
    commands = tuple(distinct(one_line(plan.command) for plan in plans))
    return Section("missing", "What is missing", (words,), (table,), commands=commands)


def _unseen(main: Group) -> str:
    """What the test sequences have to do with training."""
    data = main.first.digits
    if data.get("source") in ("embedded", "idx"):
        return "which are drawn from digits that neither training nor validation sees"
    if (repeated := data.get("test_in_training", "0")) not in ("0", "None"):
        return f"of which {repeated} of {data.get('test')} occur in training, frame by frame"
    return "which are a part of the data that neither training nor validation sees"


def _method(result: Analysis, found: Records, variants: Variants) -> Section:
    main = result.groups[0]
    runs = [run for group in (*result.groups, *result.matched) for run in group.runs]
    dirty = sorted({run.facts["git"] for run in runs if "uncommitted" in run.facts.get("git", "")})
    select = str(main.first.settings.get("training.select", HEADLINE))
    selected = METRICS[select].title if select in METRICS else shorten(select, 40)
    paragraphs = [
        f"Rebuilt from {len(found.runs)} finished runs by harness {__version__}; nothing was trained or tested for it. "
        f"{found.superseded} superseded records were left out.",
        f"Headline metric: {METRICS['ssim'].title}, {METRICS['ssim'].convention}. 'SSIM' alone names no number: on the same "
        "frames the conventions below differ by more than most ideas bring.",
        f"Selection: each training keeps the weights with the best validation {selected}; tables report test sequences, "
        f"{_unseen(main)}, and are the same for every run of a table.",
    ]
    if dirty:
        paragraphs.append(f"Some runs were made from code with uncommitted changes ({'; '.join(dirty[:5])}).")
    commands = [command(method) for method in main.methods]
    commands += [one_line(plan.command) for plan in found.plans if plan.match != "steps" and plan.command]
    return Section("method", "How it was done", tuple(paragraphs), commands=tuple(distinct(commands)))


def _provenance(result: Analysis, variants: Variants) -> Section:
    main = result.groups[0]
    runs = [run for group in (*result.groups, *result.matched) for run in group.runs]
    parts = sorted({part for run in runs if not run.scored for part in names_in(run.variant)})
    made = (
        provenance.conventions("conventions", "Metrics", main.first, main.more_metrics),
        provenance.versions(runs, "provenance", "Data, versions and devices"),
        provenance.sources(parts, variants, "sources", "Sources of the variants"),
    )
    return Section("provenance", "Where it comes from", tables=made)
