// Sorting and filtering of tables, the way from a cell to its runs, terms explained where they
// stand. Without it nothing is lost.
"use strict";

const text = (cell) => cell.textContent.trim();

// The number that a cell begins with, true minus signs and commas understood; NaN where none.
function number(cell) {
  const shown = cell.dataset.value ?? text(cell).replace(/−/g, "-").replace(/,/g, "");
  return parseFloat(shown);
}

// Numbers by size, the rest by name, empty cells and `not run` last; the row `none` stays on top.
function compare(column, sign) {
  return (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    const pinned = (row) => text(row.cells[0]) === "none";
    if (pinned(a) !== pinned(b)) return pinned(a) ? -1 : 1;
    const [m, n] = [number(x), number(y)];
    if (isNaN(m) !== isNaN(n)) return isNaN(m) ? 1 : -1;
    return sign * (isNaN(m) ? text(x).localeCompare(text(y)) : m - n);
  };
}

function sortable(table) {
  const heads = [...(table.tHead?.rows ?? [])].at(-1);
  const body = table.tBodies[0];
  if (!heads || !body || body.rows.length < 3) return;
  for (const [column, head] of [...heads.cells].entries()) {
    if (!text(head)) head.textContent = "row";
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.title = "sort by this column";
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "descending";
      for (const other of heads.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "ascending" : "descending");
      body.append(...[...body.rows].sort(compare(column, falls ? 1 : -1)));
    });
  }
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 8) return;
  const field = document.createElement("input");
  Object.assign(field, { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const own = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => own.includes(word));
    }
  });
  tools(table).append(field);
}

// The line above a table that holds its downloads and its filter.
function tools(table) {
  const place = table.closest(".table");
  const line = place.querySelector(".tools") ?? document.createElement("p");
  line.className = "tools";
  place.prepend(line);
  return line;
}

// Tables that the page itself makes, as CSV and LaTeX; those of summaries bring their own.
function savable(table) {
  const line = tools(table);
  if (line.querySelector("a[download]")) return;
  const parts = (cell) => [...cell.childNodes].map((node) => node.textContent.trim());
  const words = (cell) => parts(cell).filter(Boolean).join(" ").replace(/\s+/g, " ");
  const rows = [...table.rows].map((row) => [...row.cells].map(words));
  const quoted = (cell) => `"${cell.replace(/"/g, '""')}"`;
  const escaped = (cell) => cell.replace(/[&%$#_{}]/g, "\\$&");
  const lines = rows.map((row) => `${row.map(escaped).join(" & ")} \\\\`);
  const forms = {
    CSV: ["csv", rows.map((row) => row.map(quoted).join(",")).join("\r\n")],
    LaTeX: ["tex", [`\\begin{tabular}{${"l".repeat(rows[0].length)}}`, ...lines, "\\end{tabular}"].join("\n")],
  };
  const fold = table.closest("details")?.querySelector("summary").firstChild;
  const name = fold ? text(fold).toLowerCase() : table.closest("section").querySelector("h2").id;
  for (const [form, [ending, content]] of Object.entries(forms)) {
    const link = document.createElement("a");
    const href = `data:text/plain;charset=utf-8,${encodeURIComponent(content)}`;
    Object.assign(link, { href, download: `${name}.${ending}`, textContent: form });
    line.append(link, " ");
  }
}

// A cell links to `#model.arm.target`: every run behind it is marked, wherever it is folded away.
function follow() {
  const cell = decodeURIComponent(location.hash.slice(1));
  const rows = [...document.querySelectorAll("tr[data-cells]")];
  const own = rows.filter((row) => cell && row.dataset.cells.split(" ").includes(cell));
  for (const row of rows) row.classList.toggle("chosen", own.includes(row));
  for (const row of own) row.closest("details").open = true;
  own[0]?.scrollIntoView({ block: "center" });
}

// Each term of the section `terms` is explained where it first stands in another section.
function explain(part, meanings) {
  const unseen = new Map(meanings);
  const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node && unseen.size; node = walker.nextNode()) {
    if (node.parentElement.closest("a, button, code, h1, h2, summary, th")) continue;
    const names = [...unseen.keys()].sort((a, b) => b.length - a.length).join("|");
    const match = node.data.match(new RegExp(`(?<![\\w-])(?:${names})(?![\\w-])`, "i"));
    if (!match) continue;
    const own = node.splitText(match.index);
    own.splitText(match[0].length);
    const note = document.createElement("abbr");
    const term = match[0].toLowerCase();
    Object.assign(note, { tabIndex: 0, title: unseen.get(term) });
    own.replaceWith(note);
    note.append(own);
    unseen.delete(term);
    walker.currentNode = own; // what is next is the rest
  }
}

const meanings = new Map();
for (const term of document.querySelectorAll("#terms ~ dl dt"))
  meanings.set(term.textContent.toLowerCase(), term.nextElementSibling.textContent.replace(/\s+/g, " "));
for (const part of document.querySelectorAll("header.front, main section:not(:has(#terms))"))
  explain(part, meanings);
for (const table of document.querySelectorAll(".table table")) {
  savable(table);
  sortable(table);
  filterable(table);
}
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
follow();
