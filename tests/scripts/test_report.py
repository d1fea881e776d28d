"""The page, as a file and as a browser shows it."""

import base64
import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from workflow.lib.run.errors import InputError
from workflow.lib.show.blocks import arrange, lookup, variants
from workflow.scripts.report import report

KINDS = {"svg": "image/svg+xml", "png": "image/png"}
TEMPLATE = Path(__file__).parents[2] / "workflow/report/report.html.j2"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
NASTY = "A <b>\"bold\"</b> & 'sly' {{ name }} <script>alert(1)</script>"
STUDY = {
    "study": "tiny",
    "title": NASTY,
    "published": None,
    "band": [0.6, 0.8],
    "ensemble": "probability",
    "models": {"base": {"name": NASTY}},
}
ACCURACIES = {"base": 0.7, "seed-1": 0.72, "clip": 0.65, "weak": 0.71}

# What a browser makes of the page, told to the frame around it: windows have a least width.
PROBE = """
<script>
addEventListener("load", () => {
  const table = document.querySelector("#table1 table");
  const order = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
  const [name, , accuracy, ensemble] = table.tHead.rows[0].cells;
  const told = {orders: {given: order()}};
  const click = (head, label) => {
    head.querySelector("button").click();
    told.orders[label] = order();
  };
  click(accuracy, "best"); told.best = accuracy.getAttribute("aria-sort");
  click(accuracy, "worst"); told.worst = accuracy.getAttribute("aria-sort");
  click(ensemble, "missing best"); click(ensemble, "missing worst");
  click(name, "names"); told.others = accuracy.getAttribute("aria-sort");
  const input = document.querySelector("#calibration input");
  input.value = "3 MODEL"; input.dispatchEvent(new Event("input"));
  told.filtered = [...document.querySelectorAll("#calibration tbody tr")]
    .filter(row => row.offsetHeight > 0).map(row => row.cells[0].textContent);
  told.status = document.querySelector("#calibration [role=status]").textContent;
  told.images = [...document.images].map(image => [image.complete, image.naturalWidth]);
  told.fetched = performance.getEntriesByType("resource").map(entry => entry.name)
    .filter(name => !name.startsWith("data:"));
  told.tooWide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  told.width = innerWidth;
  told.broken = [...document.querySelectorAll("a[href^='#']")].map(link => link.hash.slice(1))
    .filter(id => !document.getElementById(id));
  const found = () => Object.fromEntries([...document.querySelectorAll(".found > div")]
    .map(box => [box.querySelector("dt").textContent, box.querySelector("dd").textContent]));
  const form = document.querySelector(".lookup");
  const choose = (one, two) => {
    form.one.value = one; form.two.value = two;
    form.dispatchEvent(new Event("change"));
    return found();
  };
  const base = document.querySelector("#table1 tbody").rows[0].cells[0].textContent;
  told.lookup = [choose(base, "Seed 10"), choose("Seed 10", base), choose("CLIP", "Seed 10")];
  told.alone = document.querySelector(".found").textContent;
  told.downloads = [...document.querySelectorAll("a[download]")]
    .map(link => [link.download, link.href.slice(0, 20)]);
  const end = selector => Math.max(...[...document.querySelectorAll(selector)]
    .map(each => each.getBoundingClientRect().bottom + scrollY));
  told.answersEnd = end(".answer .words");
  told.open = [...document.querySelectorAll(".answer details")].map(each => each.open);
  told.injected = document.querySelectorAll("h1 b, h1 script, td b, td script").length;
  parent.postMessage(JSON.stringify(told), "*");
});
</script>
"""
FRAME = """
<!DOCTYPE html><pre id="told"></pre>
<script>addEventListener("message", event => { told.textContent = event.data; });</script>
<iframe width="{width}" height="900" src="probed.html"></iframe>
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict:
    """Files of a study with two figures, a contact sheet, and tables, as `report` wants them."""
    folder = tmp_path_factory.mktemp("study")
    given = {"figures": [], "tsvs": [], "captions": [], "tables": []}
    # One figure that is smaller as SVG, one of so many points that it is smaller as PNG.
    for stem, points in (("figure1", 3), ("figure2", 3000)):
        figure = Figure(figsize=(3.3, 2))
        ax = figure.subplots()
        ax.plot([(7 * i) % points for i in range(points)], ".")
        for kind in ("svg", "png", "pdf"):
            path = folder / f"{stem}.{kind}"
            figure.savefig(path, dpi=300)
            given["figures"].append(str(path))
        (folder / f"{stem}.tsv").write_text(f"x\n{points}\n")
        given["tsvs"].append(str(folder / f"{stem}.tsv"))
        (folder / f"{stem}.rst").write_text(f"**Figure {stem[-1]}: a < b.** It says 5 % & more.\n")
        given["captions"].append(str(folder / f"{stem}.rst"))
    models = pd.DataFrame(
        {
            "model": list(ACCURACIES),
            "name": [NASTY, "Seed 10", "Seed 9", "CLIP"],
            "category": ["base", "reinit", "reinit", "dataset"],
            "group": ["base", "main", "main", "others"],
            "accuracy": list(ACCURACIES.values()),
        }
    )
    models["accuracy_low"] = models["accuracy"] - 0.01
    models["accuracy_high"] = models["accuracy"] + 0.01
    main = models.assign(ensemble_accuracy=[None, 0.74, 0.7, 0.73])
    many = pd.DataFrame({"model": [f"model {i}" for i in range(40)], "temperature": 1.0})
    many["problem"] = ["right on <b>20 %</b>", *39 * [""]]
    pairs = pd.DataFrame(
        {
            "model_1": "base",
            "model_2": ["seed-1", "clip"],
            "name_1": NASTY,
            "name_2": ["Seed 10", "CLIP"],
            "category": ["reinit", "reinit"],
            "with_base": True,
            "main": True,
            "combination": "probability",
            "examples": 1234,
            "error_inconsistency": [0.1, 0.2],
            "error_inconsistency_low": [0.08, 0.18],
            "error_inconsistency_high": [0.12, 0.22],
            "only_1": [0.04, 0.15],
            "only_2": [0.06, 0.05],
            "improvement": [0.01, 0.02],
        }
    )
    claims = pd.DataFrame(
        {
            "claim": ["Errors <differ>.", "Features help."],
            "holds": ["yes", "no"],
            "evidence": ["r = 0.9 & so on", "never"],
            "section": ["figure1", "figure6"],
        }
    )
    answers = pd.DataFrame(
        {
            "question": ["Which models together?", "Which model is different?"],
            "answer": [f"Combine {NASTY} and CLIP: +0.24 points.", "CLIP is 20 % different."],
            "detail": ["Chosen by held-out images.", "κ = 0.4."],
        }
    )
    tables = {"models": models, "pairs": pairs, "summary": claims, "findings": answers}
    checked = pd.DataFrame(
        {
            "model": list(ACCURACIES)[-1:],
            "published": [0.6332],
            "measured": [0.6329],
            "difference": [-0.0003],
            "verdict": ["agrees"],
        }
    )
    tables |= {"table1": main, "calibration": many, "accuracy": checked}
    for stem, table in tables.items():
        table.to_csv(folder / f"{stem}.tsv", sep="\t", index=False)
    shown = ("table1", "calibration", "accuracy")
    given["tables"] = [str(folder / f"{stem}.tsv") for stem in shown]
    sheet = folder / "base--clip.png"
    shutil.copy(folder / "figure1.png", sheet)
    given["sheets"] = [str(sheet)]
    (folder / "flips").mkdir()
    given["flip_sheets"] = [str(folder / "flips/base--clip.png")]
    given["image_sheets"] = [str(folder / "none-right.png")]
    for path in (*given["flip_sheets"], *given["image_sheets"]):
        shutil.copy(folder / "figure2.png", path)
    updates = pd.DataFrame(
        {
            "update": "base + clip", "old": "base", "new": "clip", "old_name": NASTY,
            "new_name": "CLIP", "system": ["new", "probability"], "accuracy": [0.65, 0.74],
            "negative_flips": [0.123, 0.02], "negative_flips_low": [0.11, 0.01],
            "negative_flips_high": [0.135, 0.03], "left": [1.0, 0.163],
        }
    )  # fmt: skip
    images = pd.DataFrame({"rank": [2, None, 1], "id": ["b", "c", "a"], "class": NASTY})
    images = images.assign(answer="7", agree=[3, 4, 4], models=4, confidence=[0.5, 0.9, 0.75])
    for stem, table in {"updates": updates, "images": images}.items():
        table.to_csv(folder / f"{stem}.tsv", sep="\t", index=False)
        given["tables"].append(str(folder / f"{stem}.tsv"))
    given |= {
        name: str(folder / f"{name}.tsv") for name in ("models", "pairs", "summary", "findings")
    }
    return given | {"template": str(TEMPLATE), "study": STUDY}


@pytest.fixture(scope="module")
def page(files, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report(**files, html=str(path))
    return path


def without_data(text: str) -> str:
    return re.sub(r"data:[a-z/+-]+;base64,[A-Za-z0-9+/=]*", "data:", text)


def test_every_figure_is_in_the_page_once_in_its_smaller_form(page, files):
    text = page.read_text()
    for place, smaller in ((0, "svg"), (3, "png")):
        paths = {path[-3:]: Path(path) for path in files["figures"][place : place + 3]}
        contents = {kind: path.read_bytes() for kind, path in paths.items()}
        assert min(("svg", "png"), key=lambda kind: len(contents[kind])) == smaller
        coded = {kind: base64.b64encode(content).decode() for kind, content in contents.items()}
        # All three are in the page once; sheets are copies of the figures' PNG files: one of the
        # first, and two of the second.
        counts = {kind: text.count(code) for kind, code in coded.items()}
        assert counts == {"svg": 1, "png": 2 if place == 0 else 3, "pdf": 1}
        assert f'-image" src="data:{KINDS[smaller]};base64,{coded[smaller]}"' in text


def test_nothing_is_asked_of_elsewhere(page):
    text = without_data(page.read_text())
    assert not re.search(r"https?:|file:|url\(|@import", text)
    assert set(re.findall(r'(?:src|srcset|href)="(#|[^"]*)', text)) == {"#", "data:", "data:,"}
    assert "default-src 'none'" in text


def test_public_checkpoints_stand_beside_what_is_published(page):
    text = without_data(page.read_text())
    block = text[text.index("Published accuracies: public checkpoints") :]
    assert text.index("Published accuracies: public") < text.index("Calibration: temperatures")
    for part in ("CLIP", "Published (%)", "63.32", "63.29", "−0.03", "agrees"):
        assert part in block[: block.index("</table>")], part


def test_names_and_titles_are_escaped(page):
    text = without_data(page.read_text())
    assert "<b>" not in text and "<script>alert" not in text
    assert text.count("<script>") == 1
    assert text.count("<script type") == 1  # the pairs to look up, in which no tag can end
    assert "</script>" not in re.search(r"-data\">(.*?)</script>", text, re.DOTALL).group(1)
    assert html.unescape(re.search("<title>([^<]*)</title>", text).group(1)) == NASTY
    assert "<strong>Figure 1: a &lt; b.</strong> It says 5\N{NO-BREAK SPACE}% &amp; more." in text
    assert 'alt="Figure 1: a &lt; b."' in text
    assert "Errors &lt;differ&gt;." in text


def test_models_with_a_problem_stand_on_top(page, files, tmp_path):
    text = without_data(page.read_text())
    told = "<strong>model 0</strong>: right on &lt;b&gt;20 %&lt;/b&gt;."
    assert (
        text.index("Look at these models first")
        < text.index(told)
        < text.index('"answers"')
        < text.index('"cards"')
    )
    report(**files | {"tables": files["tables"][:1]}, html=str(tmp_path / "report.html"))
    assert "Look at these models" not in (tmp_path / "report.html").read_text()


def test_tables_can_be_saved_as_they_are(page, files):
    saved = re.findall(r'download="([^"]+)" href="data:[^,]*,([^"]*)"', page.read_text())
    tables = [path for path in files["tables"] if Path(path).name != "images.tsv"]  # too many rows
    contents = {Path(path).name: Path(path).read_bytes() for path in tables}
    shown = [*files["tsvs"], *files["figures"], files["pairs"]]
    contents |= {Path(path).name: Path(path).read_bytes() for path in shown}
    # The address of the image that is shown is given to its link by the browser.
    contents = {n: c for n, c in contents.items() if n not in ("figure1.svg", "figure2.png")}
    assert {name: base64.b64decode(content) for name, content in saved} == contents


def block_of(text: str, place: str) -> str:
    """Text of a block, without its tags."""
    part = re.split(r'<div class="block" id="', text)
    own = next(each for each in part if each.startswith(f'{place}"'))
    return html.unescape(re.sub(r"<[^>]+>", " ", own))


def test_updates_and_suspected_labels_are_shown_in_words(page):
    text = without_data(page.read_text())
    updates = " ".join(block_of(text, "updates").split())
    assert "new model alone 65.00" in updates and "mean of probabilities 74.00" in updates
    assert NASTY in updates and "12.3 ± 1.2" in updates
    assert "From A <b>" in block_of(text, "flip_sheets")
    assert "Images that no model gets right" in block_of(text, "image_sheets")
    images = " ".join(block_of(text, "images").split())
    assert images.index(" a 1 ") < images.index(" b 2 ")
    assert " c " not in images and "75" in images
    assert "The first 100; images.tsv has all images." in images


def test_an_empty_table_or_figure_is_left_out(files, tmp_path):
    empty = tmp_path / "table3.tsv"
    empty.write_text("model\tname\n")
    drawn = tmp_path / "figure2.tsv"
    drawn.write_text("x\n")
    given = {"tables": [*files["tables"], str(empty)], "tsvs": [files["tsvs"][0], str(drawn)]}
    report(**files | given, html=str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert "Table 3" not in text and "There are none" not in text
    assert 'id="figure1"' in text and 'id="figure2"' not in text


def test_answers_stand_first(page):
    text = without_data(page.read_text())
    told = html.unescape(text)
    assert told.index(f"Combine {NASTY} and CLIP: +0.24 points.") < text.index('"cards"')
    assert told.index("20\N{NO-BREAK SPACE}% different") < text.index("Chosen") + 9999


def test_no_id_is_given_twice(page):
    ids = re.findall(r'\sid="([^"]*)"', without_data(page.read_text()))
    assert len(ids) == len(set(ids)) > 10


def sections(text: str) -> list[str]:
    return re.findall(r"<h2 [^>]*>(\d+)&ensp;([^<]*)</h2>", text)


def test_sections_are_numbered_and_in_the_contents(page):
    text = page.read_text()
    found = sections(text)
    assert found == [
        ("1", "Which models are different"),
        ("2", "Models"),
        ("3", "Error inconsistency"),
        ("4", "Specialisation"),
        ("5", "Updates"),
        ("6", "Images"),
        ("7", "Claims"),
        ("8", "How it was made"),
    ]
    assert re.findall(r'<li><a href="#part-[a-z]+">(\d+)&ensp;([^<]*)</a>', text) == found


def test_what_a_study_lacks_is_left_out(files, tmp_path):
    lacking = ("figures", "tsvs", "tables", "sheets", "flip_sheets", "image_sheets")
    nothing = {key: [] for key in (*lacking, "summary", "findings")}
    study = STUDY | {"published": {"examples": 1234}, "ensemble": "unstated"}
    report(**files | nothing | {"study": study}, html=str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    assert sections(text) == [("1", "How it was made")]
    nav = text[text.index("<nav") : text.index("</nav>")]
    assert nav.count("<li>") == 2
    assert "<img" not in text and "<table" not in text and "Which models together" not in text
    assert "published numbers" in text


def test_a_claim_links_only_to_a_figure_that_is_there(page):
    text = page.read_text()
    assert '<a href="#figure1">Figure 1</a>' in text
    assert "#figure6" not in text and "Features help." in text


def test_the_same_input_gives_the_same_page(files, page, tmp_path):
    report(**files, html=str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_best_first_members_come_from_the_table_of_figure_5(files, tmp_path):
    table = tmp_path / "figure5.tsv"
    table.write_text("what\tbase\tname\tgain\nstep\tbase\t\t0.5\nfirst\tbase\tSeed 9\t0.0125\n")
    report(**files | {"tsvs": [str(table)]}, html=str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    block = text[text.index('id="first"') :]
    rows = re.findall(r"<tr>(.*)</tr>", block[: block.index("</table>")], re.DOTALL)
    assert len(re.findall("<tr>", block[: block.index("</table>")])) == 2  # head and one row
    assert "Seed 9" in rows[0] and "+1.25" in rows[0] and "50.00" not in rows[0]


def test_the_table_of_sensitivity_is_that_of_its_figure(files, tmp_path):
    row = {"number": "slope", "category": None, "combination": "logit", "value": 0.25}
    row |= {"value_low": 0.2, "value_high": 0.3, "chosen": True}
    drawn = tmp_path / "sensitivity.tsv"
    pd.DataFrame([row]).to_csv(drawn, sep="\t", index=False)
    report(**files | {"tsvs": [str(drawn)]}, html=str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    rows = re.findall(r"<tr>\s*(<td.*)</tr>", text[text.index('id="sensitivity-table"') :])
    assert rows == [
        "<td>Slope of improvement by inconsistency</td><td>mean of logits</td>"
        '<td class="number" data-sort="0.25">0.250 (0.200 to 0.300)</td><td>yes</td>'
    ]


def test_files_of_the_same_name_are_an_error_that_names_them(files, tmp_path):
    twice = [files["tables"][0], str(tmp_path / "other/table1.tsv")]
    with pytest.raises(InputError, match=r"other/table1.tsv have the same name; rename"):
        report(**files | {"tables": twice}, html=str(tmp_path / "report.html"))


def test_unknown_blocks_come_last_and_none_is_lost():
    blocks = {name: {"kind": "table"} for name in ("odd", "figure8", "table1", "figure-pareto")}
    arranged = arrange(blocks)
    assert [(s["id"], [b["id"] for b in s["blocks"]]) for s in arranged] == [
        ("part-choose", ["figure-pareto"]),
        ("part-models", ["table1"]),
        ("part-inconsistency", ["figure8"]),
        ("part-further", ["odd"]),
    ]


def test_a_pair_can_be_looked_up_whichever_comes_first():
    pairs = pd.DataFrame(
        {"model_1": ["a", "a"], "model_2": ["b", "c"], "name_1": "A", "name_2": "B",
         "combination": ["logit", "probability"], "only_1": [0.25, 0.5]}
    )  # fmt: skip
    block = lookup(pairs, "logit", ["b", "a"], b"")
    data = json.loads(block["data"])
    assert data["names"] == ["A", "B"] and data["first"] == [1, 0]
    assert data["pairs"] == [[0, 1, 0.25, None, None]]
    twins = lookup(pairs.assign(name_2="A"), "logit", ["x", "y"], b"")
    assert twins["names"] == ["A [a]", "A [b]"] and json.loads(twins["data"])["first"] == []


def test_sensitivity_has_one_column_for_all_choices():
    rows = pd.DataFrame(
        {
            "number": ["improvement", "dimensions"],
            "category": [None, "arch"],
            "combination": ["logit", None],
            "replacement": [True, None],
            "direction": [None, "lowest"],
            "value": [0.0125, 48.0],
            "value_low": [0.01, float("nan")],
            "value_high": [0.015, float("nan")],
            "chosen": [False, True],
        }
    )
    table, written = variants(rows)
    assert table["choices"].tolist() == [
        "mean of logits, a model may come in twice",
        "direction lowest",
    ]
    assert written == {"value": ["1.25 (1.00 to 1.50)", "48"]}
    assert table["value"].tolist() == [0.0125, 48.0]


def browse(address: str, folder: Path) -> str:
    """Give the document that a browser made of a page."""
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}",
        "--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run(
        [CHROMIUM, *options, address], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def probe(page: Path, folder: Path, width: int) -> dict:
    text = page.read_text()
    assert text.count("</body>") == 1
    (folder / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"))
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("{width}", str(width)))
    told = re.search(r'<pre id="told">(.*?)</pre>', browse(frame.as_uri(), folder), re.DOTALL)
    return json.loads(html.unescape(told.group(1)))


needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here (apt-get install chromium)"
)


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_figures_and_sorts_and_filters_tables(page, tmp_path, width):
    told = probe(page, tmp_path, width)
    assert len(told["images"]) == 5
    assert all(complete and natural > 0 for complete, natural in told["images"])
    assert told["orders"] == {
        "given": [NASTY, "Seed 10", "Seed 9", "CLIP"],
        "best": ["Seed 10", "CLIP", NASTY, "Seed 9"],
        "worst": ["Seed 9", NASTY, "CLIP", "Seed 10"],
        "missing best": ["Seed 10", "CLIP", "Seed 9", NASTY],
        "missing worst": ["Seed 9", "CLIP", "Seed 10", NASTY],
        "names": [NASTY, "CLIP", "Seed 9", "Seed 10"],
    }
    assert (told["best"], told["worst"], told["others"]) == ("descending", "ascending", None)
    # All words, in any order and case.
    assert told["filtered"] == [f"model {i}" for i in (3, 13, 23, *range(30, 40))]
    assert told["status"] == "13 of 40 rows"
    straight, turned, missing = told["lookup"]
    assert straight == {
        "Exactly one is right": "10.0 % (8.0 to 12.0)", "Above the mean of both": "1.00 points",
        f"Only {NASTY} right": "4.0 %", "Only Seed 10 right": "6.0 %",
    }  # fmt: skip
    assert turned == straight
    assert missing == {} and told["alone"] == "This study does not compare these two."
    # All downloads have their content, those of what is shown too.
    names = [name for name, _ in told["downloads"]]
    assert {"figure1.svg", "figure1.png", "figure1.pdf", "figure1.tsv", "pairs.tsv"} <= {*names}
    assert all(start.startswith("data:") for _, start in told["downloads"])
    # The answers are on the first screen, of a phone too.
    assert told["answersEnd"] < 800
    assert told["open"] == 2 * [width > 959]
    assert told["injected"] == 0
    assert told["broken"] == []
    assert told["fetched"] == []
    assert told["width"] == width and told["tooWide"] <= 0


@pytest.fixture
def server():
    """A server of one page that remembers what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(self.server.page)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.asked = []
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


