"""What people do: find what failed, read why, mend it; stop what goes on for too long; look without touching."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Site
from .places import PAGES, every_place

#: Text whose contrast with what is behind it is below 4.5 to 1 (WCAG 2.2, 1.4.3), of our own elements.
CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const rgba = parse(getComputedStyle(each).backgroundColor);
      if (rgba.length === 3 || rgba[3] > 0) return rgba;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("#content *")) {
    const words = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!words || !element.checkVisibility() || element.closest("svg, option, datalist")) continue;
    let opacity = 1;
    for (let each = element; each; each = each.parentElement) opacity *= Number(getComputedStyle(each).opacity);
    const back = behind(element);
    const front = parse(getComputedStyle(element).color).slice(0, 3).map((v, i) => v * opacity + back[i] * (1 - opacity));
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${words.slice(0, 40)}`);
  }
  return found;
}"""


#: Tables of which a part is out of sight, until somebody moves them.
HIDDEN_TO_THE_RIGHT = """() => [...document.querySelectorAll(".rt-scroll:not(.rt-drawing)")]
  .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.innerText.slice(0, 60))"""


#: Whether something goes to and fro in a bar.
MOVES = "bar => bar.getAnimations().some((each) => each.playState === 'running')"


def test_a_failed_task_is_found_read_and_mended(visit: Callable[..., Any], site: Site) -> None:
    site.door.unlink(missing_ok=True)
    site.enqueue("deliver", "parcel <b>7</b>")
    page = visit()
    page.locator("#content-main").get_by_role("link", name="Tasks", exact=True).click()
    failed = page.locator(".rt-card-bad a")
    # The overview refreshes itself: nobody reloads it.
    failed.wait_for()
    failed.click()
    page.locator(".rt-tasks").get_by_role("link", name="deliver").first.click()
    assert "LookupError: Nobody opens the door for parcel <b>7</b>." in page.locator(".rt-attempts").inner_text()
    site.door.touch()
    page.get_by_role("button", name="Retry").click()
    assert "Done for 1 task." in page.locator(".messagelist").inner_text()
    page.locator("#rt-task-state .rt-good").wait_for()
    # What can be done to it now is there with its new state.
    page.get_by_role("button", name="Run again").wait_for()
    page.reload()
    assert "parcel <b>7</b> was delivered" in page.locator("#rt-task-result").inner_text()
    assert page.locator(".rt-attempts > li").count() == 2
    assert "chief · Retried." in page.locator("#content").inner_text()


def test_a_running_task_is_cancelled(visit: Callable[..., Any], site: Site) -> None:
    id_ = site.enqueue("wander", "through the woods")
    page = visit()
    page.goto(PAGES["tasks"])
    page.locator("#rt-q").fill(id_)
    page.keyboard.press("Enter")
    page.locator(".rt-tasks").get_by_role("link", name="wander").click()
    page.locator("#rt-task-state .rt-run").wait_for()
    page.locator("#rt-task-state progress").wait_for()
    page.get_by_role("button", name="Cancel…").click()
    assert "Running ones are told to stop." in page.locator("#content").inner_text()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#rt-task-state .rt-off").wait_for()
    assert "Cancelled" in page.locator("#rt-task-state").inner_text()


def test_selected_tasks_are_discarded_by_keyboard(visit: Callable[..., Any], site: Site) -> None:
    site.door.touch()
    id_ = site.enqueue("deliver", "a letter")
    page = visit()
    page.goto(f"{PAGES['tasks']}?q={id_}&state=success")
    while not page.locator("input[name=ids]").count():
        page.reload()
    page.locator("[data-rt-select-all]").focus()
    page.keyboard.press("Space")
    assert page.locator("[data-rt-selected]").inner_text() == "1 selected"
    page.get_by_role("button", name="Discard…").focus()
    page.keyboard.press("Enter")
    page.get_by_text("This cannot be undone.").wait_for()
    page.get_by_role("button", name="Discard").focus()
    page.keyboard.press("Enter")
    page.get_by_text("No tasks match.").wait_for()


