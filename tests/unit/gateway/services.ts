import type { Services } from "../../../shared/endpoint.ts";
import { parseConfig, type Variables } from "../../../shared/env.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { LogFields } from "../../../shared/log.ts";
import { actorsOf } from "../../../shared/rpc/actors.ts";
import { noEgress } from "../../support/no-egress.ts";

/** A line that the gateway has logged. */
export interface LoggedLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

/** Services over actors that are given method by method, with a clock that only waiting moves. */
export interface FakeServices extends Services {
  readonly logged: LoggedLine[];
  now: number;
}

/** The methods of the actors that a test needs; each answers a reply. */
export interface FakeActors {
  readonly user?: object;
  readonly room?: object;
  readonly server?: object;
}

/** An actor's answer. */
export const ok = (value: unknown) => Promise.resolve({ ok: true, value });
export const refused = (status: number, errcode: string, extra: JsonObject = {}) =>
  Promise.resolve({ ok: false, error: { status, errcode, error: "refused", extra } });

/** Makes services for one request. */
export function fakeServices(
  actors: FakeActors = {},
  changes: Partial<Services> = {},
  variables: Variables = {},
): FakeServices {
  const logged: LoggedLine[] = [];
  const log =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      logged.push({ level, message, ...fields });
    };
  const namespace = (actor: object = {}) => ({ getByName: () => actor });
  const services: FakeServices = {
    actors: actorsOf({ room: namespace(actors.room), user: namespace(actors.user), server: namespace(actors.server) }),
    egress: noEgress,
    config: parseConfig({ SERVER_NAME: "example.org", ...variables }),
    support: { contact: null, page: null },
    clock: { now: () => services.now },
    random: { bytes: (length) => new Uint8Array(length) },
    log: { info: log("info"), warn: log("warn"), error: log("error") },
    clientAddress: null,
    signal: new AbortController().signal,
    openWaiter: () => Promise.reject(new Error("not expected to wait")),
    pause: async (milliseconds) => {
      services.now += Math.max(0, milliseconds);
    },
    logged,
    now: 1_000_000,
    ...changes,
  };
  return services;
}
