// Before the first paint: the colours that were chosen here, or the system's.
(() => {
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem("asktell:theme"); } catch { /* no storage: the system's */ }
  root.dataset.theme = chosen === "light" || chosen === "dark" ? chosen : "auto";
})();
