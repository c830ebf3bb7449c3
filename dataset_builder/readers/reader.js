const data = JSON.parse(byId("data").textContent);
const KEY = `mis-ground-reader-${data.page}`;
const items = data.items;

// --- what is kept: in the browser's storage, by the page's hash ---

const state = { reader: data.reader, at: 0, started: "", answers: {}, seconds: {} };

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    notice("This browser keeps nothing when the page is closed: export your answers before you leave.");
  }
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (!kept || typeof kept.answers !== "object") return;
    const known = new Set(items.map((item) => item.id));
    Object.assign(state, kept);
    state.answers = Object.fromEntries(Object.entries(kept.answers).filter(([id]) => known.has(id)));
    state.at = Math.min(items.length - 1, Math.max(0, Math.trunc(kept.at) || 0));
  } catch { /* nothing was kept, or it cannot be read */ }
}

const answered = () => items.filter((item) => state.answers[item.id]).length;

// --- the clock: runs while a question is on the screen ---

let since = null;

function startClock() { since = document.hidden || byId("ask").hidden ? null : performance.now(); }

function stopClock() {
  if (since === null) return;
  const { id } = items[state.at];
  state.seconds[id] = (state.seconds[id] ?? 0) + (performance.now() - since) / 1000;
  since = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) { stopClock(); save(); } else startClock();
});
addEventListener("pagehide", () => { stopClock(); save(); });

// --- screens ---

const viewer = new Viewer(byId("canvas"), JSON.parse(byId("slices").textContent), JSON.parse(byId("images").textContent), showView, drew);

function screen(name) {
  stopClock();
  for (const each of ["start", "ask", "end"]) byId(each).hidden = each !== name;
  save();
}

function openStart() {
  screen("start");
  const done = answered();
  byId("about").textContent = `${items.length} questions about medical images, one on a screen` + (done ? `; ${done} are answered.` : ".");
  byId("go").textContent = done ? "Resume" : "Begin";
  byId("name").value = state.reader;
  for (const name of ["export-early", "anew"]) byId(name).hidden = !done;
  byId("anew").textContent = "Delete these answers and begin anew";
}

byId("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  state.reader = byId("name").value.trim();
  if (!state.reader) return;
  state.started ||= new Date().toISOString();
  ask(state.at);
});

byId("anew").addEventListener("click", () => {
  if (byId("anew").textContent.startsWith("Delete")) { byId("anew").textContent = "Yes, delete them"; return; }
  Object.assign(state, { at: 0, started: "", answers: {}, seconds: {} });
  openStart();
});

function ask(at) {
  stopClock();
  state.at = at;
  screen("ask");
  const item = items[at];
  byId("progress").textContent = `Question ${at + 1} of ${items.length}`;
  byId("question").textContent = item.question;
  byId("back").disabled = at === 0;
  byId("next").textContent = at === items.length - 1 ? "Finish" : "Next";
  byId("problem").hidden = true;
  byId("unanswerable").setAttribute("aria-expanded", "false");
  byId("viewer").hidden = !item.images.length;
  const place = ["box", "point"].includes(item.answer_type);
  byId("tool-draw").hidden = !place;
  useTool(place ? "draw" : "move");
  showAnswers(item);
  showAnswered();
  byId("canvas").setAttribute("aria-label", `${item.plane} ${item.modality === "ct" ? "CT" : "MRI"} image`);
  viewer.show(item).then(() => {
    if (viewer.item !== item) return;
    byId("canvas").dataset.ready = item.id;
    const kept = state.answers[item.id];
    if (place && kept?.values) viewer.mark = { image: kept.image ?? 0, numbers: kept.values };
    if (place && kept?.image) viewer.go(kept.image);
    setUpSliders(item);
    viewer.draw();
  }, () => notice("An image cannot be shown: this page needs a browser of 2023 or later."));
  startClock();
}

// --- the image's controls ---

function useTool(name) {
  viewer.tool = name;
  document.querySelector(`input[name=tool][value=${name}]`).checked = true;
  byId("viewer").classList.toggle("drawing", name === "draw");
}

for (const radio of document.querySelectorAll("input[name=tool]")) radio.addEventListener("change", () => useTool(radio.value));

function setUpSliders(item) {
  const many = item.images.length > 1;
  byId("stack-row").hidden = !many;
  byId("stack").max = item.images.length;
  byId("window-row").hidden = byId("tool-window").hidden = !viewer.hasSlice;
  if (!viewer.hasSlice) return;
  let [low, high] = [Infinity, -Infinity];
  for (const { values } of item.images) for (const value of values.values) { if (value < low) low = value; if (value > high) high = value; }
  [low, high] = [Math.min(low, item.images[0].window[0]), Math.max(high, item.images[0].window[1])];
  const step = (high - low) / 1000 || 1;
  Object.assign(byId("width"), { min: step, max: high - low, step: "any" });
  Object.assign(byId("level"), { min: low, max: high, step: "any" });
  byId("preset-row").hidden = item.modality !== "ct";
  const presets = [["as at first", item.images[0].window], ...Object.entries(data.windows)];
  byId("preset").replaceChildren(...presets.map(([name, numbers]) => make("option", { value: JSON.stringify(numbers) }, name)));
}

