"use strict";
// The news come from a script beside the page, because a page from a folder may read no other file.
const QUIET = 10; // Seconds without news after which a run that goes on is said to be stale.
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7b4173"];
const $ = name => document.getElementById(name);
let news = null, heard = 0;

function live(fresh) {
  if (fresh.v !== 1) { say("This page is too old for its run: load it again."); return; }
  // Of two runs at the same time, the one that began last is shown.
  if (news && fresh.started < news.started && !isStale()) return;
  if (news && fresh.id === news.id && fresh.written === news.written) return;
  // The clocks of two machines may differ: only the first news is judged by its own time.
  heard = news ? Date.now() : Math.min(Date.now(), fresh.written);
  news = fresh;
  draw();
}
const isRunning = () => news && news.status === "running";
const isStale = () => isRunning() && Date.now() - heard > QUIET * 1000;
function say(text) { if ($("state").textContent !== text) $("state").textContent = text; }

function duration(seconds) {
  if (seconds < 9.95) return (Math.round(seconds * 10) / 10) + " s";
  const whole = Math.round(seconds);
  if (whole < 60) return whole + " s";
  if (whole < 3600) return Math.floor(whole / 60) + " min " + whole % 60 + " s";
  return Math.floor(whole / 3600) + " h " + Math.floor(whole % 3600 / 60) + " min";
}
function make(name, attributes, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}
function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw() {
  const counts = news.counts || {};
  document.title = news.pipeline + ": " + news.status;
  $("name").textContent = news.pipeline;
  const told = ["ran", "hit", "failed", "skipped"].filter(status => counts[status])
    .map(status => counts[status] + " " + { ran: "ran", hit: "cached", failed: "failed", skipped: "skipped" }[status]);
  const finished = Object.values(counts).reduce((all, count) => all + count, 0);
  const of = news.steps === undefined ? "" : `, ${finished} of ${news.steps} steps` + (told.length ? ` (${told.join(", ")})` : "");
  if (isRunning()) {
    const { seconds, unknown } = news.left;
    const known = seconds > 0 || unknown === 0;
    const left = (known ? "about " + duration(seconds) + " left" : "") +
      (unknown ? (known ? " and what " : "nobody knows yet what ") + unknown + (unknown === 1 ? " step without a history takes" : " steps without a history take") : "");
    say(`Running for ${duration(news.seconds)}${of}; ${left}.`);
  } else {
    const words = { done: "Done", partial: "Partly done", failed: "Failed", interrupted: "Interrupted",
      left: "This program has left the run without a report; the same command goes on" };
    say(`${words[news.status] || news.status}${news.seconds === undefined ? "" : " after " + duration(news.seconds)}${of}.`);
  }
  $("all").hidden = !isRunning();
  $("all").value = news.steps ? finished / news.steps : 0;
  drawFailures(); drawWarnings(); drawRunning(); drawTable(); drawCurves(); drawSteps();
  const report = !isRunning() && news.status !== "left" ? encodeURIComponent(news.id) + "/report.html" : null;
  const frame = document.querySelector("iframe");
  if (report && frame.getAttribute("src") !== report) frame.src = report;
  if (frame.hidden !== !report) $("how").open = !report;
  frame.hidden = !report;
  $("how").hidden = news.steps === undefined;
  document.body.classList.toggle("done", Boolean(report));
  check();
}

function drawFailures() {
  const failures = news.failures || [];
  $("failures").hidden = !failures.length;
  $("failures").lastElementChild.replaceChildren(...failures.map(({ step, error, log }) => make("div", {},
    make("p", {}, make("code", {}, step), " " + error),
    ...(log.length ? [make("pre", { tabindex: 0, "aria-label": "The end of the log of " + step }, log.join("\n"))] : []))));
}
function drawWarnings() {
  const warnings = news.warnings || [];
  $("warnings").hidden = !warnings.length;
  $("warnings").lastElementChild.replaceChildren(...warnings.map(text => make("li", {}, text)));
}
function drawRunning() {
  const running = news.running || [];
  $("running").hidden = !running.length || !isRunning();
  $("running").querySelector("tbody").replaceChildren(...running.map(step => {
    const spent = news.seconds - step.since, share = step.total ? step.done / step.total : 0;
    const bar = make("progress", share ? { max: 1, value: share, "aria-label": step.step } : { "aria-label": step.step });
    const left = share ? duration(spent * (1 - share) / share) : "–";
    return make("tr", {}, make("td", {}, make("code", {}, step.step)),
      make("td", {}, bar, step.total ? ` ${step.done} of ${step.total}` : " " + duration(spent)),
      make("td", {}, left), make("td", {}, step.note || step.reason));
  }));
}
function drawTable() {
  const table = news.table;
  $("table").hidden = !table || !table.rows.length;
  if ($("table").hidden) return;
  $("table").querySelector("thead").replaceChildren(make("tr", {}, make("th", {}, "Row"),
    ...table.columns.map(title => make("th", { class: "n" }, title))));
  $("table").querySelector("tbody").replaceChildren(...table.rows.map(row => make("tr", {}, make("td", {}, row.title),
    ...row.cells.map(cell => make("td", { class: "n" }, cell || "…")))));
}

