/** Time that a piece of work may take, as a signal. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Forgets the timer; the signal will not be aborted any more. */
  stop(): void;
}

/** Begins to count. With `outer`, it is over at the latest when that is. */
export function startDeadline(milliseconds: number, outer?: AbortSignal): Deadline {
  const controller = new AbortController();
  const end = (reason: string) => controller.abort(new Error(reason));
  const onOuter = () => end("the time is over");
  const timer = setTimeout(() => end(`no end after ${milliseconds} ms`), milliseconds);
  if (outer?.aborted === true) onOuter();
  outer?.addEventListener("abort", onOuter);
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer);
      outer?.removeEventListener("abort", onOuter);
    },
  };
}

/** What `work` gives, unless the signal is aborted before: then it rejects at once, whatever `work` does. */
export function orAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
