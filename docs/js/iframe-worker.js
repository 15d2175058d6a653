// The site's search runs in a worker, which browsers refuse to pages that were opened from a file. This runs it in a
// hidden frame there. Material's offline plugin looks for a script of this name, and its search for this class.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.appendChild(frame);
      this.frame = frame.contentWindow;
      this.waiting = [];
      window.addEventListener("message", (event) => {
        if (event.source === this.frame) this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      const inside = frame.contentDocument;
      inside.open();
      inside.write(
        "<script>var postMessage = (data) => parent.postMessage(data, '*');" +
          "var importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((done, failed) => {" +
          "const script = document.createElement('script');" +
          "Object.assign(script, { src: url, onload: done, onerror: failed });" +
          "document.body.appendChild(script); })));<\/script>" +
          `<body><script src="${new URL(url, location.href)}"><\/script></body>`
      );
      inside.close();
      frame.contentWindow.onload = () => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.postMessage(data));
      };
    }
    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.frame.dispatchEvent(new this.frame.MessageEvent("message", { data }));
    }
    terminate() {
      this.frame.frameElement.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