// One plot a number: the curves of all models in it.
function drawCurves() {
  const curves = news.curves || [];
  const names = [...new Set(curves.flatMap(curve => Object.keys(curve.lines)))];
  names.sort((a, b) => (b === "loss") - (a === "loss"));
  $("curves").hidden = !names.length;
  $("curves").querySelector(".plots").replaceChildren(...names.map(name => plot(name, curves)));
  $("curves").querySelector("ul").replaceChildren(...curves.map((curve, at) =>
    make("li", { style: "--own:" + COLORS[at % COLORS.length] }, make("code", {}, curve.step))));
}
function plot(name, curves) {
  const [width, height, left, top, right, bottom] = [340, 220, 62, 26, 10, 40];
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  const with_it = curves.map((curve, at) => [at, curve, curve.lines[name]]).filter(([, , line]) => line);
  const values = with_it.flatMap(([, , line]) => line.map(point => point[1]));
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = [low - Math.abs(low || 1) * .05, high + Math.abs(high || 1) * .05];
  const all = Math.max(...with_it.map(([, curve]) => curve.all));
  const x = value => left + (width - left - right) * value / all;
  const y = value => height - bottom - (height - top - bottom) * (value - low) / (high - low);
  const last = with_it.map(([, curve, line]) => curve.step + " " + line[line.length - 1][1].toPrecision(4)).join(", ");
  svg.append(shape("title", {}, `${name} by ${with_it[0][1].unit}; the last values are ${last}`));
  svg.append(shape("text", { x: left, y: 14, "font-weight": 600 }, name));
  svg.append(shape("path", { class: "rule", d: `M${left} ${top}V${height - bottom}H${width - right}` }));
  for (const value of [low, high])
    svg.append(shape("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toPrecision(3)));
  svg.append(shape("text", { x: left, y: height - bottom + 16 }, "0"));
  svg.append(shape("text", { x: width - right, y: height - bottom + 16, "text-anchor": "end" }, String(all)));
  svg.append(shape("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, with_it[0][1].unit));
  for (const [at, , line] of with_it)
    svg.append(shape("path", { class: "line", stroke: COLORS[at % COLORS.length],
      d: line.map(([at, value], index) => (index ? "L" : "M") + x(at).toFixed(1) + " " + y(value).toFixed(1)).join("") }));
  return svg;
}

// A row a step of the pipeline; instances of it that ran at the same time are one below the other.
function drawSteps() {
  const bars = [...(news.bars || []), ...(isRunning() ? news.running.map(it => [it.step, it.since, news.seconds, "now"]) : [])];
  $("gantt").hidden = !bars.length;
  if (!bars.length) return;
  const rows = new Map();
  for (const bar of bars.sort((a, b) => a[1] - b[1])) {
    const name = bar[0].split("{")[0];
    if (!rows.has(name)) rows.set(name, []);
    const lanes = rows.get(name);
    let lane = lanes.findIndex(end => end <= bar[1]);
    if (lane < 0) lane = lanes.length;
    lanes[lane] = bar[2];
    bar.push(lane);
  }
  const [left, width, high] = [190, 960, 16];
  const end = Math.max(news.seconds, ...bars.map(bar => bar[2]), 0.1);
  const x = at => left + (width - left - 10) * at / end;
  let height = 6;
  const tops = new Map();
  for (const [name, lanes] of rows) { tops.set(name, height); height += lanes.length * high + 6; }
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height + 24}`, width, height: height + 24, role: "img" });
  svg.append(shape("title", {}, `When each of ${bars.length} steps ran, in ${duration(end)}`));
  for (const [name, top] of tops) {
    svg.append(shape("text", { x: left - 8, y: top + 12, "text-anchor": "end" }, name.length > 24 ? name.slice(0, 23) + "…" : name));
    svg.append(shape("path", { class: "rule", d: `M0 ${top - 3}H${width}` }));
  }
  for (const [name, from, to, status, lane] of bars) {
    const bar = shape("rect", { class: status, x: x(from).toFixed(1), width: Math.max(x(to) - x(from), 1.5).toFixed(1),
      y: tops.get(name.split("{")[0]) + lane * high, height: high - 3, rx: 2 });
    bar.append(shape("title", {}, `${name}: ${status === "now" ? "runs" : status}, ${duration(to - from)} from ${duration(from)} on`));
    svg.append(bar);
  }
  svg.append(shape("path", { class: "rule", d: `M${left} 0V${height}H${width - 10}` }));
  for (const part of [0, .25, .5, .75, 1])
    svg.append(shape("text", { x: x(part * end), y: height + 18, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, duration(part * end)));
  $("gantt").lastElementChild.replaceChildren(svg);
}

function check() {
  const stale = isStale();
  const text = stale ? `No news for ${duration((Date.now() - heard) / 1000)}: the run was killed, or its files no longer arrive here. All finished steps are kept, and the same command goes on.` : "";
  if (stale) $("stale").textContent = text;
  $("stale").hidden = !stale;
  $("all").hidden = stale || !isRunning();
  if (stale) document.title = news.pipeline + ": stale";
}
function look() {
  const script = document.createElement("script");
  script.src = "live.js?" + Date.now();
  script.onload = script.onerror = () => script.remove();
  document.head.append(script);
  if (news) check();
}
look();
setInterval(look, 1000);
