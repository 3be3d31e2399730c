"""The first screen where only A/A plans compare: is noise alone called a difference, and how large does it look?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reports import cells
from reports.analysis.comparisons import Comparison
from reports.analysis.groups import Group
from reports.analysis.records import Records, Trouble
from reports.analysis.secondary import title_of
from reports.analysis.words import counted, shorten
from reports.page import Answer, Control
from reports.pages.answer import MOST_ROWS, all_there, effect, false_verdicts, learnt, reference_row


def answer_of_copies(main: Group, found: Records, missing: Sequence[Trouble], copies: Sequence[Comparison]) -> Answer:
    """The answer of A/A plans, base against a copy of itself with other seeds: false verdicts, and the spread of noise."""
    metric, alarms, plans = title_of(main), false_verdicts(copies), len(copies)
    base = shorten(main.reference.label if main.reference else main.first.variant, 40)
    many = f" in {plans} A/A plans" if plans > 1 else ""
    if not alarms:
        headline = f"No difference is called between {base} and its copy{many}."
    elif plans == 1:
        headline = f"A difference is called between {base} and its copy: a false verdict."
    else:
        headline = f"{alarms} of {plans} A/A plans call a difference between {base} and its copy: false verdicts."
    digits = cells.decimals_of(main.margin)
    rows = [] if main.reference is None else [reference_row(main.reference, main.metric)]
    for one in copies[:MOST_ROWS]:
        name = "its copy" if plans == 1 else one.name
        sd = "" if one.sd is None else f", sd {cells.figure(one.sd, digits).text}"
        rows.append(replace(effect(one, name, 4, ""), sure=f"{counted(one.n, 'pair')}{sd}"))
    direction = "higher" if main.higher_is_better else "lower"
    checks = [Control(not alarms, f"false verdicts: {alarms} of {counted(plans, 'A/A plan')}; by chance one in twenty")]
    if (beats := learnt(main)) is not None:
        checks.append(beats)
    return Answer(
        headline=headline,
        setting=f"Test {metric}, {direction} is better; {main.title}; {base} against a copy of itself with other seeds, in pairs, "
        f"tested at 5% as arms are, margin {main.margin:g}.",
        gain=f"copy minus {base} in test {metric}",
        margin=main.margin,
        effects=tuple(rows),
        controls=(*checks, all_there(len(found.runs), found, missing)),
        remaining=(
            "sd: of the differences of pairs, which are noise alone; an arm has to differ by more.",
            "A plan of other seeds is another try.",
        ),
        higher_is_better=main.higher_is_better,
    )
