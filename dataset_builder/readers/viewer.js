// The image of a question: a slice through a window, or an image as it is; markers on top; zoom, and what a reader draws.
// Places are in pixels of the stored image, as in the data set: (0, 0) is its upper left corner, its side is item.size.

// Grey values of a PNG of 8 or 16 bits, which a browser would cut down to 8: { width, height, values }.
async function decodePng(encoded) {
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  let width = 0, height = 0, depth = 8;
  const packed = [];
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      depth = bytes[at + 16];
      if (bytes[at + 17] !== 0 || bytes[at + 20] !== 0) throw new Error("not a plain grey PNG");
    } else if (kind === "IDAT") packed.push(bytes.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const step = depth / 8;
  const line = width * step;
  const values = new Uint16Array(width * height);
  const above = new Uint8Array(line);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (line + 1)];
    const row = raw.subarray(y * (line + 1) + 1, (y + 1) * (line + 1));
    for (let x = 0; x < line; x += 1) {
      const left = x >= step ? row[x - step] : 0;
      const up = above[x];
      const corner = x >= step ? above[x - step] : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else if (filter === 4) {
        const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
        guess = a <= b && a <= c ? left : b <= c ? up : corner;
      }
      // The line above must stay whole until this one is done: `corner` is of it.
      row[x] = (row[x] + guess) & 255;
    }
    above.set(row);
    for (let x = 0; x < width; x += 1) values[y * width + x] = step === 2 ? (row[2 * x] << 8) | row[2 * x + 1] : row[x];
  }
  return { width, height, values };
}

function loadImage(address) {
  const image = new Image();
  image.src = address;
  return image.decode().then(() => image);
}