function showView() {
  const { item, position, hover } = viewer;
  if (!item || !viewer.ready) return;
  const parts = item.images.length > 1 ? [`image ${position + 1} of ${item.images.length}`] : [];
  if (viewer.window) {
    const [low, high] = viewer.window;
    const digits = high - low < 10 ? 2 : 0;
    parts.push(`W ${(high - low).toFixed(digits)} L ${((low + high) / 2).toFixed(digits)}`);
    byId("width").value = high - low;
    byId("level").value = (low + high) / 2;
  }
  if (viewer.zoom > 1) parts.push(`${viewer.zoom.toFixed(1)} x`);
  byId("which").textContent = parts.join(" · ");
  const inside = hover?.every((value) => value >= 0 && value < item.size);
  byId("where").textContent = inside ? `x ${Math.floor(hover[0])}, y ${Math.floor(hover[1])}` : "";
  byId("stack").value = position + 1;
}

byId("stack").addEventListener("input", () => viewer.go(Number(byId("stack").value) - 1));
for (const name of ["width", "level"]) byId(name).addEventListener("input", () => viewer.setWindow(Number(byId("width").value), Number(byId("level").value)));
byId("preset").addEventListener("change", () => {
  const [low, high] = JSON.parse(byId("preset").value);
  viewer.setWindow(high - low, (low + high) / 2);
});
byId("larger").addEventListener("click", () => viewer.setZoom(viewer.zoom * 1.4));
byId("smaller").addEventListener("click", () => viewer.setZoom(viewer.zoom / 1.4));
byId("reset").addEventListener("click", () => viewer.reset());

// --- answers ---

const LABELS = { point: ["x", "y"], box: ["x0", "y0", "x1", "y1"] };

function showAnswers(item) {
  byId("options").replaceChildren(...item.options.map((option, number) => {
    const button = make("button", { type: "button" }, make("kbd", {}, String(number + 1)), option);
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => answer({ answer: option }));
    return button;
  }));
  const names = item.answer_type === "number" ? [`in ${item.unit === "degree" ? "degrees" : item.unit === "ratio" ? "times" : item.unit}`] : LABELS[item.answer_type] ?? [];
  const kept = state.answers[item.id]?.values ?? [];
  byId("fields").replaceChildren(...names.map((name, number) => {
    const field = make("input", { type: "number", step: "any", value: kept[number] ?? "", inputMode: "decimal" });
    field.addEventListener("input", typed);
    return make("label", {}, name, field);
  }));
}

function typed() {
  const item = items[state.at];
  const numbers = [...byId("fields").querySelectorAll("input")].map((field) => (field.value.trim() === "" ? NaN : Number(field.value)));
  if (numbers.some((number) => !Number.isFinite(number))) return;
  if (item.answer_type === "box" && !(numbers[2] > numbers[0] && numbers[3] > numbers[1])) return;
  if (item.answer_type !== "number") viewer.mark = { image: viewer.position, numbers };
  answerNumbers(item, numbers);
  viewer.draw();
}

function drew(numbers) {
  const fields = byId("fields").querySelectorAll("input");
  numbers.forEach((number, place) => { fields[place].value = number; });
  answerNumbers(items[state.at], numbers);
}

function answerNumbers(item, values) {
  const image = item.answer_type !== "number" && item.images.length > 1 ? { image: viewer.mark.image } : {};
  answer({ answer: values.join(", "), values, ...image });
}

function answer(given) {
  const { id } = items[state.at];
  const before = state.answers[id];
  // What was said to be wrong with the question stays; that it cannot be answered does not.
  const problem = before && before.answer !== null && before.reason ? { reason: before.reason, remark: before.remark } : {};
  state.answers[id] = { reason: "", remark: "", ...problem, ...given, answered_at: new Date().toISOString() };
  save();
  showAnswered();
}

function showAnswered() {
  const item = items[state.at];
  const kept = state.answers[item.id];
  [...byId("options").children].forEach((button, number) => button.setAttribute("aria-checked", String(kept?.answer === item.options[number])));
  byId("next").disabled = !kept;
  byId("bar").value = answered() / items.length;
  byId("reason").value = kept?.reason || "";
  byId("remark").value = kept?.remark || "";
  const reason = kept?.reason ? data.reasons[kept.reason].toLowerCase() : "";
  byId("said").textContent = !kept ? "" : kept.answer === null ? `Cannot be answered: ${reason}.` : reason ? `Answered; wrong with it: ${reason}.` : "Answered.";
  allowProblem();
}

