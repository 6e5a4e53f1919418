// Past figures of nodes, as the gate's /history tells them: for the small lines of the cards, and for the
// charts of one node's view. page.js has the rest, and calls what is here.
"use strict";

const RANGES_MS = { hour: 3600 * 1000, day: 24 * 3600 * 1000 };
const LEAST_RELOAD_MS = 15 * 1000;
const FIGURES = [
  { member: "cpu", label: "CPU", unit: "%" },
  { member: "memory", label: "Memory", unit: "%" },
  { member: "temperature", label: "Temperature", unit: "°C" },
  { member: "disk", label: "Disk", unit: "%" },
  { member: "gpu", label: "GPU", unit: "%" },
];

// The points, the oldest first, by this browser's clock; or `why` they cannot be had now.
async function readHistory(node, range) {
  try {
    const answer = await fetch(`history?node=${encodeURIComponent(node)}&range=${range}`);
    if (!answer.ok) return { why: await answer.text() };
    const history = await answer.json();
    if (history.why) return history;
    const points = history.points
      .map(([at, cpu, memory, temperature, disk, gpu]) => ({ at: at + clockAhead, cpu, memory, temperature, disk, gpu }))
      .reverse();
    return { points, step: history.step_ms, complete: history.complete };
  } catch {
    return { why: "the gate does not answer" };
  }
}

// --- the lines of the cards ----------------------------------------------------------------------

// What happened before this page listened is asked for once, for the cards that are on the screen: one
// after the other, since a browser has few connections.
const wantedLines = new Set();
let readsLines = false;

const cardWatch = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    cardWatch.unobserve(target);
    wantedLines.add(target.dataset.name);
  }
  fillLines();
});

async function fillLines() {
  if (readsLines) return;
  readsLines = true;
  for (const name of wantedLines) {
    wantedLines.delete(name);
    const node = cell.nodes.get(name);
    if (!node || !node.health) continue;
    const past = await readHistory(name, "minutes");
    if (past.points) putBefore(name, past.points);
  }
  readsLines = false;
}

function putBefore(name, past) {
  const line = lines.get(name) || [];
  const last = past.length ? past[past.length - 1].at : 0;
  lines.set(name, past.concat(line.filter((point) => point.at > last)));
  draw("nodes");
}

// --- the view of one node ------------------------------------------------------------------------

let viewed = null; // {name, made: its card}; null: the whole cell is shown
let reload = null; // the timer of the next reading
const charts = new Map(); // member -> chart

function makeChart({ label, unit }) {
  const figure = element("figure", null, "chart");
  const words = element("span", "");
  const caption = element("figcaption");
  caption.append(element("b", label), " ", words);
  const plot = element("div", null, "plot");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 600 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const path = document.createElementNS(SVG, "path");
  svg.append(path);
  plot.append(svg, element("span", `100 ${unit}`, "top"), element("span", `0 ${unit}`, "bottom"));
  const times = element("p", null, "times");
  const [from, to] = [element("span", ""), element("span", "")];
  times.append(from, to);
  figure.append(caption, plot, times);
  return { figure, svg, path, words, from, to, label, unit };
}

// A step without a beat leaves a gap; a beat alone is a dot.
function pathOf(points, member, step, begin, end) {
  let before = -Infinity;
  return points
    .map((point) => {
      const x = ((point.at - begin) / (end - begin)) * 600;
      const y = 100 - Math.min(100, Math.max(0, point[member]));
      const joined = point.at - before <= 2.5 * step;
      before = point.at;
      return `${joined ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}${joined ? "" : "h.1"}`;
    })
    .join("");
}

function showChart(chart, member, history, range) {
  const points = history.points.filter((point) => isNumber(point[member]));
  chart.figure.hidden = points.length === 0;
  if (points.length === 0) return;
  const end = history.points[history.points.length - 1].at;
  const begin = end - RANGES_MS[range];
  chart.path.setAttribute("d", pathOf(points, member, history.step, begin, end));
  const values = points.map((point) => point[member]);
  const [least, most] = [Math.min(...values), Math.max(...values)].map(Math.round);
  const words = `${Math.round(values[values.length - 1])} ${chart.unit} last, ${least} to ${most} ${chart.unit}`;
  setText(chart.words, words);
  const form = { hour: "2-digit", minute: "2-digit", ...(range === "day" ? { weekday: "short" } : {}) };
  setText(chart.from, new Date(begin).toLocaleString([], form));
  setText(chart.to, new Date(end).toLocaleString([], form));
  chart.svg.setAttribute("aria-label", `${chart.label}: ${words}, from ${chart.from.textContent} until ${chart.to.textContent}`);
}

const viewedRange = () => document.querySelector("input[name=range]:checked").value;

function historyWords(history) {
  if (history.why) return `Past figures cannot be had now: ${history.why}`;
  if (history.points.length === 0) return "No past beats of this node are kept.";
  return history.complete ? "" : "Not all could be read in time.";
}

async function loadCharts() {
  clearTimeout(reload);
  const view = viewed;
  if (view === null) return;
  const range = viewedRange();
  const history = await readHistory(view.name, range);
  if (viewed !== view || viewedRange() !== range) return;
  reload = setTimeout(() => (document.hidden ? null : loadCharts()), Math.max(LEAST_RELOAD_MS, history.step || 0));
  setText(byId("view-words"), historyWords(history));
  if (history.why) return; // what is drawn stays
  for (const { member } of FIGURES) showChart(charts.get(member), member, history, range);
}

// The view that the address names, as #node=hog.
function onAddress() {
  const match = /^#node=(.+)$/.exec(location.hash);
  let name = null;
  try {
    name = match && decodeURIComponent(match[1]);
  } catch {
    // no name
  }
  clearTimeout(reload);
  viewed = name === null ? null : { name, made: makeCard(name) };
  byId("view").hidden = name === null;
  byId("all").hidden = name !== null;
  if (name === null) return;
  setText(byId("view-title"), name);
  setText(byId("view-words"), "Reading …");
  for (const chart of charts.values()) chart.figure.hidden = true;
  byId("view-card").replaceChildren(viewed.made.card);
  byId("view-title").focus();
  drawView();
  loadCharts();
}

function drawView() {
  if (viewed === null) return;
  const node = cell.nodes.get(viewed.name);
  if (node) updateCard(viewed.made, viewed.name, node);
  viewed.made.card.hidden = !node;
}

function startCharts() {
  for (const figure of FIGURES) charts.set(figure.member, makeChart(figure));
  byId("charts").append(...[...charts.values()].map((chart) => chart.figure));
  for (const input of document.querySelectorAll("input[name=range]")) input.addEventListener("change", loadCharts);
  window.addEventListener("hashchange", onAddress);
  onAddress();
}
