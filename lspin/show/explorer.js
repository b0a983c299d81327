// The explorer of one page: it draws itself into the element before its script, from the data in it.
//
// The page carries the model's predictors, so an answer with other gates open is computed here, and
// is the model's own. Text of a table only ever becomes text nodes and attribute values.
"use strict";

const host = document.currentScript.previousElementSibling;
const data = JSON.parse(host.querySelector("script").textContent);
const root = host.attachShadow({ mode: "open" }); // no style of the page around it gets in
const { classes, names, features, cells } = data; // classes the model knows, all names of a class

// ---------------------------------------------------------------- numbers

function numbers(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function rowsOf(base64, width) {
  const all = numbers(base64);
  return Array.from({ length: all.length / width }, (_, i) => all.subarray(i * width, (i + 1) * width));
}

const values = rowsOf(data.values, features.length); // in their units, NaN where not measured
const typical = rowsOf(data.typical, features.length); // of each name: medians of training cells
const gated = rowsOf(data.gated, features.length * data.n_masks); // what open gates let through
const layers = data.layers.map((layer) => ({
  ...layer,
  weight: numbers(layer.weight),
  bias: numbers(layer.bias),
}));
const spikes = rowsOf(data.spikes, data.time_ms.length);
const typicalSpikes = rowsOf(data.typical_spikes, data.time_ms.length);

const round = (value) => String(Number(value.toPrecision(3)));
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const measured = (j, value) =>
  Number.isNaN(value) ? "not measured" : `${round(value)} ${features[j].unit}`.trim();
const axisLabel = (j) => features[j].label + (features[j].unit && ` (${features[j].unit})`);
const indexOfMax = (list) => list.indexOf(Math.max(...list));

// ---------------------------------------------------------------- the model

// One layer of predictor p: its weights are n_in rows of n_out.
function affine({ weight, bias, n_in, n_out }, p, row) {
  const out = Float64Array.from(bias.subarray(p * n_out, (p + 1) * n_out));
  row.forEach((value, i) => {
    if (value === 0) return; // a closed gate
    const start = (p * n_in + i) * n_out;
    for (let o = 0; o < n_out; o++) out[o] += value * weight[start + o];
  });
  return out;
}

// Class probabilities of a cell with these gates open: softmax of the predictors' mean logits.
function probabilities(i, open) {
  const logits = classes.map(() => 0);
  for (let p = 0; p < data.n_predictors; p++) {
    const mask = Math.floor((p * data.n_masks) / data.n_predictors); // the one it sits behind
    let row = Float64Array.from(features, (_, j) =>
      open.has(j) ? gated[i][mask * features.length + j] : 0);
    layers.forEach((layer, l) => {
      row = affine(layer, p, l === 0 ? row : row.map((value) => Math.max(0, value)));
    });
    row.forEach((value, c) => (logits[c] += value / data.n_predictors));
  }
  const exp = logits.map((value) => Math.exp(value - Math.max(...logits)));
  const sum = exp.reduce((a, b) => a + b);
  return exp.map((value) => value / sum);
}

const firstOpen = (i, n) => new Set(cells[i].order.slice(0, n)); // the last to close come first
const own = (i) => firstOpen(i, cells[i].n_open);

cells.forEach((cell, i) => {
  cell.probability = probabilities(i, own(i));
  cell.answer = classes[indexOfMax(cell.probability)];
  cell.right = cell.answer === cell.label ? "right" : "wrong";
  cell.title = `${cell.id}: ${cell.label}, answer ${cell.answer}`;
});

// ---------------------------------------------------------------- elements

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null)); // a string becomes a text node
  return node;
}
const make = (tag, attributes = {}, ...children) =>
  build(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const SHAPES = {
  o: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
  s: "M-4.5-4.5h9v9h-9z",
  "^": "M0-6l5.5 10h-11z",
  v: "M0 6l5.5-10h-11z",
  D: "M0-6l6 6l-6 6l-6-6z",
  P: "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
  X: "M-6-3l3-3l3 3l3-3l3 3l-3 3l3 3l-3 3l-3-3l-3 3l-3-3l3-3z",
};

// The sign of a class: its shape and colour, with a rim that shows on any background.
function sign(name, attributes = {}, ...children) {
  const [color, shape] = data.styles[name];
  return svg("path", { d: SHAPES[shape], fill: color, class: "sign", ...attributes }, ...children);
}
const named = (name) => [
  svg("svg", { viewBox: "-7 -7 14 14", class: "swatch", "aria-hidden": "true" }, sign(name)), name];

function fillSelect(select, groups, chosen) {
  select.replaceChildren(
    ...groups.flatMap(([label, options]) => {
      const made = options.map(([value, text]) => make("option", { value }, text));
      return label ? [make("optgroup", { label }, ...made)] : made;
    }));
  select.value = chosen;
}

const labelled = (text, control) => make("label", {}, make("span", {}, text), control);

// ---------------------------------------------------------------- scales

function scale(numbers, from, to) {
  const low = Math.min(...numbers);
  const span = Math.max(...numbers) - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function ticks(numbers, about = 6) {
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  const rough = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((multiple) => multiple * power >= rough) * power;
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, k) => Number(((first + k) * step).toPrecision(6)));
}

