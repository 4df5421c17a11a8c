// The connection: one event stream; while it is down, `status` is polled.

const POLL_MS = 5000;
const AGAIN_MS = 15000;

/**
 * Calls `onStatus(status)` with each whole status and `onState("live" | "polling" | "off")`.
 * Paths are relative, so that the page also works below a path prefix.
 */
export function connect(onStatus, onState) {
  let last = null;
  let timer = null;
  let source = null;

  // later events leave out the long parts while they are unchanged
  const take = (news) => {
    last = { ...last, ...news };
    onStatus(last);
  };

  const poll = async () => {
    try {
      const answer = await fetch("./status", { signal: AbortSignal.timeout(POLL_MS) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      take(await answer.json());
      if (timer) onState("polling");
    } catch {
      if (timer) onState("off");
    }
  };

  const pollFromNow = () => {
    if (timer) return;
    timer = setInterval(poll, POLL_MS);
    onState("off");
    poll();
  };

  const pollNoMore = () => {
    clearInterval(timer);
    timer = null;
  };

  const listen = () => {
    source = new EventSource("./events?sparing=1");
    source.addEventListener("state", (event) => {
      pollNoMore();
      onState("live");
      take(JSON.parse(event.data));
    });
    source.addEventListener("bye", pollFromNow);
    source.addEventListener("error", () => {
      pollFromNow();
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
    });
  };

  listen();
  return () => {
    pollNoMore();
    source.close();
  };
}
