"use strict";
// Headings of sortable tables become buttons: first click ascending, second descending.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];

  const compare = (column, sign) => (first, second) => {
    const [a, b] = [first, second].map((row) => row.cells[column].dataset.key);
    if (a === b) return 0;
    if (a === "" || b === "") return a === "" ? 1 : -1;
    const numbers = [Number(a), Number(b)];
    if (!numbers.some(Number.isNaN)) return sign * (numbers[0] - numbers[1]);
    return sign * a.localeCompare(b, undefined, { numeric: true });
  };

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    if (!button.textContent.trim()) button.ariaLabel = `Sort by column ${column + 1}`;
    heading.append(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      body.append(...[...body.rows].sort(compare(column, ascending ? 1 : -1)));
    });
  });
}
