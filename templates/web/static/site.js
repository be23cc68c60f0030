// Makes the pages smoother; everything also works without it, by plain forms.
"use strict";
(() => {
  const fragment = { "X-Bianmin-Fragment": "1" };
  const talk = document.querySelector("[data-talk]");
  const composer = document.querySelector("[data-composer]");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });

  const send = (address, fields) => fetch(address, { method: "POST", headers: fragment, body: new URLSearchParams(fields), credentials: "same-origin" });

  // One turn of the conversation. The key stays the same over retries, so a lost connection never asks twice.
  const ask = async (text, label, key) => {
    const said = make("p", "said", "");
    said.append(make("span", "unseen", "您问："), label);
    const place = make("article", "card pending", "正在查文件…");
    place.setAttribute("aria-busy", "true");
    talk.append(said, place);
    document.querySelector(".clear").hidden = false;
    said.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
    await deliver(place, text, key);
  };

  const deliver = async (place, text, key) => {
    try {
      const response = await send("/chat", { text, key });
      const html = await response.text();
      if (!response.headers.get("content-type").startsWith("text/html")) throw new Error(`status ${response.status}`);
      const holder = document.createElement("template");
      holder.innerHTML = html;
      const card = holder.content.querySelector("article");
      if (!card) throw new Error(`status ${response.status}`);
      place.replaceWith(card);
      if (!response.ok) offerRetry(card, text, key);
    } catch (error) {
      console.warn("bianmin: the question was not delivered", error);
      const card = make("article", "card failed", "");
      card.append(make("p", "lead", "没有连上。您的问题还在，可以再发一次。"));
      place.replaceWith(card);
      offerRetry(card, text, key);
    }
  };

  const offerRetry = (card, text, key) => {
    const again = make("button", "act", "再发一次");
    again.type = "button";
    again.addEventListener("click", () => {
      const place = make("article", "card pending", "正在查文件…");
      card.replaceWith(place);
      deliver(place, text, key);
    });
    const row = make("div", "actions", "");
    row.append(again);
    card.append(row);
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    if (talk && form.matches("[data-ask]")) {
      const box = form.querySelector("textarea");
      const text = box ? box.value.trim() : button.value;
      event.preventDefault();
      if (!text) return;
      ask(text, (button && button.dataset.label) || text, newKey());
      if (box) {
        box.value = "";
        fit(box);
        // On a phone the keyboard would cover the answer.
        if (matchMedia("(pointer: coarse)").matches) box.blur();
        else box.focus();
      }
    } else if (form.matches("[data-feedback]")) {
      event.preventDefault();
      send(form.action, { entry: form.elements.entry.value, useful: button.value }).then(
        (response) => form.replaceWith(make("p", "thanks", response.ok ? "谢谢，已经记下。" : "没有记上，请稍后再点。")),
        () => form.after(make("p", "thanks", "没有连上，请稍后再点。")),
      );
    } else if (form.matches(".size")) {
      // Switch at once and tell the server for the next page.
      event.preventDefault();
      const large = document.documentElement.classList.toggle("large");
      button.setAttribute("aria-pressed", String(large));
      button.value = large ? "normal" : "large";
      send(form.action, { size: large ? "large" : "normal" }).catch((error) => console.warn("bianmin:", error));
    }
  });

  // Enter sends, Shift+Enter makes a line; never while a Chinese input method is composing.
  const fit = (box) => {
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
  };
  for (const box of document.querySelectorAll(".composer textarea")) {
    box.addEventListener("input", () => fit(box));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      if (box.value.trim()) box.form.requestSubmit();
    });
  }

  const banner = document.querySelector("[data-offline]");
  const online = () => { banner.hidden = navigator.onLine; };
  addEventListener("online", online);
  addEventListener("offline", online);
  online();

  // Where there is room for a column of filters, show what they hold.
  if (matchMedia("(min-width: 48rem)").matches) for (const group of document.querySelectorAll(".filters details")) group.open = true;

  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
})();
