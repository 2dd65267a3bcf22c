/* What moved since a day: the last night against the newest one that is not after that day. The address names the day:
   #since=2026-03-10. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const section = document.getElementById("moves");
  const input = document.getElementById("night-since");
  if (!input) return;
  const last = section.dataset.day;
  const own = section.dataset.before;
  const note = document.getElementById("moves-note");
  const box = document.getElementById("moves-box");
  const rows = document.getElementById("moves-rows");
  const more = document.getElementById("moves-more");
  const first = { note: note.textContent, rows: Array.from(rows.children), more: more.textContent, hidden: [box.hidden, more.hidden] };
  let stamp = null;

  const asked = function () {
    const day = new URLSearchParams(window.location.hash.slice(1)).get("since") || "";
    return /^\d{4}-\d\d-\d\d$/.test(day) ? day : "";
  };

  function row([editor, seed, builtIn, metric, fragment, track, before, interval, after, direction]) {
    return el("tr", {}, el("th", { scope: "row" }, editor, el("span", { class: "span" }, "seed " + seed + (builtIn ? "" : " · third-party"))),
      el("td", {}, el("a", { class: "show-number", href: "#" + fragment + "&since=" + asked() }, metric)), el("td", { class: "prose-cell" }, track),
      el("td", { class: "num" }, el("span", { class: "value" }, before), interval ? el("span", { class: "span" }, interval) : null),
      el("td", { class: "num" }, el("span", { class: "value" }, direction ? [el("span", { "aria-hidden": "true" }, direction === "up" ? "↑ " : "↓ "), after] : "no longer measured")));
  }

  function draw(found, day) {
    const numbers = found.total ? found.total + (found.total === 1 ? " number" : " numbers") + " moved, " + found.ours + " of them of built-in editors." : "No number moved.";
    note.textContent = "Since " + found.day + (found.day === day ? "" : found.day < day ? ", the newest night that is not after " + day : ", the first night, which is later than " + day) + ": " + numbers +
      (found.added ? " " + found.added + " are new." : "");
    rows.replaceChildren(...found.rows.map(row));
    box.hidden = !found.rows.length;
    more.hidden = found.rows.length >= found.total;
    more.textContent = "The first " + found.rows.length + " of " + found.total + ".";
  }

  function update(days) {
    const day = asked();
    const before = days.filter(function (one) { return one < last; });
    const night = day ? before.filter(function (one) { return one <= day; }).pop() || before[0] : own;
    const mine = stamp = {};
    if (day) input.value = day;
    else input.value = own;
    document.getElementById("moves-before").textContent = "against " + night;
    if (!day) {
      note.textContent = first.note;
      rows.replaceChildren(...first.rows);
      more.textContent = first.more;
      [box.hidden, more.hidden] = first.hidden;
      return;
    }
    const name = "nights/since-" + night;
    P.need(name, "data/" + name + ".js").then(function (found) { if (mine === stamp) draw(found, day); }, function (error) { note.textContent = "It cannot be said: " + error.message + "."; });
  }

  P.need("nights", "data/nights/index.js").then(function (index) {
    const days = index.days.map(function (day) { return day[1]; });
    const again = function () { update(days); };
    input.min = days[0];
    input.addEventListener("change", function () {
      const found = new URLSearchParams(window.location.hash.slice(1));
      if (input.value) found.set("since", input.value); else found.delete("since");
      window.location.hash = found.toString();
    });
    window.addEventListener("hashchange", again);
    if (asked()) again();
  });
})();
