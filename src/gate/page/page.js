// The cell as server-sent events tell it: a snapshot, then what changes. Texts of the cell reach the
// document as text only, never as HTML.
"use strict";

const MOST_EVENTS = 200;
const LINE_MS = 10 * 60 * 1000; // of the small lines
const LEAST_STEP_MS = 3000; // between two points of one
const SILENT_MS = 16 * 1000; // the gate says something every 5 s
const SEVERITY = { down: 0, suspect: 1, unknown: 2, up: 3 };

const byId = (id) => document.getElementById(id);

let cell = emptyCell();
let heardAt = null; // performance.now() of the last word of the gate; null: none yet
let lostAt = null; // Date.now() since when nothing here is known
let clockAhead = 0; // this browser's clock minus the gate's
let source = null; // the EventSource; null: the page is hidden
const lines = new Map(); // node -> [{at, cpu, memory, temperature}]
const cards = new Map(); // node -> elements

function emptyCell() {
  return { nodes: new Map(), events: [], agent: null, cell: null, redis: null, sessions: null, strokes: {} };
}

// --- words ---------------------------------------------------------------------------------------

// "2026-11-20T14:03:07.123456", UTC, in ms; NaN if it is none.
function time(text) {
  return typeof text === "string" ? Date.parse(text.replace(/(\.\d{3})\d*/, "$1").replace(/Z?$/, "Z")) : NaN;
}

function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const age = (text) => (Number.isNaN(time(text)) ? null : span(Date.now() - clockAhead - time(text)));
const isNumber = (value) => typeof value === "number";
const percent = (value) => (isNumber(value) ? `${Math.round(value)} %` : null);
const bytes = (value) => {
  if (!isNumber(value)) return null;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
};

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function replaceList(target, children, otherwise) {
  if (children.length === 0 && otherwise) children = [element(target.tagName === "DL" ? "dd" : "li", otherwise, "empty")];
  target.replaceChildren(...children);
}

// --- what is known -------------------------------------------------------------------------------

const isLost = () => lostAt !== null;

// What everything here stands on: the gate, its agent. In words, if it is gone.
function trouble() {
  if (source === null) return "This page is not shown, and does not listen.";
  if (heardAt === null) return source.readyState === EventSource.OPEN ? null : "Connecting …";
  if (source.readyState !== EventSource.OPEN || performance.now() - heardAt > SILENT_MS) {
    return "The gate does not answer: what is shown is how it was before.";
  }
  if (cell.agent && !cell.agent.there) return `The agent is away: ${cell.agent.why || "not known why"}. What is shown is how it was before.`;
  return null;
}

function shownState(node) {
  if (isLost()) return { state: "unknown", words: `since ${span(Date.now() - lostAt)}: its source is gone` };
  const since = age(node.since);
  const words = [since && node.state !== "up" ? `since ${since}` : "", node.cause || ""].filter(Boolean).join(": ");
  return { state: node.state || "unknown", words };
}

// --- nodes ---------------------------------------------------------------------------------------

function remember(name, health) {
  if (!health || isLost()) return;
  const line = lines.get(name) || [];
  const now = Date.now();
  while (line.length && now - line[0].at > LINE_MS) line.shift();
  const last = line[line.length - 1];
  if (!last || now - last.at >= LEAST_STEP_MS) {
    line.push({ at: now, cpu: health.cpu_percent, memory: health.memory_percent, temperature: health.temperature_c });
  }
  lines.set(name, line);
}

const SVG = "http://www.w3.org/2000/svg";

function makeFigure(list, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "line");
  svg.setAttribute("viewBox", "0 0 600 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const polyline = document.createElementNS(SVG, "polyline");
  svg.append(polyline);
  const term = element("dt", label);
  const drawn = element("dd");
  drawn.append(svg);
  const value = element("dd", "", "value");
  list.append(term, drawn, value);
  return {
    show(text, line, member) {
      for (const part of [term, drawn, value]) part.hidden = text === null;
      setText(value, text === null ? "" : text);
      if (!line) return;
      const now = Date.now();
      const points = line
        .filter((point) => isNumber(point[member]))
        .map((point) => `${(600 - ((now - point.at) / LINE_MS) * 600).toFixed(1)},${(100 - Math.min(100, Math.max(0, point[member]))).toFixed(1)}`);
      polyline.setAttribute("points", points.join(" "));
    },
  };
}

