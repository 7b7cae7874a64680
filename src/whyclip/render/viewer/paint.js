// Heat maps in two inks: the image's grey mixes a dark and a light ink, and relevance selects the
// pair. The inks are the same as in all other figures.
import { el } from "./elements.js";

export const createPaint = (colours) => {
  const STEPS = 1024;
  const OPAQUE = 0xff << 24;
  const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  // Six numbers for each strength: the dark ink, and the difference to the light ink.
  function table({ dark, light }) {
    const [darks, lights] = [dark.map(channels), light.map(channels)];
    const at = colours.strengths;
    const between = (stops, low, t, k) => stops[low][k] + t * (stops[low + 1][k] - stops[low][k]);
    const rows = new Float32Array(6 * (STEPS + 1));
    for (let i = 0; i <= STEPS; i++) {
      const strength = i / STEPS;
      let low = 0;
      while (low < at.length - 2 && strength >= at[low + 1]) low++;
      const t = (strength - at[low]) / (at[low + 1] - at[low]);
      for (let k = 0; k < 3; k++) {
        rows[6 * i + k] = between(darks, low, t, k);
        rows[6 * i + 3 + k] = between(lights, low, t, k) - rows[6 * i + k];
      }
    }
    return rows;
  }
  const inks = { for: table(colours.for), against: table(colours.against) };

  // Rounds halves to even, as NumPy and canvas do.
  function rounded(value) {
    const up = (value + 0.5) | 0;
    return up === value + 0.5 && up & 1 ? up - 1 : up;
  }

  // The colour for a grey level and a strength as one number: red in the lowest byte, opaque.
  function mix(grey, strength) {
    const rows = strength < 0 ? inks.against : inks.for;
    const i = 6 * (((strength < 0 ? -strength : strength) * STEPS + 0.5) | 0);
    const red = rounded(rows[i] + grey * rows[i + 3]);
    const green = rounded(rows[i + 1] + grey * rows[i + 4]);
    const blue = rounded(rows[i + 2] + grey * rows[i + 5]);
    return red | (green << 8) | (blue << 16) | OPAQUE;
  }

  // The grey level of every pixel, cached with its picture for the next map at this size. A picture
  // is a decoded image and the grey levels that Python chose for it.
  const known = new WeakMap();
  function greys(picture, width, height) {
    const blank = () => new Float32Array(width * height).fill(colours.blank);
    if (!picture?.image.naturalWidth) return blank();
    const key = `${width} ${height}`;
    if (!known.has(picture.image)) known.set(picture.image, new Map());
    const sizes = known.get(picture.image);
    if (!sizes.has(key)) sizes.set(key, levelled(picture, blank(), width, height));
    return sizes.get(key);
  }

  function levelled({ image, levels }, grey, width, height) {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const { low, span, power } = levels;
    // Powers are slow, so a table has 16 entries for each of the 255 steps of luma.
    const steps = 16 * 255;
    const stretched = Float32Array.from({ length: steps + 1 }, (_, i) =>
      Math.pow(Math.min(Math.max((i / steps - low) / span, 0), 1), power),
    );
    const [r, g, b] = colours.luma.map((share) => (share * steps) / 255);
    for (let i = 0; i < grey.length; i++) {
      const luma = r * data[4 * i] + g * data[4 * i + 1] + b * data[4 * i + 2];
      grey[i] = stretched[Math.round(luma)];
    }
    return grey;
  }

  // Along one axis: for each pixel its patch (−1 outside the crop), and the four patches around it
  // with their weights in a Catmull-Rom cubic, consecutively.
  function taps(pixels, length, low, high, patches) {
    const inside = (i) => Math.min(Math.max(i, 0), patches - 1);
    const own = new Int16Array(pixels).fill(-1);
    const around = new Int16Array(4 * pixels);
    const weights = new Float64Array(4 * pixels);
    for (let i = 0; i < pixels; i++) {
      const share = (((i + 0.5) * length) / pixels - low) / (high - low);
      if (share < 0 || share > 1) continue;
      const at = inside(share * patches - 0.5);
      const first = Math.floor(at);
      const t = at - first;
      own[i] = inside(Math.floor(share * patches));
      around.set([first - 1, first, first + 1, first + 2].map(inside), 4 * i);
      weights[4 * i] = (((2 - t) * t - 1) * t) / 2;
      weights[4 * i + 1] = ((3 * t - 5) * t * t + 2) / 2;
      weights[4 * i + 2] = (((4 - 3 * t) * t + 1) * t) / 2;
      weights[4 * i + 3] = ((t - 1) * t * t) / 2;
    }
    return { own, around, weights };
  }

  // First and last pixel inside the crop; all pixels between them are inside.
  const seen = ({ own }) => [own.findIndex((patch) => patch >= 0), own.findLastIndex((patch) => patch >= 0)];

  // The loops over half a million pixels call plain functions without allocations. A browser
  // compiles these once, but would recompile a function made for each map.
  function draw(canvas, map, image, picture, scale, { exact, contour }) {
    const { width, height } = canvas;
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const xs = taps(width, image.width, left, right, gw);
    const ys = taps(height, image.height, top, bottom, gh);
    const [[x0, x1], [y0, y1]] = [seen(xs), seen(ys)];
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    if (x0 < 0 || y0 < 0) return context.putImageData(pixels, 0, 0);
    const area = { width, height, x0, x1, y0, y1 };
    const factor = scale.limit > 0 ? 1 / scale.limit : 0;
    const values = Float64Array.from(map.values, (value) => factor * value);
    const found = (exact ? patches : smooth)(values, xs, ys, gw, scale.signed ? -1 : 0, area);
    const colour = new Int32Array(pixels.data.buffer);
    paintOver(colour, greys(picture, width, height), found, area);
    if (contour) outline(colour, found, scale.signed, area);
    return context.putImageData(pixels, 0, 0);
  }

  const within = (value, floor) => (value < floor ? floor : value > 1 ? 1 : value);

  // The strength of every pixel inside the crop, by patch.
  function patches(values, xs, ys, gw, floor, { width, height, x0, x1, y0, y1 }) {
    const found = new Float32Array(width * height);
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        found[y * width + x] = within(values[ys.own[y] * gw + xs.own[x]], floor);
      }
    }
    return found;
  }

  // The same, interpolated without a new sign or peak.
  function smooth(values, xs, ys, gw, floor, { width, height, x0, x1, y0, y1 }) {
    const found = new Float32Array(width * height);
    // For the current row of pixels: each column's cubic, and the range of its two nearest patches.
    const [across, lows, highs] = [0, 1, 2].map(() => new Float64Array(gw));
    const { around, weights } = xs;
    for (let y = y0; y <= y1; y++) {
      const k = 4 * y;
      for (let c = 0; c < gw; c++) {
        const a = values[ys.around[k + 1] * gw + c];
        const b = values[ys.around[k + 2] * gw + c];
        const outer =
          ys.weights[k] * values[ys.around[k] * gw + c] +
          ys.weights[k + 3] * values[ys.around[k + 3] * gw + c];
        across[c] = outer + ys.weights[k + 1] * a + ys.weights[k + 2] * b;
        lows[c] = within(a < b ? a : b, floor);
        highs[c] = within(a < b ? b : a, floor);
      }
      for (let x = x0, i = 4 * x0; x <= x1; x++, i += 4) {
        const c = around[i + 1];
        const d = around[i + 2];
        const value =
          weights[i] * across[around[i]] +
          weights[i + 1] * across[c] +
          weights[i + 2] * across[d] +
          weights[i + 3] * across[around[i + 3]];
        const low = lows[c] < lows[d] ? lows[c] : lows[d];
        const high = highs[c] > highs[d] ? highs[c] : highs[d];
        found[y * width + x] = value < low ? low : value > high ? high : value;
      }
    }
    return found;
  }

  function paintOver(colour, grey, found, { width, x0, x1, y0, y1 }) {
    for (let y = y0; y <= y1; y++) {
      for (let at = y * width + x0; at <= y * width + x1; at++) colour[at] = mix(grey[at], found[at]);
    }
  }

  // The line at half of full strength, with a dark casing; dashed for negative relevance.
  function outline(colour, found, signed, area) {
    const { half, strokes } = colours.contour;
    for (const sign of signed ? [1, -1] : [1]) {
      const inside = new Uint8Array(found.length);
      for (let at = 0; at < found.length; at++) inside[at] = sign * found[at] >= half ? 1 : 0;
      const near = edges(inside, strokes, area);
      strokes.forEach(([reach, level], k) => {
        stroke(colour, near[k], inside, sign < 0, reach, (Math.round(255 * level) * 0x010101) | OPAQUE, area);
      });
    }
  }

  // For each stroke, marks every pixel within reach of the line and inside the crop: around each
  // place where the line passes between a pixel and the next one to the right or below.
  function edges(inside, strokes, area) {
    const { width, x0, x1, y0, y1 } = area;
    const near = strokes.map(() => new Uint8Array(inside.length));
    for (let y = y0; y <= y1; y++) {
      for (let x = x0, at = y * width + x0; x <= x1; x++, at++) {
        const right = x < x1 && inside[at] !== inside[at + 1];
        const down = y < y1 && inside[at] !== inside[at + width];
        if (!right && !down) continue;
        for (let k = 0; k < near.length; k++) {
          if (right) markAround(near[k], x, y, 1, 0, strokes[k][0], area);
          if (down) markAround(near[k], x, y, 0, 1, strokes[k][0], area);
        }
      }
    }
    return near;
  }

  function markAround(near, x, y, right, down, reach, { width, height, x0, x1, y0, y1 }) {
    const left = Math.max(x + right - reach, x0 > 0 ? x0 + reach : 0);
    const end = Math.min(x + reach, x1 < width - 1 ? x1 - reach : x1);
    const top = Math.max(y + down - reach, y0 > 0 ? y0 + reach : 0);
    const last = Math.min(y + reach, y1 < height - 1 ? y1 - reach : y1);
    for (let v = top; v <= last; v++) {
      for (let at = v * width + left; at <= v * width + end; at++) near[at] = 1;
    }
  }

  function stroke(colour, near, inside, dashed, reach, ink, { width, height }) {
    const { dash } = colours.contour;
    for (let at = near.indexOf(1); at >= 0; at = near.indexOf(1, at + 1)) {
      if (dashed) {
        const x = at % width;
        const y = (at - x) / width;
        const above = inside[Math.max(y - reach, 0) * width + x];
        const below = inside[Math.min(y + reach, height - 1) * width + x];
        if (Math.floor((above !== below ? x : y) / dash) % 2) continue;
      }
      colour[at] = ink;
    }
  }

  // The colour bar: strength horizontally, the image's grey vertically.
  function bar(scale, width = 220, height = 20) {
    const label = "Colour bar: strength horizontally, grey of the image vertically";
    const canvas = el("canvas", { class: "bar", role: "img", "aria-label": label, width, height });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    const colour = new Int32Array(pixels.data.buffer);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const share = x / (width - 1);
        colour[y * width + x] = mix(1 - y / (height - 1), scale.signed ? 2 * share - 1 : share);
      }
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  return { draw, bar };
};
