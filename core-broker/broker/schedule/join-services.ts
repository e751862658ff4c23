// Several services of the active side as one: the DR part starts and stops them together.
// Order of start is that of the arguments, stop goes backwards.
// Source: ours.
import type { ScheduleService } from '../parts.ts';

export const joinServices = (...services: ScheduleService[]): ScheduleService => ({
  start: () => {
    for (const service of services) service.start();
  },
  stop: () => {
    for (const service of services.toReversed()) service.stop();
  },
});