class Viewer {
  // slices: [{ png, slope, intercept }], images: [address]; changed(): called when the image, window or zoom changed;
  // drawn(numbers): called with a point [x, y] or a box [x0, y0, x1, y1] that was drawn.
  constructor(canvas, slices, images, changed, drawn) {
    Object.assign(this, { canvas, slices, images, changed, drawn });
    this.decoded = new Map();
    this.tool = "move";
    this.pointers = new Map();
    this.grey = document.createElement("canvas");
    this.clear();
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.changed(); });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    addEventListener("resize", () => this.draw());
  }

  clear() {
    Object.assign(this, { item: null, position: 0, zoom: 1, x: 0, y: 0, window: null, mark: null, ready: false, hover: null, wheeled: 0 });
  }

  get shown() { return this.item.images[this.position]; }
  get hasSlice() { return this.item.images[0]?.slice !== undefined; }

  async show(item) {
    this.forget();
    this.clear();
    this.item = item;
    this.draw();
    if (!item.images.length) return;
    await Promise.all(item.images.map((image) => this.load(image)));
    if (this.item !== item) return;
    this.window = this.hasSlice ? [...item.images[0].window] : null;
    this.ready = true;
    this.draw();
  }

  // What is decoded is kept for one question only: a phone has not the memory for all.
  forget() {
    this.decoded.clear();
    for (const image of this.item?.images ?? []) {
      delete image.values;
      delete image.drawn;
    }
  }

  async load(image) {
    const once = (key, make) => {
      if (!this.decoded.has(key)) this.decoded.set(key, make());
      return this.decoded.get(key);
    };
    const wanted = [];
    if (image.slice !== undefined) {
      wanted.push(once(`slice ${image.slice}`, async () => {
        const { png, slope, intercept } = this.slices[image.slice];
        const { width, height, values } = await decodePng(png);
        return { width, height, values: Float32Array.from(values, (value) => value * slope + intercept) };
      }).then((slice) => { image.values = slice; }));
    }
    if (image.image !== undefined) {
      wanted.push(once(`image ${image.image}`, () => loadImage(this.images[image.image])).then((found) => { image.drawn = found; }));
    }
    await Promise.all(wanted);
  }

  // Values of the slice through the window, as a canvas.
  paint({ width, height, values }, [low, high]) {
    this.grey.width = width;
    this.grey.height = height;
    const context = this.grey.getContext("2d");
    const pixels = context.createImageData(width, height);
    const factor = 255 / (high > low ? high - low : 1);
    for (let i = 0; i < values.length; i += 1) {
      const grey = Math.min(255, Math.max(0, Math.round((values[i] - low) * factor)));
      pixels.data[4 * i] = pixels.data[4 * i + 1] = pixels.data[4 * i + 2] = grey;
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    return this.grey;
  }

  draw() {
    const { canvas, item } = this;
    const side = Math.max(64, Math.round(canvas.clientWidth * (devicePixelRatio || 1)));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, side, side);
    if (!item || !this.ready) return;
    const base = (side / item.size) * this.zoom;
    context.save();
    context.setTransform(base, 0, 0, base, (side / item.size) * this.x, (side / item.size) * this.y);
    context.beginPath();
    context.rect(0, 0, item.size, item.size);
    context.clip();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const { slice, values, matrix, drawn } = this.shown;
    if (slice !== undefined) {
      context.save();
      context.transform(...matrix);
      context.drawImage(this.paint(values, this.window), 0, 0);
      context.restore();
    }
    if (drawn) context.drawImage(drawn, 0, 0, item.size, item.size);
    this.drawMark(context, 1 / base);
    context.restore();
    this.changed();
  }

  drawMark(context, pixel) {
    if (!this.mark || this.mark.image !== this.position) return;
    const [x0, y0, x1, y1] = this.mark.numbers;
    for (const [colour, width] of [["#101010", 4 * pixel * (devicePixelRatio || 1)], ["#ffffff", 2 * pixel * (devicePixelRatio || 1)]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      if (x1 === undefined) {
        const reach = 9 * pixel * (devicePixelRatio || 1);
        context.moveTo(x0 - reach, y0); context.lineTo(x0 + reach, y0);
        context.moveTo(x0, y0 - reach); context.lineTo(x0, y0 + reach);
      } else context.rect(x0, y0, x1 - x0, y1 - y0);
      context.stroke();
    }
  }

  // --- what a reader does ---

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.item.size / box.width;
    return [((event.clientX - box.left) * scale - this.x) / this.zoom, ((event.clientY - box.top) * scale - this.y) / this.zoom];
  }

  go(position) {
    const last = this.item.images.length - 1;
    this.position = Math.min(last, Math.max(0, position));
    this.draw();
  }

  setZoom(zoom, at) {
    const size = this.item.size;
    const [px, py] = at ?? [(size / 2 - this.x) / this.zoom, (size / 2 - this.y) / this.zoom];
    const before = this.zoom;
    this.zoom = Math.min(16, Math.max(1, zoom));
    this.x += px * (before - this.zoom);
    this.y += py * (before - this.zoom);
    this.keepInside();
    this.draw();
  }

  keepInside() {
    const least = this.item.size * (1 - this.zoom);
    this.x = Math.min(0, Math.max(least, this.x));
    this.y = Math.min(0, Math.max(least, this.y));
  }

  setWindow(width, level) {
    const least = 1e-6 + (this.item.images[0].window[1] - this.item.images[0].window[0]) / 200;
    const wide = Math.max(least, width);
    this.window = [level - wide / 2, level + wide / 2];
    this.draw();
  }

  reset() {
    if (!this.item) return;
    Object.assign(this, { zoom: 1, x: 0, y: 0 });
    if (this.hasSlice) this.window = [...this.item.images[0].window];
    this.draw();
  }

  wheel(event) {
    if (!this.ready) return;
    event.preventDefault();
    if (this.item.images.length > 1 && !event.ctrlKey) {
      // A touch pad sends many small steps.
      this.wheeled += event.deltaMode ? Math.sign(event.deltaY) * 100 : event.deltaY;
      const steps = Math.trunc(this.wheeled / 60);
      this.wheeled -= 60 * steps;
      if (steps) this.go(this.position + Math.sign(steps));
    } else this.setZoom(this.zoom * Math.exp(-event.deltaY / 400), this.place(event));
  }

  down(event) {
    if (!this.ready) return;
    this.canvas.focus({ preventScroll: true });
    try { this.canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    this.pointers.set(event.pointerId, event);
    const way = event.button === 2 ? "window" : this.tool;
    this.drag = { way, at: event, start: this.place(event), moved: 0, window: this.window && [...this.window] };
    if (this.pointers.size === 2) this.drag = { way: "pinch", ...this.between(), zoom: this.zoom };
  }

  between() {
    const [one, other] = [...this.pointers.values()];
    const middle = { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 };
    return { middle, distance: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1 };
  }

  move(event) {
    if (!this.ready) return;
    this.hover = this.place(event);
    if (!this.pointers.has(event.pointerId)) { this.changed(); return; }
    this.pointers.set(event.pointerId, event);
    const scale = this.item.size / this.canvas.getBoundingClientRect().width;
    const { drag } = this;
    if (drag.way === "pinch") {
      if (this.pointers.size < 2) return;
      const now = this.between();
      this.x += (now.middle.clientX - drag.middle.clientX) * scale;
      this.y += (now.middle.clientY - drag.middle.clientY) * scale;
      drag.middle = now.middle;
      this.setZoom((drag.zoom * now.distance) / drag.distance, this.place(now.middle));
      return;
    }
    const [dx, dy] = [event.clientX - drag.at.clientX, event.clientY - drag.at.clientY];
    if (drag.way === "window") {
      if (!this.window) return;
      const width = drag.window[1] - drag.window[0];
      const span = this.item.images[0].window[1] - this.item.images[0].window[0];
      this.setWindow(width + (dx * span) / 200, (drag.window[0] + drag.window[1]) / 2 + (dy * span) / 400);
    } else if (drag.way === "draw") this.drawTo(this.hover);
    else if (this.zoom > 1) {
      this.x += dx * scale;
      this.y += dy * scale;
      drag.at = event;
      this.keepInside();
      this.draw();
    } else if (this.item.images.length > 1) {
      const steps = Math.trunc((dy - drag.moved) / 24);
      if (steps) { drag.moved += 24 * steps; this.go(this.position + steps); }
    }
  }

  up(event) {
    if (this.drag?.way === "draw" && this.pointers.has(event.pointerId) && event.type === "pointerup") {
      this.drawTo(this.place(event));
      if (this.mark) this.drawn(this.mark.numbers);
    }
    this.pointers.delete(event.pointerId);
    this.drag = this.pointers.size ? this.drag : null;
  }

  drawTo([x, y]) {
    const { size } = this.item;
    const inside = (value) => Math.min(size, Math.max(0, value));
    const [x0, y0] = this.drag.start.map(inside);
    const [x1, y1] = [x, y].map(inside);
    if (this.item.answer_type === "point") this.mark = { image: this.position, numbers: [Math.min(size - 1, Math.floor(x1)), Math.min(size - 1, Math.floor(y1))] };
    else {
      const numbers = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)].map(Math.round);
      this.mark = numbers[2] > numbers[0] && numbers[3] > numbers[1] ? { image: this.position, numbers } : this.mark;
    }
    this.draw();
  }
}
