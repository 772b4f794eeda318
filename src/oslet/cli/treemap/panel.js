// The panel beside the map: a path with its chain of reasons, or a group with what it holds.

/** An element: texts go in as text nodes, never as markup. */
function make(tag, given = {}, ...inner) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...inner);
  return element;
}

/** A link within the page; `go` is what following it does. */
function door(address, go, ...inner) {
  const follow = (event) => {
    event.preventDefault();
    go();
  };
  return make("a", { class: "path", href: `#${address}`, onclick: follow }, ...inner);
}

/** A path as part of an address; half a character (a lone surrogate) can't be written there. */
function addressed(path) {
  return encodeURIComponent(path.replace(/[\ud800-\udfff]/gu, "\ufffd")).replaceAll("%2F", "/");
}

/** A path that can be gone to; it may be broken after each slash. */
function pathDoor(model, i, go) {
  const parts = shown(model.paths[i]).split("/");
  const pieces = parts.flatMap((part, n) => (n ? ["/", make("wbr"), part] : [part]));
  return door(addressed(model.paths[i]), () => go(i), make("bdi", {}, ...pieces));
}

/** A sentence in which each path that the tree knows can be gone to. */
function sentence(model, text, from, go) {
  const line = make("span", { class: "reason" });
  for (const piece of text.split(/(\/[^\s,;:()“”"']+)/u)) {
    const i = piece.startsWith("/") ? model.places.get(piece) : undefined;
    line.append(i === undefined || i === from ? make("bdi", {}, shown(piece)) : pathDoor(model, i, go));
  }
  return line;
}

/** One hop's sentence: it leads to the paths that it names, or to the package that it begins with. The path that
 * the evidence is in is its subject, but for what the build makes. */
function told(model, hop, doors) {
  const name = model.origins[hop.origin][0].replace(/^wheel:/, "");
  const because = model.origins[hop.origin][2];
  if (!because || !hop.text.startsWith(because)) {
    const by = hop.path < 0 ? -1 : model.by[hop.path];
    const line = sentence(model, hop.text, hop.path, doors.path);
    if (by < 0 || itself(model, hop.origin)) return line;
    const leading = door(addressed(model.paths[by]), () => doors.path(by), make("bdi", {}, shown(base(model.paths[by]))));
    line.prepend(leading, " ");
    return line;
  }
  const leading = door("", () => doors.origin(hop.origin), shown(name));
  return make("span", { class: "reason" }, leading, make("bdi", {}, shown(hop.text.slice(name.length))));
}

/** A chain as a list, one hop an item, the declaration last. */
function chainList(model, hops, doors, first) {
  const items = hops.map((hop, n) => {
    const item = make("li", { class: hop.path < 0 ? "request" : "hop" });
    if (n === 0 && first) item.append(make("b", {}, first), make("br"));
    else if (hop.path >= 0) item.append(pathDoor(model, hop.path, doors.path), make("br"));
    item.append(told(model, hop, doors));
    return item;
  });
  return make("ol", { class: "chain" }, ...items, make("li", { class: "end" }, make("b", {}, ending(model, hops))));
}

function fact(name, value) {
  return [make("dt", {}, name), make("dd", {}, make("bdi", {}, shown(value)))];
}

function badge(kept) {
  return make("span", { class: kept ? "badge kept" : "badge out" }, kept ? "✓ kept" : "✕ left out");
}

function sizeFact(count) {
  return fact("size", count < 1024 ? bytes(count) : `${bytes(count)} (${number(count)} B)`);
}

/** One path: what it is, where it comes from, and hop by hop why it is there (or not). */
function pathPanel(model, i, doors) {
  const [origin, version] = model.origins[model.origin[i]];
  const kind = model.flags[i].toLowerCase();
  const stays = model.kept[i];
  return [
    make("h2", {}, make("bdi", {}, shown(model.paths[i]))),
    make("p", {}, badge(stays)),
    make("dl", {},
      ...(kind === "f" ? sizeFact(model.size[i]) : []),
      ...(kind === "l" ? fact("link to", model.links[i] ?? "") : []),
      ...fact("type", model.types[model.type[i]]),
      ...fact("from", version ? `${origin} ${version}` : origin),
      ...fact("reason", model.kinds[model.kind[i]])),
    make("h3", {}, stays ? "Why it is here" : "Why it was left out"),
    chainList(model, chain(model, i), doors, stays ? "this path" : "this path is not in the image"),
  ];
}

/** One group: its bytes, and its largest parts, each with its share. */
function groupPanel(model, node, origin, doors, both) {
  const most = node.children.slice(0, 40);
  const row = (child) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * child.size) / Math.max(1, node.size)}%`;
    const words = make("bdi", { class: both && child.out && child.out === child.size ? "label gone" : "label" }, shown(child.label));
    return make("li", {}, make("button", { type: "button", class: "part", onclick: () => doors.part(child) },
      words, make("span", { class: "figure" }, bytes(child.size)), bar));
  };
  const left = node.children.length - most.length;
  const out = node.out && node.out < node.size ? `, ${bytes(node.out)} of it left out` : node.out ? ", all left out" : "";
  const asked = requests(model, origin);
  const why = asked.length ? [make("h3", {}, "Why it is here"), chainList(model, asked, doors, "")] : [];
  const version = origin < 0 ? "" : model.origins[origin][1];
  return [
    make("h2", {}, make("bdi", {}, shown(version ? `${node.label} ${version}` : node.label))),
    make("p", {}, `${bytes(node.size)} in ${files(node.count)}${out}`),
    ...why,
    ...(why.length && most.length ? [make("h3", {}, "What it holds")] : []),
    make("ul", { class: "parts" }, ...most.map(row)),
    ...(left > 0 ? [make("p", { class: "quiet" }, `and ${number(left)} smaller`)] : []),
    make("p", { class: "quiet" }, "Choose a file to see why it is here; choose a group to look into it."),
  ];
}
