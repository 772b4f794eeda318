// The page: its state, the drawing of the map, and what clicks and keys do.

const HUES = 12; // the last is for all that has no colour of its own
const at = (id) => document.getElementById(id);
const model = decode(JSON.parse(at("data").textContent));
const state = { show: "kept", group: "package", colour: "type", chosen: -1, hits: null, only: null };
let root; // the whole hierarchy
let here; // the group that the map shows
let cells = []; // what is drawn
let hues = new Map(); // key → number of its colour

function chosenPath(i) {
  state.chosen = i;
  if (state.show !== "both" && model.kept[i] !== (state.show === "kept")) {
    document.querySelector('#show input[value="both"]').checked = true;
    state.show = "both";
    regroup();
  }
  draw();
  tell();
  at("said").textContent = `${shown(model.paths[i])}: ${model.kept[i] ? "kept" : "left out"}. ${shown(reason(model, i))}`;
  if (matchMedia("(max-width: 860px)").matches) at("panel").scrollIntoView({ block: "nearest" });
  address(model.paths[i]);
}

/** The address names what is chosen, so that it can be sent to someone. */
function address(path) {
  history.replaceState(null, "", `#${addressed(path)}`);
}

/** The groups around the file `i`, the outermost first; none for a file that has no area. */
function around(i) {
  const groups = [];
  for (let node = holder(root, i); node; node = node.up) groups.unshift(node);
  return groups;
}

/** The group that holds the file `i`, or null for one that has no area. */
function holder(node, i) {
  if (node.at === i) return node.size ? node.up : null;
  for (const child of node.children) {
    const found = holder(child, i);
    if (found) return found;
  }
  return null;
}

function zoom(node) {
  here = node;
  state.chosen = -1;
  draw();
  tell();
  address("");
}

/** Zoom into a package, whatever the map was grouped by. */
function openOrigin(origin) {
  if (state.group !== "package") {
    at("group").value = state.group = "package";
    regroup();
  }
  const [name] = model.origins[origin];
  zoom(root.children.find((node) => node.label === name) ?? group(name, root));
}

function open(node) {
  if (node.at >= 0) chosenPath(node.at);
  else zoom(node);
}

function tell() {
  const doors = { path: chosenPath, origin: openOrigin, part: open };
  const origin = state.group === "package" && here.up === root ? model.origins.findIndex(([name]) => name === here.label) : -1;
  const inner = state.chosen >= 0 ? pathPanel(model, state.chosen, doors) : groupPanel(model, here, origin, doors, state.show === "both");
  at("panel").replaceChildren(...inner);
  at("panel").scrollTop = 0;
}

/** Colours for the keys with the greatest share of what is kept or of what was left out; the rest share one. A key
 * has the same colour whichever is shown, and stands in the legend where it is shown. */
function recolour() {
  const sums = new Map(); // key → bytes kept, bytes left out
  const all = [1, 1];
  for (let i = 0; i < model.n; i++) {
    if (!model.file[i]) continue;
    const name = key(model, state.colour, i);
    if (!sums.has(name)) sums.set(name, [0, 0]);
    sums.get(name)[model.kept[i] ? 0 : 1] += model.size[i];
    all[model.kept[i] ? 0 : 1] += model.size[i];
  }
  const share = ([, [kept, out]]) => Math.max(kept / all[0], out / all[1]);
  const most = [...sums].sort((a, b) => share(b) - share(a));
  hues = new Map(most.slice(0, HUES - 1).map(([name], n) => [name, n]));
  state.only = null;
  const now = ([kept, out]) => (state.show === "dropped" ? 0 : kept) + (state.show === "kept" ? 0 : out);
  const rows = most.map(([name, both], n) => [name, now(both), n]).filter(([, size]) => size > 0);
  const named = rows.filter(([, , n]) => n < HUES - 1).sort((a, b) => b[1] - a[1]);
  const rest = rows.slice(named.length);
  const bytesOfRest = rest.reduce((sum, [, size]) => sum + size, 0);
  if (rest.length) named.push([rest.length > 1 ? `${number(rest.length)} others` : rest[0][0], bytesOfRest, HUES - 1]);
  at("legend").replaceChildren(...named.map(([name, size, n]) => make("button",
    { type: "button", "aria-pressed": "false", "data-hue": n, onclick: () => only(n) },
    make("span", { class: `swatch hue${n}`, "aria-hidden": "true" }), make("bdi", {}, shown(name)),
    make("span", { class: "figure" }, bytes(size)))));
}

