// Positions of patches on the image, and the scale of relevance.
export const Heat = (() => {
  // First and last patch at least partly on the image, with a tolerance for rounding.
  function reach(patches, low, high, length) {
    const width = (high - low) / patches;
    const first = Math.max(0, Math.floor(-low / width + 1e-6));
    return [first, Math.min(patches, Math.ceil((length - low) / width - 1e-6)) - 1];
  }

  // Rows and columns of the patches that lie on the image.
  function patchesOn(map, image) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    return [reach(gh, top, bottom, image.height), reach(gw, left, right, image.width)];
  }

  function seenValues(map, image) {
    const [[r0, r1], [c0, c1]] = patchesOn(map, image);
    return map.values.filter((_, i) => {
      const [row, column] = [Math.floor(i / map.grid[1]), i % map.grid[1]];
      return row >= r0 && row <= r1 && column >= c0 && column <= c1;
    });
  }

  // One scale for each map: `limit` has full strength; signed if any map is.
  function scales(maps, shared, image) {
    const seen = maps.map((m) => (m ? seenValues(m, image) : []));
    const limits = seen.map((values) => values.reduce((a, v) => Math.max(a, Math.abs(v)), 0));
    const signed = seen.some((values, i) => values.some((v) => v < -1e-6 * limits[i]));
    const most = Math.max(0, ...limits);
    return limits.map((limit) => ({ limit: shared ? most : limit, signed }));
  }

  // The patch at a point given as shares of the image; null outside the crop.
  function patchAt(map, image, x, y) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const u = (x * image.width - left) / (right - left);
    const v = (y * image.height - top) / (bottom - top);
    if (u < 0 || u >= 1 || v < 0 || v >= 1) return null;
    return [Math.floor(v * gh), Math.floor(u * gw)];
  }

  // Position of a patch in pixels of the image: x, y, width, height.
  function patchBox(map, [row, column]) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const wide = (right - left) / gw;
    const high = (bottom - top) / gh;
    return [left + column * wide, top + row * high, wide, high];
  }

  // The same as CSS percentages of the image.
  const patchArea = (map, image, patch) => area(image, ...patchBox(map, patch));

  // The parts of the image outside the box: at most four strips.
  function unseenAreas(map, image) {
    const [left, top, right, bottom] = map.box;
    const { width, height } = image;
    const [y0, y1] = [Math.max(top, 0), Math.min(bottom, height)];
    return [
      [0, 0, width, top],
      [0, bottom, width, height - bottom],
      [0, y0, left, y1 - y0],
      [right, y0, width - right, y1 - y0],
    ]
      .filter(([, , w, h]) => w > 0.5 && h > 0.5)
      .map((strip) => area(image, ...strip));
  }

  function area(image, x, y, width, height) {
    const percent = (part, whole) => `${(100 * part) / whole}%`;
    return {
      left: percent(x, image.width),
      top: percent(y, image.height),
      width: percent(width, image.width),
      height: percent(height, image.height),
    };
  }

  // Position of a map's maximum in words, such as "top left"; null if it is zero everywhere.
  function peakPlace(map, image) {
    const seen = seenValues(map, image);
    if (seen.every((value) => value === 0)) return null;
    const [[r0], [c0, c1]] = patchesOn(map, image);
    const peak = seen.indexOf(Math.max(...seen));
    const across = c1 - c0 + 1;
    const [x, y, wide, high] = patchBox(map, [r0 + Math.floor(peak / across), c0 + (peak % across)]);
    const third = (place, length) => Math.min(2, Math.max(0, Math.floor((3 * place) / length)));
    const row = ["top", "middle", "bottom"][third(y + high / 2, image.height)];
    const column = ["left", "centre", "right"][third(x + wide / 2, image.width)];
    return `${row} ${column}`;
  }

  return { scales, peakPlace, patchAt, patchArea, patchBox, patchesOn, seenValues, unseenAreas };
})();
