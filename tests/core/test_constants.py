"""Every tuned constant of core stands in docs/constants.md, with its value, and nothing else does."""

from __future__ import annotations

import ast
from pathlib import Path

import grnrep

CORE = Path(grnrep.__file__).parent / "core"
TABLE = Path(__file__).parents[2] / "docs" / "constants.md"


def _is_number(value: ast.expr) -> bool:
    """Whether an expression is made of numbers alone, or of several such under names of options."""
    match value:
        case ast.Constant():
            return isinstance(value.value, int | float) and not isinstance(value.value, bool)
        case ast.UnaryOp():
            return _is_number(value.operand)
        case ast.BinOp():
            return _is_number(value.left) and _is_number(value.right)
        case ast.Tuple() | ast.List():
            return bool(value.elts) and all(map(_is_number, value.elts))
        case ast.Dict():
            return bool(value.values) and all(map(_is_number, value.values))
    return False


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Names that a statement assigns, and their values; ``A, B = 1, 2`` has two."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            pairs = list(zip(names, values, strict=True))
        case ast.Assign(targets=[name], value=value) | ast.AnnAssign(target=name, value=value):
            pairs = [(name, value)]
        case _:
            pairs = []
    return [(n.id, v) for n, v in pairs if isinstance(n, ast.Name) and v is not None]


def constants(source: str) -> dict[str, str]:
    """Numbers that a module gives a name in capitals at its top level, as they are written."""
    body = ast.parse(source).body
    pairs = [pair for statement in body for pair in _assigned(statement)]
    return {n: ast.unparse(v) for n, v in pairs if n.isupper() and _is_number(v)}


def in_code() -> dict[str, str]:
    """All constants of core, by the dotted name below ``grnrep.core``."""
    found: dict[str, str] = {}
    for path in sorted(CORE.rglob("*.py")):
        module = ".".join(path.relative_to(CORE).with_suffix("").parts)
        found |= {f"{module}.{name}": value for name, value in constants(path.read_text()).items()}
    return found


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of a table whose first cell is code."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_what_counts_as_a_constant():
    source = (
        "A = 1e-3\n_B: Final = -2**3\nC, D = 1, (2, 3)\nE = {'tol': 0.1}\n"
        "F = 'x'\nG = A // 2\nH = True\nf = 3\ndef g():\n    I = 1\n"
    )
    expected = {"A": "0.001", "_B": "-2 ** 3", "C": "1", "D": "(2, 3)", "E": "{'tol': 0.1}"}
    assert constants(source) == expected


def test_every_constant_is_in_the_table_and_nothing_else_is():
    table = rows(TABLE.read_text())
    names, code = [row[0] for row in table], in_code()
    missing = [f"| `{name}` | `{code[name]}` | what it does | by hand |" for name in code]
    missing = [row for row, name in zip(missing, code, strict=True) if name not in names]
    gone = [name for name in names if name not in code]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not missing, "docs/constants.md lacks these rows:\n" + "\n".join(missing)
    assert not gone, "docs/constants.md has rows of constants that are not in core: " + str(gone)
    assert not twice, f"docs/constants.md has two rows of {twice}"


def test_rows_are_whole_and_have_the_values_of_the_code():
    code, table = in_code(), rows(TABLE.read_text())
    assert {len(row) for row in table} == {4}
    assert [row[0] for row in table if not all(row)] == []
    values = {name: ast.unparse(ast.parse(value)) for name, value, *_ in table}
    changed = {name: code[name] for name in code if values.get(name, code[name]) != code[name]}
    assert not changed, f"docs/constants.md has other values than the code: {changed}"
