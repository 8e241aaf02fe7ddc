import { describe, expect, it } from "vitest";
import { loginAgain, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();
const proof = (user: TestUser) => ({ type: "m.login.password", user: user.userId, password: user.password });

describe("devices", () => {
  it("are listed, read and renamed", async () => {
    const alice = await server.user("alice");
    const second = await loginAgain(alice);
    const { devices } = (await alice.get("v3/devices")).body;
    expect(devices).toHaveLength(2);
    expectOk(await alice.put(`v3/devices/${second.deviceId}`, { display_name: "tablet" }), {});
    const device = await alice.get(`v3/devices/${second.deviceId}`);
    expect(device.body).toMatchObject({ device_id: second.deviceId, display_name: "tablet" });
    expectOk(await alice.put(`v3/devices/${second.deviceId}`, {}), {});
    expect((await alice.get(`v3/devices/${second.deviceId}`)).body.display_name).toBe("tablet");
  });

  it("are one's own", async () => {
    const bob = await server.user("bob");
    const carol = await server.user("carol");
    for (const reply of [
      await carol.get(`v3/devices/${bob.deviceId}`),
      await carol.put(`v3/devices/${bob.deviceId}`, {}),
    ]) {
      expectError(reply, 404, "M_NOT_FOUND");
    }
    expectError(await bob.put(`v3/devices/${bob.deviceId}`, { display_name: 7 }), 400, "M_BAD_JSON");
  });

  it("are deleted after the password was given, one or several", async () => {
    const dora = await server.user("dora");
    const [second, third, fourth] = [await loginAgain(dora), await loginAgain(dora), await loginAgain(dora)];
    expect((await dora.delete(`v3/devices/${second.deviceId}`)).status).toBe(401);
    expectOk(await dora.delete(`v3/devices/${second.deviceId}`, { auth: proof(dora) }), {});
    expectError(await second.get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    const devices = [third.deviceId, fourth.deviceId, "UNKNOWN"];
    expect((await dora.post("v3/delete_devices", { devices })).status).toBe(401);
    expectOk(await dora.post("v3/delete_devices", { devices, auth: proof(dora) }), {});
    for (const gone of [third, fourth]) expectError(await gone.get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    expectError(await dora.post("v3/delete_devices", {}), 400, "M_MISSING_PARAM");
    expectError(await dora.post("v3/delete_devices", { devices: "all" }), 400, "M_BAD_JSON");
  });
});
