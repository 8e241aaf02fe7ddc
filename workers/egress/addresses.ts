/** IP addresses as text: what is one, and which belong to the open internet. */

/** An IPv4 address in the one notation that is allowed. */
const dottedQuad = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/;

/** Whether a text is an IP address: four decimal numbers, or IPv6 without brackets. */
export function isIpLiteral(text: string): boolean {
  return dottedQuad.test(text) || ipv6Groups(text) !== null;
}

/**
 * Whether a host is one that URLs and resolvers take for an IPv4 address in another notation (`127.1`, `0x7f000001`,
 * `2130706433`, `0177.0.0.1`). No DNS name ends in a number.
 */
export function isOddNumber(host: string): boolean {
  const labels = host.replace(/\.$/, "").split(".");
  return /^(?:[0-9]+|0[xX][0-9a-fA-F]*)$/.test(labels.at(-1) ?? "");
}

/** An address range: its first bits. */
type Range = readonly [first: readonly number[], bits: number];

function range4(text: string): Range {
  const [address = "", bits = ""] = text.split("/");
  return [ipv4Bytes(address), Number(bits)];
}

function range6(text: string): Range {
  const [address = "", bits = ""] = text.split("/");
  return [ipv6Groups(address) ?? [], Number(bits)];
}

/** @see https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry.xhtml */
const privateRanges4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
].map(range4);

/**
 * Of IPv6, only 2000::/3 is the open internet; within it, these are not. Teredo, 6to4, NAT64 and the like hold an IPv4
 * address, and no server of the open internet is reached by one of them.
 * @see https://www.iana.org/assignments/iana-ipv6-special-registry/iana-ipv6-special-registry.xhtml
 */
const privateRanges6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"].map(range6);
const globalRange6 = range6("2000::/3");

/** Whether an IP literal is an address of the open internet. False for what is no IP literal. */
export function isPublicAddress(text: string): boolean {
  if (dottedQuad.test(text)) {
    const bytes = ipv4Bytes(text);
    return !privateRanges4.some((range) => isWithin(bytes, range, 8));
  }
  const groups = ipv6Groups(text);
  if (groups === null || !isWithin(groups, globalRange6, 16)) return false;
  return !privateRanges6.some((range) => isWithin(groups, range, 16));
}

/** @param width bits of each entry of the address */
function isWithin(address: readonly number[], [first, bits]: Range, width: number): boolean {
  for (let index = 0; index * width < bits; index += 1) {
    const shift = Math.max(0, width - (bits - index * width));
    if ((address[index] ?? 0) >> shift !== (first[index] ?? 0) >> shift) return false;
  }
  return true;
}

function ipv4Bytes(text: string): number[] {
  return text.split(".").map(Number);
}

/** The eight groups of an IPv6 address, which may end in an IPv4 one; null for anything else. */
function ipv6Groups(text: string): number[] | null {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text)) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map(groupsOf);
  if (head === null || head === undefined || tail === null) return null;
  if (tail === undefined) return head.length === 8 ? head : null;
  // Only the very end may be in IPv4's notation.
  if ((halves[0] ?? "").includes(".")) return null;
  const missing = 8 - head.length - tail.length;
  return missing < 1 ? null : [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

function groupsOf(text: string): number[] | null {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && dottedQuad.test(part)) {
      const [a = 0, b = 0, c = 0, d = 0] = ipv4Bytes(part);
      groups.push(a * 256 + b, c * 256 + d);
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}
