"""Tables for papers, in LaTeX with booktabs."""

from collections.abc import Iterable

from mmsa_core.report.blocks import Row, Table, shown

SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "…": r"\ldots{}",
    "[": "{[}",  # after \\ or a command a bracket would be its argument
    "]": "{]}",
}
HEADER = r"""% needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotation marks
"""


def table(found: Table) -> str:
    r"""A `table` environment: caption above, `\label{tab:NAME}`, a rule between groups of rows, notes below."""
    align = "".join("r" if column.numeric else "l" for column in found.columns)
    lines = [r"\begin{table}", r"  \centering", rf"  \caption{{{escaped(found.caption)}}}"]
    lines += [rf"  \label{{tab:{found.name}}}", rf"  \begin{{tabular}}{{{align}}}", r"    \toprule"]
    lines.append(_line(column.title for column in found.columns))
    for group in found.groups:
        lines += [r"    \midrule", *(_row(row) for row in group)]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip\footnotesize {escaped(note)}" for note in found.notes]
    return HEADER + "\n".join([*lines, r"\end{table}"]) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    return "".join(SIGNS.get(sign, sign) for sign in " ".join(text.split()))


def _row(row: Row) -> str:
    return _line(map(shown, row))


def _line(cells: Iterable[str]) -> str:
    return "    " + " & ".join(map(escaped, cells)) + r" \\"
