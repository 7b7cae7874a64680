// Images with their heat maps, the patch under the pointer, and the colour bar.

function plainImage(entry) {
  const { explanation, picture } = entries[entry];
  const { width, height } = explanation.image;
  const aspect = Math.min(Math.max(width / height, 1 / 6), 12);
  const stage = el("div", { class: "stage" });
  stage.style.setProperty("--aspect", aspect);
  if (picture !== null) {
    const alt = `The image, ${width} by ${height} pixels`;
    stage.append(el("img", { src: pictures[picture], alt, draggable: "false" }));
  }
  return [stage, aspect];
}

// The heat map covers the image; the option “original” hides it.
function heatImage(entry, index, longest, scale) {
  const { explanation, picture } = entries[entry];
  const item = explanation.prompts[index];
  if (picture === null && !item.map) return null;
  const [stage, aspect] = plainImage(entry);
  if (!item.map) return stage;
  const reach = longest / Math.max(aspect, 1);
  const canvas = el("canvas", {
    class: "heat",
    role: "img",
    "aria-label": description(item, explanation.image),
    width: Math.max(1, Math.round(reach * aspect)),
    height: Math.max(1, Math.round(reach)),
  });
  Paint.draw(canvas, item.map, explanation.image, painted[picture] ?? null, scale, state);
  stage.append(canvas);
  for (const style of Heat.unseenAreas(item.map, explanation.image)) {
    stage.append(el("div", { class: "unseen", title: "cropped away by the preprocessing", style }));
  }
  return stage;
}

function description({ prompt, map }, image) {
  const what = `Heat map for “${label(prompt)}”`;
  const place = Heat.peakPlace(map, image);
  return place ? `${what}, highest at the ${place}` : `${what}, zero everywhere`;
}

function bigImage(item, scale) {
  const { image } = current();
  const stage = heatImage(state.entry, state.prompt, 720, scale);
  stage?.classList.add("large");
  if (!item.map) return stage;
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  const beside = entries[state.entry].picture === null ? null : plainImage(state.entry)[0];
  beside?.classList.add("beside");
  const stages = [beside, stage].filter((one) => one !== null);
  const cursors = stages.map(() => el("div", { class: "cursor", hidden: true }));
  const hint = Heat.seenValues(item.map, image).some((value) => value !== 0)
    ? "Point at the heat map, or use the arrow keys on it, to see a patch’s value."
    : "Zero everywhere: no patch has relevance for this prompt.";
  let patch = null;
  const show = (next) => {
    patch = next;
    for (const cursor of cursors) cursor.hidden = !patch;
    readout.textContent = hint;
    if (!patch) return;
    const area = Heat.patchArea(item.map, image, patch);
    for (const cursor of cursors) Object.assign(cursor.style, area);
    const value = item.map.values[patch[0] * item.map.grid[1] + patch[1]];
    const whole = shares() ? "the scale" : "the peak";
    const share = scale.limit > 0 ? `, ${percent(value / scale.limit)} of ${whole}` : "";
    readout.textContent = `Row ${patch[0] + 1}, column ${patch[1] + 1}: ${signed(value)}${share}`;
  };
  const move = (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const by = step[event.key];
    if (!by) return;
    event.preventDefault();
    const [rows, columns] = Heat.patchesOn(item.map, image);
    const middle = ([first, last]) => Math.floor((first + last + 1) / 2);
    const inside = (value, [first, last]) => Math.min(Math.max(value, first), last);
    const to = patch && [inside(patch[0] + by[0], rows), inside(patch[1] + by[1], columns)];
    show(to || [middle(rows), middle(columns)]);
  };
  stages.forEach((one, index) => one.append(cursors[index]));
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", "Image with heat map; arrow keys move over the patches");
  stage.addEventListener("keydown", move);
  stage.addEventListener("blur", () => show(null));
  stage.addEventListener("pointerleave", () => show(null));
  stage.addEventListener("pointermove", (event) => {
    const area = stage.getBoundingClientRect();
    const x = (event.clientX - area.left) / area.width;
    const y = (event.clientY - area.top) / area.height;
    show(Heat.patchAt(item.map, image, x, y));
  });
  show(null);
  const wide = image.width > 2.2 * image.height ? "pair stacked" : "pair";
  return el("div", {}, el("div", { class: wide }, ...stages), readout, colourBar(item, scale));
}

function colourBar(item, scale) {
  const [low, high] = [scale.signed ? -scale.limit : 0, scale.limit];
  const unseen = Heat.unseenAreas(item.map, current().image).length > 0;
  return el(
    "div",
    { class: "legend" },
    el("span", {}, scale.signed ? `${small(low)} against` : "0"),
    Paint.bar(scale),
    el("span", {}, scale.signed ? `${small(high)} for` : small(high)),
    el("span", {}, shares() ? "all maps on one scale" : "each map to its own peak"),
    unseen ? el("span", { class: "key" }, el("i", { class: "unseen" }), "cropped away") : null,
  );
}
