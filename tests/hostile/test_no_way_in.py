"""No call in core or plugins turns data into code: the syntax trees are searched, and each exception has its reason."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in (ROOT / "mmsa_core", *(ROOT / "plugins").glob("*/mmsa_*"))
    for path in sorted(folder.rglob("*.py"))
    if "tests" not in path.relative_to(folder).parts
]
MODULES = {
    *(
        "pickle",
        "_pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "joblib",
        "marshal",
        "shelve",
        "subprocess",
        "pty",
        "code",
    ),
    *("codeop", "runpy", "imp", "ctypes", "cffi", "importlib", "multiprocessing", "pickletools"),
}
NAMES = {"eval", "exec", "compile", "__import__", "execfile"}
"""Of calls that stand alone: `model.eval()` and `re.compile` are others."""
ATTRIBUTES = {
    *("system", "popen", "execv", "execvp", "execve", "spawnl", "spawnv", "startfile", "import_module", "load_module"),
    *("exec_module", "from_string", "Unpickler", "read_pickle", "to_pickle", "unsafe_load", "full_load", "load_all"),
    *("unsafe_load_all", "full_load_all", "fromregex", "trust_remote_code", "load_library", "hub", "package"),
}
ALLOWED = {
    (
        "mmsa_core/execution/local.py",
        "multiprocessing",
    ): "jobs in processes of their own; they are sent what this process made",
    ("mmsa_core/datasets/unpickle.py", "pickle"): "an unpickler that gives no name of Python away, which has tests",
    ("mmsa_core/datasets/unpickle.py", "pickletools"): "lists the instructions of a pickle and runs none",
    ("mmsa_core/datasets/unpickle.py", "Unpickler"): "the base class of that unpickler",
    ("mmsa_core/datasets/recognition.py", "pickletools"): "lists the instructions of a pickle and runs none",
    ("mmsa_core/writers/mmsa_pickle.py", "pickle"): "writes pickles for other code; reads none",
    ("mmsa_core/writers/mult_pickle.py", "pickle"): "writes pickles for other code; reads none",
    ("mmsa_core/writers/mmsa_fet.py", "pickle"): "writes pickles for other code; reads none",
    (
        "mmsa_core/run_folder/source.py",
        "subprocess",
    ): "asks git for the commit of this code, with fixed arguments, no shell",
    ("mmsa_core/registry.py", "importlib"): "installed plugins: whoever installs a package has run its code already",
    ("mmsa_core/registry.py", "import_module"): "the module of the base classes, a literal",
    ("mmsa_core/registry.py", "from_string"): "entry points of installed distributions",
    (
        "mmsa_core/run_folder/lock.py",
        "multiprocessing",
    ): "wraps the lock's handle for processes of seeds; nothing is received",
    ("mmsa_core/doctor/asking.py", "subprocess"): "this Python with a module of core: a plugin may end its process",
    ("mmsa_core/recipes/installed.py", "importlib"): "where an installed package lies; imports nothing",
    ("mmsa_core/datasets/cmu_sdk.py", "importlib"): "whether an optional library is there, by a literal",
    ("mmsa_core/encoders/bert.py", "importlib"): "whether an optional library is there, by a literal",
    ("mmsa_core/plugins/installed.py", "from_string"): "looks whether an entry point is well-formed; loads nothing",
    ("mmsa_core/plugins/naming.py", "importlib"): "whether there is a module of a name without dots; imports nothing",
    ("mmsa_core/export/exported.py", "torch.export.load"): "pt2 files of which the caller says that they are trusted",
    ("mmsa_core/training/joining.py", "importlib"): "whether an optional library is there, by a literal",
    ("mmsa_core/export/formats.py", "importlib"): "whether optional libraries are there, by literals",
    ("mmsa_core/export/formats.py", "import_module"): "whether optional libraries are there, by literals",
    ("mmsa_core/__init__.py", "importlib"): "core's own modules, by a table of literals",
    ("mmsa_core/__init__.py", "import_module"): "core's own modules, by a table of literals",
    ("mmsa_core/run_folder/by_hand.py", "importlib"): "classes that a notebook registered, told by the first process",
    ("mmsa_core/run_folder/by_hand.py", "import_module"): "the same; nothing of a file comes there",
    ("mmsa_core/encoders/pretrained.py", "importlib"): "optional libraries, by literals",
    ("mmsa_core/encoders/pretrained.py", "import_module"): "optional libraries, by literals",
}
"""File and what it uses: why that is no way in."""


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def shell(call):
    """A keyword that hands a string to a shell, or trusts code in a folder."""
    return [
        k.arg
        for k in call.keywords
        if k.arg in ("shell", "trust_remote_code", "allow_pickle")
        and not (isinstance(k.value, ast.Constant) and k.value.value is False)
    ]


def uses(node):
    """What a node of a syntax tree uses that could run data."""
    found = [name.split(".")[0] for name in imported(node) if name.split(".")[0] in MODULES]
    found = [name for name in found if imported(node) not in (["importlib.resources"], ["importlib.metadata"])]
    if isinstance(node, ast.ImportFrom):
        found += [alias.name for alias in node.names if alias.name in ATTRIBUTES]
    if isinstance(node, ast.Name) and node.id in NAMES:
        found.append(node.id)
    if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
        found.append(node.attr)
    if isinstance(node, ast.Call):
        found += shell(node) + loads(node) + formats(node)
    return found


def loads(call):
    """`torch.load` that is not of weights alone, and YAML loaded in any other way than through a SafeLoader."""
    called = ast.unparse(call.func)
    keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
    if called.endswith("torch.load") and keywords.get("weights_only") != "True":
        return [called]
    if called.endswith(("np.load", "numpy.load")) and keywords.get("allow_pickle", "False") != "False":
        return [called]
    if called.endswith("export.load"):  # unpickles
        return [called]
    return [called] if called in ("yaml.load", "yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader") else []


def formats(call):
    """A format string that is no literal: `{0.__class__}` in it would reach into objects."""
    function = call.func
    named = isinstance(function, ast.Attribute) and function.attr in ("format", "format_map", "vformat")
    return [ast.unparse(function)] if named and not isinstance(function.value, ast.Constant) else []


def found():
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(tree(path)):
            for use in uses(node):
                yield name, use, node.lineno


def test_nothing_runs_data_but_what_is_allowed():
    assert len(SOURCES) > 200
    others = [f"{name}:{line}: {use}" for name, use, line in found() if (name, use) not in ALLOWED]
    assert not others, "\n".join(others)


def test_every_exception_is_still_needed():
    used = {(name, use) for name, use, _ in found()}
    assert not set(ALLOWED) - used


TABLED = {"mmsa_core/__init__.py", "mmsa_core/export/formats.py", "mmsa_core/run_folder/by_hand.py"}
"""Whose modules stand in tables of literals, or are told by the process that started this one."""


def test_modules_are_imported_by_literals_alone():
    for path in [path for path in SOURCES if path.relative_to(ROOT).as_posix() not in TABLED]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}"


def test_percent_formats_are_literals():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
                text = isinstance(node.right, ast.Tuple | ast.Dict)  # numbers are divided by one
                assert not text or isinstance(node.left, ast.Constant), f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "__import__(name)",
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.export.load(f)",
        "yaml.load(t, L)",
        "np.load(f, allow_pickle=True)",
        "name.format(1)",
        "AutoModel.from_pretrained(f, trust_remote_code=yes)",
        "importlib.import_module(x)",
        "from yaml import unsafe_load",
        "import importlib",
    ],
)
def test_the_search_finds_them(code):
    assert any(uses(node) for node in ast.walk(ast.parse(code)))
