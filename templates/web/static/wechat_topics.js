// WeChat's own button for 订阅通知. What it answers is only shown here: WeChat reports it to the server by itself.
"use strict";

(() => {
  const box = document.querySelector("[data-signature]");
  const own = box.dataset;

  const say = (name) => {
    for (const line of document.querySelectorAll("[data-say]")) {
      line.hidden = line.dataset.say !== name;
    }
  };

  const accepted = (details) => {
    try {
      const all = typeof details === "string" ? JSON.parse(details) : details;
      const one = all[own.template];
      return (typeof one === "string" ? JSON.parse(one) : one).status === "accept";
    } catch {
      return false;
    }
  };

  if (typeof wx === "undefined" || !/MicroMessenger/i.test(navigator.userAgent)) {
    return; // the page already says that it has to be opened in WeChat
  }
  say("");
  document.addEventListener("WeixinOpenTagsError", () => say("old"));
  const button = box.querySelector("wx-open-subscribe");
  button.addEventListener("success", (event) => say(accepted(event.detail.subscribeDetails) ? "done" : "refused"));
  button.addEventListener("error", () => say("broken"));
  wx.error(() => say("broken"));
  wx.config({
    debug: false,
    appId: own.app,
    timestamp: Number(own.stamp),
    nonceStr: own.nonce,
    signature: own.signature,
    jsApiList: ["checkJsApi"],
    openTagList: ["wx-open-subscribe"],
  });
})();