@needs_browser
def test_a_browser_fetches_nothing_but_the_page(page, server, tmp_path):
    address = f"http://127.0.0.1:{server.server_port}/report.html"
    server.page = page.read_bytes()
    assert "<h1>" in browse(address, tmp_path)
    assert server.asked == ["/report.html"]

    # Not even what someone puts into it is fetched; but for the policy it would be.
    server.asked.clear()
    server.page = server.page.replace(b"</body>", b'<img src="/more.png"></body>')
    browse(address, tmp_path)
    assert server.asked == ["/report.html"]
    server.asked.clear()
    server.page = server.page.replace(b"Content-Security-Policy", b"none")
    browse(address, tmp_path)
    assert server.asked == ["/report.html", "/more.png"]


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_an_empty_or_cut_drawing_is_refused(files, tmp_path, kind, left):
    cut = tmp_path / f"figure1.{kind}"
    whole = next(path for path in files["figures"] if path.endswith(f"figure1.{kind}"))
    content = Path(whole).read_bytes()
    cut.write_bytes(content[: int(left * len(content))])
    given = [*(path for path in files["figures"] if path != whole), str(cut)]
    with pytest.raises(InputError, match=rf"figure1.{kind} is .*; delete it and run again"):
        report(**files | {"figures": given, "html": str(tmp_path / "report.html")})
    assert not (tmp_path / "report.html").exists()
