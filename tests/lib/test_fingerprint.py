"""The fingerprint follows imports and ignores what does not alter a result."""

from pathlib import Path

import pytest

from workflow.lib import fingerprint as module
from workflow.lib.fingerprint import ROOT, fingerprint

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
    for cached in (module._pins, module._locate, module._module):
        cached.cache_clear()


def test_lists_modules_of_the_import_closure_and_pinned_packages(tree):
    names = [entry.partition("@")[0] for entry in fingerprint("workflow/scripts/a.py", tree)]
    assert names == [
        "numpy==2.0",
        "scikit-learn==1.5",
        "workflow/lib/far.py",
        "workflow/lib/near.py",
        "workflow/scripts/a.py",
    ]


def test_an_edit_reaches_importers_at_any_distance_and_nobody_else(tree):
    a, b = (fingerprint(f"workflow/scripts/{s}.py", tree) for s in "ab")
    write(tree, "workflow/lib/far.py", "import numpy as np\n\ndef g():\n    return -np.pi\n")
    assert fingerprint("workflow/scripts/a.py", tree) != a
    assert fingerprint("workflow/scripts/b.py", tree) == b


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\n\n\n\ndef g():\n    return np.pi\n",
        '"""Far."""\nimport numpy as np\n\ndef g():\n    """Pi."""\n    return np.pi  # 3.14\n',
        "import numpy as np\ndef g(): return (np.pi)\n",
    ],
)
def test_comments_docstrings_and_layout_mean_nothing(tree, text):
    before = fingerprint("workflow/scripts/a.py", tree)
    write(tree, "workflow/lib/far.py", text)
    assert fingerprint("workflow/scripts/a.py", tree) == before


@pytest.mark.parametrize("value", ["'3'", "3.0", "b'3'", "4", "-3", "3j", "None", "(3,)"])
def test_every_other_literal_means_something(tree, value):
    write(tree, "workflow/lib/far.py", "x = 3\n")
    before = fingerprint("workflow/scripts/a.py", tree)
    write(tree, "workflow/lib/far.py", f"x = {value}\n")
    assert fingerprint("workflow/scripts/a.py", tree) != before


def test_a_pin_counts_where_its_package_is_imported(tree):
    a, b = (fingerprint(f"workflow/scripts/{s}.py", tree) for s in "ab")
    write(tree, "envs/requirements.txt", FILES["envs/requirements.txt"].replace("2.1", "2.2"))
    assert fingerprint("workflow/scripts/a.py", tree) == a
    assert fingerprint("workflow/scripts/b.py", tree) != b


def test_relative_imports_are_refused_since_they_would_be_missed(tree):
    write(tree, "workflow/lib/far.py", "from . import other\n")
    with pytest.raises(ValueError, match=r"far.py:1"):
        fingerprint("workflow/scripts/a.py", tree)


def test_every_package_that_the_project_imports_is_known_to_be_pinned_or_standard():
    import ast
    import sys

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
        for rule in path.read_text().split("\nrule ")[1:]:
            name = rule.partition(":")[0]
            code = f'code=lambda w: fingerprint("workflow/scripts/{name}.py")'
            assert code in rule, f"{path}: {name}"
            assert f'"../scripts/{name}.py"' in rule, f"{path}: {name}"
