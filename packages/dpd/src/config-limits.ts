// The `limits` of dpd.yaml: what one client may cost. What each key is for is written in configs/dpd.yaml.

import { defaultAdmissionLimits, type AdmissionLimits } from "@whither/authority";
import { integerField, sizeField } from "@whither/runtime";
import { z } from "zod";

const mib = 1024 ** 2;

export function limitsSchema() {
  const count = (unit: string, fallback: number) =>
    integerField({ min: 1, max: 1_000_000_000, unit }).default(fallback);
  const defaults = defaultAdmissionLimits;
  return z
    .strictObject({
      requests_per_second: count("requests a second", defaults.requestsPerSecond),
      requests_burst: count("requests", defaults.requestsBurst),
      cpu_ms_per_second: count("milliseconds a second", defaults.cpuMsPerSecond),
      cpu_burst_ms: count("milliseconds", defaults.cpuBurstMs),
      client_contacts_per_day: count("contacts a day", defaults.clientContactsPerDay),
      client_contacts_burst: count("contacts", defaults.clientContactsBurst),
      msp_contacts_per_day: count("contacts a day", defaults.mspContactsPerDay),
      msp_contacts_burst: count("contacts", defaults.mspContactsBurst),
      // At least one answer of the largest size has to pass.
      public_bytes_per_minute: sizeField({ min: 4 * mib, max: 1024 * 1024 * mib }).default(
        defaults.publicBytesPerMinute,
      ),
      clients_max: integerField({ min: 100, max: 1_000_000, unit: "clients" }).default(
        defaults.clientsMax,
      ),
      dry_run: z.boolean().default(defaults.dryRun),
    })
    .transform((value): AdmissionLimits => ({
      requestsPerSecond: value.requests_per_second,
      requestsBurst: value.requests_burst,
      cpuMsPerSecond: value.cpu_ms_per_second,
      cpuBurstMs: value.cpu_burst_ms,
      clientContactsPerDay: value.client_contacts_per_day,
      clientContactsBurst: value.client_contacts_burst,
      mspContactsPerDay: value.msp_contacts_per_day,
      mspContactsBurst: value.msp_contacts_burst,
      publicBytesPerMinute: value.public_bytes_per_minute,
      clientsMax: value.clients_max,
      dryRun: value.dry_run,
    }));
}
