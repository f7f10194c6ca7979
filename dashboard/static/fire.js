// Keeps a page as new as the store: content, times, plots.
"use strict";

const root = document.body.dataset.root || "";
const main = document.getElementById("content");
let tag = null;
let misses = 0;

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function say(text) {
  const toast = document.getElementById("status");
  toast.textContent = text;
  toast.hidden = !text;
}

function word(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, s]) => Math.abs(seconds) >= s) || ["s", 1];
  const n = Math.round(Math.abs(seconds) / size);
  return seconds >= 0 ? `${n} ${unit} ago` : `in ${n} ${unit}`;
}

function tellTimes(within) {
  for (const node of within.querySelectorAll("time[datetime]")) {
    const when = new Date(node.dateTime);
    node.title = when.toLocaleString();
    node.textContent = word((Date.now() - when) / 1000);
  }
}

let plotly = null;

function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${root}/vendor/plotly/plotly.min.js`;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return plotly;
}

// In the order that is told apart best, also by those who see fewer colours.
const COLOURS = ["#4C78A8", "#E8743B", "#3A9E77", "#B279A2", "#D6A419", "#6C6A66"];

function dressed(layout) {
  const axis = { gridcolor: css("--grid"), zerolinecolor: css("--grid"), linecolor: css("--line"), automargin: true };
  const dress = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", colorway: COLOURS,
    font: { color: css("--ink"), family: "system-ui, sans-serif", size: 13 },
    margin: { l: 60, r: 16, t: layout.title ? 40 : 16, b: 48 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, hovermode: "closest", ...layout,
  };
  for (const key of Object.keys(layout).filter((k) => /^[xy]axis/.test(k)).concat("xaxis", "yaxis")) {
    dress[key] = { ...axis, ...layout[key] };
  }
  return dress;
}

async function draw(within) {
  const scripts = within.querySelectorAll("script[data-plot]");
  if (!scripts.length) return;
  const Plotly = await loadPlotly();
  for (const script of scripts) {
    const node = document.getElementById(script.dataset.plot);
    if (!node || node.dataset.drawn === script.textContent) continue;
    const figure = JSON.parse(script.textContent);
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
    if (!matchMedia("(hover: hover)").matches) options.displayModeBar = false; // it would stay over the legend
    await Plotly.react(node, figure.data, dressed(figure.layout || {}), options);
    node.dataset.drawn = script.textContent;
    node.on("plotly_click", (event) => {
      const link = event.points[0].customdata;
      if (typeof link === "string" && link.startsWith("/")) location.href = root + link;
    });
  }
}

function busy() {
  const focus = document.activeElement;
  return document.hidden || document.querySelector("dialog[open]") || (main.contains(focus) && /^(INPUT|SELECT|TEXTAREA)$/.test(focus.tagName));
}

function swap(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const pending = fresh.content.getElementById("pending");
  document.getElementById("pending")?.replaceWith(pending);
  // A plot that is drawn is kept, and its numbers changed in place; so is a viewer.
  for (const node of fresh.content.querySelectorAll(".plot[id], [data-keep][id]")) {
    const old = document.getElementById(node.id);
    if (old && (old.dataset.drawn || node.dataset.keep === old.dataset.keep)) node.replaceWith(old);
  }
  const open = [...main.querySelectorAll("details[open][id]")].map((d) => d.id);
  const focus = document.activeElement?.id;
  main.replaceChildren(...fresh.content.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  tellTimes(main);
  draw(main);
}

async function refresh() {
  if (busy()) return;
  try {
    const headers = { "X-Fragment": "1" };
    if (tag) headers["If-None-Match"] = tag;
    const answer = await fetch(location.href, { headers, cache: "no-store" });
    if (answer.status === 401) { location.href = `${root}/login`; return; }
    misses = 0;
    say("");
    if (answer.status === 304) return;
    if (answer.ok) {
      tag = answer.headers.get("ETag");
      const html = await answer.text();
      if (!busy()) swap(html);
    }
  } catch {
    misses += 1;
    if (misses > 1) say("The server does not answer; what is shown may be old.");
  }
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form.filters");
  if (form && event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

tellTimes(document);
draw(document);
setInterval(() => tellTimes(document), 20000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const node of document.querySelectorAll(".plot")) delete node.dataset.drawn;
  draw(document);
});
const pace = Number(main.dataset.live || 0);
if (pace) setInterval(refresh, 1000 * pace);
