// Labelling: the next items are here already, an answer shows the next one at once and is sent meanwhile.

import { Outbox, receipt } from "./outbox.js";
import { Zoom } from "./zoom.js";

const at = (id) => document.getElementById(id);
const desk = at("main");
const proof = document.querySelector("meta[name=proof]").content;
const choices = [...document.querySelectorAll(".choice")];
const ENDS = {
  budget: ["The budget is spent", "Every label that was allowed has been given. Raise the budget to go on."],
  stopped: ["Time to stop", "More labels would change little, so the project has stopped asking."],
  skipped: ["Only skipped items are left", "Everything else has a label."],
  done: ["All done", "Every item has a label."],
  busy: ["One moment", "The next questions are being chosen."],
};

let queue = [];      // what comes; the first is shown
let past = [];       // what was answered on this page and whether it cost a label, the newest last
let first = null;    // the item that an undo on its way will bring back
let last = null;     // the server's newest batch
let zoom = null;
const ready = new Map(); // images that were fetched ahead

const outbox = new Outbox(`asktell:${desk.dataset.keep}:unsent`, proof, { sent, refused, changed: showUnsent });

// What comes ----------------------------------------------------------------------------------------------------------

// The server's view of what comes. What is on its way there is newer than that.
function take(batch) {
  const shown = queue[0];
  last = batch;
  queue = batch.questions.filter((question) => !outbox.holds(question.item, "/api/answers"));
  const coming = (item) => queue.find((question) => question.item === item);
  bringForward(shown && outbox.holds(shown.item, "/api/undo") ? shown : coming(first) ?? coming(shown?.item));
  first = null;
  if (shown && queue[0]?.item !== shown.item && !batch.settled) say("That one was answered meanwhile.");
  if (queue[0]?.item !== shown?.item || !queue.length) show();
  else fetchAhead();
  showProgress();
  showNotices();
}

function bringForward(question) {
  if (question) queue = [question, ...queue.filter((other) => other.item !== question.item)];
}

async function refresh() {
  try {
    const reply = await fetch("/api/questions?ahead=6");
    if (reply.ok) take(await reply.json());
  } catch { /* the next event or answer brings them */ }
}

function sent(parcel, reply) {
  if (parcel.path === "/api/flags") return;
  if (parcel.path === "/api/undo") first = reply.item;
  take({ ...reply, settled: parcel.path === "/api/undo" });
  if (reply.before) notify("waiting", meanwhile(reply.before, parcel.body.label), 8000);
}

function meanwhile(before, label) {
  const said = `That one was answered meanwhile: ${before.label}, by ${before.annotator}.`;
  return label === null ? `${said} That stays.` : `${said} Now it is ${label}; undo brings the other back.`;
}

function refused(parcel, message) {
  notify("trouble", parcel.path === "/api/undo" ? "There is nothing left to undo." : `Not accepted: ${message}`, 8000);
  refresh();
}

// What is done --------------------------------------------------------------------------------------------------------

function answer(label, by) {
  const question = queue.shift();
  if (!question) return;
  const worth = label === null ? 0 : 1;
  past.push({ question, worth });
  flash(by);
  outbox.push("/api/answers", { receipt: receipt(), item: question.item, label }, worth);
  say(label === null ? "Skipped." : `Labelled ${label}.`);
  show();
  showProgress();
}

function undo() {
  const { question, worth } = past.pop() ?? {};
  if (question) {
    bringForward(question);
    if (!outbox.recall(question.item)) outbox.push("/api/undo", { receipt: receipt(), item: question.item }, -worth);
    show();
  } else {
    outbox.push("/api/undo", { receipt: receipt() });
  }
  say("Undone.");
  showProgress();
}

function flag() {
  const question = queue[0];
  if (!question) return;
  question.flagged = !question.flagged;
  outbox.push("/api/flags", { receipt: receipt(), item: question.item, flagged: question.flagged });
  say(question.flagged ? "Flagged." : "No longer flagged.");
  showFlag();
}

async function explain() {
  const question = queue[0];
  if (!question || at("why").open) return;
  at("why-sentence").textContent = "…";
  at("why-facts").replaceChildren();
  at("why").showModal();
  try {
    const reply = await fetch(`/api/why?item=${encodeURIComponent(question.item)}`);
    const why = await reply.json();
    at("why-sentence").textContent = reply.ok ? why.sentence : why.detail;
    if (reply.ok) at("why-facts").replaceChildren(...facts(why));
  } catch {
    at("why-sentence").textContent = "The server cannot be reached.";
  }
}

