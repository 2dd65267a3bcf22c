"""Runs handed over to Slurm: real scripts under bash, with commands of Slurm's that only note what they are asked.

No real Slurm is here: that a node obeys the options in a script is not tried.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from palimpsest.cli import slurm
from palimpsest.cli.slurm_script import STOP, Size, Times, checked_words, script
from palimpsest.harness.errors import UsageError
from tests.cli.helpers import cli
from tests.cli.test_run import FT_L, arguments
from tests.cli.test_run import model as model  # the fixture
from tests.harness.depot.conftest import s3 as s3
from tests.harness.depot.conftest import server as server
from tests.harness.depot.conftest import url as url
from tests.harness.fleet.test_local import alone as alone  # the fixture
from tests.harness.fleet.test_local import bits, command
from tests.labs.s3_server import S3, SECRET

COMMANDS = {
    "sbatch": 'echo "${AWS_SECRET_ACCESS_KEY:-none}" >>"$here/secrets"; '
    'echo "$*" >>"$here/submitted"; echo $((100 + $(wc -l <"$here/submitted")))',
    "squeue": 'cat "$here/queue" 2>/dev/null; exit 0',
    "scontrol": 'echo "$*" >>"$here/requeued"',
    "scancel": 'echo "$*" >>"$here/cancelled"',
}
PLAYED = """
import json, os, signal, sys, time
plan = json.load(open(sys.argv[1]))
step = plan["steps"].pop(0) if len(plan["steps"]) > 1 else plan["steps"][0]
json.dump(plan, open(sys.argv[1], "w"))
def tell(**event):
    print(json.dumps(event), flush=True)
tell(event="here")
for edits in step.get("edits", []):
    tell(event="batch", edits=edits)
if "error" in step:
    tell(event="error", kind=step["error"], message="as played")
if "waits" in step:
    signal.signal(signal.SIGTERM, lambda *_: (tell(event="interrupted", edits=7), os._exit(143)))
    tell(event="waiting")
    if step["waits"] == "keeper":
        sys.stdin.read()
        os._exit(143)
    time.sleep(60)
if "signal" in step:
    os.kill(os.getpid(), step["signal"])