// Axes around the numbers: what to draw, and where a pair of numbers lies.
function frame(xs, ys, xLabel, yLabel, width, height) {
  const [left, right, top, bottom] = [52, width - 12, 12, height - 40];
  const x = scale(xs, left + 8, right - 8);
  const y = scale(ys, bottom - 8, top + 8);
  const middle = (top + bottom) / 2;
  const drawn = [
    svg("path", { d: `M${left} ${top}V${bottom}H${right}`, class: "axis" }),
    ...ticks(xs).map((t) =>
      svg("text", { x: x(t), y: bottom + 15, "text-anchor": "middle" }, String(t))),
    ...ticks(ys).map((t) =>
      svg("text", { x: left - 5, y: y(t) + 4, "text-anchor": "end" }, String(t))),
    svg("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle" }, yLabel),
  ];
  return { x, y, drawn, left, right, top, bottom };
}

// A bar from one percentage to another, on a scale of percentages.
const bar = (from, to, [low, high], attributes) =>
  svg("svg", { viewBox: `${low} 0 ${high - low} 12`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: Math.min(from, to), y: 1, width: Math.abs(to - from), height: 10, ...attributes }),
    svg("path", { d: "M0 0V12", class: "axis" }));

const line = (points, attributes) =>
  svg("path", { d: `M${points.map((point) => point.join(" ")).join("L")}`, ...attributes });

// ---------------------------------------------------------------- what is on the page

const state = { cell: data.selected, other: "", open: own(data.selected) };

const fields = [
  { name: "label", of: (cell) => cell.label },
  { name: "answer", of: (cell) => cell.answer },
  { name: "right or wrong", of: (cell) => cell.right },
  ...data.metadata.map((name, k) => ({ name, of: (cell) => cell.metadata[k] || "unknown" })),
];
for (const field of fields) {
  field.values = [...new Set(cells.map(field.of))].sort();
  field.select = make("select", { onchange: filterCells });
  fillSelect(field.select, [["", [["", "any"], ...field.values.map((v) => ["=" + v, v])]]], "");
}
const usefulFields = fields.filter((field) => field.values.length > 1);

const cellSelect = make("select", { onchange: () => choose(Number(cellSelect.value)) });
const otherSelect = make("select", { onchange: () => compare(otherSelect.value) });
const step = (by) => () => {
  const listed = Array.from(cellSelect.options, (option) => Number(option.value));
  const at = listed.indexOf(state.cell);
  if (listed.length) choose(listed[(at + by + listed.length) % listed.length]);
};
const filterSummary = make("summary");
const axisSelects = data.axes.length < 2 ? [] : [0, 1].map((k) => {
  const select = make("select", { onchange: drawScatter });
  const sorted = data.axes.map((j) => [j, axisLabel(j)]).sort((a, b) => a[1].localeCompare(b[1]));
  fillSelect(select, [["", sorted]], data.axes[k]);
  return select;
});
const scatter = make("div", { class: "figure" });
const scatterNote = make("p", { class: "note" });
const status = make("p", { role: "status" });
const facts = make("p", { class: "note" });
const probabilityHead = make("tr");
const probabilityRows = make("tbody");
const slider = make("input", {
  type: "range", min: 0, step: 1,
  oninput: () => setOpen(firstOpen(state.cell, Number(slider.value))),
});
const sliderLabel = make("span");
const sliderNote = make("p", { class: "note" });
const path = make("div", { class: "figure" });
const effectHead = make("th", { scope: "col", class: "effect" });
const gateRows = make("tbody");
const trace = make("div", { class: "figure" });

