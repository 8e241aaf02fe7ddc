import { orAborted } from "./deadline.ts";

/** What a peer's answer may be. */
export interface BodyBounds {
  /** After decompression. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Called once, when the body has ended in whatever way. */
  onEnd(): void;
}

/** A body that fails when it is longer than allowed, or not over in time; both cancel the peer's. */
export function boundedBody(
  body: ReadableStream<Uint8Array> | null,
  { maxBytes, signal, onEnd }: BodyBounds,
): ReadableStream<Uint8Array> {
  const reader = body?.getReader() ?? null;
  let received = 0;
  let hasEnded = false;
  const end = () => {
    if (!hasEnded) onEnd();
    hasEnded = true;
  };
  const abandon = (reason: unknown) => {
    end();
    // The peer's side may be broken already: nothing is left to be done about it.
    reader?.cancel(reason).catch(() => undefined);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (reader === null) {
          end();
          return controller.close();
        }
        try {
          const { done, value } = await orAborted(reader.read(), signal);
          if (done) {
            end();
            return controller.close();
          }
          received += value.byteLength;
          if (received > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
          controller.enqueue(value);
        } catch (thrown) {
          abandon(thrown);
          controller.error(thrown);
        }
      },
      cancel: abandon,
    },
    // Nothing is read before somebody asks for it.
    { highWaterMark: 0 },
  );
}

/** The whole of a body as text; what is not UTF-8 becomes U+FFFD. @throws what the body failed with */
export async function readText(body: ReadableStream<Uint8Array>): Promise<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
  }
}
