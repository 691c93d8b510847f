// Loads this page anew when the app, its templates or its static files change. Browsers open only six connections to a server: a page that is
// not seen holds none, and nor does a frame in a page with this script.
(() => {
  "use strict";
  const script = document.currentScript;
  const generation = script.dataset.generation;
  const replacements = new WeakMap(); // links to style sheets that are being loaded, by the link whose place they take
  let source = null;
  let delay = 0; // ms, before the next try to listen

  function reload() {
    close();
    location.reload();
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function hello(event) {
    delay = 0;
    if (event.data !== generation && mayHelp(event.data)) reload();
  }

  // A service worker may bring the old page again and again: a few times are enough.
  function mayHelp(wanted) {
    const page = wanted + " " + location.href;
    try {
      const last = JSON.parse(sessionStorage.getItem("gowsgi")) || {};
      const times = last.page === page ? last.times + 1 : 1;
      sessionStorage.setItem("gowsgi", JSON.stringify({ page, times }));
      return times <= 3;
    } catch {
      return true; // the page may store nothing
    }
  }

  // Fetches the style sheets of these names anew, and those that import them. Returns the names that the document and its frames use.
  function swap(doc, names) {
    const used = new Set();
    const uses = (sheet) => {
      const url = new URL(sheet.href);
      const name = url.pathname.split("/").pop();
      let found = url.origin === location.origin && names.includes(name);
      if (found) used.add(name);
      try {
        for (const rule of sheet.cssRules) if (rule.styleSheet && uses(rule.styleSheet)) found = true;
      } catch {} // it is of another origin
      return found;
    };
    for (const sheet of doc.styleSheets) if (sheet.href && uses(sheet)) replace(sheet);
    for (const frame of doc.querySelectorAll("iframe, frame")) {
      if (frame.contentDocument) for (const name of swap(frame.contentDocument, names)) used.add(name);
    }
    return used;
  }

  function replace(sheet) {
    const link = sheet.ownerNode;
    const url = new URL(sheet.href);
    url.searchParams.set("gowsgi", Date.now());
    const next = link.cloneNode();
    next.href = url.href;
    next.addEventListener("load", () => link.remove(), { once: true }); // until then the page keeps its looks
    next.addEventListener("error", reload, { once: true });
    replacements.get(link)?.remove();
    replacements.set(link, next);
    link.after(next);
  }

  function listen() {
    if (source || document.visibilityState === "hidden") return;
    source = new EventSource("/__gowsgi__/events");
    source.addEventListener("hello", hello);
    source.addEventListener("page", reload);
    source.addEventListener("css", (event) => {
      const names = JSON.parse(event.data);
      if (swap(document, names).size < names.length) reload();
    });
    // The worker has ended, or the server. Browsers try again by themselves, but not all of them for long.
    source.addEventListener("error", () => {
      close();
      setTimeout(listen, delay);
      delay = Math.min(2 * delay + 100, 1000);
    });
  }

  function isInside() {
    try {
      return window !== parent && parent.document.querySelector(`script[src="${script.getAttribute("src")}"]`) !== null;
    } catch {
      return false; // a page of another origin
    }
  }

  if (isInside()) return;
  document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? close() : listen()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", listen); // also out of the back-forward cache
  listen();
})();
