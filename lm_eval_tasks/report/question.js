// One question: its images with what is drawn on them, options, replies, columns, the same fact in other ways.
// Inlined before page.js, whose data, filters and list it uses.

function sameFact(i) {
  const fact = cell("fact_id", i);
  return fact ? numbers.filter((n) => cell("fact_id", n) === fact) : [];
}

function variant(i, among) {
  const names = ["prompt", "register", "convention", "frame", "view", "input", "stack_order"];
  const different = names.filter((name) => new Set(among.map((n) => cell(name, n))).size > 1);
  return different.map((name) => cell(name, i)).filter(Boolean).join(" · ") || "this";
}

function showImages(i) {
  const row = make("div", { className: data.images[i].length > 1 ? "images many" : "images" });
  data.images[i].forEach((_, position) => {
    const image = make("img", { src: imageOf(i, position), alt: imagesDescribed(i, position) });
    row.append(make("div", { className: "image" }, image));
    if (!state.reveal) return; // the image as the model saw it
    const clean = !MARKERS[cell("prompt", i)] && cell("boxes", i)?.length && cell("points", i);
    const size = data.widths[data.images[i][position]];
    const places = place(i) ? placesOf(i, position) : [];
    if (place(i)) image.decode().then(() => image.after(drawPlaces(places, size)), () => {});
    if (!clean || place(i)) return;
    image.decode().then(() => {
      // Boxes and points are in pixels of the stored image; what is shown may be a smaller one.
      const names = ["structures", "boxes", "points", "box_images"];
      const item = Object.fromEntries(names.map((name) => [name, cell(name, i)]));
      image.after(outline(item, data.widths[data.images[i][position]], data.colours, position));
    }, () => {});
  });
  return row;
}

// A question for a box or a point: what is true, and what each run said, in pixels of the stored image.
const place = (i) => ["box", "point"].includes(cell("answer_type", i));

function placesOf(i, position) {
  const found = [];
  if ((cell("answer_image", i) ?? 0) === position) {
    const kind = cell("answer_type", i) === "box" ? "boxes" : "points";
    found.push({ name: "true", numbers: cell(kind, i)[0], colour: "#ffffff", dashed: false });
  }
  data.runs.forEach((run, number) => {
    const said = run.places[i];
    if (said && said[0] === position) found.push({ name: data.runs.length > 1 ? run.name : "said", numbers: said.slice(1), colour: SAID[number % SAID.length], dashed: true });
  });
  return found;
}

const SAID = ["#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#009e73", "#d55e00"];

function drawPlaces(places, size) {
  const shape = makeShape("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": places.map((each) => `${each.name}: ${each.numbers.join(", ")}`).join("; ") });
  for (const each of places) {
    const [x0, y0, x1, y1] = each.numbers;
    const box = each.numbers.length === 4;
    shape.append(box
      ? makeShape("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none", stroke: each.colour, "stroke-width": size / 200, "stroke-dasharray": each.dashed ? `${size / 50} ${size / 80}` : "none" })
      : makeShape("circle", { cx: x0 + 0.5, cy: y0 + 0.5, r: size / 90, fill: each.dashed ? each.colour : "none", stroke: each.dashed ? "#101010" : each.colour, "stroke-width": size / 250 }));
    const name = makeShape("text", { x: Math.min(x0, size * 0.8), y: Math.max((each.dashed && box ? y1 + size / 25 : y0 - size / 80), size / 22), fill: each.colour, stroke: "#101010", "stroke-width": size / 160, "paint-order": "stroke", "font-size": size / 26 });
    name.textContent = each.name;
    shape.append(name);
  }
  return shape;
}

