import type { Endpoint } from "../../../shared/endpoint.ts";
import * as homePage from "./home-page.ts";
import * as loginFallback from "./login-fallback.ts";
import * as maintenance from "./maintenance.ts";
import * as register from "./register.ts";
import * as registrationTokens from "./registration-tokens.ts";
import * as uiaFallback from "./uia-fallback.ts";

/** What is not of the spec: the operator's API, and what a server shows of itself. */
export const adminEndpoints: readonly Endpoint[] = [
  ...Object.values(homePage),
  ...Object.values(loginFallback),
  ...Object.values(maintenance),
  ...Object.values(register),
  ...Object.values(registrationTokens),
  ...Object.values(uiaFallback),
];
