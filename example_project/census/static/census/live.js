"use strict";

// Ask once a second how far the run is, and redraw the parts of the page that have changed.
const live = document.getElementById("live");
const shown = {};

async function tick() {
  let ended = false;
  try {
    const response = await fetch(live.dataset.url);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const news = await response.json();
    for (const [part, html] of Object.entries(news.parts)) {
      if (shown[part] !== html) live.querySelector(`[data-part="${part}"]`).innerHTML = shown[part] = html;
    }
    ended = news.ended;
    live.classList.remove("stale");
  } catch (error) {
    live.classList.add("stale");
  }
  if (!ended) setTimeout(tick, 1000);
}

if (live && live.dataset.url) tick();