@pytest.mark.parametrize("is_stopped", [False, True])
def test_what_is_much_goes_on_by_itself_until_it_is_done_or_stopped(
    visit: Callable[..., Any], site: Site, is_stopped: bool
) -> None:
    site.enqueue("later", "2300")
    page = visit()
    page.goto(f"{PAGES['tasks']}?state=scheduled&q=tests.browser.tasks.pack")
    page.locator("input[name=all]").check()
    page.get_by_role("button", name="Discard…").click()
    page.get_by_role("button", name="Discard").click()
    if is_stopped:
        # Each part is another page, and whoever has no mouse is at the button at once.
        page.locator("[data-rt-by-itself] button:focus").wait_for()
        # Nobody knows how many there are, and the bar is not an empty box.
        assert page.locator(".rt-further progress").evaluate(MOVES)
        page.keyboard.press("Enter")
        page.get_by_text("Press the button to go on.").wait_for()
        assert not page.locator(".rt-further progress").evaluate(MOVES)
        # Longer than it waits by itself.
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Go on").click()
    else:
        page.get_by_text("Done for 2,300 tasks.").wait_for()
    page.get_by_text("No tasks match.").wait_for()


def test_a_schedule_is_made_and_run_now(visit: Callable[..., Any], site: Site) -> None:
    page = visit()
    page.goto(PAGES["schedules"])
    page.get_by_role("link", name="Add a schedule").click()
    page.locator("#rt-name").fill("at tea time")
    page.locator("#rt-task").fill("tests.browser.tasks.deliver")
    page.locator("#rt-kind").select_option("interval")
    assert [page.locator(f"#rt-{name}").is_visible() for name in ("expression", "every", "at")] == [False, True, False]
    page.locator("#rt-kind").select_option("cron")
    assert [page.locator(f"#rt-{name}").is_visible() for name in ("expression", "every", "at")] == [True, False, False]
    page.locator("#rt-expression").fill("0 17 * * moon")
    page.locator("#rt-args").fill('{"tea": 1}')
    page.get_by_role("button", name="Save").click()
    assert "the day of the week field 'moon'" in page.locator("#rt-expression_error").inner_text()
    assert "JSON list" in page.locator("#rt-args_error").inner_text()
    page.locator("#rt-args").fill('["tea"]')
    page.locator("#rt-expression").fill("0 17 * * mon")
    page.get_by_role("button", name="Save").click()
    assert "at 17:00 on Monday" in page.locator("#content").inner_text()
    page.get_by_role("button", name="Run at tea time now").click()
    assert "enqueued as task" in page.locator(".messagelist").inner_text()


