"""The library has rooms, which import each other in one order."""

import re
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "workflow/lib"
ORDER = ("run", "data", "probes", "models", "outputs", "study", "measures", "ensembles", "show")
"""Each may import those before it, and itself."""


def test_every_room_has_its_place_in_the_order():
    assert {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()} == set(
        ORDER
    )


def test_rooms_import_only_those_before_them():
    for path in LIBRARY.glob("*/**/*.py"):
        room = path.relative_to(LIBRARY).parts[0]
        above = set(ORDER[ORDER.index(room) + 1 :])
        imported = set(
            re.findall(r"^\s*(?:from|import) workflow\.lib\.(\w+)", path.read_text(), re.M)
        )
        assert not imported & above, f"{path} imports from {imported & above}"


def test_packages_hold_nothing_themselves():
    # Else whatever imports one module of a room would depend on all that it holds.
    assert not [path for path in LIBRARY.rglob("__init__.py") if path.read_text()]
