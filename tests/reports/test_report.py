from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ablations.record import Manifest, ManifestCell
from d2v_core.errors import ConfigError
from reports.build import Report, build_report, gather
from reports.page.report_page import render_page
from reports.store.manifests import find_manifest
from tests.browser import chromium, watched
from tests.reports.stores import Store, make_manifest

NASTY = "<script>alert(1)</script> & $x_1$ \"quoted\" 'single'"
FILES = [
    *("table.md", "table.tex", "table.csv", "trials.csv", "trials.parquet"),
    *("claims.csv", "noise.csv", "curve.svg", "curve.png", "curve.pdf"),
    *("ledger.json", "ledger.md", "checklist.md", "report.html"),
]


FAILED = [{"status": "out_of_memory", "reason": "no memory", "seconds": 12.0}]


def fill(store: Store, manifest: Manifest) -> str:
    """Seed 1 of K=2 is missing, seed 0 of K=4 collapsed, K=3 had to be tried again.

    A former arm, K=9, is in the store.
    """
    run_id = store.study(manifest)
    for number, cell in enumerate(manifest.cells):
        if cell.arm == "K=2" and cell.seed == 1:
            continue
        collapsed = (cell.arm, cell.seed) == ("K=4", 0)
        losses = [1.0, 0.5 + 0.01 * number, 0.4]
        store.trial(
            manifest,
            cell.arm,
            cell.seed,
            60.0 + number % 5,
            status="collapsed" if collapsed else "finished",
            reason="collapsed at step 20: target/std 0.001 is below 0.01"
            if collapsed
            else "",
            environment={"torch": "2.15.0", "device": "cpu"},
            curves={} if cell.arm == "untrained" else {"train/loss": losses},
            failed=FAILED if (cell.arm, cell.seed) == ("K=3", 1) else (),
        )
    for cell in manifest.removed:
        store.trial(manifest, cell.arm, cell.seed, 50.0)
    return run_id


CLAIMS = [
    {
        "id": "many-beat-one",
        "says": f"Three layers beat one. {NASTY}",
        "where": "§5.4",
        "test": {"kind": "better", "arm": "K=3", "than": "K=1"},
    },
    {"id": "like-paper", "says": "As printed.", "test": {"kind": "like_paper"}},
]


def build(store: Store, name: str, folder: Path, *, attach: bool = False) -> Report:
    return build_report(
        tracking_uri=store.uri,
        study=name,
        modality="vision",
        scale="laptop",
        folder=folder,
        attach=attach,
    )


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Report:
    manifest = make_manifest("reported", hypothesis=NASTY, title=NASTY, claims=CLAIMS)
    left = [ManifestCell(arm="K=9", seed=0, key="reported-K=9-0")]
    fill(store, manifest.model_copy(update={"removed": left}))
    return build(store, "reported", tmp_path_factory.mktemp("report"), attach=True)


