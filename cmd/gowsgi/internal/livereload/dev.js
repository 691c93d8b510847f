// Loads this page anew when the app, its templates or its static files change. A page that is not seen holds no connection: browsers open only
// six to a server.
(() => {
  "use strict";
  const generation = document.currentScript.dataset.generation;
  let source = null;

  function reload() {
    close();
    location.reload();
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function swap(names) {
    let found = false;
    for (const link of document.querySelectorAll('link[rel~="stylesheet"][href]')) {
      const url = new URL(link.href, document.baseURI);
      if (url.origin !== location.origin || !names.includes(url.pathname.split("/").pop())) continue;
      found = true;
      url.searchParams.set("gowsgi", Date.now());
      const next = link.cloneNode();
      next.href = url.href;
      next.addEventListener("load", () => link.remove(), { once: true }); // until then the page keeps its looks
      next.addEventListener("error", () => next.remove(), { once: true });
      link.after(next);
    }
    if (!found) reload(); // it may be imported by another
  }

  function listen() {
    if (source || document.visibilityState === "hidden") return;
    source = new EventSource("/__gowsgi__/events");
    source.addEventListener("hello", (event) => {
      if (event.data !== generation) reload();
    });
    source.addEventListener("page", reload);
    source.addEventListener("css", (event) => swap(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        // The browser gives up where it is answered with an error, as by another server on this port.
        close();
        setTimeout(listen, 1000);
      }
    });
  }

  document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? close() : listen()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", listen); // also out of the back-forward cache
  listen();
})();
