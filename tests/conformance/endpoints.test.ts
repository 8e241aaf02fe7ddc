import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Endpoint } from "../../shared/endpoint.ts";
import { adminEndpoints } from "../../workers/gateway/admin/index.ts";
import { clientEndpoints } from "../../workers/gateway/client/index.ts";
import { federationEndpoints } from "../../workers/gateway/federation/index.ts";
import { clientOf } from "../support/client.ts";
import { type Homeserver, startHomeserver } from "../support/homeserver.ts";
import { type NotYet, notYet } from "./not-yet.ts";
import { type Api, type SpecOperation, specOperations } from "./spec-endpoints.ts";

const endpointsByApi: Readonly<Partial<Record<Api, readonly Endpoint[]>>> = {
  client: clientEndpoints,
  federation: federationEndpoints,
};

const served = specOperations.filter((operation) => operation.role === "serves");

/** A path without the names of its parameters, which the spec and we need not share. */
const shapeOf = (path: string) => path.replace(/\{\w+\}|:\w+/g, ":").replace(/\/$/, "");

const isOf = (operation: SpecOperation) => (endpoint: Endpoint) =>
  endpoint.operationId === operation.operationId &&
  endpoint.method === operation.method &&
  shapeOf(endpoint.path) === shapeOf(operation.path);

const isImplemented = (operation: SpecOperation) => (endpointsByApi[operation.api] ?? []).some(isOf(operation));

const issueOf = (operation: SpecOperation, list: readonly NotYet[] = notYet) =>
  list.find(({ api, operationIds }) => api === operation.api && operationIds.includes(operation.operationId))?.issue;

const nameOf = ({ api, method, path, operationId }: SpecOperation) => `${api} ${operationId}: ${method} ${path}`;

describe("the specification's operations", () => {
  it("are 235, each once", () => {
    expect(specOperations).toHaveLength(235);
    expect(new Set(specOperations.map(({ api, operationId }) => `${api} ${operationId}`)).size).toBe(235);
  });

  it("are each implemented, or listed as not yet with the issue that will bring them", () => {
    const lost = served.filter((operation) => !isImplemented(operation) && issueOf(operation) === undefined);
    expect(lost.map(nameOf)).toEqual([]);
  });

  it("are not listed as not yet once they exist", () => {
    const stale = served.filter((operation) => isImplemented(operation) && issueOf(operation) !== undefined);
    expect(stale.map(nameOf)).toEqual([]);
  });

  it("are listed as not yet under names that the specification has", () => {
    const known = new Set(served.map(({ api, operationId }) => `${api} ${operationId}`));
    const listed = notYet.flatMap(({ api, operationIds }) => operationIds.map((id) => `${api} ${id}`));
    expect(listed.filter((name) => !known.has(name))).toEqual([]);
    expect(new Set(listed).size).toBe(listed.length);
  });

  it("would be missed if they were in no list", () => {
    const [first] = notYet;
    const operation = served.find(({ operationId }) => operationId === first?.operationIds[0]);
    expect(operation && issueOf(operation)).toBe(first?.issue);
    expect(operation && issueOf(operation, notYet.slice(1))).toBeUndefined();
  });
});

/** Removed from the specification in version 1.18; older servers still call them. */
const removed = ["sendJoinV1", "sendLeaveV1"];

describe("our endpoints", () => {
  it("are all of the specification, but for those of operators and for older servers", () => {
    const ours = Object.values(endpointsByApi).flat();
    const current = ours.filter(({ operationId }) => !removed.includes(operationId));
    const foreign = current.filter((endpoint) => !served.some((operation) => isOf(operation)(endpoint)));
    expect(foreign.map(({ operationId, path }) => `${operationId}: ${path}`)).toEqual([]);
  });

  it("have each method and path once", () => {
    const all = [...clientEndpoints, ...federationEndpoints, ...adminEndpoints];
    const routes = all.flatMap(({ method, path, aliases }) =>
      [path, ...aliases].map((one) => `${method} ${shapeOf(one)}`),
    );
    expect(routes.filter((route, index) => routes.indexOf(route) !== index)).toEqual([]);
  });
});

describe("operations that are not yet there", () => {
  let server: Homeserver;
  beforeAll(async () => {
    server = await startHomeserver();
  });
  afterAll(() => server.stop());

  const missing = served.filter((operation) => !isImplemented(operation));
  const ours = Object.values(endpointsByApi).flat();

  it.each(missing.map((operation) => [nameOf(operation), operation] as const))(
    "%s: M_UNRECOGNIZED",
    async (_name, operation) => {
      const samePath = ours.filter((endpoint) => shapeOf(endpoint.path) === shapeOf(operation.path));
      // The specification has two operations at the path of invites; the body tells them apart, after authentication.
      if (samePath.some((endpoint) => endpoint.method === operation.method)) return;
      const path = operation.path.replace(/\{\w+\}/g, "x");
      const reply = await clientOf(server.baseUrl).request(operation.method, path);
      expect(reply.status).toBe(samePath.length === 0 ? 404 : 405);
      expect(reply.body.errcode).toBe("M_UNRECOGNIZED");
      expect(reply.headers.get("Access-Control-Allow-Origin")).toBe("*");
    },
  );
});

/** How much of each chapter is there, for whoever reads the test's output. */
function coverage(): string {
  const chapters = Map.groupBy(served, ({ api, module }) => `${api}: ${module}`);
  const lines = [...chapters].map(([chapter, operations]) => {
    const there = operations.filter(isImplemented).length;
    return `${String(there).padStart(4)} of ${String(operations.length).padStart(2)}  ${chapter}`;
  });
  const total = served.filter(isImplemented).length;
  const elsewhere = specOperations.length - served.length;
  return [
    "Operations of the specification that this server answers:",
    ...lines,
    `${total} of ${served.length}; ${elsewhere} more are answered by other kinds of servers.`,
  ].join("\n");
}

afterAll(() => console.log(coverage()));