function facts(why) {
  const digits = (value) => Number(value.toPrecision(4)).toString();
  const told = [
    ["Item", why.item],
    ["Strategy", why.strategy],
    ["Score", why.score ? digits(why.score) : null],
    ["Rank", `${why.rank} in query ${why.query}`],
    ["Probability", why.probability === null ? null : digits(why.probability)],
    ["Model", why.model === null ? "none" : why.model.slice(0, 12)],
    ["Seed", String(why.seed)],
    ["Asked", new Date(why.created).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })],
  ];
  return told.filter(([, value]) => value !== null).map(([name, value]) => made("div", {}, [made("dt", {}, [name]), made("dd", {}, [value])]));
}

// What is seen --------------------------------------------------------------------------------------------------------

function show() {
  const question = queue[0];
  zoom = null;
  at("pane").scrollTop = 0;
  at("item").className = `item ${question?.kind ?? "end"}`;
  at("item").replaceChildren(...(question ? seen(question) : ending()));
  for (const button of [...choices, ...["skip", "flag", "why"].map(action)]) button.disabled = !question;
  action("zoom").hidden = question?.kind !== "image";
  showFlag();
  fetchAhead();
}

function seen(question) {
  if (question.trouble) return [made("p", { className: "notice waiting" }, [question.trouble])];
  if (question.kind === "image") return [picture(question)];
  if (question.kind === "row") return [made("ol", { className: "row" }, question.row.map((value) => made("li", {}, [value === null ? "–" : String(Number(value.toPrecision(5)))])))];
  if (question.kind === "text") return [made("div", { className: "text", dir: "auto" }, [question.text]), ...(question.cut ? [more(question)] : [])];
  return [made("p", { className: "name" }, [question.item])];
}

function more(question) {
  return made("p", { className: "notice waiting" }, ["The text goes on. ", made("a", { href: `/items/item?id=${encodeURIComponent(question.item)}`, target: "_blank" }, ["All of it"])]);
}

function picture(question) {
  const image = fetched(question);
  image.alt = "The image to label";
  const size = () => {
    image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 128);
  };
  if (image.complete) size();
  else image.addEventListener("load", size, { once: true });
  image.addEventListener("error", () => at("item").replaceChildren(made("p", { className: "notice trouble" }, ["This image cannot be shown. Skip it, or flag it."])), { once: true });
  image.style.transform = "";
  zoom = new Zoom(at("pane"), image);
  return image;
}

function fetched(question) {
  const image = ready.get(question.item) ?? made("img", { src: question.image, decoding: "async" });
  ready.delete(question.item);
  return image;
}

function fetchAhead() {
  for (const question of queue.slice(1, 4)) {
    if (question.kind === "image" && !ready.has(question.item)) {
      const image = made("img", { src: question.image });
      image.decode().catch(() => {});
      ready.set(question.item, image);
    }
  }
  for (const item of ready.keys()) if (!queue.some((question) => question.item === item)) ready.delete(item);
}

function ending() {
  const end = last?.end ?? "busy";
  const [title, sentence] = ENDS[end];
  const steps = made("p", { className: "steps" }, [
    ...(end === "skipped" ? [made("button", { type: "button", className: "primary", onclick: release }, ["Ask the skipped ones again"])] : []),
    ...(end === "busy" ? [] : [made("a", { className: "button", href: "/dashboard" }, ["See how good the model is"]), made("a", { className: "button", href: "/items" }, ["Look through the labels and export them"])]),
  ]);
  return [made("h2", {}, [title]), made("p", {}, [sentence]), steps];
}

async function release() {
  try {
    const reply = await fetch("/api/release", { method: "POST", headers: { "X-CSRF-Token": proof } });
    if (reply.ok) take(await reply.json());
  } catch {
    notify("trouble", "The server cannot be reached.", 5000);
  }
}

function showProgress() {
  if (!last) return;
  const { limit } = last.progress;
  const spent = Math.max(last.progress.spent + outbox.worth, 0);
  const left = limit === null ? "" : `, ${Math.max(limit - spent, 0)} left`;
  at("count").replaceChildren(made("strong", {}, [String(spent)]), ` ${spent === 1 ? "label" : "labels"}${left}`);
  at("share").hidden = limit === null;
  if (limit !== null) Object.assign(at("share"), { max: Math.max(limit, 1), value: Math.min(spent, limit) });
}

