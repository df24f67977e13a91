"use strict";
// Sorts and filters the tables that the page already holds. Rows are moved and hidden, never made
// anew: without scripts, in print and in the browser's own search the tables are whole, and no text
// of a cell passes through markup again (docs/report-page.md says why it is no library). Headings
// become buttons with aria-sort, after the sortable table of the ARIA Authoring Practices Guide.
(() => {
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function keyOf(cell) {
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.classList.contains("number") ? null : cell.textContent.trim();
  }

  // What has no number comes last, whichever way the others go.
  function compare(a, b, direction) {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
    return direction * order;
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    const original = [...body.rows];
    let sorted = null;

    function sort(column, direction) {
      const rows = original.map((row, index) => ({ row, index, key: keyOf(row.cells[column]) }));
      rows.sort((a, b) => compare(a.key, b.key, direction) || a.index - b.index);
      body.append(...rows.map((entry) => entry.row));
      for (const heading of headings) heading.removeAttribute("aria-sort");
      headings[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      sorted = { column, direction };
    }

    function unsort() {
      body.append(...original);
      for (const heading of headings) heading.removeAttribute("aria-sort");
      sorted = null;
    }

    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const first = heading.hasAttribute("data-largest-first") ? -1 : 1;
        sort(column, sorted?.column === column ? -sorted.direction : first);
      });
    });
    return { headings, sort, unsort };
  }

  function makeFilters(panel, table, sortable) {
    const fields = [...panel.querySelectorAll("[data-filter]")];
    const count = panel.querySelector("[data-count]");
    const reset = panel.querySelector("[data-reset]");
    const sorting = panel.querySelector("[data-sort]");
    const none = document.querySelector("[data-none]");
    const rows = [...table.tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.dataset.text.toLowerCase()]));

    function apply() {
      const wanted = fields.filter((field) => field.value.trim() !== "");
      let n = 0;
      for (const row of rows) {
        row.hidden = !wanted.every((field) => {
          const name = field.dataset.filter;
          if (name !== "text") return row.dataset[name] === field.value;
          const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
          return words.every((word) => texts.get(row).includes(word));
        });
        n += !row.hidden;
      }
      const all = `${rows.length} SAE${rows.length === 1 ? "" : "s"}`;
      count.textContent = wanted.length ? `${n} of ${all}` : all;
      reset.hidden = !wanted.length;
      none.hidden = n > 0;
    }

    function showAll() {
      for (const field of fields) field.value = "";
      apply();
    }

    for (const field of fields) field.addEventListener("input", apply);
    reset.addEventListener("click", () => {
      showAll();
      fields[0].focus();
    });
    const options = [new Option("as listed", "")];
    sortable.headings.forEach((heading, column) => {
      const name = heading.textContent.trim();
      const isText = !heading.classList.contains("number") && name !== "Checks";
      const ways = isText ? [["", 1]] : [[", largest first", -1], [", smallest first", 1]];
      for (const [words, way] of ways) {
        const shown = name === "Checks" ? (way < 0 ? "Checks, gravest first" : null) : name + words;
        if (shown) options.push(new Option(shown, `${column},${way}`));
      }
    });
    sorting.append(...options);
    sorting.addEventListener("change", () => {
      if (sorting.value) sortable.sort(...sorting.value.split(",").map(Number));
      else sortable.unsort();
    });
    panel.hidden = false;
    apply();
    table.addEventListener("show-all", showAll);
    // A browser that comes back to the page fills the fields in again, without a word to scripts; one
    // that kept the page itself kept its rows too.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) return;
      if (sorting.value) sortable.sort(...sorting.value.split(",").map(Number));
      apply();
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const sortable = makeSortable(table);
    const panel = document.querySelector(`.filters[data-for="${table.id}"]`);
    if (panel) makeFilters(panel, table, sortable);
  }
})();
