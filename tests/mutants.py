"""Do the tests notice when a line is wrong? `make mutants`, or `python -m tests.mutants --folder consent --seed 7`.

A mutant is the source with one change: a comparison, an operand of `and` and `or`, a condition, a number, a sign, a
returned value. Each is made in a copy of the tree and meets the tests of its own folder; those that start processes are
left out where others are there, unless `--processes` is given. A mutant that passes them shows what no test holds: kill
it with a test, or name it in mutants-equivalent.txt with the reason for which nobody could see the difference.

It is a page of our own because neither mutmut (bodies of functions only, run by way of a trampoline that the gateway's
own processes don't have) nor cosmic-ray (one test command and one time-out for all, the tree changed in place) takes a
sample by seed or the tests of a module's own folder.
"""

import argparse
import ast
import importlib
import importlib.util
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).with_name("mutants-equivalent.txt")
NAMED = ("consent", "collect", "identity", "eventlog", "ledger", "deliver")
FOLDERS = {name: ([f"{name}/*.py"], [f"{name}/test_*.py"]) for name in NAMED} | {
    "erasure": (["visitors.py", "state/erasures.py", "*/erasing.py", "*/erasure.py"],
                ["state/test_erasures.py", "*/test_erasing.py", "identity/test_match.py", "identity/test_erasure.py"]),
}  # fmt: skip
"""The modules of each, and its tests."""
LIBRARIES = (
    "_hypothesis_pytestplugin", "pytest_asyncio", "pytest_timeout", "hypothesis.strategies", "msgspec", "apsw",
    "duckdb", "sqlalchemy.orm", "alembic.command", "structlog", "uvloop", "yaml", "typer", "rich.console",
    "cryptography",
)  # fmt: skip
"""Which take longer to import than most mutants live."""
MEMORY_BYTES = 4 << 30  # a mutant may never stop asking for more

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
SKIPPED = {"annotation", "returns", "decorator_list"}
"""Fields of nodes that nothing runs, or only the import."""


class Mutant(NamedTuple):
    folder: str
    path: str
    """Below src/firsthand."""
    number: int
    """Among those of its module."""
    line: int
    name: str
    """By which it may be named as equivalent; lines move."""

    def __str__(self) -> str:
        return f"src/firsthand/{self.path}:{self.line}: {self.name.partition(': ')[2]}"


def places(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str, int | None, str]]:
    """Where something may stand that can be changed: a node, its field, its place in it, and the function around it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("log.", "TypeVar")):
        return
    for field, value in ast.iter_fields(node):
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for place, child in children if field not in SKIPPED else ():
            if isinstance(child, ast.AST):
                yield node, field, place, function
                yield from places(child, function)


def changes(parent: ast.AST, field: str, old: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What may stand there instead, and how that is told where old and new don't tell it."""
    condition = (field == "test" and isinstance(parent, ast.If | ast.IfExp)) or field == "ifs"
    match old:
        # True and False, below, tell more of a whole condition than its opposite
        case ast.Compare(_, [ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]) if condition:
            pass
        case ast.UnaryOp(ast.Not()) if condition:
            pass
        case ast.Compare(left, operators, others):
            for place, operator in enumerate(operators):
                swapped: Any = [*operators[:place], SWAPS[type(operator)](), *operators[place + 1 :]]
                yield ast.Compare(left, swapped, others), ""
        case ast.BoolOp(operator, values):
            for place, value in enumerate(values):
                rest = values[:place] + values[place + 1 :]
                word = "and" if isinstance(operator, ast.And) else "or"
                new = ast.BoolOp(operator, rest) if len(rest) > 1 else rest[0]
                yield new, f"{word} {ast.unparse(value)} → (gone)"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand, ""
        case ast.BinOp(left, operator, right) if type(operator) in SWAPS:
            yield ast.BinOp(left, SWAPS[type(operator)](), right), ""
        case ast.Constant(bool(value)):
            yield ast.Constant(not value), ""
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1), ""
    if isinstance(old, ast.Constant):
        return
    if condition:
        yield ast.Constant(True), f"if {ast.unparse(old)} → if True"
    if condition or (field == "test" and isinstance(parent, ast.While)):
        yield ast.Constant(False), f"if {ast.unparse(old)} → if False"
    if isinstance(parent, ast.Return):
        yield ast.Constant(None), f"return {ast.unparse(old)} → return None"


