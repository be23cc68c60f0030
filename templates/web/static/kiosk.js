// The kiosk: every page is swapped in place, so the browser's history holds the start screen only, and after a while
// without a touch everything is wiped. Without this script the pages still work and go home by a refresh.
"use strict";
(() => {
  const home = "/kiosk";
  const seconds = Number(document.body.dataset.seconds);
  const warnAt = Math.min(20, Math.ceil(seconds / 2));
  const bar = document.querySelector("[data-countdown]");
  const spoken = document.querySelector("[data-spoken]");
  const back = document.querySelector("[data-back]");
  const goHome = document.querySelector("[data-home]");
  const main = document.querySelector("main");
  let earlier = []; // what 上一步 shows again; gone with the page
  let touchedAt = performance.now();
  let openedAt = touchedAt;
  let busy = false;
  let leaving = false;

  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const box = () => document.querySelector("#text");
  const keys = () => document.querySelector("[data-keys]:not([hidden])");
  const untouched = () => "start" in document.body.dataset && !(box() && box().value) && !keys() && scrollY < 60;

  const touched = () => {
    touchedAt = performance.now();
    tick();
  };

  const tick = () => {
    const left = Math.ceil(seconds - (performance.now() - touchedAt) / 1000);
    const idle = leaving || untouched();
    bar.hidden = idle;
    bar.classList.toggle("soon", left <= warnAt);
    if (idle) {
      spoken.textContent = "";
      // New documents show on the start screen too, but only when nobody stands there.
      if (!leaving && performance.now() - Math.max(openedAt, touchedAt) > 600000) leave();
      return;
    }
    bar.querySelector("[data-left]").textContent = String(Math.max(left, 0));
    const words = left <= warnAt ? `${warnAt} 秒内没有操作就回到首页` : "";
    if (spoken.textContent !== words) spoken.textContent = words;
    if (left <= 0) leave();
  };

  // Wipe first, then go: what the citizen saw must vanish even where the network is down.
  const leave = async () => {
    if (leaving) return;
    leaving = true;
    const start = untouched();
    earlier = [];
    if (!start) main.replaceChildren(make("p", "card lead", "正在回到首页…"));
    bar.hidden = true;
    try {
      const response = await fetch(home, { credentials: "omit", cache: "no-store" });
      if (!response.ok) throw new Error(`status ${response.status}`);
      await response.text();
      location.replace(home);
    } catch (error) {
      console.warn("bianmin: the start screen did not come", error);
      leaving = false;
      openedAt = touchedAt = performance.now();
      if (start) return;
      main.replaceChildren(make("p", "card lead", "网络断开了，连上以后会自动回到首页。"));
      leaving = true;
      setTimeout(() => { leaving = false; leave(); }, 3000);
    }
  };

  const swap = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const next = page.querySelector("main");
    if (!next) throw new Error("no page came");
    earlier.push({ nodes: [...main.childNodes], title: document.title, look: document.body.className, start: "start" in document.body.dataset, at: scrollY });
    if (earlier.length > 12) earlier.splice(1, 1);
    show([...next.childNodes], page.title, page.body.className, "start" in page.body.dataset);
    const quoted = anchor && document.getElementById(anchor);
    if (quoted) {
      quoted.classList.add("target");
      quoted.scrollIntoView({ block: "center" });
    } else scrollTo(0, 0);
    main.focus({ preventScroll: true });
  };

  const show = (nodes, title, look, start) => {
    main.replaceChildren(...nodes);
    document.title = title;
    document.body.className = look;
    if (start) document.body.dataset.start = "";
    else delete document.body.dataset.start;
    back.hidden = earlier.length === 0;
    offerKeys();
    touched();
  };

  const go = async (address, options) => {
    if (busy || leaving) return;
    busy = true;
    main.setAttribute("aria-busy", "true");
    const url = new URL(address, location.href);
    try {
      const response = await fetch(url, { ...options, credentials: "omit", cache: "no-store" });
      const html = await response.text();
      if (!leaving) swap(html, url.hash.slice(1));
    } catch (error) {
      console.warn("bianmin: no answer came", error);
      if (!leaving) swap('<main><div class="card"><p class="lead">没有连上，请再点一次。</p><p>点“上一步”可以回到刚才的地方。</p></div></main>', "");
    } finally {
      busy = false;
      main.removeAttribute("aria-busy");
    }
  };

  // The keyboard of screens that have none: letters and numbers, for pinyin. It goes with the page like all else.
  const rows = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
  const named = { " ": "空格", "\b": "删除", "\0": "清空" };
  const key = (sign) => Object.assign(make("button", "key", named[sign] || sign), { type: "button", value: sign });

  const row = (signs) => {
    const line = make("div", "", "");
    line.append(...signs.map(key));
    return line;
  };

  const offerKeys = () => {
    for (const button of document.querySelectorAll("[data-keys-open]")) button.hidden = Boolean(keys());
  };

  const openKeys = () => {
    const board = document.querySelector("[data-keys]");
    if (!board || !board.hidden) return;
    board.replaceChildren(...rows.map((signs) => row([...signs])), row(["\0", " ", "\b"]));
    board.hidden = false;
    box().inputMode = "none"; // the system's own keyboard would cover this one
    offerKeys();
    box().focus({ preventScroll: true });
    board.closest("form").scrollIntoView({ block: "center" });
    touched();
  };

  const pressKey = (sign) => {
    const text = box().value;
    if (sign === "\0") box().value = "";
    else if (sign === "\b") box().value = [...text].slice(0, -1).join("");
    else if (text.length < box().maxLength) box().value = text + sign;
  };

  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("button.key");
    if (pressed) return pressKey(pressed.value);
    if (event.target.closest("[data-keys-open], #text")) return openKeys(); // many touch frames pose as a mouse
    const link = event.target.closest("a[href]");
    if (!link) return;
    event.preventDefault(); // nothing leads out of the kiosk
    const url = new URL(link.href, location.href);
    if (link === goHome || (url.pathname === home && !url.search)) leave();
    else if (link.getAttribute("href").startsWith("#")) document.getElementById(url.hash.slice(1))?.scrollIntoView();
    else if (url.origin === location.origin && url.pathname.startsWith(home)) go(url);
  });

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    const fields = new URLSearchParams(new FormData(form, event.submitter));
    if (form.matches("[data-feedback]")) {
      const said = (words) => form.replaceWith(make("p", "thanks", words));
      fetch(form.action, { method: "POST", body: fields, headers: { "X-Bianmin-Fragment": "1" } }).then(
        (response) => said(response.ok ? "谢谢，已经记下。" : "没有记上，请稍后再点。"),
        () => said("没有连上，请稍后再点。"),
      );
      return;
    }
    if ((fields.get("text") || "").trim()) go(form.action, { method: "POST", body: fields });
  });

  back.addEventListener("click", () => {
    const last = earlier.pop();
    if (!last || leaving) return;
    show(last.nodes, last.title, last.look, last.start);
    scrollTo(0, last.at);
  });

  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove", "input"]) addEventListener(kind, touched, { passive: true, capture: true });
  addEventListener("contextmenu", (event) => event.preventDefault());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.replace(home); // never a picture of what was there before
  });
  setInterval(tick, 500);
  offerKeys();
  tick();
})();
