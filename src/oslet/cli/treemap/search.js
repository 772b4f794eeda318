// The search box: a list of paths under it, and the map dimmed but for what matches.

const MOST = 60;

/** Wire the box. `found(hits)` is told what matches (null: no search), `go(i)` what was chosen. */
function searching(model, box, list, count, found, go) {
  const lower = model.paths.map((path) => path.toLowerCase());
  let hits = [];
  let active = -1;

  function close() {
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
    active = -1;
  }

  function mark(next) {
    active = next;
    [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === active)));
    const item = list.children[active];
    if (!item) return;
    box.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  }

  function choose(n) {
    close();
    if (n in hits) go(hits[n]);
  }

  function option(i, n) {
    const item = make("div", { role: "option", id: `found-${n}` },
      make("bdi", {}, shown(model.paths[i])),
      make("span", { class: "figure" }, model.kept[i] ? bytes(model.size[i]) : `✕ left out, ${bytes(model.size[i])}`));
    item.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the box keeps the focus until the choice is made
      choose(n);
    });
    return item;
  }

  function look() {
    const text = box.value.trim().toLowerCase();
    const all = text ? lower.flatMap((path, i) => (path.includes(text) ? [i] : [])) : [];
    const near = (i) => (base(lower[i]).includes(text) ? 0 : 1);
    hits = all.sort((a, b) => near(a) - near(b) || model.size[b] - model.size[a]).slice(0, MOST);
    list.replaceChildren(...hits.map(option));
    if (text && !all.length) list.append(make("p", { class: "quiet" }, "no path has that in it"));
    if (all.length > MOST) list.append(make("p", { class: "quiet" }, `and ${number(all.length - MOST)} more`));
    list.hidden = !text;
    box.setAttribute("aria-expanded", String(!list.hidden));
    count.textContent = text ? `${number(all.length)} paths` : "";
    active = -1;
    found(text ? new Set(all) : null);
  }

  box.addEventListener("input", look);
  box.addEventListener("focus", () => box.value.trim() && look());
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && hits.length) mark((active + step + hits.length + (active < 0 && step < 0 ? 1 : 0)) % hits.length);
    else if (event.key === "Enter") choose(Math.max(0, active));
    else if (event.key === "Escape" && !list.hidden && active >= 0) mark(-1);
    else if (event.key === "Escape") {
      box.value = "";
      look();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
