import { readFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer, request } from "node:https";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleWorker } from "../../workers/selfhost/bundle.ts";
import { rewriteMiniflare } from "../../workers/selfhost/direct-sockets.ts";
import { freePort, type Homeserver, startHomeserver } from "../support/homeserver.ts";

const tls = join(import.meta.dirname, "tls");
const file = (name: string) => readFileSync(join(tls, name), "utf8");
const bundle = bundleWorker(join(import.meta.dirname, "probe-worker.ts"));

function getOverTls(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, ca: file("ca.pem"), servername: "localhost" }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    });
    sent.on("error", reject).end();
  });
}

function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.setTimeout(2000, () => socket.destroy());
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("error", reject).on("close", () => resolve(received));
  });
}

describe("the sockets of a self-hosted server", () => {
  let homeserver: Homeserver;
  let federationPort = 0;
  beforeAll(async () => {
    federationPort = await freePort();
    homeserver = await startHomeserver({
      bundle,
      env: {
        FEDERATION_PORT: String(federationPort),
        TLS_CERT: join(tls, "server.pem"),
        TLS_KEY: join(tls, "server.key"),
        SERVER_NAME: "hs1",
      },
    });
  });
  afterAll(() => homeserver?.stop());
  const plainPort = () => Number(new URL(homeserver.baseUrl).port);

  it("gives the Worker its variables, actors, D1 and R2", async () => {
    const variables = await (await fetch(`${homeserver.baseUrl}/variables`)).json();
    expect(variables).toMatchObject({ SERVER_NAME: "hs1", RATE_LIMITS: "off", APPSERVICES: "[]" });
    const storage = await (await fetch(`${homeserver.baseUrl}/storage`)).json();
    expect(storage).toEqual({ d1: 1, r2: "stored", counts: [1, 1, 1] });
  });

  it("keeps what actors stored over a restart", async () => {
    const count = async () => (await fetch(`${homeserver.baseUrl}/storage`)).json();
    const before = await count();
    await homeserver.restart();
    const after = await count();
    expect([before, after]).toMatchObject([{ counts: [2, 2, 2] }, { counts: [3, 3, 3] }]);
  });

  it("serves the same routes over HTTPS with the certificate it was given", async () => {
    expect(JSON.parse(await getOverTls(federationPort, "/variables"))).toMatchObject({ SERVER_NAME: "hs1" });
  });

  it("tells the Worker the client's address, on both listeners, whatever the client claims", async () => {
    const forged = { "MF-CF-Blob": '{"clientIp":"192.0.2.7:1"}' };
    const plain = await (await fetch(`${homeserver.baseUrl}/client`, { headers: forged })).json();
    const secure = JSON.parse(await getOverTls(federationPort, "/client"));
    const address = { cf: { clientIp: expect.stringMatching(/^127\.0\.0\.1:[0-9]+$/) } };
    expect([plain, secure]).toMatchObject([address, address]);
  });

  it("opens no session into the Worker on CONNECT", async () => {
    const host = "miniflare-unsafe-internal-capnp-connect";
    const answer = await sendRaw(plainPort(), `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(answer).not.toMatch(/^HTTP\/1.1 2/);
  });

  it("listens nowhere else than on the loopback address when BIND says so", async () => {
    await expect(fetch(`http://[::1]:${plainPort()}/variables`)).rejects.toThrow();
  });
});

describe("rewriteMiniflare", () => {
  const source = readFileSync(createRequire(import.meta.url).resolve("miniflare"), "utf8");

  it("finds the socket options of the pinned version exactly once", () => {
    expect(rewriteMiniflare(source)).toContain("tessera.directSocketOptions");
  });

  it("refuses a version in which they are not where they were", () => {
    expect(() => rewriteMiniflare(source.replaceAll("HOST_CAPNP_CONNECT", "RENAMED"))).toThrow("not known");
    expect(() => rewriteMiniflare(source + source)).toThrow("2 times");
  });
});

describe("connections to other servers", () => {
  const secure = createServer({ cert: file("server.pem"), key: file("server.key") }, (_request, response) => {
    response.end("over TLS");
  });
  const plain = createPlainServer((_request, response) => response.end("in clear"));
  let securePort = 0;
  let plainPort = 0;
  beforeAll(async () => {
    [securePort, plainPort] = [await freePort(), await freePort()];
    await new Promise<void>((resolve) => secure.listen(securePort, "127.0.0.1", resolve));
    await new Promise<void>((resolve) => plain.listen(plainPort, "127.0.0.1", resolve));
  });
  afterAll(() => {
    secure.close();
    plain.close();
  });

  async function ask(env: Record<string, string>, paths: readonly string[]): Promise<unknown[]> {
    const homeserver = await startHomeserver({ bundle, env });
    try {
      const answers: unknown[] = [];
      for (const path of paths) answers.push(await (await fetch(`${homeserver.baseUrl}${path}`)).json());
      return answers;
    } finally {
      await homeserver.stop();
    }
  }
  const overTls = () => [
    `/fetch?url=https://localhost:${securePort}/`,
    `/internet?url=https://localhost:${securePort}/`,
  ];
  const inClear = () => [`/fetch?url=http://127.0.0.1:${plainPort}/`, `/socket?url=127.0.0.1:${plainPort}`];
  const reached = { status: 200, text: expect.stringMatching(/over TLS|in clear/) };
  const refused = { refused: expect.any(String) };

  it("trust the authorities of TRUSTED_CA, for fetch and for sockets with a TLS name of their own", async () => {
    const env = { TRUSTED_CA: join(tls, "ca.pem"), FEDERATION_ALLOW_PRIVATE_NETWORK: "true" };
    const named = [`/socket?url=127.0.0.1:${securePort}&name=hs2`, `/socket?url=127.0.0.1:${securePort}&name=hs3`];
    expect(await ask(env, [...overTls(), ...named])).toEqual([reached, reached, reached, refused]);
  });

  it("do not trust an unknown authority", async () => {
    const env = { FEDERATION_ALLOW_PRIVATE_NETWORK: "true" };
    expect(await ask(env, overTls())).toEqual([refused, refused]);
  });

  it("reach private addresses only when FEDERATION_ALLOW_PRIVATE_NETWORK is true", async () => {
    expect(await ask({ FEDERATION_ALLOW_PRIVATE_NETWORK: "true" }, inClear())).toEqual([reached, reached]);
    expect(await ask({}, [...inClear(), `/internet?url=http://localhost:${plainPort}/`])).toEqual([
      refused,
      refused,
      refused,
    ]);
  });
});