let lastCard = 0;

function makeCard(name) {
  const card = element("article", null, "node");
  const head = element("header");
  const title = element("h3");
  const link = element("a", name, "name");
  link.href = `#node=${encodeURIComponent(name)}`;
  title.append(link);
  const state = element("span", "", "state");
  head.append(title, state);
  const words = element("p", "", "age");
  const figures = element("dl", null, "figures");
  const made = {
    card,
    state,
    words,
    cpu: makeFigure(figures, "CPU"),
    memory: makeFigure(figures, "Memory"),
    temperature: makeFigure(figures, "Temperature"),
    disk: makeFigure(figures, "Disk"),
    gpu: makeFigure(figures, "GPU"),
    probes: element("ul", null, "probes"),
    small: element("p", "", "small"),
  };
  title.id = `node-${++lastCard}`;
  card.dataset.name = name;
  card.setAttribute("aria-labelledby", title.id);
  card.append(head, words, figures, made.probes, made.small);
  return made;
}

function probeItem(probe) {
  const item = element("li");
  const word = isLost() || probe.up === null || probe.up === undefined ? "not known" : probe.up ? "up" : "down";
  item.append(`${probe.name}: `, element("span", word, word === "up" ? "good" : word === "down" ? "bad" : "open"));
  if (word === "down" && probe.detail) item.append(` ${probe.detail}`);
  return item;
}

function updateCard(made, name, node) {
  const health = node.health || {};
  const { state, words } = shownState(node);
  made.card.dataset.state = state;
  setText(made.state, state);
  setText(made.words, words);
  made.words.hidden = words === "";
  const line = lines.get(name);
  made.cpu.show(percent(health.cpu_percent), line, "cpu");
  made.memory.show(percent(health.memory_percent), line, "memory");
  const celsius = isNumber(health.temperature_c) ? `${health.temperature_c.toFixed(0)} °C` : null;
  made.temperature.show(celsius, line, "temperature");
  made.disk.show(percent(health.disk_percent));
  made.gpu.show(health.gpu_available ? percent(health.gpu_percent) || "there" : null);
  const held = (health.throttled && health.throttled.now) || [];
  const probes = (health.probes || []).map(probeItem);
  if (held.length) probes.push(element("li", `held back: ${held.join(", ")}`, "bad"));
  made.probes.replaceChildren(...probes);
  const seen = age(health.last_heartbeat || node.last_seen);
  const small = [
    seen ? `last beat ${seen} ago` : "no beat is known",
    health.agent_version ? `agent ${health.agent_version}` : "",
    isNumber(health.uptime_s) ? `up for ${span(health.uptime_s * 1000)}` : "",
    isNumber(health.clock_offset_ms) && Math.abs(health.clock_offset_ms) > 25 ? `clock off by ${Math.round(health.clock_offset_ms)} ms` : "",
  ];
  setText(made.small, small.filter(Boolean).join(" · "));
}

function drawNodes() {
  const wanted = byId("node-filter").value.trim().toLowerCase();
  const state = (name) => shownState(cell.nodes.get(name)).state;
  const names = [...cell.nodes.keys()].filter((name) => !wanted || name.toLowerCase().includes(wanted) || state(name).includes(wanted));
  names.sort((a, b) => SEVERITY[state(a)] - SEVERITY[state(b)] || (a < b ? -1 : 1));
  for (const name of [...cards.keys()]) {
    if (!cell.nodes.has(name)) cards.delete(name);
  }
  for (const name of names) {
    if (!cards.has(name)) {
      cards.set(name, makeCard(name));
      cardWatch.observe(cards.get(name).card);
    }
    updateCard(cards.get(name), name, cell.nodes.get(name));
  }
  const present = byId("nodes");
  const shown = names.map((name) => cards.get(name).card);
  if (shown.length !== present.children.length || shown.some((card, i) => present.children[i] !== card)) {
    present.replaceChildren(...shown);
  }
  byId("no-nodes").hidden = names.length > 0;
  drawView();
}

