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

/** A path that can be gone to; it may be broken after each slash. */
function pathButton(model, i, go) {
  const parts = shown(model.paths[i]).split("/");
  const pieces = parts.flatMap((part, n) => (n ? ["/", make("wbr"), part] : [part]));
  return make("button", { type: "button", class: "path", onclick: () => go(i) }, make("bdi", {}, ...pieces));
}

/** A sentence in which each path that the tree knows can be gone to. */
function sentence(model, text, from, go) {
  const line = make("span", { class: "reason" });
  for (const piece of text.split(/(\/[^\s,;:()“”"']+)/u)) {
    const i = piece.startsWith("/") ? model.places.get(piece) : undefined;
    line.append(i === undefined || i === from ? make("bdi", {}, shown(piece)) : pathButton(model, i, go));
  }
  return line;
}

function fact(name, value) {
  return [make("dt", {}, name), make("dd", {}, make("bdi", {}, shown(value)))];
}

function badge(kept) {
  return make("span", { class: kept ? "badge kept" : "badge out" }, kept ? "✓ kept" : "✕ left out");
}

/** One path: what it is, where it comes from, and hop by hop why it is there (or not). */
function pathPanel(model, i, go) {
  const [origin, version] = model.origins[model.origin[i]];
  const hops = chain(model, i);
  const list = make("ol", { class: "chain" });
  hops.forEach((hop, n) => {
    const item = make("li", { class: hop.path < 0 ? "request" : "hop" });
    if (hop.path >= 0 && n > 0) item.append(pathButton(model, hop.path, go), make("br"));
    if (n === 0) item.append(make("b", {}, model.kept[i] ? "this path" : "this path is not in the image"), make("br"));
    item.append(sentence(model, hop.text, hop.path, go));
    list.append(item);
  });
  list.append(make("li", { class: "end" }, make("b", {}, "the declaration")));
  const kind = model.flags[i].toLowerCase();
  return [
    make("h2", { id: "chosen" }, make("bdi", {}, shown(model.paths[i]))),
    make("p", {}, badge(model.kept[i])),
    make("dl", {},
      ...(kind === "f" ? fact("size", `${bytes(model.size[i])}${model.size[i] < 1024 ? "" : ` (${number(model.size[i])} B)`}`) : []),
      ...(kind === "l" ? fact("link to", model.links[i] ?? "") : []),
      ...fact("type", model.types[model.type[i]]),
      ...fact("from", version ? `${origin} ${version}` : origin),
      ...fact("kind of reason", model.kinds[model.kind[i]])),
    make("h3", {}, model.kept[i] ? "Why it is here" : "Why it was left out"),
    list,
  ];
}

/** One group: its bytes, and its largest parts, each with its share. */
function groupPanel(model, node, open) {
  const most = node.children.slice(0, 40);
  const row = (child) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * child.size) / Math.max(1, node.size)}%`;
    const words = make("bdi", { class: child.out && child.out === child.size ? "label gone" : "label" }, shown(child.label));
    return make("li", {}, make("button", { type: "button", class: "part", onclick: () => open(child) },
      words, make("span", { class: "figure" }, bytes(child.size)), bar));
  };
  const left = node.children.length - most.length;
  const out = node.out && node.out < node.size ? `, ${bytes(node.out)} of it left out` : node.out ? ", all left out" : "";
  return [
    make("h2", {}, make("bdi", {}, shown(node.label))),
    make("p", {}, `${bytes(node.size)} in ${files(node.count)}${out}`),
    make("ul", { class: "parts" }, ...most.map(row)),
    ...(left > 0 ? [make("p", { class: "quiet" }, `and ${number(left)} smaller`)] : []),
    make("p", { class: "quiet" }, "Choose a file to see why it is here; choose a group to look into it."),
  ];
}
