// Words and regions: select words to see a map, draw a box to see words.

const data = JSON.parse(document.getElementById("interaction-data").textContent);
const section = document.getElementById("interaction");
const sheet = section.querySelector(".sheet");
const [rows, columns] = data.grid;
const [left, top_, right, bottom] = data.box;
const [width, height] = data.size;
const cellWidth = (right - left) / columns;
const cellHeight = (bottom - top_) / rows;
const band = 0.16 * width;
const limit = Math.max(...data.matrix.flat().map(Math.abs), 1e-12);
const chosen = new Set();
let box = null;

function shape(kind, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const svg = shape("svg", {
  viewBox: `0 ${-band} ${width} ${height + band}`,
  role: "img",
  "aria-label": "The image, its patches, and the strongest pairs of words and patches",
});
if (data.picture) {
  svg.append(shape("image", { href: data.picture, width, height, preserveAspectRatio: "none" }));
}
const heat = shape("g", {});
const lines = shape("g", {});
const frame = shape("g", {});
svg.append(heat, lines, frame);

// Widths measured at size 1, because with an estimate by letters wide words would overlap.
const pen = document.createElement("canvas").getContext("2d");
pen.font = `600 100px ${getComputedStyle(document.body).fontFamily}`;
const lengths = data.words.map((word) => pen.measureText(word).width / 100 + 0.4);
const size = Math.min(0.055 * width, width / lengths.reduce((sum, length) => sum + length, 0));
const anchors = [];
let reach = 0;
data.words.forEach((word, index) => {
  const x = (reach + lengths[index] / 2) * size;
  reach += lengths[index];
  anchors.push(x);
  const text = shape("text", { x, y: -0.62 * band, "text-anchor": "middle", "font-size": size });
  text.textContent = word;
  svg.append(text);
});

function paint() {
  const shown = chosen.size ? [...chosen] : data.words.map((_, index) => index);
  heat.replaceChildren();
  if (chosen.size) {
    for (let place = 0; place < rows * columns; place++) {
      const value = shown.reduce((sum, index) => sum + data.matrix[index][place], 0);
      const strength = Math.min(1, Math.abs(value) / limit);
      if (strength < 0.02) continue;
      heat.append(
        shape("rect", {
          x: left + (place % columns) * cellWidth,
          y: top_ + Math.floor(place / columns) * cellHeight,
          width: cellWidth,
          height: cellHeight,
          fill: value > 0 ? data.for : data.against,
          "fill-opacity": 0.15 + 0.7 * strength,
        }),
      );
    }
  }
  const most = Math.max(...data.pairs.map((pair) => Math.abs(pair[3])), 1e-12);
  lines.replaceChildren(
    ...data.pairs
      .filter(([word]) => shown.includes(word))
      .flatMap(([word, row, column, value]) => {
        const x = left + (column + 0.5) * cellWidth;
        const y = top_ + (row + 0.5) * cellHeight;
        const strength = Math.abs(value) / most;
        const ink = value > 0 ? data.for : data.against;
        const thick = (0.003 + 0.006 * strength) * width;
        const path = { x1: anchors[word], y1: -0.5 * band, x2: x, y2: y, class: "line" };
        const dash = value > 0 ? {} : { "stroke-dasharray": `${3 * thick} ${2 * thick}` };
        const hint = shape("title", {});
        hint.textContent = `${data.words[word]}: ${value.toFixed(4)}`;
        return [
          shape("line", { ...path, stroke: "#fff", "stroke-width": 1.8 * thick }),
          shape("line", { ...path, ...dash, stroke: ink, "stroke-width": thick }, hint),
          shape("circle", { cx: x, cy: y, r: 2 * thick, fill: ink, stroke: "#fff" }),
        ];
      }),
  );
}

function inside(low, high, start, cell) {
  return Math.max(0, Math.min(high, start + cell) - Math.max(low, start)) / cell;
}

function measure() {
  section.classList.toggle("has-box", box !== null);
  frame.replaceChildren();
  if (!box) return;
  const [x0, y0, x1, y1] = box;
  for (const kind of ["drawn under", "drawn"]) {
    frame.append(shape("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: kind }));
  }
  const cells = section.querySelectorAll("tbody .boxed");
  data.matrix.forEach((map, word) => {
    let sum = 0;
    map.forEach((value, place) => {
      const down = inside(y0, y1, top_ + Math.floor(place / columns) * cellHeight, cellHeight);
      sum += value * down * inside(x0, x1, left + (place % columns) * cellWidth, cellWidth);
    });
    cells[word].textContent = (sum < 0 ? "" : "+") + sum.toFixed(4);
  });
}

function at(event) {
  const point = new DOMPoint(event.clientX, event.clientY);
  const { x, y } = point.matrixTransform(svg.getScreenCTM().inverse());
  return [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
}

let start = null;
svg.addEventListener("pointerdown", (event) => {
  start = at(event);
  if (event.isTrusted) svg.setPointerCapture(event.pointerId);
});
svg.addEventListener("pointermove", (event) => {
  if (!start) return;
  const [x, y] = at(event);
  box = [Math.min(start[0], x), Math.min(start[1], y), Math.max(start[0], x), Math.max(start[1], y)];
  measure();
});
svg.addEventListener("pointerup", () => {
  if (box && (box[2] - box[0] < 2 || box[3] - box[1] < 2)) box = null;
  start = null;
  measure();
});

const choice = document.createElement("div");
choice.className = "choice";
data.words.forEach((word, index) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = word;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    if (!chosen.delete(index)) chosen.add(index);
    button.setAttribute("aria-pressed", String(chosen.has(index)));
    paint();
  });
  choice.append(button);
});
sheet.append(choice, svg);
paint();
