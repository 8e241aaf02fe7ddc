import { describe, expect, it } from "vitest";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("getServerKey", () => {
  it("gives one key, signed with itself, valid for days; the same one each time", async () => {
    const { body } = await server.anybody().get("/_matrix/key/v2/server");
    const [keyId = ""] = Object.keys(Object(body.verify_keys));
    expect(keyId).toMatch(/^ed25519:[A-Za-z0-9_]+$/);
    expect(body).toMatchObject({
      server_name: "localhost",
      old_verify_keys: {},
      signatures: { localhost: { [keyId]: expect.any(String) } },
    });
    expect(Number(body.valid_until_ts)).toBeGreaterThan(Date.now() + 3_600_000);
    const again = await server.anybody().get(`/_matrix/key/v2/server/${encodeURIComponent(keyId)}`);
    expect(again.body.verify_keys).toEqual(body.verify_keys);
  });
});

describe("getVersion", () => {
  it("names the software", async () => {
    const { default: manifest } = await import("../../../package.json", { with: { type: "json" } });
    const version = { server: { name: "Tessera", version: manifest.version } };
    expectOk(await server.anybody().get("/_matrix/federation/v1/version"), version);
  });

  it("is all that is told without a signature", async () => {
    expectError(await server.anybody().put("/_matrix/federation/v1/send/1", {}), 401, "M_UNAUTHORIZED");
  });
});
