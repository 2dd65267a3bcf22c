/* What every page's scripts share: loading of data files, making of elements, reading of numbers, small comforts.

   A page that lies on a disk may not fetch files, but may load scripts; so data come as scripts that call
   palimpsest.put(name, value). Only textContent is ever written: nothing that a submission says becomes markup. */
(function () {
  "use strict";
  const root = document.body.dataset.root || "";
  const values = new Map();
  const loading = new Map();

  function put(name, value) { values.set(name, value); }

  function load(path) {
    if (!loading.has(path)) {
      loading.set(path, new Promise(function (resolve, reject) {
        const script = document.createElement("script");
        script.src = root + path;
        script.onload = resolve;
        script.onerror = function () { loading.delete(path); reject(new Error("cannot load " + path)); };
        document.head.appendChild(script);
      }));
    }
    return loading.get(path);
  }

  /* The value that the file at path puts under name. */
  function need(name, path) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    return load(path).then(function () { return values.get(name); });
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
      box.classList.toggle("is-scrolled", box.scrollLeft > 2);
      box.classList.toggle("has-more", wide && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    };
    box.addEventListener("scroll", check, { passive: true });
    new ResizeObserver(check).observe(box);
    check();
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

  window.palimpsest = { root, put, load, need, el, fixed, significant, thousands, swatch, watchScroll, copyText, whenNear, offer };

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
