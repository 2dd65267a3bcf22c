/* A figure as a file for print: drawn again from its numbers as an SVG on white, with title, track and date, legend and
   marks; a PNG is that SVG at three times its size, a PDF the same SVG through the browser's own print dialog, on a page
   of its size. Loaded when it is asked for.

   spec.about is {words, date, file}: the track in words, the newest day in the figure, and a part of the file's name. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const tools = P.plotParts;
  const NS = "http://www.w3.org/2000/svg";
  const FAMILY = "Helvetica, Arial, 'Liberation Sans', sans-serif";
  const WIDTH = 760;
  const PLOT = { left: 64, right: 716, height: 320 };
  const SHARPER = 3;
  const LISTED = 24;
  const pencil = document.createElement("canvas").getContext("2d");

  /* No character that an XML file may not have: labels come from strangers. */
  const clean = function (text) {
    return String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  };

  /* Path2D's few methods, writing the d of an SVG path instead. */
  function pen() {
    const parts = [];
    const n = function (value) { return String(Math.round(value * 100) / 100); };
    return {
      moveTo: function (x, y) { parts.push("M" + n(x) + " " + n(y)); },
      lineTo: function (x, y) { parts.push("L" + n(x) + " " + n(y)); },
      rect: function (x, y, w, h) { parts.push("M" + n(x) + " " + n(y) + "h" + n(w) + "v" + n(h) + "h" + n(-w) + "z"); },
      arc: function (x, y, r) { parts.push("M" + n(x + r) + " " + n(y) + "a" + n(r) + " " + n(r) + " 0 1 1 " + n(-2 * r) + " 0a" + n(r) + " " + n(r) + " 0 1 1 " + n(2 * r) + " 0z"); },
      closePath: function () { parts.push("z"); },
      text: function () { return parts.join(""); },
    };
  }

  function add(parent, tag, attributes, content) {
    const node = document.createElementNS(NS, tag);
    Object.entries(attributes).forEach(function ([key, value]) {
      if (value === null || value === undefined) return;
      node.setAttribute(key, typeof value === "number" ? String(Math.round(value * 100) / 100) : String(value));
    });
    if (content !== undefined) node.textContent = clean(content);
    parent.appendChild(node);
    return node;
  }

  function widthOf(text, size, weight) {
    pencil.font = (weight || 400) + " " + size + "px " + FAMILY;
    return pencil.measureText(text).width;
  }

  function cut(text, most, size) {
    if (widthOf(text, size) <= most) return text;
    let kept = Array.from(text).slice(0, 200);
    while (kept.length && widthOf(kept.join("") + "…", size) > most) kept = kept.slice(0, -1);
    return kept.join("") + "…";
  }

  /* A text in lines of at most so many pixels. */
  function wrapped(text, most, size, weight) {
    const lines = [];
    clean(text).split(/\s+/).filter(Boolean).forEach(function (word) {
      const last = lines.length ? lines[lines.length - 1] + " " + word : "";
      if (last && widthOf(last, size, weight) <= most) lines[lines.length - 1] = last;
      else lines.push(cut(word, most, size));
    });
    return lines.slice(0, 4);
  }

  function paragraph(svg, text, top, size, fill, weight) {
    wrapped(text, PLOT.right - PLOT.left, size, weight).forEach(function (line) {
      add(svg, "text", { x: PLOT.left, y: top + size, "font-size": size, "font-weight": weight, fill }, line);
      top += size * 1.4;
    });
    return top;
  }

  const dashes = function (look) { return look[1].length ? look[1].join(" ") : null; };
  const known = function (value) { return value !== null && value !== undefined; };

  /* One drawing: its scales, its colours, and the SVG that it goes to. */
  function Sheet(spec, figure, chart) {
    const light = function (className, property) { return tools.colourOf(figure, className, property, "light"); };
    const sheet = { spec, colours: {}, svg: document.createElementNS(NS, "svg") };
    ["ink", "soft", "rule"].forEach(function (name) { sheet.colours[name] = light("", "--" + name); });
    sheet.colour = function (look) { return light("s" + look[0]); };
    sheet.place = function (top) {
      sheet.top = top;
      sheet.bottom = top + PLOT.height;
      const scale = function (range, from, to, log) {
        const f = log ? Math.log : function (v) { return v; };
        return function (value) { return from + (f(value) - f(range.min)) / (f(range.max) - f(range.min) || 1) * (to - from); };
      };
      sheet.x = scale(chart.scales.x, PLOT.left, PLOT.right, spec.logX && !spec.scatter);
      sheet.y = scale(chart.scales.y, sheet.bottom, sheet.top, spec.logY && !spec.scatter);
    };
    sheet.marker = function (look, x, y, size) {
      const path = pen();
      tools.trace(path, look[2], x, y, size);
      const colour = sheet.colour(look);
      add(sheet.svg, "path", { d: path.text(), fill: tools.open(look[2]) ? "none" : colour, stroke: colour, "stroke-width": tools.open(look[2]) ? 1.6 : 0.5 });
    };
    return sheet;
  }

  function axes(sheet, chart) {
    const { svg, spec, colours } = sheet;
    const label = function (text, attributes) { add(svg, "text", Object.assign({ "font-size": 12, fill: colours.soft }, attributes), text); };
    chart.axes[1]._splits.forEach(function (value, i) {
      const text = chart.axes[1]._values[i];
      if (!known(value) || !known(text) || text === "" || sheet.y(value) < sheet.top - 1 || sheet.y(value) > sheet.bottom + 1) return;
      add(svg, "path", { d: "M" + PLOT.left + " " + Math.round(sheet.y(value) * 100) / 100 + "H" + PLOT.right, stroke: colours.rule, class: "grid" });
      label(text, { x: PLOT.left - 8, y: sheet.y(value) + 4, "text-anchor": "end", class: "tick-y" });
    });
    chart.axes[0]._splits.forEach(function (value, i) {
      const text = chart.axes[0]._values[i];
      if (!known(value) || !known(text) || text === "" || sheet.x(value) < PLOT.left - 1 || sheet.x(value) > PLOT.right + 1) return;
      add(svg, "path", { d: "M" + Math.round(sheet.x(value) * 100) / 100 + " " + sheet.bottom + "v5", stroke: colours.soft });
      label(text, { x: sheet.x(value), y: sheet.bottom + 18, "text-anchor": "middle", class: "tick-x" });
    });
    add(svg, "path", { d: "M" + PLOT.left + " " + sheet.bottom + "H" + PLOT.right, stroke: colours.soft });
    label(spec.xLabel || "edits", { x: (PLOT.left + PLOT.right) / 2, y: sheet.bottom + 36, "text-anchor": "middle" });
    const middle = (sheet.top + sheet.bottom) / 2;
    label(spec.yLabel || (spec.percent ? "%" : ""), { x: 18, y: middle, "text-anchor": "middle", transform: "rotate(-90 18 " + middle + ")" });
  }

  function curves(sheet) {
    const { svg, spec, colours, x, y } = sheet;
    const fits = function (value) { return known(value) && !(spec.logY && value <= 0); };
    (spec.rules || []).forEach(function (rule) {
      add(svg, "path", { d: "M" + PLOT.left + " " + Math.round(y(rule.y) * 100) / 100 + "H" + PLOT.right, stroke: colours.soft, "stroke-dasharray": "2 4", class: "rule" });
      add(svg, "text", { x: PLOT.right + 5, y: y(rule.y) + 4, "font-size": 11, fill: colours.soft }, rule.label);
    });
    spec.lines.forEach(function (line) {
      const points = spec.xs.map(function (edits, i) { return [x(edits), line.value[i], line.low && line.low[i], line.high && line.high[i]]; }).filter(function (point) { return fits(point[1]); });
      const colour = sheet.colour(line.look);
      const banded = points.filter(function (point) { return fits(point[2]) && fits(point[3]); });
      const spot = function (left, value) { return Math.round(left * 100) / 100 + "," + Math.round(y(value) * 100) / 100; };
      if (banded.length) {
        const ring = banded.map(function (p) { return spot(p[0], p[2]); }).concat(banded.slice().reverse().map(function (p) { return spot(p[0], p[3]); }));
        add(svg, "polygon", { points: ring.join(" "), fill: colour, "fill-opacity": 0.13 });
      }
      add(svg, "polyline", { points: points.map(function (p) { return spot(p[0], p[1]); }).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dashes(line.look) });
      points.forEach(function (p) { sheet.marker(line.look, p[0], y(p[1]), 3.2); });
      (line.points || []).forEach(function (values) {
        values.forEach(function (value, i) { if (fits(value)) add(svg, "circle", { cx: x(spec.xs[i]), cy: y(value), r: 1.6, fill: colour, "fill-opacity": 0.55, class: "seed" }); });
      });
      (line.mark ? [line.mark] : line.rings || []).forEach(function (mark) {
        if (fits(mark[1]) && !(spec.logX && mark[0] <= 0)) add(svg, "circle", { cx: x(mark[0]), cy: y(mark[1]), r: 7.5, fill: "none", stroke: colour, "stroke-width": 1.5, class: "ring" });
      });
      if (line.ended && fits(line.ended[1])) {
        const path = pen();
        tools.trace(path, "cross", x(line.ended[0]), y(line.ended[1]), 6);
        add(svg, "path", { d: path.text(), fill: "none", stroke: colour, "stroke-width": 1.8, class: "collapsed" });
      }
    });
  }

  function marks(sheet) {
    const { svg, spec, colours, x, y } = sheet;
    if (spec.front.length > 1) add(svg, "polyline", { points: spec.front.map(function (p) { return Math.round(x(p[0]) * 100) / 100 + "," + Math.round(y(p[1]) * 100) / 100; }).join(" "), fill: "none", stroke: colours.soft, "stroke-dasharray": "5 4", class: "front" });
    const taken = [];
    spec.marks.forEach(function (mark) {
      const [left, top, radius] = [x(mark.x), y(mark.y), tools.radius(mark)];
      add(svg, "circle", { cx: left, cy: top, r: radius, fill: sheet.colour(mark.look), "fill-opacity": mark.filled ? 0.2 : 0, stroke: sheet.colour(mark.look), class: "mark" });
      sheet.marker(mark.look, left, top, 3);
      if (!mark.filled) return;
      const label = cut(clean(mark.label), 180, 12);
      const width = widthOf(label, 12);
      const start = left + radius + 5 + width > PLOT.right ? left - radius - 5 - width : left + radius + 5;
      if (taken.some(function (box) { return Math.abs(box[1] - top) < 14 && start < box[2] && start + width > box[0]; })) return;
      taken.push([start, top, start + width]);
      add(svg, "text", { x: start, y: top + 4, "font-size": 12, fill: colours.ink }, label);
    });
  }

  function legend(sheet, top) {
    const { svg, spec, colours } = sheet;
    const all = spec.scatter ? spec.marks : spec.lines;
    const listed = all.length > LISTED && spec.scatter ? all.filter(function (mark) { return mark.filled; }) : all;
    let left = PLOT.left;
    top += 14;
    listed.forEach(function (item) {
      const label = cut(clean(item.label), 300, 12);
      const width = 52 + widthOf(label, 12);
      if (left > PLOT.left && left + width - 16 > PLOT.right) { left = PLOT.left; top += 19; }
      if (!spec.scatter) add(svg, "path", { d: "M" + Math.round(left) + " " + Math.round(top - 4) + "h30", stroke: sheet.colour(item.look), "stroke-width": 2, "stroke-dasharray": dashes(item.look) });
      sheet.marker(item.look, Math.round(left) + 15, Math.round(top) - 4, 3.2);
      add(svg, "text", { x: Math.round(left) + 36, y: top, "font-size": 12, fill: colours.ink, class: "legend" }, label);
      left += width;
    });
    if (listed.length < all.length) {
      top = paragraph(svg, "and " + (all.length - listed.length) + " others, not filled", top + 4, 12, colours.soft);
    }
    return top + 8;
  }

  function drawing(spec, figure, chart) {
    const sheet = Sheet(spec, figure, chart);
    const { svg, colours } = sheet;
    const about = spec.about || { words: "", date: "", file: "" };
    const track = [about.words, about.date ? "results up to " + about.date : ""].filter(Boolean).join(" · ");
    svg.setAttribute("font-family", FAMILY);
    add(svg, "title", {}, [spec.title, track].filter(Boolean).join(": "));
    const ground = add(svg, "rect", { width: WIDTH, height: 0, fill: "#ffffff" });
    let top = paragraph(svg, spec.title, 12, 16, colours.ink, 600);
    top = paragraph(svg, track, top + 1, 11.5, colours.soft);
    sheet.place(Math.round(top) + 14);
    axes(sheet, chart);
    if (spec.scatter) marks(sheet); else curves(sheet);
    top = legend(sheet, sheet.bottom + 50);
    const note = figure.querySelector(":scope > .note:not(.no-js-only)");
    top = paragraph(svg, [note ? note.textContent : "", !spec.scatter && spec.lines.some(function (line) { return line.low; }) ? "Bands are 95 % intervals." : ""].join(" "), top, 11, colours.soft);
    const height = Math.ceil(top + 10);
    ground.setAttribute("height", String(height));
    Object.entries({ viewBox: "0 0 " + WIDTH + " " + height, width: WIDTH, height }).forEach(function ([key, value]) { svg.setAttribute(key, String(value)); });
    return svg;
  }

  function png(svg, name) {
    const image = new Image();
    image.onload = function () {
      const canvas = document.createElement("canvas");
      canvas.width = SHARPER * svg.viewBox.baseVal.width;
      canvas.height = SHARPER * svg.viewBox.baseVal.height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(function (blob) { P.offer(name + ".png", "image/png", blob); }, "image/png");
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(svg));
  }

  /* The print dialog with nothing but the figure, on a page of its size; the file is then called as the document is. */
  function print(svg, name) {
    const root = document.documentElement;
    const size = new CSSStyleSheet();
    size.replaceSync("@page figure { size: " + svg.getAttribute("width") + "px " + svg.getAttribute("height") + "px; margin: 0; }");
    const sheet = P.el("div", { class: "sheet" }, svg);
    const title = document.title;
    document.querySelectorAll("body > .sheet").forEach(function (old) { old.remove(); });
    document.adoptedStyleSheets = [size];
    document.body.append(sheet);
    root.classList.add("prints-figure");
    document.title = name;
    window.addEventListener("afterprint", function () {
      sheet.remove();
      root.classList.remove("prints-figure");
      document.adoptedStyleSheets = [];
      document.title = title;
    }, { once: true });
    window.print();
  }

  P.save = function (kind, spec, figure, chart) {
    if (!chart) return;
    const name = ["palimpsest", spec.about && spec.about.file, spec.name || figure.id || "figure"].filter(Boolean).join("-");
    const svg = drawing(spec, figure, chart);
    if (kind === "svg") P.offer(name + ".svg", "image/svg+xml", new XMLSerializer().serializeToString(svg) + "\n");
    else if (kind === "png") png(svg, name);
    else print(svg, name);
  };
})();
