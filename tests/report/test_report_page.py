"""The page about a run: its contents, what it does without, and how a real browser renders it."""

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib.report.__main__ import main
from lib.report.inspector import SampleBudget
from lib.report.page import write_report
from tests.support.data_sets import write_data_set
from tests.support.run_files import write_run
from tests.support.scripts import ROOT, Script

OPTIONS = ("--model.name", "tiny", "--batch_size", 8, "--run.n_epochs", 2, "--logging.print_freq", 2)
CURVES = {"loss", "top1_error", "top5_error", "learning_rate", "images_per_s", "time_shares"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


RunReport = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunReport:
    """Run ``python -m lib.report`` within this process and return its exit status, stdout and stderr."""

    def run(cwd: Path, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["lib.report", *arguments])
        return main(), *capfd.readouterr()

    return run


def found_in_browser(html: str, probe: str, folder: Path, width: int) -> str:
    """Return what ``probe``, added to the end of the page, sets as data-found. Fails on any console message."""
    probed = folder / "probed.html"
    probed.write_text(html.replace("</body>", probe))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --enable-logging=stderr --dump-dom"
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    done = subprocess.run([*command, probed.as_uri()], capture_output=True, text=True, timeout=60, check=False)
    assert "CONSOLE" not in done.stderr
    found = re.search('data-found="([^"]*)"', done.stdout)
    assert found, done.stderr[-500:]
    return found[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set and two runs, ``models`` and ``<b>&"fast"``, a name that a page must escape.

    Their configurations differ in the learning rate only.
    """
    folder = tmp_path_factory.mktemp("report")
    write_data_set(folder / "data")
    options = map(str, (*OPTIONS, "--devices", "[cpu]", "--optimizer.learning_rate", "0.01"))
    command = [sys.executable, str(ROOT / "train.py"), *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)
    shutil.copytree(folder / "models", folder / '<b>&"fast"')
    written = folder / '<b>&"fast"/config.yaml'
    text = written.read_text()
    assert text.count("  learning_rate: 0.01") == 1
    written.write_text(text.replace("  learning_rate: 0.01", "  learning_rate: 0.02"))
    return folder


def test_a_run_writes_a_self_contained_page(trained: Path) -> None:
    html = (trained / "models/report.html").read_text()
    page = Page(html)
    assert not page.all("script")
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert "@import" not in html
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert not re.search(r"url\((?!#)", html)
    assert {"viewport", "color-scheme"} <= {meta.get("name") for meta in page.all("meta")}
    assert {figure.get("id") for figure in page.all("figure")} >= CURVES
    pictures = [base64.b64decode(image["src"].partition(",")[2]) for image in page.all("img")]
    assert len(pictures) == 2 + 8  # filters, augmented images, eight samples
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    for words in ("16 filters of 5 x 5", "From 20 of 20 validation images", "Most confused", "Worst classes"):
        assert words in page.text
    assert "--run.resume never --run.weights_dir models_again" in page.text
    assert "class 3" in page.text
    assert "optimizer.nesterov" in page.text
    for row in ("Python", "packages", "git commit", "GPUs"):
        assert f"<td>{row}</td>" in html


def test_ids_are_unique(trained: Path) -> None:
    ids = [
        attributes["id"]
        for _, attributes in Page((trained / "models/report.html").read_text()).tags
        if "id" in attributes
    ]
    assert len(ids) == len(set(ids))


def test_images_are_written_next_to_the_page(trained: Path) -> None:
    found = {path.stem for path in (trained / "models/report").glob("*.png")}
    assert found == CURVES | {"filters", "augmented_images", "samples", "confusion_matrix"}


def test_runs_are_compared_in_a_page_of_their_own(trained: Path, report: RunReport) -> None:
    before = (trained / "models/report.html").read_bytes()
    assert report(trained, "models", '<b>&"fast"') == (0, "compare.html\n", "")
    html = (trained / "compare.html").read_text()
    assert "<td><code>optimizer.learning_rate</code></td><td>0.01</td><td>0.02</td>" in html
    assert "<b>&" not in html  # a folder's name is text
    assert "&lt;b&gt;&amp;&#34;fast&#34;" in html
    assert html.count("filters of 5 x 5") == 2
    assert {path.name for path in (trained / "compare").glob("*.png")} >= {
        f"{name}.png" for name in ("loss", "time_shares_2")
    }
    assert (trained / "models/report.html").read_bytes() == before
    status, _, stderr = report(trained, "models", '<b>&"fast"', "--out", "models/report.html")
    assert (status, stderr) == (2, "error: models/report.html is the page of one run; name another file with --out\n")


def test_the_page_has_accuracy_time_and_memory_and_a_table_of_epochs(trained: Path) -> None:
    html = (trained / "models/report.html").read_text()
    errors = np.load(trained / "models/val_record.npy")[:, 0]
    assert (
        f"<b>{100 - 100 * errors.min():.1f} %</b><span>best accuracy, epoch {errors.argmin() + 1} (top-1 error" in html
    )
    assert re.search(r"<b>\d\d:\d\d</b><span>of training</span>", html)
    assert re.search(r"<b>\d\.\d GB</b><span>memory", html)
    table = html[html.index('<table id="epochs">') :].partition("</table>")[0]
    assert table.count("<tr") == 1 + 2
    assert table.count('class="best"') == 1
    for error in errors:
        assert f">{100 - 100 * error:.1f} %</td>" in table


def test_charts_tell_their_values_over_epochs_and_over_time(trained: Path) -> None:
    html = (trained / "models/report.html").read_text()
    loss = np.load(trained / "models/val_record.npy")[0, 1]
    for name, label in (("loss", "epochs"), ("loss_time", "minutes of training")):
        chart = html[html.index(f'<figure id="{name}">') :].partition("</figure>")[0]
        assert label in chart
        assert f"\nvalidation: {loss:,.4g}</title>" in chart


def test_few_images_of_each_class_show_no_confusion(trained: Path, report: RunReport) -> None:
    few = trained / "few"
    shutil.copytree(trained / "models", few)
    (few / "report/confusion_matrix.png").unlink()
    assert report(trained, "few", "--images", "8")[0] == 0
    html = (few / "report.html").read_text()
    assert "The 8 images that were evaluated are too few to compare 4 classes" in html
    assert "Most confused" not in html
    assert not (few / "report/confusion_matrix.png").exists()


def test_without_the_data_set_the_rest_is_still_shown(trained: Path, report: RunReport) -> None:
    alone = trained / "alone"
    shutil.copytree(trained / "models", alone / "models")
    assert report(alone, "models") == (0, "models/report.html\n", "")
    page = Page((alone / "models/report.html").read_text())
    assert "No augmented images and predictions: data folder data does not exist" in page.text
    assert "16 filters of 5 x 5" in page.text
    assert {figure.get("id") for figure in page.all("figure")} >= CURVES


def test_without_images_for_tensorboard_the_rest_is_still_shown(
    trained: Path, report: RunReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = trained / "blocked"
    shutil.copytree(trained / "models", blocked)
    [events] = (blocked / "tensorboard").glob("*.pictures.*")
    events.unlink()
    monkeypatch.setattr("lib.report.events.SummaryWriter", None)
    assert report(trained, "blocked") == (0, "blocked/report.html\n", "")
    page = Page((blocked / "report.html").read_text())
    assert "No images for TensorBoard: " in page.text
    assert "16 filters of 5 x 5" in page.text


def test_a_page_that_cannot_be_written_is_a_one_line_error(trained: Path, report: RunReport) -> None:
    blocked = trained / "no_folder"
    blocked.mkdir()
    shutil.copy(trained / "models/config.yaml", blocked)
    (blocked / "report").write_text("a file where the folder should be")
    status, _, stderr = report(trained, "no_folder")
    assert (status, stderr.count("\n"), stderr.startswith("error: cannot write the report: ")) == (2, 1, True)


def test_a_run_without_a_checkpoint_has_a_page(trained: Path, report: RunReport) -> None:
    early = trained / "early"
    early.mkdir()
    shutil.copy(trained / "models/config.yaml", early)
    assert report(trained, "early") == (0, "early/report.html\n", "")
    assert "No filters: there is no checkpoint in early yet" in (early / "report.html").read_text()


def test_a_folder_without_a_run_is_a_one_line_error(trained: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lib.report", "data"],
        cwd=trained,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: data holds no run: there is no data/config.yaml; name a run's weights_dir\n"


def test_a_failing_report_does_not_affect_the_run(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/report").write_text("a file where the folder of pictures should be")
    done = run_script("train.py", *OPTIONS, "--devices", "[cpu]", "--run.n_epochs", 1, "--logging.report", "true")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("no report; python -m lib.report models writes it, or prints the reason\n")


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_renders_in_a_browser(trained: Path, tmp_path: Path, width: int) -> None:
    """No console message, every image decoded, nothing wider than the window."""
    probe = """<script>
      const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".wide, svg")
        && e.getBoundingClientRect().right > innerWidth + 1);
      const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth);
      const flat = chosen => [...document.querySelectorAll(`figure:not(${chosen} *) > svg[role=img]`)].filter(
        s => s.getBoundingClientRect().height < 50).length;
      let found = `broken ${broken.length} wide ${wide.length} flat ${flat(".time")}`;
      document.getElementById("over_time").click();
      document.documentElement.dataset.found = `${found} ${flat(".epochs")}`;
    </script></body>"""
    html = (trained / "models/report.html").read_text()
    assert found_in_browser(html, probe, tmp_path, width) == "broken 0 wide 0 flat 0 0"


@needs_browser
def test_tables_of_several_runs_break_no_word_on_a_narrow_screen(tmp_path: Path) -> None:
    """A long name is wrapped, but not letter by letter."""
    runs = [write_run(tmp_path / name, []) for name in ("first", "second_with_a_long_name")]
    probe = """<script>
      const all = document.createRange();
      const lines = cell => (all.selectNodeContents(cell), all.getClientRects().length);
      const words = cell => cell.textContent.trim().split(/\\s+/).length;
      const cells = [...document.querySelectorAll("#runs th, #runs td, #differing th, #differing td")];
      const broken = cells.filter(cell => lines(cell) > Math.max(3, words(cell))).map(cell => cell.textContent);
      document.documentElement.dataset.found = `${cells.length} cells, broken: ${broken}`;
    </script></body>"""
    page = write_report(runs, SampleBudget(), tmp_path / "compare.html").read_text()
    assert found_in_browser(page, probe, tmp_path, 390) == "30 cells, broken: "


def test_pictures_are_in_tensorboard_once_per_checkpoint_and_in_the_same_run(trained: Path, report: RunReport) -> None:
    folder = trained / "models/tensorboard"
    before = sorted(folder.iterdir())
    killed = folder.with_name(".picturesab12cd")
    killed.mkdir()
    assert report(trained, "models") == (0, "models/report.html\n", "")
    assert not killed.exists()
    assert sorted(folder.iterdir()) == before
    assert all(path.is_file() for path in before)
    events = EventAccumulator(str(folder)).Reload().Tags()
    assert sorted(events["images"]) == ["augmented_images", "confusion_matrix", "filters", "samples"]
    assert "val/loss" in events["scalars"]