root.append(
  make("style", {}, data.css),
  make("section", { "aria-label": "Explorer of cells and their gates" },
    make("div", { class: "controls" },
      labelled("Cell", cellSelect),
      make("div", { class: "buttons" },
        make("button", { type: "button", onclick: step(-1) }, "Previous cell"),
        make("button", { type: "button", onclick: step(1) }, "Next cell")),
      labelled("Compare with", otherSelect)),
    make("details", {}, filterSummary,
      make("div", { class: "controls" },
        ...usefulFields.map((field) => labelled(field.name, field.select)))),
    make("div", { class: "columns" },
      make("div", {},
        ...(axisSelects.length ? [
          make("p", { class: "head" }, "Cells: click one"), scatter, scatterNote,
          make("div", { class: "controls" },
            labelled("Across", axisSelects[0]), labelled("Up", axisSelects[1]))] : []),
        make("p", { class: "head" }, "Spike"), trace),
      make("div", {},
        make("p", { class: "head" }, "Answer"), status, facts,
        make("table", {},
          make("caption", { class: "hidden" }, "Class probabilities"),
          make("thead", {}, probabilityHead), probabilityRows),
        make("p", { class: "head" }, "Close gates one at a time"),
        make("label", { class: "slider" }, sliderLabel, slider),
        make("div", { class: "buttons" },
          make("button", { type: "button", onclick: () => setOpen(own(state.cell)) },
            "As the model set them")),
        sliderNote, path,
        make("p", { class: "head" }, "Gates: the last to close comes first"),
        make("table", { class: "gates" },
          make("caption", { class: "hidden" }, "Gates of the cell"),
          make("thead", {}, make("tr", {},
            make("th", { scope: "col" }, "open, and what was measured"), effectHead)),
          gateRows),
        make("p", { class: "note" }, "SD: standard deviations from the mean of the training cells. " +
          "Where a gate is closed, that mean takes the place of the measurement."))),
    make("p", { class: "note" }, `Labels: ${data.labels}. ${data.source}`)));

// ---------------------------------------------------------------- what happens

function matching() {
  return cells.map((_, i) => i).filter((i) =>
    fields.every(({ select, of }) => !select.value || select.value === "=" + of(cells[i])));
}

function filterCells() {
  const shown = matching();
  filterSummary.textContent = `Filter (${shown.length} of ${cells.length} cells shown)`;
  const ofClass = (name) => shown.filter((i) => cells[i].label === name);
  const groups = names.map((name) => [name, ofClass(name).map((i) => [i, cells[i].title])]);
  fillSelect(cellSelect, groups.filter(([, options]) => options.length), state.cell);
  cellSelect.disabled = !shown.length;
  if (shown.length && !shown.includes(state.cell)) choose(shown[0]);
  else drawScatter();
}

function choose(i) {
  state.cell = i;
  cellSelect.value = i;
  slider.max = cells[i].order.length;
  drawScatter();
  drawTrace();
  makeGateRows();
  setOpen(own(i));
}

function compare(value) {
  state.other = value;
  drawScatter();
  drawTrace();
  makeGateRows();
  setOpen(state.open);
}

function setOpen(open) {
  state.open = open;
  const cell = cells[state.cell];
  const now = probabilities(state.cell, open);
  const said = indexOfMax(now);
  const n = `${open.size} open gate${open.size === 1 ? "" : "s"}`;
  slider.value = open.size;
  slider.setAttribute("aria-valuetext", `${n} of ${cell.order.length}`);
  sliderLabel.textContent = `Open gates: ${open.size}`;
  sliderNote.textContent = data.is_closing
    ? `The model leaves ${cell.n_open} open. Further right are the gates that it closed last.`
    : `The model leaves ${cell.n_open} open. Those with the least effect close first.`;
  status.textContent =
    `Cell ${cell.id}, labelled ${cell.label}: with ${n} the answer is ${classes[said]} ` +
    `(${percent(now[said])}), which is ${classes[said] === cell.label ? "right" : "wrong"}.`;
  drawProbabilities(now);
  drawPath();
  updateGateRows(now, said);
}

// ---------------------------------------------------------------- drawing

