import { serverSoftware } from "../gateway/software.ts";

/** What this server calls itself in requests. */
export const userAgent = `${serverSoftware.name}/${serverSoftware.version}`;
