"use strict";
// Sorting: a click on a head turns its column; rows that belong to the one above move with it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const groups = [];
  for (const row of body.rows) {
    if (row.className === "beside" && groups.length) groups[groups.length - 1].push(row);
    else groups.push([row]);
  }
  const original = [...groups];
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const turn = { none: "descending", descending: "ascending", ascending: "none" };
      const order = turn[head.getAttribute("aria-sort") || "none"];
      for (const other of heads) other.setAttribute("aria-sort", other === head ? order : "none");
      const of = group => {
        const cell = group[0].cells[column];
        return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
      };
      const sign = order === "ascending" ? 1 : -1;
      // What has no number stays at the end.
      const isEmpty = value => value === "–" || value === "";
      const compare = (a, b) => {
        const [x, y] = [of(a), of(b)];
        if (isEmpty(x) || isEmpty(y)) return isEmpty(x) - isEmpty(y);
        if (typeof x === "number" && typeof y === "number") return sign * (x - y);
        return sign * String(x).localeCompare(String(y), "en", { numeric: true });
      };
      const sorted = order === "none" ? original : [...original].sort(compare);
      body.append(...sorted.flat());
    });
  });
}
// The labels that the reader gives to clips, with the addresses of their recordings: one list for all figures of the page.
const given = new Map();
const make = (name, attributes, ...inside) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
};
// A list of recordings that `op: manifest` reads. A page from a folder knows where its recordings are; any other gives
// their places relative to the run.
const listed = () => {
  const cell = text => /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  const rows = [...given].filter(([, { address }]) => address).map(([clip, { label, address }]) => {
    const [path, part] = address.split("#t=");
    const [start = "", end = ""] = (part || "").split(",");
    const whole = location.protocol === "file:" ? new URL(path, location.href).pathname : path;
    return [clip, decodeURIComponent(whole), label, start, end];
  });
  const cut = rows.some(row => row[3] || row[4]);
  return [["id", "path", "label", "start", "end"], ...rows]
    .map(row => row.slice(0, cut ? 5 : 3).map(cell).join(",") + "\n").join("");
};
// Points: the nearest one to the pointer is told; a click, or Enter, plays its clip.
for (const figure of document.querySelectorAll("figure.ask")) {
  const plot = figure.querySelector("svg");
  const line = figure.querySelector(".clip");
  const points = JSON.parse(figure.querySelector("script").textContent);
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "path");
  ring.setAttribute("fill", "none");
  ring.setAttribute("stroke", "var(--ink)");
  ring.setAttribute("stroke-width", "2");
  plot.append(ring);
  const said = document.createElement("span");
  said.textContent = line.textContent;
  line.replaceChildren(said);
  let at = -1;
  const tell = clip => {
    if (clip === at) return;
    at = clip;
    const facts = points.facts.map(([title, names, of]) => title + ": " + (names[of[clip]] ?? "–"));
    said.textContent = [points.clips[clip], ...facts].join(" · ");
    ring.setAttribute("d", points.panels.map(panel =>
      `M${panel[clip][0] - 7} ${panel[clip][1]}a7 7 0 1 0 14 0a7 7 0 1 0 -14 0`).join(""));
  };
  // The pointer wanders on while a clip plays, so the control says whose it is. Without a recording
  // there is no control.
  const heard = document.createElement("div");
  let audio = null;
  // Clips that are to be heard after this one.
  let queue = [];
  const play = (which = at, rest = []) => {
    queue = rest;
    if (which < 0 || !points.audio.length) return;
    if (audio) { const old = audio; audio = null; old.pause(); old.remove(); }
    line.append(heard);
    const clip = points.clips[which];
    if (!points.audio[which]) { heard.textContent = clip + " has no recording here."; next(); return; }
    heard.textContent = "\u25b6 " + clip;
    audio = document.createElement("audio");
    audio.controls = true;
    audio.setAttribute("aria-label", clip);
    audio.addEventListener("error", event => {
      if (event.target !== audio) return;
      heard.textContent = clip + ": its recording is not where it was, or this browser cannot play it.";
      audio.remove();
      next();
    });
    // A part of a recording ends with a pause.
    const end = Number((points.audio[which].split("#t=")[1] || "").split(",")[1]) || Infinity;
    const over = event => { if (event.target === audio && (audio.ended || audio.currentTime >= end - .05)) next(); };
    audio.addEventListener("ended", over);
    audio.addEventListener("pause", over);
    audio.src = points.folder + points.audio[which];
    line.append(audio);
    audio.play().catch(() => {});
  };
  const next = () => { if (queue.length) { const [first, ...rest] = queue; tell(first); play(first, rest); } };
  const placed = event => {
    const box = plot.getBoundingClientRect();
    const scale = plot.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  plot.addEventListener("pointermove", event => {
    const [x, y] = placed(event);
    if (lasso) { lasso.push([x, y]); drawLasso(); return; }
    let best = 30 * 30, nearest = -1;
    for (const panel of points.panels) for (let clip = 0; clip < panel.length; clip++) {
      const dx = panel[clip][0] - x, dy = panel[clip][1] - y, distance = dx * dx + dy * dy;
      if (distance < best) { best = distance; nearest = clip; }
    }
    if (nearest >= 0) tell(nearest);
  });
  plot.addEventListener("click", () => { if (!mode.checked) play(); });
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { tell((at + step + points.clips.length) % points.clips.length); event.preventDefault(); }
    if (event.key === "Enter" || event.key === " ") { play(); event.preventDefault(); }
    if (event.key === "s" && at >= 0) { if (!chosen.delete(at)) chosen.add(at); choose(); }
    if (event.key === "Escape") { chosen.clear(); choose(); }
  });
  // Selection: by a lasso, by `s` on the clip that is told, or all clips of a class or cluster.
  const chosen = new Set();
  let lasso = null;
  const outline = name => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    plot.append(path);
    return path;
  };
  const marks = outline("chosen"), loop = outline("lasso");
  const drawLasso = () => loop.setAttribute("d", lasso ? "M" + lasso.map(place => place.join(" ")).join("L") + "Z" : "");
  const isInside = ([x, y]) => {
    let inside = false;
    lasso.forEach(([x1, y1], corner) => {
      const [x2, y2] = lasso[(corner + 1) % lasso.length];
      if (y1 > y !== y2 > y && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) inside = !inside;
    });
    return inside;
  };
  const mode = make("input", { type: "checkbox" });
  const same = make("select", {}, make("option", { value: "" }, "all clips of …"));
  const label = make("input", { type: "text", placeholder: "label", "aria-label": "Label for the selected clips" });
  const state = make("span", { role: "status" });
  const button = (text, act) => {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", act);
    return made;
  };
  points.facts.forEach(([title, names], fact) => names.forEach((name, value) =>
    same.append(make("option", { value: fact + " " + value }, title + ": " + name))));
  const choose = () => {
    marks.setAttribute("d", points.panels.flatMap(panel => [...chosen].map(clip =>
      `M${panel[clip][0] - 5} ${panel[clip][1]}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0`)).join(""));
    const without = [...given.values()].filter(({ address }) => !address).length;
    state.textContent = `${chosen.size} selected, ${given.size} labelled on this page` +
      (without ? `, ${without} of them without a recording here, which a list cannot name` : "");
  };
  same.addEventListener("change", () => {
    const [fact, value] = same.value.split(" ").map(Number);
    points.clips.forEach((_, clip) => { if (points.facts[fact][2][clip] === value) chosen.add(clip); });
    same.value = "";
    choose();
  });
  plot.addEventListener("pointerdown", event => {
    if (!mode.checked) return;
    lasso = [placed(event)];
    if (event.isTrusted) plot.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  plot.addEventListener("pointerup", event => {
    if (!lasso) return;
    if (!event.shiftKey) chosen.clear();
    for (const panel of points.panels)
      panel.forEach((place, clip) => { if (isInside(place)) chosen.add(clip); });
    lasso = null;
    drawLasso();
    choose();
  });
  const give = () => {
    const text = label.value.trim();
    if (!text || !chosen.size) { state.textContent = "Select clips, and write a label."; return; }
    for (const clip of chosen) {
      const address = points.audio[clip] ? points.folder + points.audio[clip] : null;
      given.set(points.clips[clip], { label: text, address });
    }
    choose();
  };
  label.addEventListener("keydown", event => { if (event.key === "Enter") give(); });
  const save = () => {
    const url = URL.createObjectURL(new Blob([listed()], { type: "text/csv" }));
    make("a", { href: url, download: "labels.csv" }).click();
  };
  if (points.clips.length) figure.append(make("details", { class: "select" },
    make("summary", {}, "Select and label clips"),
    make("p", {}, make("label", {}, mode, " lasso: draw around clips (with Shift, more of them)"), " ",
      make("label", {}, "or ", same), " ", button("Clear", () => { chosen.clear(); choose(); })),
    make("p", {}, button("Play them", () => { const [first, ...rest] = [...chosen]; if (first !== undefined) { tell(first); play(first, rest); } }), " ",
      label, " ", button("Give label", give), " ", button("Save labels as CSV", save)),
    make("p", {}, state),
    make("p", {}, "On the figure: the arrows go from clip to clip, Enter plays, s selects, Escape clears. ",
      make("code", {}, "op: manifest"), " reads the saved list.")));
}
