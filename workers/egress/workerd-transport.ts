/**
 * The network of workerd. `fetch` keeps connections open and takes the certificate's name, and `Host`, from the URL; where
 * either must be another, a socket with HTTP/1.1 of our own is used, which only the self-hosted runtime has.
 */
import type { Answered, Exchange, SrvRecord, Target, Transport } from "./context.ts";
import { lookUpSrv } from "./dns.ts";
import { exchangeOverSocket } from "./socket-exchange.ts";

/** What the runtime gives. */
export interface NetworkBindings {
  /** The network service; null on Cloudflare. */
  readonly internet: Fetcher | null;
  /** The DNS-over-HTTPS service; null: SRV records are not looked up. */
  readonly dnsOverHttps: string | null;
}

/** The transport over the runtime's own network. */
export function workerdTransport({ internet, dnsOverHttps }: NetworkBindings): Transport {
  return {
    exchange: (target, request) => exchange(internet, target, request),
    resolveSrv: async (name, signal): Promise<SrvRecord[]> =>
      dnsOverHttps === null ? [] : lookUpSrv(name, (query) => askResolver(dnsOverHttps, query, signal)),
  };
}

function exchange(internet: Fetcher | null, target: Target, request: Exchange): Promise<Answered> {
  const { host, tlsName } = target;
  if (internet !== null && !saysUrl(target)) return exchangeOverSocket(internet, target, request);
  if (host === tlsName) return exchangeByFetch(target, request);
  // Cloudflare's sockets cannot be told whom the certificate must name (cloudflare/workerd#6903).
  throw new Error(
    `a certificate for ${tlsName} at ${host} cannot be checked on this platform: use .well-known, not SRV`,
  );
}

/** Whether a URL says all of the target: the certificate's name and, but for a port that goes without saying, `Host`. */
function saysUrl({ host, port, hostHeader, tlsName }: Target): boolean {
  const authority = `${bracketed(host)}:${port}`;
  return (
    tlsName === host && (port === 443 && !hostHeader.endsWith(":443") ? `${hostHeader}:443` : hostHeader) === authority
  );
}

const bracketed = (host: string) => (host.includes(":") ? `[${host}]` : host);

async function exchangeByFetch({ host, port }: Target, request: Exchange): Promise<Answered> {
  const { method, path, headers, body, signal } = request;
  const url = `https://${bracketed(host)}:${port}${path}`;
  const init = { method, headers: { ...headers }, body, signal, redirect: "manual", cache: "no-store" } as const;
  const response = await fetch(url, init);
  return { status: response.status, headers: response.headers, body: response.body };
}

/** @see https://www.rfc-editor.org/rfc/rfc8484 */
async function askResolver(resolver: string, query: string, signal: AbortSignal): Promise<Uint8Array> {
  const url = new URL(resolver);
  url.searchParams.set("dns", query);
  const headers = { Accept: "application/dns-message" };
  const response = await fetch(url.href, { headers, signal, redirect: "manual" });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the resolver answered with status ${response.status}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}
