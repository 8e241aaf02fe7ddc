import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { type DeviceId, trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { UserAuth } from "../../../shared/rpc/user.ts";
import { anyObject, opaqueId } from "../../../shared/validate.ts";
import { requireUia } from "../uia.ts";

const devicePath = "/_matrix/client/v3/devices/:deviceId";
const deviceAliases = ["/_matrix/client/r0/devices/:deviceId"];

/** `GET /_matrix/client/v3/devices` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices */
export const getDevices = endpoint(
  {
    operationId: "getDevices",
    method: "GET",
    path: "/_matrix/client/v3/devices",
    aliases: ["/_matrix/client/r0/devices"],
    auth: "accessToken",
  },
  async ({ auth, actors }) => ({ devices: await actors.user(auth.userId).getDevices() }),
);

/** `GET /_matrix/client/v3/devices/{deviceId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid */
export const getDevice = endpoint(
  { operationId: "getDevice", method: "GET", path: devicePath, aliases: deviceAliases, auth: "accessToken" },
  ({ params, auth, actors }) => actors.user(auth.userId).getDevice(params.deviceId),
);

/** `PUT /_matrix/client/v3/devices/{deviceId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid */
export const updateDevice = endpoint(
  {
    operationId: "updateDevice",
    method: "PUT",
    path: devicePath,
    aliases: deviceAliases,
    auth: "accessToken",
    body: v.object({ display_name: v.nullish(v.string()) }),
  },
  async ({ params, auth, body, actors }) => {
    await actors.user(auth.userId).updateDevice(params.deviceId, body.display_name ?? null);
    return {};
  },
);

/** `DELETE /_matrix/client/v3/devices/{deviceId}` — https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid */
export const deleteDevice = endpoint(
  {
    operationId: "deleteDevice",
    method: "DELETE",
    path: devicePath,
    aliases: deviceAliases,
    auth: "accessToken",
    body: v.object({ auth: v.nullish(anyObject) }),
    allowsEmptyBody: true,
  },
  (context) => removeDevices(context, context.auth, context.body.auth ?? null, [context.params.deviceId]),
);

/** `POST /_matrix/client/v3/delete_devices` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices */
export const deleteDevices = endpoint(
  {
    operationId: "deleteDevices",
    method: "POST",
    path: "/_matrix/client/v3/delete_devices",
    aliases: ["/_matrix/client/r0/delete_devices"],
    auth: "accessToken",
    body: v.object({ auth: v.nullish(anyObject), devices: v.pipe(v.array(opaqueId), v.maxLength(1000)) }),
  },
  (context) =>
    removeDevices(context, context.auth, context.body.auth ?? null, context.body.devices.map(trusted.deviceId)),
);

async function removeDevices(services: Services, auth: UserAuth, uia: JsonObject | null, devices: DeviceId[]) {
  await requireUia(services, {
    auth: uia,
    flows: [["m.login.password"]],
    bound: ["deleteDevices", auth.userId, auth.deviceId, devices],
    userId: auth.userId,
  });
  await services.actors.user(auth.userId).deleteDevices(devices);
  return {};
}
