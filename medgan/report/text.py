"""A table for a terminal or a log."""

from medgan.report.html import Table, cell_text


def text_table(table: Table) -> str:
    """The table in columns of equal width, its caption below."""
    cells = [list(table.columns), *([cell_text(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:], "", table.caption])