sys.exit(step.get("code", 0))
"""


@dataclass
class Cluster:
    """Commands of Slurm's that note their words in files of ``here``."""

    here: Path

    def noted(self, name: str) -> list[str]:
        path = self.here / name
        return path.read_text().splitlines() if path.exists() else []

    def begin(self, place: Path, task: int = 0, restarts: int = 0) -> subprocess.Popen[bytes]:
        ids = {"SLURM_ARRAY_JOB_ID": "101", "SLURM_ARRAY_TASK_ID": str(task), "SLURM_RESTART_COUNT": str(restarts)}
        return subprocess.Popen(["bash", str(place)], env={**os.environ, **ids})

    def run(self, place: Path, task: int = 0) -> tuple[int, bool]:
        """Exit code of a task, and whether it was queued again."""
        before = len(self.noted("requeued"))
        code = self.begin(place, task).wait(timeout=300)
        return code, len(self.noted("requeued")) > before


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    here = tmp_path / "cluster"
    here.mkdir()
    for name, body in COMMANDS.items():
        (here / name).write_text(f"#!/usr/bin/env bash\nhere={here}\n{body}\n")
        (here / name).chmod(0o755)
    (here / "sleep").write_text("#!/usr/bin/env bash\n")
    (here / "sleep").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    return Cluster(here)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python whose ticket worker only plays; all else is real."""
    (tmp_path / "played.py").write_text(PLAYED)
    python = tmp_path / "python"
    python.write_text(
        f'#!/usr/bin/env bash\nif [ "$3" = palimpsest.cli.ticket_worker ]; then exec {sys.executable} '
        f'{tmp_path}/played.py "$4"; fi\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return tmp_path


def played_script(folder: Path, *steps: dict[str, object]) -> Path:
    """The script of one ticket whose worker does these steps, one at each attempt, the last again and again."""
    (folder / "run.json").write_text(json.dumps({"steps": steps}))
    (folder / "list").write_text(f"{folder / 'run.json'}\n")
    place = folder / "array.sh"
    place.write_text(script(folder, folder / "list", 1, Size(1, 0, 4096), Times(None, None)))
    return place


OUT_OF_MEMORY = {"signal": int(signal.SIGKILL)}


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ([{"code": 0}], [(0, False)]),
        ([{"code": 1}], [(1, False)]),
        ([{"code": 2}], [(2, False)]),
        ([{"code": 3}], [(0, False)]),
        ([{"code": 3, "error": "busy"}, {}], [(0, True), (0, False)]),
        ([{"code": 4, "error": "error"}], [(0, True), (0, True), (4, False)]),
        ([OUT_OF_MEMORY, {}], [(0, True), (0, False)]),
        ([OUT_OF_MEMORY], [(0, True), (0, True), (137, False)]),
        ([{**OUT_OF_MEMORY, "edits": [n]} for n in (1, 2, 3, 4)] + [{}], [(0, True)] * 4 + [(0, False)]),
    ],
    ids=["good", "failing", "wrong", "limit", "busy", "lacking", "crashing once", "poisoned", "crashing but advancing"],
)
def test_a_task_ends_or_is_queued_again_as_the_one_table_says(
    cluster: Cluster, played: Path, steps: Sequence[dict[str, object]], ends: list[tuple[int, bool]]
) -> None:
    place = played_script(played, *steps)
    assert [cluster.run(place) for _ in ends] == ends
    assert set(cluster.noted("requeued")) <= {"requeue 101_0"}


def test_a_node_whose_temporary_folder_is_full_does_not_fail_the_run(
    cluster: Cluster, played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = played_script(played, {"code": 0})
    with monkeypatch.context() as full:
        full.setenv("TMPDIR", str(played / "gone"))
        assert cluster.run(place) == (0, True)
    assert cluster.run(place) == (0, False)


def waiting(folder: Path) -> None:
    for _ in range(1200):
        if "waiting" in ((folder / "run.lines").read_text() if (folder / "run.lines").exists() else ""):
            return
        time.sleep(0.05)
    raise AssertionError("the worker does not begin")


def test_a_task_that_is_told_to_end_saves_and_is_queued_again_however_often(cluster: Cluster, played: Path) -> None:
    place = played_script(played, {"waits": "signal"})
    for number in range(1, 5):
        (played / "run.lines").unlink(missing_ok=True)
        process = cluster.begin(place, restarts=number)
        waiting(played)
        process.terminate()
        assert process.wait(timeout=60) == 0 and len(cluster.noted("requeued")) == number
        assert "interrupted" in (played / "run.lines").read_text()


def test_a_task_that_is_stopped_saves_and_stays_away(cluster: Cluster, played: Path) -> None:
    place = played_script(played, {"waits": "signal"})
    process = cluster.begin(place)
    waiting(played)
    (played / STOP).touch()
    process.terminate()
    assert process.wait(timeout=60) == 0 and not cluster.noted("requeued")
    assert cluster.run(place) == (0, False) and (played / "run.lines").read_text().count("here") == 1


def test_a_worker_whose_script_is_killed_stops_in_order(cluster: Cluster, played: Path) -> None:
    place = played_script(played, {"waits": "keeper"})
    process = cluster.begin(place)
    waiting(played)
    (worker,) = [int(p) for p in subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()]
    process.kill()
    process.wait(timeout=60)
    for _ in range(1200):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{worker}/stat").exists() and Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the worker goes on without anybody who keeps it")


@pytest.mark.parametrize("words", ["", "--partition=gpu --account=x", "--mem=9G --time=5"])
def test_scripts_are_clean_to_shellcheck(tmp_path: Path, words: str) -> None:
    folder = tmp_path / "a folder's name"
    folder.mkdir()
    place = folder / "array.sh"
    place.write_text(script(folder, folder / "list", 3, Size(2, 1, 8192), Times(3600.0, 100.0), words))
    checked = subprocess.run([Path(sys.executable).with_name("shellcheck"), place], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_words_go_in_as_they_are_and_take_the_place_of_ours(tmp_path: Path) -> None:
    text = script(tmp_path, tmp_path / "list", 3, Size(1, 1, 8192), Times(3600.0, 200.0), "--mem=9G --partition=gpu")
    assert "#SBATCH --mem=9G --partition=gpu\n" in text and "8192M" not in text
    assert "#SBATCH --array=0-2\n" in text and "#SBATCH --gpus-per-task=1\n" in text
    assert "#SBATCH --time=100\n" in text and "#SBATCH --signal=B:TERM@400\n" in text


@pytest.mark.parametrize(
    "words",
    [
        "gpu",
        "--array=0-9",
        "--arr=0-9",
        "-a0-9",
        "--partition='",
        '--comment="a',
        "--partition=a\n#SBATCH -N9",
        "--mem=1G\r#SBATCH -N9",
        "--mem=1G\x00",
        "--partition=a\\",
        "-d afterok:1",
        "--dep=singleton",
        "--sig=KILL",
        "--test-only",
        "--wrap=true",
    ],
)
def test_words_that_would_break_the_script_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match="--slurm"):
        checked_words(words)


@pytest.mark.parametrize(
    ("times", "minutes", "notice"),
    [(Times(None, None), None, 300), (Times(60.0, 5.0), 16, 300), (Times(36_000.0, 100.0), 910, 300),
     (Times(3600.0, 3600.0), 190, 7200)],
)  # fmt: skip
def test_the_notice_leaves_time_for_two_batches_and_the_limit_for_the_notice(
    times: Times, minutes: int | None, notice: int
) -> None:
    assert (times.minutes, times.notice) == (minutes, notice)


def test_memory_comes_in_few_sizes() -> None:
    assert [Size.of(1, 0, n << 20).memory_mb for n in (1, 4096, 4097, 17000)] == [4096, 4096, 8192, 20480]


# ----------------------------------------------------------------------------------------------- the command line


def test_without_slurm_nothing_is_written_and_the_command_says_so(model: Path, tmp_path: Path) -> None:
    code, _, err = cli(*command(model, tmp_path, "--on", "slurm"))
    assert code == 4 and "There is no squeue here" in err and not (tmp_path / "fleet").exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [(["--on", "slurm", "--page"], "--page"), (["--slurm", "--mem=1G"], "only --on slurm"),
     (["--on", "slurm", "--depot", "s4://a/b"], "--depot")],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(model: Path, tmp_path: Path, more: list[str], named: str) -> None:
    code, _, err = cli(*command(model, tmp_path, *more))
    assert code == 2 and named in err


def test_real_runs_are_handed_over_stopped_continued_and_have_the_bits_of_the_local_pool(
    cluster: Cluster, model: Path, tmp_path: Path, alone: dict[str, dict[str, str]]
) -> None:
    home = tmp_path / "home"
    words = command(model, home, "--on", "slurm", "--keep", "newest", "--slurm", "--partition=long")
    code, out, err = cli(*words)
    assert code == 0, err
    prepare, runs = json.loads(out)["jobs"]
    assert (len(prepare["tickets"]), len(runs["tickets"])) == (1, 3) and sorted(runs["tickets"]) == sorted(alone)
    assert "--dependency" not in cluster.noted("submitted")[0]
    assert "--parsable --dependency=afterany:101" in cluster.noted("submitted")[1]
    (folder,) = slurm.jobs_of(home)
    assert "#SBATCH --partition=long\n" in (folder / runs["script"]).read_text()

    (cluster.here / "queue").write_text("".join(f"{runs['job']}_{n} PENDING\n" for n in range(3)))
    code, out, _ = cli(*words)
    assert code == 0 and json.loads(out) == {"jobs": [], "queued_before": sorted(alone)}, "nothing is queued twice"
    code, out, _ = cli("fleet", "--json", "--home", str(home))
    assert code == 0 and {row["state"] for row in json.loads(out)} == {"pending"}

    assert cluster.run(folder / prepare["script"]) == (0, False)
    assert len(list((home / "models").glob("*/scores/*"))) == 1
    calibrations = [path.name.partition("-")[0] for path in (home / "models").glob("*/calibrations/*")]
    assert sorted(calibrations) == ["asking", *["editing"] * 3], "of every editor, on the node"
    process = cluster.begin(folder / runs["script"], task=1)
    lines = home / "fleet" / f"{runs['tickets'][1]}.lines"
    for _ in range(4000):
        if lines.exists() and '"event": "started"' in lines.read_text():
            break
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=300) == 0 and cluster.noted("requeued") == ["requeue 101_1"]
    assert [cluster.run(folder / runs["script"], task) for task in range(3)] == [(0, False)] * 3
    assert bits(home) == alone

    (cluster.here / "queue").write_text("")
    code, out, _ = cli("fleet", "--json", "--home", str(home))
    assert {(row["state"], row["edits"], row["holder"]) for row in json.loads(out)} == {("complete", 4, None)}
    code, out, _ = cli("fleet", "log", runs["tickets"][0], "--home", str(home))
    assert code == 0
    code, out, _ = cli(*words)
    assert code == 0 and {row["status"] for row in json.loads(out)} == {"complete"}, "nothing is left"
    assert len(cluster.noted("submitted")) == 2


@pytest.mark.parametrize(
    ("more", "options"),
    [
        (["--memory", "6"], {"--mem=6144M", "--cpus-per-task=1"}),
        (["--device", "cuda"], {"--gpus-per-task=1", "--mem=4096M"}),
        (["--device-map", "auto", "--gpus-per-run", "4", "--threads", "3"], {"--gpus-per-task=4", "--cpus-per-task=3"}),
    ],
)
def test_what_a_run_takes_is_as_the_flags_say_and_no_gpu_is_needed_here(
    cluster: Cluster, model: Path, tmp_path: Path, more: list[str], options: set[str]
) -> None:
    code, out, err = cli(*command(model, tmp_path, "--on", "slurm", *more))
    assert code == 0, err
    (folder,) = slurm.jobs_of(tmp_path)
    for job in json.loads(out)["jobs"]:
        assert {f"#SBATCH {option}" for option in options} <= {*(folder / job["script"]).read_text().splitlines()}


SUITE = """
name: tiny
description: One run
model: {model}
task: pocket-counterfact
editors: [{{name: ft-l, set: {config}}}]
schedule: {{edits: 4, batch_size: 2, checkpoints: [0, 4]}}
scoring: {{sample: 3}}
seeds: [0]
"""


def test_a_night_is_handed_over_and_the_same_command_compares_it_when_all_has_ended(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE.format(model=model, config=json.dumps(FT_L)))
    words = ["nightly", "--suite", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path), "--on", "slurm"]
    code, out, err = cli(*words, "--day", "2026-03-01")
    assert code == 3 and "job 101: 1 of runs-0.sh" in out, err
    assert "The night 2026-03-01 is compared and built by the same command" in err
    night = tmp_path / "nights" / "2026-03-01"
    assert f"palimpsest fleet --home {night}" in out and not (night / "night.json").exists()

    (cluster.here / "queue").write_text("101_0 PENDING\n")
    code, out, _ = cli(*words)
    assert code == 3 and "1 runs are queued" in out and len(cluster.noted("submitted")) == 1

    (folder,) = slurm.jobs_of(night)
    assert cluster.run(folder / "runs-0.sh") == (0, False)
    (cluster.here / "queue").write_text("")
    code, out, err = cli(*words)
    assert code == 0, err
    assert (night / "night.json").is_file() and (tmp_path / "site" / "index.html").is_file()
    assert len(cluster.noted("submitted")) == 1


def test_a_run_that_has_failed_there_does_not_put_off_a_night_for_ever(
    cluster: Cluster, played: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE.format(model=model, config=json.dumps(FT_L)))
    words = ["nightly", "--suite", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path), "--day", "2026-03-01"]
    assert cli(*words, "--on", "slurm")[0] == 3
    (folder,) = slurm.jobs_of(tmp_path / "nights" / "2026-03-01")
    ticket = Path((folder / "runs-0.list").read_text().strip())
    ticket.write_text(json.dumps({"steps": [{"code": 1, "error": "error"}]}))
    assert cluster.run(folder / "runs-0.sh") == (1, False)
    code, _, err = cli(*words, "--on", "slurm")
    assert code == 1 and "failed on Slurm: as played" in err and len(cluster.noted("submitted")) == 1
    assert cli(*words, "--on", "local:1")[0] == 0
    code, _, err = cli(*words, "--on", "slurm")
    assert code == 0, f"the run is complete by now: {err}"


def test_runs_of_a_depot_are_handed_over_too_and_mirrored_by_the_same_command(
    cluster: Cluster, model: Path, s3: S3, url: str, tmp_path: Path
) -> None:
    alone, home = tmp_path / "alone", tmp_path / "home"
    words = arguments(model, "--sample", "3", "--json", "--home")
    assert cli(*words, str(alone))[0] == 0
    code, out, err = cli(*words, str(home), "--on", "slurm", "--depot", url)
    (job,) = json.loads(out)["jobs"]
    assert code == 0 and cluster.noted("secrets") == [SECRET], err
    (folder,) = slurm.jobs_of(home)
    assert cluster.run(folder / job["script"]) == (0, False), (home / "fleet" / f"{job['tickets'][0]}.log").read_text()
    assert not (home / "runs").exists() and [path.name for path in (home / "scratch").iterdir()] == [
        socket.gethostname()
    ]
    code, out, err = cli(*words, str(home), "--on", "slurm", "--depot", url)
    assert code == 0 and {row["status"] for row in json.loads(out)} == {"complete"}, err
    assert bits(home) == {
        run: {name: digest for name, digest in files.items() if "checkpoints" not in name}
        for run, files in bits(alone).items()
    }
    assert not [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_an_sbatch_that_gives_no_number_is_not_believed(cluster: Cluster, model: Path, tmp_path: Path) -> None:
    (cluster.here / "sbatch").write_text("#!/usr/bin/env bash\necho you are not allowed here\n")
    code, _, err = cli(*command(model, tmp_path, "--on", "slurm"))
    assert code == 4 and "sbatch gave no number of a job" in err and "you are not allowed here" in err


@pytest.mark.parametrize("on", ["local:2", "slurm", "ray:127.0.0.1:1"])
def test_a_home_in_which_nothing_can_be_written_is_said_in_words(cluster: Cluster, model: Path, on: str) -> None:
    code, out, err = cli(*command(model, Path("/sys/home"), "--on", on))
    assert code == 4 and "/sys/home" in out + err, out + err
    assert "bug" not in out + err and not cluster.noted("submitted")


def test_stopping_tells_what_runs_to_save_and_takes_out_what_waits(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    code, out, _ = cli(*command(model, home, "--on", "slurm"))
    runs = json.loads(out)["jobs"][1]
    (folder,) = slurm.jobs_of(home)
    (cluster.here / "queue").write_text(f"{runs['job']}_0 RUNNING\n{runs['job']}_2 PENDING\n77_0 RUNNING\n")
    code, out, _ = cli("fleet", "stop", "--home", str(home))
    assert code == 0 and out.startswith("2 are told to stop")
    assert cluster.noted("cancelled") == [
        f"--state=PENDING {runs['job']}", f"--batch --signal=TERM {runs['job']}",
    ]  # fmt: skip
    assert (folder / STOP).exists() and cluster.run(folder / runs["script"]) == (0, False)
    (cluster.here / "queue").write_text("")
    code, out, _ = cli(*command(model, home, "--on", "slurm"))
    assert code == 0 and len(json.loads(out)["jobs"]) == 2, "the same command submits what is left"


@pytest.mark.parametrize("words", [["halt"], ["log"], ["stop", "3f9c"]])
def test_other_words_are_refused(tmp_path: Path, words: list[str]) -> None:
    code, _, err = cli("fleet", *words, "--home", str(tmp_path))
    assert code == 2 and "palimpsest fleet" in err
