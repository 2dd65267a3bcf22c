/* The case explorer of a run: every edit with what became of it, and its prompts with the answers.

   Courses (see results/courses.py) have one block per checkpoint; texts are shared by runs that ask the same.

   The address keeps the filters and the edit that was opened last: #find=corrow&show=lost&case=13. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const head = document.getElementById("run");
  const section = document.getElementById("cases");
  const id = head.dataset.run;
  const texts = head.dataset.texts;
  const CHUNK = 1000;
  const PROBES = 100;
  const STEP = 25;
  const SHARES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const KINDS = { r: "the edit itself", p: "said another way", n: "a neighbour, to stay as it was" };
  const STATES = { kept: "kept to the end", lost: "forgotten", back: "forgotten and back", never: "never learned", none: "not scored" };
  const list = document.getElementById("case-list");
  const note = document.getElementById("case-note");
  const find = document.getElementById("case-find");
  const which = document.getElementById("case-state");
  const more = document.getElementById("case-more");
  let run = null;
  let answers = {};
  let cases = [];
  let shown = STEP;
  let current = 0;
  let loaded = null;

  const zsre = function () { return run.form === "zsre"; };

  /* What a character of a course says of a probe: right or not, and in words. */
  function verdict(code, kind) {
    if (code === undefined) return { known: false };
    if (code === "x") return { known: true, right: false, said: "not a number", share: 0 };
    if (zsre()) {
      const share = SHARES.indexOf(code) / 60;
      return { known: true, right: share === 1, share, said: share === 1 ? "all of the answer" : Math.round(100 * share) + " % of the answer" };
    }
    const bits = parseInt(code, 16);
    const right = kind === "n" ? Boolean(bits & 2) : Boolean(bits & 1);
    return { known: true, right, share: right ? 1 : 0, says: bits & 1 ? "new" : bits & 2 ? "true" : "", prefers: bits & 4 ? "new" : bits & 8 ? "true" : "" };
  }

  function blocks(course) {
    return course.split(" ").map(function (block) { return block ? block.replace("~", "").split(".") : null; });
  }

  /* Of the rewrite prompt over the checkpoints that include the edit. */
  function follow(item) {
    const parts = blocks(item.course);
    const steps = run.scored.map(function (edits, i) { return { edits, block: parts[i], i }; })
      .filter(function (step) { return step.edits > item.position && step.block && step.block[0]; });
    const right = steps.map(function (step) { return verdict(step.block[0][0], "r").right; });
    const first = right.indexOf(true);
    const lost = first < 0 ? -1 : right.indexOf(false, first);
    item.steps = steps;
    item.right = right;
    item.after = steps.length ? steps[0].i : -1;
    item.end = steps.length ? steps[steps.length - 1].i : -1;
    item.state = !steps.length ? "none" : first < 0 ? "never" : lost < 0 ? "kept" : right[right.length - 1] ? "back" : "lost";
    item.lostAt = lost < 0 ? null : steps[lost].edits;
    const last = steps.length ? steps[steps.length - 1].block[2] || "" : "";
    item.spilled = !zsre() && Array.from(last).some(function (code) { return verdict(code, "n").says === "new"; });
  }

  function load() {
    const count = Math.ceil(run.cases / CHUNK);
    const jobs = [];
    for (let n = 0; n < count; n += 1) {
      jobs.push(Promise.all([
        P.need("cases/" + texts + "/index-" + n, "data/cases/" + texts + "/index-" + n + ".js"),
        P.need("courses/" + id + "/" + n, "data/run/" + id + "/courses-" + n + ".js"),
      ]).then(function ([index, courses]) {
        courses.forEach(function (course, i) {
          const text = index[i] || ["", "", "", ""];
          const item = { position: n * CHUNK + i, course, subject: text[0], prompt: text[1], to: text[2], from: text[3] };
          item.text = text.join(" ").toLocaleLowerCase("en");
          follow(item);
          cases[item.position] = item;
        });
      }));
    }
    const recorded = P.need("answers/" + id, "data/run/" + id + "/answers.js", true).then(function (found) { answers = found || {}; }, function () { answers = {}; });
    return Promise.all(jobs.concat(recorded));
  }

  function fits(item) {
    const wanted = find.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    const numbered = wanted.length === 1 && String(item.position + 1) === wanted[0];
    if (!numbered && !wanted.every(function (word) { return item.text.includes(word); })) return false;
    if (which.value === "answers") return String(item.position) in answers;
    if (which.value === "spilled") return item.spilled;
    return !which.value || item.state === which.value;
  }

  const sentence = function (item) { return item.prompt.includes("{}") ? item.prompt.replace("{}", item.subject) : item.prompt + " (" + item.subject + ")"; };

  function strip(item) {
    return el("span", { class: "strip", "aria-hidden": "true" }, item.steps.map(function (step, i) {
      return el("i", { class: item.right[i] ? "yes" : "no", title: (item.right[i] ? "right" : "wrong") + " after " + step.edits + " edits" });
    }));
  }

  function row(item) {
    const said = item.state === "lost" ? "forgotten by " + P.thousands(item.lostAt) : item.state === "back" ? "forgotten by " + P.thousands(item.lostAt) + ", back at the end" : STATES[item.state];
    const details = el("details", { class: "case", open: item.position + 1 === current ? "" : null },
      el("summary", {}, el("span", { class: "case-number" }, P.thousands(item.position + 1)),
        el("span", { class: "case-text" }, sentence(item), " ", item.from ? [el("s", {}, item.from), " ", el("span", { "aria-hidden": "true" }, "→ "), el("span", { class: "visually-hidden" }, "becomes ")] : null, el("b", {}, item.to)),
        el("span", { class: "case-state " + item.state }, said, String(item.position) in answers ? el("span", { class: "chip" }, "answers") : null), strip(item)));
    details.addEventListener("toggle", function () {
      if (details.open && !details.dataset.filled) { details.dataset.filled = "true"; open(item, details); }
      const number = item.position + 1;
      if (details.open !== (current === number) && details.isConnected) { current = details.open ? number : 0; write(true); }
    });
    return el("li", { data: { position: String(item.position) } }, details);
  }

  function open(item, details) {
    const n = Math.floor(item.position / PROBES);
    details.querySelectorAll(":scope > .note").forEach(function (old) { old.remove(); });
    P.need("cases/" + texts + "/probes-" + n, "data/cases/" + texts + "/probes-" + n + ".js").then(function (found) {
      details.append(prompts(item, found[item.position % PROBES] || []), el("button", { type: "button", class: "quiet-button case-link", on: { click: function (event) {
        P.copyText(window.location.href.split("#")[0] + "#case=" + (item.position + 1), event.currentTarget);
      } } }, "Copy a link to this edit"));
    }, function (error) {
      delete details.dataset.filled;
      details.append(el("p", { class: "note" }, "Its prompts cannot be shown: " + error.message + "."));
    });
  }

  /* Before editing, at the first checkpoint after the edit, and at the last one. */
  function prompts(item, probes) {
    const parts = blocks(item.course);
    const before = run.scored[0] === 0 ? 0 : -1;
    const moments = [["Before", before], ["Right after" + (item.after >= 0 ? ", at " + P.thousands(run.scored[item.after]) : ""), item.after], ["At the end" + (item.end >= 0 ? ", at " + P.thousands(run.scored[item.end]) : ""), item.end]];
    const seen = { r: 0, p: 0, n: 0 };
    const place = { r: 0, p: 1, n: 2 };
    const recorded = answers[String(item.position)] || [];
    const rows = probes.map(function ([kind, prompt, to, from]) {
      const index = seen[kind];
      seen[kind] += 1;
      const answer = recorded.find(function (one) { return one[0] === kind && one[1] === prompt; });
      return el("tr", {}, el("th", { scope: "row" }, el("span", { class: "kind" }, KINDS[kind]), prompt), moments.map(function ([label, at]) {
        const block = at >= 0 ? parts[at] : null;
        const code = block && block[place[kind]] ? block[place[kind]][index] : undefined;
        return said(verdict(code, kind), kind, label, { to: to === undefined ? item.to : to, from: from === undefined ? item.from : from }, at === before, answer ? (at === before ? answer[2] : answer[3][String(run.scored[at])]) : undefined);
      }));
    });
    return el("div", { class: "scroll" }, el("table", { class: "answers" }, el("caption", { class: "visually-hidden" }, "Prompts and answers of edit " + (item.position + 1)),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Prompt"), moments.map(function (moment) { return el("th", { scope: "col" }, moment[0]); }))), el("tbody", {}, rows)));
  }

  /* ✓ as it should be, ○ the original fact after an edit of it, ✕ the new fact where it does not belong. */
  function said(found, kind, label, target, pristine, answer) {
    if (!found.known && answer === undefined) return el("td", { class: "said", data: { label } }, "–");
    let style = "";
    if (zsre()) style = !found.known ? "" : found.right ? "kept" : "";
    else if (found.says === "new") style = kind === "n" ? "spilled" : "kept";
    else if (found.says === "true") style = kind === "n" ? "kept" : "true";
    if (pristine && style === "kept" && kind === "n") style = "true";
    const shapes = { kept: ["✓ ", "as it should be: "], true: ["○ ", "the original fact: "], spilled: ["✕ ", "the new fact, spilled over: "] };
    const words = zsre() ? found.said : found.said || (found.says === "new" ? target.to : found.says === "true" ? target.from : "something else");
    const lean = !zsre() && !found.says && found.prefers ? el("span", { class: "span" }, found.prefers === "new" ? "leans to " + target.to : "leans to " + target.from) : null;
    return el("td", { class: "said " + style, data: { label } }, el("span", {}, shapes[style] ? [el("span", { "aria-hidden": "true" }, shapes[style][0]), el("span", { class: "visually-hidden" }, shapes[style][1])] : null,
      answer === undefined ? words : answer || "(nothing)", answer === undefined ? lean : el("span", { class: "span" }, "recorded answer")));
  }

  /* An edit that the address names stands first where the list would not show it. */
  function draw() {
    const found = cases.filter(fits);
    const rows = found.slice(0, shown);
    const named = cases[current - 1];
    if (named && !rows.includes(named)) rows.unshift(named);
    list.replaceChildren(...rows.map(row));
    more.hidden = found.length <= shown;
    const counts = {};
    cases.forEach(function (item) { counts[item.state] = (counts[item.state] || 0) + 1; });
    const sum = Object.keys(STATES).filter(function (key) { return counts[key]; }).map(function (key) { return P.thousands(counts[key]) + " " + STATES[key]; }).join(", ");
    note.textContent = (found.length === cases.length ? P.thousands(cases.length) + " edits: " + sum : P.thousands(found.length) + " of " + P.thousands(cases.length) + " edits fit") +
      ". By whether " + (zsre() ? "every token of the answer" : "every token of the new answer") + " is the model’s first choice; a square per checkpoint." +
      (current && !named ? " There is no edit " + P.thousands(current) + " in this run." : "");
  }

  /* ------------------------------------------------------------------ address */
  const asked = function () { return new URLSearchParams(window.location.hash.slice(1)); };
  const isOurs = function (found) { return ["find", "show", "case"].some(function (key) { return found.has(key); }); };

  /* quiet: typing and opening replace the entry in the history instead of adding one for each step */
  function write(quiet) {
    const parts = [["find", find.value], ["show", which.value], ["case", current ? String(current) : ""]]
      .filter(function (part) { return part[1]; }).map(function (part) { return part[0] + "=" + encodeURIComponent(part[1]); });
    const address = window.location.pathname + window.location.search + (parts.length ? "#" + parts.join("&") : "");
    if (quiet) window.history.replaceState(null, "", address);
    else window.history.pushState(null, "", address);
  }

  /* Whatever else follows the #, such as the name of a section, leaves the explorer as it is. */
  function read() {
    const found = asked();
    if (!isOurs(found) && (window.location.hash.length > 1 || !loaded)) return;
    const states = Array.from(which.options, function (option) { return option.value; });
    const number = /^\d{1,9}$/.test(found.get("case") || "") ? Number(found.get("case")) : 0;
    find.value = found.get("find") || "";
    which.value = states.includes(found.get("show")) ? found.get("show") : "";
    current = number;
    shown = STEP;
    show().then(function () { if (isOurs(found)) reveal(); });
  }

  function reveal() {
    const named = list.querySelector('[data-position="' + (current - 1) + '"] summary');
    (named || section).scrollIntoView({ block: named ? "center" : "start" });
    if (named) named.focus({ preventScroll: true });
  }

  /* The list, once its files have come; they are asked for once. */
  function show() {
    if (!loaded) loaded = load();
    return loaded.then(draw, function (error) {
      loaded = null;
      note.textContent = "The edits cannot be shown: " + error.message + ".";
    });
  }

  function start(found) {
    run = found;
    if (!run.cases) { section.hidden = true; return; }
    const again = function (quiet) { current = 0; shown = STEP; write(quiet); show(); };
    find.addEventListener("input", function () { again(true); });
    find.addEventListener("keydown", function (event) { if (event.key === "Escape") { find.value = ""; again(true); } });
    which.addEventListener("change", function () { again(false); });
    more.addEventListener("click", function () { shown += 4 * STEP; draw(); });
    window.addEventListener("popstate", read);
    window.addEventListener("hashchange", read);
    if (isOurs(asked())) read();
    P.whenNear(section, function () { if (!loaded) show(); });
  }
  P.need("run/" + id, "data/run/" + id + "/run.js").then(start);
})();