class Page(HTMLParser):
    """Collects tags, what they refer to, and the text a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1] not in ("script", "style"):
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(report.files["report.html"].read_text(encoding="utf-8"))


def test_all_files_are_written_and_attached(store: Store, report: Report):
    assert list(report.files) == FILES
    assert all(path.stat().st_size > 0 for path in report.files.values())
    attached = store.client.list_artifacts(report.run_id, "report")
    assert sorted(item.path for item in attached) == sorted(
        f"report/{f}" for f in FILES
    )


def test_a_second_build_is_the_same_byte_for_byte(
    store: Store, report: Report, tmp_path: Path
):
    again = build(store, "reported", tmp_path / "new" / "folder")
    assert report.files.keys() == again.files.keys() >= {"report.html", "table.md"}
    for name, path in report.files.items():
        if path.suffix != ".pdf":  # its fonts are cut in an order of their own
            assert again.files[name].read_bytes() == path.read_bytes(), name


def test_unknown_study_is_refused_and_nothing_written(store: Store, tmp_path: Path):
    with pytest.raises(ConfigError, match="has no run of 'nowhere'"):
        build(store, "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_page_needs_nothing_else(report: Report, page: Page):
    assert page.tags.count("script") == 4  # the data, Vega, tables, charts
    assert "link" not in page.tags
    addresses = [address for address in page.addresses if not address.startswith("#")]
    assert len(addresses) == 1 + 11  # the study's page and its runs'
    assert all(a.startswith("http://127.0.0.1:5000/#/exp") for a in addresses)
    assert "work while d2v ui reported runs" in page.text
    text = report.files["report.html"].read_text(encoding="utf-8")
    assert len(text) < 3_000_000
    assert "default-src 'none'" in text
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert len(page.ids) == len(set(page.ids))
    referred = {address[1:] for address in page.addresses if address[0] == "#"}
    referred |= set(re.findall(r"url\(#([^)]*)\)", text))
    assert referred <= set(page.ids)


def test_text_from_yaml_stays_text(page: Page):
    assert page.text.count("<script>alert(1)</script>") >= 3


def test_page_has_every_section(page: Page):
    for part in (
        "reproduces Figure 2 of arXiv 2202.03555v3",
        "metric and scale may differ, so levels must not be compared",
        "1/2",
        "not run yet",
        "95 % Student-t interval",
        "K=4 collapsed in 1 of 2 seeds.",
        "seed 0 collapsed at step 20",
        "d2v train vision-laptop --seed 1 --set target.top_k=3",
        f"tags.`d2v.request.{make_manifest('reported').request_id}` LIKE '%'",
        "12 planned: 10 finished, 1 collapsed, 1 missing; 12 tries, 1 without a result",
        "1 trial of former arms or seeds in the store, not in this table: K=9: 1 fin",
        "try 1 out of memory, 12 s lost: no memory",
        "c0ffee (11 trials)",
        "What differs from the paper's recipe",
        "training.batch_size",
        "2048",
        "12 trials by arm",
        "d2v ui",
        "reported-K=1-0",
        "d2v run reported --scale laptop",
        "d2v report reported --modality vision --scale laptop",
        "203,456 parameters",
        "2.15.0",
    ):
        assert part in page.text, part


def test_a_served_store_is_linked_study_and_runs(store: Store, report: Report):
    planned = find_manifest(store.client, "reported", "vision", "laptop")
    content = gather(store.client, planned, "http://me:secret@host:5000")
    page = Page(render_page(content))
    web = [address for address in page.addresses if not address.startswith("#")]
    experiment = f"http://host:5000/#/experiments/{planned.experiment_id}/runs"
    assert web[0].startswith(f"{experiment}?")
    assert web[0].endswith("&viewStateShareKey=d2v-reported-vision-laptop")
    assert len(web) == 1 + 11
    assert all(address.startswith(f"{experiment}/") for address in web[1:])
    assert "secret" not in page.text + "".join(page.addresses)


def test_each_number_of_ours_leads_to_the_runs_of_its_arm(store: Store, tmp_path: Path):
    manifest = make_manifest("linked", ks=(1, 2), references=("untrained",), seeds=6)
    for number, cell in enumerate(manifest.cells):
        store.trial(manifest, cell.arm, cell.seed, 60.0 + number % 5)
    store.study(manifest)
    report = build(store, "linked", tmp_path)
    text = report.files["report.html"].read_text(encoding="utf-8")
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    table = text[text.index('class="results ') : text.index("Each number of ours")]
    [row] = [part for part in table.split("<tr>") if ">K=2<" in part]
    cell = report.table.cell
    for key in ("n", "value", "difference", "p", "gain"):
        shown = cell("K=2", key)
        assert shown.value is not None
        assert f'<a href="#runs-1">{escape(shown.text)}</a>' in row, key
    assert row.count('"#runs-1"') == 5
    [baseline] = [part for part in table.split("<tr>") if ">K=1<" in part]
    assert baseline.count('"#runs-0"') == 3  # no difference to itself


def test_the_page_is_rebuilt_with_the_settings_of_its_request(
    store: Store, tmp_path: Path
):
    settings = ["target.top_k=2", "teacher.shares=[a, b]"]
    manifest = make_manifest("set", seeds=1, references=())
    store.study(manifest.model_copy(update={"assignments": settings}))
    report = build(store, "set", tmp_path)
    assert (
        "d2v report set --modality vision --scale laptop --set target.top_k=2 "
        "--set 'teacher.shares=[a, b]'"
    ) in Page(report.files["report.html"].read_text(encoding="utf-8")).text


def test_a_study_that_has_not_started_still_has_a_report(store: Store, tmp_path: Path):
    store.study(make_manifest("fresh"))
    report = build(store, "fresh", tmp_path)
    text = report.files["report.html"].read_text(encoding="utf-8")
    assert "Of 12 trials: 12 missing." in text
    assert "Environment: not recorded." in text
    assert "No curve was logged." in text


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_page_in_a_browser(report: Report, width: int):
    with chromium() as browser:
        seen = watched(browser, report.files["report.html"].as_uri(), width)
        page = seen.page
        scroll_width = page.evaluate("document.documentElement.scrollWidth")
        command = page.locator("#runs-2 code", has_text="--seed 0")
        assert not command.is_visible()
        page.click("table.results tr:has-text('K=3') td.number a >> nth=0")
        command.wait_for(state="visible")
        assert command.inner_text() == (
            "d2v train vision-laptop --seed 0 --set target.top_k=3"
        )
        for summary in page.locator("summary").all():
            if not summary.evaluate("node => node.parentElement.open"):
                summary.click()
        opened_width = page.evaluate("document.documentElement.scrollWidth")
        links = page.locator("td a, th a").count()
        claims = page.get_by_label("Claims and their numbers")
        fits = claims.evaluate("box => box.scrollWidth <= box.clientWidth")
        page.emulate_media(media="print")
        printed = page.locator("#runs-0 code").first.is_visible()
    assert seen.complaints == []
    assert seen.requests == [report.files["report.html"].as_uri()]
    assert (scroll_width, opened_width) == (width, width)
    assert links > 0
    assert fits
    assert printed


@pytest.mark.browser
def test_a_reader_points_at_clicks_and_chooses(report: Report):
    with chromium() as browser:
        seen = watched(browser, report.files["report.html"].as_uri(), 1280)
        page = seen.page
        page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
        marks = page.locator('[data-chart="effects"] .mark-symbol path')
        num_marks = marks.count()
        marks.last.hover()
        tip = page.locator(".tip").inner_text()
        marks.last.click()
        card = page.locator(".card").inner_text()
        link = page.locator(".card a").first.get_attribute("href") or ""
        page.keyboard.press("Escape")
        closed = not page.locator(".card").is_visible()
        page.uncheck("[data-shows=seeds]")
        page.wait_for_function(
            "most => document.querySelectorAll("
            "'[data-chart=effects] .mark-symbol path').length < most",
            arg=num_marks,
        )
        for name in ("log", "references"):
            page.locator(f"[data-shows={name}]").click()
        page.check("[data-view=units]")
        page.wait_for_selector("[data-chart=paper] .mark-symbol path")
        page.click("summary:has-text('choose arms')")
        page.click("button[data-value='K=4'] >> nth=0")
        pressed = page.locator("button[data-value='K=4']").last
        off = pressed.get_attribute("aria-pressed")
        page.click("table.results th >> nth=2")
        page.click("table.results th >> nth=2")
        first = page.locator("table.results tbody tr >> nth=0").inner_text()
        page.wait_for_timeout(500)  # a late complaint of a chart is one too
    assert "d2v train vision-laptop --seed" in tip
    assert "target.top_k = " in card
    assert "run in MLflow" in card
    assert link.startswith("http://127.0.0.1:5000/#/experiments/")
    assert closed
    assert off == "false"
    highest = max(arm.mean.mean for arm in report.result.arms[:4] if arm.mean)
    assert f"{highest:.2f}" in first
    assert seen.complaints == []
    assert len(seen.requests) == 1


@pytest.mark.browser
def test_without_javascript_picture_and_tables_stand(report: Report):
    with chromium() as browser:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(report.files["report.html"].as_uri())
        assert page.locator('[data-chart="effects"] svg').is_visible()
        assert page.locator("table.results").is_visible()
        assert not page.locator("[data-shows=log]").is_visible()
