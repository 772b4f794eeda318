// Where the rectangles are: a squarified treemap (Bruls, Huizing, van Wijk: "Squarified Treemaps", 2000).

/** Rectangles for `nodes` (none of size 0), their areas in proportion to their sizes, each as near a square as may be. */
function squarify(nodes, box) {
  const sized = [...nodes].sort((a, b) => b.size - a.size);
  const total = sized.reduce((sum, node) => sum + node.size, 0);
  const scale = (box.w * box.h) / total;
  const placed = [];
  let { x, y, w, h } = box;
  for (let from = 0; from < sized.length; ) {
    const side = Math.min(w, h);
    let [to, sum, worst] = [from, 0, Infinity];
    for (; to < sized.length; to++) {
      const next = sum + sized[to].size * scale;
      const thick = next / side;
      const thin = (sized[to].size * scale) / thick;
      const wide = (sized[from].size * scale) / thick;
      const ratio = Math.max(wide / thick, thick / thin);
      if (ratio > worst) break;
      [sum, worst] = [next, ratio];
    }
    const thick = side > 0 ? sum / side : 0;
    let along = 0;
    for (const node of sized.slice(from, to)) {
      const length = thick > 0 ? (node.size * scale) / thick : 0;
      const here = w < h ? { x: x + along, y, w: length, h: thick } : { x, y: y + along, w: thick, h: length };
      placed.push({ node, ...here });
      along += length;
    }
    if (w < h) [y, h] = [y + thick, Math.max(0, h - thick)];
    else [x, w] = [x + thick, Math.max(0, w - thick)];
    from = to;
  }
  return placed;
}

const SMALL = 40; // square pixels: less can't be hit with a finger or a pointer
const MOST_CELLS = 8000; // more than a browser draws while one waits
const HEAD = 17; // pixels of a group's name

/** Parts of a group that are drawn as one, which can be opened. */
function bundle(node, parts) {
  const sum = (what) => parts.reduce((total, part) => total + part[what], 0);
  const label = `${number(parts.length)} smaller`;
  return { label, up: node, at: -1, size: sum("size"), count: sum("count"), out: sum("out"), children: parts, bundle: true };
}

/** The parts of a group as they will be drawn in an area: those under `small` square pixels are bundled. */
function gathered(node, area, small) {
  const parts = node.children.filter((child) => child.size > 0);
  const cut = parts.findIndex((part) => part.size * area < small * node.size);
  if (cut < 0 || parts.length - cut < 2) return parts;
  if (cut > 0) return [...parts.slice(0, cut), bundle(node, parts.slice(cut))];
  const each = Math.ceil((parts.length * small) / Math.max(1, area));
  if (each >= parts.length) return parts.slice(0, 1).concat(bundle(node, parts.slice(1)));
  const bundles = [];
  for (let n = 0; n < parts.length; n += each) bundles.push(bundle(node, parts.slice(n, n + each)));
  return bundles;
}

/** All rectangles of the map, groups before what they hold. A group is open where there is room for its name. */
function plot(root, width, height) {
  const cells = [];
  const small = Math.max(SMALL, (width * height) / MOST_CELLS);
  function fill(node, box, depth) {
    for (const cell of squarify(gathered(node, box.w * box.h, small), box)) {
      const open = cell.node.at < 0 && !cell.node.bundle && cell.w >= 56 && cell.h >= 44;
      cells.push({ ...cell, depth, open });
      if (!open) continue;
      const inner = { x: cell.x + 3, y: cell.y + HEAD + 2, w: cell.w - 6, h: cell.h - HEAD - 5 };
      fill(cell.node, inner, depth + 1);
    }
  }
  if (root.size > 0) fill(root, { x: 0, y: 0, w: width, h: height }, 1);
  return cells;
}
