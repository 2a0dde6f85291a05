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
  const play = () => {
    if (at < 0 || !points.audio.length) return;
    if (audio) { audio.pause(); audio.remove(); audio = null; }
    line.append(heard);
    const clip = points.clips[at];
    if (!points.audio[at]) { heard.textContent = clip + " has no recording here."; return; }
    heard.textContent = "\u25b6 " + clip;
    audio = document.createElement("audio");
    audio.controls = true;
    audio.setAttribute("aria-label", clip);
    audio.addEventListener("error", event => {
      if (event.target !== audio) return;
      heard.textContent = clip + ": its recording is not where it was, or this browser cannot play it.";
      audio.remove();
    });
    audio.src = points.folder + points.audio[at];
    line.append(audio);
    audio.play().catch(() => {});
  };
  plot.addEventListener("pointermove", event => {
    const box = plot.getBoundingClientRect();
    const scale = plot.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = 30 * 30, nearest = -1;
    for (const panel of points.panels) for (let clip = 0; clip < panel.length; clip++) {
      const dx = panel[clip][0] - x, dy = panel[clip][1] - y, distance = dx * dx + dy * dy;
      if (distance < best) { best = distance; nearest = clip; }
    }
    if (nearest >= 0) tell(nearest);
  });
  plot.addEventListener("click", play);
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { tell((at + step + points.clips.length) % points.clips.length); event.preventDefault(); }
    if (event.key === "Enter" || event.key === " ") { play(); event.preventDefault(); }
  });
}