def test_a_schedule_is_edited_and_its_next_runs_change(visit: Callable[..., Any], site: Site, pictures: Path) -> None:
    page = visit()
    page.goto(f"{PAGES['schedules']}add/")
    page.locator("#rt-name").fill("tidy up")
    page.locator("#rt-task").fill("tests.browser.tasks.pack")
    page.locator("#rt-args").fill('["a drawer"]')
    page.locator("#rt-expression").fill("0 17 * * mon")
    page.locator("#rt-tz").fill("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()
    runs = page.locator("li.rt-ahead")
    assert runs.count() == 10 and all("17:00:00 JST" in each for each in runs.all_inner_texts())
    page.get_by_role("link", name="Edit").click()
    page.locator("#rt-expression").fill("30 6 * * *")
    page.get_by_role("button", name="Preview").click()
    preview = page.locator("#rt-preview")
    assert "at 06:30 every day, Asia/Tokyo time" in preview.inner_text()
    assert runs.count() == 10 and all("06:30:00 JST" in each for each in runs.all_inner_texts())
    page.screenshot(path=str(pictures / "light-schedule-preview.png"), full_page=True)
    assert page.evaluate(CONTRASTS) == []
    page.get_by_role("button", name="Save").click()
    assert "The schedule was changed." in page.locator(".messagelist").inner_text()
    assert "at 06:30 every day" in page.locator(".rt-headline").inner_text()
    assert runs.count() == 10 and all("06:30:00 JST" in each for each in runs.all_inner_texts())


def test_a_second_press_is_none(visit: Callable[..., Any], site: Site) -> None:
    site.door.touch()
    id_ = site.enqueue("deliver", "a letter")
    page = visit()
    page.goto(f"/admin/reinhardt_tasks/jobrow/{id_}/change/")
    page.locator("#rt-task-state .rt-good").wait_for()
    page.reload()
    # The site is slow: nothing comes back. Each press is written down, and whether it was dropped, and goes nowhere.
    page.evaluate(
        """() => {
            window.dropped = [];
            document.addEventListener("submit", (event) => {
                window.dropped.push(event.defaultPrevented);
                event.preventDefault();
            });
        }"""
    )
    page.get_by_role("button", name="Run again").dblclick()
    assert page.evaluate("window.dropped") == [False, True]
    # Whoever comes back to the page may press again.
    page.evaluate("window.dispatchEvent(new Event('pageshow'))")
    page.get_by_role("button", name="Run again").click()
    assert page.evaluate("window.dropped") == [False, True, False]


def test_an_update_leaves_whoever_goes_by_keyboard_where_they_are(visit: Callable[..., Any], site: Site) -> None:
    id_ = site.enqueue("wander", "by keyboard")
    page = visit()
    page.goto(PAGES["workers"])
    link = page.locator(f"a[href*='{id_}']")
    link.wait_for()
    link.focus()
    # The seconds since the heartbeat are news each time: what is focused then is another link than this one.
    link.evaluate("link => { link.dataset.old = 'yes'; }")
    page.locator(f"a[href*='{id_}']:not([data-old])").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('href')") == link.get_attribute("href")
    assert page.locator("[data-rt-clock]").inner_text().startswith("Updated at ")


def test_a_workflow_is_seen_to_go_on_and_cancelled(visit: Callable[..., Any], site: Site) -> None:
    flow = site.enqueue("trip", "over the hills")
    page = visit()
    page.goto(PAGES["workflows"])
    page.locator(f"a[href*='{flow}']").click()
    # Nobody reloads it: its first step succeeds, its second one runs on and on.
    page.locator(".rt-node-good").wait_for()
    page.locator(".rt-node-run").wait_for()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#rt-flow-state .rt-off").wait_for()
    # The step that ran then ends a moment later, and nobody reloads the page for that.
    page.locator(".rt-node-run").wait_for(state="detached")
    assert page.locator("#rt-flow-steps .rt-run").count() == 0


def test_updates_can_be_paused(visit: Callable[..., Any], site: Site) -> None:
    page = visit()
    page.goto(PAGES["overview"])
    page.locator("[data-rt-clock]:not(:empty)").wait_for()
    page.get_by_role("button", name="Pause updates").click()
    assert page.get_by_role("button", name="Resume updates").is_visible()


def test_whoever_may_only_look_finds_no_buttons(visit: Callable[..., Any], site: Site) -> None:
    id_ = site.enqueue("deliver", "a secret")
    page = visit("guest")
    for place in [*PAGES.values(), f"/admin/reinhardt_tasks/jobrow/{id_}/change/"]:
        page.goto(place)
        assert page.locator("button[name=deed]").count() == 0
        assert "a secret" not in page.locator("#content").inner_text()
    assert "You may not see arguments" in page.locator("#content").inner_text()


@pytest.mark.parametrize("title", ["queues", "schedules"])
def test_what_can_be_done_is_in_sight_on_a_narrow_screen(visit: Callable[..., Any], site: Site, title: str) -> None:
    site.enqueue("pack", "a bag")
    page = visit(width=400)
    page.goto(PAGES[title])
    boxes = [button.bounding_box() for button in page.locator(".rt-table button[name=deed]").all()]
    assert len(boxes) >= 2
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 400 for box in boxes)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("light", {}),
        ("dark", {"scheme": "dark"}),
        ("narrow", {"width": 390}),
        ("japanese", {"locale": "ja-JP"}),
    ],
)
def test_every_page_can_be_read(
    visit: Callable[..., Any], site: Site, pictures: Path, name: str, how: dict[str, Any]
) -> None:
    page = visit(**how)
    for title, place in every_place(page, site).items():
        page.goto(place)
        page.screenshot(path=str(pictures / f"{name}-{title}.png"), full_page=True)
        if title == "index":
            continue
        assert page.evaluate(CONTRASTS) == [], (name, title)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, title)
        assert page.evaluate(HIDDEN_TO_THE_RIGHT) == [], (name, title)
        assert page.locator("html").get_attribute("lang") == ("ja" if name == "japanese" else "en")
        if name == "dark":
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 18)"
        if name == "japanese":
            assert "バックグラウンドタスク" in page.locator(".breadcrumbs").inner_text()
