"""Every module that decides something has a module of tests of its name."""

from __future__ import annotations

import ast
from pathlib import Path

HOME = Path(__file__).parent.parent
ROOMS = ("harness", "reports", "studies", "trackers", "variants")
LOGIC = (ast.IfExp, ast.For, ast.While, ast.Match, ast.Try, ast.comprehension)


def decides(source: str) -> bool:
    """Whether a branch or a loop is in it; imports for types alone are none."""
    return any(
        isinstance(node, LOGIC) or (isinstance(node, ast.If) and getattr(node.test, "id", "") != "TYPE_CHECKING")
        for node in ast.walk(ast.parse(source))
    )


def names_of(module: Path) -> set[str]:
    """What its tests may be called: a/b/c.py is tested by test_c, test_b_c or test_a_b_c; a variant's package as one."""
    rooms = module.relative_to(HOME).with_suffix("").parts
    rooms = rooms[:-1] if rooms[-1] in ("__init__", "module") else rooms
    return {"_".join(("test", *rooms[start:])) for start in range(len(rooms))}


def test_every_module_with_logic_has_tests_of_its_name() -> None:
    tests = {path.stem for path in (HOME / "tests").rglob("test_*.py")}
    modules = sorted(path for room in ROOMS for path in (HOME / room).rglob("*.py"))
    missing = [str(one.relative_to(HOME)) for one in modules if decides(one.read_text()) and not names_of(one) & tests]
    assert not missing, f"no tests/**/test_NAME.py for {', '.join(missing)}"


def test_a_branch_or_a_loop_is_logic_and_a_dataclass_is_not() -> None:
    assert decides("def f(x):\n    return 1 if x else 2")
    assert decides("if x:\n    y = 1")
    assert decides("y = [one for one in (1, 2)]")
    assert not decides(
        "if TYPE_CHECKING:\n    import torch\n\nclass A:\n    x: int = 1\n\n    def y(self) -> int:\n        return self.x + 1"
    )
