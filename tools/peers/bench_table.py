"""The numbers of tools/peers/bench.py: kept by round, written as the TSV of all benches, printed as Markdown."""
import statistics

HEADER = "section\tcase\tquantity\tunit\tmedian\tlow\thigh\trounds"
NAMES = {"train": "training step", "full": "SGLD step, all parameters", "l1h3": "SGLD step, a last-layer head",
         "l0h3": "SGLD step, a first-layer head", "heads": "SGLD step, every head",
         "estimate": "a whole estimate of a last-layer head"}
LOCKSTEP = "rllc, 8 heads x 4 chains"

# What is aimed at: job, which of rllc's rows, whose of the peers' rows (how their labels begin), ratio.
TARGETS = [("train", "rllc", "TransformerLens", 2), ("train", "rllc", "by hand", 2),
           ("full", "rllc, 1 chain", "devinterp 2", 2), ("full", "rllc, 1 chain", "by hand", 2),
           ("l1h3", LOCKSTEP, "devinterp 1", 15), ("l1h3", LOCKSTEP, "devinterp 2", 10),
           ("l1h3", LOCKSTEP, "by hand", 10), ("l0h3", LOCKSTEP, "devinterp 1", 4),
           ("l0h3", LOCKSTEP, "devinterp 2", 3), ("l0h3", LOCKSTEP, "by hand", 3)]


class Table:
    def __init__(self, first_line, versions, environments, error):
        self.first_line, self.versions, self.environments, self.error = first_line, versions, environments, error
        self.rows = {}  # (job, label, environment): [answer of each round]

    def add(self, job, label, environment, answer):
        self.rows.setdefault((job, label, environment), []).append(answer)

    # ---- reading ---------------------------------------------------------------------------------------------

    def rates(self, key):
        return [a["rate"] for a in self.rows[key]]

    def median(self, key):
        return statistics.median(self.rates(key))

    def jobs(self):
        return list(dict.fromkeys(job for job, _, _ in self.rows))

    def labels(self, job, ours):
        return list(dict.fromkeys(label for j, label, e in self.rows if j == job and (e == "") == ours))

    def environments_of(self, job, label):
        return [e for j, l, e in self.rows if (j, l) == (job, label)]

    def fastest(self, job, label):
        """The key of a peer's fastest environment."""
        return max(((job, label, e) for e in self.environments_of(job, label)), key=self.median)

    def ratios(self, ours, theirs):
        """Round by round, so that what slowed both cancels; what was timed once or twice stands for the others."""
        a, b = self.rates(ours), self.rates(theirs)
        n = max(len(a), len(b))
        return [a[min(i, len(a) - 1)] / b[min(i, len(b) - 1)] for i in range(n)]

    def in_turn(self, label, environment):
        """One head after the other, as many of each layer: from the last timing of a head of either."""
        first, last = (self.rows[job, label, environment][-1] for job in ("l0h3", "l1h3"))
        return {"rate": 2 / (1 / first["rate"] + 1 / last["rate"]), "peak_mb": max(first["peak_mb"], last["peak_mb"])}

    # ---- writing ---------------------------------------------------------------------------------------------

    def comments(self):
        yield self.first_line
        yield (f"# torch {self.versions['torch']}, transformer-lens {self.versions['transformer-lens']}; environments: "
               f"{', '.join(self.environments)}; largest difference in a loss or gradient before timing {self.error:.1e}")

    def lines(self):
        """The TSV: rates, memory and how many processors were busy; then the ratios."""
        def line(case, quantity, unit, values):
            return "\t".join(["peer", case, quantity, unit, f"{statistics.median(values):.6g}", f"{min(values):.6g}",
                              f"{max(values):.6g}", str(len(values))])
        for (job, label, environment), answers in self.rows.items():
            case = f"{job}; {label}" + (f"; {environment}" if environment else "")
            for field, quantity, unit in (("rate", "rate", "tokens/s"), ("peak_mb", "memory", "MB"),
                                          ("cores", "processors", "busy")):
                if field in answers[0]:
                    yield line(case, quantity, unit, [a[field] for a in answers])
        for job in self.jobs():
            for ours in self.labels(job, True):
                for label in self.labels(job, False):
                    for environment in self.environments_of(job, label):
                        yield line(f"{job}; {ours} / {label}; {environment}", "ratio", "x",
                                   self.ratios((job, ours, ""), (job, label, environment)))

    def write(self, path):
        with open(path, "w") as f:
            f.write("\n".join([*self.comments(), HEADER, *self.lines()]) + "\n")

    # ---- printing --------------------------------------------------------------------------------------------

    def title(self, job):
        base, _, rest = job.partition(", ")
        return NAMES[base] + (f", {rest}" if rest else "")

    def text_of(self, job):
        """One table: rllc's rows, then the peers' with rllc's rows over each at its fastest."""
        ours = self.labels(job, True)
        columns = [e for e in dict.fromkeys(e for j, _, e in self.rows if j == job) if e]
        over = [label.replace("rllc, ", "rllc (") + ")" * (", " in label) for label in ours]
        yield f"\n**{self.title(job)}**\n"
        for label in ours:
            key = (job, label, "")
            memory = [a["peak_mb"] for a in self.rows[key] if "peak_mb" in a]
            yield f"* {label}: {self.median(key):,.0f} tokens/s" + (f", {max(memory):,.0f} MB" if memory else "")
        if not columns:
            return
        yield ""
        yield "| " + " | ".join(["beside", *columns, "MB", *(f"{o} over it" for o in over)]) + " |"
        yield "|---|" + "--:|" * (len(columns) + 1 + len(over))
        for label in self.labels(job, False):
            best = self.fastest(job, label)
            cells = [f"{self.median((job, label, c)):,.0f}" if (job, label, c) in self.rows else "" for c in columns]
            memory = max(a["peak_mb"] for a in self.rows[best])
            ratio = [f"{statistics.median(self.ratios((job, o, ''), best)):.1f}" for o in ours]
            yield "| " + " | ".join([label, *cells, f"{memory:,.0f}", *ratio]) + " |"

    def verdicts(self):
        for job, ours, whose, wanted in TARGETS:
            labels = [label for label in self.labels(job, False) if label.startswith(whose)]
            best = max((self.fastest(job, label) for label in labels), key=self.median)
            found = statistics.median(self.ratios((job, ours, ""), best))
            yield (f"* {NAMES[job]}, {ours}: {found:.1f} times {best[1]} ({best[2]}); aim {wanted}: "
                   f"{'reached' if found >= wanted else 'missed'}")

    def text(self):
        out = ["\n".join(self.comments()).replace("# ", ""), "",
               "Tokens a second, each chain's counted; ratios are over a peer's fastest environment."]
        for job in self.jobs():
            out += self.text_of(job)
        return "\n".join([*out, "\n**Against the aims**\n", *self.verdicts()])
