// Heat maps in two inks: the image's grey mixes a dark and a light one, relevance chooses the pair.
// The inks come from the same source as every other figure.
import { el } from "./elements.js";

export const createPaint = (colours) => {
  const STEPS = 1024;
  const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  // Six numbers for each strength: the dark ink, and from there to the light one.
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

  // Writes the colour of a grey and a strength into the pixels.
  function mix(data, at, grey, strength) {
    const rows = strength < 0 ? inks.against : inks.for;
    const i = 6 * Math.round(Math.abs(strength) * STEPS);
    data[at] = rows[i] + grey * rows[i + 3];
    data[at + 1] = rows[i + 1] + grey * rows[i + 4];
    data[at + 2] = rows[i + 2] + grey * rows[i + 5];
    data[at + 3] = 255;
  }

  // The grey level of every pixel, kept with its picture for the next map at this size. A picture
  // is an image that the browser has decoded, and the levels that Python chose for its grey.
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
    // Powers are slow: a table with 16 entries for each of the 255 steps of luma.
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

  // Along one axis: for each pixel its own patch (−1 where unseen), and the four patches around it
  // with their weights in a Catmull-Rom cubic, one after another.
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

  // The strength of every pixel, NaN where unseen: smooth without a new sign or peak, or by patch.
  // Written for speed: it runs over half a million pixels while the reader waits.
  function strengths(map, image, width, height, scale, exact) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const { values } = map;
    const xs = taps(width, image.width, left, right, gw);
    const ys = taps(height, image.height, top, bottom, gh);
    const found = new Float32Array(width * height);
    const factor = scale.limit > 0 ? 1 / scale.limit : 0;
    const floor = scale.signed ? -1 : 0;
    const within = (value) => (value < floor ? floor : value > 1 ? 1 : value);
    // Pixels on the map are neighbours: what is left and right of them is unseen.
    const first = Math.max(0, xs.own.findIndex((patch) => patch >= 0));
    const last = xs.own.findLastIndex((patch) => patch >= 0);
    // For the row of pixels at hand: each column's cubic, and the range of its two nearest patches.
    const [across, lows, highs] = [0, 1, 2].map(() => new Float64Array(gw));
    const { own, around, weights } = xs;
    for (let y = 0; y < height; y++) {
      const row = y * width;
      if (ys.own[y] < 0 || last < 0) {
        found.fill(NaN, row, row + width);
        continue;
      }
      found.fill(NaN, row, row + first);
      found.fill(NaN, row + last + 1, row + width);
      if (exact) {
        for (let x = first; x <= last; x++) found[row + x] = within(factor * values[ys.own[y] * gw + own[x]]);
        continue;
      }
      const at = [0, 1, 2, 3].map((k) => ys.around[4 * y + k] * gw);
      const by = ys.weights.subarray(4 * y, 4 * y + 4);
      for (let c = 0; c < gw; c++) {
        const [a, b] = [factor * values[at[1] + c], factor * values[at[2] + c]];
        across[c] = factor * (by[0] * values[at[0] + c] + by[3] * values[at[3] + c]) + by[1] * a + by[2] * b;
        lows[c] = Math.max(floor, Math.min(a, b));
        highs[c] = Math.min(1, Math.max(a, b));
      }
      for (let x = first, i = 4 * first; x <= last; x++, i += 4) {
        const c = around[i + 1];
        const d = around[i + 2];
        const value =
          weights[i] * across[around[i]] +
          weights[i + 1] * across[c] +
          weights[i + 2] * across[d] +
          weights[i + 3] * across[around[i + 3]];
        const low = lows[c] < lows[d] ? lows[c] : lows[d];
        const high = highs[c] > highs[d] ? highs[c] : highs[d];
        found[row + x] = value < low ? low : value > high ? high : value;
      }
    }
    return found;
  }

  function draw(canvas, map, image, picture, scale, { exact, contour }) {
    const { width, height } = canvas;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    const { data } = pixels;
    const grey = greys(picture, width, height);
    const found = strengths(map, image, width, height, scale, exact);
    for (let i = 0; i < found.length; i++) {
      if (found[i] === found[i]) mix(data, 4 * i, grey[i], found[i]);
    }
    if (contour) outline(data, found, width, height, scale);
    context.putImageData(pixels, 0, 0);
  }

  // The line at half of full strength, in a dark casing; dashed where it speaks against.
  function outline(data, found, width, height, scale) {
    const { half, dash, strokes } = colours.contour;
    for (const sign of scale.signed ? [1, -1] : [1]) {
      const pairs = crossings(found, width, height, sign, half);
      for (const [reach, level] of strokes) {
        const value = Math.round(255 * level);
        const inside = (x, y) => sign * found[Math.min(Math.max(y, 0), height - 1) * width + x] >= half;
        for (const at of beside(pairs, found, width, height, reach)) {
          const x = at % width;
          const y = (at - x) / width;
          if (sign < 0) {
            const crossed = inside(x, y - reach) !== inside(x, y + reach);
            if (Math.floor((crossed ? x : y) / dash) % 2) continue;
          }
          data.fill(value, 4 * at, 4 * at + 3);
        }
      }
    }
  }

  // Where the line passes between a pixel and the next one, to the right or (negative) below.
  function crossings(found, width, height, sign, half) {
    const pairs = [];
    const inside = new Uint8Array(found.length);
    for (let at = 0; at < found.length; at++) inside[at] = sign * found[at] >= half ? 1 : 0;
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        if (x + 1 < width && inside[at] !== inside[at + 1]) pairs.push(at);
        if (y + 1 < height && inside[at] !== inside[at + width]) pairs.push(-1 - at);
      }
    }
    return pairs;
  }

  // The pixels whose square of this reach has the line inside, and nothing unseen.
  function beside(pairs, found, width, height, reach) {
    const near = new Set();
    for (const pair of pairs) {
      const at = pair < 0 ? -1 - pair : pair;
      const x = at % width;
      const y = (at - x) / width;
      const [right, down] = pair < 0 ? [0, 1] : [1, 0];
      const end = Math.min(x + reach, width - 1);
      for (let v = Math.max(y + down - reach, 0); v <= Math.min(y + reach, height - 1); v++) {
        for (let u = Math.max(x + right - reach, 0); u <= end; u++) near.add(v * width + u);
      }
    }
    const seen = (at) => {
      const x = at % width;
      const y = (at - x) / width;
      for (let v = Math.max(y - reach, 0); v <= Math.min(y + reach, height - 1); v++) {
        for (let u = Math.max(x - reach, 0); u <= Math.min(x + reach, width - 1); u++) {
          if (Number.isNaN(found[v * width + u])) return false;
        }
      }
      return true;
    };
    return [...near].filter(seen);
  }

  // The colour bar: strength across, the image's grey upwards.
  function bar(scale, width = 220, height = 20) {
    const label = "Colour bar: strength across, grey of the image upwards";
    const canvas = el("canvas", { class: "bar", role: "img", "aria-label": label, width, height });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const share = x / (width - 1);
        mix(pixels.data, 4 * (y * width + x), 1 - y / (height - 1), scale.signed ? 2 * share - 1 : share);
      }
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  return { draw, bar };
};