function only(n) {
  state.only = state.only === n ? null : n;
  for (const item of at("legend").children) item.setAttribute("aria-pressed", String(+item.dataset.hue === state.only));
  draw();
}

const hue = (i) => hues.get(key(model, state.colour, i)) ?? HUES - 1;

/** Whether a rectangle has anything in it that search and legend point at. */
function wanted(node) {
  if (node.at >= 0) return (!state.hits || state.hits.has(node.at)) && (state.only === null || hue(node.at) === state.only);
  return node.children.some(wanted);
}

/** The colour of a closed group: that of most of its bytes. */
function groupHue(node) {
  const sums = Array(HUES).fill(0);
  const add = (inner) => (inner.at >= 0 ? (sums[hue(inner.at)] += inner.size) : inner.children.forEach(add));
  add(node);
  return sums.indexOf(Math.max(...sums));
}

function drawn(cell, n, trail) {
  const { node, open: isOpen, w, h } = cell;
  const gone = node.size > 0 && node.out === node.size;
  const marked = gone && state.show === "both"; // where all is left out, a mark says nothing
  const words = `${shown(node.at >= 0 ? model.paths[node.at] : node.label)}, ${bytes(node.size)}`;
  const more = node.at >= 0 ? "" : `, ${files(node.count)}`;
  const element = make("div", {
    role: "treeitem", tabindex: "-1", "aria-level": cell.depth, "aria-label": `${words}${more}${gone ? ", left out" : ""}`,
    "data-cell": n, "aria-selected": String(node.at >= 0 && node.at === state.chosen),
    ...(node.at < 0 ? { "aria-expanded": String(isOpen) } : { "data-path": model.paths[node.at] }),
    class: isOpen ? "group" : `leaf hue${node.at >= 0 ? hue(node.at) : groupHue(node)}${node.at < 0 ? " closed" : ""}`,
  });
  element.classList.toggle("gone", marked);
  element.classList.toggle("trail", node.at >= 0 && trail.has(node.at));
  element.classList.toggle("dim", !isOpen && (state.hits !== null || state.only !== null) && !wanted(node));
  Object.assign(element.style, { left: `${cell.x}px`, top: `${cell.y}px`, width: `${w}px`, height: `${h}px` });
  if (isOpen || (w > 40 && h > 15)) {
    const label = make("span", { class: "name" }, make("bdi", {}, `${marked ? "✕ " : ""}${node.at < 0 && !isOpen && w > 66 ? "▸ " : ""}${shown(node.label)}`));
    element.append(label);
    if (isOpen ? w > 130 : h > 32 && w > 66) element.append(make("span", { class: "figure" }, bytes(node.size)));
  }
  return element;
}

function draw() {
  const map = at("map");
  const { clientWidth: width, clientHeight: height } = map;
  const held = map.contains(document.activeElement) ? cells[+document.activeElement.dataset.cell]?.node : undefined;
  cells = plot(here, width, height);
  for (const inner of state.chosen < 0 ? [] : around(state.chosen)) {
    if (cells.some((cell) => cell.node.at === state.chosen)) break;
    [here, cells] = [inner, plot(inner, width, height)];
  }
  const trail = new Set(state.chosen < 0 ? [] : chain(model, state.chosen).map((hop) => hop.path));
  map.replaceChildren(...cells.map((cell, n) => drawn(cell, n, trail)));
  if (!cells.length) map.append(make("p", { class: "quiet" }, "nothing here has any bytes"));
  const focus = cells.findIndex((cell) => cell.node.at === state.chosen && state.chosen >= 0);
  if (cells.length) map.children[Math.max(0, focus)].tabIndex = 0;
  if (held) focusOn(Math.max(0, cells.findIndex((cell) => cell.node === held)));
  crumbs();
}

