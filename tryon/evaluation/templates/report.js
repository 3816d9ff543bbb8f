"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- pictures: stored once each as text, decoded when they come into view
  let stored = null;
  const source = (key) => {
    stored ??= JSON.parse($("#pictures").textContent);
    return "data:image/jpeg;base64," + stored[key];
  };
  const load = (image) => {
    if (!image.dataset.picture) return;
    image.src = source(image.dataset.picture);
    delete image.dataset.picture;
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      load(entry.target);
      watcher.unobserve(entry.target);
    }
  }, { rootMargin: "800px" });
  all("img[data-picture]").forEach((image) => watcher.observe(image));

  // ---- the hash: #section, #lang=zh or #section&lang=zh
  const root = document.documentElement;
  const first = root.lang === "en" ? "en" : "zh";
  const parts = () => decodeURIComponent(location.hash.slice(1)).split("&");
  const section = () => parts().find((part) => part && !part.includes("=")) || "";
  const wanted = () => {
    const found = parts().map((part) => /^lang=(en|zh)$/.exec(part)).find(Boolean);
    return found ? found[1] : first;
  };
  const remember = (name, language) => {
    const hash = [name, language === first ? "" : "lang=" + language].filter(Boolean).join("&");
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  };

  // ---- language: texts stand there in both, attributes carry the other one in data-other-…
  const ATTRIBUTES = ["alt", "title", "aria-label", "placeholder"];
  const exchange = () => {
    for (const name of ATTRIBUTES) {
      for (const element of all(`[data-other-${name}]`)) {
        const now = element.getAttribute(name);
        element.setAttribute(name, element.getAttribute("data-other-" + name));
        element.setAttribute("data-other-" + name, now);
      }
    }
    for (const element of all("[data-other-text]")) {
      const now = element.textContent;
      element.textContent = element.getAttribute("data-other-text");
      element.setAttribute("data-other-text", now);
    }
  };
  let shown = first;
  const speak = (language) => {
    if (language === shown) return;
    shown = language;
    root.lang = language === "zh" ? "zh-CN" : "en";
    exchange();
    all("[data-language]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.language === language));
    count();
  };
  all("[data-language]").forEach((button) => button.addEventListener("click", () => {
    remember(section(), button.dataset.language);
    speak(button.dataset.language);
  }));

  // ---- links inside the page keep the language
  const reach = (name) => {
    const target = name && document.getElementById(name);
    if (!target) return;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    const name = link.getAttribute("href").slice(1);
    history.pushState(null, "", "#" + name + (shown === first ? "" : "&lang=" + shown));
    reach(name);
    const target = document.getElementById(name);
    if (target) { target.tabIndex = -1; target.focus({ preventScroll: true }); }
  });
  const follow = () => { speak(wanted()); reach(section()); };
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);

  // ---- sliders: a range input lies over each, so keyboard and screen readers have it, too
  const cut = (slider) => slider.style.setProperty("--cut", $("input", slider).value + "%");
  const slide = (slider) => {
    const input = $("input", slider);
    const follow = (event) => {
      const box = slider.getBoundingClientRect();
      input.value = Math.round(100 * (event.clientX - box.left) / box.width);
      cut(slider);
    };
    input.addEventListener("input", () => cut(slider));
    input.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      input.focus({ preventScroll: true });
      input.setPointerCapture(event.pointerId);
      follow(event);
    });
    input.addEventListener("pointermove", (event) => { if (input.hasPointerCapture(event.pointerId)) follow(event); });
    cut(slider);
  };
  all(".slider").forEach(slide);

  // ---- gallery: filters, order, pages
  const PER_PAGE = 12;
  const box = $("#pairs");
  const cards = box ? all(".pair", box) : [];
  const chosen = { list: $('[data-filter="list"]')?.dataset.value, order: "worst", category: "", doubtful: false, search: "" };
  let page = 0;
  let found = [];
  const matches = (card) => card.dataset.list === chosen.list
    && (!chosen.category || card.dataset.category === chosen.category)
    && (!chosen.doubtful || "doubtful" in card.dataset)
    && card.dataset.pair.toLowerCase().includes(chosen.search);
  const count = () => {
    if (!box) return;
    const from = page * PER_PAGE;
    const to = Math.min(from + PER_PAGE, found.length);
    const values = { from: found.length ? from + 1 : 0, to, num: found.length };
    const pattern = $("#count").dataset[shown];
    $("#count").textContent = pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
    $('[data-page="-1"]').disabled = page === 0;
    $('[data-page="1"]').disabled = to >= found.length;
  };
  const turn = () => {
    const visible = found.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    cards.forEach((card) => { card.hidden = true; });
    visible.forEach((card) => { card.hidden = false; box.append(card); });
    $("#nothing").hidden = found.length > 0;
    count();
  };
  const filter = () => {
    const sign = chosen.order === "best" ? -1 : 1;
    found = cards.filter(matches).sort((a, b) => sign * (a.dataset.rank - b.dataset.rank));
    page = 0;
    turn();
  };
  if (box) {
    const form = $("#filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("click", (event) => {
      const chip = event.target.closest("[data-filter]");
      if (!chip) return;
      chosen[chip.dataset.filter] = chip.dataset.value;
      all(`[data-filter="${chip.dataset.filter}"]`, form).forEach((other) => other.setAttribute("aria-pressed", other === chip));
      filter();
    });
    form.elements.doubtful.addEventListener("change", (event) => { chosen.doubtful = event.target.checked; filter(); });
    form.elements.search.addEventListener("input", (event) => { chosen.search = event.target.value.trim().toLowerCase(); filter(); });
    all("[data-page]").forEach((button) => button.addEventListener("click", () => {
      page += Number(button.dataset.page);
      turn();
      $("#results .pages").scrollIntoView({ block: "start" });
    }));
    filter();
  }

  // ---- the large view: any two pictures of a pair over each other, and all of them in a row
  const large = $("#large");
  let current = null;
  const put = (side, figure) => {
    const image = $("img", figure);
    load(image);
    const target = $(`.compare img.${side}`, large);
    target.src = image.src;
    target.alt = image.alt;
    if (side === "under") $(".slider", large).style.aspectRatio = `${image.width} / ${image.height}`;
  };
  const enlarge = (card) => {
    current = card;
    $(".name", large).textContent = card.dataset.pair;
    $(".head .scores", large).replaceChildren(...all(".scores > span", card).map((span) => span.cloneNode(true)));
    const strip = $(".strip", large);
    strip.replaceChildren(...all(".steps figure", card).map((figure) => figure.cloneNode(true)));
    const figures = all("figure", strip);
    figures.forEach((figure) => load($("img", figure)));
    const captions = figures.map((figure) => {
      const text = $("figcaption", figure);
      return $(".en", text) ? [$(".en", text).textContent, $(".zh", text).textContent] : [text.textContent, ""];
    });
    const last = figures.length - 1 - (all(".inputs .open", card).length > 1 ? 1 : 0);
    for (const [side, place] of [["over", 0], ["under", last]]) {
      const select = $(`select[data-side="${side}"]`, large);
      select.replaceChildren(...captions.map(([en, zh], index) => {
        const option = new Option(shown === "zh" && zh ? zh : en, index);
        if (zh) option.setAttribute("data-other-text", shown === "zh" ? en : zh);
        return option;
      }));
      select.value = place;
      select.onchange = () => put(side, figures[select.value]);
      put(side, figures[place]);
    }
    figures.forEach((figure, index) => {
      figure.tabIndex = 0;
      figure.setAttribute("role", "button");
      const choose = () => {
        const select = $('select[data-side="under"]', large);
        select.value = index;
        put("under", figure);
      };
      figure.onclick = choose;
      figure.onkeydown = (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose();
      };
    });
    all("[data-go]", large).forEach((button) => { button.disabled = !found[found.indexOf(card) + Number(button.dataset.go)]; });
    if (!large.open) large.showModal();
  };
  box?.addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (button) enlarge(button.closest(".pair"));
  });
  all("[data-go]", large).forEach((button) => button.addEventListener("click", () => {
    enlarge(found[found.indexOf(current) + Number(button.dataset.go)]);
  }));
  $("[data-close]", large).addEventListener("click", () => large.close());
  large.addEventListener("click", (event) => { if (event.target === large) large.close(); });

  // ---- print: everything unfolded, every picture that shows loaded; afterwards as before
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((details) => { details.open = true; });
    all("img[data-picture]").filter((image) => image.getClientRects().length).forEach(load);
  });
  addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

  follow();
})();
