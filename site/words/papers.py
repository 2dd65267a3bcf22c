"""Papers of the built-in editors, and this benchmark, as BibTeX entries: for the page and for tables in LaTeX."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

YEAR = 2026
"""Year of the present version."""
OWN = "palimpsest"
"""Key of this benchmark's own entry."""


class Paper(NamedTuple):
    """One paper."""

    key: str
    authors: str
    """As BibTeX wants them, with ``and``."""
    title: str
    year: int
    """Year of the venue, else of the first version."""
    arxiv: str
    venue: str = ""

    @property
    def url(self) -> str:
        """Address of the paper."""
        return f"https://arxiv.org/abs/{self.arxiv}"


ZHU = Paper(
    "zhu2020modifying",
    "Zhu, Chen and Rawat, Ankit Singh and Zaheer, Manzil and Bhojanapalli, Srinadh and Li, Daliang and Yu, Felix and "
    "Kumar, Sanjiv",
    "Modifying Memories in Transformer Models",
    2020,
    "2012.00363",
)
ROME = Paper(
    "meng2022locating",
    "Meng, Kevin and Bau, David and Andonian, Alex and Belinkov, Yonatan",
    "Locating and Editing Factual Associations in {GPT}",
    2022,
    "2202.05262",
    "NeurIPS 2022",
)
R_ROME = Paper(
    "gupta2024rebuilding",
    "Gupta, Akshat and Baskaran, Sidharth and Anumanchipalli, Gopala",
    "Rebuilding {ROME}: Resolving Model Collapse during Sequential Model Editing",
    2024,
    "2403.07175",
    "EMNLP 2024",
)
MEMIT = Paper(
    "meng2023massediting",
    "Meng, Kevin and Sen Sharma, Arnab and Andonian, Alex and Belinkov, Yonatan and Bau, David",
    "Mass-Editing Memory in a Transformer",
    2023,
    "2210.07229",
    "ICLR 2023",
)
ALPHAEDIT = Paper(
    "fang2025alphaedit",
    "Fang, Junfeng and Jiang, Houcheng and Wang, Kun and Ma, Yunshan and Shi, Jie and Wang, Xiang and He, Xiangnan and "
    "Chua, Tat-Seng",
    "{AlphaEdit}: Null-Space Constrained Knowledge Editing for Language Models",
    2025,
    "2410.02355",
    "ICLR 2025",
)
NSE = Paper(
    "jiang2025neuron",
    "Jiang, Houcheng and Fang, Junfeng and Zhang, Tianyu and Zhang, An and Wang, Ruipeng and Liang, Tao and "
    "Wang, Xiang",
    "Neuron-Level Sequential Editing for Large Language Models",
    2025,
    "2410.04045",
    "ACL 2025",
)
DELTAEDIT = Paper(
    "cao2026superimposed",
    "Cao, Ding and Cai, Yuchen and Huang, Yuqing and He, Xuesong and Guo, Rongxi and Liu, Guiquan and Sun, Guangzhong",
    "On the Superimposed Noise Accumulation Problem in Sequential Knowledge Editing of Large Language Models",
    2026,
    "2505.07899",
    "AAAI 2026",
)
PRUNE = Paper(
    "ma2025perturbation",
    "Ma, Jun-Yu and Wang, Hong and Xu, Hao-Xiang and Ling, Zhen-Hua and Gu, Jia-Chen",
    "Perturbation-Restrained Sequential Model Editing",
    2025,
    "2405.16821",
    "ICLR 2025",
)
RECT = Paper(
    "gu2024model",
    "Gu, Jia-Chen and Xu, Hao-Xiang and Ma, Jun-Yu and Lu, Pan and Ling, Zhen-Hua and Chang, Kai-Wei and Peng, Nanyun",
    "Model Editing Harms General Abilities of Large Language Models: Regularization to the Rescue",
    2024,
    "2401.04700",
    "EMNLP 2024",
)
SPHERE = Paper(
    "liu2026energy",
    "Liu, Qingyuan and Gu, Jia-Chen and Yao, Yunzhi and Wang, Hong and Peng, Nanyun",
    "Energy-Regularized Sequential Model Editing on Hyperspheres",
    2026,
    "2510.01172",
    "ICLR 2026",
)
REVIVE = Paper(
    "zhang2026spectral",
    "Zhang, Chi and Zhang, Mengqi and Ye, Xiaotian and Cheng, Runxi and Zhou, Zisheng and Zhou, Ying and Ren, Pengjie "
    "and Chen, Zhumin",
    "Spectral Characterization and Mitigation of Sequential Knowledge Editing Collapse",
    2026,
    "2601.11042",
    "ACL 2026",
)

PAPERS = {
    "ft": (ZHU,),
    "ft-l": (ZHU,),
    "rome": (ROME,),
    "r-rome": (R_ROME,),
    "memit": (MEMIT,),
    "memit-seq": (MEMIT, ALPHAEDIT),
    "alphaedit": (ALPHAEDIT,),
    "nse": (NSE,),
    "deltaedit": (DELTAEDIT,),
    "prune": (PRUNE,),
    "rect": (RECT,),
    "sphere": (SPHERE,),
    "revive": (REVIVE,),
}
"""Built-in editor → its papers, the one that it is named after first."""


def bibtex(paper: Paper) -> str:
    """A paper as a BibTeX entry."""
    fields = {
        "title": paper.title,
        "author": paper.authors,
        "year": str(paper.year),
        "eprint": paper.arxiv,
        "archivePrefix": "arXiv",
        "url": paper.url,
    }
    return entry("misc", paper.key, fields | ({"note": paper.venue} if paper.venue else {}))


def own_bibtex(version: str, url: str = "") -> str:
    """This benchmark as a BibTeX entry.

    Args:
        version: Of Palimpsest.
        url: Address of the leaderboard; empty: none is given.
    """
    fields = {
        "title": "Palimpsest: a benchmark and leaderboard of sequential knowledge editing",
        "author": "{The Palimpsest authors}",
        "year": str(YEAR),
        "version": version,
        "note": "Apache-2.0",
    }
    return entry("software", OWN, fields | ({"url": url} if url else {}))


def entry(kind: str, key: str, fields: dict[str, str]) -> str:
    """One BibTeX entry, fields in line."""
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}" for name, value in fields.items()]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def bibliography(papers: Iterable[Paper], version: str, url: str = "") -> str:
    """This benchmark's entry and those of some papers, each once, by key: a whole ``.bib`` file."""
    by_key = {paper.key: paper for paper in papers}
    return "\n\n".join([own_bibtex(version, url), *(bibtex(by_key[key]) for key in sorted(by_key))]) + "\n"


def all_papers() -> list[Paper]:
    """Every paper of the table."""
    return [paper for papers in PAPERS.values() for paper in papers]
