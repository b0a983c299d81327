// Names for screen readers where the theme gives none, or another than the one that is seen.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll("summary > .toctree-toggle"))
    arrow.parentElement.setAttribute("aria-label", "Pages of this section");
  for (const button of document.querySelectorAll(".search-button-field"))
    button.setAttribute("aria-label", button.textContent.replace(/\s+/g, " ").trim());
});
