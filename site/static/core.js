/* What every page's scripts share: loading of data files, making of elements, reading of numbers, small comforts.

   A page that lies on a disk may not fetch files, but may load scripts; so data come as scripts that call
   palimpsest.put(name, value). Only textContent is ever written: nothing that a submission says becomes markup. */
(function () {
  "use strict";
  const root = document.body.dataset.root || "";
  const values = new Map();
  const loading = new Map();

  function put(name, value) { values.set(name, value); }

  /* Files that the page waits for in vain: path → "missing", or "late" after PATIENCE. They are named at the foot of the
     window, where it is seen wherever one reads. */
  const PATIENCE = 5000;
  const lacking = new Map();
  function lack(path, how) {
    if (how) lacking.set(path, how);
    else if (!lacking.delete(path)) return;
    const old = document.getElementById("lacking");
    if (old) old.remove();
    if (!lacking.size) return;
    const said = ["missing", "late"].map(function (kind) {
      const [first, ...others] = Array.from(lacking.keys()).filter(function (one) { return lacking.get(one) === kind; });
      if (!first) return null;
      const words = kind === "missing" ? " cannot be loaded, so a part of this page stays empty." : (others.length ? " have" : " has") + " not come for five seconds; the page still waits.";
      return el("p", {}, el("code", {}, first), others.length ? " and " + others.length + " more" : "", words);
    });
    document.getElementById("main").append(el("div", { id: "lacking", class: "lacking", role: "alert" }, el("div", {}, said),
      el("button", { type: "button", class: "quiet-button", on: { click: function () { window.location.reload(); } } }, "Load the page again")));
  }
  /* While the page is read in, the file that holds it up is the last script so far. */
  const reading = window.setTimeout(function () {
    const path = document.scripts[document.scripts.length - 1].getAttribute("src").slice(root.length);
    lack(path, "late");
    document.addEventListener("DOMContentLoaded", function () { lack(path, ""); });
  }, PATIENCE);
  document.addEventListener("DOMContentLoaded", function () { window.clearTimeout(reading); });

  /* An optional file may be missing without a word. */
  function load(path, optional) {
    if (!loading.has(path)) {
      loading.set(path, new Promise(function (resolve, reject) {
        const script = document.createElement("script");
        const patience = window.setTimeout(function () { lack(path, "late"); }, PATIENCE);
        script.src = root + path;
        script.onload = function () { window.clearTimeout(patience); lack(path, ""); resolve(); };
        script.onerror = function () {
          window.clearTimeout(patience);
          loading.delete(path);
          lack(path, optional ? "" : "missing");
          reject(new Error("cannot load " + path));
        };
        document.head.appendChild(script);
      }));
    }
    return loading.get(path);
  }

  /* The value that the file at path puts under name; a file without it, such as a half one, is as good as missing. */
  function need(name, path, optional) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    return load(path, optional).then(function () {
      if (values.has(name)) return values.get(name);
      loading.delete(path);
      if (!optional) lack(path, "missing");
      throw new Error("nothing in " + path);
    });
  }

  /* el("td", {class: "num", data: {label: "Score"}, on: {click: f}}, child, "text", …) */
  function el(tag, options, ...children) {
    const svg = tag === "svg" || tag === "path" || tag === "rect" || tag === "circle";
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    Object.entries(options || {}).forEach(function ([key, value]) {
      if (value === null || value === undefined || value === false) return;
      if (key === "data") Object.assign(node.dataset, value);
      else if (key === "on") Object.entries(value).forEach(function ([event, action]) { node.addEventListener(event, action); });
      else if (key === "hidden" || key === "checked" || key === "disabled") node[key] = true;
      else node.setAttribute(key, value);
    });
    children.flat().forEach(function (child) {
      if (child === null || child === undefined || child === false) return;
      node.append(child instanceof Node ? child : String(child));
    });
    return node;
  }

  const thousands = function (value) { return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f"); };

  function fixed(value, digits) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const text = Math.abs(value).toFixed(digits === undefined ? 1 : digits);
    const parts = text.split(".");
    const sign = value < 0 && Number(text) !== 0 ? "−" : "";
    return sign + thousands(parts[0]) + (parts[1] ? "." + parts[1] : "");
  }

  function significant(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(3) : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  }

  const MARKS = {
    circle: ["circle", { cx: 15, cy: 6, r: 3 }], square: ["rect", { x: 12.2, y: 3.2, width: 5.6, height: 5.6 }],
    triangle: ["path", { d: "M15 2.2l3.7 6.4h-7.4z" }], diamond: ["path", { d: "M15 2l4 4-4 4-4-4z" }],
    cross: ["path", { d: "M12 3l6 6M18 3l-6 6" }, "line"], bar: ["path", { d: "M15 2v8" }, "line"],
  };
  function swatch(look) {
    const mark = MARKS[look[2]] || MARKS.circle;
    return el("svg", { class: "swatch s" + look[0], viewBox: "0 0 30 12", width: 30, height: 12, "aria-hidden": "true", focusable: "false" },
      el("path", { class: "line", d: "M1 6h28", "stroke-dasharray": look[1].length ? look[1].join(" ") : null }),
      el(mark[0], Object.assign({ class: mark[2] || "fill" }, mark[1])));
  }

  /* Only while a wide table can be scrolled is it a stop for the keyboard. */
  function watchScroll(box) {
    const check = function () {
      const wide = box.scrollWidth > box.clientWidth + 1;
      if (wide) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
      box.classList.toggle("fits", !wide);
      box.classList.toggle("is-scrolled", box.scrollLeft > 2);
      box.classList.toggle("has-more", wide && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    };
    box.addEventListener("scroll", check, { passive: true });
    const sizes = new ResizeObserver(check);
    [box, ...box.children].forEach(function (node) { sizes.observe(node); });
    check();
  }

  /* Draw the inside of a box anew and leave the focus where it was: on the same control, which data-focus names ("kind
     which"), or if that is gone on the one of its kind in its place, or else on the box. */
  function keepFocus(box, draw) {
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    const ofKind = function (kind) { return Array.from(box.querySelectorAll("[data-focus]")).filter(function (one) { return one.dataset.focus.split(" ")[0] === kind; }); };
    const kind = focused ? focused.split(" ")[0] : "";
    const place = ofKind(kind).indexOf(document.activeElement);
    draw();
    if (!focused) return;
    const now = ofKind(kind);
    const next = now.find(function (one) { return one.dataset.focus === focused; }) || now[Math.min(place, now.length - 1)] || box;
    if (next === box) box.tabIndex = -1;
    next.focus();
  }

  function copyText(text, button) {
    const before = button.textContent;
    const say = function (word) {
      button.textContent = word;
      window.setTimeout(function () { button.textContent = before; }, 2500);
    };
    const byHand = function () {
      const box = el("textarea", { class: "visually-hidden" });
      box.value = text;
      document.body.append(box);
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      say(done ? "Copied" : "Press Ctrl-C");
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(function () { say("Copied"); }, byHand);
    else byHand();
  }

  /* Run once when the element comes near the window; at once where that cannot be told. */
  function whenNear(element, action) {
    const watcher = new IntersectionObserver(function (entries) {
      if (!entries.some(function (entry) { return entry.isIntersecting; })) return;
      watcher.disconnect();
      action();
    }, { rootMargin: "400px" });
    watcher.observe(element);
  }

  function offer(name, type, content) {
    const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    window.setTimeout(function () { URL.revokeObjectURL(url); }, 10000);
  }

  /* An ability task's name as labels.py has it: without its group's prefix, and with whose prompts it asks. */
  function abilityTitle(name) {
    const plain = name.replace(/^(?:pocket|plain)_/, "").replace(/^published_(.*)/, "$1 (published form)").replace(/^(?:papers|general)_(.*)/, "$1 (lm-eval form)").replace(/_/g, " ");
    return plain.charAt(0).toUpperCase() + plain.slice(1);
  }

  window.palimpsest = { root, put, load, need, el, fixed, significant, thousands, abilityTitle, swatch, watchScroll, keepFocus, copyText, whenNear, offer };

  document.querySelectorAll(".scroll").forEach(watchScroll);
  document.querySelectorAll("button[data-copy]").forEach(function (button) {
    button.addEventListener("click", function () { copyText(document.getElementById(button.dataset.copy).textContent, button); });
  });
  /* A menu closes when the focus or a press goes elsewhere, or on Escape. */
  document.querySelectorAll("details.menu").forEach(function (menu) {
    document.addEventListener("pointerdown", function (event) { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("keydown", function (event) {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
})();
