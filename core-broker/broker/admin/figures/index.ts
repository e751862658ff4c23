// The broker's figures: runtime info (28) and counters with windows (315).
// Source: AdminBrokerProcessor, behaviour only.
import {
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../../protocol/index.ts';
import { textField } from '../../fields.ts';
import type { HandlerContext } from '../../handler-context.ts';
import { okJson, refuse } from '../../response-codes.ts';
import { runtimeInfo } from './runtime-info.ts';

export function addFigureHandlers(context: HandlerContext): void {
  const { requests } = context.parts;
  requests.on(RequestCode.GET_BROKER_RUNTIME_INFO, () => okJson({ table: runtimeInfo(context) }));
  requests.on(RequestCode.VIEW_BROKER_STATS_DATA, (request) => brokerStats(context, request));
}

function brokerStats(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const name = textField(request, 'statsName');
  const key = textField(request, 'statsKey');
  const item = context.stats.find(name, key);
  if (!item) {
    return refuse(ResponseCode.SYSTEM_ERROR, `The stats <${name}> <${key}> not exist`);
  }
  return okJson({
    statsDay: item.figures('day'),
    statsHour: item.figures('hour'),
    statsMinute: item.figures('minute'),
  });
}

export { diskRatio } from './runtime-info.ts';
