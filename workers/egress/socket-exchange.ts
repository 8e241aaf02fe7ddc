/** One request over a socket of its own: for certificates by another name than the host's, and for `Host` as it must be. */
import type { Answered, Exchange, Target } from "./context.ts";
import { orAborted, startDeadline } from "./deadline.ts";
import { readAnswer, requestHead } from "./http1.ts";

/** How long a connection may take to come about; there may be other targets to try. */
const connectTimeoutMs = 10_000;

/** Connects, makes sure who is there, sends the request, and reads the head of the answer. */
export async function exchangeOverSocket(internet: Fetcher, target: Target, request: Exchange): Promise<Answered> {
  const { host, port, tlsName } = target;
  const address = { hostname: host, port };
  const plain = internet.connect(address, { secureTransport: "starttls", allowHalfOpen: false });
  await opened(plain, request.signal);
  const socket = plain.startTls({ expectedServerHostname: tlsName });
  const close = () => void socket.close().catch(() => undefined);
  request.signal.addEventListener("abort", close, { once: true });
  try {
    await opened(socket, request.signal);
    const body = request.body === null ? null : new TextEncoder().encode(request.body);
    const writer = socket.writable.getWriter();
    await writer.write(new TextEncoder().encode(requestHead(target, request, body?.byteLength ?? null)));
    if (body !== null) await writer.write(body);
    return await readAnswer(socket.readable, close);
  } catch (thrown) {
    close();
    throw thrown;
  }
}

/** Waits for a connection, and closes what does not come about. */
async function opened(socket: Socket, signal: AbortSignal): Promise<void> {
  const deadline = startDeadline(connectTimeoutMs, signal);
  // Closing rejects what is under way on the socket; that is known here.
  socket.closed.catch(() => undefined);
  try {
    await orAborted(socket.opened, deadline.signal);
  } catch (thrown) {
    await socket.close().catch(() => undefined);
    throw thrown;
  } finally {
    deadline.stop();
  }
}
