"""Imports between rooms run the one way that the design states, those within functions too."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

FORKS_WHAT_IS_ABOVE = {("worker", "defs")}
"""A worker runs the code location in its processes, which it loads by itself."""


def stated(design: str) -> list[list[str]]:
    """The rooms and modules the design puts in order, those that import others first."""
    found = re.search(r"Imports run one way:(.*?)\. Loading", design, re.DOTALL)
    assert found is not None
    return [re.findall(r"`(\w+)`", tier) for tier in found[1].split("→")]


def against(package: Path, tiers: list[list[str]]) -> list[str]:
    """Imports from what stands before in the order."""
    rank = {name: place for place, tier in enumerate(tiers) for name in tier}
    found = []
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for name in imported(path.read_text("utf-8"), package.name):
            if (room, name) not in FORKS_WHAT_IS_ABOVE and rank.get(name, 1_000) < rank.get(room, 0):
                found.append(f"{path.relative_to(package)}: {name}")
    return found


def imported(text: str, package: str) -> list[str]:
    """The rooms or modules of the package that a module's text imports from. By its lines: parsing them all takes seconds."""
    rooms = re.findall(rf"^\s*(?:from|import) {package}\.(\w+)", text, re.MULTILINE)
    for names in re.findall(rf"^\s*from {package} import (\([^)]*\)|.*)", text, re.MULTILINE):
        rooms += re.findall(r"(\w+)(?: as \w+)?", names)
    return rooms


def test_imports_run_the_way_the_design_states():
    tiers = stated((ROOT / "docs" / "design.md").read_text("utf-8"))
    package = ROOT / "fashion_assets"
    assert {name for tier in tiers for name in tier} <= {path.stem for path in package.iterdir()}
    assert against(package, tiers) == []


def test_an_import_the_other_way_is_told(tmp_path: Path):
    package = tmp_path / "shop"
    (package / "below").mkdir(parents=True)
    (package / "above.py").write_text("from shop.below import module\n", "utf-8")
    (package / "below" / "module.py").write_text("def late():\n    from shop import above\n", "utf-8")
    assert against(package, [["above"], ["below"]]) == ["below/module.py: above"]