def mutated(path: str) -> Iterator[tuple[int, str, ast.AST]]:
    """Each mutant of a module: its line, its name, and the module, which is whole again for the next."""
    tree = ast.parse((ROOT / "src/firsthand" / path).read_text())
    for parent, field, place, function in places(tree):
        held = getattr(parent, field)
        old = held if place is None else held[place]
        around = isinstance(parent, ast.expr | ast.keyword | ast.Return | ast.Assign)
        shown = isinstance(old, ast.Constant) and around and not isinstance(parent, ast.Dict | ast.Tuple | ast.List)
        for new, told in changes(parent, field, old):
            before = ast.unparse(parent if shown else old)
            setattr(parent, field, new if place is None else [*held[:place], new, *held[place + 1 :]])
            what = told or f"{before} → {ast.unparse(parent if shown else new)}"
            yield old.lineno, f"{path} {function}: {' '.join(what.split())}", tree
            setattr(parent, field, held)


def equivalent() -> dict[str, str]:
    """The names of mutants that nobody could tell from the original, and why: a line each, the reasons indented."""
    found: dict[str, str] = {}
    for line in EQUIVALENT.read_text().splitlines():
        if line.startswith(" "):
            found[list(found)[-1]] += line
        elif line and not line.startswith("#"):
            found[line] = ""
    return found


