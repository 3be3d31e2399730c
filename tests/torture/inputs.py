"""So many hostile inputs to every reader of outside bytes; see tests/fuzz."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

if __name__ == "__main__":
    from campaign import campaign

    found = campaign(int(sys.argv[1]) + 100, int(sys.argv[2]))  # shares are rounded
    complaints = [f"{name}: {line}" for name, count in found["readers"].items() for line in count["unexpected"]]
    json.dump(found | {"complaints": complaints}, sys.stdout)
