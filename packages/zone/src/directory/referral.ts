// Verification of one answer of a walk: the closest enclosing node of what was asked, and the proof that
// nothing deeper exists there (protocol.md section 3, longest match; as RFC 4035 section 5.4 does).

import {
  compareLabels,
  DiscoveryError,
  isWithin,
  parentPrefix,
  prefixLabels,
  type Node,
  type Prefix,
} from "@whither/protocol";
import type { ReferAnswer } from "@whither/wire";
import type { SignatureVerifier } from "../signed.js";
import type { NodeTrust } from "./trust.js";
import { verifyNode } from "./verify.js";

export interface ReferralCheck {
  /** What was asked. */
  readonly asked: Prefix;
  readonly response: Pick<ReferAnswer, "cover" | "node">;
  /** Verified from the same answer: verifyTrust, verifyPartTrust. */
  readonly trust: NodeTrust;
  readonly nowSeconds: number;
  readonly verifier: SignatureVerifier;
  /** The node held already, directly above what was asked; none at the first step. */
  readonly parent?: Node | undefined;
}

export interface VerifiedReferral {
  /** The asked node, or the closest one above it. */
  readonly node: Node;
  readonly exact: boolean;
  /** The sibling that proves absence, when the node alone does not. */
  readonly cover?: Node;
  /** Whether the asked node exists and has children. */
  readonly hasDeeper: boolean;
}

/**
 * Verifies node and proof of a referral. Throws as verifyNode, and BOGUS for a node outside the asked path or above the
 * parent, DENIAL_MISSING for an absence without its proof.
 */
export function verifyReferral(check: ReferralCheck): VerifiedReferral {
  const { asked, response, trust, nowSeconds, verifier, parent } = check;
  const node = verifyNode({ object: response.node, trust, nowSeconds, verifier });
  if (!isWithin(asked, node.prefix)) {
    throw new DiscoveryError("BOGUS", "referral: a node outside the asked prefix");
  }
  if (parent !== undefined && !isWithin(node.prefix, parent.prefix)) {
    throw new DiscoveryError("BOGUS", "referral: points upward");
  }
  // Whatever was not asked for is dropped: a cover beside an exact answer is not even looked at.
  if (node.prefix === asked) {
    return { node, exact: true, hasDeeper: node.firstChild !== "" };
  }
  const label = childLabel(node.prefix, asked);
  if (deniesByItself(node, label)) return { node, exact: false, hasDeeper: false };
  if (response.cover === undefined) {
    throw new DiscoveryError("DENIAL_MISSING", "referral: absence without its proof");
  }
  const cover = verifyNode({ object: response.cover, trust, nowSeconds, verifier });
  if (parentPrefix(cover.prefix) !== node.prefix || !deniesAsSibling(cover, label)) {
    throw new DiscoveryError("DENIAL_MISSING", "referral: the proof does not cover the prefix");
  }
  return { node, exact: false, cover, hasDeeper: false };
}

/** Label of the child of `node` towards `asked`, which lies below it. */
export function childLabel(node: Prefix, asked: Prefix): string {
  const label = prefixLabels(asked)[prefixLabels(node).length];
  if (label === undefined) throw new TypeError("the asked prefix does not lie below the node");
  return label;
}

/** Whether the node's first child, or its having none, proves that it has no child of that label. */
export function deniesByItself(node: Node, label: string): boolean {
  return node.firstChild === "" || compareLabels(label, node.firstChild) < 0;
}

/** Whether a child proves that it has no sibling of that label: own label < asked < next_sibling. */
export function deniesAsSibling(child: Node, label: string): boolean {
  const own = prefixLabels(child.prefix).at(-1) ?? "";
  return (
    compareLabels(own, label) < 0 &&
    (child.nextSibling === "" || compareLabels(label, child.nextSibling) < 0)
  );
}
