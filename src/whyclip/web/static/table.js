// Words by patches: the contribution of each word–patch pair to the score.

// The heat map of one word.
export const where = (table, word) => ({
  grid: table.grid,
  box: table.box,
  values: table.values[word],
});

// Each word's sum over a box (in shares of the image); patches are weighted by their share inside.
export function what(table, [left, top, right, bottom]) {
  const inside = shares(table, [left, top, right, bottom]);
  return table.values.map((values) => values.reduce((sum, value, i) => sum + value * inside[i], 0));
}

function shares({ grid: [gh, gw], box, image }, [left, top, right, bottom]) {
  const [wide, high] = [(box[2] - box[0]) / gw, (box[3] - box[1]) / gh];
  const overlap = (start, length, from, to) =>
    Math.max(0, Math.min(start + length, to) - Math.max(start, from)) / length;
  const found = [];
  for (let row = 0; row < gh; row++) {
    const down = overlap(box[1] + row * high, high, top * image.height, bottom * image.height);
    for (let column = 0; column < gw; column++) {
      const across = overlap(box[0] + column * wide, wide, left * image.width, right * image.width);
      found.push(down * across);
    }
  }
  return found;
}

// The strongest word–patch pairs: at most one per word and neighbourhood, and only those with
// more than a tenth of the strongest value.
export function pairs(table, count = 6) {
  const [gh, gw] = table.grid;
  const all = table.values.flatMap((values, word) =>
    values.map((value, i) => ({ word, value, row: Math.floor(i / gw), column: i % gw })),
  );
  all.sort((a, b) => b.value - a.value);
  const reach = Math.max(1, Math.round(Math.min(gh, gw) / 5));
  const near = (a, b) =>
    a.word === b.word && Math.abs(a.row - b.row) <= reach && Math.abs(a.column - b.column) <= reach;
  const chosen = [];
  for (const pair of all) {
    if (pair.value <= all[0].value / 10 || chosen.length === count) break;
    if (!chosen.some((other) => near(pair, other))) chosen.push(pair);
  }
  return chosen;
}

// The row of the table that belongs to a word of the prompt.
export const rowOf = (table, word) => table.words.findIndex(({ start }) => start === word.start);