class Copy:
    """A copy of the tree in which the tests run, in processes that have the libraries already but nothing of ours."""

    def __init__(self, directory: Path, processes: bool) -> None:
        self.root = directory
        self._processes = processes
        self._time_outs: dict[str, float] = {}
        files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
        for name in filter(lambda name: (ROOT / name).is_file(), files.splitlines()):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
        for library in LIBRARIES:
            importlib.import_module(library)
        assert "firsthand" not in sys.modules, "the tests would not see the mutants"

    def meets(self, mutant: Mutant) -> tuple[str, str]:
        """What becomes of it: survived, killed or timed out, and by which test."""
        seconds = self._time_out(mutant.folder)
        first, *others = self._tests(mutant.folder, mutant.path)
        path = self.root / "src/firsthand" / mutant.path
        original = path.read_bytes()
        tree = next(tree for number, (_, _, tree) in enumerate(mutated(mutant.path)) if number == mutant.number)
        try:
            self._write(path, ast.unparse(ast.fix_missing_locations(tree)).encode())
            for tests in ([first], others):  # the others need not even be imported where the nearest kill
                code, output = self._pytest(tests, seconds) if tests else (0, "")
                if code is None:
                    return "timed out", ""
                if code:
                    killers = [line.split()[1] for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
                    return "killed", " ".join(killers[:1])
        finally:
            self._write(path, original)
        return "survived", ""

    def _time_out(self, folder: str) -> float:
        """Several times what the tests of the original take, which must pass."""
        if folder not in self._time_outs:
            began = time.monotonic()
            code, output = self._pytest(self._tests(folder, ""), 3600)
            assert code == 0, f"the tests of {folder} fail without any mutant:\n{output}"
            self._time_outs[folder] = 5 * (time.monotonic() - began) + 20
        return self._time_outs[folder]

    def _tests(self, folder: str, module: str) -> list[Path]:
        """Those of a folder, the nearest to a module first."""
        texts = {path: path.read_text() for glob in FOLDERS[folder][1] for path in (self.root / "tests").glob(glob)}
        alone = [path for path, text in texts.items() if "tests.gateway" not in text]
        name = Path(module).stem
        return sorted(
            texts if self._processes or not alone else alone,
            key=lambda path: (not name or name not in path.stem, -texts[path].count(f"{name} import"), path),
        )

    @staticmethod
    def _write(path: Path, source: bytes) -> None:
        path.write_bytes(source)
        Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)  # it goes by size and second

    def _pytest(self, tests: Sequence[Path], seconds: float) -> tuple[int | None, str]:
        """Its exit status, or None where it did not come to an end, and what it printed."""
        printed = self.root / "printed"
        pid = os.fork()
        if pid == 0:
            self._become_pytest(tests, printed)
        for end in (signal.SIGINT, signal.SIGKILL):  # on the first, tests put away what they started
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return code if end is signal.SIGINT else None, printed.read_text(errors="replace")
                time.sleep(0.02)
            os.killpg(pid, end)
            seconds = 20
        os.waitpid(pid, 0)
        return None, ""

    def _become_pytest(self, tests: Sequence[Path], printed: Path) -> NoReturn:
        code = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
            with printed.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            os.chdir(self.root)
            os.environ["PYTHONPATH"] = str(self.root / "src")
            sys.path[:0] = [str(self.root), str(self.root / "src")]
            sys.modules.pop("tests", None)
            hypothesis.settings.register_profile("few", max_examples=20)  # what only chance would find is not held
            hypothesis.settings.load_profile("few")
            options = ["-x", "-q", "--tb=short", "--hypothesis-seed=0", "-p", "no:cacheprovider", "-p", "no:xdist"]
            temporary = f"--basetemp={self.root / 'temporary'}"
            code = int(pytest.main([*options, temporary, "-W", "ignore:Module already imported", *map(str, tests)]))
        finally:
            os._exit(code)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--folder", action="append", choices=FOLDERS, help="only these; may be given several times")
    parser.add_argument("--match", default="", help='only those with this in their name, such as "decide.py _newest"')
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="another sample for each")
    parser.add_argument("--count", type=int, default=10**6, help="so many mutants at most")
    parser.add_argument("--seconds", type=float, default=600, help="begin no mutant after that")
    parser.add_argument("--processes", action="store_true", help="also the tests that start a gateway")
    parser.add_argument("--verbose", action="store_true", help="also say what was killed, and by which test")
    asked = parser.parse_args()

    known = equivalent()
    found = [
        Mutant(folder, path.relative_to(ROOT / "src/firsthand").as_posix(), number, line, name)
        for folder in asked.folder or FOLDERS
        for glob in FOLDERS[folder][0]
        for path in sorted((ROOT / "src/firsthand").glob(glob))
        for number, (line, name, _) in enumerate(mutated(path.relative_to(ROOT / "src/firsthand").as_posix()))
        if asked.match in name
    ]
    sample = random.Random(asked.seed).sample(found, len(found))
    sample = [mutant for mutant in sample if mutant.name not in known][: asked.count]
    paths, names = {mutant.path for mutant in found}, {mutant.name for mutant in found}
    for name in known:
        if not asked.match and name.partition(" ")[0] in paths and name not in names:
            print(f"no longer there, but in {EQUIVALENT.name}: {name}")
    print(f"seed {asked.seed}: {len(sample)} of {len(found)} mutants, {asked.seconds:g} seconds", flush=True)
    os.nice(10)
    became: Counter[tuple[str, str]] = Counter()
    deadline = time.monotonic() + asked.seconds
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Copy(Path(directory), asked.processes)
        for mutant in sample:
            if time.monotonic() > deadline:
                break
            what, by = copy.meets(mutant)
            became[mutant.folder, what] += 1
            if what != "killed" or asked.verbose:
                print(f"{what:9} {mutant} {by}".rstrip(), flush=True)
    for folder in asked.folder or FOLDERS:
        told = [f"{became[folder, what]} {what}" for what in ("killed", "timed out", "survived")]
        print(f"{folder:9} {', '.join(told)}")
    return 1 if any(what == "survived" for _, what in became) else 0


if __name__ == "__main__":
    sys.exit(main())
