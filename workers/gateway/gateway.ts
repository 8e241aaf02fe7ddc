import { systemClock, systemRandom } from "../../shared/clock.ts";
import type { Services, Waiter } from "../../shared/endpoint.ts";
import { ConfigError, parseConfig } from "../../shared/env.ts";
import { errors } from "../../shared/errors.ts";
import type { DeviceId, UserId } from "../../shared/ids.ts";
import { consoleLog } from "../../shared/log.ts";
import { actorsOf } from "../../shared/rpc/actors.ts";
import { egressOf } from "../../shared/rpc/egress-client.ts";
import { adminEndpoints } from "./admin/index.ts";
import { clientEndpoints } from "./client/index.ts";
import { clientAddressOf, type GatewayEnv, parseGatewayConfig } from "./env.ts";
import { federationEndpoints } from "./federation/index.ts";
import { respondToError } from "./respond.ts";
import { makeRouter } from "./router.ts";

/** Every endpoint that exists. The conformance table is compared with this list. */
export const allEndpoints = [...clientEndpoints, ...federationEndpoints, ...adminEndpoints];

const route = makeRouter(allEndpoints);

/** Answers requests with the bindings of one environment. */
export type Gateway = (request: Request) => Promise<Response>;

/**
 * Makes the gateway over an environment and the Worker's own exports. With a variable that cannot be used, every answer is a 500 and the log names
 * the variable: self-host refuses to start instead.
 */
export function makeGateway(env: GatewayEnv, exports: object): Gateway {
  const base = configured(env, exports);
  if (base === null) return async () => respondToError(errors.internal("The server is not configured correctly"));
  return (request) => {
    const { signal } = request;
    return route(request, {
      ...base.services,
      clientAddress: clientAddressOf(request.headers, base.clientAddressHeader, peerOf(request)),
      signal,
      openWaiter: (userId, deviceId, since) => openWaiter(env, { userId, deviceId, since }),
      pause: (milliseconds, until) => pause(milliseconds, until === undefined ? [signal] : [signal, until]),
    });
  };
}

/** The peer as the self-hosted runtime names it, `address:port`. Nothing that a client sends gets there. */
function peerOf(request: Request): string | null {
  const peer = request.cf?.clientIp;
  return typeof peer === "string" ? peer : null;
}

type FixedServices = Omit<Services, "clientAddress" | "signal" | "openWaiter" | "pause">;

function configured(
  env: GatewayEnv,
  exports: object,
): { services: FixedServices; clientAddressHeader: string | null } | null {
  try {
    const { clientAddressHeader, support } = parseGatewayConfig({ ...env });
    const services = {
      actors: actorsOf({ room: env.ROOM, user: env.USER, server: env.SERVER }),
      egress: egressOf(exports),
      config: parseConfig({ ...env }),
      support,
      clock: systemClock,
      random: systemRandom,
      log: consoleLog,
    };
    return { services, clientAddressHeader };
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    consoleLog.error("configuration is wrong", { variable: thrown.variable, error: thrown.message });
    return null;
  }
}

/** Opens the line over which a user's actor says that there is news. The actor may hibernate while it is open. */
async function openWaiter(
  env: GatewayEnv,
  { userId, deviceId, since }: { userId: UserId; deviceId: DeviceId; since: string },
): Promise<Waiter> {
  const query = new URLSearchParams({ device: deviceId, since });
  const headers = { Upgrade: "websocket" };
  const response = await env.USER.getByName(userId).fetch(`http://user/wait?${query}`, { headers });
  const socket = response.webSocket;
  if (socket === null) throw new Error(`the user's actor refused to wait: ${response.status}`);
  let isOpen = true;
  const outcome = new Promise<"news" | "closed">((resolve) => {
    const end = () => {
      isOpen = false;
      resolve("closed");
    };
    socket.addEventListener("message", () => resolve("news"));
    socket.addEventListener("close", end);
    socket.addEventListener("error", end);
  });
  socket.accept();
  return { outcome, close: () => (isOpen ? socket.close(1000, "done") : undefined) };
}

function pause(milliseconds: number, signals: readonly AbortSignal[]): Promise<void> {
  if (milliseconds <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    for (const signal of signals) {
      if (signal.aborted) finish();
      else signal.addEventListener("abort", finish);
    }
  });
}
