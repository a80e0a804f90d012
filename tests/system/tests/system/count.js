// Waits for the sign, then counts up many times, a few requests at a time.
const REQUESTS = 60;
const AT_ONCE = 3;

const channel = new BroadcastChannel("start");
window.counting = new Promise((resolve) => {
  channel.onmessage = () => {
    const spans = [];
    const client = async () => {
      for (let i = 0; i < REQUESTS / AT_ONCE; i += 1) {
        const begin = performance.timeOrigin + performance.now();
        const response = await fetch("/count", { cache: "no-store" });
        await response.text();
        const end = performance.timeOrigin + performance.now();
        spans.push({ status: response.status, begin, end });
      }
    };
    resolve(Promise.all(Array.from({ length: AT_ONCE }, client)).then(() => spans));
  };
});
