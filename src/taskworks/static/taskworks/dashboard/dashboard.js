// The dashboard's own script. Every page works without it: it refreshes what is shown, remembers
// the theme, and listens to keys. It evaluates nothing and writes no styles.
"use strict";
(() => {
  const INTERVAL = "taskworks.interval";
  const KEYS = "taskworks.keys";
  const SOON = 100; // milliseconds, in which more may change
  const THEMES = ["auto", "light", "dark"];
  const find = (selector) => document.querySelector(selector);
  const findAll = (selector) => [...document.querySelectorAll(selector)];

  // Storage may be forbidden.
  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const store = (key, value) => {
    try {
      localStorage.setItem(key, value);
    } catch {
      // Then it is as it was on the next page.
    }
  };

  // Refreshing. A hidden page asks for nothing; when it is shown, it asks at once.

  const live = find("#tw-live");
  const chooser = find("[data-tw-interval]");
  const banner = find("[data-tw-banner]");
  const updated = find("[data-tw-updated]");
  let timer = 0;
  let tag = null;

  const seconds = () => Number(chooser ? chooser.value : 0);

  const plan = () => {
    clearTimeout(timer);
    listen();
    if (live && seconds() && !document.hidden) {
      timer = setTimeout(refresh, seconds() * 1000);
    }
  };

  // A run's page is told at once where the server streams events; a hidden page listens to none.
  let events = null;
  let soon = 0;
  const listen = () => {
    const where = live && seconds() && !document.hidden && live.dataset.twEvents;
    if (where && !events) {
      events = new EventSource(where);
      events.addEventListener("changed", () => {
        clearTimeout(soon);
        soon = setTimeout(refresh, SOON);
      });
    } else if (!where && events) {
      events.close();
      events = null;
    }
  };

  const refresh = () => {
    clearTimeout(timer);
    if (!live || document.hidden) {
      return;
    }
    if (isInUse()) {
      plan();
      return;
    }
    window.htmx.trigger(live, "tw-refresh");
  };

  // Whoever types is not disturbed, nor is who has ticked rows: none moves away.
  const isInUse = () =>
    live.querySelector("[data-tw-row]:checked") ||
    (live.contains(document.activeElement) &&
      document.activeElement.matches("input:not([type=checkbox]), textarea, select"));

  const show = (text) => {
    banner.textContent = text || "";
    banner.hidden = !text;
  };

  if (live) {
    live.addEventListener("htmx:configRequest", (event) => {
      if (tag) {
        event.detail.headers["If-None-Match"] = tag;
      }
    });
    live.addEventListener("htmx:afterRequest", (event) => {
      const { xhr } = event.detail;
      if (event.target !== live) {
        return;
      }
      if (xhr.status === 200 || xhr.status === 304) {
        tag = xhr.getResponseHeader("ETag");
        show("");
        updated.textContent = `${updated.dataset.text} ${new Date().toLocaleTimeString()}.`;
        updated.hidden = false;
      } else {
        show([401, 403, 404].includes(xhr.status) ? banner.dataset.signedOut : banner.dataset.away);
      }
      plan();
    });
    // What a person has opened or ticked stays so; new rows do not push it away.
    live.addEventListener("htmx:beforeSwap", () => {
      kept = { open: names("details[open][id]"), ticked: names("input:checked[id]") };
    });
    live.addEventListener("htmx:afterSwap", () => {
      for (const id of kept.open) {
        document.getElementById(id)?.setAttribute("open", "");
      }
      for (const id of kept.ticked) {
        const box = document.getElementById(id);
        if (box) {
          box.checked = true;
        }
      }
      live.dispatchEvent(new CustomEvent("tw:refreshed", { bubbles: true }));
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? plan() : refresh()));
  }
  let kept = { open: [], ticked: [] };
  const names = (selector) => [...live.querySelectorAll(selector)].map((one) => one.id);

  if (chooser) {
    const chosen = stored(INTERVAL);
    if ([...chooser.options].some((option) => option.value === chosen)) {
      chooser.value = chosen;
    }
    chooser.addEventListener("change", () => {
      store(INTERVAL, chooser.value);
      plan();
    });
    plan();
  }

  // The theme, which the admin shares.

  const button = find("[data-tw-theme]");
  const showTheme = () => {
    button.title = button.dataset[document.documentElement.dataset.theme];
  };
  const nextTheme = () => {
    const now = THEMES.indexOf(document.documentElement.dataset.theme);
    const theme = THEMES[(now + 1) % THEMES.length];
    document.documentElement.dataset.theme = theme;
    store("theme", theme);
    showTheme();
  };
  if (button) {
    showTheme();
    button.addEventListener("click", nextTheme);
  }
  const tools = find("[data-tw-tools]");
  if (tools) {
    tools.hidden = false;
  }

  // Copying, also over plain HTTP.

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-tw-copy]");
    if (!copy) {
      return;
    }
    const source = document.getElementById(copy.dataset.twCopy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    const before = copy.textContent;
    copy.textContent = copy.dataset.done || before;
    setTimeout(() => {
      copy.textContent = before;
    }, 2000);
  });

  // Ticking: all rows at once, and from one row to another with Shift.

  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (box.matches?.("[data-tw-all]")) {
      for (const one of findAll("[data-tw-row]")) {
        one.checked = box.checked;
      }
    } else if (box.matches?.("[data-tw-row]")) {
      const boxes = findAll("[data-tw-row]");
      if (event.shiftKey && last && boxes.includes(last)) {
        const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
        for (const one of boxes.slice(from, to + 1)) {
          one.checked = box.checked;
        }
      }
      last = box;
    } else {
      return;
    }
    document.dispatchEvent(new CustomEvent("tw:ticked"));
  });

  // Keys. A person may turn them off; none is heard while a field has the focus.

  const dialog = find("[data-tw-keys]");
  const useKeys = find("[data-tw-use-keys]");
  let goes = false;
  const rows = () => findAll("#tw-main tbody tr");
  const here = () => rows().findIndex((row) => row.classList.contains("tw-here"));
  const move = (by) => {
    const all = rows();
    const target = all[Math.min(Math.max(here() + by, 0), all.length - 1)];
    for (const row of all) {
      row.classList.toggle("tw-here", row === target);
    }
    target?.scrollIntoView({ block: "nearest" });
    target?.querySelector("a")?.focus();
  };
  const press = (verb) => {
    if (!find("[data-tw-row]:checked")) {
      rows()[here()]?.querySelector("[data-tw-row]")?.click();
    }
    find(`[data-tw-do="${verb}"]`)?.click();
  };
  const act = {
    "/": () => find("[data-tw-search]")?.focus(),
    "?": () => dialog?.showModal(),
    t: nextTheme,
    j: () => move(1),
    k: () => move(-1),
    e: () => press("retry"),
    c: () => press("cancel"),
    x: () => rows()[here()]?.querySelector("[data-tw-row]")?.click(),
    p: () => {
      if (chooser) {
        chooser.value = seconds() ? "0" : "5";
        chooser.dispatchEvent(new Event("change"));
      }
    },
  };
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest?.("input, select, textarea, [contenteditable], dialog");
    if (busy || event.ctrlKey || event.metaKey || event.altKey || stored(KEYS) === "off") {
      return;
    }
    if (goes) {
      goes = false;
      find(`[data-tw-key="${CSS.escape(event.key)}"]`)?.click();
      return;
    }
    goes = event.key === "g";
    if (Object.hasOwn(act, event.key)) {
      event.preventDefault();
      act[event.key]();
    }
  });
  find("[data-tw-help]")?.addEventListener("click", () => dialog.showModal());
  if (useKeys) {
    useKeys.checked = stored(KEYS) !== "off";
    useKeys.addEventListener("change", () => store(KEYS, useKeys.checked ? "on" : "off"));
  }
})();
