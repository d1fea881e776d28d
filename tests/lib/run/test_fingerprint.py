"""The fingerprint follows imports and ignores what does not alter a result."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workflow.lib.run import fingerprint as module
from workflow.lib.run.fingerprint import ROOT, dependencies, fingerprint

FILES = {
    "envs/requirements.txt": "numpy==2.0\nscikit-learn==1.5\ntorch==2.1\n",
    "workflow/lib/__init__.py": "",
    "workflow/lib/near.py": "from workflow.lib.far import g\n\ndef f():\n    return g()\n",
    "workflow/lib/far.py": "import numpy as np\n\ndef g():\n    # why\n    return np.pi\n",
    "workflow/lib/other.py": "import torch\n",
    "workflow/scripts/a.py": "from sklearn.svm import SVC\nfrom workflow.lib import near\n",
    "workflow/scripts/b.py": "import workflow.lib.other\n",
}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name, text in FILES.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    for cached in (module._pins, module._locate, module._module, module._known):
        cached.cache_clear()


def test_lists_modules_of_the_import_closure_and_pinned_packages(tree):
    names = [entry.partition("@")[0] for entry in dependencies("workflow/scripts/a.py", tree)]
    assert names == [
        "numpy==2.0",
        "scikit-learn==1.5",
        "workflow/lib/far.py",
        "workflow/lib/near.py",
        "workflow/scripts/a.py",
    ]


def test_an_edit_reaches_importers_at_any_distance_and_nobody_else(tree):
    a, b = (dependencies(f"workflow/scripts/{s}.py", tree) for s in "ab")
    write(tree, "workflow/lib/far.py", "import numpy as np\n\ndef g():\n    return -np.pi\n")
    assert dependencies("workflow/scripts/a.py", tree) != a
    assert dependencies("workflow/scripts/b.py", tree) == b


AGAIN = """
import ast, sys
from pathlib import Path
from workflow.lib.run import fingerprint

parsed, parse = [], ast.parse
ast.parse = lambda *args, **options: parsed.append(options["filename"]) or parse(*args, **options)
print(fingerprint.dependencies("workflow/scripts/a.py", Path(sys.argv[1])), *parsed, sep="\\n")
"""


def test_a_later_process_parses_only_what_changed(tree):
    def found() -> list[str]:
        command = [sys.executable, "-c", AGAIN, tree]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True
                              ).stdout.splitlines()  # fmt: skip

    (tree / ".snakemake").mkdir()
    first, *parsed = found()
    assert len(parsed) == 3
    assert found() == [first] == [str(dependencies("workflow/scripts/a.py", tree))]
    write(tree, "workflow/lib/far.py", "import torch\n\ndef g():\n    return 3\n")
    second, *parsed = found()
    assert parsed == ["workflow/lib/far.py"]
    assert second == str(dependencies("workflow/scripts/a.py", tree)) != first
    (tree / module.MEMORY).write_text("{damaged")
    assert found()[0] == second


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\n\n\n\ndef g():\n    return np.pi\n",
        '"""Far."""\nimport numpy as np\n\ndef g():\n    """Pi."""\n    return np.pi  # 3.14\n',
        "import numpy as np\ndef g(): return (np.pi)\n",
    ],
)
def test_comments_docstrings_and_layout_mean_nothing(tree, text):
    before = dependencies("workflow/scripts/a.py", tree)
    write(tree, "workflow/lib/far.py", text)
    assert dependencies("workflow/scripts/a.py", tree) == before


@pytest.mark.parametrize("value", ["'3'", "3.0", "b'3'", "4", "-3", "3j", "None", "(3,)"])
def test_every_other_literal_means_something(tree, value):
    write(tree, "workflow/lib/far.py", "x = 3\n")
    before = dependencies("workflow/scripts/a.py", tree)
    write(tree, "workflow/lib/far.py", f"x = {value}\n")
    assert dependencies("workflow/scripts/a.py", tree) != before


def test_a_pin_counts_where_its_package_is_imported(tree):
    a, b = (dependencies(f"workflow/scripts/{s}.py", tree) for s in "ab")
    write(tree, "envs/requirements.txt", FILES["envs/requirements.txt"].replace("2.1", "2.2"))
    assert dependencies("workflow/scripts/a.py", tree) == a
    assert dependencies("workflow/scripts/b.py", tree) != b


def test_relative_imports_are_refused_since_they_would_be_missed(tree):
    write(tree, "workflow/lib/far.py", "from . import other\n")
    with pytest.raises(ValueError, match=r"far.py:1"):
        dependencies("workflow/scripts/a.py", tree)


def test_every_package_that_the_project_imports_is_known_to_be_pinned_or_standard():
    known = set(module._pins(ROOT)) | set(sys.stdlib_module_names) | {"workflow"}
    for path in (ROOT / "workflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert module.DISTRIBUTIONS.get(top, {top}) <= known, f"{path} imports {top}"


def test_every_rule_with_a_script_has_the_fingerprint_of_that_script():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\n(?:use )?rule ", path.read_text())[1:]:
            name = re.match(r"\w+", rule)[0]
            scripts = re.findall(r'"\.\./scripts/([\w/]+)\.py"', rule)
            codes = re.findall(r'code=fingerprint\("([\w/]+)"\)', rule)
            if scripts:
                assert scripts == codes, f"{path}: {name}"
                assert scripts[0].rpartition("/")[2] == name, f"{path}: {name}"
            assert len(codes) <= 1


def test_imports_for_a_type_checker_alone_are_not_followed(tree):
    text = FILES["workflow/lib/far.py"] + "if TYPE_CHECKING:\n    import workflow.lib.other\n"
    write(tree, "workflow/lib/far.py", text)
    found = dependencies("workflow/scripts/a.py", tree)
    assert not [entry for entry in found if "other" in entry or "torch" in entry]


def test_how_jobs_run_is_not_part_of_what_they_compute(tree):
    write(tree, "workflow/lib/far.py", "from workflow.lib.run.files import replacing\n")
    write(tree, "workflow/lib/run/files.py", "import torch\n\ndef replacing(): ...\n")
    before = dependencies("workflow/scripts/a.py", tree)
    write(tree, "workflow/lib/run/files.py", "def replacing(): return 1\n")
    assert dependencies("workflow/scripts/a.py", tree) == before
    assert not [entry for entry in before if "lib/run" in entry or "torch" in entry]


def test_nothing_of_how_jobs_run_can_reach_a_number():
    for path in (ROOT / module.FLOOR).glob("*.py"):
        _, imports = module._module(ROOT, path.relative_to(ROOT))
        for name in imports:
            assert name.startswith("workflow.lib.run.") or (
                # Threads are limited as Snakemake does by its environment.
                name.partition(".")[0] in {*sys.stdlib_module_names, "snakemake", "threadpoolctl"}
            ), f"{path} imports {name}"


def test_a_parameter_of_a_rule_is_computed_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(module, "dependencies", lambda script: [script])
    assert fingerprint("figures/figure1")(None) == ["workflow/scripts/figures/figure1.py"]
