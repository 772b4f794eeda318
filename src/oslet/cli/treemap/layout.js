// Where the rectangles are: a squarified treemap (Bruls, Huizing, van Wijk: "Squarified Treemaps", 2000).

/** Rectangles for `nodes` (largest first), their areas in proportion to their sizes, each as near a square as may be. */
function squarify(nodes, box) {
  const sized = nodes.filter((node) => node.size > 0);
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
const HEAD = 17; // pixels of a group's name

/** The parts of a group as they will be drawn in an area: those too small to hit are one part that can be opened. */
function gathered(node, area) {
  const limit = (SMALL * node.size) / Math.max(1, area);
  let cut = node.children.findIndex((child) => child.size < limit);
  if (cut < 0 || node.children.length - cut < 2 || cut === 0) return node.children;
  const rest = node.children.slice(cut);
  const size = rest.reduce((sum, child) => sum + child.size, 0);
  const count = rest.reduce((sum, child) => sum + child.count, 0);
  const out = rest.reduce((sum, child) => sum + child.out, 0);
  const more = { label: `${number(rest.length)} smaller`, up: node, at: -1, size, count, out, children: rest };
  return [...node.children.slice(0, cut), { ...more, gathered: true }];
}

/** All rectangles of the map, groups before what they hold. A group is open where there is room for its name. */
function plot(root, width, height) {
  const cells = [];
  function fill(node, box, depth) {
    for (const cell of squarify(gathered(node, box.w * box.h), box)) {
      const open = cell.node.at < 0 && !cell.node.gathered && cell.w >= 56 && cell.h >= 44;
      cells.push({ ...cell, depth, open });
      if (!open) continue;
      const inner = { x: cell.x + 3, y: cell.y + HEAD + 2, w: cell.w - 6, h: cell.h - HEAD - 5 };
      fill(cell.node, inner, depth + 1);
    }
  }
  if (root.size > 0) fill(root, { x: 0, y: 0, w: width, h: height }, 1);
  return cells;
}