// What the cell is compared with: null, a cell or a class, by the same names.
function compared() {
  const [kind, key] = [state.other[0], state.other.slice(1)];
  if (kind === "#") {
    const i = Number(key);
    const open = own(i);
    return {
      name: `cell ${cells[i].id}`,
      probability: cells[i].probability,
      spike: cells[i].spike === null ? null : spikes[cells[i].spike],
      gate: (j) => `${measured(j, values[i][j])}, ${open.has(j) ? "open" : "closed"}`,
    };
  }
  if (!kind) return null;
  const c = kind === "=" ? names.indexOf(cells[state.cell].label) : Number(key);
  const members = cells.map((_, i) => i).filter((i) => cells[i].label === names[c]);
  const mean = (f) => members.reduce((sum, i) => sum + f(i), 0) / members.length;
  return {
    name: `class ${names[c]}`,
    probability: classes.map((_, k) => mean((i) => cells[i].probability[k])),
    spike: data.has_typical_spike[c] ? typicalSpikes[c] : null,
    gate: (j) => `median ${measured(j, typical[c][j])}, open in ` +
      `${Math.round(100 * mean((i) => own(i).has(j)))} % of its cells here`,
  };
}

function drawScatter() {
  if (!axisSelects.length) return;
  const [jx, jy] = axisSelects.map((select) => Number(select.value));
  const at = (i) => [values[i][jx], values[i][jy]];
  const has = (i) => !at(i).some(Number.isNaN);
  const all = cells.map((_, i) => i).filter(has); // so that axes stay when a filter is set
  const { x, y, drawn } = frame(
    all.map((i) => at(i)[0]), all.map((i) => at(i)[1]), axisLabel(jx), axisLabel(jy), 360, 300);
  const place = (i) => [x(at(i)[0]), y(at(i)[1])];
  const shown = matching();
  const dots = shown.filter(has);
  const ring = (i, style) => has(i)
    ? [svg("circle", { cx: place(i)[0], cy: place(i)[1], r: 11, class: `ring ${style}` })] : [];
  const picture = svg("svg", {
    viewBox: "0 0 360 300", role: "img", class: "scatter",
    "aria-label": `Scatter of ${dots.length} cells, ${axisLabel(jx)} across and ${axisLabel(jy)} ` +
      "up. The list of cells chooses the same cells.",
  },
    ...drawn,
    ...dots.map((i) => sign(cells[i].label,
      { transform: `translate(${place(i).join(" ")})` }, svg("title", {}, cells[i].title))),
    ...ring(state.cell, "chosen"),
    ...(state.other[0] === "#" ? ring(Number(state.other.slice(1)), "other") : []));
  picture.addEventListener("click", (event) => {
    const mouse = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(picture.getScreenCTM().inverse());
    const away = dots.map((i) => Math.hypot(place(i)[0] - mouse.x, place(i)[1] - mouse.y));
    if (dots.length) choose(dots[away.indexOf(Math.min(...away))]);
  });
  scatter.replaceChildren(picture, make("p", { class: "legend", "aria-hidden": "true" },
    ...names.map((name) => make("span", {}, ...named(name)))));
  const without = shown.length - dots.length;
  scatterNote.textContent = without
    ? `${without} cells lack one of these measurements: they are in the list only.` : "";
}

function drawProbabilities(now) {
  const other = compared();
  const { probability } = cells[state.cell];
  const cell = cells[state.cell];
  const known = data.metadata.map((name, k) => cell.metadata[k] && `${name} ${cell.metadata[k]}`);
  facts.textContent = known.filter(Boolean).join("; ");
  const heads = ["class", "", "now", "own gates", ...(other ? [other.name] : [])];
  probabilityHead.replaceChildren(
    ...heads.map((text) => text ? make("th", { scope: "col" }, text) : make("td")));
  probabilityRows.replaceChildren(...classes.map((name, c) =>
    make("tr", {},
      make("th", { scope: "row" }, ...named(name)),
      make("td", { class: "bar" }, bar(0, 100 * now[c], [0, 100],
        { fill: data.styles[name][0], class: "sign" })),
      ...[now, probability, ...(other ? [other.probability] : [])].map((shares) =>
        make("td", { class: "number" }, percent(shares[c]))))));
}

