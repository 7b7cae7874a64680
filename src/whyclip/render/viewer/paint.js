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
  function strengths(map, image, width, height, scale, exact) {
    const [gh, gw] = map.grid;
    const [left, top, right, bottom] = map.box;
    const { values } = map;
    const xs = taps(width, image.width, left, right, gw);
    const ys = taps(height, image.height, top, bottom, gh);
    const found = new Float64Array(width * height).fill(NaN);
    const factor = scale.limit > 0 ? 1 / scale.limit : 0;
    const floor = scale.signed ? -1 : 0;
    // For the row of pixels at hand: each column's cubic, and the range of its two nearest patches.
    const [across, lows, highs] = [0, 1, 2].map(() => new Float64Array(gw));
    const { around, weights } = xs;
    for (let y = 0; y < height; y++) {
      if (ys.own[y] < 0) continue;
      for (let c = 0; c < gw; c++) {
        if (exact) {
          across[c] = values[ys.own[y] * gw + c];
          continue;
        }
        across[c] = 0;
        for (let k = 0; k < 4; k++) {
          across[c] += ys.weights[4 * y + k] * values[ys.around[4 * y + k] * gw + c];
        }
        const [a, b] = [1, 2].map((k) => values[ys.around[4 * y + k] * gw + c]);
        lows[c] = Math.min(a, b);
        highs[c] = Math.max(a, b);
      }
      for (let x = 0; x < width; x++) {
        if (xs.own[x] < 0) continue;
        let value = across[xs.own[x]];
        if (!exact) {
          const i = 4 * x;
          const c = around[i + 1];
          const d = around[i + 2];
          value =
            weights[i] * across[around[i]] +
            weights[i + 1] * across[c] +
            weights[i + 2] * across[d] +
            weights[i + 3] * across[around[i + 3]];
          const low = lows[c] < lows[d] ? lows[c] : lows[d];
          const high = highs[c] > highs[d] ? highs[c] : highs[d];
          value = value < low ? low : value > high ? high : value;
        }
        value *= factor;
        found[y * width + x] = value < floor ? floor : value > 1 ? 1 : value;
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
      // One bit each for inside, outside and unseen.
      const kinds = new Uint8Array(found.length);
      for (let i = 0; i < found.length; i++) {
        kinds[i] = found[i] !== found[i] ? 4 : sign * found[i] >= half ? 1 : 2;
      }
      if (!kinds.includes(1)) continue;
      for (const [reach, level] of strokes) {
        const near = nearby(nearby(kinds, width, height, reach, 1), width, height, reach, width);
        for (let at = near.indexOf(3); at >= 0; at = near.indexOf(3, at + 1)) {
          const x = at % width;
          const y = (at - x) / width;
          if (sign < 0) {
            const above = kinds[Math.max(y - reach, 0) * width + x] === 1;
            const below = kinds[Math.min(y + reach, height - 1) * width + x] === 1;
            if (Math.floor((above !== below ? x : y) / dash) % 2) continue;
          }
          data.fill(Math.round(255 * level), 4 * at, 4 * at + 3);
        }
      }
    }
  }

  // All bits that are set within reach, along rows (step 1) or columns (step width).
  function nearby(bits, width, height, reach, step) {
    const found = bits.slice();
    for (let by = 1; by <= reach; by++) {
      const skip = step === 1 ? by : 0;
      for (let y = 0; y < height; y++) {
        const end = step === 1 ? (y + 1) * width - skip : y + by < height ? (y + 1) * width : 0;
        for (let at = y * width; at < end; at++) {
          const other = at + by * step;
          found[at] |= bits[other];
          found[other] |= bits[at];
        }
      }
    }
    return found;
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
