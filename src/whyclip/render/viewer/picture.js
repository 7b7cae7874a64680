// Pictures under their heat maps, the patch under the pointer, and the colour bar.

function heatPicture(entry, index, longest, scale) {
  const { explanation, picture } = entries[entry];
  const item = explanation.prompts[index];
  if (picture === null && !item.map) return null;
  const { width, height } = explanation.image;
  const aspect = Math.min(Math.max(width / height, 1 / 6), 12);
  const stage = el("div", { class: "stage" });
  stage.style.setProperty("--aspect", aspect);
  if (picture !== null) {
    const alt = `The picture, ${width} by ${height} pixels`;
    stage.append(el("img", { src: pictures[picture], alt, draggable: "false" }));
    if (item.map) stage.classList.add("under-heat");
  }
  if (!item.map) return stage;
  const reach = longest / Math.max(aspect, 1);
  const canvas = el("canvas", {
    class: "heat",
    role: "img",
    "aria-label": description(item, explanation.image),
    width: Math.max(1, Math.round(reach * aspect)),
    height: Math.max(1, Math.round(reach)),
  });
  Heat.draw(canvas, item.map, explanation.image, scale, colours);
  stage.append(canvas);
  for (const style of Heat.unseenAreas(item.map, explanation.image)) {
    stage.append(el("div", { class: "unseen", title: "never seen by the model", style }));
  }
  return stage;
}

function description({ prompt, map }, image) {
  const seen = Heat.seenValues(map, image);
  const what = `Heat map for “${label(prompt)}”`;
  if (seen.every((value) => value === 0)) return `${what}, zero everywhere`;
  const [[r0], [c0, c1]] = Heat.patchesOn(map, image);
  const peak = seen.indexOf(Math.max(...seen));
  const across = c1 - c0 + 1;
  const [x, y, wide, high] = Heat.patchBox(map, [
    r0 + Math.floor(peak / across),
    c0 + (peak % across),
  ]);
  const third = (place, length) => Math.min(2, Math.max(0, Math.floor((3 * place) / length)));
  const row = ["top", "middle", "bottom"][third(y + high / 2, image.height)];
  const column = ["left", "centre", "right"][third(x + wide / 2, image.width)];
  return `${what}, highest at the ${row} ${column}`;
}

function bigPicture(item, scale) {
  const { image } = current();
  const stage = heatPicture(state.entry, state.prompt, 720, scale);
  stage?.classList.add("large");
  if (!item.map) return stage;
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  const cursor = el("div", { class: "cursor", hidden: true });
  const hint = Heat.seenValues(item.map, image).some((value) => value !== 0)
    ? "Point at the picture, or use the arrow keys on it, to read a patch."
    : "Zero everywhere: this method found nothing that speaks for the prompt.";
  let patch = null;
  const show = (next) => {
    patch = next;
    cursor.hidden = !patch;
    readout.textContent = hint;
    if (!patch) return;
    Object.assign(cursor.style, Heat.patchArea(item.map, image, patch));
    const value = item.map.values[patch[0] * item.map.grid[1] + patch[1]];
    const share = scale.limit > 0 ? `, ${percent(value / scale.limit)} of the peak` : "";
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
  stage.append(cursor);
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", "Picture with heat map; arrow keys move over the patches");
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
  return el("div", {}, stage, readout, colourBar(item, scale));
}

function colourBar(item, scale) {
  const ramp = scale.signed ? colours.diverging : colours.sequential;
  const stops = ramp.map((colour, index) => {
    const share = index / (ramp.length - 1);
    const strength = Math.abs(scale.signed ? 2 * share - 1 : share);
    return colour + Heat.opacity(strength, colours).toString(16).padStart(2, "0");
  });
  const [low, high] = [scale.signed ? -scale.limit : 0, scale.limit];
  const unseen = Heat.unseenAreas(item.map, current().image).length > 0;
  return el(
    "div",
    { class: "legend" },
    el("span", {}, scale.signed ? `${small(low)} against` : "0"),
    el("span", { class: "bar", style: { backgroundImage: `linear-gradient(90deg, ${stops})` } }),
    el("span", {}, scale.signed ? `${small(high)} for` : small(high)),
    unseen ? el("span", { class: "key" }, el("i", { class: "unseen" }), "never seen by the model") : null,
  );
}
