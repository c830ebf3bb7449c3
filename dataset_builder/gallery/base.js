"use strict";
// What all pages share. Text of data goes through textContent or an attribute's value: it is never read as markup.
const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function makeShape(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const MARKERS = {
  label: "a letter with a line marks each structure asked about",
  point: "a dot marks each structure asked about",
  box: "a box marks each structure asked about",
  mask: "a coloured overlay marks each structure asked about",
};

const TURNS = {
  mirrored: "mirrored left to right",
  rotated90: "turned clockwise by 90 degrees",
  rotated180: "turned by 180 degrees",
};

function describe(item, position) {
  const modality = item.modality === "ct" ? "CT" : "MRI";
  const slice = `${item.plane} ${modality} slice in ${item.convention} convention`;
  const parts = [item.input === "blank" ? `an empty canvas in place of the ${slice}` : slice];
  if (TURNS[item.view]) parts.push(TURNS[item.view]);
  if (item.images.length > 1) parts.push(`image ${position + 1} of ${item.images.length}`);
  if (MARKERS[item.prompt]) parts.push(MARKERS[item.prompt]);
  return parts.join("; ");
}

// Whether a question asks for a place. Its first structure is what is asked for; the letters A and B mean those after it.
const asksForPlace = (item) => ["box", "point"].includes(item.answer_type);

// Which structures are outlined in an image with the answer: those whose boxes are in it. Of an image that has markers
// only the structure that is asked for, which they do not show.
function outlined(item, position = 0) {
  const all = item.boxes && item.points ? (item.structures ?? []).map((_, i) => i) : [];
  const here = all.filter((i) => (item.box_images?.[i] ?? 0) === position);
  return MARKERS[item.prompt] ? here.filter((i) => asksForPlace(item) && i === 0) : here;
}

// Where the structures of an image are; shown with the answer. Colours are [red, green, blue].
function outline(item, size, colours, position = 0) {
  const shape = makeShape("svg", { viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" });
  const others = item.prompt === "none" ? ["other", "other"] : ["A", "B"]; // by name, no letter is said
  const letters = asksForPlace(item) ? ["answer", ...others] : ["A", "B", "C"];
  outlined(item, position).forEach((i) => {
    const colour = `rgb(${colours[i % colours.length].join(",")})`;
    const [x0, y0, x1, y1] = item.boxes[i];
    const [x, y] = item.points[i];
    shape.append(
      makeShape("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none", stroke: colour, "stroke-width": size / 256 }),
      makeShape("circle", { cx: x + 0.5, cy: y + 0.5, r: size / 128, fill: colour, stroke: "#101010" }),
    );
    const letter = makeShape("text", {
      x: Math.min(x + size / 64, size * 0.96), y: Math.max(y - size / 64, size * 0.05), fill: colour, stroke: "#101010",
      "stroke-width": size / 128, "paint-order": "stroke", "font-size": size / 22, "font-weight": "bold",
    });
    letter.textContent = letters[i] ?? "";
    shape.append(letter);
  });
  return shape;
}

function plain(value) {
  if (Array.isArray(value) && value[0]?.counts) return value.map((mask) => `${mask.size.join(" x ")} pixels, run-length`).join("; ");
  if (Array.isArray(value)) return value.map((part) => (Array.isArray(part) ? `[${part.join(", ")}]` : part)).join(", ");
  if (typeof value === "number" && !Number.isInteger(value)) return value.toFixed(2);
  return String(value ?? "");
}

// Check boxes for the values of several properties. Values of one property join by "or", properties by "and".
//   properties: { name: [value, ...] }, in the order in which they are shown
//   read(item, name): the item's value, or a list of its values
//   changed(): called when a box was clicked
class Filters {
  constructor(form, properties, read, changed) {
    this.names = Object.keys(properties);
    this.read = read;
    this.chosen = Object.fromEntries(this.names.map((name) => [name, new Set()]));
    this.boxes = {};
    for (const name of this.names) {
      this.boxes[name] = new Map();
      const values = make("div", { className: "values" });
      for (const value of properties[name]) {
        const box = make("input", { type: "checkbox", name, value });
        const count = make("output", {});
        const label = make("label", {}, box, make("span", {}, value), count);
        box.addEventListener("change", () => {
          if (box.checked) this.chosen[name].add(value);
          else this.chosen[name].delete(value);
          changed();
        });
        this.boxes[name].set(value, { box, count, label });
        values.append(label);
      }
      if (values.childElementCount) form.append(make("fieldset", {}, make("legend", {}, name.replaceAll("_", " ")), values));
    }
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  has(item, name) {
    const value = this.read(item, name);
    return Array.isArray(value) ? value.some((each) => this.chosen[name].has(each)) : this.chosen[name].has(value);
  }

  // The items that fit, of those of which `wanted` is true; writes beside each value how many items there would be with
  // this value and all other filters.
  select(items, wanted) {
    const active = this.names.filter((name) => this.chosen[name].size);
    const counts = Object.fromEntries(this.names.map((name) => [name, new Map()]));
    const add = (item, name) => {
      for (const value of [this.read(item, name)].flat()) counts[name].set(value, (counts[name].get(value) ?? 0) + 1);
    };
    const fitting = [];
    for (const item of items) {
      if (!wanted(item)) continue;
      const failed = active.filter((name) => !this.has(item, name));
      if (!failed.length) {
        fitting.push(item);
        for (const name of this.names) add(item, name);
      } else if (failed.length === 1) add(item, failed[0]);
    }
    for (const name of this.names) {
      for (const [value, { box, count, label }] of this.boxes[name]) {
        const number = counts[name].get(value) ?? 0;
        count.textContent = number;
        label.classList.toggle("none", !number);
        box.checked = this.chosen[name].has(value);
      }
    }
    return fitting;
  }

  clear() {
    for (const name of this.names) this.chosen[name].clear();
  }

  // To and from what stands behind the # of the address, so that a view can be sent as a link.
  write(parameters) {
    for (const name of this.names) for (const value of this.chosen[name]) parameters.append(name, value);
  }

  take(parameters) {
    for (const name of this.names) {
      this.chosen[name] = new Set(parameters.getAll(name).filter((value) => this.boxes[name].has(value)));
    }
  }
}

// All words, in any order.
function finder(words) {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  return (text) => parts.every((part) => text.includes(part));
}

// "/" goes to the search box.
function searchBySlash(search) {
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
    event.preventDefault();
    search.focus();
  });
}
