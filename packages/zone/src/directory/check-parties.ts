// Rules of `zone check` about parties: what ends too soon, policies that contradict the federation, bits
// that must not move.

import { keyIdOf, toHex } from "@whither/crypto/node";
import { limits } from "@whither/protocol";
import type { Finding, ZoneCheck } from "./finding.js";

/** Longest life of what MSPs and provers sign. */
const signedLifetimeSeconds = Math.max(
  limits.mappingLifetimeSecondsMax,
  limits.credentialLifetimeSecondsMax,
);
/** Keys and accreditations should outlast the next routine signing by this. */
const expiryMarginSeconds = 14 * 86_400;

export function checkParties(check: ZoneCheck): readonly Finding[] {
  return [
    ...expiries(check),
    ...policies(check),
    ...replicas(check),
    ...bits(check),
    ...droppedKeys(check),
  ];
}

/** What ends before, or soon after, the directory that is about to be signed. */
function expiries(check: ZoneCheck): readonly Finding[] {
  const { root, registry, compiled, manifests, rootKeys, nowSeconds } = check;
  const neededSeconds = nowSeconds + compiled.lifetimeSeconds;
  const ends = (
    place: Pick<Finding, "file" | "line" | "subject">,
    { thing, endSeconds }: { readonly thing: string; readonly endSeconds: number },
  ): readonly Finding[] => {
    if (endSeconds >= neededSeconds + expiryMarginSeconds) return [];
    const days = Math.floor((endSeconds - nowSeconds) / 86_400);
    const text = days < 0 ? `${thing} has ended` : `${thing} ends in ${days} d`;
    return [
      { severity: endSeconds <= nowSeconds ? "error" : "warning", rule: "expiry", ...place, text },
    ];
  };
  const party = (kind: "msp" | "prover", id: string) => ({
    file: registry.file,
    line: registry.lineOf(kind, id),
    subject: id,
  });
  const ofManifests = registry.dps.flatMap(({ zones }) =>
    zones.flatMap(({ name, line }) => {
      const manifest = manifests.get(name);
      if (manifest === undefined) return [];
      const place = { file: registry.file, line, subject: name };
      const { zoneKeys, voprfKeys } = manifest;
      return [
        ...ends(place, { thing: "the zone key", endSeconds: latest(zoneKeys) }),
        // A directory's manifest has none.
        ...(voprfKeys.length === 0
          ? []
          : ends(place, { thing: "the VOPRF key", endSeconds: latest(voprfKeys) })),
      ];
    }),
  );
  const rootPlace = { file: root.file, line: 1, subject: "." };
  return [
    // A record stays for ever, so that its bit is never reused: an MSP that has left is no mistake.
    ...registry.msps
      .filter((msp) => msp.accreditedTo > nowSeconds)
      .flatMap((msp) =>
        ends(party("msp", msp.id), { thing: "the accreditation", endSeconds: msp.accreditedTo }),
      ),
    ...registry.provers.flatMap((prover) =>
      ends(party("prover", prover.id), {
        thing: "the prover's key",
        endSeconds: latest(prover.keys),
      }),
    ),
    ...ofManifests,
    ...(rootKeys === undefined
      ? []
      : [
          ...ends(rootPlace, { thing: "the root key set", endSeconds: rootKeys.notAfter }),
          ...ends(rootPlace, { thing: "the root ZSK", endSeconds: latest(rootKeys.zsks) }),
        ]),
  ];
}

function latest(keys: readonly { readonly notAfter: number }[]): number {
  return Math.max(...keys.map((key) => key.notAfter));
}

