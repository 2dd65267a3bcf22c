/* Statistics of differences: intervals and p from cases and seeds, and Holm's procedure.

   palimpsest.differences is {mean, variance, harmonic, slopes, holm, difference}. A difference has the variance of the
   mean of the paired differences, plus s²/k for what differs between the k seeds of either side. */
(function () {
  "use strict";
  const mean = function (values) { return values.reduce(function (sum, v) { return sum + v; }, 0) / values.length; };
  const variance = function (values) {
    if (values.length < 2) return 0;
    const m = mean(values);
    return values.reduce(function (sum, v) { return sum + (v - m) ** 2; }, 0) / (values.length - 1);
  };

  /* Two-sided p of a standard normal z (Abramowitz and Stegun 7.1.26), and Student's t by Hill's change of variable. */
  function pNormal(z) {
    const x = Math.abs(z) / Math.SQRT2;
    const t = 1 / (1 + 0.3275911 * x);
    return t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x);
  }
  function pStudent(t, freedom) {
    if (!Number.isFinite(freedom)) return pNormal(t);
    if (!Number.isFinite(t)) return 0;
    const a = freedom - 0.5;
    const b = 48 * a * a;
    const z0 = Math.sqrt(a * Math.log(1 + t * t / freedom));
    const z = z0 + (z0 ** 3 + 3 * z0) / b - (4 * z0 ** 7 + 33 * z0 ** 5 + 240 * z0 ** 3 + 855 * z0) / (10 * b * b + 8 * b * z0 ** 4 + 1000 * b);
    return pNormal(freedom < 1.5 ? z0 * 0.85 : z);
  }
  function quantile(freedom) {
    if (!Number.isFinite(freedom)) return 1.959964;
    let low = 1.9;
    let high = 40;
    for (let i = 0; i < 50; i += 1) { const middle = (low + high) / 2; if (pStudent(middle, freedom) > 0.05) low = middle; else high = middle; }
    return (low + high) / 2;
  }
  const harmonic = function (parts) { return parts.some(function (v) { return v <= 0; }) ? 0 : parts.length / parts.reduce(function (sum, v) { return sum + 1 / v; }, 0); };
  function slopes(parts) {
    const zero = parts.filter(function (v) { return v <= 0; }).length;
    if (zero > 1) return parts.map(function () { return 0; });
    if (zero === 1) return parts.map(function (v) { return v <= 0 ? 3 : 0; });
    const h = harmonic(parts);
    return parts.map(function (v) { return h * h / (3 * v * v); });
  }

  /* Holm: which of some p stay significant. */
  function holm(ps) {
    const order = ps.map(function (p, i) { return [p, i]; }).filter(function (one) { return one[0] !== null; }).sort(function (a, b) { return a[0] - b[0]; });
    const kept = new Set();
    for (let i = 0; i < order.length && order[i][0] <= 0.05 / (order.length - i); i += 1) kept.add(order[i][1]);
    return kept;
  }

  function difference(value, caseVariance, one, other) {
    const seeds = [one, other].map(function (values) { return values.length > 1 ? variance(values) / values.length : 0; });
    const total = caseVariance + seeds[0] + seeds[1];
    const spread = [one, other].reduce(function (sum, values, i) { return sum + (values.length > 1 ? seeds[i] ** 2 / (values.length - 1) : 0); }, 0);
    const freedom = spread > 0 ? total * total / spread : Infinity;
    const half = quantile(freedom) * Math.sqrt(total);
    const t = value === 0 ? 0 : Math.abs(value) / Math.sqrt(total);
    return { value, low: value - half, high: value + half, p: value === 0 ? 1 : pStudent(t, freedom) };
  }

  window.palimpsest.differences = { mean, variance, harmonic, slopes, holm, difference };
})();
