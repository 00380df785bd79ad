// Tables that sort by a click on a heading and, where they are long, have a filter.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  const LONG = 10; // rows from which a filter is of use

  // Numbers as they are printed: a real minus, a sign, what follows is left out.
  const keyOf = (cell) => {
    const text = (cell.dataset.sort ?? cell.textContent).trim().replace("−", "-");
    const number = Number.parseFloat(text.replace(/^[+<]/, ""));
    return { text, number };
  };

  const compared = (first, second) => {
    const [a, b] = [keyOf(first), keyOf(second)];
    const [noA, noB] = [Number.isNaN(a.number), Number.isNaN(b.number)];
    if (noA && noB) return a.text.localeCompare(b.text);
    if (noA || noB) return noA ? 1 : -1;
    return a.number - b.number || a.text.localeCompare(b.text);
  };

  const sort = (table, heading) => {
    const column = [...heading.parentElement.children].indexOf(heading);
    const rises = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rises ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const rows = [...body.rows];
      rows.sort((a, b) => compared(a.cells[column], b.cells[column]) * (rises ? 1 : -1));
      body.append(...rows);
    }
  };

  const addFilter = (table) => {
    const field = document.createElement("input");
    field.type = "search";
    field.className = "filter";
    field.placeholder = "filter rows";
    field.setAttribute("aria-label", "filter rows");
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/);
      for (const body of table.tBodies)
        for (const row of body.rows)
          row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
    });
    (table.closest(".scroll") ?? table).before(field);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      heading.tabIndex = 0;
      heading.title = "sort";
      heading.addEventListener("click", () => sort(table, heading));
      heading.addEventListener("keydown", (event) => {
        if (event.key === "Enter") sort(table, heading);
      });
    }
    const rows = [...table.tBodies].reduce((sum, body) => sum + body.rows.length, 0);
    if (rows >= LONG) addFilter(table);
  }

  // On paper everything is open, also what is folded away on a screen.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
