// Makes the pages smoother; everything also works without it, by plain forms.
"use strict";
(() => {
  const fragment = { "X-Bianmin-Fragment": "1" };
  const talk = document.querySelector("[data-talk]");
  const composer = document.querySelector("[data-composer]");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  // In a frame of another site there is no cookie: the conversation's id stands in the forms, and here for a reload.
  const embedded = document.body.classList.contains("embed");
  const shelf = "bianmin";
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });

  const keep = () => {
    if (!embedded || !composer) return;
    const entries = [...talk.querySelectorAll("article[id^='e']")].map((card) => card.id.slice(1)).slice(-8).join(".");
    for (const field of document.querySelectorAll("input[name='entries']")) field.value = entries;
    try {
      sessionStorage.setItem(shelf, JSON.stringify({ talk: composer.elements.talk.value, entries }));
    } catch (error) {
      console.warn("bianmin: this browser keeps nothing in a frame; a reload starts anew", error);
    }
  };

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
    keep();
  };

  const deliver = async (place, text, key) => {
    try {
      const carried = embedded ? { talk: composer.elements.talk.value } : {};
      const response = await send(composer.action, { ...carried, text, key });
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
      const fields = Object.fromEntries(new FormData(form));
      send(form.action, { ...fields, useful: button.value }).then(
        (response) => form.replaceWith(make("p", "thanks", response.ok ? "谢谢，已经记下。" : "没有记上，请稍后再点。")),
        () => form.after(make("p", "thanks", "没有连上，请稍后再点。")),
      );
    } else if (form.matches(".size")) {
      // Switch at once and tell the server for the next page.
      event.preventDefault();
      const large = document.documentElement.classList.toggle("large");
      button.setAttribute("aria-pressed", String(large));
      button.value = large ? "normal" : "large";
      if (!embedded) send(form.action, { size: large ? "large" : "normal" }).catch((error) => console.warn("bianmin:", error));
    } else if (embedded && form.matches(".clear")) {
      try {
        sessionStorage.removeItem(shelf);
      } catch (error) {
        console.warn("bianmin: nothing was kept", error);
      }
    }
  });

  // 分享: the system's own sheet where there is one, else the address goes to the clipboard, else the link is followed.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-share]");
    if (!link || !(navigator.share || navigator.clipboard)) return;
    event.preventDefault();
    try {
      if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ title: document.title, url: link.href });
      else {
        await navigator.clipboard.writeText(link.href);
        link.textContent = "网址已复制";
        link.setAttribute("role", "status");
      }
    } catch (error) {
      if (error.name !== "AbortError") open(link.href, embedded ? "_blank" : "_self");
    }
  });

  if (embedded) {
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") parent.postMessage({ bianmin: "close" }, "*");
    });
    let kept = null;
    try {
      kept = JSON.parse(sessionStorage.getItem(shelf));
    } catch (error) {
      console.warn("bianmin: this browser keeps nothing in a frame", error);
    }
    if (kept && kept.entries && talk && !talk.querySelector(".card[id]")) {
      send("/chat/again?embed=1", kept).then(async (response) => {
        const html = await response.text();
        if (!response.ok || !html.includes("<article")) return;
        talk.innerHTML = html;
        for (const field of document.querySelectorAll("input[name='talk']")) field.value = kept.talk;
        document.querySelector(".clear").hidden = false;
        keep();
      }, (error) => console.warn("bianmin: the conversation could not be drawn again", error));
    }
  }

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
