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
    for (let k = 0; k < 3; k++) data[at + k] = rows[i + k] + grey * rows[i + 3 + k];
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
    const [r, g, b] = colours.luma.map((share) => share / 255);
    for (let i = 0; i < grey.length; i++) {
      const luma = r * data[4 * i] + g * data[4 * i + 1] + b * data[4 * i + 2];
      grey[i] = Math.pow(Math.min(Math.max((luma - low) / span, 0), 1), power);
    }
    return grey;
  }

  // Of each pixel its four patches and their weights in a Catmull-Rom cubic; null where unseen.
  function taps(pixels, length, low, high, patches) {
    const inside = (i) => Math.min(Math.max(i, 0), patches - 1);
    return Array.from({ length: pixels }, (_, i) => {
      const share = (((i + 0.5) * length) / pixels - low) / (high - low);
      if (share < 0 || share > 1) return null;
      const at = inside(share * patches - 0.5);
      const first = Math.floor(at);
      const t = at - first;
      return {
        own: inside(Math.floor(share * patches)),
        patches: [first - 1, first, first + 1, first + 2].map(inside),
        weights: [
          (((2 - t) * t - 1) * t) / 2,
          ((3 * t - 5) * t * t + 2) / 2,
          (((4 - 3 * t) * t + 1) * t) / 2,
          ((t - 1) * t * t) / 2,
        ],
      };
    });
  }

  // The strength of every pixel, NaN where unseen: smooth without a new sign or peak, or by patch.
  function strengths(map, image, width, height, scale, exact) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const { values } = map;
    const xs = taps(width, image.width, left, right, gw);
    const ys = taps(height, image.height, top, bottom, gh);
    const found = new Float64Array(width * height).fill(NaN);
    const floor = scale.signed ? -1 : 0;
    const across = new Float64Array(gw);
    for (let y = 0; y < height; y++) {
      if (!ys[y]) continue;
      const rows = ys[y].patches.map((row) => row * gw);
      const down = ys[y].weights;
      for (let c = 0; c < gw; c++) {
        across[c] = 0;
        for (let k = 0; k < 4; k++) across[c] += down[k] * values[rows[k] + c];
      }
      for (let x = 0; x < width; x++) {
        if (!xs[x]) continue;
        const { patches, weights } = xs[x];
        let value = values[ys[y].own * gw + xs[x].own];
        if (!exact) {
          const [a, b] = [values[rows[1] + patches[1]], values[rows[1] + patches[2]]];
          const [c, d] = [values[rows[2] + patches[1]], values[rows[2] + patches[2]]];
          value = 0;
          for (let k = 0; k < 4; k++) value += weights[k] * across[patches[k]];
          value = Math.min(Math.max(value, Math.min(a, b, c, d)), Math.max(a, b, c, d));
        }
        const share = scale.limit > 0 ? value / scale.limit : 0;
        found[y * width + x] = Math.min(Math.max(share, floor), 1);
      }
    }
    return found;
  }

  function draw(canvas, map, image, picture, scale, { exact, contour }) {
    const { width, height } = canvas;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    const grey = greys(picture, width, height);
    const found = strengths(map, image, width, height, scale, exact);
    for (let i = 0; i < found.length; i++) {
      if (found[i] === found[i]) mix(pixels.data, 4 * i, grey[i], found[i]);
    }
    if (contour) outline(pixels.data, found, width, height);
    context.putImageData(pixels, 0, 0);
  }

  // The line at half of full strength, in a dark casing; dashed where it speaks against.
  function outline(data, found, width, height) {
    const { half, dash, strokes } = colours.contour;
    for (const sign of [1, -1]) {
      const inside = (x, y) => sign * found[y * width + x] >= half;
      const onEdge = (x, y, reach) => {
        const seen = [false, false];
        for (let v = Math.max(y - reach, 0); v <= Math.min(y + reach, height - 1); v++) {
          for (let u = Math.max(x - reach, 0); u <= Math.min(x + reach, width - 1); u++) {
            if (Number.isNaN(found[v * width + u])) return false;
            seen[Number(inside(u, v))] = true;
          }
        }
        return seen[0] && seen[1];
      };
      for (const [reach, level] of strokes) {
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            if (!onEdge(x, y, reach)) continue;
            const [above, below] = [Math.max(y - reach, 0), Math.min(y + reach, height - 1)];
            const along = inside(x, above) !== inside(x, below) ? x : y;
            if (sign < 0 && Math.floor(along / dash) % 2) continue;
            const at = 4 * (y * width + x);
            data.fill(Math.round(255 * level), at, at + 3);
          }
        }
      }
    }
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