/** Requirement 11: a DP's published default must follow the federation's. */
function policies({ root, registry, manifests }: ZoneCheck): readonly Finding[] {
  return registry.dps.flatMap(({ record, zones }) =>
    zones.flatMap(({ name, line }): readonly Finding[] => {
      const place = { file: registry.file, line, subject: name };
      const manifest = manifests.get(name);
      if (manifest === undefined) {
        const text = "the manifest is known by its hash only: its policy was not checked";
        return [{ severity: "warning", rule: "policy", ...place, text }];
      }
      const wrong: Finding[] = [];
      if (manifest.zone !== name) {
        const text = `the manifest is that of ${manifest.zone}`;
        wrong.push({ severity: "error", rule: "manifest", ...place, text });
      }
      if (manifest.operator !== record.operator) {
        const text = `the manifest names another operator than ${record.operator}`;
        wrong.push({ severity: "error", rule: "manifest", ...place, text });
      }
      const { federationDefault } = manifest.policy;
      if (federationDefault !== root.federationDefault) {
        const text = `its default is ${federationDefault}, the federation's ${root.federationDefault}`;
        wrong.push({ severity: "error", rule: "policy", ...place, text });
      }
      return wrong;
    }),
  );
}

/** Where a replica may stand is the zone's promise to its people, in its manifest. */
function replicas({ registry, manifests }: ZoneCheck): readonly Finding[] {
  const zones = registry.dps.flatMap((dp) => dp.zones);
  return zones.flatMap(({ name, line, replicas: standing }): readonly Finding[] => {
    const allowed = manifests.get(name)?.policy.replicaJurisdictions ?? [];
    if (allowed.length === 0) return [];
    const place = { file: registry.file, line, subject: name } as const;
    return standing
      .filter(({ jurisdiction }) => !allowed.includes(jurisdiction))
      .map(({ host, jurisdiction }): Finding => {
        const text = `the replica ${host} stands in ${jurisdiction || "no named place"}, which the manifest does not allow`;
        return { severity: "error", rule: "replica", ...place, text };
      });
  });
}

/** A key may be taken back at once when it is stolen; else only when all that it signed has ended. */
function droppedKeys({ registry, previous, nowSeconds }: ZoneCheck): readonly Finding[] {
  const now = [...registry.msps, ...registry.provers];
  const before = (previous?.records() ?? []).map(({ record }) => record.party);
  return before.flatMap((old): readonly Finding[] => {
    if (old.kind !== "msp" && old.kind !== "prover") return [];
    const party = now.find(({ kind, id }) => kind === old.kind && id === old.id);
    if (party === undefined) return [];
    const kept = new Set(party.keys.map(({ publicKey }) => toHex(publicKey)));
    return old.keys
      .filter(({ publicKey }) => !kept.has(toHex(publicKey)))
      .map(({ publicKey, notAfter }) => ({
        name: toHex(keyIdOf(publicKey)),
        leftSeconds: Math.min(nowSeconds, notAfter) + signedLifetimeSeconds - nowSeconds,
      }))
      .filter(({ leftSeconds }) => leftSeconds > 0)
      .map(({ name, leftSeconds }): Finding => {
        const days = Math.ceil(leftSeconds / 86_400);
        const text = `key ${name} is gone, what it signed counts no more: give it an end, drop it ${days} d later`;
        const place = { file: registry.file, line: registry.lineOf(old.kind, old.id) };
        return { severity: "warning", rule: "key-dropped", ...place, subject: old.id, text };
      });
  });
}

/** Positions in the compact bit string are append-only (sign.ts refuses the same). */
function bits({ registry, previous }: ZoneCheck): readonly Finding[] {
  const byId = new Map(registry.msps.map((msp) => [msp.id, msp]));
  return (previous?.registry.msps() ?? []).flatMap((old): readonly Finding[] => {
    const now = byId.get(old.id);
    if (now?.bit === old.bit) return [];
    const line = now === undefined ? 1 : registry.lineOf("msp", old.id);
    const text =
      now === undefined
        ? `its record is gone: keep it with a past accredited_to, bit ${old.bit} stays taken`
        : `bit ${old.bit} became ${now.bit}`;
    const place = { file: registry.file, line, subject: old.id };
    return [{ severity: "error", rule: "registry-bit", ...place, text }];
  });
}