function drawPath() {
  const counts = cells[state.cell].order.map((_, k) => k);
  counts.push(counts.length);
  const curves = counts.map((n) => probabilities(state.cell, firstOpen(state.cell, n)));
  const { x, y, drawn, top, bottom } =
    frame(counts, [0, 1], "open gates", "probability", 360, 200);
  const c = indexOfMax(cells[state.cell].probability);
  path.replaceChildren(svg("svg", {
    viewBox: "0 0 360 200", role: "img",
    "aria-label": `Probability of ${classes[c]} with 0, 1, 2 and more open gates: ` +
      curves.map((curve) => percent(curve[c])).join(", "),
  },
    ...drawn,
    line([[x(state.open.size), top], [x(state.open.size), bottom]], { class: "mark" }),
    ...classes.flatMap((name, k) => [
      line(counts.map((n) => [x(n), y(curves[n][k])]), { class: "curve" }),
      ...counts.map((n) => sign(name,
        { transform: `translate(${x(n)} ${y(curves[n][k])}) scale(0.6)` }))])));
}

let boxes = []; // of the gate rows, in the cell's order

function makeGateRows() {
  const i = state.cell;
  const cell = cells[i];
  const other = compared();
  boxes = cell.order.map((j, k) => {
    const box = make("input", { type: "checkbox", onchange: () => {
      const open = new Set(state.open);
      box.checked ? open.add(j) : open.delete(j);
      setOpen(open);
    } });
    const partly = cell.gates[k] > 0 && cell.gates[k] < 1 ? `, gate ${round(cell.gates[k])}` : "";
    const effect = make("td", { class: "effect" });
    const row = make("tr", {},
      make("th", { scope: "row" },
        make("label", {}, box, make("span", {}, features[j].label)),
        make("span", { class: "value" },
          `${measured(j, values[i][j])} (${cell.z[k] < 0 ? "" : "+"}${cell.z[k]} SD${partly})`),
        other && make("span", { class: "value" }, `${other.name}: ${other.gate(j)}`)),
      effect);
    return { j, box, effect, row };
  });
  gateRows.replaceChildren(...boxes.map(({ row }) => row));
}

function updateGateRows(now, said) {
  const loss = (j) => {
    const without = new Set(state.open);
    without.delete(j);
    return 100 * (now[said] - probabilities(state.cell, without)[said]);
  };
  const losses = boxes.map(({ j }) => (state.open.has(j) ? loss(j) : 0));
  const reach = [10, 25, 50, 100].find((most) => Math.max(...losses.map(Math.abs)) <= most);
  effectHead.textContent =
    `${classes[said]} loses without it (percentage points; bars up to ${reach})`;
  boxes.forEach(({ j, box, effect, row }, k) => {
    box.checked = state.open.has(j);
    row.className = box.checked ? "" : "closed";
    effect.replaceChildren(...(box.checked
      ? [bar(0, losses[k], [Math.min(0, ...losses), reach], { class: "lost" }),
        `${losses[k] < 0 ? "" : "+"}${losses[k].toFixed(1)}`]
      : ["closed"]));
  });
}

function drawTrace() {
  const other = compared();
  const cell = cells[state.cell];
  const mine = cell.spike === null ? null : spikes[cell.spike];
  const drawnSpikes = [[mine, "", `cell ${cell.id}`], [other && other.spike, "dashed", other && other.name]]
    .filter(([spike]) => spike);
  const lacking = mine ? "" : `There is no spike waveform of cell ${cell.id}.`;
  if (!drawnSpikes.length) {
    trace.replaceChildren(make("p", { class: "note" },
      spikes.length ? lacking : "There are no spike waveforms of these cells."));
    return;
  }
  const { x, y, drawn } = frame(data.time_ms, drawnSpikes.flatMap(([spike]) => [...spike]),
    "time from peak (ms)", "voltage (mV)", 360, 220);
  trace.replaceChildren(
    svg("svg", {
      viewBox: "0 0 360 220", role: "img",
      "aria-label": `Spike of ${drawnSpikes.map(([, , name]) => name).join(" and, dashed, of ")}`,
    },
      ...drawn,
      ...drawnSpikes.map(([spike, style]) =>
        line(data.time_ms.map((t, k) => [x(t), y(spike[k])]), { class: `spike ${style}` }))),
    make("p", { class: "note" }, lacking + drawnSpikes.map(([, style, name]) =>
      ` ${style ? "Dashed" : "Solid"}: ${name}${name.startsWith("class") ? ", median" : ""}.`).join("")));
}

fillSelect(otherSelect, [
  ["", [["", "nothing"], ["=", "its own class"]]],
  ["class", names.map((name, c) => [`:${c}`, name]).filter(([, name]) =>
    cells.some((cell) => cell.label === name))],
  ["cell", cells.map((cell, i) => [`#${i}`, cell.title])],
], "");
filterCells();
choose(state.cell);
