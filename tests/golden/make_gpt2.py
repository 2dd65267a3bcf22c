"""Makes `gpt2-small`: a tiny GPT-2 trained on made-up facts, and runs of the plain editors (`plain`) on it.

    python -m tests.golden.make_gpt2 FOLDER        (about three minutes; trains only if FOLDER has no model)

The folder has the format of `llama-small`. Numbers come from our own plain implementation, not from published code.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

from tests.golden.plain import Array, Fact, Found, PlainGpt2, alphaedit_delta, leading, memit_solve, selected

LAYERS = [0, 1]
BATCHES = [[0, 1, 2, 3], [4, 5, 6, 7]]
EDITS = 30
TEMPLATES = [
    ["{}"],
    ["The day was long. {}", "So it was late. {}", "It did rain. {}", "I think so. {}", "You see it. {}"],
]
RELATIONS = {
    "sport": (["{} plays", "The sport of {} is"], ["chess", "cricket", "fencing", "rugby", "table tennis"]),
    "home": (["{} lives in", "In the city of {}, that is"], ["Oslo", "Brno", "Lyon", "Porto", "Tel Aviv"]),
    "tongue": (["{} speaks", "It is said that {} speaks"], ["Czech", "Greek", "Irish", "Old Norse", "Thai"]),
    "friend": (["{} knows", "The best friend of {}"], ["Mela Dorin", "Tavo Resk", "Zuri Pond"]),
}
COMMON = {
    "layers": LAYERS,
    "v_num_grad_steps": 20,
    "v_lr": 0.1,
    "v_loss_layer": 3,
    "v_weight_decay": 0.5,
    "clamp_norm_factor": 4.0,
    "kl_factor": 0.0625,
    "mom2_adjustment": True,
    "mom2_update_weight": 300.0,
}
ROME = {"layers": [1], "v_lr": 0.5, "clamp_norm_factor": 4}
FT = {"layers": [1], "num_steps": 25, "lr": 5e-4, "weight_decay": 0}


def runs(threshold: float) -> dict[str, dict[str, Any]]:
    null = {"nullspace_threshold": threshold, "L2": 1.0}
    return {
        "memit": {},
        "memit_clamp075": {"clamp_norm_factor": 0.75},
        "memit_seq": {},
        "alphaedit": null,
        "nse": {"alpha": 1.5, "upper_bound": 3.4, "neuron_threshold": 0.8, "max_iterations": 3},
        "nse_p1": {"alpha": 1.0, "upper_bound": 50.0, "neuron_threshold": 1.0, "max_iterations": 3},
        "deltaedit": null | {
            "var": 0.5, "space": 0.25, "batch_size": 1, "n_edits": EDITS,
            "warmup_edits": 20, "ema": 0.9, "eigenvalue_floor": 0.1,
        },
        "rome": ROME | {"mom2_adjustment": True},
        "rome_noadj": ROME | {"mom2_adjustment": False},
        "r_rome": ROME | {"mom2_adjustment": True},
        "ft": FT | {"norm_constraint": False, "batch_size": 64},
        "ft_l": FT | {"norm_constraint": 0.002, "batch_size": 3},
    }  # fmt: skip


def facts() -> list[dict[str, str]]:
    """Subjects with one object per relation, in all prompt forms."""
    rng = random.Random(4)
    syllables = ["Ka", "Lo", "Mi", "Ne", "Pu", "Ra", "So", "Ti", "Vé", "Wo"]
    ends = ["dan", "lik", "mor", "nes", "pal", "rin", "ston", "vik"]
    names = sorted(
        {f"{rng.choice(syllables)}{rng.choice(ends)} {rng.choice(syllables)}{rng.choice(ends)}" for _ in range(48)}
    )
    known = []
    for subject in names:
        for relation, (prompts, objects) in RELATIONS.items():
            target = rng.choice(objects)
            other = rng.choice([o for o in objects if o != target])
            known += [
                {"prompt": p, "subject": subject, "relation": relation, "true": target, "new": other} for p in prompts
            ]
    rng.shuffle(known)
    return known


def train(folder: Path, known: Sequence[dict[str, str]]) -> None:
    """A tokenizer without begin token and a GPT-2 that knows most of the facts."""
    filler = [t.replace(" {}", "") for t in TEMPLATES[1]] + [f"{f['subject']} is a good man." for f in known[::9]]
    texts = [f"{f['prompt'].replace('{}', f['subject'])} {f['true']}." for f in known] + filler
    inner = Tokenizer(BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    end = "<|endoftext|>"
    inner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=380, special_tokens=[end], initial_alphabet=alphabet)
    )
    words = hf.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=end, eos_token=end, unk_token=end, pad_token=end
    )
    torch.manual_seed(1)
    sizes = {"n_embd": 40, "n_layer": 4, "n_head": 4, "n_positions": 48, "vocab_size": len(words)}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = hf.GPT2LMHeadModel(hf.GPT2Config(bos_token_id=0, eos_token_id=0, **sizes, **still))
    adam = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    steps, rng = 1500, random.Random(5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, total_steps=steps)
    for step in range(steps):
        batch = words(rng.sample(texts, 64), return_tensors="pt", padding=True)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(**batch, labels=labels).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        if step % 250 == 0:
            print(step, float(loss.detach()), flush=True)
    model.save_pretrained(folder / "model")
    words.save_pretrained(folder / "model")
    save_json(folder / "c0_texts.json", texts[::2])


class Recorder:
    """One folder, and the plain model that starts pristine for each run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = hf.AutoModelForCausalLM.from_pretrained(folder / "model")
        self.words = hf.AutoTokenizer.from_pretrained(folder / "model")
        self.known = facts()[:EDITS]
        self.facts = [
            Fact(f["prompt"], f["subject"], tuple(self.words(f" {f['new']}")["input_ids"])) for f in self.known
        ]
        self.plain = PlainGpt2(self.model, self.words, TEMPLATES)
        self.pristine = [self.plain.weight(layer) for layer in range(4)]
        self.info: dict[str, Any] = {}

    def reset(self) -> None:
        for layer, weight in enumerate(self.pristine):
            self.plain.write(layer, weight)

    def statistics(self) -> float:
        """C0 of the edited layers to `c0.npz`; the threshold, in a wide gap between eigenvalues."""
        texts = json.loads((self.folder / "c0_texts.json").read_text(encoding="utf-8"))
        sums, count = [np.zeros((160, 160)) for _ in LAYERS], 0
        for text in texts:
            for layer in LAYERS:
                keys = self.plain.run(self.plain.down(layer), self.plain.tokens(text), inputs=True)
                sums[layer] += keys.T @ keys
            count += len(keys)
        upper = np.triu_indices(160)
        c0 = np.stack([(total / count)[upper] for total in sums]).astype(np.float32)
        self.c0 = []
        for row in c0:
            matrix = np.zeros((160, 160))
            matrix[upper] = row
            self.c0.append(matrix + np.triu(matrix, 1).T)
        spectra = [np.linalg.eigh(matrix) for matrix in self.c0]
        ladder = np.sort(np.concatenate([values for values, _ in spectra]))[210:250]
        widest = int(np.argmax(ladder[1:] / ladder[:-1]))
        threshold = round(float(np.sqrt(ladder[widest] * ladder[widest + 1])), 6)
        self.removed = [vectors[:, values >= threshold].astype(np.float32) for values, vectors in spectra]
        kept = {f"U_removed.l{layer}": u for layer, u in enumerate(self.removed)}
        rank = np.array([160 - u.shape[1] for u in self.removed])
        values = np.stack([values for values, _ in spectra])
        np.savez_compressed(
            self.folder / "c0.npz",
            C0_triu=c0,
            n_tokens=np.int64(count),
            eigenvalues=values,
            projector_rank=rank,
            **kept,
        )
        return threshold

    def record(self, run: str, own: dict[str, Any]) -> None:
        self.reset()
        settings = COMMON | own
        kinds: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
            "nse": self.nse, "deltaedit": self.deltaedit, "rome": self.rome, "r": self.rome, "ft": self.ft,
        }  # fmt: skip
        arrays = kinds.get(run.split("_")[0], self.batches)(run, settings)
        np.savez_compressed(self.folder / f"{run}.npz", **arrays)

    def targets(self, facts: Sequence[Fact], s: dict[str, Any]) -> list[Found]:
        return [self.plain.target(fact, self.model.transformer.h[s["layers"][-1]], s) for fact in facts]

    def batches(self, run: str, s: dict[str, Any]) -> dict[str, Any]:
        """MEMIT, MEMIT-Seq and AlphaEdit."""
        past = {layer: np.zeros((160, 160)) for layer in LAYERS}
        arrays: dict[str, Any] = {}
        for number, batch in enumerate(BATCHES, 1):
            facts = [self.facts[i] for i in batch]
            found = self.targets(facts, s)
            z = np.stack([f.vector for f in found], axis=1)
            kept: dict[str, list[Array]] = {name: [] for name in "KHRAd"}
            for i, layer in enumerate(LAYERS):
                keys, present = self.plain.keys(facts, layer), self.plain.stream(facts, LAYERS[-1])
                residual = (z - present) / (len(LAYERS) - i)
                if run == "alphaedit":
                    delta = alphaedit_delta(self.removed[layer].astype(float), past[layer], keys, residual, s["L2"])
                    kept["d"].append(delta.astype(np.float32))
                else:
                    a = memit_solve(s["mom2_update_weight"] * self.c0[layer] + past[layer], keys)
                    delta = residual @ a.T
                    kept["A"].append(a)
                self.plain.add(layer, delta)
                for name, value in (("K", keys), ("H", present), ("R", residual)):
                    kept[name].append(value.astype(np.float32))
            arrays |= described(f"b{number}.", found, z)
            arrays |= {f"b{number}.{'delta' if n == 'd' else n}": np.stack(v) for n, v in kept.items() if v}
            if run != "memit" and not run.startswith("memit_c"):
                after = [self.plain.keys(facts, layer) for layer in LAYERS]
                for layer, keys in zip(LAYERS, after, strict=True):
                    past[layer] += keys @ keys.T
                arrays[f"b{number}.K_post"] = np.stack(after).astype(np.float32)
            self.note(run, LAYERS, number)
        return arrays

    def nse(self, run: str, s: dict[str, Any]) -> dict[str, Any]:
        past = {layer: np.zeros((160, 160)) for layer in LAYERS}
        found = self.targets([self.facts[i] for batch in BATCHES for i in batch], s)
        z_all = np.stack([f.vector for f in found], axis=1)
        arrays: dict[str, Any] = described("", found, z_all)
        for number, batch in enumerate(BATCHES, 1):
            facts = [self.facts[i] for i in batch]
            z = z_all[:, batch]
            for turn in range(1, s["max_iterations"] + 1):
                error = np.linalg.norm(z - self.plain.stream(facts, LAYERS[-1]), axis=0)
                active = np.flatnonzero((error > s["alpha"]) & (error < s["upper_bound"]))
                if turn == s["max_iterations"] or not len(active):
                    break
                arrays[f"b{number}.pass{turn}.err"] = error.astype(np.float32)
                chosen = [facts[i] for i in active]
                for i, layer in enumerate(LAYERS):
                    keys, present = self.plain.keys(chosen, layer), self.plain.stream(chosen, LAYERS[-1])
                    residual = (z[:, active] - present) / (len(LAYERS) - i)
                    sel = selected(keys, s["neuron_threshold"])
                    base = (s["mom2_update_weight"] * self.c0[layer] + past[layer])[np.ix_(sel, sel)]
                    a = memit_solve(base, keys[sel])
                    delta = np.zeros_like(self.plain.weight(layer))
                    delta[:, sel] = residual @ a.T
                    self.plain.add(layer, delta)
                    here = f"b{number}.pass{turn}.l{i}."
                    arrays |= {here + "K": keys.astype(np.float32), here + "H": present.astype(np.float32)}
                    arrays |= {here + "R": residual, here + "A": a, here + "sel": sel.astype(np.int16)}
            arrays[f"b{number}.err_final"] = error.astype(np.float32)
            after = [self.plain.keys(facts, layer) for layer in LAYERS]
            arrays[f"b{number}.K_post"] = np.stack(after).astype(np.float32)
            for layer, keys in zip(LAYERS, after, strict=True):
                past[layer] += keys @ keys.T
            self.note(run, LAYERS, number)
        return arrays

    def deltaedit(self, run: str, s: dict[str, Any]) -> dict[str, Any]:
        last = LAYERS[-1]
        past = {layer: np.zeros((160, 160)) for layer in LAYERS}
        mean = variance = np.nan
        rows: dict[str, list[Any]] = {n: [] for n in ("K", "H", "R", "A", "k_clean_last_layer", "stats")}
        arrays: dict[str, Any] = {}
        results = []
        for number, fact in enumerate(self.facts, 1):
            key = self.plain.clean_key(fact, last)
            update = self.plain.weight(last) - self.pristine[last]
            disturbance = update @ key
            nu, before, directions = float(np.linalg.norm(disturbance)), (mean, variance), None
            if number > 1:
                if np.isnan(mean):
                    mean, variance = nu, 0.0
                if number > s["warmup_edits"] and variance and abs(nu - mean) > s["var"] * variance**0.5:
                    most = int(s["space"] * len(update))
                    directions, values = leading(update, disturbance, s["eigenvalue_floor"], most)
                    arrays |= {f"e{number}.U": directions.astype(np.float32), f"e{number}.S": values.astype(np.float32)}
                else:
                    mean = s["ema"] * mean + (1 - s["ema"]) * nu
                    variance = s["ema"] * variance + (1 - s["ema"]) * (nu - mean) ** 2
            columns = 0 if directions is None else directions.shape[1]
            rows["stats"].append([*before, mean, variance, directions is not None, 0, columns])
            rows["k_clean_last_layer"].append(key)
            found = self.plain.target(fact, self.model.transformer.h[last], s, removed=directions, enough=0.98)
            results.append(found)
            step: dict[str, list[Array]] = {name: [] for name in "KHRA"}
            for i, layer in enumerate(LAYERS):
                keys, present = self.plain.keys([fact], layer), self.plain.stream([fact], last)
                residual = (found.vector[:, None] - present) / (len(LAYERS) - i)
                a = alphaedit_delta(self.removed[layer].astype(float), past[layer], keys, np.ones((1, 1)), s["L2"]).T
                self.plain.add(layer, residual @ a.T)
                past[layer] += keys @ keys.T
                for name, value in zip("KHRA", (keys, present, residual, a), strict=True):
                    step[name].append(value[:, 0])
            for name in "KHRA":
                rows[name].append(np.stack(step[name]))
        single = described("", results, np.stack([f.vector for f in results]))
        arrays |= {n: np.array(v, dtype=np.float64 if n == "stats" else np.float32) for n, v in rows.items()}
        self.info[run] = {
            "triggered_edits": [int(n) for n in np.flatnonzero(arrays["stats"][:, 4]) + 1],
            "D_fro": [float(np.linalg.norm(self.plain.weight(layer) - self.pristine[layer])) for layer in LAYERS],
        }
        return arrays | single | {f"W_after_{EDITS}_last_layer": self.plain.weight(last).astype(np.float32)}

    def rome(self, run: str, s: dict[str, Any]) -> dict[str, Any]:
        (layer,) = s["layers"]
        arrays: dict[str, Any] = {}
        for number, fact in enumerate(self.facts[:4], 1):
            key, mean_key = self.plain.clean_key(fact, layer), self.plain.plain_key(fact, layer)
            found = self.plain.target(fact, self.model.transformer.h[layer].mlp, s)
            u = np.linalg.solve(self.c0[layer], mean_key) if s["mom2_adjustment"] else mean_key
            u = u / np.linalg.norm(u)
            at = mean_key if run == "r_rome" else key
            present = self.plain.weight(layer) @ at + self.plain.down(layer).bias.detach().numpy()
            right = (found.vector - present) / (at @ u)
            self.plain.add(layer, np.outer(right, u))
            clean = {"u": u, "right": right, "kbar": mean_key, "k": key, "Wk": found.start, "v_star": found.vector}
            arrays |= {f"e{number}.{name}": value.astype(np.float32) for name, value in clean.items()}
            arrays |= {f"e{number}.loss_first": np.array(found.first), f"e{number}.loss_last": np.array(found.last)}
            arrays[f"e{number}.n_forward"] = np.int64(found.passes)
            self.info.setdefault(run, {"edits": []})["edits"].append(self.weights([layer]))
        return arrays

    def ft(self, run: str, s: dict[str, Any]) -> dict[str, Any]:
        (layer,) = s["layers"]
        arrays: dict[str, Any] = {}
        for number, batch in enumerate(BATCHES, 1):
            facts = [self.facts[i] for i in batch]
            weight = self.plain.down(layer).weight.requires_grad_(True)
            start, box, size = weight.detach().clone(), s["norm_constraint"], s["batch_size"]
            adam = torch.optim.Adam([weight], lr=s["lr"], weight_decay=s["weight_decay"])
            losses = []
            for _ in range(s["num_steps"]):
                for part in (facts[i : i + size] for i in range(0, len(facts), size)):
                    loss = torch.stack([self.plain.bag_loss(fact) for fact in part]).mean()
                    losses.append(float(loss.detach()))
                    if losses[-1] >= 0.01:
                        adam.zero_grad()
                        loss.backward()
                        adam.step()
                        with torch.no_grad():
                            weight.copy_(weight.clamp(start - box, start + box) if box else weight)
            weight.requires_grad_(False)
            self.plain.write(layer, self.plain.weight(layer))
            arrays[f"b{number}.W_after"] = self.plain.weight(layer).astype(np.float32)
            arrays[f"b{number}.batch_losses"] = np.array(losses)
        return arrays

    def weights(self, layers: Sequence[int]) -> dict[str, Any]:
        now = [self.plain.weight(layer).astype("<f4") for layer in layers]
        return {
            "W_sha256": [hashlib.sha256(np.ascontiguousarray(w).tobytes()).hexdigest() for w in now],
            "W_fro": [float(np.linalg.norm(w)) for w in now],
            "D_fro": [float(np.linalg.norm(w - self.pristine[layer])) for w, layer in zip(now, layers, strict=True)],
        }

    def note(self, run: str, layers: Sequence[int], number: int) -> None:
        nll = [self.plain.forced_nll(self.facts[i]) for batch in BATCHES[:number] for i in batch]
        self.info.setdefault(run, {"batches": []})["batches"].append(self.weights(layers) | {"nll_new": nll})

    def requests(self) -> dict[str, Any]:
        entries = []
        for number, (known, fact) in enumerate(zip(self.known, self.facts, strict=True)):
            ids, lookup = self.plain.asked(fact)
            entries.append({
                "case_id": number, "prompt": known["prompt"], "subject": known["subject"],
                "relation": known["relation"], "target_new": {"str": known["new"]},
                "target_true": {"str": known["true"]}, "target_token_ids": list(fact.target),
                "prompt_token_ids": ids, "lookup_index": lookup,
            })  # fmt: skip
        return {
            "context_templates": TEMPLATES, "batches": BATCHES, "rome_edits": [0, 1, 2, 3],
            "deltaedit_stream": list(range(EDITS)), "requests": entries,
        }  # fmt: skip


def described(start: str, found: Sequence[Found], z: Array) -> dict[str, Any]:
    return {
        f"{start}z": z.astype(np.float32),
        f"{start}loss_first": np.array([f.first for f in found]),
        f"{start}loss_last": np.array([f.last for f in found]),
        f"{start}n_forward": np.array([f.passes for f in found]),
    }


def save_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    (folder / "model").mkdir(parents=True, exist_ok=True)
    if not (folder / "model" / "model.safetensors").is_file():
        train(folder, facts())
    recorder = Recorder(folder)
    threshold = recorder.statistics()
    save_json(folder / "requests.json", recorder.requests())
    save_json(folder / "hparams.json", {"common": COMMON, "runs": runs(threshold)})
    with torch.no_grad():
        rows = [recorder.model(torch.tensor([recorder.plain.asked(f)[0]])).logits[0, -1] for f in recorder.facts[:4]]
    np.savez_compressed(folder / "logits.npz", last_token_logits_requests_0_to_3=torch.stack(rows).float().numpy())
    for run, own in runs(threshold).items():
        recorder.record(run, own)
        print(run, json.dumps(recorder.info.get(run, ""))[:300], flush=True)
    save_json(folder / "info.json", recorder.info)


if __name__ == "__main__":
    main()
