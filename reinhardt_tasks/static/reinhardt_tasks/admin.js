/* Pages about background tasks: parts that refresh themselves, long work, and selecting rows. Without it, all works by hand. */
"use strict";
{
    const EVERY = 5000;
    const place = document.querySelector("[data-rt-refresh]");
    const bar = document.querySelector("[data-rt-live]");
    const clock = bar && bar.querySelector("[data-rt-clock]");
    let isPaused = false;
    let isSent = false;

    // A part that somebody is in the middle of (in a form, or with words selected) is left as it is.
    function isBusy() {
        const active = document.activeElement;
        const selection = document.getSelection();
        return Boolean(active && active.closest("form")) || Boolean(selection && !selection.isCollapsed);
    }

    // A token of a form is written anew for each answer, and is no news.
    function news(part) {
        return part.innerHTML.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
    }

    // Whoever goes through the page by keyboard stays where they are, though it is written anew. Return what sees to that.
    function keptFocus(part) {
        const active = document.activeElement;
        if (!part.contains(active)) {
            return () => {};
        }
        const stops = () => [...part.querySelectorAll("a[href], button, summary, [tabindex]")];
        const isLike = (stop) => stop.tagName === active.tagName && stop.getAttribute("href") === active.getAttribute("href");
        const place = stops().indexOf(active);
        const placeAmongLike = stops().filter(isLike).indexOf(active);
        return () => {
            const stop = stops().filter(isLike)[placeAmongLike] || stops()[place];
            if (stop) {
                stop.focus({preventScroll: true});
            }
        };
    }

    function exchange(fresh) {
        const parts = fresh.querySelectorAll("[data-rt-part]");
        const known = new Map([...place.querySelectorAll("[data-rt-part]")].map((part) => [part.id, part]));
        const isSame = parts.length === known.size && [...parts].every((part) => known.has(part.id));
        if (!isSame) {
            const focus = keptFocus(place);
            place.replaceChildren(...fresh.body.childNodes);
            focus();
            return;
        }
        for (const part of parts) {
            const old = known.get(part.id);
            if (news(old) === news(part)) {
                continue;
            }
            const opened = [...old.querySelectorAll("details")].map((each) => each.open);
            const scrolled = [...old.querySelectorAll(".rt-scroll, pre")].map((each) => [each.scrollLeft, each.scrollTop]);
            const focus = keptFocus(old);
            old.replaceChildren(...part.childNodes);
            old.querySelectorAll("details").forEach((each, number) => {
                if (number in opened) {
                    each.open = opened[number];
                }
            });
            old.querySelectorAll(".rt-scroll, pre").forEach((each, number) => {
                if (number in scrolled) {
                    [each.scrollLeft, each.scrollTop] = scrolled[number];
                }
            });
            focus();
        }
    }

    // By the site's clock, like all other times of the page.
    function timeNow() {
        const language = document.documentElement.lang;
        try {
            return new Date().toLocaleTimeString(language, {timeZone: clock.dataset.zone});
        } catch {
            // No browser knows a zone of this name.
            return new Date().toLocaleTimeString(language, {timeZoneName: "short"});
        }
    }

    async function refresh() {
        try {
            const answer = await fetch(place.dataset.rtRefresh, {credentials: "same-origin", redirect: "error"});
            if (!answer.ok) {
                throw new Error(answer.statusText);
            }
            const text = await answer.text();
            if (!isPaused && !isBusy()) {
                exchange(new DOMParser().parseFromString(text, "text/html"));
            }
            clock.textContent = clock.dataset.words.replace("{time}", timeNow());
            bar.classList.remove("rt-lost");
        } catch {
            clock.textContent = clock.dataset.lost;
            bar.classList.add("rt-lost");
        }
    }

    async function update() {
        if (document.hidden || isPaused) {
            return;
        }
        if (isBusy()) {
            clock.textContent = clock.dataset.waits;
            return;
        }
        await refresh();
    }

    async function tick() {
        await update();
        setTimeout(tick, EVERY);
    }

    if (place && bar) {
        const button = bar.querySelector("[data-rt-pause]");
        bar.hidden = false;
        button.addEventListener("click", () => {
            isPaused = !isPaused;
            button.textContent = isPaused ? button.dataset.off : button.dataset.on;
        });
        document.addEventListener("visibilitychange", update);
        setTimeout(tick, EVERY);
    }

    // A second press before the first one is answered would do the same once more.
    document.addEventListener("submit", (event) => {
        if (event.target.getAttribute("method") !== "post") {
            return;
        }
        if (isSent) {
            event.preventDefault();
            return;
        }
        isSent = true;
        // The answer may never come.
        setTimeout(() => {
            isSent = false;
        }, 10000);
    });
    window.addEventListener("pageshow", () => {
        isSent = false;
    });

    // Something long, of which each answer does a part: the next one is asked for until somebody stops it, or leaves.
    for (const further of document.querySelectorAll("[data-rt-further]")) {
        const byHand = further.querySelector("[data-rt-by-hand]");
        const byItself = further.querySelector("[data-rt-by-itself]");
        const timer = setTimeout(() => further.closest("form").requestSubmit(), 300);
        byHand.hidden = true;
        byItself.hidden = false;
        const stop = byItself.querySelector("button");
        // Each part is a page of its own: nobody finds the way to it by keyboard in the time that one is there.
        stop.focus();
        stop.addEventListener("click", () => {
            clearTimeout(timer);
            isSent = false;
            further.classList.add("rt-stopped");
            // The next one may have been asked for already: its answer would go on.
            window.stop();
            byHand.hidden = false;
            byItself.hidden = true;
        });
        window.addEventListener("pagehide", () => clearTimeout(timer));
    }

    for (const form of document.querySelectorAll("[data-rt-selection]")) {
        const every = form.querySelector("[data-rt-select-all]");
        const boxes = [...form.querySelectorAll("input[name=ids]")];
        const told = form.querySelector("[data-rt-selected]");
        if (!every || !boxes.length) {
            continue;
        }
        const tell = () => {
            const number = boxes.filter((box) => box.checked).length;
            every.checked = number === boxes.length;
            every.indeterminate = number > 0 && number < boxes.length;
            if (told) {
                told.textContent = number ? `${number} ${told.dataset.words}` : "";
            }
        };
        every.hidden = false;
        every.addEventListener("change", () => {
            for (const box of boxes) {
                box.checked = every.checked;
            }
            tell();
        });
        form.addEventListener("change", tell);
        tell();
    }
}