function drawSummary() {
  const counts = { up: 0, suspect: 0, down: 0, unknown: 0 };
  for (const node of cell.nodes.values()) counts[shownState(node).state] += 1;
  const items = Object.entries(counts).map(([state, count]) => {
    const item = element("li");
    item.append(element("b", String(count)), state);
    return item;
  });
  byId("summary").replaceChildren(...items);
  document.title = isLost() ? "? nodebeat" : counts.down ? `${counts.down} down · nodebeat` : "nodebeat";
}

// --- the rest ------------------------------------------------------------------------------------

function drawStrokes() {
  const items = Object.entries(cell.strokes || {}).map(([session, progress]) => {
    const item = element("li");
    const stroke = progress || {};
    const total = stroke.total_strokes || 0;
    const done = Math.min(stroke.stroke_idx || 0, total);
    const words = [stroke.node_id, stroke.scene_name, total ? `stroke ${done} of ${total}` : "", stroke.is_paused ? "paused" : ""];
    item.append(element("span", words.filter(Boolean).join(" · ") || session));
    const bar = element("progress");
    bar.max = Math.max(1, total);
    bar.value = done;
    bar.setAttribute("aria-label", `Progress of ${session}`);
    item.append(bar);
    return item;
  });
  replaceList(byId("strokes"), items, "None runs.");
}

const DULL = new Set(["type", "node_id", "timestamp", "instance_id", "boot_id", "client_name"]);

function eventWords(message) {
  const event = message.event || {};
  const rest = Object.entries(event)
    .filter(([name, value]) => !DULL.has(name) && value !== null && value !== "")
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return {
    at: time(event.timestamp),
    what: message.gap ? "gap" : message.omitted ? "too long to show" : String(event.type || message.channel || "message"),
    who: [event.node_id || message.node || "", event.client_name || ""].filter(Boolean).join(" "),
    rest: message.gap ? "messages may be missing here" : rest.join(" · "),
  };
}

function drawEvents() {
  const wanted = byId("event-filter").value.trim().toLowerCase();
  const items = [];
  for (const message of [...cell.events].reverse()) {
    const { at, what, who, rest } = eventWords(message);
    if (wanted && !`${what} ${who} ${rest}`.toLowerCase().includes(wanted)) continue;
    const item = element("li");
    const moment = element("time", Number.isNaN(at) ? "--:--:--" : new Date(at).toLocaleTimeString());
    if (!Number.isNaN(at)) moment.dateTime = new Date(at).toISOString();
    item.append(moment, element("b", what), [who, rest].filter(Boolean).join(" · "));
    items.push(item);
  }
  replaceList(byId("events"), items, wanted ? "None matches." : "None has come yet.");
}

function drawSessions() {
  const items = (cell.sessions || []).map((session) => {
    const changed = age(session.updated_at);
    return element("li", [session.session_id, `version ${session.version ?? "not known"}`, changed ? `changed ${changed} ago` : ""].filter(Boolean).join(" · "));
  });
  replaceList(byId("sessions"), items, cell.sessions ? "There is none." : "Not known.");
}

function drawRedis() {
  const redis = cell.redis || {};
  const link = (cell.agent && cell.agent.link) || {};
  const connected = cell.cell && cell.cell.redis_connected;
  const known = cell.cell !== null && !isLost();
  const rows = [["State", known ? (connected ? "connected" : "away") : "not known"]];
  if (known && !connected) rows.push(["Why", link.trouble || redis.why || "not known"]);
  if (link.target) rows.push(["Address", link.target]);
  if (redis.version) rows.push(["Version", `${redis.version}, ${redis.role || "role not known"}`]);
  if (isNumber(redis.used_memory_bytes)) {
    rows.push(["Memory", bytes(redis.used_memory_bytes) + (redis.maxmemory_bytes ? ` of ${bytes(redis.maxmemory_bytes)}` : ", no limit")]);
  }
  if (isNumber(redis.connected_clients)) rows.push(["Clients", String(redis.connected_clients)]);
  if (redis.rdb_last_save_ok === false) rows.push(["Last save", "failed"]);
  if (redis.loading) rows.push(["Loading", "its data"]);
  byId("redis").replaceChildren(...rows.flatMap(([term, value]) => [element("dt", term), element("dd", value)]));
}

