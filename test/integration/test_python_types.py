"""The type hints of the Python package, as its users' mypy sees them (Debian's mypy)."""

import ast
import importlib
import inspect
import re
import subprocess
import sys

import pytest

from support.python_package import SOURCE, environment

pytestmark = pytest.mark.time_limit(180)  # mypy without a cache

USER = """
import asyncio
import nodebeat
import nodebeat.aio


def main() -> None:
    with nodebeat.Client(name="typed") as client:
        reveal_type(client.session_get("x"))
        for notice in client.events("a"):
            if isinstance(notice, nodebeat.Event):
                reveal_type(notice.channel)
        client.state_set("cell:x", 1, ack="stord")


async def other() -> None:
    async with nodebeat.aio.Client() as client:
        reveal_type(client.session_get("x"))
        reveal_type(await client.session_get("x"))
"""


def mypy(*args, cwd):
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", "/dev/null", *map(str, args)]
    env = environment(MYPYPATH=SOURCE)
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=170)


@pytest.mark.time_limit(120)
def test_the_package_is_typed_strictly(tmp_path):
    done = mypy("-p", "nodebeat", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.time_limit(120)
def test_a_users_program_is_checked_against_it(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    said = mypy("user.py", cwd=tmp_path).stdout
    revealed = [line.split("is ")[1].strip('"').replace("builtins.", "").replace("typing.", "")
                for line in said.splitlines() if "Revealed" in line]
    assert revealed == ["dict[str, Any]", "str", "Awaitable[dict[str, Any]]", "dict[str, Any]"], said
    assert said.count("error:") == 1 and "'stord'" in said, said


PUBLIC = ("nodebeat", "nodebeat.aio", "nodebeat.bus", "nodebeat.errors", "nodebeat.models", "nodebeat.sessions", "nodebeat.tatbot")


def undocumented(made):
    """The names of a class of the package, and of its methods and properties, that have no docstring of their own or inherited."""
    if not made.__doc__ or made.__doc__.startswith(f"{made.__name__}("):  # what a dataclass writes by itself
        yield made.__name__
    for name, member in vars(made).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function) and not inspect.getdoc(getattr(made, name)):
            yield f"{made.__name__}.{name}"


def test_all_that_a_program_may_use_is_documented():
    modules = [importlib.import_module(name) for name in PUBLIC]
    classes = {made for module in modules for name, made in vars(module).items()
               if not name.startswith("_") and inspect.isclass(made) and made.__module__.startswith("nodebeat")}
    assert len(classes) > 40
    assert not [name for made in classes for name in undocumented(made)]


def imports(path):
    """The modules of the package that a source imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nodebeat":
            inner = node.module.split(".")[1:2]
            found |= set(inner) or {name.name for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("nodebeat.")}
    return found


def test_modules_import_what_the_table_says():
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", (SOURCE / "README.md").read_text(), re.M)
    table = {module: set(words.replace(",", " ").split()) for module, words in rows}
    package = SOURCE / "nodebeat"
    sources = {path.stem: [path] for path in package.glob("*.py") if path.stem != "__init__"}
    sources["aio"] = list((package / "aio").glob("*.py"))
    assert table.keys() == sources.keys()
    above = set()
    for module, allowed in table.items():
        assert set().union(*map(imports, sources[module])) - {module} == allowed, module
        assert allowed <= above, f"{module} imports what is below it"
        above.add(module)
