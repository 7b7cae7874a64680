// Heat maps on a canvas: from the patch grid to coloured pixels of the picture.
const Heat = (() => {
  // `colours` come with the page, from the same source as every other figure.
  function lookup(hexes) {
    const stops = hexes.map((h) => [1, 3, 5].map((i) => parseInt(h.slice(i, i + 2), 16)));
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (stops.length - 1);
      const low = Math.min(Math.floor(at), stops.length - 2);
      return stops[low].map((c, k) => c + (at - low) * (stops[low + 1][k] - c));
    });
  }

  // First and last patch that lie on the picture, be it in part; rounding must not decide.
  function reach(patches, low, high, length) {
    const width = (high - low) / patches;
    const first = Math.max(0, Math.floor(-low / width + 1e-6));
    return [first, Math.min(patches, Math.ceil((length - low) / width - 1e-6)) - 1];
  }

  // Rows and columns of the patches that lie on the picture.
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

  // One scale for each map: `limit` is shown at full strength; signed when any map is.
  function scales(maps, shared, image) {
    const seen = maps.map((m) => (m ? seenValues(m, image) : []));
    const limits = seen.map((values) => values.reduce((a, v) => Math.max(a, Math.abs(v)), 0));
    const signed = seen.some((values, i) => values.some((v) => v < -1e-6 * limits[i]));
    const most = Math.max(0, ...limits);
    return limits.map((limit) => ({ limit: shared ? most : limit, signed }));
  }

  // The two neighbouring patches of each pixel and the share of the second; -1 where unseen.
  function positions(pixels, length, low, high, patches) {
    return Array.from({ length: pixels }, (_, i) => {
      const share = (((i + 0.5) * length) / pixels - low) / (high - low);
      if (share < 0 || share > 1) return [-1, -1, 0];
      const at = Math.min(Math.max(share * patches - 0.5, 0), patches - 1);
      const first = Math.floor(at);
      return [first, Math.min(first + 1, patches - 1), at - first];
    });
  }

  function draw(canvas, map, image, scale, colours) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const { width, height } = canvas;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    const table = lookup(scale.signed ? colours.diverging : colours.sequential);
    const xs = positions(width, image.width, left, right, gw);
    const ys = positions(height, image.height, top, bottom, gh);
    const values = map.values;
    for (let y = 0; y < height; y++) {
      const [r0, r1, fy] = ys[y];
      if (r0 < 0) continue;
      for (let x = 0; x < width; x++) {
        const [c0, c1, fx] = xs[x];
        if (c0 < 0) continue;
        const above = values[r0 * gw + c0] * (1 - fx) + values[r0 * gw + c1] * fx;
        const below = values[r1 * gw + c0] * (1 - fx) + values[r1 * gw + c1] * fx;
        const share = scale.limit > 0 ? (above * (1 - fy) + below * fy) / scale.limit : 0;
        const strength = Math.min(Math.max(share, scale.signed ? -1 : 0), 1);
        const unit = scale.signed ? (strength + 1) / 2 : strength;
        const [red, green, blue] = table[Math.round(255 * unit)];
        const at = 4 * (y * width + x);
        pixels.data[at] = red;
        pixels.data[at + 1] = green;
        pixels.data[at + 2] = blue;
        pixels.data[at + 3] = opacity(strength, colours);
      }
    }
    context.putImageData(pixels, 0, 0);
  }

  const opacity = (strength, colours) =>
    Math.round(255 * Math.pow(Math.abs(strength), colours.fade));

  // The patch under a point given as shares of the picture; null where unseen.
  function patchAt(map, image, x, y) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const u = (x * image.width - left) / (right - left);
    const v = (y * image.height - top) / (bottom - top);
    if (u < 0 || u >= 1 || v < 0 || v >= 1) return null;
    return [Math.floor(v * gh), Math.floor(u * gw)];
  }

  // Where a patch lies, in pixels of the picture: x, y, width, height.
  function patchBox(map, [row, column]) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const wide = (right - left) / gw;
    const high = (bottom - top) / gh;
    return [left + column * wide, top + row * high, wide, high];
  }

  // Likewise, as CSS percentages of the picture.
  const patchArea = (map, image, patch) => area(image, ...patchBox(map, patch));

  // The parts of the picture outside of the box: at most four strips.
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

  return { scales, draw, opacity, patchAt, patchArea, patchBox, patchesOn, seenValues, unseenAreas };
})();