function allowProblem() {
  const reason = byId("reason").value;
  const kept = state.answers[items[state.at].id];
  byId("no-answer").disabled = !reason;
  byId("wrong").disabled = !reason || reason === "not known" || !kept || kept.answer === null;
  byId("no-problem").disabled = !kept?.reason;
}

byId("reason").append(make("option", { value: "" }, "choose a reason"), ...Object.entries(data.reasons).map(([value, text]) => make("option", { value }, text)));
byId("reason").addEventListener("change", allowProblem);

function openProblem() {
  byId("problem").hidden = !byId("problem").hidden;
  byId("unanswerable").setAttribute("aria-expanded", String(!byId("problem").hidden));
  if (!byId("problem").hidden) byId("reason").focus();
}

function closeProblem() {
  save();
  byId("problem").hidden = true;
  byId("unanswerable").setAttribute("aria-expanded", "false");
  showAnswered();
  (byId("next").disabled ? byId("unanswerable") : byId("next")).focus();
}

byId("unanswerable").addEventListener("click", openProblem);
byId("no-answer").addEventListener("click", () => {
  state.answers[items[state.at].id] = { answer: null, reason: byId("reason").value, remark: byId("remark").value.trim(), answered_at: new Date().toISOString() };
  viewer.mark = null;
  closeProblem();
});
byId("wrong").addEventListener("click", () => {
  Object.assign(state.answers[items[state.at].id], { reason: byId("reason").value, remark: byId("remark").value.trim() });
  closeProblem();
});
byId("no-problem").addEventListener("click", () => {
  const { id } = items[state.at];
  if (state.answers[id].answer === null) delete state.answers[id];
  else Object.assign(state.answers[id], { reason: "", remark: "" });
  closeProblem();
});

function next() {
  if (byId("next").disabled) return;
  if (state.at < items.length - 1) ask(state.at + 1);
  else finish();
}

byId("next").addEventListener("click", next);
byId("back").addEventListener("click", () => ask(Math.max(0, state.at - 1)));
byId("pause").addEventListener("click", openStart);

function finish() {
  const missing = items.findIndex((item) => !state.answers[item.id]);
  if (missing >= 0) { ask(missing); return; }
  screen("end");
  const none = items.filter((item) => state.answers[item.id].answer === null).length;
  byId("summary").textContent = `${items.length} questions, ${none} of which you could not answer. Export the answers and send the file to whoever gave you this page.`;
  byId("text").value = exported();
}

byId("again").addEventListener("click", () => ask(state.at));

// --- the file ---

function exported() {
  const reported = items.filter((item) => state.answers[item.id]).map((item) => {
    const { answer: said, values, image, reason, remark, answered_at } = state.answers[item.id];
    return { id: item.id, kind: item.answer_type, answer: said, values: values ?? [], image: image ?? null, reason, remark,
      seconds: Math.round((state.seconds[item.id] ?? 0) * 1000) / 1000, answered_at };
  });
  const { format, format_version, made_by, page, dataset, seed } = data;
  const whole = { format, format_version, made_by, page, dataset, seed, reader: state.reader, started: state.started,
    exported: new Date().toISOString(), complete: reported.length === items.length,
    items: items.map(({ id, question_sha256, image_sha256 }) => ({ id, question_sha256, image_sha256 })), answers: reported };
  return `${JSON.stringify(whole, null, 1)}\n`;
}

function download() {
  stopClock();
  startClock();
  save();
  const name = state.reader.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "reader";
  const link = make("a", { href: URL.createObjectURL(new Blob([exported()], { type: "application/json" })), download: `answers-${name}-${data.page.slice(0, 8)}.json` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

byId("export").addEventListener("click", download);
byId("export-early").addEventListener("click", download);

// --- keys ---

addEventListener("keydown", (event) => {
  if (byId("ask").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  if (target.matches("input:not([type=radio]):not([type=range]), select, textarea")) {
    if (key === "Escape" && !byId("problem").hidden) openProblem();
    return;
  }
  const item = items[state.at];
  if (/^[1-9]$/.test(key) && item.options[key - 1] !== undefined) answer({ answer: item.options[key - 1] });
  else if (key === "Enter" && !target.matches("button, summary")) next();
  else if (key === "Enter" && target.closest("#options")) next();
  else if (key === "u") openProblem();
  else if (key === "0") viewer.reset();
  else if (key === "+" || key === "=") viewer.setZoom(viewer.zoom * 1.4);
  else if (key === "-") viewer.setZoom(viewer.zoom / 1.4);
  else if (["ArrowUp", "ArrowDown"].includes(key) && item.images.length > 1 && !target.matches("input")) viewer.go(viewer.position + (key === "ArrowDown" ? 1 : -1));
  else return;
  event.preventDefault();
});

if (innerWidth <= 832) byId("adjust").open = false; // the question comes first
restore();
openStart();
