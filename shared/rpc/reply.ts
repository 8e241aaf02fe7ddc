import { MatrixError } from "../errors.ts";
import type { JsonObject } from "../json.ts";

/** What an actor's method answers: a value, or a refusal as data. Class identity never survives RPC, so errors travel as fields. */
export type Reply<T> =
  | { ok: true; value: T }
  | { ok: false; error: { status: number; errcode: string; error: string; extra: JsonObject } };

/** Runs an actor's method and turns a thrown {@link MatrixError} into a value. Any other throw is a bug and propagates. */
export async function reply<T>(body: () => T | Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: true, value: await body() };
  } catch (thrown) {
    if (!(thrown instanceof MatrixError)) throw thrown;
    const { status, errcode, message, extra } = thrown;
    return { ok: false, error: { status, errcode, error: message, extra } };
  }
}

/** The value of a reply. @throws MatrixError when the actor refused. */
export function unwrap<T>(answer: Reply<T>): T {
  if (answer.ok) return answer.value;
  const { status, errcode, error, extra } = answer.error;
  throw new MatrixError(status, errcode, error, extra);
}

/** The caller's view of an actor's interface: replies unwrapped, refusals thrown. */
export type Client<Rpc> = {
  [Method in keyof Rpc]: Rpc[Method] extends (...args: infer Args) => Promise<Reply<infer T>>
    ? (...args: Args) => Promise<T>
    : never;
};
