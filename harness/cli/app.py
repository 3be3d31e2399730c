"""The command line: parse, call, print. One JSON document on stdout with --json; progress and messages go to stderr.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 or 143 interrupted by Ctrl-C or SIGTERM (state saved).
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from harness.cli import (
    ablate,
    bench,
    compare,
    data,
    doctor,
    export,
    forecast,
    frame,
    judge,
    predict,
    report,
    reproduce,
    run,
    schema,
    score,
    show,
    start,
    store,
    study,
    watch,
)
from harness.cli import list as listed
from harness.errors import HarnessError, Interrupted, RequestError
from harness.system import signals
from harness.system.console import note


class Commands(TyperGroup):
    """The list of commands in plain text: importing what draws boxes takes longer than all the rest of `harness --help`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help without rich; each command's own help has panels."""
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)


app = typer.Typer(
    name="harness",
    cls=Commands,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.callback(invoke_without_command=True)(start.start)
app.command()(run.run)
app.command()(ablate.ablate)
app.command()(watch.watch)
app.command("list")(listed.list_)
app.command()(show.show)
app.command()(predict.predict)
app.command()(forecast.forecast)
app.command()(export.export)
app.command()(score.score)
app.command()(report.report)
app.command()(compare.compare)
app.command()(frame.frame)
app.command()(judge.judge)
app.command()(reproduce.reproduce)
app.command()(bench.bench)
app.command()(study.study)
app.command()(doctor.doctor)
app.command()(schema.schema)

data_app = typer.Typer(help="Fetch and verify the digits; export sequences.", no_args_is_help=True)
data_app.command()(data.fetch)
data_app.command()(data.verify)
data_app.command()(data.export)
app.add_typer(data_app, name="data")

store_app = typer.Typer(
    help="Merge stores; export a plan's results as one file, and import it; pack finished runs.", no_args_is_help=True
)
store_app.command()(store.merge)
store_app.command()(store.export)
store_app.command("import")(store.import_)
store_app.command()(store.pack)
store_app.command()(store.unpack)
app.add_typer(store_app, name="store")

# Newer typer brings its own copy of click, so that click's own classes would match nothing.
_USAGE_ERROR: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _usage(error: Any) -> str:
    """One line for a command line that cannot be parsed; the whole help for one that says nothing."""
    message, context = str(error.format_message()), getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    return f"error: {message.rstrip('.')}; see `{context.command_path if context else 'harness'} --help`"


WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""How threads wait for one another: a few microseconds awake, then asleep. A training step on two cores, two threads:

    =====================  ==========  ===========================
    libgomp's spin count   idle cores  one core busy with others
    =====================  ==========  ===========================
    0 (asleep at once)     113-130 ms  126-128 ms
    1000                   72-79 ms    160-163 ms
    5000                   62-84 ms    282-294 ms
    300,000 (its default)  76 ms       344 ms, and up to 2 s at 100,000
    =====================  ==========  ===========================
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The `harness` command. Ends the process with the exit code."""
    if not WAITING.keys() & os.environ.keys():  # read once, when torch is imported; what the user set stays
        os.environ.update(WAITING)
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with signals.ends_within(signals.GRACE):
        code = _answer(arguments)
    raise SystemExit(code)


def _answer(arguments: Sequence[str] | None) -> int:
    """Does what the words ask for; returns the exit code."""
    try:
        code = app(list(arguments) if arguments is not None else None, prog_name="harness", standalone_mode=False) or 0
        sys.stdout.flush()
        if code == Interrupted.exit_code:  # newer typer turns Ctrl-C into an exit code
            raise KeyboardInterrupt
    except HarnessError as error:
        stopped = isinstance(error, Interrupted)
        note(f"{'stopped' if stopped else 'error'}: {error}")
        code = signals.exit_code() if stopped else error.exit_code
    except _USAGE_ERROR as error:
        note(_usage(error))
        code = RequestError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        note(f"stopped: interrupted; {signals.GOING_ON}")
        code = signals.exit_code()
    except BrokenPipeError:  # `harness list runs | head`
        sys.stderr.close()
        code = 0
    except OSError as error:  # a disk that is full or gone, met outside the store's own care
        note(f"error: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        code = HarnessError.exit_code
    except Exception:  # a mistake of this program or of a plugin: its traceback helps to fix it, and may quote a secret
        note(traceback.format_exc())
        code = HarnessError.exit_code
    return code


if __name__ == "__main__":
    main()
