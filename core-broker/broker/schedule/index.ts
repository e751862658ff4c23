// Door of delayed delivery.
export * from './delay-levels.ts';
export * from './join-services.ts';
export * from './schedule-service.ts';