function crumbs() {
  const up = [];
  for (let node = here; node; node = node.up) up.unshift(node);
  at("crumbs").replaceChildren(...up.map((node) => make("li", {}, make("button", {
    type: "button", onclick: () => zoom(node), ...(node === here ? { "aria-current": "location" } : {}),
  }, make("bdi", {}, shown(node.label))))));
}

function regroup() {
  root = hierarchy(model, state.group, state.show);
  here = root;
  recolour();
}

function redraw() {
  regroup();
  if (state.chosen >= 0 && state.show !== "both" && model.kept[state.chosen] !== (state.show === "kept")) state.chosen = -1;
  draw();
  tell();
}

function cellOf(event) {
  const element = event.target.closest("[data-cell]");
  return element ? cells[+element.dataset.cell] : undefined;
}

/** From the rectangle that has the focus to the nearest one in the arrow's direction. */
function step(from, dx, dy) {
  const middle = (cell) => [cell.x + cell.w / 2, cell.y + (cell.open ? HEAD / 2 : cell.h / 2)];
  const [x, y] = middle(from);
  let [best, least] = [-1, Infinity];
  cells.forEach((cell, n) => {
    const [cx, cy] = middle(cell);
    const ahead = (cx - x) * dx + (cy - y) * dy;
    const aside = Math.abs((cx - x) * dy) + Math.abs((cy - y) * dx);
    if (ahead > 0.5 && ahead + 2 * aside < least) [best, least] = [n, ahead + 2 * aside];
  });
  return best;
}

function focusOn(n) {
  const map = at("map");
  for (const element of map.querySelectorAll('[tabindex="0"]')) element.tabIndex = -1;
  if (!map.children[n]) return;
  map.children[n].tabIndex = 0;
  map.children[n].focus({ preventScroll: true });
}

function keys(event) {
  const cell = cellOf(event);
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrow && cell) {
    const next = step(cell, ...arrow);
    if (next >= 0) focusOn(next);
  } else if ((event.key === "Enter" || event.key === " ") && cell) {
    open(cell.node);
  } else if (event.key === "Escape" && (state.chosen >= 0 || here.up)) {
    if (state.chosen >= 0) zoom(here);
    else zoom(here.up);
  } else return;
  event.preventDefault();
}

function hint(event) {
  const cell = cellOf(event);
  if (!cell) return;
  const { node } = cell;
  at("hint").textContent = `${shown(node.at >= 0 ? model.paths[node.at] : node.label)} · ${bytes(node.size)}`
    + (node.at >= 0 ? ` · ${model.types[model.type[node.at]]}` : ` · ${files(node.count)}`);
}

function totals() {
  const sums = { kept: [0, 0], out: [0, 0] };
  for (let i = 0; i < model.n; i++) {
    const sum = model.kept[i] ? sums.kept : sums.out;
    sum[0] += model.size[i];
    sum[1] += model.file[i];
  }
  at("name").textContent = model.name;
  at("totals").replaceChildren(
    make("b", {}, bytes(sums.kept[0])), ` kept in ${files(sums.kept[1])} · `,
    make("b", {}, bytes(sums.out[0])), ` left out in ${files(sums.out[1])}`);
}

at("map").addEventListener("click", (event) => {
  const cell = cellOf(event);
  if (cell) open(cell.node);
});
at("map").addEventListener("keydown", keys);
at("map").addEventListener("mouseover", hint);
at("map").addEventListener("focusin", hint);
at("controls").addEventListener("submit", (event) => event.preventDefault());
at("controls").addEventListener("change", (event) => {
  if (event.target.name === "show") state.show = event.target.value;
  else if (event.target.id === "group") state.group = event.target.value;
  else if (event.target.id === "colour") state.colour = event.target.value;
  else return;
  redraw();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
  at("search").focus();
  event.preventDefault();
});
searching(model, at("search"), at("found"), at("count"), (hits) => {
  state.hits = hits;
  draw();
}, chosenPath);

totals();
regroup();
new ResizeObserver(draw).observe(at("map"));
draw();
tell();
try {
  const wish = model.places.get(decodeURIComponent(location.hash.slice(1)));
  if (wish !== undefined) chosenPath(wish);
} catch { /* a fragment that is no text names no path */ }
