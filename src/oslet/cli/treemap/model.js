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

/** Whether the reasons of an origin's paths say what they are, and not what was found elsewhere (as in trim/why.py). */
function itself(model, origin) {
  return /^(made:.*|files|image)$/.test(model.origins[origin][0]);
}

/** Every hop from a path to the declaration: paths first, then who asked for the last one's package, and so on. */
function chain(model, start) {
  const hops = [];
  const seen = new Set();
  for (let i = start; i >= 0 && !seen.has(i) && hops.length < MAX_HOPS; i = model.by[i]) {
    seen.add(i);
    hops.push({ path: i, origin: model.origin[i], text: reason(model, i) });
  }
  const last = hops.at(-1);
  if (/^(the declaration|a check of the declaration|Python imports)/.test(last.text)) return hops;
  const [asked, ...further] = requests(model, last.origin);
  if (asked && !last.text.startsWith(asked.text)) hops.push(asked);
  return [...hops, ...further];
}

/** Who asked for a package, and who asked for that one, up to what the declaration names. */
function requests(model, origin) {
  const hops = [];
  while (origin >= 0 && hops.length < MAX_HOPS) {
    const [, , because, parent] = model.origins[origin];
    if (because) hops.push({ path: -1, origin, text: because });
    origin = parent;
  }
  return hops;
}

/** Where a chain ends: what the build makes of itself is there for every image of the kind. */
function ending(model, hops) {
  const [name] = model.origins[hops.at(-1).origin];
  return name.startsWith("made:") ? "the build makes it, from what the declaration brings" : "the declaration";
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
    if (folders.length) folders[0] = `/${folders[0]}`;
    for (const name of by === "folder" ? folders : [key(model, by, i), ...folders]) {
      if (!here.inner.has(name)) here.inner.set(name, group(name, here));
      here = here.inner.get(name);
    }
    const size = model.size[i];
    const out = model.kept[i] ? 0 : size;
    here.children.push({ label: base(model.paths[i]), up: here, at: i, size, count: 1, out, children: [] });
  }
  close(root, by !== "folder");
  return root;
}

/** Sum a group up, its largest part first, without the folders that would only stand between. */
function close(node, first) {
  for (const inner of node.inner.values()) {
    close(inner, false);
    const parts = first || !between(inner) ? [inner] : inner.children;
    for (const part of parts) {
      if (part !== inner) part.label = `${inner.label}/${part.label}`;
      part.up = node;
      node.children.push(part);
    }
  }
  for (const child of node.children) {
    node.size += child.size;
    node.count += child.count;
    node.out += child.out;
  }
  node.children.sort((a, b) => b.size - a.size || (a.label < b.label ? -1 : 1));
}

/** Whether a folder holds no file of its own, and one folder in it holds nearly all of its bytes. */
function between(node) {
  return node.children.length <= 6 && node.children.every((child) => child.at < 0)
    && node.children[0].size >= 0.9 * node.size;
}
