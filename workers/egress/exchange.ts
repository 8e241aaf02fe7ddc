import { describeError } from "../../shared/log.ts";
import { refusalOf } from "./address-policy.ts";
import type { Answered, EgressContext, Exchange, Target } from "./context.ts";
import { orAborted } from "./deadline.ts";

/** A peer cannot be had. Never leaves the egress: it becomes a value there. */
export class Unreachable extends Error {
  /** False: our own rules forbid to ask. */
  readonly wasAsked: boolean;

  constructor(reason: string, wasAsked = true) {
    super(reason);
    this.wasAsked = wasAsked;
  }
}

/**
 * One request to one target, and the only call of the transport: each hop of each request passes the address policy here.
 * @throws Unreachable whatever the reason
 */
export async function exchangeWith(egress: EgressContext, target: Target, request: Exchange): Promise<Answered> {
  const refusal = refusalOf(egress.config, target);
  if (refusal !== null) throw new Unreachable(refusal, false);
  try {
    return await orAborted(egress.transport.exchange(target, request), request.signal);
  } catch (thrown) {
    throw new Unreachable(`${target.host} port ${target.port}: ${describeError(thrown)}`);
  }
}
