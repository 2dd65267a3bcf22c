/* Differences between two columns of a comparison: Student's t over the seeds that both have, and Holm's procedure.

   palimpsest.differences is {mean, difference, holm}. At one seed all editors get the same edits in the same order, so the
   quantity compared is the difference of each seed. Two courses tell next to nothing about others, and seeds that edit in
   one order tell nothing about other orders: there is no verdict on them. */
(function () {
  "use strict";
  const LEVEL = 0.05;
  const DOUBTS = ["no shared course", "one shared course", "2 shared courses"];
  const mean = function (values) { return values.reduce(function (sum, v) { return sum + v; }, 0) / values.length; };

  /* Two-sided p of Student's t for two or more whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4). */
  function pStudent(t, freedom) {
    const odd = freedom % 2;
    const angle = Math.atan(t / Math.sqrt(freedom));
    let term = odd ? Math.cos(angle) : 1;
    let sum = term;
    for (let n = 2 + odd; n < freedom; n += 2) { term *= Math.cos(angle) ** 2 * (n - 1) / n; sum += term; }
    const within = Math.sin(angle) * sum;
    return Math.max(0, 1 - (odd ? 2 / Math.PI * (angle + within) : within));
  }

  /* The t of p = LEVEL, by halving. */
  function quantile(freedom) {
    let [low, high] = [1.9, 4.4];
    for (let i = 0; i < 50; i += 1) { const middle = (low + high) / 2; if (pStudent(middle, freedom) > LEVEL) low = middle; else high = middle; }
    return low;
  }

  /* Other − one, each [seed, value] of its courses; null where one of them has none. The interval is that of this one
     difference by itself. */
  function difference(one, other, ownOrders) {
    if (!one.length || !other.length) return null;
    const [before, after] = [new Map(one), new Map(other)];
    const deltas = Array.from(after.keys()).filter(function (seed) { return before.has(seed); }).map(function (seed) { return after.get(seed) - before.get(seed); });
    const value = deltas.length ? mean(deltas) : null;
    const doubt = DOUBTS[deltas.length] || (ownOrders ? "" : "all in one order");
    if (doubt) return { value, low: null, high: null, doubt };
    const freedom = deltas.length - 1;
    const error = Math.sqrt(deltas.reduce(function (sum, v) { return sum + (v - value) ** 2; }, 0) / freedom / deltas.length);
    const half = quantile(freedom) * error;
    return { value, low: value - half, high: value + half, p: value === 0 ? 1 : pStudent(Math.abs(value) / error, freedom) };
  }

  /* Marks which of some differences are told apart from none, the chance of any error taken together. */
  function holm(found) {
    const order = found.filter(function (one) { return one && !one.doubt; }).sort(function (a, b) { return a.p - b.p; });
    const end = order.findIndex(function (one, i) { return one.p > LEVEL / (order.length - i); });
    order.forEach(function (one, i) { one.apart = end < 0 || i < end; });
  }

  window.palimpsest.differences = { mean, difference, holm };
})();
