// What the screens gain when scripts run: copy an id, move by keys, open a row by a click.
// Nothing here is needed to read a page or to send a form.
"use strict";

(() => {
  const TOAST_MS = 2000;
  const KEYS_OFF = "payops.single-keys-off";
  const INTERACTIVE = "a, button, input, select, textarea, label, summary, details, [data-copy]";
  const byId = (id) => document.getElementById(id);

  // ---- copy ---------------------------------------------------------------------------------
  let toastTimer = 0;

  function say(text) {
    const toast = byId("toast");
    if (!toast) return;
    toast.textContent = text;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { toast.textContent = ""; }, TOAST_MS);
  }

  async function putOnClipboard(text) {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const box = document.createElement("textarea");
    box.value = text;
    box.className = "vh";
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    if (!done) throw new Error("the browser refused the clipboard");
  }

  async function copy(source) {
    const text = source.dataset.copy;
    try {
      await putOnClipboard(text);
      source.classList.add("copied");
      setTimeout(() => source.classList.remove("copied"), TOAST_MS);
      say(`Copied ${text.length > 80 ? "the text" : text}`);
    } catch {
      say(`Not copied, select it by hand: ${text}`);
    }
  }

  // ---- rows ---------------------------------------------------------------------------------
  const rowLink = (row) => row.querySelector("a.row-link") || row.querySelector("a[href]");

  function openRow(row, event) {
    const link = rowLink(row);
    if (link && (event.metaKey || event.ctrlKey)) window.open(link.href, "_blank", "noopener");
    else if (link) link.click();
    else if (row.dataset.href) window.location.assign(row.dataset.href);
  }

  function moveRow(step) {
    const rows = [...document.querySelectorAll("table[data-rows] tbody tr")].filter(rowLink);
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
    const row = rows[Math.min(Math.max(next, 0), rows.length - 1)];
    rowLink(row).focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function centreCurrent() {
    for (const picture of document.querySelectorAll(".picture")) {
      const node = picture.querySelector(".node.current")?.getBoundingClientRect();
      if (node) picture.scrollLeft += node.left + node.width / 2
        - picture.getBoundingClientRect().left - picture.clientWidth / 2;
    }
  }

  // ---- keys ---------------------------------------------------------------------------------
  const singleKeys = {
    j: () => moveRow(1),
    k: () => moveRow(-1),
    "/": () => focusSearch(),
    "?": () => showKeys(),
  };

  function focusSearch() {
    const search = byId("find");
    if (search) { search.focus(); search.select(); }
  }

  function showKeys() {
    const dialog = byId("keys");
    if (dialog && !dialog.open) dialog.showModal();
  }

  function stored(key) {
    try { return localStorage.getItem(key) === "1"; } catch { return false; }
  }

  function onKey(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const withControl = event.ctrlKey || event.metaKey;
    if (withControl && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      focusSearch();
      return;
    }
    // A dialog that just closed keeps the focus until the next frame; nobody types in it any more.
    const closed = event.target.closest("dialog:not([open])");
    const typing = !closed
      && event.target.closest("input, select, textarea, [contenteditable], dialog");
    if (withControl || event.altKey || typing || stored(KEYS_OFF)) return;
    const act = singleKeys[event.key];
    if (act) { event.preventDefault(); act(); }
  }

  // ---- wiring -------------------------------------------------------------------------------
  document.addEventListener("keydown", onKey);

  document.addEventListener("click", (event) => {
    const source = event.target.closest("[data-copy]");
    if (source) { copy(source); return; }
    const opener = event.target.closest("[data-opens]");
    if (opener) { byId(opener.dataset.opens)?.showModal(); return; }
    if (event.target.closest("[data-closes]")) { event.target.closest("dialog")?.close(); return; }
    const row = event.target.closest("table[data-rows] tbody tr");
    const marking = String(window.getSelection()) !== "";
    if (row && !marking && !event.target.closest(INTERACTIVE)) openRow(row, event);
  });

  // Typing into the field of a choice chooses it.
  document.addEventListener("input", (event) => {
    const radio = event.target.matches("[type=text]")
      && event.target.closest(".choice")?.querySelector("[type=radio]");
    if (radio) radio.checked = true;
  });

  // A second press of the same button must not send the form twice while the answer is on its way.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-once]")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
  });

  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  document.addEventListener("DOMContentLoaded", () => {
    const box = byId("single-keys");
    if (box) {
      box.checked = !stored(KEYS_OFF);
      box.addEventListener("change", () => {
        try { localStorage.setItem(KEYS_OFF, box.checked ? "0" : "1"); } catch { /* kept for this page */ }
      });
    }
    document.querySelector(".error-summary")?.focus();
    centreCurrent();
  });
})();
