/* What both kinds of plot are drawn with: the stylesheet's colours, the markers' shapes, and labels of ticks. */
(function () {
  "use strict";
  const P = window.palimpsest;

  /* As the page has it, or as one colour scheme has it whatever the page's is. */
  function colourOf(element, className, property, scheme) {
    const probe = document.createElement("span");
    if (scheme) probe.style.colorScheme = scheme;
    if (className) probe.className = className;
    if (property) probe.style.color = "var(" + property + ")";
    element.appendChild(probe);
    const colour = window.getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }
  const faded = function (colour, alpha) { return "rgba(" + colour.match(/[\d.]+/g).slice(0, 3).join(",") + "," + alpha + ")"; };

  /* The label of a tick: as many digits as the step from one tick to the next has, so that labels are where they say. */
  function tick(value, step) {
    const size = Math.floor(Math.log10(step) + 1e-9);
    const lead = Number((step / 10 ** size).toPrecision(6));
    const digits = (Number.isInteger(lead) ? 0 : String(lead).length - 2) - size;
    if (value === 0 || (Math.abs(value) < 1e6 && digits <= 4)) return P.fixed(value, Math.max(0, value === 0 ? 0 : digits));
    return value.toExponential(Math.max(0, Math.floor(Math.log10(Math.abs(value)) + 1e-9) + digits)).replace(/-/g, "−");
  }

  /* One marker per shape, around (x, y). */
  function trace(path, shape, x, y, r) {
    if (shape === "square") path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else if (shape === "triangle") {
      path.moveTo(x, y - r * 1.2); path.lineTo(x + r * 1.1, y + r * 0.8); path.lineTo(x - r * 1.1, y + r * 0.8); path.closePath();
    } else if (shape === "diamond") {
      path.moveTo(x, y - r * 1.3); path.lineTo(x + r * 1.3, y); path.lineTo(x, y + r * 1.3); path.lineTo(x - r * 1.3, y); path.closePath();
    } else if (shape === "cross") {
      path.moveTo(x - r, y - r); path.lineTo(x + r, y + r); path.moveTo(x + r, y - r); path.lineTo(x - r, y + r);
    } else if (shape === "bar") {
      path.moveTo(x, y - r * 1.3); path.lineTo(x, y + r * 1.3);
    } else {
      path.moveTo(x + r, y); path.arc(x, y, r, 0, 2 * Math.PI);
    }
  }
  const open = function (shape) { return shape === "cross" || shape === "bar"; };

  P.plotParts = { colourOf, faded, tick, trace, open };
  P.plots = {}; // the kinds of plot, each from its own file
})();
