// Sorting and filters for tables that are complete without them. Plain script: it works from disk.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// "62.3 ± 1.9" -> 62.3, "+1.2 [..]" -> 1.2, "4,101" -> 4101; NaN where a cell starts with no number
function number(text) {
  const match = text.trim().replace(/[−–]/g, "-").replace(/,(?=\d{3})/g, "").match(/^[+-]?\d+(\.\d+)?/);
  return match ? Number(match[0]) : NaN;
}

function compare(a, b, numeric, sign) {
  if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
  const [x, y] = [number(a), number(b)];
  if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y); // cells without a number last, either way
  return sign * (x - y);
}

// a published row and the rows below it, such as what was measured, stay together
function groups(body) {
  const found = [], led = body.querySelector("tr.published") !== null;
  for (const row of body.rows) {
    if (led && !row.classList.contains("published") && found.length) found.at(-1).push(row);
    else found.push([row]);
  }
  return found;
}

function sortable(table) {
  const body = table.tBodies[0], heads = all("thead tr:last-child th", table);
  if (!body || body.rows.length < 2) return;
  const original = groups(body);
  heads.forEach((head, column) => {
    const cell = (group) => group[0].cells[column].textContent.trim();
    const filled = original.map(cell).filter((text) => text && text !== "-");
    const numeric = filled.length > 0 && filled.every((text) => !isNaN(number(text)));
    const orders = numeric ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = orders[(orders.indexOf(head.getAttribute("aria-sort") ?? "") + 1) % 3];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const sorted = order ? [...original].sort((a, b) => compare(cell(a), cell(b), numeric, sign)) : original;
      body.append(...sorted.flat());
    });
  });
}

// A form's fields filter what stands in its `main`: a row, section or cell says data-method, data-target, ...
function filterable(form) {
  const fields = all("select, input[type=search]", form), state = form.querySelector("output");
  const rows = all("main tbody tr").filter((row) => row.closest("[data-filtered]"));
  const cells = all("main [data-filtered] th[data-target], main [data-filtered] td[data-target]");
  const apply = () => {
    const chosen = fields.filter((field) => field.type !== "search" && field.value);
    const words = fields.filter((field) => field.type === "search").flatMap((field) => field.value.toLowerCase().split(/\s+/));
    const fits = (node) => chosen.every((field) => !node.hasAttribute(`data-${field.name}`) || node.getAttribute(`data-${field.name}`) === field.value);
    const says = (row) => words.every((word) => row.textContent.toLowerCase().includes(word));
    for (const table of new Set(rows.map((row) => row.closest("table")))) {
      for (const group of groups(table.tBodies[0])) {
        const kept = group.every(fits) && (words.join("") === "" || group.some(says));
        for (const row of group) row.hidden = !kept;
      }
    }
    for (const cell of cells) cell.hidden = !fits(cell);
    for (const part of all("[data-filtered]")) part.hidden = !all("tbody tr", part).some((row) => !row.hidden);
    state.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}

// tables of a paper: the groups of columns are targets, and every table is filtered by itself
function labelled(paper) {
  for (const table of all("table", paper)) {
    table.closest(".scroll").setAttribute("data-filtered", "");
    let column = 0;
    for (const head of table.tHead.rows.length > 1 ? table.tHead.rows[0].cells : []) {
      const span = head.colSpan, target = head.textContent.trim();
      if (target) {
        const own = [...table.rows].slice(1).flatMap((row) => [...row.cells].slice(column, column + span));
        for (const cell of [head, ...own]) cell.setAttribute("data-target", target);
      }
      column += span;
    }
  }
  for (const select of all("select[data-fill]")) {
    const found = new Set(all(`th[data-${select.name}]`, paper).map((head) => head.getAttribute(`data-${select.name}`)));
    for (const name of found) select.add(new Option(name, name));
    select.closest("label").hidden = found.size < 2;
  }
}

all(".paper").forEach(labelled);
all(".scroll table").forEach(sortable);
all("form.filters").forEach(filterable);
