"use strict";
// An address such as `#sae-NAME` opens everything about one SAE in a dialog, which the browser
// itself makes modal: it keeps the focus inside, and Escape closes it.
(() => {
  const dialog = document.getElementById("panel");
  const panels = new Map(
    [...document.querySelectorAll("template[data-panel]")].map((each) => [each.dataset.panel, each]),
  );

  function anchor() {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return "";
    }
  }

  function show() {
    const name = anchor();
    const panel = panels.get(name);
    if (!panel) {
      if (dialog.open) dialog.close();
      if (name && /^(failed|crashed|skipped|warned|accepted|noted)-/.test(name)) {
        document.getElementById(name)?.focus();
      }
      return;
    }
    const row = document.getElementById(name);
    if (row?.hidden) row.closest("table").dispatchEvent(new Event("show-all"));
    dialog.replaceChildren(panel.content.cloneNode(true));
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    dialog.querySelector("h2").focus();
  }

  // Outside of the dialog's own box there is its backdrop.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    const name = anchor();
    if (!panels.has(name)) return;
    history.replaceState(null, "", location.pathname + location.search);
    const row = document.getElementById(name);
    row?.querySelector("a").focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  });
  window.addEventListener("hashchange", show);
  // A click on the SAE whose address is there already changes no address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#sae-"]');
    if (link && link.hash === location.hash) show();
  });
  show();
})();
