"""Write every notebook from its .py: without outputs, and the same bytes every time."""

from pathlib import Path

import jupytext
import nbformat

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main() -> None:
    """Write the .ipynb beside each numbered .py."""
    for script in sorted(Path(__file__).parent.glob("[0-9]*.py")):
        notebook = jupytext.read(script)
        for number, cell in enumerate(notebook.cells):
            tags = cell.metadata.get("tags")
            cell.metadata = nbformat.NotebookNode({"tags": tags} if tags else {})
            cell.id = f"cell-{number}"
        notebook.metadata = nbformat.NotebookNode(
            jupytext={"formats": "ipynb,py:percent"},
            kernelspec=KERNEL,
            language_info={"name": "python"},
        )
        nbformat.validate(notebook)
        nbformat.write(notebook, script.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
