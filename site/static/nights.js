/* Every number over the nights: one figure of a chosen number, and small ones of the main numbers of the track. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const SMALL = 12;
  const trackSelect = document.getElementById("night-track");
  const metricSelect = document.getElementById("night-metric");
  const multiples = document.getElementById("night-multiples");
  let figure = null;
  let index = null;
  let shown = "";
  let stamp = null;

  const trackOf = function (file) { return index.tracks.find(function (one) { return one.file === file; }); };
  const metricOf = function (track, name) { return track.metrics.find(function (one) { return one[0] === name; }) || track.metrics[0]; };
  const need = function (track, metric) {
    const name = track.file + "/" + metric[0];
    return P.need("nights/" + name, "data/nights/" + name + ".js");
  };

  /* Nights on which the mean left its interval of the night before. */
  function rings(xs, line) {
    const found = [];
    let last = -1;
    line.value.forEach(function (value, i) {
      if (value === null) return;
      if (last >= 0 && line.low[last] !== null && (value < line.low[last] - 1e-9 || value > line.high[last] + 1e-9)) found.push([xs[i], value]);
      last = i;
    });
    return found;
  }

  function spec(track, metric, data) {
    const xs = index.days.map(function (day) { return day[0]; });
    const names = new Map(index.days);
    return {
      title: metric[1] + " over the nights", name: metric[0] + "-nights", about: { words: track.title, date: index.days[index.days.length - 1][1], file: track.file }, lineWord: "Editor", xLabel: "night", percent: metric[2], xs,
      xName: function (x) { return names.get(x) || ""; },
      lines: track.editors.filter(function (editor) { return data[editor[0]]; }).map(function (editor) {
        const line = data[editor[0]];
        return Object.assign({ key: editor[0], label: editor[1], look: editor[2], rings: rings(xs, line) }, line);
      }),
      empty: "This number was not measured on this track.",
    };
  }

  function drawMultiples(track) {
    if (shown === track.file) return;
    shown = track.file;
    multiples.replaceChildren(...track.metrics.slice(0, SMALL).map(function (metric) {
      const box = el("figure", { class: "chart small" },
        el("figcaption", {}, el("h3", {}, el("a", { href: hash(track.file, metric[0]) }, metric[1]))),
        el("div", { class: "plot", tabindex: 0, role: "group", "aria-roledescription": "chart", "aria-label": metric[1] + " over the nights", data: { plot: "" } }),
        el("p", { class: "visually-hidden", "aria-live": "polite", data: { plotLive: "" } }));
      const made = P.figure(box);
      P.whenNear(box, function () { need(track, metric).then(function (data) { made.show(spec(track, metric, data)); }); });
      return box;
    }));
  }

  function draw() {
    const found = new URLSearchParams(window.location.hash.slice(1));
    const track = trackOf(found.get("track")) || index.tracks[0];
    if (!track) return;
    const metric = metricOf(track, found.get("metric"));
    trackSelect.value = track.file;
    metricSelect.replaceChildren(...track.metrics.map(function (one) { return el("option", { value: one[0] }, one[1]); }));
    metricSelect.value = metric[0];
    document.querySelector("#night-curve h3").textContent = metric[1];
    const mine = stamp = {};
    need(track, metric).then(function (data) { if (mine === stamp) figure.show(spec(track, metric, data)); });
    drawMultiples(track);
  }

  /* The night that since.js compares with stays in the address. */
  function hash(track, metric) {
    const since = new URLSearchParams(window.location.hash.slice(1)).get("since");
    return "#track=" + track + "&metric=" + metric + (since ? "&since=" + encodeURIComponent(since) : "");
  }
  function choose() { window.location.hash = hash(trackSelect.value, metricSelect.value); }

  P.need("nights", "data/nights/index.js").then(function (found) {
    index = found;
    figure = P.figure(document.getElementById("night-curve"));
    trackSelect.append(...index.tracks.map(function (track) { return el("option", { value: track.file }, track.title); }));
    trackSelect.addEventListener("change", choose);
    metricSelect.addEventListener("change", choose);
    window.addEventListener("hashchange", draw);
    document.querySelectorAll(".show-number, #night-multiples").forEach(function (link) {
      link.addEventListener("click", function (event) {
        if (event.target.closest("a")) document.getElementById("nights").scrollIntoView({ block: "start" });
      });
    });
    draw();
  });
})();
