import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseSelfhostConfig } from "../../workers/selfhost/config.ts";
import { freePort, spawnScript, temporaryFolder } from "../support/homeserver.ts";

const tls = join(import.meta.dirname, "tls");
const listener = { FEDERATION_PORT: "8448", TLS_CERT: join(tls, "server.pem"), TLS_KEY: join(tls, "server.key") };

describe("parseSelfhostConfig", () => {
  it("gives the documented defaults when nothing is set", () => {
    const config = parseSelfhostConfig({}, "/srv/tessera");
    expect(config).toMatchObject({
      bind: "127.0.0.1",
      port: 8008,
      federation: null,
      dataDir: "/srv/tessera/data",
      trustedCertificates: [],
      shared: {
        serverName: "localhost",
        publicBaseUrl: "http://localhost:8008",
        registration: "token",
        registrationSharedSecret: null,
        rateLimits: true,
        queryAccessTokens: true,
        federationDomainAllow: null,
        federationAllowPrivateNetwork: false,
        appservices: [],
      },
    });
  });

  it("takes an empty variable as unset", () => {
    expect(parseSelfhostConfig({ PORT: "", BIND: "", TLS_CERT: "" }, "/").port).toBe(8008);
  });

  it("derives PUBLIC_BASEURL from the port for localhost and from the name for a domain", () => {
    expect(parseSelfhostConfig({ PORT: "9000" }, "/").shared.publicBaseUrl).toBe("http://localhost:9000");
    expect(parseSelfhostConfig({ SERVER_NAME: "example.org" }, "/").shared.publicBaseUrl).toBe("https://example.org");
  });

  it("gives the Worker the variables under the operator's names", () => {
    const federation = { FEDERATION: "off", FEDERATION_DOMAIN_DENY: "a.example", DNS_OVER_HTTPS: "off" };
    const registration = { SERVER_NAME: "example.org", REGISTRATION: "closed", RATE_LIMITS: "off" };
    const given = { ...registration, DEFAULT_ROOM_VERSION: "11", ...federation };
    expect(parseSelfhostConfig(given, "/").workerVariables).toEqual({
      ...given,
      PUBLIC_BASEURL: "https://example.org",
      APPSERVICES: "[]",
    });
  });

  it("reads the three variables of the federation listener", () => {
    const { federation } = parseSelfhostConfig(listener, "/");
    expect(federation?.port).toBe(8448);
    expect(federation?.certificateChain).toContain("BEGIN CERTIFICATE");
  });
});

describe("npm start with a wrong value", () => {
  let folder = "";
  let port = 0;
  beforeAll(async () => {
    folder = temporaryFolder();
    port = await freePort();
    writeFileSync(join(folder, "file"), "not a certificate, nor a folder\n");
    mkdirSync(join(folder, "bridges"));
    writeFileSync(join(folder, "bridges", "irc.yaml"), "id: irc\nurl: null\n");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const wrong: readonly [variable: string, env: () => Record<string, string>][] = [
    ["SERVER_NAME", () => ({ SERVER_NAME: "not a name" })],
    ["DEFAULT_ROOM_VERSION", () => ({ DEFAULT_ROOM_VERSION: "13" })],
    ["PORT", () => ({ PORT: "80x" })],
    ["PORT", () => ({ PORT: "0" })],
    ["PORT", () => ({ PORT: "65536" })],
    ["BIND", () => ({ BIND: "nowhere" })],
    ["BIND", () => ({ BIND: "192.0.2.1" })],
    ["FEDERATION_PORT", () => ({ ...listener, FEDERATION_PORT: "-1" })],
    ["FEDERATION_PORT", () => ({ ...listener, FEDERATION_PORT: String(port) })],
    ["FEDERATION_PORT", () => ({ TLS_CERT: listener.TLS_CERT, TLS_KEY: listener.TLS_KEY })],
    ["TLS_CERT", () => ({ FEDERATION_PORT: "8448", TLS_KEY: listener.TLS_KEY })],
    ["TLS_CERT", () => ({ ...listener, TLS_CERT: join(folder, "missing") })],
    ["TLS_CERT", () => ({ ...listener, TLS_CERT: join(folder, "file") })],
    ["TLS_KEY", () => ({ FEDERATION_PORT: "8448", TLS_CERT: listener.TLS_CERT })],
    ["TLS_KEY", () => ({ ...listener, TLS_KEY: join(folder, "file") })],
    ["TLS_KEY", () => ({ ...listener, TLS_KEY: join(tls, "other.key") })],
    ["TRUSTED_CA", () => ({ TRUSTED_CA: join(folder, "missing") })],
    ["TRUSTED_CA", () => ({ TRUSTED_CA: join(folder, "file") })],
    ["DATA_DIR", () => ({ DATA_DIR: join(folder, "file", "data") })],
    ["PUBLIC_BASEURL", () => ({ PUBLIC_BASEURL: "example.org" })],
    ["REGISTRATION", () => ({ REGISTRATION: "perhaps" })],
    ["RATE_LIMITS", () => ({ RATE_LIMITS: "0" })],
    ["QUERY_ACCESS_TOKENS", () => ({ QUERY_ACCESS_TOKENS: "yes" })],
    ["CLIENT_ADDRESS_HEADER", () => ({ CLIENT_ADDRESS_HEADER: "not a header" })],
    ["APPSERVICE_DIR", () => ({ APPSERVICE_DIR: join(folder, "missing") })],
    ["APPSERVICE_DIR", () => ({ APPSERVICE_DIR: join(folder, "bridges") })],
    ["FEDERATION_DOMAIN_ALLOW", () => ({ FEDERATION_DOMAIN_ALLOW: "a.example, not a name" })],
    ["FEDERATION_ALLOW_PRIVATE_NETWORK", () => ({ FEDERATION_ALLOW_PRIVATE_NETWORK: "1" })],
    ["FEDERATION", () => ({ FEDERATION: "yes" })],
    ["DNS_OVER_HTTPS", () => ({ DNS_OVER_HTTPS: "dns.example" })],
  ];
  it.each(wrong)("ends with status 1 and one line that names %s", async (variable, env) => {
    const started = spawnScript("start", { DATA_DIR: join(folder, "data"), PORT: String(port), ...env() });
    expect(await started.ended(10_000)).toEqual({ code: 1, signal: null });
    expect(started.stdout).toBe("");
    expect(started.stderr).toMatch(new RegExp(`^${variable}: [^\n]+\n$`));
  });
});
