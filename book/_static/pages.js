// What the theme lacks for screen readers and the keyboard: names, as they are seen.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("summary > .toctree-toggle"))
    arrow.parentElement.setAttribute("aria-label", "Pages of this section");
  for (const button of document.querySelectorAll(".search-button-field"))
    button.setAttribute("aria-label", button.textContent.replace(/\s+/g, " ").trim());
  document.querySelectorAll("div.cell_output table.dataframe").forEach(mendTable);
  // The one page that is printed as a PDF would lead to files of the computer that printed it.
  if (DOCUMENTATION_OPTIONS.BUILDER === "html")
    document.querySelectorAll(".bd-article :is(div.cell_output, figure) img").forEach(linkFigure);
});

// A tap on a figure opens it alone, where a phone can enlarge it.
function linkFigure(image) {
  if (image.closest("a")) return;
  const link = document.createElement("a");
  link.href = image.src;
  link.title = "Open this figure alone, to enlarge it"; // its name is that of the figure
  image.replaceWith(link);
  link.append(image);
}

// pandas writes names of the index into a row of their own, and text like numbers.
function mendTable({ tHead, tBodies, rows }) {
  const [top, names] = tHead?.rows ?? [];
  const free = (cell, i) => !cell.textContent || !top.cells[i].textContent;
  if (tHead?.rows.length === 2 && top.cells.length === names.cells.length &&
      [...names.cells].every(free)) {
    [...names.cells].forEach((cell, i) => { top.cells[i].textContent ||= cell.textContent; });
    names.remove();
  }
  // Columns are counted from the right: on the left a cell may span several rows.
  const body = [...tBodies].flatMap(({ rows }) => [...rows]);
  const single = [...rows].filter(({ cells }) => [...cells].every((cell) => cell.colSpan === 1));
  const nth = ({ cells }, k) => cells[cells.length - k];
  for (let k = 1; body.some((row) => nth(row, k)); k++)
    if (body.some((row) => isText(nth(row, k)?.textContent ?? "")))
      for (const row of single) nth(row, k)?.classList.add("text");
}

// Whether there are letters, apart from those of "0.7 to 0.9", "3 of 4", "1e-05" and "NaN".
const isText = (text) => /\p{L}/u.test(text.replace(/\b(to|of|nan|none)\b|\de[-+]?\d/gi, ""));
