// An image with its heat map: the patch under the pointer, a box to draw, and keys for both.
import { el, percent, signed } from "./elements.js";
import { Heat } from "./heat.js";

const LONGEST = 720;
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function frame(picture, size) {
  const aspect = Math.min(Math.max(size.width / size.height, 1 / 6), 12);
  const stage = el("div", { class: "stage" });
  stage.style.setProperty("--aspect", aspect);
  const alt = `The image, ${size.width} by ${size.height} pixels`;
  stage.append(el("img", { src: picture.image.src, alt, draggable: "false" }));
  return [stage, aspect];
}

export function plainStage(picture, size) {
  const [stage] = frame(picture, size);
  stage.classList.add("beside");
  return stage;
}

// `shown`: {map, label, scale, view}; without a map (only words explained), the image alone.
export function heatStage(paint, picture, size, shown) {
  const [stage, aspect] = frame(picture, size);
  stage.classList.add("large");
  if (!shown.map || shown.view === "original") return stage;
  const reach = LONGEST / Math.max(aspect, 1);
  const place = Heat.peakPlace(shown.map, size);
  const canvas = el("canvas", {
    class: "heat",
    role: "img",
    "aria-label": `Heat map for ${shown.label}${place ? `, highest at the ${place}` : ", zero everywhere"}`,
    width: Math.max(1, Math.round(reach * aspect)),
    height: Math.max(1, Math.round(reach)),
  });
  const how = { exact: shown.view === "patches", contour: shown.view === "contour" };
  const began = performance.now();
  paint.draw(canvas, shown.map, size, picture, shown.scale, how);
  canvas.dataset.drawn = (performance.now() - began).toFixed(1);
  stage.append(canvas);
  for (const style of Heat.unseenAreas(shown.map, size)) {
    stage.append(el("div", { class: "unseen", title: "cropped away by the preprocessing", style }));
  }
  return stage;
}

// Pointing shows a patch's value; dragging, or Shift with the arrow keys, draws a box.
export function pointing(stages, size, { map, scale, box, tell, boxed }) {
  const cursors = stages.map(() => el("div", { class: "cursor", hidden: true }));
  const frames = stages.map(() => el("div", { class: "box", hidden: true }));
  stages.forEach((stage, i) => stage.append(cursors[i], frames[i]));
  let patch = null;
  let start = null;
  const show = (next) => {
    patch = next;
    for (const cursor of cursors) cursor.hidden = !patch;
    if (!patch) return tell("");
    const area = Heat.patchArea(map, size, patch);
    for (const cursor of cursors) Object.assign(cursor.style, area);
    const value = map.values[patch[0] * map.grid[1] + patch[1]];
    const share = scale.limit > 0 ? `, ${percent(value / scale.limit)} of the peak` : "";
    return tell(`Row ${patch[0] + 1}, column ${patch[1] + 1}: ${signed(value)}${share}`);
  };
  const drawBox = (area) => {
    for (const one of frames) {
      one.hidden = !area;
      if (!area) continue;
      const [left, top, right, bottom] = area.map((share) => 100 * share);
      Object.assign(one.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    }
  };
  drawBox(box);
  const placeOf = (stage, event) => {
    const area = stage.getBoundingClientRect();
    const inside = (share) => Math.min(Math.max(share, 0), 1);
    return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
  };
  const between = ([a, b], [c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
  const keys = (event) => {
    if (event.key === "Escape" && (box || patch)) return boxed(null);
    const by = STEPS[event.key];
    if (!by || !map) return undefined;
    event.preventDefault();
    if (event.shiftKey) return boxed(grown(box, patch, map, size, by));
    const ranges = Heat.patchesOn(map, size);
    const middle = ([first, last]) => Math.floor((first + last + 1) / 2);
    const inside = (value, [first, last]) => Math.min(Math.max(value, first), last);
    return show(patch ? patch.map((at, i) => inside(at + by[i], ranges[i])) : ranges.map(middle));
  };
  for (const stage of stages) {
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      start = placeOf(stage, event);
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      const at = placeOf(stage, event);
      if (start) drawBox(between(start, at));
      else if (map) show(Heat.patchAt(map, size, ...at));
    });
    stage.addEventListener("pointerup", (event) => {
      if (!start) return;
      const area = between(start, placeOf(stage, event));
      start = null;
      const large = area[2] - area[0] > 0.01 && area[3] - area[1] > 0.01;
      if (large || box) boxed(large ? area : null);
      else drawBox(null);
    });
    stage.addEventListener("pointercancel", () => {
      start = null;
      drawBox(box);
    });
    stage.addEventListener("pointerleave", () => !start && show(null));
  }
  const last = stages.at(-1);
  last.tabIndex = 0;
  last.dataset.focus = "stage";
  last.setAttribute("role", "group");
  last.setAttribute("aria-label", "Image with heat map. Arrow keys move over the patches, with Shift they draw a box, Escape clears it.");
  last.addEventListener("keydown", keys);
  last.addEventListener("blur", () => show(null));
}

// Draws a box by keys: it starts at the patch under the cursor, or in the middle, and grows by patches.
function grown(box, patch, map, size, [down, across]) {
  const ranges = Heat.patchesOn(map, size);
  const start = patch || ranges.map(([first, last]) => Math.floor((first + last) / 2));
  const [x, y, wide, high] = Heat.patchBox(map, start);
  const [w, h] = [wide / size.width, high / size.height];
  const [left, top] = [x / size.width, y / size.height];
  const [a, b, c, d] = box || [left, top, left + w, top + h];
  const inside = (share) => Math.min(Math.max(share, 0), 1);
  return [a, b, inside(Math.max(c + across * w, a + w)), inside(Math.max(d + down * h, b + h))];
}
