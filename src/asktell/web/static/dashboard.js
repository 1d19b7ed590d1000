// The learning curve: drawn from the numbers in the page, again whenever they or the colours change.

const at = (id) => document.getElementById(id);
const HEIGHT = 300;
const SERIES = [["audit", "Audit", "--audit"], ["held_out", "Held-out", "--held-out"]];
let drawn = "";
let chart = null;

// A colour as the canvas needs it, whatever CSS made of it.
function mixed(name, alpha) {
  const probe = document.createElement("span");
  probe.className = "probe";
  probe.style.color = `var(${name})`;
  at("curve").append(probe);
  const found = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  probe.remove();
  return `rgba(${found.join(", ")}, ${alpha})`;
}

const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)}\u202f%`);

function columns(points) {
  const of = (on, place) => points.map((point) => point[on]?.[place] ?? null);
  return [points.map((point) => point.n), ...SERIES.flatMap(([on]) => [of(on, 0), of(on, 2), of(on, 1)])];
}

function options(points, width) {
  const series = SERIES.flatMap(([, label, name], index) => [
    { label, stroke: mixed(name, 1), width: 2, dash: index ? [6, 4] : [], spanGaps: true, points: { show: points.length < 60, size: 6, fill: mixed(name, 1) } },
    { stroke: "transparent", points: { show: false }, spanGaps: true },
    { stroke: "transparent", points: { show: false }, spanGaps: true },
  ]);
  const axis = { stroke: mixed("--muted", 1), grid: { stroke: mixed("--line", 1), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
    scales: { x: { time: false, range: (_, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) }, y: { range: span } },
    axes: [{ ...axis, size: 32, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5] }, { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => `${Math.round(100 * tick)}\u202f%`) }],
    series: [{}, ...series],
    bands: SERIES.map(([, , name], index) => ({ series: [2 + 3 * index, 3 + 3 * index], fill: mixed(name, 0.14) })),
    hooks: { setCursor: [(chart) => read(points, chart.cursor.idx)] },
  };
}

// All of the bands, and a little air.
function span(_, low, high) {
  if (low === null || high === null) return [0, 1];
  return [Math.max(0, Math.floor(20 * low - 0.2) / 20), Math.min(1, Math.ceil(20 * high + 0.2) / 20)];
}

function read(points, index) {
  const point = points[index ?? points.length - 1];
  const told = SERIES.filter(([on]) => point?.[on]).map(([on, label]) => `${label.toLowerCase()} ${percent(point[on][0])} (${percent(point[on][1])} to ${percent(point[on][2])})`);
  at("reading").textContent = point ? `${point.n} labels: ${told.join("; ")}` : "";
}

function draw(force = false) {
  const written = at("points")?.dataset.points ?? "[]";
  if (written === drawn && !force) return;
  drawn = written;
  const points = JSON.parse(written);
  chart?.destroy();
  chart = null;
  at("curve").hidden = !points.length;
  if (points.length) chart = new uPlot(options(points, at("curve").clientWidth), columns(points), at("curve"));
  if (points.length) read(points, null);
  at("curve").setAttribute("role", "img");
  at("curve").setAttribute("aria-label", points.length ? `Learning curve. Newest point: ${at("reading").textContent}` : "");
}

addEventListener("htmx:after:swap", () => draw());
document.addEventListener("theme", () => draw(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
new ResizeObserver(() => chart?.setSize({ width: at("curve").clientWidth, height: HEIGHT })).observe(at("main"));
draw();