function showNotices() {
  const shown = passing ? [passing] : [];
  if (last.worker.kind !== "calm") shown.push(notice(last.worker.kind, last.worker.sentence, last.worker.detail));
  if (last.audit_used_up) shown.push(notice("calm", "The audit is used up: all its items were asked.", ""));
  at("notices").replaceChildren(...shown);
}

function notice(kind, sentence, detail) {
  return made("p", { className: `notice ${kind}` }, [sentence, ...(detail ? [" ", made("span", { className: "detail" }, [detail])] : [])]);
}

let hush = 0;
let passing = null; // a notice that goes by itself
function notify(kind, text, lasting) {
  clearTimeout(hush);
  passing = notice(kind, text, "");
  hush = setTimeout(() => {
    passing = null;
    showNotices();
  }, lasting);
  showNotices();
}

let slow = 0;
function showUnsent() {
  clearTimeout(slow);
  const oldest = outbox.parcels[0];
  const late = oldest && Date.now() - oldest.since > 1500;
  if (oldest && !late && !outbox.trouble) slow = setTimeout(showUnsent, 1600);
  const visible = Boolean(oldest && (late || outbox.trouble));
  at("unsent").hidden = !visible;
  if (!visible) return;
  const count = outbox.size === 1 ? "1 answer is" : `${outbox.size} answers are`;
  const told = outbox.signedOut
    ? [`${count} not saved yet. You were signed out: `, made("a", { href: "/sign-in" }, ["sign in again"]), ". Nothing is lost."]
    : [`${count} not saved yet, and kept here. ${outbox.trouble} Trying again.`];
  at("unsent").replaceChildren(...told);
}

function showFlag() {
  action("flag").setAttribute("aria-pressed", String(Boolean(queue[0]?.flagged)));
}

function say(text) {
  at("said").textContent = text;
}

function flash(button) {
  if (!button) return;
  button.classList.add("taken");
  setTimeout(() => button.classList.remove("taken"), 180);
}

function action(name) {
  return document.querySelector(`[data-do=${name}]`);
}

function made(tag, properties, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Keys and clicks -----------------------------------------------------------------------------------------------------

const ACTIONS = {
  undo,
  skip: () => answer(null, action("skip")),
  flag,
  zoom: () => zoom?.toggle(),
  why: explain,
  help: () => at("help").showModal(),
};
const SCROLLS = { ArrowDown: 60, ArrowUp: -60, PageDown: 0.9, PageUp: -0.9, " ": 0.9 };

for (const button of choices) button.addEventListener("click", () => answer(button.dataset.label, button));
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => ACTIONS[button.dataset.do]());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  if (event.key === "/" && at("find")) {
    event.preventDefault();
    at("find").focus();
    return;
  }
  const button = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key.toLowerCase());
  if (button) {
    event.preventDefault();
    if (!event.repeat && !button.disabled && !button.hidden) button.click();
  } else if (event.key in SCROLLS && !event.target.closest("button, a, .pane")) {
    const step = SCROLLS[event.key];
    event.preventDefault();
    at("pane").scrollBy({ top: Math.abs(step) < 1 ? step * at("pane").clientHeight : step });
  }
});

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.key.toLowerCase() === { why: "w", help: "?" }[dialog.id] && dialog.close());
}

at("find")?.addEventListener("input", filter);
at("find")?.addEventListener("keydown", (event) => {
  const found = choices.filter((button) => !button.hidden);
  if (event.key === "Enter" && at("find").value && found.length) {
    event.preventDefault();
    found[0].click();
  }
  if (event.key === "Enter" || event.key === "Escape") {
    at("find").value = "";
    filter();
    at("find").blur();
  }
});

function filter() {
  const wanted = at("find").value.trim().toLowerCase();
  for (const button of choices) button.hidden = !button.dataset.label.toLowerCase().includes(wanted);
}

// News ----------------------------------------------------------------------------------------------------------------

document.body.addEventListener("changed", ({ detail }) => {
  if (!last) return;
  last.worker = detail.worker;
  showNotices();
  if (!queue.length) refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => queue.length || document.hidden || refresh(), 3000);

take({ ...JSON.parse(desk.dataset.first), settled: true });
outbox.flush();
