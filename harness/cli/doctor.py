"""`harness doctor`: check this machine, the plugins and the store."""

from __future__ import annotations

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, StoreOptions, expand_options
from harness.cli.printing import print_checks
from harness.options import option
from harness.system.console import emit, note, say


@expand_options
def doctor(
    *,
    repair: bool = option(False, "Set damaged records aside, test intact trainings again, remove leftover files."),
    migrate: bool = option(False, "Rewrite a store of an older version in today's format and under today's keys."),
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the digits, the plugins and the store; with --repair, repair the store; with --migrate, rewrite it."""
    from harness.maintenance.doctor import examine

    root = stored.root
    done: list[str] = []
    if migrate:
        from harness.maintenance.migration import migrate as migrate_store

        done += migrate_store(stored.open(), plugins.variants().components.find, note)
    if repair:
        from harness.maintenance.repair import repair as repair_store
        from harness.system.devices import choose_device

        done += repair_store(stored.open(), plugins.variants(), choose_device(where.device), where.digits, note)
    checks = examine(root, where.digits, third_party=not plugins.no_plugins)
    ok = all(check["ok"] for check in checks)
    if as_json:
        emit({"checks": checks, "repaired": done, "ok": ok})
    else:
        for line in done:
            say(line)
        print_checks(checks, "name")
    if not ok:
        raise typer.Exit(1)
