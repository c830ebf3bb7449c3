const data = JSON.parse(byId("data").textContent);
const images = JSON.parse(byId("images").textContent);
const total = data.ids.length;

// --- reading the columns ---

const decode = (column, i) => (column.codes ? column.values[column.codes[i]] : column.values[i]);
const cell = (name, i) => (data.columns[name] ? decode(data.columns[name], i) : undefined);
const question = (i) => data.questions[i].map((number) => data.pieces[number]).join("");
// What is asked, without the sentences before it and the list of options behind it.
const asked = (i) => question(i).split("\nOptions:")[0].match(/[^.?]*[.?]?\s*$/)[0].trim() || question(i);
const OUTCOMES = ["wrong", "right", "no answer"];
const outcome = (run, i) => OUTCOMES[data.runs[run].outcomes[i]];
const said = (run, i) => decode(data.runs[run].said, i);

const state = { run: 0, other: -1, words: "", item: -1, reveal: false };
const numbers = Array.from({ length: total }, (_, i) => i);
let texts = null; // made when first searched

function text(i) {
  texts ??= numbers.map((n) =>
    [data.ids[n], question(n), cell("answer", n), cell("subject", n), cell("source", n), cell("relation", n), ...(cell("structures", n) ?? [])]
      .join(" ").toLowerCase());
  return texts[i];
}

// --- filters ---

const hasPrior = numbers.some((i) => cell("prior_answer", i));
const properties = { outcome: ["wrong", "no answer", "right"] };
if (data.runs.length > 1) properties.change = ["only this run right", "only the other right", "both right", "both wrong"];
if (hasPrior) properties.prior = ["followed against the image", "resisted", "agrees with the image"];
Object.assign(properties, data.filters);

function change(i) {
  const [one, two] = [outcome(state.run, i), state.other < 0 ? undefined : outcome(state.other, i)];
  if (!two) return "";
  if (one === "right") return two === "right" ? "both right" : "only this run right";
  return two === "right" ? "only the other right" : "both wrong";
}

function prior(i) {
  const expected = cell("prior_answer", i);
  if (!expected) return "";
  if (expected === cell("answer", i)) return "agrees with the image";
  return said(state.run, i) === expected ? "followed against the image" : "resisted";
}

function read(i, name) {
  switch (name) {
    case "outcome": return outcome(state.run, i);
    case "change": return change(i);
    case "prior": return prior(i);
    case "structure": return cell("structures", i) ?? [];
    case "margin_mm": return cell("margin_group", i);
    default: return String(cell(name, i) ?? "");
  }
}

const filters = new Filters(byId("factors-form"), properties, read, () => changed());
for (const [number, run] of data.runs.entries()) {
  byId("run").append(make("option", { value: String(number) }, run.name));
  byId("other").append(make("option", { value: String(number) }, run.name));
}
byId("other").prepend(make("option", { value: "-1" }, "no other"));
byId("others").hidden = data.runs.length < 2;

for (const image of document.querySelectorAll("img[data-image]")) image.src = images[image.dataset.image];

// --- the list: only what is in sight is in the page ---

const list = byId("list");
const rows = new Map(); // position in `shown` -> element
let shown = [];

function rowHeight() {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
}

function imageOf(i, position) {
  const number = data.images[i][position];
  return number === undefined ? null : images[number];
}

function imagesDescribed(i, position) {
  const names = ["modality", "plane", "convention", "prompt", "input", "view"];
  return describe({ images: data.images[i], ...Object.fromEntries(names.map((name) => [name, cell(name, i)])) }, position);
}

function verdict(run, i) {
  const result = outcome(run, i);
  const signs = { right: "✓ right", wrong: "✗ wrong", "no answer": "∅ no answer" };
  return make("span", { className: `outcome ${result === "no answer" ? "none" : result}` }, signs[result]);
}

function makeRow(position) {
  const i = shown[position];
  const image = imageOf(i, 0)
    ? make("img", { src: imageOf(i, 0), alt: imagesDescribed(i, 0), decoding: "async" })
    : make("span", { className: "blank" }, "no image");
  const given = make("span", { className: "given" }, verdict(state.run, i));
  if (outcome(state.run, i) !== "right") given.append(` said: ${said(state.run, i) ?? decode(data.runs[state.run].status, i)} · right: ${cell("answer", i)}`);
  else given.append(` ${cell("answer", i)}`);
  if (cell("prior_answer", i)) given.append(` · prior: ${cell("prior_answer", i)}`);
  const where = ["modality", "plane", "prompt", "register", "convention", "frame", "view", "input", "stack_order"]
    .filter((name) => data.filters[name]).map((name) => cell(name, i)).filter(Boolean).join(" · ");
  const button = make("button", { type: "button", className: "item" }, image,
    make("span", { className: "text" }, make("span", { className: "asked" }, asked(i)), given, make("span", { className: "where" }, where)));
  button.dataset.position = position;
  button.addEventListener("click", () => openItem(i));
  const item = make("div", {}, button);
  item.setAttribute("role", "listitem");
  item.setAttribute("aria-setsize", String(shown.length));
  item.setAttribute("aria-posinset", String(position + 1));
  item.style.top = `${position * rowHeight()}px`;
  return item;
}