function showOptions(i) {
  if (!cell("options", i).length) {
    const lines = make("ul", { className: "options", "aria-label": "Answers" }, make("li", { className: "right" }, cell("answer", i), make("span", { className: "tag" }, "right answer")));
    data.runs.forEach((run, number) => {
      if (said(number, i)) lines.append(make("li", {}, said(number, i), make("span", { className: "tag" }, data.runs.length > 1 ? `said by ${run.name}` : "said")));
    });
    return lines;
  }
  const options = make("ul", { className: "options", "aria-label": "Options" });
  for (const option of cell("options", i)) {
    const line = make("li", { className: option === cell("answer", i) ? "right" : "" }, option);
    const tags = [];
    if (option === cell("answer", i)) tags.push("right answer");
    if (option === cell("prior_answer", i)) tags.push("what anatomy alone would say");
    data.runs.forEach((run, number) => {
      if (said(number, i) === option) tags.push(data.runs.length > 1 ? `said by ${run.name}` : "said");
    });
    if (tags.length) line.append(make("span", { className: "tag" }, tags.join(" · ")));
    options.append(line);
  }
  return options;
}

function showReplies(i) {
  const replies = make("div", {});
  data.runs.forEach((run, number) => {
    if (run.outcomes[i] === "3") return;
    replies.append(make("h3", {}, `${run.name}: `, verdict(number, i)),
      make("div", { className: "reply", tabIndex: 0, "aria-label": `Reply of ${run.name}` }, decode(run.replies, i) || "(nothing)"));
  });
  return replies;
}

function showColumns(i) {
  const fields = make("dl", {});
  for (const name of Object.keys(data.columns)) {
    if (["options", "answer", "answer_index", "margin_group", "box_images", "id"].includes(name)) continue;
    const value = cell(name, i);
    if (value === null || value === undefined || value === "") continue;
    fields.append(make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, plain(value)));
  }
  fields.append(make("dt", {}, "id"), make("dd", {}, data.ids[i]));
  return fields;
}

function showVariants(i) {
  const among = sameFact(i).filter((n) => data.runs[state.run].outcomes[n] !== "3");
  if (among.length < 2) return "";
  const links = make("ul", { className: "variants" });
  for (const n of among.slice(0, 64)) {
    const names = (cell("structures", n) ?? []).join(", ");
    const link = make("a", { href: `#${toHash(n)}`, title: names }, `${verdict(state.run, n).textContent[0]} ${variant(n, among)}`);
    if (n === i) link.setAttribute("aria-current", "true");
    links.append(make("li", {}, link));
  }
  return make("div", {}, make("h3", {}, "The same fact, asked in other ways"), links);
}

// Whether anything can be drawn on a question's images that the model did not see.
const canReveal = (i) => data.images[i].length > 0 && (place(i) || (!MARKERS[cell("prompt", i)] && Boolean(cell("boxes", i)?.length && cell("points", i))));

byId("reveal").addEventListener("change", () => {
  state.reveal = byId("reveal").checked;
  if (state.item >= 0) byId("detail-body").querySelector(".images, .images.many")?.replaceWith(showImages(state.item));
});

function openItem(i) {
  state.item = i;
  byId("reveal-row").hidden = !canReveal(i);
  byId("detail-title").textContent = `${cell("terminology", i)} · ${data.ids[i]}`;
  const left = make("div", {}, data.images[i].length ? showImages(i) : make("p", { className: "empty" }, "no image"),
    make("p", {}, make("a", { href: `#${toHash(i)}`, id: "link" }, "Link to this question")));
  const right = make("div", {}, make("p", { className: "question" }, question(i)), showOptions(i), showReplies(i), showVariants(i), showColumns(i));
  byId("detail-body").replaceChildren(left, right);
  if (!byId("detail").open) byId("detail").showModal();
  byId("detail").scrollTop = 0;
  writeHash();
}

function step(by) {
  const position = shown.indexOf(state.item);
  const next = shown[position + by];
  if (next === undefined) return;
  openItem(next);
}

byId("detail").addEventListener("close", () => {
  const position = shown.indexOf(state.item);
  state.item = -1;
  writeHash();
  if (position >= 0) focusRow(position);
});
