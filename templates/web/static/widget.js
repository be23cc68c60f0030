// 便民答复小组件: one script tag in a county's own page puts a button there, and behind it the chat in a sandboxed frame.
//   <script src="https://…/static/widget.js" defer data-label="问一问" data-side="right"></script>
// It sets no cookie, reads nothing of the page, and styles nothing outside its own shadow tree.
"use strict";
(() => {
  const tag = document.currentScript;
  if (!tag || document.querySelector("[data-bianmin-widget]")) return;
  const origin = new URL(tag.src).origin;
  const label = tag.dataset.label || "问一问";
  const side = tag.dataset.side === "left" ? "left" : "right";

  const host = document.createElement("div");
  host.dataset.bianminWidget = "";
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet(); // a constructed sheet also works where the page's policy forbids inline styles
  sheet.replaceSync(`
    :host { all: initial; }
    button { position: fixed; ${side}: 1rem; bottom: 1rem; z-index: 2147483000; min-height: 52px; min-width: 52px; padding: 0 22px; border: 0; border-radius: 26px;
      background: #0e5a4a; color: #fff; font: 600 17px/1.4 "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; cursor: pointer; box-shadow: 0 4px 18px rgb(0 0 0 / 25%); }
    button:focus-visible { outline: 3px solid #0e5a4a; outline-offset: 3px; }
    iframe { position: fixed; ${side}: 1rem; bottom: 5.2rem; z-index: 2147483000; width: min(25rem, calc(100vw - 2rem)); height: min(40rem, calc(100vh - 7rem)); height: min(40rem, calc(100dvh - 7rem));
      border: 1px solid #7d8a83; border-radius: 16px; background: #f6f5f0; box-shadow: 0 10px 40px rgb(0 0 0 / 25%); }
    iframe[hidden] { display: none; }
    @media (max-width: 30rem) { iframe { left: 0; right: 0; bottom: 4.8rem; width: 100vw; height: calc(100vh - 4.8rem); height: calc(100dvh - 4.8rem); border-width: 1px 0; border-radius: 0; } }
    @media print { button, iframe { display: none; } }
  `);
  root.adoptedStyleSheets = [sheet];

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.setAttribute("aria-expanded", "false");
  let frame = null;

  const show = (open) => {
    if (open && !frame) {
      frame = document.createElement("iframe");
      frame.title = "便民答复助手";
      // Scripts and storage of the assistant's own origin, forms, and links that open outside; nothing of this page.
      frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox");
      frame.allow = "clipboard-write; web-share";
      frame.referrerPolicy = "origin";
      frame.src = `${origin}/chat?embed=1`;
      root.prepend(frame);
    }
    if (frame) frame.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "收起" : label;
    if (open) frame.focus();
  };

  button.addEventListener("click", () => show(!frame || frame.hidden));
  host.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && frame && !frame.hidden) show(false);
  });
  addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== origin) return;
    if (event.data && event.data.bianmin === "close") {
      show(false);
      button.focus();
    }
  });

  root.append(button);
  document.body.append(host);
})();