function draw() {
  const height = rowHeight();
  const first = Math.max(0, Math.floor(list.scrollTop / height) - 4);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / height) + 4);
  for (const [position, element] of rows) {
    const inSight = position >= first && position < last;
    if (inSight || element.contains(document.activeElement)) continue;
    element.remove();
    rows.delete(position);
  }
  for (let position = first; position < last; position += 1) {
    if (rows.has(position)) continue;
    const element = makeRow(position);
    rows.set(position, element);
    // In the order of the questions, which is the order of the tab key.
    const after = [...rows.keys()].filter((each) => each > position).sort((a, b) => a - b)[0];
    list.insertBefore(element, after === undefined ? null : rows.get(after));
  }
}

function redraw() {
  for (const element of rows.values()) element.remove();
  rows.clear();
  byId("height").style.height = `${shown.length * rowHeight()}px`;
  draw();
}

function focusRow(position) {
  if (position < 0 || position >= shown.length) return;
  const top = position * rowHeight();
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
  draw();
  rows.get(position).firstChild.focus({ preventScroll: true });
}

function show() {
  const found = finder(state.words);
  const run = data.runs[state.run];
  shown = filters.select(numbers, (i) => run.outcomes[i] !== "3" && (!state.words || found(text(i))));
  list.scrollTop = 0;
  redraw();
  byId("run").value = String(state.run);
  byId("other").value = String(state.other);
  const changes = byId("factors-form").querySelector("input[name=change]");
  if (changes) changes.closest("fieldset").hidden = state.other < 0;
  if (byId("search").value !== state.words) byId("search").value = state.words;
  const asked = [...run.outcomes].filter((each) => each !== "3").length;
  byId("count").textContent = `${shown.length.toLocaleString("en")} of ${asked.toLocaleString("en")} questions`;
  byId("empty").hidden = shown.length > 0;
  list.hidden = !shown.length;
}

// --- the address ---

function toHash(item) {
  const parameters = new URLSearchParams();
  if (state.run) parameters.set("run", data.runs[state.run].name);
  if (state.other >= 0) parameters.set("other", data.runs[state.other].name);
  filters.write(parameters);
  if (state.words) parameters.set("q", state.words);
  if (item >= 0) parameters.set("item", data.ids[item]);
  return parameters.toString();
}

function writeHash() {
  history.replaceState(null, "", `#${toHash(state.item)}`);
}

// Behind the # stands a view of the questions ("register=lay&item=..."), or the name of a part of the page ("effects").
function fromHash() {
  const hash = location.hash.slice(1);
  if (!hash.includes("=") || hash === toHash(state.item)) return;
  const parameters = new URLSearchParams(hash);
  const number = (name) => data.runs.findIndex((run) => run.name === parameters.get(name));
  state.run = Math.max(0, number("run"));
  state.other = number("other");
  state.words = parameters.get("q") ?? "";
  filters.take(parameters);
  show();
  const item = parameters.has("item") ? data.ids.indexOf(parameters.get("item")) : -1;
  if (item >= 0) openItem(item);
  else if (byId("detail").open) byId("detail").close();
  byId("questions").scrollIntoView();
}

function changed() {
  show();
  writeHash();
}

byId("run").addEventListener("change", (event) => {
  state.run = Number(event.target.value);
  changed();
});
byId("other").addEventListener("change", (event) => {
  state.other = Number(event.target.value);
  if (state.other < 0 && filters.chosen.change) filters.chosen.change.clear();
  changed();
});
byId("search").addEventListener("input", (event) => {
  state.words = event.target.value;
  changed();
});
byId("clear").addEventListener("click", () => {
  filters.clear();
  state.words = "";
  changed();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("questions").focus();
});
byId("close").addEventListener("click", () => byId("detail").close());
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
list.addEventListener("scroll", draw, { passive: true });
addEventListener("resize", redraw);
addEventListener("hashchange", fromHash);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  if (byId("detail").open) {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      step(event.key === "ArrowLeft" ? -1 : 1);
    }
    return;
  }
  const position = event.target.dataset?.position;
  if (position !== undefined && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    focusRow(Number(position) + (event.key === "ArrowDown" ? 1 : -1));
  }
});
searchBySlash(byId("search"));

if (matchMedia("(max-width: 52rem)").matches) byId("filters").open = false;
// At first, what went wrong.
filters.chosen.outcome = new Set(["wrong", "no answer"]);
show();
fromHash();
