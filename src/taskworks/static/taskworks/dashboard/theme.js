// Before the page is drawn: the theme that was chosen here, or in the admin, which has the same key.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  document.documentElement.dataset.theme = ["light", "dark"].includes(theme) ? theme : "auto";
} catch {
  document.documentElement.dataset.theme = "auto"; // storage may be forbidden
}
