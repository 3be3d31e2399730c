"""`harness doctor`: check this machine, the plugins and the store."""

from __future__ import annotations

import typer

from harness.cli.options import DeviceOptions, JsonOption, PluginOptions, StoreOptions, expand_options
from harness.cli.printing import print_checks
from harness.options import option
from harness.system.console import emit, note


@expand_options
def doctor(
    *,
    repair: bool = option(False, "Set damaged records aside, test intact trainings again, remove leftover files."),
    where: DeviceOptions,
    stored: StoreOptions,
    plugins: PluginOptions,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the digits, the plugins and the store; with --repair, repair the store."""
    from harness.maintenance.doctor import examine

    root = stored.root
    done: list[str] = []
    if repair:
        from harness.maintenance.repair import repair as repair_store
        from harness.system.devices import choose_device

        done = repair_store(stored.open(), plugins.variants(), choose_device(where.device), where.digits, note)
    checks = examine(root, where.digits, third_party=not plugins.no_plugins)
    ok = all(check["ok"] for check in checks)
    emit({"checks": checks, "repaired": done, "ok": ok}) if as_json else print_checks(checks, "name")
    if not ok:
        raise typer.Exit(1)