function drawSource() {
  const words = trouble();
  if (words === null) lostAt = null;
  else if (lostAt === null) lostAt = Date.now();
  document.body.classList.toggle("lost", isLost());
  const away = cell.cell && !cell.cell.redis_connected ? " Redis is away: other nodes are not known." : "";
  const node = cell.agent && cell.agent.node_id;
  setText(byId("source"), words !== null ? words : node ? `As the agent of ${node} sees it.${away}` : "Connected.");
  const agent = cell.agent || {};
  setText(byId("versions"), [agent.gate ? `nodebeat-gate ${agent.gate}` : "", agent.agent_version ? `agent ${agent.agent_version}` : ""].filter(Boolean).join(" · "));
}

const drawers = { nodes: drawNodes, events: drawEvents, sessions: drawSessions, redis: drawRedis, strokes: drawStrokes };
const stale = new Set();
let drawing = false;

// Many changes of one moment are drawn once.
function draw(...parts) {
  for (const part of parts) stale.add(part);
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawSource();
    for (const part of stale) drawers[part]();
    if (stale.has("nodes")) drawSummary();
    stale.clear();
  });
}
const drawAll = () => draw(...Object.keys(drawers));

// --- listening -----------------------------------------------------------------------------------

function takeClock(message) {
  const now = time(message.time);
  if (!Number.isNaN(now)) clockAhead = Date.now() - now;
}

const takers = {
  snapshot(message) {
    const { nodes, events, ...parts } = message;
    cell = Object.assign(emptyCell(), parts, { nodes: new Map(Object.entries(nodes)), events });
    takeClock(message);
    for (const [name, node] of cell.nodes) remember(name, node.health);
    for (const { card } of cards.values()) cardWatch.observe(card); // something may have been missed
    drawAll();
  },
  nodes(message) {
    for (const [name, node] of Object.entries(message)) {
      if (node === null) {
        cell.nodes.delete(name);
        lines.delete(name);
        continue;
      }
      cell.nodes.set(name, node);
      remember(name, node.health);
    }
    draw("nodes");
  },
  event(message) {
    cell.events.push(message);
    if (cell.events.length > MOST_EVENTS) cell.events.shift();
    draw("events");
  },
  tick: takeClock,
  agent(message) {
    const was = cell.agent && cell.agent.there;
    cell.agent = message;
    if (was !== message.there) drawAll();
    else draw("redis");
  },
  cell(message) {
    cell.cell = message;
    draw("redis");
  },
  redis(message) {
    cell.redis = message;
    draw("redis");
  },
  sessions(message) {
    cell.sessions = message;
    draw("sessions");
  },
  strokes(message) {
    cell.strokes = message;
    draw("strokes");
  },
};

function listen() {
  if (source !== null) return;
  source = new EventSource("events");
  for (const [name, take] of Object.entries(takers)) {
    source.addEventListener(name, (message) => {
      heardAt = performance.now();
      take(JSON.parse(message.data));
    });
  }
  source.onopen = () => {
    heardAt = performance.now();
    drawAll();
  };
  source.onerror = () => {
    if (heardAt === null) heardAt = -Infinity;
    // What the browser gives up by itself, such as after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(() => document.hidden || listen(), 2000 + Math.random() * 2000);
    }
    drawAll();
  };
}

// A browser has six connections to one address, over all tabs: a hidden page gives its own back.
function onVisibility() {
  if (!document.hidden) {
    loadCharts();
    return listen();
  }
  if (source !== null) source.close();
  source = null;
}

byId("node-filter").addEventListener("input", () => draw("nodes"));
byId("event-filter").addEventListener("input", () => draw("events"));
document.addEventListener("visibilitychange", onVisibility);
setInterval(() => document.hidden || draw("nodes", "sessions", "redis"), 1000);
startCharts();
onVisibility();
