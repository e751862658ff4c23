// Every request of dr-control.ts that a broker serves: what it needs in its body and who handles it.
// Changes run one at a time (control desk); reads run at once. Source: protocol/dr-control.ts.
import {
  type ActivateRequest,
  type AttachRequest,
  DR_CODE,
  type DrStatus,
  type FenceRequest,
  type LinkStatusRequest,
  type OpRequest,
  type PromoteRequest,
  type RelayRequest,
  type ReverseRequest,
  type TailReport,
} from '../../protocol/index.ts';
import type { LinkControl } from '../door.ts';
import type { ControlDesk } from './control-desk.ts';
import type { Relay } from './relay/index.ts';
import type { RoleEffects } from './roles/effects.ts';
import type { FenceDesk } from './roles/fence-desk.ts';
import type { LinkDesk } from './roles/link-desk.ts';
import type { RoleChange } from './roles/promotion.ts';
import type { LinkSource } from './source/index.ts';
import type { TokenMaker } from './token.ts';

export interface RequestParts {
  fence: FenceDesk;
  roles: RoleChange;
  links: LinkDesk;
  relay: Relay;
  tokens: TokenMaker;
  source: LinkSource;
  effects: RoleEffects;
  status(): DrStatus;
  /** @throws DrError REFUSED without a link */
  link(): LinkControl;
  tailReport(): TailReport;
  startRelay(request: RelayRequest): void;
  activate(request: ActivateRequest): void;
  /** A standby's epoch, as it attaches: may depose this side. */
  learnOfStandby(epoch: number): void;
}

export function registerRequests(desk: ControlDesk, parts: RequestParts): void {
  registerReads(desk, parts);
  registerFence(desk, parts);
  registerRoles(desk, parts);
  registerLink(desk, parts);
}

function registerReads(desk: ControlDesk, parts: RequestParts): void {
  desk.onRead(DR_CODE.STATUS, {}, () => parts.status());
  desk.onRead(DR_CODE.TAIL_REPORT, {}, () => parts.tailReport());
  desk.onRead<AttachRequest>(DR_CODE.LINK_ATTACH, ATTACH_SHAPE, (body, connection) => {
    parts.learnOfStandby(body.epoch);
    return parts.source.attach(body, connection.remoteAddress);
  });
  desk.onRead<LinkStatusRequest>(DR_CODE.LINK_STATUS, LINK_STATUS_SHAPE, (body) =>
    parts.source.status(body),
  );
}

function registerFence(desk: ControlDesk, { fence, tokens, status }: RequestParts): void {
  desk.onChange<FenceRequest>(DR_CODE.FENCE, { deadlineMs: 'number' }, (body) => {
    fence.fence(body);
    return status();
  });
  desk.onChange<OpRequest>(DR_CODE.UNFENCE, {}, ({ opId }) => {
    fence.unfence(opId);
    return status();
  });
  desk.onChange<OpRequest>(DR_CODE.SEAL, {}, async ({ opId }) => {
    await fence.seal(opId);
    return tokens.compute();
  });
  desk.onChange<OpRequest>(DR_CODE.UNSEAL, {}, async ({ opId }) => {
    await fence.unseal(opId);
    return status();
  });
}

function registerRoles(desk: ControlDesk, parts: RequestParts): void {
  desk.onChange<PromoteRequest>(DR_CODE.PROMOTE, PROMOTE_SHAPE, (body) =>
    parts.roles.promote(body),
  );
  desk.onChange<ReverseRequest>(DR_CODE.REVERSE, REVERSE_SHAPE, async (body) => {
    await parts.roles.reverse(body);
    return parts.status();
  });
  desk.onChange<ActivateRequest>(DR_CODE.ACTIVATE, { epoch: 'number' }, (body) => {
    parts.activate(body);
    return parts.status();
  });
  desk.onChange<RelayRequest>(DR_CODE.RELAY_START, RELAY_SHAPE, (body) => {
    parts.startRelay(body);
    return parts.status();
  });
  desk.onRelease((connection) => parts.relay.release(connection));
  desk.onChange<OpRequest>(DR_CODE.RELAY_STOP, {}, () => {
    parts.relay.stop();
    parts.effects.refresh('relay stopped');
    return parts.status();
  });
}

function registerLink(desk: ControlDesk, parts: RequestParts): void {
  desk.onChange<OpRequest>(DR_CODE.LINK_HALT, {}, async (body) => {
    await parts.links.halt(body);
    return parts.status();
  });
  desk.onChange<OpRequest>(DR_CODE.LINK_RESUME, {}, async (body) => {
    await parts.links.resume(body);
    return parts.status();
  });
  desk.onChange<OpRequest>(DR_CODE.FINAL_SYNC, {}, async (body) => {
    const result = await parts.link().finalSync(body);
    // What counts is what is in the tables now, not what the link believes to have sent.
    return { ...result, offsetDigest: parts.tokens.offsetDigest() };
  });
}

const ATTACH_SHAPE = {
  linkId: 'string',
  epoch: 'number',
  position: 'number',
  lastRecordCrc: 'number',
  lineage: 'array',
} as const;
const LINK_STATUS_SHAPE = { linkId: 'string', position: 'number', queuesSince: 'number' } as const;
const PROMOTE_SHAPE = { fromEpoch: 'number', token: 'object-or-null', forced: 'boolean' } as const;
const RELAY_SHAPE = { target: 'string', region: 'string', epoch: 'number' } as const;
const REVERSE_SHAPE = { source: 'string', sourceRegion: 'string', epoch: 'number' } as const;
