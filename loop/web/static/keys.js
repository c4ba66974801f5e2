// The keyboard for all pages. Items carry data-item; the first link in one is what Enter opens, a checkbox in it is what X toggles.
"use strict";
(() => {
  const FIELDS = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";
  let anchor = null;

  const items = () => [...document.querySelectorAll("[data-item]")].filter((item) => item.offsetParent !== null);
  const here = () => document.querySelector("[data-item].here") || document.activeElement?.closest("[data-item]");
  const box = (item) => item?.querySelector("input[type=checkbox]:not(:disabled)");

  function say(text) {
    const place = document.getElementById("said");
    if (place) place.textContent = text;
  }

  function stand(item) {
    document.querySelectorAll("[data-item].here").forEach((other) => other.classList.remove("here"));
    if (!item) return;
    item.classList.add("here");
    const target = item.querySelector("a[href], button, input:not([type=hidden])") || item;
    if (target === item) item.tabIndex = -1;
    target.focus({preventScroll: true});
    item.scrollIntoView({block: "nearest"});
  }

  function step(by) {
    const all = items();
    const now = all.indexOf(here());
    stand(all[now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + by))]);
  }

  function set(item, checked) {
    const found = box(item);
    if (!found || found.checked === checked) return;
    found.checked = checked;
    found.dispatchEvent(new Event("change", {bubbles: true}));
  }

  function select(range) {
    const item = here();
    if (!box(item)) return;
    const all = items(), to = all.indexOf(item), from = all.indexOf(anchor);
    if (range && from >= 0) all.slice(Math.min(from, to), Math.max(from, to) + 1).forEach((one) => set(one, true));
    else set(item, !box(item).checked);
    anchor = item;
    const count = document.querySelectorAll("[data-item] input[type=checkbox]:checked").length;
    say(count + (count === 1 ? " item selected" : " items selected"));
  }

  function follow(selector) {
    const link = document.querySelector(selector);
    if (link) link.click();
    return Boolean(link);
  }

  function help() {
    const dialog = document.getElementById("keys");
    if (dialog && !dialog.open) dialog.showModal();
  }

  const ACTIONS = {
    j: () => step(1),
    k: () => step(-1),
    x: () => select(false),
    X: () => select(true),
    "[": () => follow("main a[rel=prev]"),
    "]": () => follow("main a[rel=next]"),
    "/": () => document.querySelector("main input[type=search], main [data-search]")?.focus(),
    "?": help,
    u: () => follow("[data-undo]"),
    Escape: () => stand(null),
    Enter: () => here()?.querySelector("a[href]")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.(FIELDS);
    if (typing && event.key === "Escape") typing.blur();
    if (typing) return;
    // Enter on a link, a button or a summary is the browser's own.
    if (event.key === "Enter" && (!document.querySelector("[data-item].here") || event.target.closest?.("a, button, summary"))) return;
    const action = ACTIONS[event.key] || (event.shiftKey ? null : ACTIONS[event.key.toLowerCase()]);
    if (!action) return;
    event.preventDefault();
    action();
  });

  // On a phone the list of pages scrolls sideways.
  document.querySelector("nav [aria-current]")?.scrollIntoView({block: "nearest", inline: "center"});

  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-help]")) return;
    event.preventDefault();
    help();
  });
})();
