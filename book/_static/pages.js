// What the theme lacks for screen readers and the keyboard: names, as they are seen, and focus.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("summary > .toctree-toggle"))
    arrow.parentElement.setAttribute("aria-label", "Pages of this section");
  for (const button of document.querySelectorAll(".search-button-field"))
    button.setAttribute("aria-label", button.textContent.replace(/\s+/g, " ").trim());
  // It scrolls on a phone, so the keyboard must reach it.
  document.getElementById("one-cell")?.setAttribute("tabindex", "0");
});
