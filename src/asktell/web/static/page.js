// What every page does: colours, times in the reader's own zone, and news from the server.

const ORDER = ["auto", "light", "dark"];
const SAID = { auto: "as the system", light: "light", dark: "dark" };
const root = document.documentElement;
const toggle = document.getElementById("theme");

function sayTheme() {
  toggle.setAttribute("aria-label", `Colours: ${SAID[root.dataset.theme]}`);
  toggle.title = toggle.getAttribute("aria-label");
}

toggle.addEventListener("click", () => {
  root.dataset.theme = ORDER[(ORDER.indexOf(root.dataset.theme) + 1) % ORDER.length];
  try { localStorage.setItem("asktell:theme", root.dataset.theme); } catch { /* it lasts as long as the page */ }
  sayTheme();
  document.dispatchEvent(new Event("theme"));
});
sayTheme();

// The year only where it is another.
function shape(when) {
  const year = when.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return { day: "numeric", month: "short", ...year, hour: "2-digit", minute: "2-digit" };
}

function localTimes(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const when = new Date(time.dateTime);
    if (!Number.isNaN(when.valueOf())) {
      const text = when.toLocaleString(undefined, shape(when));
      if (time.textContent !== text) time.textContent = text;
    }
  }
}
localTimes(document);
document.addEventListener("htmx:after:swap", () => localTimes(document));

// One stream a page, and none while nobody looks: a browser has few connections to a server.
if (document.querySelector("#live, #notices")) {
  let stream = null;
  const follow = () => {
    if (document.hidden) {
      stream?.close();
      stream = null;
    } else if (stream === null) {
      stream = new EventSource("/events");
      stream.addEventListener("changed", (event) => {
        document.body.dispatchEvent(new CustomEvent("changed", { detail: JSON.parse(event.data) }));
      });
    }
  };
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", () => stream?.close());
  follow();
}
