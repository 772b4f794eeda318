// The data as the page uses it: columns by number of a path, the chain of reasons, the hierarchy of groups.

const [OWN, BY, ORIGIN] = ["\ue000", "\ue001", "\ue002"];
const MAX_HOPS = 100;

/** Columns as data.py wrote them, with paths whole again. */
function decode(raw) {
  const model = { ...raw, n: raw.rest.length, paths: [], places: new Map(), kept: [], file: [] };
  let before = "";
  for (let i = 0; i < model.n; i++) {
    before = before.slice(0, raw.shared[i]) + raw.rest[i];
    const flag = raw.flags[i];
    model.paths.push(before);
    model.kept.push(flag === flag.toLowerCase());
    model.file.push(flag.toLowerCase() === "f");
    if (model.kept[i] || !model.places.has(before)) model.places.set(before, i);
  }
  return model;
}

/** Bytes for people, in powers of 1024, as the command line says them. */
function bytes(count) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (count < 1024) return unit === "B" ? `${count} B` : `${count.toFixed(1)} ${unit}`;
    count /= 1024;
  }
  return `${count.toFixed(1)} GiB`;
}

const number = (count) => count.toLocaleString("en");
const files = (count) => `${number(count)} ${count === 1 ? "file" : "files"}`;
const base = (path) => path.slice(path.lastIndexOf("/") + 1) || "/";

/** A text from outside with all that is invisible, or that turns the direction of writing, spelled out. */
function shown(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu, (c) =>
    `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** The reason of a path, whole. */
function reason(model, i) {
  return model.reasons[model.reason[i]]
    .replaceAll(OWN, () => model.paths[i])
    .replaceAll(BY, () => (model.by[i] < 0 ? "" : model.paths[model.by[i]]))
    .replaceAll(ORIGIN, () => model.origins[model.origin[i]][0]);
}

/** Every hop from a path to the declaration: paths first, then who asked for the last one's package, and so on. */
function chain(model, start) {
  const hops = [];
  const seen = new Set();
  let i = start;
  for (;;) {
    seen.add(i);
    hops.push({ path: i, text: reason(model, i) });
    if (model.by[i] < 0 || seen.has(model.by[i]) || hops.length >= MAX_HOPS) break;
    i = model.by[i];
  }
  let origin = model.origin[i];
  while (origin >= 0 && hops.length < 2 * MAX_HOPS) {
    const [, , because, parent] = model.origins[origin];
    if (because && !hops.some((hop) => hop.text.startsWith(because))) hops.push({ path: -1, text: because });
    origin = parent;
  }
  return hops;
}

/** What a path is grouped or coloured by. */
function key(model, by, i) {
  if (by === "type") return model.types[model.type[i]];
  if (by === "reason") return model.kinds[model.kind[i]];
  return model.origins[model.origin[i]][0];
}

function group(label, up) {
  return { label, up, at: -1, size: 0, count: 0, out: 0, inner: new Map(), children: [] };
}

/** Groups in groups: what the paths are grouped by, then folder in folder, then the files. Empty files have no area. */
function hierarchy(model, by, show) {
  const root = group(model.name, null);
  for (let i = 0; i < model.n; i++) {
    if (!model.file[i] || (show !== "both" && model.kept[i] !== (show === "kept"))) continue;
    const folders = model.paths[i].split("/").slice(1, -1);
    let here = root;
    for (const name of by === "folder" ? folders : [`\u0000${key(model, by, i)}`, ...folders]) {
      if (!here.inner.has(name)) here.inner.set(name, group(name.replace(/^\u0000/, ""), here));
      here = here.inner.get(name);
    }
    const leaf = { label: base(model.paths[i]), up: here, at: i, size: model.size[i], count: 1, children: [] };
    here.children.push({ ...leaf, out: model.kept[i] ? 0 : model.size[i] });
  }
  close(root, by === "folder");
  return root;
}

/** Sum a group up, its largest part first; a folder that holds nothing but one folder is one with it. */
function close(node, joined) {
  for (const inner of node.inner.values()) {
    close(inner, inner.up.up !== null || joined);
    node.children.push(inner);
  }
  for (const child of node.children) {
    node.size += child.size;
    node.count += child.count;
    node.out += child.out;
  }
  node.children.sort((a, b) => b.size - a.size || (a.label < b.label ? -1 : 1));
  const [only] = node.children;
  if (joined && node.up && node.children.length === 1 && only.at < 0) {
    node.label += `/${only.label}`;
    node.children = only.children;
    for (const child of node.children) child.up = node;
  }
}
